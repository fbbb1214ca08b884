//! Two ends over a pipe that cuts and delays arbitrarily: they never disagree, and nothing is lost.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use proptest::collection::vec;
use proptest::prelude::*;
use std::time::Duration;
use ws_kit::pair::{End, Pair};
use ws_proto::{CloseCode, Config, Event, Frame, Heartbeat, Opcode};

#[test]
fn the_handshake_completes_in_reads_of_any_size() {
    for chunk in 1..200 {
        let mut pair = Pair::new(Config::client(), Config::server());
        pair.chunk = chunk;
        pair.drive();
        assert!(
            matches!(&pair.client.events[..], [Event::Open(response)] if response.status().as_u16() == 101)
        );
        assert!(matches!(pair.server.events[..], [Event::Open(_)]));
        pair.client.connection.send("hello").unwrap();
        pair.drive();
        assert_eq!(pair.server.texts(), ["hello"]);
    }
}

#[test]
fn data_sent_with_the_101_arrives_after_it() {
    let mut pair = Pair::new(Config::client(), Config::server());
    pair.accept = false;
    pair.drive();
    let Some(Event::Upgrade(upgrade)) = pair.server.events.pop() else { panic!("no upgrade") };
    pair.server.connection.accept(pair.now, upgrade).unwrap();
    pair.server.connection.send("welcome").unwrap();
    pair.drive();
    assert!(matches!(pair.client.events[0], Event::Open(_)));
    assert_eq!(pair.client.texts(), ["welcome"]);
}

/// The next act of one end.
#[derive(Clone, Debug)]
enum Act {
    Send(Vec<u8>),
    Fragments(Vec<u8>),
    Ping,
    Close(u16),
    /// Moves the pipe, in reads of at most this many bytes.
    Step(usize),
    Wait(u64),
}

fn act() -> impl Strategy<Value = (bool, Act)> {
    let act = prop_oneof![
        10 => vec(any::<u8>(), 0..300).prop_map(Act::Send),
        1 => vec(any::<u8>(), 60_000..80_000).prop_map(Act::Send),
        3 => vec(any::<u8>(), 0..300).prop_map(Act::Fragments),
        2 => Just(Act::Ping),
        1 => (3000u16..5000).prop_map(Act::Close),
        20 => (1usize..5000).prop_map(Act::Step),
        2 => (0u64..20).prop_map(Act::Wait),
    ];
    (any::<bool>(), act)
}

/// Sends a message whole or in fragments. Returns whether it was accepted.
fn send(end: &mut End, data: &[u8], fragments: bool) -> bool {
    if !fragments {
        return end.connection.send(data).is_ok();
    }
    let (a, b) = data.split_at(data.len() / 2);
    let first = Frame::raw(Opcode::Binary, false, a.to_vec()).unwrap();
    let last = Frame::raw(Opcode::Continuation, true, b.to_vec()).unwrap();
    end.connection.send(&first).is_ok() && end.connection.send(&last).is_ok()
}

fn received(end: &End) -> Vec<Vec<u8>> {
    let data = |event: &Event<'_>| match event {
        Event::Message(message) => Some(message.as_bytes().to_vec()),
        _ => None,
    };
    end.events.iter().filter_map(data).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn accepted_messages_arrive_once_in_order_and_every_end_is_reported(acts in vec(act(), 0..60)) {
        let mut pair = Pair::open_with(Config::client().heartbeat(Heartbeat::frequent()), Config::server().heartbeat(Heartbeat::frequent()));
        let (mut by_client, mut by_server) = (Vec::new(), Vec::new());
        for (client_acts, act) in acts {
            let now = pair.now;
            let (end, sent) = if client_acts {
                (&mut pair.client, &mut by_client)
            } else {
                (&mut pair.server, &mut by_server)
            };
            match act {
                Act::Send(data) => {
                    if send(end, &data, false) {
                        sent.push(data);
                    }
                }
                Act::Fragments(data) => {
                    if send(end, &data, true) {
                        sent.push(data);
                    }
                }
                Act::Ping => drop(end.connection.send_ping(now, b"?")),
                Act::Close(code) => drop(end.connection.close(now, CloseCode::from(code), "enough")),
                Act::Step(chunk) => {
                    pair.chunk = chunk;
                    pair.step();
                }
                Act::Wait(seconds) => pair.advance(Duration::from_secs(seconds)),
            }
        }
        let now = pair.now;
        drop(pair.client.connection.close(now, CloseCode::NORMAL, ""));
        pair.advance(Duration::from_secs(60));
        for end in [&pair.client, &pair.server] {
            prop_assert!(end.closed().clean, "{}", end.closed());
            prop_assert!(end.dropped);
        }
        // A peer that has closed discards input that crosses its Close; that can only be at the end.
        let (at_server, at_client) = (received(&pair.server), received(&pair.client));
        prop_assert_eq!(&by_client[..at_server.len()], &at_server[..]);
        prop_assert_eq!(&by_server[..at_client.len()], &at_client[..]);
        prop_assert_eq!(at_server.len(), by_client.len());
        prop_assert_eq!(at_client.len(), by_server.len());
    }
}
