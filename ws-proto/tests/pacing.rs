//! Peers that exceed the message rate are not read for a while, and lose nothing.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::time::Duration;
use ws_kit::frames::*;
use ws_proto::{
    Config, Delivery, Error, Event, Heartbeat, IoAction, ProtocolError, Role, SendError, Sent, State,
};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn messages_over_the_rate_wait_for_the_next_second_in_order() {
    let (mut server, birth) = open(Role::Server, Config::server().message_rate(Some(3)));
    let mut bytes: Vec<u8> = (b'0'..b'8').flat_map(|k| frame(true, FIN | TEXT, &[k])).collect();
    let mut input = &mut bytes[..];
    let mut got = Vec::new();
    let mut now = birth + SECOND / 2;
    for second in 1..=3 {
        while let Some(event) = server.handle_input(now, &mut input) {
            let Event::Message(message) = event else { panic!("{event:?}") };
            got.extend_from_slice(message.as_bytes());
        }
        assert_eq!(got, b"01234567"[..(3 * second as usize).min(8)]);
        if second < 3 {
            assert!(server.is_paused() && server.poll_io() == IoAction::Pause);
            assert_eq!(server.poll_timeout(), Some(birth + second * SECOND));
            server.handle_timeout(now);
            assert!(server.is_paused(), "an early timer changes nothing");
            now = birth + second * SECOND;
            server.handle_timeout(now);
        }
        assert!(!server.is_paused());
    }
    assert!(input.is_empty());
}

#[test]
fn an_elapsed_second_ends_the_pause_without_a_timer() {
    let (mut server, birth) = open(Role::Server, Config::server().message_rate(Some(1)));
    assert_eq!(feed(&mut server, birth, &frame(true, FIN | TEXT, b"a")).len(), 1);
    assert!(server.is_paused());
    assert_eq!(feed(&mut server, birth + SECOND, &frame(true, FIN | TEXT, b"b")).len(), 1);
}

#[test]
fn a_peer_below_the_message_rate_is_never_paused() {
    let (mut server, birth) = open(Role::Server, Config::server().message_rate(Some(3)));
    for second in 0..100 {
        for _ in 0..2 {
            assert_eq!(feed(&mut server, birth + second * SECOND, &frame(true, FIN | TEXT, b"a")).len(), 1);
            assert!(!server.is_paused());
        }
    }
}

#[test]
fn every_message_rate_holds_to_the_message() {
    let messages = |count: u32| frame(true, FIN | TEXT, b"a").repeat(count as usize);
    for rate in [0, 1, 1_000, 65_534, 65_535] {
        let (mut server, now) = open(Role::Server, Config::server().message_rate(Some(rate)));
        let most = u32::from(rate).max(1);
        assert_eq!(feed(&mut server, now, &messages(most - 1)).len(), most as usize - 1);
        assert!(!server.is_paused());
        assert_eq!(feed(&mut server, now, &messages(1)).len(), 1);
        assert_eq!(server.is_paused(), rate < 65_535, "65,535 is no limit");
        if rate == 65_535 {
            assert_eq!(feed(&mut server, now, &messages(most)).len(), most as usize);
        }
    }
}

#[test]
fn a_paced_peer_is_not_considered_dead() {
    let heartbeat = Heartbeat::frequent().idle(SECOND / 10).pong_timeout(SECOND / 10);
    let config = Config::server().message_rate(Some(1)).heartbeat(heartbeat);
    let (mut server, birth) = open(Role::Server, config);
    assert_eq!(feed(&mut server, birth, &frame(true, FIN | TEXT, b"a")).len(), 1);
    while let Some(due) = server.poll_timeout().filter(|due| *due <= birth + SECOND) {
        server.handle_timeout(due);
        take_output(&mut server, due);
        assert_eq!(server.state(), State::Open, "after {:?}", due - birth);
    }
    assert!(!server.is_paused());
    server.handle_timeout(birth + SECOND + SECOND / 10);
    assert_eq!(server.state(), State::Closed, "silent once read again");
}

#[test]
fn a_fault_after_the_last_chunk_before_a_pause_is_reported() {
    let chunked = || Config::server().delivery(Delivery::Chunked { whole: 0 });
    let paced = chunked().message_rate(Some(1));
    let congested = chunked().outbox(0, 0, 0);
    for (config, sent) in [(paced, Sent::Queued), (congested, Sent::Congested)] {
        let (mut server, now) = open(Role::Server, config);
        let mut bytes = frame(true, TEXT, b"good\xff");
        let mut input = &mut bytes[..];
        let Some(Event::Fragment(fragment)) = server.handle_input(now, &mut input) else {
            panic!("no fragment")
        };
        assert_eq!(server.send(fragment.data), Ok(sent));
        assert!(input.is_empty());
        // Without further input the connection is not polled again.
        assert!(server.handle_input(now, &mut input).is_none());
        assert_eq!(server.send("x"), Err(SendError::NotOpen), "it has failed");
        let Some(Event::Closed(closed)) = end(&mut server, now).pop() else { panic!("no end") };
        assert!(matches!(closed.error, Some(Error::Protocol(ProtocolError::TextNotUtf8))), "{closed}");
    }
}
