//! What a server does automatically: it accepts valid upgrades, and answers requests that the application drops.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use ws_server_mio::{
    Bind, ConnectionId, Connections, Endpoint, Event, Extension, Frame, ServerConfig, ServerId, Token, web,
};

/// A server, and what was reported to its application.
struct Site {
    endpoint: Endpoint,
    server: ServerId,
    events: Vec<String>,
    open: Vec<ConnectionId>,
}

impl Site {
    fn new(config: ServerConfig) -> Self {
        let mut endpoint = Endpoint::new().unwrap();
        let server = endpoint.connections().listen(Bind::localhost(), config).unwrap();
        Self { endpoint, server, events: Vec::new(), open: Vec::new() }
    }

    /// Turns of an application that drops every request, except for `/answered`.
    fn until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < Duration::from_secs(20), "timed out: {:?}", self.events);
            let Self { endpoint, events, open, .. } = self;
            endpoint
                .poll(Some(Duration::from_millis(1)), |connections, event| match event {
                    Event::Request(id, request) => {
                        events.push(format!("request {}", request.path()));
                        if request.path() == "/answered" {
                            connections.respond(id, request, web::text("yes")).unwrap();
                        }
                    }
                    Event::Upgrade(id, upgrade) => {
                        events.push(format!("upgrade {}", upgrade.path()));
                        if upgrade.path() == "/answered" {
                            connections.accept(id, upgrade).unwrap();
                        }
                    }
                    Event::Open(id, _) => {
                        events.push(format!("open {:?}", connections.path(id)));
                        open.push(id);
                    }
                    Event::Closed(id, _) => events.push(format!("closed {:?}", connections.path(id))),
                    event => panic!("{event:?}"),
                })
                .unwrap();
        }
    }

    fn peer(&mut self, request: impl Fn(std::net::SocketAddr) -> Vec<u8>) -> Peer {
        let address = self.endpoint.connections().server(self.server).local_addr().unwrap();
        let mut peer = Peer::connect(address);
        peer.send(&request(address));
        peer
    }

    /// The head of the answer to a request.
    fn ask(&mut self, request: impl Fn(std::net::SocketAddr) -> Vec<u8>) -> (Peer, String) {
        let mut peer = self.peer(request);
        let mut head = None;
        self.until(|_| {
            head = head.take().or_else(|| peer.take_head());
            head.is_some()
        });
        (peer, head.unwrap())
    }

    fn upgrade(&mut self, path: &str) -> (Peer, String) {
        self.ask(|address| handshake(address, path))
    }

    fn get(&mut self, path: &str) -> String {
        self.ask(|address| get(address, path)).1
    }
}

