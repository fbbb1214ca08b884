//! Clients: they connect, close and reconnect, and their heartbeat.

use super::common::*;
use super::{Clock, SECOND};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use ws_host::client::Reconnect;
use ws_proto::handshake::accept_key;
use ws_proto::{Error, Initiator, Timeout};
use ws_server_mio::{
    Bind, ClientConfig, ClientId, ClientState, CloseCode, Closed, ConnectError, ConnectionId, Event,
    Heartbeat, HeartbeatKind, InvalidTarget, ServerConfig, inspect,
};

fn state(rig: &mut Rig, client: ClientId) -> ClientState {
    rig.endpoint.connections().client(client).state()
}

/// Runs turns until the client is open, with another connection than before.
fn opened(rig: &mut Rig, client: ClientId, before: Option<ConnectionId>) -> ConnectionId {
    rig.until("an open client", |rig| {
        let now = rig.endpoint.connections().client(client).connection();
        state(rig, client) == ClientState::Open && now != before
    });
    rig.endpoint.connections().client(client).connection().unwrap()
}

fn closed_of(rig: &Rig, id: ConnectionId) -> &Closed {
    let ends: Vec<_> = rig
        .app
        .seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Closed(of, closed) if *of == id => Some(&**closed),
            _ => None,
        })
        .collect();
    assert_eq!(ends.len(), 1);
    ends[0]
}

/// A server, and a socket that reserves its port while it is stopped.
fn rig(clock: &Clock) -> (Rig, Option<socket2::Socket>) {
    let (kept, port) = ws_kit::ports::kept();
    let mut rig = Rig::with(clock.options(), ServerConfig::new());
    rig.server = rig
        .endpoint
        .connections()
        .listen(Bind::any().port(port), ServerConfig::new().decide_upgrades(true))
        .unwrap();
    (rig, kept)
}

#[test]
fn row_21_a_client_reconnects_as_the_same_object_at_once_or_by_policy() {
    let clock = Clock::new();
    let (mut rig, _reserved) = rig(&clock);
    let (server, port) = (rig.server, rig.address().port());
    let url = rig.endpoint.connections().server(server).url("/chat?room=7").unwrap();
    assert!(url.starts_with("ws://localhost:"), "a name that needs no lookup: {url}");
    let (keys, reports) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let (offered, recorded) = (keys.clone(), reports.clone());
    rig.app.also = Some(Box::new(move |_, event| match event {
        Event::Upgrade(_, upgrade) => {
            offered.lock().unwrap().push(upgrade.headers()["sec-websocket-key"].clone());
        }
        Event::ConnectFailed { client, error: ConnectError::Unreachable { tried, .. } } => {
            assert!(tried.iter().all(|address| address.port() == port) && !tried.is_empty());
            recorded.lock().unwrap().push((*client, 0, Duration::ZERO));
        }
        Event::ConnectFailed { error, .. } => panic!("{error}"),
        Event::Reconnecting { client, attempt, delay } => {
            recorded.lock().unwrap().push((*client, *attempt, *delay));
        }
        _ => {}
    }));

    // Connect; it is an ordinary connection, and server and client share the thread.
    let client = rig.endpoint.connections().connect(url.as_str(), ClientConfig::new()).unwrap();
    assert_eq!(state(&mut rig, client), ClientState::Connecting);
    let first = opened(&mut rig, client, None);
    assert_eq!(rig.app.count(|seen| matches!(seen, Seen::Upgrade(_, path) if path == "/chat")), 1);
    let connections = rig.endpoint.connections();
    assert_eq!(connections.client_of(first), Some(client));
    assert_eq!(connections.server(server).count(), 1, "the server's end; the client's end is not counted");
    assert!(connections.ids().all(|id| id != first));
    connections.send(first, "hello").unwrap();
    rig.until("the echo", |rig| {
        rig.app.count(|seen| matches!(seen, Seen::Text(id, text) if *id == first && text == "hello")) == 1
    });

    // Close; reconnect; and once more while open: the same object, another connection, a new key.
    rig.endpoint.connections().client(client).disconnect();
    rig.until("an idle client", |rig| state(rig, client) == ClientState::Idle);
    let closed = closed_of(&rig, first);
    assert!(closed.clean && closed.initiator == Initiator::Local && closed.sent == Some(CloseCode::NORMAL));
    assert!(rig.endpoint.connections().client(client).reconnect());
    let second = opened(&mut rig, client, None);
    assert!(rig.endpoint.connections().client(client).reconnect());
    let third = opened(&mut rig, client, Some(second));
    assert!(closed_of(&rig, second).clean);
    assert!(first != second && second != third);
    assert!(reports.lock().unwrap().is_empty(), "the policy caused none of that");

    // By policy, when the server stops: each wait doubles, up to the longest, with random jitter.
    let policy = Reconnect::default().wait(SECOND, 4 * SECOND);
    let config = ClientConfig::new().reconnect(policy);
    rig.endpoint.connections().client(client).set_config(config).unwrap();
    rig.endpoint.connections().server(server).stop(SECOND);
    for (k, whole) in [1, 2, 4, 4, 4].into_iter().enumerate() {
        rig.until("a wait", |_| reports.lock().unwrap().last().is_some_and(|(_, n, _)| *n == k as u32 + 1));
        if k == 0 {
            rig.until("the server's end", |rig| rig.app.count(|seen| matches!(seen, Seen::Stopped(_))) == 1);
            assert_eq!(closed_of(&rig, third).code, CloseCode::GOING_AWAY);
        }
        let mut reports = std::mem::take(&mut *reports.lock().unwrap());
        let (of, attempt, delay) = reports.pop().unwrap();
        assert_eq!((of, attempt), (client, k as u32 + 1));
        assert!(delay >= whole * SECOND / 2 && delay <= whole * SECOND, "{delay:?} of {whole} s");
        assert_eq!(reports.len(), k.min(1), "a failure is reported first, after an attempt");
        clock.pass(delay - Duration::from_millis(1));
        rig.turn();
        assert_eq!(state(&mut rig, client), ClientState::Waiting, "not before its time");
        if k == 4 {
            let again = Bind::any().port(port);
            rig.server =
                rig.endpoint.connections().listen(again, ServerConfig::new().decide_upgrades(true)).unwrap();
        }
        clock.pass(Duration::from_millis(1));
    }
    let fourth = opened(&mut rig, client, None);
    assert_ne!(fourth, third);
    let keys = keys.lock().unwrap();
    assert_eq!(keys.len(), 4);
    assert!((1..4).all(|k| !keys[..k].contains(&keys[k])), "a fresh key for each attempt");

    // Invalid targets fail at once, and nothing secret is sent in the clear.
    let connections = rig.endpoint.connections();
    if cfg!(not(feature = "tls-no-provider")) {
        let secure = connections.connect("wss://localhost/", ClientConfig::new());
        assert_eq!(secure, Err(InvalidTarget::TlsUnsupported));
    }
    assert!(matches!(
        connections.connect("http://localhost/", ClientConfig::new()),
        Err(InvalidTarget::Request(_))
    ));
    connections.client(client).remove();
    assert!(!connections.client(client).reconnect());
    rig.until("its end", |rig| {
        rig.app.count(|seen| matches!(seen, Seen::Closed(id, _) if *id == fourth)) == 1
    });
}

