//! No task waits for a wake-up that never comes: over tiny pipes, under an executor that polls only woken tasks, in
//! thousands of orders.

#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::pipe::{End, pipe};
use common::strict::Strict;
use common::{Random, websockets};
use futures_lite::StreamExt;
use futures_util::SinkExt;
use std::cell::Cell;
use std::rc::Rc;
use ws_server_smol::{CloseCode, Config, Frame, Message, State};
use ws_server_smol::{WebSocket, couple};

/// How many orders each test runs.
const SEEDS: u64 = 300;

/// Two ends with tiny outboxes and pipes; every third seed has streams that hold bytes back.
fn tiny(seed: u64) -> (WebSocket<End>, WebSocket<End>) {
    let (client, server) = pipe(1 + Random::new(seed).below(40), seed);
    let (client, server) =
        if seed.is_multiple_of(3) { (client.holding(), server.holding()) } else { (client, server) };
    let config = |config: Config| config.outbox(10, 100, 400);
    websockets(client, server, config(Config::client()), config(Config::server()))
}

fn text(k: usize) -> String {
    format!("{k} {}", "x".repeat(k * 7 % 60))
}

#[test]
fn halves_in_two_tasks_send_and_receive() {
    for seed in 0..SEEDS {
        let (client, mut server) = tiny(seed);
        let (mut sink, mut stream) = futures_util::StreamExt::split(client);
        let mut tasks = Strict::new(seed);
        tasks.spawn("sends", async move {
            for k in 0..30 {
                sink.feed(Message::Text(text(k).into())).await.unwrap();
                if k % 7 == 0 {
                    sink.flush().await.unwrap();
                }
            }
            sink.close().await.unwrap();
        });
        tasks.spawn("receives", async move {
            for k in 0..30 {
                assert_eq!(stream.next().await.unwrap().unwrap().as_text(), Some(&*text(k)), "seed {seed}");
            }
            assert!(stream.next().await.is_none(), "seed {seed}");
        });
        tasks.spawn("echoes", async move {
            while let Some(message) = server.next().await {
                server.send(message.unwrap()).await.unwrap();
            }
            assert!(server.closed().unwrap().clean);
        });
        tasks.run();
    }
}

#[test]
fn both_sides_send_and_receive_concurrently() {
    for seed in 0..SEEDS {
        let (client, server) = tiny(seed);
        let mut tasks = Strict::new(seed);
        for (names, ws) in
            [(["client sends", "client receives"], client), (["server sends", "server receives"], server)]
        {
            let (mut sink, mut stream) = futures_util::StreamExt::split(ws);
            tasks.spawn(names[0], async move {
                for k in 0..30 {
                    sink.feed(Message::Text(text(k).into())).await.unwrap();
                }
                sink.flush().await.unwrap();
            });
            tasks.spawn(names[1], async move {
                for k in 0..30 {
                    assert_eq!(stream.next().await.unwrap().unwrap().as_text(), Some(&*text(k)));
                }
            });
        }
        tasks.run();
    }
}

#[test]
fn senders_of_several_tasks_wait_for_room_and_keep_their_order() {
    for seed in 0..SEEDS {
        let (mut client, mut server) = tiny(seed);
        let mut tasks = Strict::new(seed);
        let done = Rc::new(Cell::new(0));
        for name in ["a", "b", "c"] {
            let (sender, done) = (client.sender(), done.clone());
            tasks.spawn(name, async move {
                for k in 0..15 {
                    sender.send(format!("{name} {}", text(k))).await.unwrap();
                    assert!(sender.queued() <= 100 + 3 * 80);
                }
                done.set(done.get() + 1);
                if done.get() == 3 {
                    sender.close(CloseCode::NORMAL, "").unwrap();
                }
            });
        }
        tasks.spawn("owns", async move { assert!(client.next().await.is_none()) });
        tasks.spawn("reads", async move {
            let mut seen = [0; 3];
            while let Some(message) = server.next().await {
                let message = message.unwrap();
                let (name, rest) = message.as_text().unwrap().split_once(' ').unwrap();
                let k = &mut seen[usize::from(name.as_bytes()[0] - b'a')];
                assert_eq!(rest, text(*k), "seed {seed}");
                *k += 1;
            }
            assert_eq!(seen, [15; 3], "seed {seed}");
        });
        tasks.run();
    }
}

#[test]
fn a_flush_learns_that_another_task_ended_the_connection() {
    for seed in 0..SEEDS {
        let (mut client, _server) = tiny(seed);
        let sender = client.sender();
        let flushing = Rc::new(Cell::new(false));
        let begun = flushing.clone();
        let mut tasks = Strict::new(seed);
        tasks.spawn("flushes", async move {
            client.try_send("x".repeat(200)).unwrap();
            begun.set(true);
            // The peer does not read: it would wait forever.
            assert!(client.flush().await.is_err());
            assert_eq!(client.state(), State::Closed);
            assert!(client.next().await.unwrap().is_err());
        });
        tasks.spawn("terminates", async move {
            while !flushing.get() {
                futures_lite::future::yield_now().await;
            }
            futures_lite::future::yield_now().await;
            sender.terminate();
        });
        tasks.run();
    }
}

