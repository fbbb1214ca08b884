//! Whatever handlers, extensions and peers do: each connection's events come in order, it ends once, and nothing leaks.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::*;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use ws_kit::random::Lcg;
use ws_server_mio::{
    AlreadyExtended, Bind, Budget, CloseCode, ConnectionId, Connections, Endpoint, Event, Extension, Folder,
    Frame, Options, Request, ResponseBody, ServerConfig, ServerId, SlowPeer, Upgrade, http,
};

/// Reproducible randomness.
struct Dice(Lcg);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0.next() as usize % sides
    }

    fn pick<'t, T>(&mut self, list: &'t [T]) -> Option<&'t T> {
        if list.is_empty() { None } else { list.get(self.roll(list.len())) }
    }

    fn take<T>(&mut self, list: &mut Vec<T>) -> Option<T> {
        if list.is_empty() { None } else { Some(list.swap_remove(self.roll(list.len()))) }
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum LastEvent {
    Http,
    Upgrading,
    Open,
    Closed,
}

struct App {
    dice: Dice,
    last_events: HashMap<ConnectionId, LastEvent>,
    ids: Vec<ConnectionId>,
    requests: Vec<(ConnectionId, Request)>,
    upgrades: Vec<(ConnectionId, Upgrade)>,
    bodies: Vec<(ConnectionId, ResponseBody)>,
    servers: Vec<ServerId>,
    stopped: Vec<ServerId>,
    folder: Folder,
    /// Starts no more servers.
    is_over: bool,
}

impl App {
    fn handle(&mut self, connections: &mut Connections, event: Event<'_>) {
        match event {
            Event::Stopping(server) => assert!(!self.stopped.contains(&server)),
            Event::Stopped(server) => {
                assert!(!self.stopped.contains(&server));
                assert_eq!(
                    (connections.server(server).count(), connections.server(server).http_count()),
                    (0, 0)
                );
                self.stopped.push(server);
                self.servers.retain(|other| *other != server);
            }
            event => {
                if let Some(id) = event.connection() {
                    self.note(connections, id, event);
                }
            }
        }
        for _ in 0..self.dice.roll(3) {
            self.act(connections);
        }
    }

    fn note(&mut self, connections: &mut Connections, id: ConnectionId, event: Event<'_>) {
        let before = self.last_events.get(&id).copied();
        assert_ne!(before, Some(LastEvent::Closed), "{event:?}");
        if let Some(server) = connections.server_of(id) {
            assert!(!self.stopped.contains(&server));
        }
        let now = match event {
            Event::Request(_, request) => {
                assert_ne!(before, Some(LastEvent::Open));
                self.requests.push((id, request));
                LastEvent::Http
            }
            Event::Upgrade(_, upgrade) => {
                assert_ne!(before, Some(LastEvent::Open));
                self.upgrades.push((id, upgrade));
                LastEvent::Upgrading
            }
            Event::Open(..) => {
                assert_eq!(before, Some(LastEvent::Upgrading));
                LastEvent::Open
            }
            Event::Closed(_, closed) => {
                assert_eq!(closed.was_open, before == Some(LastEvent::Open), "{closed}");
                let topics: Vec<_> = connections.topics().of(id).map(str::to_owned).collect();
                assert!(
                    topics
                        .iter()
                        .all(|topic| connections.topics().subscribers(topic).all(|other| other != id))
                );
                LastEvent::Closed
            }
            Event::Message(..) => {
                assert_eq!(before, Some(LastEvent::Open));
                LastEvent::Open
            }
            // Events of other connections may come in between.
            _ => before.unwrap(),
        };
        if before.is_none() {
            self.ids.push(id);
        }
        self.last_events.insert(id, now);
    }

    /// Acts on a random connection, wanted or not.
    fn act(&mut self, connections: &mut Connections) {
        let Self { dice, ids, requests, upgrades, bodies, servers, folder, .. } = self;
        let Some(&id) = dice.pick(ids) else { return };
        match dice.roll(24) {
            0..=3 => {
                if let Some((id, request)) = dice.take(requests) {
                    let _ = connections.respond(id, request, ok(vec![b'x'; dice.roll(3000)]));
                }
            }
            4 => {
                if let Some((id, request)) = dice.take(requests) {
                    let _ = connections.respond_file(id, request, folder);
                }
            }
            5..=6 => {
                if let Some((id, request)) = dice.take(requests) {
                    let head = http::Response::new(());
                    bodies.extend(
                        connections.respond_streaming(id, request, head, None).ok().map(|body| (id, body)),
                    );
                }
            }
            7 => drop(dice.take(requests)),
            8..=10 => {
                if let Some((id, upgrade)) = dice.take(upgrades) {
                    let _ = connections.accept(id, upgrade);
                }
            }
            11 => {
                if let Some((id, upgrade)) = dice.take(upgrades) {
                    let _ = connections.respond(id, upgrade, ok("no"));
                }
            }
            12 => drop(dice.take(upgrades)),
            13 => {
                if let Some((id, body)) = dice.pick(bodies) {
                    let _ = connections.send_body(*id, body, vec![b'y'; dice.roll(100_000)]);
                }
            }
            14 => {
                if let Some((id, body)) = dice.take(bodies) {
                    let _ = connections.finish_body(id, body);
                }
            }
            15 => drop(dice.take(bodies)),
            16 => drop(connections.close(id, CloseCode::NORMAL, "")),
            17 => connections.terminate(id),
            18 => drop(connections.topics().subscribe(id, ["a", "b", "c"][dice.roll(3)])),
            19 => {
                let frame = Frame::binary(vec![0; dice.roll(50_000)]);
                let slow = [SlowPeer::Close, SlowPeer::Skip, SlowPeer::Latest("k")][dice.roll(3)];
                connections.topics().publish_with(["a", "b", "c"][dice.roll(3)], &frame, slow);
                connections.topics().broadcast_with(&Frame::text("to all"), slow, |_, _| true);
            }
            20 => drop(connections.send(id, "hello")),
            21 => assert_eq!(connections.set_extension(Passing(Arc::default())), Err(AlreadyExtended)),
            22 if !self.is_over && dice.roll(8) == 0 => {
                let server = servers[0];
                connections.server(server).stop(Duration::from_millis(dice.roll(50) as u64));
                servers.push(listen(connections));
            }
            _ => drop(connections.topics().unsubscribe(id, "a")),
        }
    }
}

/// Counts messages, and acts on connections as an application does.
struct Passing(Arc<Mutex<usize>>);

impl Extension for Passing {
    fn filter<'a>(&mut self, connections: &mut Connections, event: Event<'a>) -> Option<Event<'a>> {
        let mut passed = self.0.lock().unwrap();
        *passed += 1;
        if let Event::Message(id, _) = &event
            && passed.is_multiple_of(16)
        {
            connections.terminate(*id);
        }
        Some(event)
    }
}

