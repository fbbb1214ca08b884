//! The machine sleeps and wakes. Both clocks are virtual.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;
use common::*;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
use ws_proto::{Error, Timeout};
use ws_server_mio::{Connections, Event, Heartbeat, HeartbeatKind, Options, ServerConfig};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone)]
struct Clocks(Arc<Mutex<(Instant, SystemTime)>>);

impl Clocks {
    fn new() -> Self {
        Self(Arc::new(Mutex::new((Instant::now(), SystemTime::now()))))
    }

    fn options(&self) -> Options {
        let (clock, wall) = (self.clone(), self.clone());
        Options::default()
            .clock(move || clock.0.lock().unwrap().0)
            .wall_clock(move || wall.0.lock().unwrap().1)
    }

    fn pass(&self, time: Duration) {
        let mut clocks = self.0.lock().unwrap();
        clocks.0 += time;
        clocks.1 += time;
    }

    /// Only the wall clock advances in sleep; then a second passes, awake.
    fn sleep(&self, time: Duration) {
        self.0.lock().unwrap().1 += time;
        self.pass(SECOND);
    }

    fn set_back(&self, time: Duration) {
        self.0.lock().unwrap().1 -= time;
    }
}

/// One turn; returns the sleep that it reported.
fn resumed(rig: &mut Rig) -> Vec<Duration> {
    let mut reported = Vec::new();
    let Rig { endpoint, app, .. } = rig;
    let handler = |connections: &mut Connections, event: Event<'_>| match event {
        Event::Resumed { slept } => reported.push(slept),
        event => app.handle(connections, event),
    };
    endpoint.poll(Some(Duration::from_millis(1)), handler).unwrap();
    reported
}

#[test]
fn after_sleep_every_peer_gets_a_ping_at_once_and_dead_peers_are_found() {
    let clocks = Clocks::new();
    let mut rig = Rig::with(clocks.options(), ServerConfig::new());
    let (mut here, _) = rig.open("/here");
    let (mut dead, dead_id) = rig.open("/gone");
    clocks.sleep(8 * 3600 * SECOND);
    assert_eq!(resumed(&mut rig), [8 * 3600 * SECOND]);
    assert_eq!(rig.frame(&mut here), (PING, Vec::new()), "the interval is half an hour");
    assert_eq!(rig.frame(&mut dead), (PING, Vec::new()));
    here.send(&frame(PONG, b""));
    rig.until("the answer", |rig| rig.app.count(|seen| matches!(seen, Seen::Pong(_))) == 1);
    assert!(rig.app.closed().is_empty(), "no connection is cut for having slept");
    clocks.pass(30 * SECOND);
    rig.until("the close of the dead peer", |rig| !rig.app.closed().is_empty());
    assert!(matches!(rig.app.closed()[0].error, Some(Error::Timeout(Timeout::Heartbeat))));
    assert!(rig.app.seen.iter().any(|seen| matches!(seen, Seen::Closed(id, _) if *id == dead_id)));
    assert_eq!(rig.app.closed().len(), 1);
}

#[test]
fn a_pong_pending_in_sleep_gets_its_full_timeout_again() {
    let clocks = Clocks::new();
    let live = Heartbeat::frequent().idle(25 * SECOND).pong_timeout(20 * SECOND);
    let mut rig = Rig::with(clocks.options(), ServerConfig::new().heartbeat(live));
    let (mut peer, _) = rig.open("/");
    clocks.pass(25 * SECOND);
    assert_eq!(rig.frame(&mut peer), (PING, Vec::new()));
    // Where both clocks advance in sleep and the loop wakes late, the answer would be overdue.
    clocks.pass(18 * SECOND);
    clocks.sleep(60 * SECOND);
    assert_eq!(resumed(&mut rig).len(), 1);
    clocks.pass(19 * SECOND);
    for _ in 0..3 {
        rig.turn();
    }
    assert!(rig.app.closed().is_empty());
    assert_eq!(peer.take_frame(), None, "the first Ping is still pending");
    clocks.pass(SECOND);
    rig.until("its end", |rig| rig.app.closed().len() == 1);
}

#[test]
fn a_one_way_heartbeat_pings_too_and_a_disabled_one_does_not() {
    for (heartbeat, expected) in [
        (Heartbeat::server().kind(HeartbeatKind::Pong).payload("up"), Some((PING, b"up".to_vec()))),
        (Heartbeat::off(), None),
    ] {
        let clocks = Clocks::new();
        let mut rig = Rig::with(clocks.options(), ServerConfig::new().heartbeat(heartbeat));
        let (mut peer, _) = rig.open("/");
        clocks.sleep(60 * SECOND);
        assert_eq!(resumed(&mut rig), [60 * SECOND]);
        // An echo shows what was sent before it.
        peer.send(&frame(TEXT, b"echo"));
        let first = rig.frame(&mut peer);
        assert_eq!(first, expected.unwrap_or((TEXT, b"echo".to_vec())));
        assert!(rig.app.closed().is_empty());
    }
}

#[test]
fn a_corrected_clock_is_not_sleep() {
    let clocks = Clocks::new();
    let mut rig = Rig::with(clocks.options(), ServerConfig::new());
    let (mut peer, _) = rig.open("/");
    clocks.sleep(4 * SECOND);
    assert!(resumed(&mut rig).is_empty());
    clocks.set_back(3600 * SECOND);
    clocks.pass(SECOND);
    assert!(resumed(&mut rig).is_empty());
    clocks.pass(600 * SECOND);
    assert!(resumed(&mut rig).is_empty(), "nor is a long time without a turn");
    clocks.sleep(5 * SECOND);
    assert_eq!(resumed(&mut rig), [5 * SECOND], "it counts from the corrected clock");
    assert!(resumed(&mut rig).is_empty(), "once");
    assert_eq!(rig.frame(&mut peer), (PING, Vec::new()));
}

#[test]
fn plain_http_and_closing_connections_survive_sleep_with_correct_dates() {
    let clocks = Clocks::new();
    let mut rig = Rig::with(clocks.options(), ServerConfig::new());
    let (mut closing, id) = rig.open("/");
    rig.endpoint.connections().close(id, ws_server_mio::CloseCode::NORMAL, "").unwrap();
    assert_eq!(rig.frame(&mut closing).0, CLOSE);
    let mut http = rig.peer();
    rig.until("its connection", |rig| rig.endpoint.connections().server(rig.server).http_count() == 1);
    clocks.sleep(3 * 24 * 3600 * SECOND);
    assert_eq!(resumed(&mut rig).len(), 1);
    let address = rig.address();
    http.send(&get(address, "/"));
    assert_eq!(rig.response(&mut http).0, 200);
    closing.send(&frame(CLOSE, &1000u16.to_be_bytes()));
    rig.end(&mut closing);

    let date = |rig: &mut Rig| {
        let mut peer = rig.peer();
        peer.send(&get(address, "/"));
        let mut head = None;
        rig.until("a head", |_| {
            head = peer.take_head();
            head.is_some()
        });
        let head = head.unwrap().to_lowercase();
        head.lines().find_map(|line| line.strip_prefix("date: ").map(str::to_owned)).unwrap()
    };
    let before = date(&mut rig);
    clocks.sleep(24 * 3600 * SECOND);
    assert_eq!(resumed(&mut rig).len(), 1);
    assert_ne!(date(&mut rig), before, "a day has passed");
}
