//! Limits of a server, and its statistics.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;
use common::*;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, UNIX_EPOCH};
use ws_proto::{Error, Timeout};
use ws_server_mio::{Bind, Budget, Endpoint, Frame, Heartbeat, HeartbeatKind, Opcode, Options, ServerConfig};

/// A clock that only the test moves.
#[derive(Clone)]
struct Clock(Arc<Mutex<Instant>>);

impl Clock {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn options(&self) -> Options {
        let clock = self.clone();
        // The time of day stands still, so that the machine does not seem to sleep while a test takes long.
        Options::default().clock(move || *clock.0.lock().unwrap()).wall_clock(|| UNIX_EPOCH)
    }

    fn advance(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn max_per_address_limits_remote_addresses_but_not_loopback() {
    let config = ServerConfig::default().max_per_address(Some(2));
    let mut endpoint = Endpoint::new().unwrap();
    let server = endpoint.connections().listen(Bind::lan(), config).unwrap();
    let mut rig = Rig { endpoint, server, app: App::default() };
    let port = rig.address().port();
    let mut near: Vec<_> = (0..5).map(|_| Peer::connect(([127, 0, 0, 1], port).into())).collect();
    rig.until("all from this machine", |rig| rig.endpoint.connections().server(server).http_count() == 5);
    near.clear();
    rig.until("their end", |rig| rig.endpoint.connections().server(server).http_count() == 0);

    // A machine without a network has no other address.
    let Some(url) = rig.endpoint.connections().server(server).lan_url("/") else { return };
    let address = url[5..].trim_end_matches('/').parse().unwrap();
    let (first, _second) = (Peer::connect(address), Peer::connect(address));
    rig.until("two", |rig| rig.endpoint.connections().server(server).http_count() == 2);
    let mut third = Peer::connect(address);
    rig.end(&mut third);
    assert_eq!(rig.endpoint.connections().server(server).rejected(), 1);
    drop(first);
    rig.until("room", |rig| rig.endpoint.connections().server(server).http_count() == 1);
    let _fourth = Peer::connect(address);
    rig.until("the fourth", |rig| rig.endpoint.connections().server(server).http_count() == 2);
}

#[test]
fn over_max_handshakes_the_next_waits_for_a_request() {
    let mut rig = Rig::new(ServerConfig::default().max_handshakes(2));
    let address = rig.address();
    let (mut first, _second) = (rig.peer(), rig.peer());
    rig.until("two", |rig| rig.endpoint.connections().server(rig.server).http_count() == 2);
    let mut third = rig.peer();
    third.send(&get(address, "/third"));
    for _ in 0..10 {
        let turn = rig.turn();
        assert!(!turn.more, "it does not spin");
    }
    assert_eq!(rig.endpoint.connections().server(rig.server).http_count(), 2);
    first.send(&get(address, "/first"));
    assert_eq!(rig.response(&mut first).0, 200);
    assert_eq!(rig.response(&mut third).0, 200);
    assert_eq!(rig.endpoint.connections().server(rig.server).rejected(), 0);
}

#[test]
fn over_max_handshakes_the_next_waits_for_a_close() {
    let mut rig = Rig::new(ServerConfig::default().max_handshakes(1));
    for _ in 0..3 {
        let silent = rig.peer();
        rig.until("its turn", |rig| rig.endpoint.connections().server(rig.server).http_count() == 1);
        drop(silent);
        rig.until("its end", |rig| rig.endpoint.connections().server(rig.server).http_count() == 0);
    }
    rig.open("/");
}

#[test]
fn a_peer_over_the_message_rate_alone_waits_for_the_next_second() {
    let clock = Clock::new();
    let mut rig = Rig::with(clock.options(), ServerConfig::new().message_rate(Some(4)));
    let (mut eager, _) = rig.open("/");
    let (mut calm, _) = rig.open("/");
    let texts = |rig: &Rig| rig.app.count(|seen| matches!(seen, Seen::Text(..)));
    for k in 0..10 {
        eager.send(&frame(TEXT, &[b'0' + k]));
    }
    for (second, expected) in [4, 8, 10].into_iter().enumerate() {
        rig.until("the messages of this second", |rig| texts(rig) == expected + second);
        for _ in 0..5 {
            rig.turn();
        }
        assert_eq!(texts(&rig), expected + second);
        calm.send(&frame(TEXT, b"x"));
        assert_eq!(rig.frame(&mut calm).1, b"x");
        clock.advance(SECOND);
    }
    for k in 0..10 {
        assert_eq!(rig.frame(&mut eager), (TEXT, vec![b'0' + k]));
    }
    assert!(rig.app.closed().is_empty());
}

#[test]
fn statistics_count_connections_messages_and_bytes() {
    let mut rig =
        Rig::with(Options::default().budget(Budget::ui()), ServerConfig::default().max_connections(3));
    let (mut a, _) = rig.open("/");
    let (mut b, id) = rig.open("/");
    let _c = rig.peer();
    rig.until("the third", |rig| rig.endpoint.connections().stats().open == 3);
    let mut fourth = rig.peer();
    rig.end(&mut fourth);
    let before = rig.endpoint.connections().stats();
    assert_eq!((before.accepted, before.rejected, before.open), (3, 1, 3));
    assert_eq!((before.messages_in, before.messages_out), (0, 0));
    for text in [&b"12345"[..], b"678"] {
        a.send(&frame(TEXT, text));
        assert_eq!(rig.frame(&mut a).1, text);
    }
    let connections = rig.endpoint.connections();
    connections.broadcast(&Frame::text("to all"));
    connections.send(id, Frame::raw(Opcode::Text, false, "half").unwrap()).unwrap();
    connections.send(id, Frame::raw(Opcode::Continuation, true, "whole").unwrap()).unwrap();
    connections.send(id, Frame::ping("").unwrap()).unwrap();
    for _ in 0..3 {
        rig.frame(&mut b);
    }
    rig.frame(&mut a);
    let stats = rig.endpoint.connections().stats();
    assert_eq!((stats.messages_in, stats.messages_out), (2, 2 + 2 + 1));
    assert_eq!(stats.bytes_in - before.bytes_in, 6 + 5 + 6 + 3);
    // Two echoes, two broadcasts, two halves; the ping may still be in flight.
    let sent = stats.bytes_out - before.bytes_out;
    assert!((12 + 2 * 8 + 6 + 7..=12 + 2 * 8 + 6 + 7 + 2).contains(&sent), "{sent}");
    assert!(rig.endpoint.worst_turn() > Duration::ZERO);

    drop((a, b));
    rig.until("their end", |rig| rig.endpoint.connections().stats().open == 1);
    let after = rig.endpoint.connections().stats();
    assert!(
        after.bytes_in >= stats.bytes_in && after.bytes_out >= stats.bytes_out,
        "closed connections stay counted"
    );
}

#[test]
fn heartbeat_changes_take_effect_at_the_next_start() {
    let clock = Clock::new();
    let pongs = Heartbeat::frequent().kind(HeartbeatKind::Pong).idle(7 * SECOND).payload("alive");
    let mut rig = Rig::with(clock.options(), ServerConfig::new().heartbeat(pongs));
    let (mut first, _) = rig.open("/");
    let pings = Heartbeat::frequent().idle(11 * SECOND);
    let second = rig.endpoint.connections().listen(Bind::localhost(), ServerConfig::new().heartbeat(pings));
    rig.server = second.unwrap();
    let (mut later, _) = rig.open("/");
    let off =
        rig.endpoint.connections().listen(Bind::localhost(), ServerConfig::new().heartbeat(Heartbeat::off()));
    rig.server = off.unwrap();
    let (mut never, _) = rig.open("/");
    clock.advance(7 * SECOND);
    assert_eq!(rig.frame(&mut first), (PONG, b"alive".to_vec()));
    assert_eq!(later.take_frame(), None);
    clock.advance(4 * SECOND);
    assert_eq!(rig.frame(&mut later), (PING, Vec::new()));
    // No answer: that peer is dead, and no other.
    clock.advance(20 * SECOND);
    rig.until("its end", |rig| rig.app.closed().len() == 1);
    assert!(matches!(rig.app.closed()[0].error, Some(Error::Timeout(Timeout::Heartbeat))));
    for _ in 0..5 {
        clock.advance(3600 * SECOND);
        rig.turn();
    }
    assert_eq!(never.take_frame(), None);
}

#[test]
fn the_default_is_a_ping_after_half_an_hour() {
    let clock = Clock::new();
    let mut rig = Rig::with(clock.options(), ServerConfig::new());
    let (mut peer, _) = rig.open("/");
    clock.advance(30 * 60 * SECOND - SECOND);
    rig.turn();
    assert_eq!(peer.take_frame(), None);
    clock.advance(SECOND);
    assert_eq!(rig.frame(&mut peer), (PING, Vec::new()));
    peer.send(&frame(PONG, b""));
    rig.until("its answer", |rig| rig.app.count(|seen| matches!(seen, Seen::Pong(_))) == 1);
}
