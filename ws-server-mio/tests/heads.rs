//! Heads on the wire: dates, spelling, keys, and requests behind a rejected upgrade.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::clients::Both;
use common::files::{Served, Temp};
use common::*;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use ws_host::client::Reconnect;
use ws_host::web::sse;
use ws_proto::WallClock;
use ws_proto::handshake::{accept_key, upgrade_required};
use ws_server_mio::{
    Bind, Bytes, ClientConfig, ClientRequest, Endpoint, Event, Options, ServerConfig, Token, http,
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
/// Sun, 06 Nov 1994 08:49:37 GMT.
const DAY: u64 = 784_111_777;

/// Both clocks, which only the test moves.
#[derive(Clone)]
struct Clocks(Arc<Mutex<(Instant, SystemTime)>>);

impl Clocks {
    fn new() -> Self {
        Self(Arc::new(Mutex::new((Instant::now(), UNIX_EPOCH + Duration::from_secs(DAY)))))
    }

    fn options(&self) -> Options {
        let (clock, wall) = (self.clone(), self.clone());
        Options::default().clock(move || clock.0.lock().unwrap().0).wall_clock(move || wall.wall())
    }

    fn wall(&self) -> SystemTime {
        self.0.lock().unwrap().1
    }

    fn pass(&self, time: Duration) {
        let mut clocks = self.0.lock().unwrap();
        *clocks = (clocks.0 + time, clocks.1 + time);
    }

    fn set(&self, wall: SystemTime) {
        self.0.lock().unwrap().1 = wall;
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn date(head: &str) -> SystemTime {
    httpdate::parse_http_date(field(head, "Date").unwrap()).unwrap()
}

/// The date of an answer over a new connection to the rig's server.
fn requested_date(rig: &mut Rig) -> SystemTime {
    let address = rig.address();
    let mut peer = rig.peer();
    peer.send(&get(address, "/"));
    date(&rig.head(&mut peer))
}

#[test]
fn dates_follow_clock_changes_and_sleep() {
    let clocks = Clocks::new();
    let mut rig = Rig::with(clocks.options(), ServerConfig::new());
    assert_eq!(requested_date(&mut rig), clocks.wall(), "the endpoint's clock, from the start on");
    let now = clocks.wall();
    for wall in [now + 2 * HOUR, now - 2 * HOUR, now + 8 * 24 * HOUR, now - SECOND, now] {
        clocks.set(wall);
        clocks.pass(SECOND);
        assert_eq!(requested_date(&mut rig), wall + SECOND);
    }
    // After idle hours, the first answer is right already.
    clocks.pass(5 * HOUR);
    assert_eq!(requested_date(&mut rig), clocks.wall());
    // Over an older connection.
    let address = rig.address();
    let mut peer = rig.peer();
    peer.send(&get(address, "/"));
    rig.head(&mut peer);
    for wall in [now - 2 * HOUR, now] {
        clocks.set(wall);
        clocks.pass(SECOND);
        rig.until("its body", |_| {
            peer.read();
            peer.got == b"hello"
        });
        peer.got.clear();
        peer.send(&get(address, "/"));
        assert_eq!(date(&rig.head(&mut peer)), wall + SECOND);
    }
}

#[test]
fn answers_between_turns_and_of_the_engine_have_current_dates() {
    let clocks = Clocks::new();
    let mut rig = Rig::with(clocks.options(), ServerConfig::new());
    rig.app.hold = true;
    let address = rig.address();
    let mut peer = rig.peer();
    peer.send(&get(address, "/"));
    rig.until("the request", |rig| rig.app.requests.len() == 1);
    clocks.set(clocks.wall() - 2 * HOUR);
    clocks.pass(30 * SECOND);
    let (id, request) = rig.app.requests.pop().unwrap();
    rig.endpoint.connections().respond(id, request, ok("late")).unwrap();
    let answered = clocks.wall();
    clocks.pass(HOUR);
    assert_eq!(date(&rig.head(&mut peer)), answered);

    let mut peer = rig.peer();
    peer.send(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert_eq!(date(&rig.head(&mut peer)), clocks.wall());
    let mut peer = rig.peer();
    peer.send(&get(address, "/"));
    rig.until("the request", |rig| rig.app.requests.len() == 1);
    clocks.pass(60 * SECOND);
    let head = rig.head(&mut peer);
    assert!(head.starts_with("HTTP/1.1 503 ") && date(&head) == clocks.wall(), "{head}");
}

#[test]
fn every_server_of_an_endpoint_sends_dates() {
    let clocks = Clocks::new();
    let given = WallClock::new(UNIX_EPOCH);
    let mut endpoint = Endpoint::with(clocks.options()).unwrap();
    clocks.pass(HOUR);
    let connections = endpoint.connections();
    let mut servers = vec![
        connections.listen(Bind::localhost(), ServerConfig::new()).unwrap(),
        connections.listen(Bind::localhost(), ServerConfig::new().wall_clock(given.clone())).unwrap(),
        connections.listen(Bind::localhost(), ServerConfig::new().wall_clock(given.clone())).unwrap(),
    ];
    assert_eq!(given.get(), Some(clocks.wall()), "kept set from the start on");
    for set_back in [2 * HOUR, Duration::ZERO] {
        clocks.set(clocks.wall() - set_back);
        clocks.pass(SECOND);
        servers.push(endpoint.connections().listen(Bind::localhost(), ServerConfig::new()).unwrap());
        for server in servers.clone() {
            let mut rig = Rig { endpoint, server, app: App::default() };
            assert_eq!(requested_date(&mut rig), clocks.wall());
            endpoint = rig.endpoint;
        }
        assert_eq!(given.get(), Some(clocks.wall()));
    }
}

#[test]
fn a_future_modification_time_is_capped_at_the_date_and_the_etag_kept() {
    let temp = Temp::new("future");
    let modify = |seconds| {
        let file = File::options().write(true).open(temp.public().join("hello.txt")).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    };
    let clocks = Clocks::new();
    let mut served = Served::with(clocks.options(), &temp.public());
    let mut ask = |request: &str| served.ask(request).0;
    modify(DAY - 1);
    let head = ask("GET /hello.txt");
    assert!(head.contains("\r\nlast-modified: sun, 06 nov 1994 08:49:36 gmt"), "{head}");
    let mut etags = vec![head.split("etag: ").nth(1).unwrap().lines().next().unwrap().to_owned()];
    for future in [1, 2_000, 1_000_000_000] {
        modify(DAY + future);
        let ranged = "GET /hello.txt\nRange: bytes=1-2";
        for (request, status) in [("GET /hello.txt", "200"), ("HEAD /hello.txt", "200"), (ranged, "206")] {
            let head = ask(request);
            assert!(head.starts_with(&format!("http/1.1 {status} ")), "{head}");
            assert!(head.contains("\r\nlast-modified: sun, 06 nov 1994 08:49:37 gmt"), "{head}");
        }
        let etag = ask("GET /hello.txt").split("etag: ").nth(1).unwrap().lines().next().unwrap().to_owned();
        let head = ask(&format!("GET /hello.txt\nIf-None-Match: {etag}"));
        assert!(head.starts_with("http/1.1 304 "), "{head}");
        assert!(head.contains("\r\nlast-modified: sun, 06 nov 1994 08:49:37 gmt"), "{head}");
        assert!(!etags.contains(&etag), "the real time is in it");
        etags.push(etag);
        let head = ask("GET /hello.txt\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT");
        assert!(head.starts_with("http/1.1 200 "), "it is later than what was sent: {head}");
    }
}

#[test]
fn header_names_are_spelled_as_in_rfc_6455() {
    let mut rig = Rig::new(ServerConfig::new());
    rig.app.hold = true;
    let address = rig.address();
    let mut peer = rig.peer();
    peer.send(&with_fields(handshake(address, "/"), "Sec-WebSocket-Protocol: chat\r\n"));
    rig.until("the upgrade", |rig| rig.app.upgrades.len() == 1);
    let (id, mut upgrade) = rig.app.upgrades.pop().unwrap();
    upgrade.select_subprotocol("chat").unwrap();
    upgrade.set_header("set-cookie", "a=b").unwrap();
    rig.endpoint.connections().accept(id, upgrade).unwrap();
    assert_eq!(
        rig.head(&mut peer),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\
         Set-Cookie: a=b\r\n\r\n"
    );
}

#[test]
fn a_client_uses_that_spelling_too() {
    let mut endpoint = Endpoint::new().unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let request = ClientRequest::new(&format!("ws://{address}/")).unwrap();
    let request = request.origin("http://a.example").unwrap().subprotocol("chat").unwrap();
    let request = request.header("x-request-id", "7").unwrap();
    endpoint.connections().connect(request, ClientConfig::new()).unwrap();
    let mut peer = None;
    let head = loop {
        endpoint.poll(Some(Duration::from_millis(1)), |_, _| {}).unwrap();
        let peer: &mut Peer = peer.get_or_insert_with(|| Peer::new(listener.accept().unwrap().0));
        if let Some(head) = peer.take_head() {
            break head;
        }
    };
    for name in [
        "Host",
        "Upgrade",
        "Connection",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "Sec-WebSocket-Protocol",
        "Origin",
        "X-Request-ID",
    ] {
        assert_eq!(head.matches(&format!("\r\n{name}: ")).count(), 1, "{name}: {head}");
    }
    assert_eq!(field(&head, "Connection"), Some("Upgrade"));
}

#[test]
fn any_key_of_16_bytes_in_24_characters_is_answered_as_sent() {
    let mut rig = Rig::new(ServerConfig::new());
    let address = rig.address();
    let mut answer = |key: &str| {
        let request = String::from_utf8(handshake(address, "/")).unwrap();
        let mut peer = rig.peer();
        peer.send(request.replace("dGhlIHNhbXBsZSBub25jZQ==", key).as_bytes());
        rig.head(&mut peer)
    };
    for key in ["AQIDBAUGBwgJCgsMDQ4PEC==", "AQIDBAUGBwgJCgsMDQ4PEA==", "AQIDBAUGBwgJCgsMDQ4P//=="] {
        for sent in [key.to_owned(), format!("\t {key} \t")] {
            let head = answer(&sent);
            assert!(head.starts_with("HTTP/1.1 101 "), "{key}: {head}");
            assert_eq!(field(&head, "Sec-WebSocket-Accept"), Some(&*accept_key(key)));
        }
    }
    for key in [
        "AQIDBAUGBwgJCgsMDQ4PEC=",
        "AQIDBAUGBwgJCgsMDQ4PEC",
        "AQIDBAUGBwgJCgsMDQ4PECA=",
        "AQIDBAUGBwgJCgsMDQ4PECAA",
        "AQIDBAUGBwgJCgsMDQ4P-_==",
        "AQIDBAUGBwgJ CgsMDQ4PE==",
        "AQIDBAUGBwgJCgsMDQ4PEC= =",
    ] {
        assert!(answer(key).starts_with("HTTP/1.1 400 "), "{key}");
    }
}

#[test]
fn a_client_retries_at_the_retry_after_date_relative_to_the_answers_date() {
    for (status, fields, least) in [
        (503, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:51:37 GMT\r\n", 120),
        (429, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sunday, 06-Nov-94 08:50:37 GMT\r\n", 60),
        (503, "Date: Sun Nov  6 08:49:37 1994\r\nRetry-After: Tue, 06 Nov 2029 08:49:37 GMT\r\n", 3600),
        (503, "Retry-After: 90\r\n", 90),
        // Ordinary back-off: no `Date` to count from, or no time left.
        (503, "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n", 0),
        (503, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 0),
        (503, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 0),
    ] {
        let mut rig = Both::new();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let config = ClientConfig::default().reconnect(Reconnect::default());
        let client = rig.connections().connect(url, config).unwrap();
        rig.turn();
        let mut peer = Peer::new(listener.accept().unwrap().0);
        rig.until("the request", |_| peer.take_head().is_some());
        peer.send(format!("HTTP/1.1 {status} No\r\n{fields}Content-Length: 0\r\n\r\n").as_bytes());
        let (_, delay) = rig.reconnecting(client);
        let least = Duration::from_secs(least);
        assert!(delay >= least, "{fields}: {delay:?}");
        assert!(delay <= least.max(Duration::from_millis(500)), "{fields}: {delay:?}");
    }
}

#[test]
fn an_event_stream_disables_proxy_buffering() {
    let mut rig = Rig::new(ServerConfig::new());
    rig.app.hold = true;
    let address = rig.address();
    let mut peer = rig.peer();
    peer.send(&get(address, "/events"));
    rig.until("the request", |rig| rig.app.requests.len() == 1);
    let (id, request) = rig.app.requests.pop().unwrap();
    let _body = rig.endpoint.connections().respond_streaming(id, request, sse::head(), None).unwrap();
    let head = rig.head(&mut peer);
    assert_eq!(field(&head, "X-Accel-Buffering"), Some("no"), "{head}");
    assert_eq!(field(&head, "Content-Type"), Some("text/event-stream"), "{head}");
}

/// Everything until EOF, which must come.
fn all(rig: &mut Rig, peer: &mut Peer) -> String {
    rig.end(peer);
    assert_eq!(peer.ended, Some(Ok(())), "an orderly end");
    String::from_utf8(std::mem::take(&mut peer.got)).unwrap()
}

#[test]
fn nothing_is_served_behind_an_upgrade_that_the_application_rejects() {
    let no = || http::Response::builder().status(404).body(Bytes::from("no")).unwrap();
    for (answer, status) in [(no(), 404), (upgrade_required(), 426)] {
        for behind in ["GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n", "\u{1}\u{2}", ""] {
            for later in ["", behind] {
                let mut rig = Rig::new(ServerConfig::new());
                rig.app.hold = true;
                let address = rig.address();
                let mut peer = rig.peer();
                peer.send(
                    &[get(address, "/before"), handshake(address, "/ws"), behind.as_bytes().to_vec()]
                        .concat(),
                );
                rig.until("the upgrade", |rig| rig.app.upgrades.len() == 1);
                let (id, upgrade) = rig.app.upgrades.pop().unwrap();
                rig.endpoint.connections().respond(id, upgrade, answer.clone()).unwrap();
                peer.send(later.as_bytes());
                rig.turn();
                let (id, request) = rig.app.requests.pop().unwrap();
                rig.endpoint.connections().respond(id, request, ok("before")).unwrap();
                let got = all(&mut rig, &mut peer);
                assert!(got.starts_with("HTTP/1.1 200 "), "earlier requests are answered: {got}");
                assert_eq!(got.matches("HTTP/1.1").count(), 2, "{got}");
                let rejection = &got[got.rfind("HTTP/1.1").unwrap()..];
                assert!(rejection.starts_with(&format!("HTTP/1.1 {status} ")), "{got}");
                let connection = if status == 426 { "Upgrade, close" } else { "close" };
                assert_eq!(field(rejection, "Connection"), Some(connection), "{got}");
                assert_eq!(rig.app.count(|seen| matches!(seen, Seen::Request(..))), 1, "{:?}", rig.app.seen);
            }
        }
    }
}

#[test]
fn nothing_is_served_behind_an_upgrade_rejected_by_the_engine_or_for_want_of_a_token() {
    const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let server = || ServerConfig::new();
    let asks = |change: fn(String) -> String| {
        move |address| change(String::from_utf8(handshake(address, "/ws")).unwrap()) + SMUGGLED
    };
    type Ask = Box<dyn Fn(std::net::SocketAddr) -> String>;
    let cases: [(ServerConfig, Ask, u16); 6] = [
        (server(), Box::new(asks(|ask| ask.replace("Version: 13", "Version: 8"))), 426),
        (
            server(),
            Box::new(asks(|ask| ask.replace("\r\n\r\n", "\r\nOrigin: http://evil.example\r\n\r\n"))),
            403,
        ),
        (server(), Box::new(asks(|ask| ask.replace("Sec-WebSocket-Key", "X"))), 400),
        (server(), Box::new(asks(|ask| ask.replace("GET /ws", "POST /ws"))), 405),
        (server(), Box::new(asks(|ask| ask.replace("Host: 127.0.0.1", "Host: evil.example"))), 421),
        (server().require_token(Token::from_random([3; 16])), Box::new(asks(|ask| ask)), 401),
    ];
    for (config, ask, status) in cases {
        let mut rig = Rig::new(config);
        let address = rig.address();
        let mut peer = rig.peer();
        peer.send(ask(address).as_bytes());
        let got = all(&mut rig, &mut peer);
        assert!(got.starts_with(&format!("HTTP/1.1 {status} ")), "{got}");
        assert_eq!(got.matches("HTTP/1.1").count(), 1, "{got}");
        let connection = if status == 426 { "Upgrade, close" } else { "close" };
        assert_eq!(field(&got, "Connection"), Some(connection), "{got}");
        assert!(rig.app.seen.is_empty(), "{:?}", rig.app.seen);
    }
}

#[test]
fn nothing_is_served_behind_an_upgrade_dropped_late_or_during_a_stop() {
    for case in 0..3 {
        let clock = Clock::default();
        let mut rig = Rig::with(clock.on(Options::default()), ServerConfig::new());
        rig.app.hold = true;
        let address = rig.address();
        let mut peer = rig.peer();
        peer.send(&[handshake(address, "/ws"), get(address, "/smuggled")].concat());
        rig.until("the upgrade", |rig| rig.app.upgrades.len() == 1);
        match case {
            0 => rig.app.upgrades.clear(),
            1 => clock.pass(10 * SECOND),
            _ => rig.endpoint.connections().server(rig.server).stop(HOUR),
        }
        // A connection notices a dropped upgrade when it is next visited.
        peer.send(b"more");
        clock.pass(Duration::from_millis(1));
        if case == 0 {
            clock.pass(10 * SECOND);
        }
        let got = all(&mut rig, &mut peer);
        assert!(got.starts_with("HTTP/1.1 503 ") && got.matches("HTTP/1.1").count() == 1, "{case}: {got}");
        assert_eq!(field(&got, "Connection"), Some("close"), "{got}");
        assert!(rig.app.requests.is_empty(), "{case}");
    }
}

#[test]
fn a_request_for_another_upgrade_or_none_is_served_and_kept_alive() {
    let mut rig = Rig::new(ServerConfig::new());
    rig.app.also = Some(Box::new(|_, event| {
        assert!(!matches!(event, Event::Upgrade(..)));
    }));
    let address = rig.address();
    let ask = String::from_utf8(handshake(address, "/")).unwrap();
    let mut peer = rig.peer();
    for request in [
        ask.replace("Upgrade: websocket", "Upgrade: h2c"),
        ask.replace("Upgrade: websocket\r\n", ""),
        ask.replace("Connection: Upgrade\r\n", ""),
    ] {
        peer.send(request.as_bytes());
        assert_eq!(rig.response(&mut peer), (200, "hello".to_owned()), "{request}");
    }
    assert_eq!(peer.ended, None);
}