#[test]
fn valid_upgrades_are_accepted_on_every_path_and_reported_open() {
    let mut site = Site::new(ServerConfig::new());
    let peers: Vec<_> = ["/", "/a?b=c", "/a/b"].map(|path| site.upgrade(path)).into();
    assert!(peers.iter().all(|(_, head)| head.starts_with("HTTP/1.1 101 ")));
    site.until(|site| site.events.len() == 3);
    let mut events = site.events.clone();
    events.sort();
    assert_eq!(events, [r#"open Some("/")"#, r#"open Some("/a")"#, r#"open Some("/a/b")"#]);
    let mut paths: Vec<_> = site.open.clone();
    paths.sort_by_key(|id| site.endpoint.connections().path(*id).map(str::to_owned));
    drop(peers);
    site.until(|site| site.events.len() == 6);
    assert!(site.events.contains(&r#"closed Some("/a/b")"#.to_owned()), "it is known up to then");
    site.until(|site| site.endpoint.connections().stats().open == 0);
    assert!(paths.iter().all(|id| site.endpoint.connections().path(*id).is_none()), "and no longer");
    // Their slots are reused.
    let _peer = site.upgrade("/");
    site.until(|site| site.open.len() == 4);
    assert_eq!(site.endpoint.connections().path(site.open[3]), Some("/"));
}

#[test]
fn paths_up_to_256_bytes_are_kept() {
    let mut site = Site::new(ServerConfig::new());
    for (len, is_kept) in [(256, true), (257, false)] {
        let path = "/".to_owned() + &"p".repeat(len - 1);
        let _peer = site.upgrade(&path);
        let expected = is_kept.then_some(path.as_str());
        site.until(|site| site.events.contains(&format!("open {expected:?}")));
    }
}

#[test]
fn only_named_paths_have_sockets_and_others_get_404() {
    let mut site = Site::new(ServerConfig::new().upgrade_paths(["/ws", "/feed"]));
    for path in ["/ws", "/feed?x"] {
        assert!(site.upgrade(path).1.starts_with("HTTP/1.1 101 "), "{path}");
    }
    for path in ["/", "/ws/", "/ws2"] {
        let (mut peer, head) = site.upgrade(path);
        assert!(head.starts_with("HTTP/1.1 404 "), "{path}: {head}");
        site.until(|_| {
            peer.read();
            peer.ended.is_some()
        });
    }
    assert!(!site.events.iter().any(|event| event.starts_with("upgrade")));
    let connections = site.endpoint.connections();
    assert_eq!(connections.server(site.server).count(), 0, "their peers are gone");
}

#[test]
fn unanswered_plain_requests_get_404_or_426_on_a_socket_path() {
    let mut site = Site::new(ServerConfig::new().upgrade_paths(["/ws"]));
    for (path, status) in [("/", 404), ("/ws", 426), ("/ws?a", 426), ("/ws/", 404), ("/answered", 200)] {
        let head = site.get(path);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {head}");
        assert_eq!(head.contains("Upgrade: websocket"), status == 426, "{head}");
    }
    assert_eq!(site.events.iter().filter(|event| event.starts_with("request")).count(), 5);
    // Where every path has a socket, an upgrade is what is missing.
    assert!(Site::new(ServerConfig::new()).get("/any").starts_with("HTTP/1.1 426 "));
    // Where the application decides, only it knows.
    let mut decides = Site::new(ServerConfig::new().decide_upgrades(true));
    assert!(decides.get("/any").starts_with("HTTP/1.1 404 "));
}

#[test]
fn a_connection_stays_alive_after_an_automatic_answer() {
    let mut site = Site::new(ServerConfig::new().upgrade_paths(["/ws"]));
    let twice = |address| [get(address, "/one"), get(address, "/answered")].concat();
    let (mut peer, first) = site.ask(twice);
    assert!(first.starts_with("HTTP/1.1 404 "), "{first}");
    let mut answered = false;
    site.until(|_| {
        peer.read();
        answered |= String::from_utf8_lossy(&peer.got).contains("yes");
        answered
    });
}

#[test]
fn a_deciding_application_sees_upgrades_and_dropping_one_rejects_it() {
    let mut site = Site::new(ServerConfig::new().decide_upgrades(true));
    assert!(site.upgrade("/answered").1.starts_with("HTTP/1.1 101 "));
    assert!(site.upgrade("/dropped").1.starts_with("HTTP/1.1 503 "));
    assert!(site.events.contains(&"upgrade /dropped".to_owned()));
    // On configured paths.
    let mut site = Site::new(ServerConfig::new().decide_upgrades(true).upgrade_paths(["/answered"]));
    assert!(site.upgrade("/answered").1.starts_with("HTTP/1.1 101 "));
    assert!(site.upgrade("/dropped").1.starts_with("HTTP/1.1 404 "));
    assert!(!site.events.contains(&"upgrade /dropped".to_owned()));
}

#[test]
fn a_kept_request_is_not_answered_automatically() {
    let mut rig = Rig::new(ServerConfig::new().upgrade_paths(["/ws"]));
    rig.app.hold = true;
    let (mut peer, address) = (rig.peer(), rig.address());
    peer.send(&get(address, "/kept"));
    rig.until("the request", |rig| rig.app.requests.len() == 1);
    for _ in 0..5 {
        rig.turn();
    }
    assert!(peer.take_head().is_none());
    let (id, request) = rig.app.requests.remove(0);
    rig.endpoint.connections().respond(id, request, ok("later")).unwrap();
    assert_eq!(rig.response(&mut peer), (200, "later".to_owned()));
    // A request dropped later is the application's fault.
    peer.send(&get(address, "/kept"));
    rig.until("the request", |rig| rig.app.requests.len() == 1);
    rig.app.requests.clear();
    rig.endpoint.connections();
    peer.send(&get(address, "/kept"));
    assert_eq!(rig.response(&mut peer).0, 503);
}

#[test]
fn a_request_lost_in_a_panic_gets_503() {
    let mut site = Site::new(ServerConfig::new());
    let mut peer = site.peer(|address| get(address, "/"));
    let endpoint = &mut site.endpoint;
    let start = Instant::now();
    while catch_unwind(AssertUnwindSafe(|| {
        endpoint.poll(Some(Duration::from_millis(1)), |_, _| panic!("on purpose"))
    }))
    .is_ok()
    {
        assert!(start.elapsed() < Duration::from_secs(20));
    }
    let mut head = None;
    site.until(|_| {
        head = head.take().or_else(|| peer.take_head());
        head.is_some()
    });
    assert!(head.unwrap().starts_with("HTTP/1.1 503 "));
}

#[test]
fn no_upgrade_is_accepted_without_the_token() {
    let token = Token::from_random([7; 16]);
    let text = token.as_str().to_owned();
    let mut site = Site::new(ServerConfig::new().require_token(token));
    assert!(site.upgrade("/").1.starts_with("HTTP/1.1 401 "));
    assert!(site.get("/").starts_with("HTTP/1.1 401 "));
    let (_peer, head) = site.upgrade(&format!("/?token={text}"));
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(head.to_lowercase().matches("set-cookie").count(), 1, "{head}");
    let head = site.get(&format!("/?token={text}"));
    assert!(head.starts_with("HTTP/1.1 426 "), "{head}");
    assert!(!site.events.iter().any(|event| event.starts_with("upgrade")));
}

#[test]
fn the_best_common_subprotocol_is_chosen() {
    let mut site = Site::new(ServerConfig::new().subprotocols(["chat.v2", "chat.v1"]));
    for (offered, chosen) in
        [("chat.v1, chat.v2", Some("chat.v2")), ("chat.v1", Some("chat.v1")), ("x", None)]
    {
        let field = format!("Sec-WebSocket-Protocol: {offered}\r\n");
        let head = site.ask(|address| with_fields(handshake(address, "/"), &field)).1.to_lowercase();
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        let said = head.lines().find_map(|line| line.strip_prefix("sec-websocket-protocol: "));
        assert_eq!(said, chosen);
    }
}

#[test]
fn a_configuration_set_later_applies_to_later_upgrades() {
    let mut site = Site::new(ServerConfig::new());
    assert!(site.upgrade("/a").1.starts_with("HTTP/1.1 101 "));
    let (connections, server) = (site.endpoint.connections(), site.server);
    connections.server(server).set_config(ServerConfig::new().upgrade_paths(["/b"])).unwrap();
    assert!(site.upgrade("/a").1.starts_with("HTTP/1.1 404 "));
    assert!(site.upgrade("/b").1.starts_with("HTTP/1.1 101 "));
}

/// Keeps requests from the application, and drops them.
struct Swallows;

impl Extension for Swallows {
    fn filter<'a>(&mut self, _: &mut Connections, event: Event<'a>) -> Option<Event<'a>> {
        assert!(!matches!(event, Event::Upgrade(..)), "no upgrade is undecided");
        (!matches!(event, Event::Request(..))).then_some(event)
    }
}

#[test]
fn requests_dropped_by_an_extension_are_answered_too() {
    let mut site = Site::new(ServerConfig::new().upgrade_paths(["/ws"]));
    site.endpoint.connections().set_extension(Swallows).unwrap();
    assert!(site.get("/answered").starts_with("HTTP/1.1 404 "));
    assert!(site.upgrade("/ws").1.starts_with("HTTP/1.1 101 "));
    site.until(|site| site.events.contains(&r#"open Some("/ws")"#.to_owned()));
    assert!(!site.events.iter().any(|event| event.starts_with("request")));
}

#[test]
fn broadcast_filters_can_inspect_connections() {
    let mut site = Site::new(ServerConfig::new());
    let mut peers: Vec<_> = ["/a", "/b", "/a"].map(|path| site.upgrade(path).0).into();
    site.until(|site| site.open.len() == 3);
    let (connections, last) = (site.endpoint.connections(), site.open[2]);
    let news = Frame::text("news");
    let at_a = |connections: &Connections, id| connections.path(id) == Some("/a");
    assert_eq!(connections.broadcast_where(&news, at_a), 2);
    connections.set_data(last, "member");
    let is_member = |connections: &Connections, id| connections.data::<&str>(id).is_some();
    assert_eq!(connections.broadcast_where(&news, is_member), 1);
    assert_eq!(connections.broadcast(&news), 3);
    let mut frames = 0;
    site.until(|_| {
        frames += peers.iter_mut().filter_map(Peer::take_frame).count();
        frames == 6
    });
}
