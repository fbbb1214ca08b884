//! Deadlines are checked after available input is read. The clock is virtual.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;
use common::*;
use std::time::Duration;
use ws_proto::{Error, Timeout};
use ws_server_mio::{Budget, Frame, Heartbeat, Options, ServerConfig};

const SECOND: Duration = Duration::from_secs(1);

fn rig(config: ServerConfig) -> (Clock, Rig) {
    let clock = Clock::default();
    let options = clock.on(Options::default().budget(Budget::ui()));
    (clock, Rig::with(options, config))
}

/// Slow work of the application.
fn job(clock: &Clock, rig: &Rig, time: Duration) {
    let clock = clock.clone();
    rig.endpoint.remote().run(move |_| clock.pass(time)).unwrap();
}

#[test]
fn a_pong_that_has_arrived_counts_however_slow_the_application() {
    let config =
        ServerConfig::new().heartbeat(Heartbeat::frequent().idle(10 * SECOND).pong_timeout(5 * SECOND));
    let (clock, mut rig) = rig(config);
    let (mut peer, _) = rig.open("/");
    for round in 1..=3 {
        clock.pass(10 * SECOND);
        assert_eq!(rig.frame(&mut peer), (PING, Vec::new()));
        peer.send(&frame(PONG, b""));
        // The deadline has passed, and the job takes all of the turn.
        clock.pass(6 * SECOND);
        job(&clock, &rig, SECOND);
        rig.until("the answer", |rig| rig.app.count(|seen| matches!(seen, Seen::Pong(_))) == round);
        assert!(rig.app.closed().is_empty(), "{}", rig.app.closed()[0]);
    }
    // Without a Pong the same turns find it dead.
    clock.pass(10 * SECOND);
    assert_eq!(rig.frame(&mut peer), (PING, Vec::new()));
    clock.pass(6 * SECOND);
    job(&clock, &rig, SECOND);
    rig.until("its end", |rig| rig.app.closed().len() == 1);
    assert!(matches!(rig.app.closed()[0].error, Some(Error::Timeout(Timeout::Heartbeat))));
}

#[test]
fn a_request_that_has_arrived_counts_however_slow_the_application() {
    let (clock, mut rig) = rig(ServerConfig::new());
    let address = rig.address();
    let mut peer = rig.peer();
    rig.until("its connection", |rig| rig.endpoint.connections().server(rig.server).http_count() == 1);
    peer.send(&get(address, "/"));
    clock.pass(11 * SECOND);
    job(&clock, &rig, SECOND);
    assert_eq!(rig.response(&mut peer).0, 200);
}

#[test]
fn a_close_answered_in_time_is_clean_however_slow_the_application() {
    let (clock, mut rig) = rig(ServerConfig::new());
    let (mut peer, id) = rig.open("/");
    rig.endpoint.connections().close(id, ws_server_mio::CloseCode::NORMAL, "").unwrap();
    assert_eq!(rig.frame(&mut peer).0, CLOSE);
    peer.send(&frame(CLOSE, b"\x03\xe8"));
    clock.pass(6 * SECOND);
    job(&clock, &rig, SECOND);
    rig.until("its end", |rig| rig.app.closed().len() == 1);
    assert!(rig.app.closed()[0].clean, "{}", rig.app.closed()[0]);
}

#[test]
fn a_flood_does_not_postpone_deadlines_forever() {
    let (clock, mut rig) = rig(ServerConfig::new().heartbeat(Heartbeat::off()));
    rig.app.silent = true;
    let ticking = clock.clone();
    // Each message takes a whole turn, and more always follow.
    rig.app.also = Some(Box::new(move |_, _| ticking.pass(2 * Duration::from_millis(1))));
    let (mut peer, id) = rig.open("/");
    let large = Frame::binary(vec![1; 1 << 20]);
    while rig.endpoint.connections().send(id, &large).is_ok() {
        rig.turn();
    }
    peer.send(&(0..200_000).flat_map(|_| frame(TEXT, b"and me")).collect::<Vec<_>>());
    for _ in 0..4 {
        clock.pass(31 * SECOND);
        for _ in 0..5 {
            rig.turn();
        }
    }
    assert!(rig.app.count(|seen| matches!(seen, Seen::Text(..))) < 1000, "it had more to send");
    assert!(matches!(rig.app.closed()[0].error, Some(Error::Timeout(Timeout::Output))));
}

/// Whether this process may open that many files.
#[cfg(target_os = "linux")]
fn may_open(files: usize) -> bool {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap_or_default();
    line.split_whitespace()
        .next()
        .is_some_and(|soft| soft.parse().map_or(soft == "unlimited", |soft: usize| soft >= files))
}

#[cfg(target_os = "linux")]
#[test]
fn more_pongs_than_one_wait_reports_all_count() {
    const PEERS: usize = 1100;
    if !may_open(2 * PEERS + 200) {
        return;
    }
    let config =
        ServerConfig::new().heartbeat(Heartbeat::frequent().idle(10 * SECOND).pong_timeout(5 * SECOND));
    let clock = Clock::default();
    let mut rig = Rig::with(clock.on(Options::default()), config);
    let mut peers: Vec<_> = (0..PEERS).map(|_| rig.open("/").0).collect();
    clock.pass(10 * SECOND);
    for peer in &mut peers {
        assert_eq!(rig.frame(peer), (PING, Vec::new()));
    }
    for peer in &mut peers {
        peer.send(&frame(PONG, b""));
    }
    clock.pass(6 * SECOND);
    rig.until("all answers", |rig| rig.app.count(|seen| matches!(seen, Seen::Pong(_))) == PEERS);
    assert!(rig.app.closed().is_empty());
}
