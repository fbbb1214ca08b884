//! A busy connection yields to other tasks.

#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::pipe::{End, pipe};
use common::{once, run, websockets};
use std::cell::Cell;
use std::pin::pin;
use std::time::{Duration, Instant};
use ws_server_smol::{Config, Frame, WebSocket};

/// How many tiny messages each poll of a reader receives, all available, with a handler for each.
fn messages_per_poll(count: usize, handle: impl Fn()) -> Vec<usize> {
    run(async {
        let (client, server) = pipe(1 << 20, 1);
        let config = Config::server().frame_rate(None);
        let (mut client, mut server) =
            websockets(client.straight(), server.straight(), Config::client(), config);
        for _ in 0..count {
            client.try_send(Frame::text("x")).unwrap();
        }
        client.flush().await.unwrap();

        let received = Cell::new(0);
        let mut reading = pin!(async {
            while received.get() < count {
                server.next().await.unwrap().unwrap();
                received.set(received.get() + 1);
                handle();
            }
        });
        let mut polls = Vec::new();
        loop {
            let before = received.get();
            let done = once(reading.as_mut()).await.is_ready();
            polls.push(received.get() - before);
            if done {
                return polls;
            }
        }
    })
}

#[test]
fn a_poll_consumes_at_most_64_kibibytes_of_input() {
    let frame = 7; // with its mask
    let polls = messages_per_poll(20_000, || {});
    assert!(polls.len() > 2 && polls.iter().all(|messages| *messages <= (64 << 10) / frame + 1), "{polls:?}");
}

#[test]
fn a_poll_ends_after_the_handler_that_exhausts_its_time() {
    let polls = messages_per_poll(10, || {
        let start = Instant::now();
        while start.elapsed() < Duration::from_micros(600) {}
    });
    assert!(polls.iter().all(|messages| *messages <= 1), "{polls:?}");
}

/// How often a task that only sends suspends, with a peer that takes everything at once.
fn yields(send: impl AsyncFn(&mut WebSocket<End>)) -> usize {
    run(async {
        let (client, server) = pipe(64 << 20, 1);
        let (mut client, _server) =
            websockets(client.straight(), server.straight(), Config::client(), Config::server());
        let mut sending = pin!(send(&mut client));
        let mut polls = 0;
        while !once(sending.as_mut()).await.is_ready() {
            polls += 1;
        }
        polls
    })
}

#[test]
fn a_task_that_only_sends_yields_after_64_kibibytes() {
    let times = yields(async |ws| {
        for _ in 0..100 {
            ws.send(Frame::binary(vec![0; 16 << 10])).await.unwrap();
        }
    });
    assert!((20..=25).contains(&times), "{times}");
}