/// A scripted server that shows what a client sends.
struct Host(TcpListener);

impl Host {
    fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// The next client, its handshake answered.
    fn accept(&self, rig: &mut Rig, client: ClientId) -> Peer {
        let mut stream = None;
        rig.until("a client", |_| {
            stream = self.0.accept().ok();
            stream.is_some()
        });
        let mut peer = Peer::new(stream.unwrap().0);
        let head = rig.head(&mut peer);
        let key = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("sec-websocket-key").then_some(value)
        });
        let accept = accept_key(key.unwrap());
        peer.send(
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            )
            .as_bytes(),
        );
        opened(rig, client, None);
        peer
    }
}

/// Time passes, and the client sends nothing.
fn quiet(clock: &Clock, rig: &mut Rig, time: Duration) {
    let sent = |rig: &mut Rig| {
        let mut sent = 0;
        inspect::each_slot(rig.endpoint.connections(), |live| sent += live.connection.bytes_sent());
        sent
    };
    let before = sent(rig);
    clock.pass(time);
    for _ in 0..3 {
        rig.turn();
    }
    assert_eq!(sent(rig), before);
}

#[test]
fn row_22_a_clients_heartbeat_is_a_pong_or_a_ping_as_set_at_the_last_connect() {
    let clock = Clock::new();
    let mut rig = Rig::with(clock.options(), ServerConfig::new());
    let host = Host::new();
    let url = format!("ws://{}/", host.address());
    let client = rig.endpoint.connections().connect(url.as_str(), ClientConfig::new()).unwrap();
    let mut peer = host.accept(&mut rig, client);

    // By default an empty Pong after half an idle minute, without an answer, repeatedly.
    for _ in 0..10 {
        quiet(&clock, &mut rig, 29 * SECOND);
        clock.pass(SECOND);
        assert_eq!(rig.frame(&mut peer), (PONG, Vec::new()));
    }

    // A change takes effect at the next connect.
    let ping = Heartbeat::client().kind(HeartbeatKind::Ping).idle(10 * SECOND).payload("there?");
    rig.endpoint.connections().client(client).set_config(ClientConfig::new().heartbeat(ping)).unwrap();
    quiet(&clock, &mut rig, 29 * SECOND);
    clock.pass(SECOND);
    assert_eq!(rig.frame(&mut peer), (PONG, Vec::new()));
    assert!(rig.endpoint.connections().client(client).reconnect());
    assert_eq!(rig.frame(&mut peer), (CLOSE, b"\x03\xe8".to_vec()));
    peer.send(b"\x88\x02\x03\xe8");
    drop(peer);
    rig.until("the next attempt", |rig| state(rig, client) == ClientState::Connecting);
    let mut peer = host.accept(&mut rig, client);
    let id = rig.endpoint.connections().client(client).connection().unwrap();
    for pongs in 1..4 {
        quiet(&clock, &mut rig, 9 * SECOND);
        clock.pass(SECOND);
        assert_eq!(rig.frame(&mut peer), (PING, b"there?".to_vec()));
        peer.send(b"\x8a\x06there?");
        rig.until("the answer", |rig| {
            rig.app.count(|seen| matches!(seen, Seen::Pong(of) if *of == id)) == pongs
        });
    }

    // A server that does not answer a Ping is dead.
    clock.pass(10 * SECOND);
    assert_eq!(rig.frame(&mut peer).0, PING);
    clock.pass(30 * SECOND);
    rig.until("its end", |rig| state(rig, client) == ClientState::Idle);
    assert!(matches!(closed_of(&rig, id).error, Some(Error::Timeout(Timeout::Heartbeat))));

    // Some servers tolerate no heartbeat at all.
    rig.endpoint
        .connections()
        .client(client)
        .set_config(ClientConfig::new().heartbeat(Heartbeat::off()))
        .unwrap();
    assert!(rig.endpoint.connections().client(client).reconnect());
    let _peer = host.accept(&mut rig, client);
    quiet(&clock, &mut rig, 24 * 3600 * SECOND);
    assert_eq!(state(&mut rig, client), ClientState::Open);
}