fn listen(connections: &mut Connections) -> ServerId {
    let times = ServerConfig::new()
        .outbox(1_000, 10_000, 100_000)
        .close_timeout(Duration::from_millis(100))
        .output_timeout(Duration::from_millis(200))
        .answer_timeout(Duration::from_millis(100));
    connections.listen(Bind::localhost(), times.max_connections(12).decide_upgrades(true)).unwrap()
}

fn speak(dice: &mut Dice, peer: &mut Peer, address: std::net::SocketAddr) {
    match dice.roll(12) {
        0..=2 => peer.send(&get(address, "/")),
        3 => peer.send(&get(address, "/big.bin")),
        4 => peer.send(&[get(address, "/1"), get(address, "/big.bin"), handshake(address, "/")].concat()),
        5 => peer.send(&handshake(address, "/")),
        6 => peer.send(&frame(TEXT, b"a word")),
        7 => peer.send(&frame(CLOSE, &[3, 232])),
        8 => peer.send(b"\xff\xff nonsense\r\n\r\n"),
        9 => peer.send(&handshake(address, "/")[..20]),
        _ => peer.read(),
    }
}

fn run(seed: u64, budget: Budget) {
    let temp = std::env::temp_dir().join(format!("ws-server-mio-{}-chaos", std::process::id()));
    std::fs::create_dir_all(&temp).unwrap();
    std::fs::write(temp.join("big.bin"), vec![b'z'; 500_000]).unwrap();
    let mut endpoint = Endpoint::with(Options::default().budget(budget)).unwrap();
    let passed = Arc::new(Mutex::new(0));
    endpoint.connections().set_extension(Passing(passed.clone())).unwrap();
    let mut app = App {
        dice: Dice(Lcg(seed)),
        last_events: HashMap::new(),
        ids: Vec::new(),
        requests: Vec::new(),
        upgrades: Vec::new(),
        bodies: Vec::new(),
        servers: vec![listen(endpoint.connections())],
        stopped: Vec::new(),
        folder: Folder::new(&temp).unwrap(),
        is_over: false,
    };
    let mut dice = Dice(Lcg(!seed));
    let mut peers: Vec<(std::net::SocketAddr, Peer)> = Vec::new();
    for _ in 0..1_500 {
        let latest = app.servers[app.servers.len() - 1];
        if peers.len() < 16
            && dice.roll(4) == 0
            && let Some(address) = endpoint.connections().server(latest).local_addr()
        {
            peers.push((address, Peer::connect(address)));
        }
        if dice.roll(10) == 0 {
            drop(dice.take(&mut peers));
        }
        let at = dice.roll(16);
        if let Some((address, peer)) = peers.get_mut(at) {
            speak(&mut dice, peer, *address);
        }
        endpoint.poll(Some(Duration::ZERO), |connections, event| app.handle(connections, event)).unwrap();
        app.act(endpoint.connections());
    }
    app.is_over = true;
    let mut servers = app.servers.clone();
    for server in &servers {
        endpoint.connections().server(*server).stop(Duration::from_millis(100));
    }
    let start = Instant::now();
    while !servers.is_empty() {
        assert!(start.elapsed().as_secs() < 20, "not stopped: {servers:?}");
        let wait = Some(Duration::from_millis(5));
        endpoint.poll(wait, |connections, event| app.handle(connections, event)).unwrap();
        servers.retain(|server| !app.stopped.contains(server));
    }
    for (id, last) in &app.last_events {
        assert_eq!(*last, LastEvent::Closed, "{id}");
    }
    assert!(
        app.last_events.len() > 50 && *passed.lock().unwrap() > 100,
        "{} connections",
        app.last_events.len()
    );
    assert_eq!(endpoint.connections().stats().open, 0);
    assert_eq!(endpoint.connections().ids().count(), 0);
    assert_eq!(["a", "b", "c"].map(|topic| endpoint.connections().topics().subscribers(topic).len()), [0; 3]);
    assert!(!endpoint.poll(Some(Duration::ZERO), |_, event| panic!("{event:?}")).unwrap().more);
    let _ = std::fs::remove_dir_all(&temp);
}

#[test]
fn events_stay_in_order_and_each_connection_ends_once_whatever_handlers_do() {
    for seed in 1..=4 {
        run(seed, Budget::server());
        let budget = Budget::ui().time(Duration::from_micros(seed));
        run(seed + 100, budget);
    }
}
