//! Extreme settings: whatever an application sets, the endpoint makes progress, and is idle when nothing is due.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::clients::Both;
use common::*;
use std::net::TcpListener;
use std::time::Duration;
use ws_server_mio::{
    Bind, Budget, ClientConfig, ClientState, Frame, Heartbeat, Options, Reconnect, ServerConfig, Stop,
    TopicError,
};

/// More turns than anything here needs; a loop that spins uses all of them.
const TURNS: usize = 5_000;

fn budget(time: Option<Duration>, bytes_per_visit: usize, accepts: usize) -> Budget {
    Budget::server().time(time).bytes_per_visit(bytes_per_visit).accepts(accepts)
}

/// Runs turns until the endpoint is idle; returns how many.
fn turns_until_idle(rig: &mut Rig, what: &str) -> usize {
    for turns in 0..TURNS {
        if rig.endpoint.next_timeout() != Some(Duration::ZERO) {
            return turns;
        }
        let Rig { endpoint, app, .. } = &mut *rig;
        endpoint.poll(Some(Duration::ZERO), |connections, event| app.handle(connections, event)).unwrap();
    }
    panic!("{what}: a turn is due after {TURNS}");
}

fn server() -> ServerConfig {
    ServerConfig::new().heartbeat(Heartbeat::off())
}

#[test]
fn every_budget_makes_progress_and_goes_idle() {
    const MAX: usize = usize::MAX;
    for (time, bytes, accepts) in [
        (None, 0, 0),
        (None, 1, 1),
        (None, MAX, MAX),
        (Some(Duration::ZERO), 0, 0),
        (Some(Duration::ZERO), MAX, MAX),
        (Some(Duration::from_nanos(1)), 1, 0),
        (Some(Duration::MAX), 0, 0),
        (Some(Duration::MAX), MAX, MAX),
    ] {
        for later in [false, true] {
            let what = format!("{time:?} {bytes} {accepts}");
            let budget = budget(time, bytes, accepts);
            let options = if later { Options::default() } else { Options::default().budget(budget.clone()) };
            let mut rig = Rig::with(options, server());
            rig.endpoint.set_budget(budget);
            let mut open: Vec<_> = (0..3).map(|_| rig.open("/")).collect();
            turns_until_idle(&mut rig, &what);
            for (peer, _) in &mut open {
                peer.send(&[frame(TEXT, b"hello"), frame(BINARY, &[7; 300])].concat());
            }
            for (peer, _) in &mut open {
                assert_eq!(rig.frame(peer), (TEXT, b"hello".to_vec()), "{what}");
                assert_eq!(rig.frame(peer), (BINARY, vec![7; 300]), "{what}");
            }
            turns_until_idle(&mut rig, &what);
        }
    }
}

#[test]
fn an_unlimited_visit_returns_from_a_flood() {
    // The kernel holds less than this of one peer; nothing else bounds what a peer sends meanwhile.
    let budget = Budget::server().bytes_per_visit(usize::MAX);
    let mut endpoint = ws_server_mio::Endpoint::with(Options::default().budget(budget)).unwrap();
    assert!(format!("{endpoint:?}").contains(&format!("bytes_per_visit: {}", 4 << 20)));
    endpoint.set_budget(Budget::ui());
    assert!(format!("{endpoint:?}").contains(&format!("bytes_per_visit: {}", 16 << 10)));
}

#[test]
fn with_accepts_of_zero_a_turn_still_accepts_one() {
    let mut rig = Rig::with(Options::default().budget(budget(None, 1 << 16, 0)), server());
    let peers: Vec<_> = (0..5).map(|_| rig.peer()).collect();
    let server = rig.server;
    rig.until("the first", |rig| rig.endpoint.connections().server(server).http_count() > 0);
    for expected in 1..=5 {
        assert_eq!(rig.endpoint.connections().server(server).http_count(), expected);
        rig.endpoint.poll(Some(Duration::ZERO), |_, event| panic!("{event:?}")).unwrap();
    }
    turns_until_idle(&mut rig, "no connection waits");
    drop(peers);
}

