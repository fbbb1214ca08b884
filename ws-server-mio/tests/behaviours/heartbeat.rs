//! The server's heartbeat.

use super::common::*;
use super::{Clock, SECOND};
use std::time::Duration;
use ws_proto::{Error, Timeout};
use ws_server_mio::{Bind, Heartbeat, HeartbeatKind, ServerConfig};

/// Time passes, and nothing is sent.
fn quiet(clock: &Clock, rig: &mut Rig, time: Duration) {
    let before = rig.endpoint.connections().stats().bytes_out;
    clock.pass(time);
    for _ in 0..3 {
        rig.turn();
    }
    assert_eq!(rig.endpoint.connections().stats().bytes_out, before);
}

#[test]
fn row_20_a_heartbeat_goes_to_every_client_as_set_at_the_start_and_finds_dead_peers() {
    let minute = 60 * SECOND;

    // By default an empty Ping, after half an hour without input.
    let clock = Clock::new();
    let mut rig = Rig::with(clock.options(), ServerConfig::new());
    let (mut alive, id) = rig.open("/");
    let (mut dead, dead_id) = rig.open("/");
    quiet(&clock, &mut rig, 30 * minute - SECOND);
    clock.pass(SECOND);
    assert_eq!(rig.frame(&mut alive), (PING, Vec::new()));
    assert_eq!(rig.frame(&mut dead), (PING, Vec::new()));

    // A peer that answers stays open, and its round-trip time is known. A peer that does not is closed.
    alive.send(&frame(PONG, b""));
    rig.until("the answer", |rig| rig.app.count(|seen| matches!(seen, Seen::Pong(of) if *of == id)) == 1);
    quiet(&clock, &mut rig, 29 * SECOND);
    assert!(rig.app.closed().is_empty());
    clock.pass(SECOND);
    rig.until("the dead one's end", |rig| rig.app.closed().len() == 1);
    assert!(rig.app.seen.iter().any(|seen| matches!(seen, Seen::Closed(of, closed)
        if *of == dead_id && matches!(closed.error, Some(Error::Timeout(Timeout::Heartbeat))))));
    rig.end(&mut dead);

    // A change takes effect at the next start: the running server keeps its own.
    let mut config = ServerConfig::new()
        .heartbeat(Heartbeat::server().kind(HeartbeatKind::Pong).idle(10 * SECOND).payload("still here"));
    let first = rig.endpoint.connections().listen(Bind::localhost(), config.clone()).unwrap();
    config = config.heartbeat(Heartbeat::off());
    let second = rig.endpoint.connections().listen(Bind::localhost(), config).unwrap();
    rig.server = first;
    let (mut one_way, _) = rig.open("/");
    rig.server = second;
    let (mut off, _) = rig.open("/");
    for _ in 0..3 {
        quiet(&clock, &mut rig, 9 * SECOND);
        clock.pass(SECOND);
        assert_eq!(rig.frame(&mut one_way), (PONG, b"still here".to_vec()), "which needs no answer");
    }
    drop((alive, one_way));
    rig.until("their ends", |rig| rig.app.closed().len() == 3);
    quiet(&clock, &mut rig, 24 * 60 * minute);
    off.send(&frame(TEXT, b"a day later"));
    assert_eq!(rig.frame(&mut off), (TEXT, b"a day later".to_vec()));

    // The preset for proxies, which cut after an idle minute.
    let clock = Clock::new();
    let mut rig = Rig::with(clock.options(), ServerConfig::new().heartbeat(Heartbeat::frequent()));
    let (mut proxied, _) = rig.open("/");
    for _ in 0..10 {
        clock.pass(25 * SECOND);
        assert_eq!(rig.frame(&mut proxied), (PING, Vec::new()));
        proxied.send(&frame(PONG, b""));
        let pongs = rig.app.count(|seen| matches!(seen, Seen::Pong(_)));
        rig.until("the answer", |rig| rig.app.count(|seen| matches!(seen, Seen::Pong(_))) > pongs);
    }
    assert!(rig.app.closed().is_empty());
}