#[test]
fn a_closing_half_takes_no_wake_up_and_no_message_from_the_reading_half() {
    for seed in 0..SEEDS {
        let (client, mut server) = tiny(seed);
        let (mut sink, mut stream) = futures_util::StreamExt::split(client);
        let mut tasks = Strict::new(seed);
        tasks.spawn("closes", async move { sink.close().await.unwrap() });
        tasks.spawn("reads", async move {
            let mut got = 0;
            while let Some(message) = stream.next().await {
                assert_eq!(message.unwrap().as_text(), Some(&*text(got)), "seed {seed}");
                got += 1;
            }
            assert_eq!(got, 10, "seed {seed}");
        });
        tasks.spawn("answers", async move {
            for k in 0..10 {
                server.try_send(text(k)).unwrap();
            }
            while let Some(message) = server.next().await {
                drop(message.unwrap());
            }
        });
        tasks.run();
    }
}

#[test]
fn a_dropped_flush_takes_no_wake_up_with_it() {
    for seed in 0..SEEDS {
        let (client, mut server) = tiny(seed);
        let (mut sink, mut stream) = futures_util::StreamExt::split(client);
        let mut random = Random::new(seed);
        let mut tasks = Strict::new(seed);
        tasks.spawn("gives up", async move {
            for k in 0..10 {
                sink.feed(Message::Text(text(k).into())).await.unwrap();
                common::at_most(random.below(4), sink.flush()).await;
            }
            sink.flush().await.unwrap();
            // Its half is kept, and never polled again.
            std::mem::forget(sink);
        });
        tasks.spawn("reads", async move {
            for k in 0..10 {
                assert_eq!(stream.next().await.unwrap().unwrap().as_text(), Some(&*text(k)), "seed {seed}");
            }
        });
        tasks.spawn("echoes", async move {
            for _ in 0..10 {
                let message = server.next().await.unwrap().unwrap();
                server.send(message).await.unwrap();
            }
        });
        tasks.run();
    }
}

#[test]
fn a_couple_passes_everything_and_the_close() {
    for seed in 0..SEEDS / 3 {
        let ((mut client, mut a), (host, mut b)) = (tiny(seed), tiny(seed + 1));
        let paused = if seed.is_multiple_of(2) { a.sender() } else { b.sender() };
        let mut tasks = Strict::new(seed);
        tasks.spawn("couples", async move {
            let (a, b) = couple(&mut a, &mut b).await;
            assert_eq!((a.unwrap().code.get(), b.unwrap().code.get()), (4000, 4000));
        });
        tasks.spawn("pauses", async move {
            for _ in 0..10 {
                paused.pause();
                futures_lite::future::yield_now().await;
                paused.resume();
                futures_lite::future::yield_now().await;
            }
        });
        let (mut sink, mut stream) = futures_util::StreamExt::split(host);
        tasks.spawn("host sends", async move {
            for k in 0..30 {
                sink.feed(Message::Text(text(k).into())).await.unwrap();
            }
            sink.flush().await.unwrap();
        });
        tasks.spawn("host receives", async move {
            for k in 0..30 {
                assert_eq!(stream.next().await.unwrap().unwrap().as_text(), Some(&*text(k)), "seed {seed}");
            }
            let end = stream.next().await.unwrap().unwrap_err();
            assert_eq!(end.closed().unwrap().code.get(), 4000);
        });
        tasks.spawn("client", async move {
            for k in 0..30 {
                client.send(Frame::text(text(k))).await.unwrap();
                assert_eq!(client.next().await.unwrap().unwrap().as_text(), Some(&*text(k)), "seed {seed}");
            }
            assert!(client.close(CloseCode::from(4000), "").await.unwrap().clean);
        });
        tasks.run();
    }
}

#[test]
fn a_couple_ends_the_open_side_if_the_other_is_closed() {
    for seed in 0..SEEDS {
        let ((mut client, mut a), (mut host, mut b)) = (tiny(seed), tiny(seed + 1));
        let mut tasks = Strict::new(seed);
        tasks.spawn(
            "leaves",
            async move { assert!(host.close(CloseCode::from(4000), "").await.unwrap().clean) },
        );
        tasks.spawn("client", async move {
            assert_eq!(client.next().await.unwrap().unwrap_err().code.get(), 4000, "seed {seed}");
        });
        tasks.spawn("couples", async move {
            while b.next_event().await.is_some() {}
            // Its turn comes before or after that of the continuing one.
            let (first, second) = if seed.is_multiple_of(2) { (&mut a, &mut b) } else { (&mut b, &mut a) };
            couple(first, second).await;
        });
        tasks.run();
    }
}