#[test]
fn limits_of_zero_reject_all_or_act_as_one_and_nothing_spins() {
    let mut rig = Rig::new(server().max_connections(0));
    let mut peers: Vec<_> = (0..3).map(|_| rig.peer()).collect();
    peers.iter_mut().for_each(|peer| rig.end(peer));
    let server_id = rig.server;
    assert_eq!(rig.endpoint.connections().server(server_id).rejected(), 3);
    turns_until_idle(&mut rig, "max_connections 0");

    let mut rig = Rig::new(server().max_handshakes(0));
    let silent = rig.peer();
    let server_id = rig.server;
    rig.until("the silent peer", |rig| rig.endpoint.connections().server(server_id).http_count() == 1);
    let mut waits = rig.peer();
    let address = rig.address();
    waits.send(&handshake(address, "/"));
    turns_until_idle(&mut rig, "max_handshakes 0, while one has sent no request");
    assert_eq!(rig.endpoint.connections().server(server_id).http_count(), 1);
    drop(silent);
    assert!(rig.head(&mut waits).starts_with("HTTP/1.1 101"));
    turns_until_idle(&mut rig, "max_handshakes 0");

    // Output below the low mark does not count.
    let most = usize::MAX;
    for config in [server().memory_limit(Some(0)), server().max_connections(most).max_handshakes(most)] {
        let mut rig = Rig::new(config.max_per_address(Some(most)));
        let (mut peer, _) = rig.open("/");
        peer.send(&frame(BINARY, &[7; 300]));
        assert_eq!(rig.frame(&mut peer), (BINARY, vec![7; 300]));
        turns_until_idle(&mut rig, "no memory, or no limit");
    }

    // Loopback is exempt.
    let mut rig = Rig::new(server().max_per_address(Some(0)));
    rig.open("/");
    turns_until_idle(&mut rig, "max_per_address 0");
}

#[test]
fn a_stop_of_any_length_notifies_the_first_and_never_spins() {
    const MAX: Duration = Duration::MAX;
    let far = Duration::from_secs(u64::MAX / 2);
    for (deadline, spread) in
        [(MAX, MAX), (MAX, Duration::ZERO), (Duration::ZERO, MAX), (far, far), (far, MAX)]
    {
        let mut rig = Rig::new(server());
        let mut open: Vec<_> = (0..3).map(|_| rig.open("/")).collect();
        let server_id = rig.server;
        let stop = Stop::within(deadline).spread(spread);
        rig.endpoint.connections().server(server_id).stop_with(stop.clone());
        rig.endpoint.connections().server(server_id).stop_with(stop);
        let what = format!("{deadline:?} over {spread:?}");
        let mut frames = Vec::new();
        rig.until(&what, |_| {
            frames.extend(open[0].0.take_frame());
            !frames.is_empty()
        });
        assert_eq!((frames[0].0, close_code(&frames[0].1)), (CLOSE, 1001));
        turns_until_idle(&mut rig, &what);
        // A second call with a finite deadline ends it.
        rig.endpoint.connections().server(server_id).stop(Duration::ZERO);
        rig.until("its end", |rig| matches!(rig.app.seen.last(), Some(Seen::Stopped(_))));
        open.clear();
    }
}

#[test]
fn an_immediate_failure_waits_under_any_policy() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", free.local_addr().unwrap());
    drop(free);
    const MAX: Duration = Duration::MAX;
    for (min, max) in
        [(Duration::ZERO, Duration::ZERO), (Duration::ZERO, MAX), (MAX, MAX), (MAX, Duration::ZERO)]
    {
        let mut rig = Both::new();
        let policy = Reconnect::default().wait(min, max).reset_after(Duration::ZERO);
        let config = ClientConfig::new().reconnect(policy);
        let client = rig.connections().connect(url.as_str(), config).unwrap();
        rig.failed(client);
        let (_, delay) = rig.reconnecting(client);
        assert!(delay >= Duration::from_micros(500), "{delay:?}");
        // The clock is frozen: nothing is due.
        for _ in 0..10 {
            rig.turn();
            assert_ne!(rig.endpoint.next_timeout(), Some(Duration::ZERO), "{min:?} to {max:?}");
        }
        assert_eq!(rig.connections().client(client).state(), ClientState::Waiting);
        if delay < Duration::from_secs(1) {
            rig.clock.pass(delay);
            rig.failed(client);
        }
    }
}

#[test]
fn a_zero_timeout_fails_and_an_infinite_one_connects() {
    let mut rig = Both::on(Bind::localhost(), Options::default());
    let url = rig.url("/");
    let none = ClientConfig::new().handshake_timeout(Duration::ZERO);
    let client = rig.connections().connect(url.as_str(), none).unwrap();
    rig.failed(client);
    assert_eq!(rig.connections().client(client).state(), ClientState::Idle);
    let ever = ClientConfig::new().handshake_timeout(Duration::MAX);
    let client = rig.connections().connect(url.as_str(), ever).unwrap();
    rig.opened(client);
}

#[test]
fn topic_limits_of_zero_reject_every_topic_and_name() {
    let mut rig = Rig::new(server());
    let (_peer, id) = rig.open("/");
    let connections = rig.endpoint.connections();
    connections.topics().subscribe(id, "kept").unwrap();
    connections.topics().set_limits(0, usize::MAX);
    assert_eq!(connections.topics().subscribe(id, "more"), Err(TopicError::TooMany { limit: 0 }));
    assert_eq!(connections.topics().publish("kept", &Frame::text("existing topics stay")), 1);
    connections.topics().set_limits(usize::MAX, 0);
    assert_eq!(connections.topics().subscribe(id, "x"), Err(TopicError::NameTooLong { limit: 0 }));
    assert_eq!(connections.topics().subscribe(id, ""), Ok(true));
}
