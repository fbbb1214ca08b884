//! Time: heartbeats, deadlines, latency. The clock is an argument, so tests do not wait.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::sync::Arc;
use std::time::Duration;
use ws_kit::frames::*;
use ws_kit::pair::{Pair, is_text};
use ws_proto::{
    ClientRequest, CloseCode, Config, Connection, Error, Event, Heartbeat, HeartbeatKind, IoAction, Moment,
    Role, State, Timeout,
};

const SECOND: Duration = Duration::from_secs(1);

fn timeout_of(events: &[Event<'_>]) -> Option<Timeout> {
    match events {
        [Event::Closed(closed)] => match closed.error {
            Some(Error::Timeout(timeout)) => Some(timeout),
            _ => None,
        },
        _ => None,
    }
}

#[test]
fn a_server_pings_an_idle_peer_and_learns_the_latency() {
    let mut pair = Pair::open_with(Config::client().heartbeat(Heartbeat::off()), Config::server());
    pair.advance(30 * 60 * SECOND - SECOND);
    assert!(pair.server.connection.latency().is_none());
    pair.advance(SECOND);
    assert!(matches!(pair.server.events[..], [Event::Pong(_)]), "{:?}", pair.server.events);
    pair.advance(60 * 60 * SECOND);
    assert_eq!(pair.server.events.len(), 3, "one per half hour");
    assert_eq!(pair.server.connection.state(), State::Open);
}

#[test]
fn the_latency_is_the_time_from_the_ping_to_its_own_answer() {
    let (mut server, now) = open(Role::Server, Config::server());
    server.send_ping(now, b"mine").unwrap();
    take_output(&mut server, now);
    assert!(feed(&mut server, now + SECOND, &frame(true, FIN | PONG, b"another")).is_empty());
    assert_eq!(server.latency(), None);
    let events = feed(&mut server, now + 2 * SECOND, &frame(true, FIN | PONG, b"mine"));
    assert!(matches!(events[..], [Event::Pong(pong)] if pong.latency == 2 * SECOND));
    assert_eq!(server.latency(), Some(2 * SECOND));
    assert!(feed(&mut server, now, &frame(true, FIN | PONG, b"mine")).is_empty(), "it is already answered");
}

#[test]
fn a_client_sends_unanswered_pongs() {
    let mut pair = Pair::open_with(Config::client(), Config::server());
    let before = pair.client.connection.latency();
    let output = |pair: &mut Pair| {
        let now = pair.now + 30 * SECOND;
        pair.client.connection.handle_timeout(now);
        take_output(&mut pair.client.connection, now)
    };
    let frames = parse(&output(&mut pair));
    assert_eq!((frames[0].first, frames[0].payload.len(), frames.len()), (FIN | PONG, 0, 1));
    assert_eq!(pair.client.connection.latency(), before);
}

#[test]
fn payload_kind_and_interval_of_the_heartbeat_can_be_set() {
    let heartbeat = Heartbeat::frequent().kind(HeartbeatKind::Ping).idle(7 * SECOND).payload("still there?");
    let (mut server, now) = open(Role::Server, Config::server().heartbeat(heartbeat));
    assert_eq!(server.poll_timeout(), Some(now + 7 * SECOND));
    server.handle_timeout(now + 7 * SECOND);
    let frames = parse(&take_output(&mut server, now + 7 * SECOND));
    assert_eq!((frames[0].first, &frames[0].payload[..]), (FIN | PING, &b"still there?"[..]));
    let (server, _) = open(Role::Server, Config::server().heartbeat(Heartbeat::off()));
    assert_eq!(server.poll_timeout(), None, "no heartbeat, no deadline");
}

#[test]
fn an_interval_shorter_than_the_pong_timeout_is_kept() {
    let heartbeat = Heartbeat::server().idle(10 * SECOND).pong_timeout(30 * SECOND);
    let (mut server, now) = open(Role::Server, Config::server().heartbeat(heartbeat));
    for round in 1..5 {
        let at = now + round * 10 * SECOND;
        assert_eq!(server.poll_timeout(), Some(at), "round {round}");
        server.take_timeout_changed();
        server.handle_timeout(at);
        assert_eq!(parse(&take_output(&mut server, at))[0].first, FIN | PING);
        assert_eq!(server.poll_timeout(), Some(at + 30 * SECOND));
        assert_eq!(feed(&mut server, at, &frame(true, FIN | PONG, b"")).len(), 1);
        assert!(server.take_timeout_changed(), "and its owner is notified");
    }
}

#[test]
fn a_peer_that_answers_no_heartbeat_is_dead() {
    let mut pair = Pair::open_with(Config::client(), Config::server().heartbeat(Heartbeat::frequent()));
    pair.cut = true;
    pair.advance(25 * SECOND + 20 * SECOND - SECOND);
    assert!(!pair.server.is_closed());
    pair.advance(SECOND);
    assert_eq!(timeout_of(&pair.server.events), Some(Timeout::Heartbeat));
    assert!(pair.server.dropped);
}

#[test]
fn any_byte_from_the_peer_proves_life() {
    let (mut server, now) = open(Role::Server, Config::server().heartbeat(Heartbeat::frequent()));
    let ping = now + 25 * SECOND;
    server.handle_timeout(ping);
    take_output(&mut server, ping);
    // The first byte of a frame, not a pong.
    feed(&mut server, ping + 10 * SECOND, &[FIN | TEXT]);
    server.handle_timeout(ping + 20 * SECOND);
    assert_eq!(server.state(), State::Open);
    assert!(server.poll_timeout().unwrap() <= ping + 10 * SECOND + 25 * SECOND);
}

#[test]
fn a_peer_with_an_unread_pong_is_not_considered_dead() {
    let (mut server, now) = open(Role::Server, Config::server().heartbeat(Heartbeat::frequent()));
    let ping = now + 25 * SECOND;
    server.handle_timeout(ping);
    take_output(&mut server, ping);
    server.pause();
    for second in 1..60 {
        server.handle_timeout(ping + second * SECOND);
        assert_eq!(server.state(), State::Open, "after {second} s");
    }
    let end = ping + 60 * SECOND;
    server.resume(end);
    server.handle_timeout(end + 20 * SECOND - Duration::from_millis(1));
    assert_eq!(server.state(), State::Open);
    server.handle_timeout(end + 20 * SECOND);
    assert_eq!(timeout_of(&poll(&mut server, end)), Some(Timeout::Heartbeat), "silent once read again");
}

#[test]
fn a_peer_that_takes_no_output_is_closed_despite_heartbeats() {
    for heartbeat in [Heartbeat::off(), Heartbeat::frequent(), Heartbeat::client().idle(SECOND)] {
        let (mut server, now) = open(Role::Server, Config::server().heartbeat(heartbeat));
        server.send("unread").unwrap();
        server.handle_written(now, 0);
        for second in 1..30 {
            server.handle_timeout(now + second * SECOND);
            server.handle_written(now + second * SECOND, 0);
        }
        assert_eq!(server.state(), State::Open);
        server.handle_timeout(now + 30 * SECOND);
        assert_eq!(timeout_of(&poll(&mut server, now)), Some(Timeout::Output));
    }
}

#[test]
fn a_closed_connection_has_no_deadline() {
    for is_read in [true, false] {
        let (mut server, now) = open(Role::Server, Config::server());
        server.send("hello").unwrap();
        server.handle_written(now, if is_read { 7 } else { 0 });
        server.abort(now + SECOND, Error::Aborted);
        assert_eq!(server.poll_timeout(), None, "read: {is_read}");
    }
    let (mut server, now) = open(Role::Server, Config::server());
    server.send("unread").unwrap();
    server.handle_written(now, 0);
    server.handle_timeout(now + 30 * SECOND);
    assert_eq!((server.state(), server.poll_timeout()), (State::Closed, None));
}

#[test]
fn a_reader_at_the_minimum_rate_stays_and_a_slower_one_is_closed_with_1013() {
    let enough = 30 * 1024;
    for taken in [enough, enough - 1] {
        let (mut server, now) = open(Role::Server, Config::server().heartbeat(Heartbeat::off()));
        server.send(vec![0; 1 << 20]).unwrap();
        server.handle_written(now, 0);
        for round in 1..10 {
            let at = now + round * 30 * SECOND;
            server.handle_written(at - SECOND, if round < 9 { enough } else { taken });
            server.handle_timeout(at);
            let is_open = taken == enough || round < 9;
            assert_eq!(server.state(), if is_open { State::Open } else { State::Closing }, "round {round}");
        }
        if taken < enough {
            // After the partly written frame.
            let output = take_output(&mut server, now + 271 * SECOND);
            let close = output.len() - (2 + 2 + "too slow".len());
            assert_eq!(close, 10 + (1 << 20) - (9 * enough - 1));
            assert_eq!(close_code(&output[close..]), Some(1013));
            assert_eq!(timeout_of(&end(&mut server, now + 276 * SECOND)), Some(Timeout::Output));
        }
    }
    let (mut server, now) = open(Role::Server, Config::server().heartbeat(Heartbeat::off()));
    server.send(vec![0; 1000]).unwrap();
    server.handle_written(now, 1);
    take_output(&mut server, now + 29 * SECOND);
    server.handle_timeout(now + 9999 * SECOND);
    assert_eq!((server.state(), server.poll_timeout()), (State::Open, None));
}

#[test]
fn without_any_time_to_close_a_slow_reader_is_still_offered_its_close() {
    let config = Config::server().heartbeat(Heartbeat::off()).close_timeout(Duration::ZERO);
    let (mut server, now) = open(Role::Server, config);
    server.send(vec![0; 1 << 20]).unwrap();
    server.handle_written(now, 0);
    let due = now + 30 * SECOND;
    server.handle_written(due - SECOND, 1);
    server.handle_timeout(due);
    // The adapter writes before it handles the next deadline.
    assert_eq!((server.state(), server.poll_io()), (State::Closing, IoAction::Write));
    let output = take_output(&mut server, due);
    assert_eq!(close_code(&output[output.len() - (2 + 2 + "too slow".len())..]), Some(1013));
    assert_eq!(server.poll_timeout(), Some(due));
    server.handle_timeout(due);
    let Some(Event::Closed(closed)) = poll(&mut server, due).pop() else { panic!("no end") };
    assert_eq!((closed.sent, server.poll_timeout()), (Some(CloseCode::TRY_AGAIN_LATER), None));
}

#[test]
fn a_stalled_peer_is_detected_one_timeout_after_the_last_byte_it_took() {
    let (mut server, now) = open(Role::Server, Config::server().heartbeat(Heartbeat::off()));
    server.send(vec![0; 1 << 20]).unwrap();
    server.handle_written(now, 0);
    server.handle_written(now + SECOND, 200_000);
    for (time, state) in [(30 * SECOND, State::Open), (31 * SECOND, State::Closed)] {
        server.handle_timeout(now + time - Duration::from_millis(1));
        assert_eq!(server.state(), State::Open);
        server.handle_timeout(now + time);
        assert_eq!(server.state(), state);
    }
    assert_eq!(timeout_of(&poll(&mut server, now)), Some(Timeout::Output));
}

#[test]
fn traffic_does_not_move_the_deadline_and_firing_early_is_harmless() {
    let (mut server, now) = open(Role::Server, Config::server().heartbeat(Heartbeat::frequent()));
    let due = server.poll_timeout();
    assert!(server.take_timeout_changed(), "there is a deadline");
    for second in 1..25 {
        let at = now + second * SECOND;
        assert!(is_text(&feed(&mut server, at, &frame(true, FIN | TEXT, b"x"))[0], "x"));
        server.send("y").unwrap();
        take_output(&mut server, at);
        server.handle_timeout(at);
        assert_eq!(server.poll_timeout(), due);
        assert!(!server.take_timeout_changed());
    }
    server.handle_timeout(now + 25 * SECOND);
    assert_eq!(server.queued(), 0, "it was not idle");
    assert_eq!(server.poll_timeout(), Some(now + 24 * SECOND + 25 * SECOND));
    server.close(now + 26 * SECOND, CloseCode::NORMAL, "").unwrap();
    assert!(server.take_timeout_changed(), "the closing deadline is earlier");
}

#[test]
fn the_handshake_timeout_applies_to_dripping_bytes() {
    let now = Moment::from_nanos(1 << 60);
    let mut server = Connection::server(now, Arc::new(Config::server()), Default::default());
    for (second, byte) in b"GET / HTT".iter().enumerate() {
        let at = now + second as u32 * SECOND;
        feed(&mut server, at, &[*byte]);
        server.handle_timeout(at);
        assert_eq!(server.poll_timeout(), Some(now + 10 * SECOND));
    }
    server.handle_timeout(now + 10 * SECOND);
    assert!(take_output(&mut server, now).starts_with(b"HTTP/1.1 408 "));

    let request = ClientRequest::new("ws://localhost/").unwrap();
    let mut client = Connection::client(now, Arc::new(Config::client()), request, [0; 32]);
    feed(&mut client, now + 9 * SECOND, b"HTTP/1.1 101 Switching");
    client.handle_timeout(now + 10 * SECOND);
    assert_eq!(timeout_of(&poll(&mut client, now)), Some(Timeout::Handshake));
}

#[test]
fn an_idle_http_connection_is_closed_and_answers_have_a_deadline() {
    let now = Moment::from_nanos(1 << 60);
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut server = Connection::server(now, Arc::new(Config::server()), Default::default());
    let Some(Event::Request(request)) = feed(&mut server, now, request).pop() else { panic!("no request") };
    assert_eq!(server.poll_timeout(), Some(now + 60 * SECOND), "the application's deadline");
    let at = now + 59 * SECOND;
    server.handle_timeout(at);
    server.respond(at, request, http::Response::new("late".into())).unwrap();
    assert!(take_output(&mut server, at).ends_with(b"\r\n\r\nlate"));
    assert_eq!(server.poll_timeout(), Some(at + 15 * SECOND), "the next request's deadline");
    server.handle_timeout(at + 15 * SECOND);
    assert_eq!((server.state(), server.queued()), (State::Closing, 0));
}

/// A server that sent a heartbeat after ten seconds, to be answered within five.
fn waiting_for_an_answer() -> (Connection, Moment) {
    let heartbeat = Heartbeat::frequent().idle(10 * SECOND).pong_timeout(5 * SECOND);
    let (mut server, birth) = open(Role::Server, Config::server().heartbeat(heartbeat));
    server.handle_timeout(birth + 10 * SECOND);
    assert_eq!(take_output(&mut server, birth + 10 * SECOND), [0x89, 0]);
    (server, birth)
}

#[test]
fn a_ping_of_the_application_does_not_save_a_dead_peer() {
    let (mut server, birth) = waiting_for_an_answer();
    for second in 11..15 {
        server.send_ping(birth + second * SECOND, b"mine").unwrap();
        take_output(&mut server, birth + second * SECOND);
    }
    server.handle_timeout(birth + 15 * SECOND);
    assert!(matches!(server.poll_event(birth + 15 * SECOND), Some(Event::Closed(_))));
}

#[test]
fn a_message_proves_life_even_if_reading_stops_there() {
    let (mut server, birth) = waiting_for_an_answer();
    let mut bytes = frame(true, FIN | TEXT, b"alive");
    let mut input = &mut bytes[..];
    assert!(server.handle_input(birth + 12 * SECOND, &mut input).is_some());
    server.handle_timeout(birth + 15 * SECOND);
    assert!(server.poll_event(birth + 15 * SECOND).is_none());
}

#[test]
fn a_past_stall_does_not_delay_a_one_way_heartbeat() {
    let heartbeat = Heartbeat::client().idle(10 * SECOND);
    let (mut server, birth) = open(Role::Server, Config::server().heartbeat(heartbeat));
    server.send("x").unwrap();
    server.handle_written(birth + 9 * SECOND, 0);
    server.handle_timeout(birth + 10 * SECOND);
    take_output(&mut server, birth + 11 * SECOND);
    assert_eq!(server.poll_timeout(), Some(birth + 21 * SECOND));
}

#[test]
fn a_closed_connection_with_pending_output_has_no_deadline() {
    let (mut server, birth) = open(Role::Server, Config::server());
    server.send("x").unwrap();
    server.handle_written(birth, 0);
    server.abort(birth + SECOND, Error::Aborted);
    assert_eq!(server.poll_timeout(), None);
}

#[test]
fn a_handshake_that_stalled_once_keeps_its_full_timeout() {
    let birth = Moment::from_nanos(1 << 60);
    let config = Config::client().handshake_timeout(60 * SECOND).output_timeout(30 * SECOND);
    let request = ClientRequest::new("ws://localhost/").unwrap();
    let mut client = Connection::client(birth, Arc::new(config), request, [1; 32]);
    client.handle_written(birth, 1);
    take_output(&mut client, birth + SECOND);
    client.handle_timeout(birth + 59 * SECOND);
    assert_eq!(client.poll_timeout(), Some(birth + 60 * SECOND));
    assert!(poll(&mut client, birth + 59 * SECOND).is_empty());
    client.handle_timeout(birth + 60 * SECOND);
    assert_eq!(timeout_of(&poll(&mut client, birth + 60 * SECOND)), Some(Timeout::Handshake));
}

#[test]
fn a_partial_message_counts_as_received_when_it_arrived() {
    let heartbeat = Heartbeat::frequent().idle(10 * SECOND);
    let (mut server, birth) = open(Role::Server, Config::server().heartbeat(heartbeat));
    let bytes = [frame(true, FIN | TEXT, b"whole"), frame(true, FIN | TEXT, b"cut")].concat();
    assert_eq!(feed(&mut server, birth + SECOND, &bytes[..bytes.len() - 1]).len(), 1);
    server.handle_timeout(birth + 10 * SECOND);
    assert_eq!(server.poll_timeout(), Some(birth + 11 * SECOND));
}

#[test]
fn a_socket_accepted_late_is_idle_only_from_then_on() {
    let birth = Moment::from_nanos(1 << 60);
    let heartbeat = Heartbeat::frequent().idle(5 * SECOND);
    let mut pair = Pair::new(Config::client(), Config::server().heartbeat(heartbeat));
    pair.accept = false;
    pair.drive();
    let Some(Event::Upgrade(upgrade)) = pair.server.events.pop() else { panic!("no upgrade") };
    let late = birth + 9 * SECOND;
    pair.server.connection.accept(late, upgrade).unwrap();
    assert!(matches!(poll(&mut pair.server.connection, late)[..], [Event::Open(_)]));
    let due = pair.server.connection.poll_timeout().unwrap();
    assert!(due >= late + 4 * SECOND, "it is pinged {:?} after its 101", due - late);
}
