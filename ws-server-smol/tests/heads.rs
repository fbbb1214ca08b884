//! Heads as they stand on the wire: dates, spelling, keys, and what stands behind a refused upgrade.

#![allow(clippy::unwrap_used, clippy::panic)] // that is how a test fails

mod common;
#[path = "../../ws-server-mio/tests/common/peer.rs"]
mod peer;
use bytes::Bytes;
use common::{listener, pair, run};
use futures_lite::{AsyncReadExt, AsyncWriteExt, FutureExt, future};
use peer::*;
use std::cell::RefCell;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use ws_server_smol::ws_proto::handshake::{accept_key, upgrade_required};
use ws_server_smol::ws_proto::web::sse;
use ws_server_smol::ws_proto::{ClientRequest, Reconnect, WallClock};
use ws_server_smol::{
    Acceptor, Bind, Client, ClientConfig, ClientEvent, Config, Folder, Incoming, Server, ServerConfig,
    Socket, Token, connect,
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
/// Sun, 06 Nov 1994 08:49:37 GMT.
const DAY: u64 = 784_111_777;

/// Both clocks as they are compared, which only the test moves.
#[derive(Clone)]
struct Clocks(Arc<Mutex<(Instant, SystemTime)>>);

impl Clocks {
    fn new() -> Self {
        Self(Arc::new(Mutex::new((Instant::now(), UNIX_EPOCH + Duration::from_secs(DAY)))))
    }

    fn server(&self, config: impl Into<ServerConfig>) -> Server {
        let clocks = self.0.clone();
        let server = Server::with_sleep_clocks(config, move || *clocks.lock().unwrap());
        server.listen(Bind::localhost()).unwrap();
        server
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

fn ok(body: &'static str) -> http::Response<Bytes> {
    http::Response::new(Bytes::from_static(body.as_bytes()))
}

/// Lets the others run until it is there.
async fn got<T>(mut look: impl FnMut() -> Option<T>) -> T {
    loop {
        match look() {
            Some(there) => return there,
            None => future::yield_now().await,
        }
    }
}

impl Peer {
    async fn head(&mut self) -> String {
        got(|| self.take_head()).await
    }

    /// All that comes until the end, of which there must be one.
    async fn all(&mut self) -> String {
        got(|| {
            self.read();
            self.ended
        })
        .await
        .unwrap();
        String::from_utf8(std::mem::take(&mut self.got)).unwrap()
    }
}

/// A peer that has sent a request.
fn sent(server: &Server, request: impl FnOnce(SocketAddr) -> Vec<u8>) -> Peer {
    let address = server.local_addr().unwrap();
    let mut peer = Peer::connect(address);
    peer.send(&request(address));
    peer
}

/// Greets who asks.
async fn hello(mut http: Acceptor<Socket>) {
    while let Some(incoming) = http.next().await {
        match incoming {
            Incoming::Request(request) => http.respond(request, ok("hello")).await.unwrap(),
            Incoming::Upgrade(upgrade) => return drop(http.accept(upgrade).await),
        }
    }
}

/// Runs a script beside a server.
async fn beside<T>(
    server: &Server,
    handler: impl AsyncFn(Acceptor<Socket>),
    script: impl Future<Output = T>,
) -> T {
    let serving = async {
        server.serve(handler).await;
        future::pending().await
    };
    serving.or(script).await
}

#[test]
fn the_date_follows_a_wall_clock_that_is_set_and_time_that_was_slept() {
    let clocks = Clocks::new();
    let server = clocks.server(Config::server());
    run(beside(&server, hello, async {
        let date_now = async || date(&sent(&server, |address| get(address, "/")).head().await);
        assert_eq!(date_now().await, clocks.wall());
        let now = clocks.wall();
        let mut kept = sent(&server, |address| get(address, "/"));
        assert_eq!(got(|| kept.take_response()).await.0, 200);
        for wall in [now + 2 * HOUR, now - 2 * HOUR, now + 8 * 24 * HOUR, now - SECOND, now] {
            clocks.set(wall);
            clocks.pass(SECOND);
            assert_eq!(date_now().await, wall + SECOND);
            // Over a connection that was there before.
            kept.send(&get(server.local_addr().unwrap(), "/"));
            let head = kept.head().await;
            assert_eq!(date(&head), wall + SECOND);
            got(|| {
                kept.read();
                (kept.got == b"hello").then(|| kept.got.clear())
            })
            .await;
        }
        // Nothing happened for hours: the first answer is right already.
        clocks.pass(5 * HOUR);
        assert_eq!(date_now().await, clocks.wall());
        // What the engine answers by itself.
        clocks.pass(HOUR);
        let mut peer = sent(&server, |_| b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_vec());
        assert_eq!(date(&peer.head().await), clocks.wall());
    }));
}

#[test]
fn an_answer_that_comes_late_has_the_date_of_its_time() {
    let clocks = Clocks::new();
    let server = clocks.server(Config::server());
    run(async {
        let mut peers: Vec<_> = (0..3).map(|_| sent(&server, |address| get(address, "/"))).collect();
        for (case, peer) in peers.iter_mut().enumerate() {
            let mut http = server.accept().await.unwrap();
            let Some(Incoming::Request(request)) = http.next().await else { panic!("no request") };
            // Meanwhile nobody polls the connection.
            clocks.set(clocks.wall() - 2 * HOUR);
            clocks.pass(30 * SECOND);
            let answered = clocks.wall();
            match case {
                0 => http.respond(request, ok("late")).await.unwrap(),
                1 => http.responder().respond(request, ok("late")).unwrap(),
                _ => {
                    let body = http.responder().respond_streaming(request, sse::head(), None).unwrap();
                    body.finish().unwrap();
                }
            }
            clocks.pass(HOUR);
            let driving = async {
                http.next().await;
                panic!("it ended")
            };
            assert_eq!(date(&driving.or(peer.head()).await), answered, "{case}");
        }
    });
}

#[test]
fn a_server_that_listens_again_and_one_with_a_clock_of_its_own_are_dated() {
    let clocks = Clocks::new();
    let given = WallClock::new(UNIX_EPOCH);
    for config in [Config::server(), Config::server().wall_clock(given.clone())] {
        let server = clocks.server(config);
        run(async {
            for set_back in [2 * HOUR, Duration::ZERO] {
                clocks.set(clocks.wall() - set_back);
                clocks.pass(SECOND);
                let asking = async { date(&sent(&server, |address| get(address, "/")).head().await) };
                assert_eq!(beside(&server, hello, asking).await, clocks.wall());
                server.stop(Duration::ZERO).await;
                server.listen(Bind::localhost()).unwrap();
            }
        });
    }
    assert_eq!(given.get(), Some(clocks.wall()), "it is kept set");
}

#[test]
fn a_stream_without_a_server_is_dated_where_its_configuration_has_a_clock() {
    run(async {
        let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_secs();
        for clock in [Some(WallClock::new(UNIX_EPOCH)), None] {
            let (mut client, server) = pair().await;
            let mut config = Config::server();
            config.wall_clock = clock.clone();
            let mut http = Acceptor::new(server, Arc::new(config));
            let before = seconds(SystemTime::now());
            client
                .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                .await
                .unwrap();
            let Some(Incoming::Request(request)) = http.next().await else { panic!("no request") };
            http.respond(request, ok("hello")).await.unwrap();
            let driving = async {
                while http.next().await.is_some() {}
                future::pending().await
            };
            let mut answer = String::new();
            let reading = async { client.read_to_string(&mut answer).await };
            driving.or(reading).await.unwrap();
            let after = seconds(SystemTime::now());
            match clock {
                // The clock of the system, and not what it was made with.
                Some(_) => {
                    let date = seconds(date(&answer));
                    assert!(before <= date + 1 && date <= after, "{before} {after} {answer}");
                }
                None => assert_eq!(field(&answer, "Date"), None, "{answer}"),
            }
        }
    });
}

#[test]
fn a_file_of_the_future_was_last_modified_at_the_date_and_keeps_its_own_etag() {
    let root = std::env::temp_dir().join(format!("ws-server-smol-{}-heads", std::process::id()));
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("hello.txt"), "hello").unwrap();
    let modify = |seconds| {
        let file = File::options().write(true).open(root.join("hello.txt")).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    };
    let folder = Folder::new(&root).unwrap();
    let clocks = Clocks::new();
    let server = clocks.server(Config::server());
    let serve = async |mut http: Acceptor<Socket>| {
        while let Some(Incoming::Request(request)) = http.next().await {
            http.respond_file(request, &folder).await.unwrap();
        }
    };
    run(beside(&server, serve, async {
        let ask = async |fields: &str| {
            let get = |address| with_fields(get(address, "/hello.txt"), fields);
            sent(&server, get).head().await
        };
        let last_modified = |head: &str| field(head, "Last-Modified").unwrap().to_owned();
        modify(DAY - 1);
        let head = ask("").await;
        assert_eq!(last_modified(&head), "Sun, 06 Nov 1994 08:49:36 GMT");
        let mut etags = vec![field(&head, "ETag").unwrap().to_owned()];
        for future in [1, 2_000, 1_000_000_000] {
            modify(DAY + future);
            for fields in ["", "Range: bytes=1-2\r\n"] {
                assert_eq!(last_modified(&ask(fields).await), "Sun, 06 Nov 1994 08:49:37 GMT");
            }
            let etag = field(&ask("").await, "ETag").unwrap().to_owned();
            let head = ask(&format!("If-None-Match: {etag}\r\n")).await;
            assert!(head.starts_with("HTTP/1.1 304 "), "{head}");
            assert_eq!(last_modified(&head), "Sun, 06 Nov 1994 08:49:37 GMT");
            assert!(!etags.contains(&etag), "the real time is in it");
            etags.push(etag);
            let head = ask("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n").await;
            assert!(head.starts_with("HTTP/1.1 200 "), "it is later than what was told: {head}");
        }
    }));
    fs::remove_dir_all(&root).unwrap();
}

#[test]
fn names_are_spelled_as_rfc_6455_spells_them() {
    let server = Server::bind(Bind::localhost(), Config::server()).unwrap();
    let accept = async |mut http: Acceptor<Socket>| {
        let Some(Incoming::Upgrade(mut upgrade)) = http.next().await else { panic!("no upgrade") };
        upgrade.select_subprotocol("chat").unwrap();
        upgrade.set_header("set-cookie", "a=b").unwrap();
        http.accept(upgrade).await.unwrap();
    };
    let ask = |address| with_fields(handshake(address, "/"), "Sec-WebSocket-Protocol: chat\r\n");
    let head = run(beside(&server, accept, async { sent(&server, ask).head().await }));
    assert_eq!(
        head,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\
         Set-Cookie: a=b\r\n\r\n"
    );
}

#[test]
fn a_client_asks_in_that_spelling_too() {
    run(async {
        let (listener, address) = listener();
        let request = ClientRequest::new(&format!("ws://{address}/")).unwrap();
        let request = request.origin("http://a.example").unwrap().subprotocol("chat").unwrap();
        let request = request.header("x-request-id", "7").unwrap();
        let asking = async {
            let _ = connect(request, Config::client()).await;
            future::pending().await
        };
        let reading = async {
            let stream = listener.accept().await.unwrap().0.into_inner().unwrap();
            Peer::new(stream).head().await
        };
        let head = asking.or(reading).await;
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
    });
}

#[test]
fn any_24_characters_of_16_bytes_are_a_key_and_are_answered_as_they_came() {
    let server = Server::bind(Bind::localhost(), Config::server()).unwrap();
    run(beside(&server, hello, async {
        let answer = async |key: &str| {
            let ask = |address| {
                let request = String::from_utf8(handshake(address, "/")).unwrap();
                request.replace("dGhlIHNhbXBsZSBub25jZQ==", key).into_bytes()
            };
            sent(&server, ask).head().await
        };
        for key in ["AQIDBAUGBwgJCgsMDQ4PEC==", "AQIDBAUGBwgJCgsMDQ4PEA==", "AQIDBAUGBwgJCgsMDQ4P//=="] {
            for sent in [key.to_owned(), format!("\t {key} \t")] {
                let head = answer(&sent).await;
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
            assert!(answer(key).await.starts_with("HTTP/1.1 400 "), "{key}");
        }
    }));
}

#[test]
fn a_client_comes_back_at_the_date_that_it_is_told_by_the_date_of_the_answer() {
    for (status, fields, least) in [
        (503, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:51:37 GMT\r\n", 120),
        (429, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sunday, 06-Nov-94 08:50:37 GMT\r\n", 60),
        (503, "Date: Sun Nov  6 08:49:37 1994\r\nRetry-After: Tue, 06 Nov 2029 08:49:37 GMT\r\n", 3600),
        (503, "Retry-After: 90\r\n", 90),
        // Ordinary back-off: nothing to count from, or nothing left of it.
        (503, "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n", 0),
        (503, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 0),
        (503, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 0),
    ] {
        run(async {
            let (listener, address) = listener();
            let config = ClientConfig::default().reconnect(Reconnect::default());
            let mut client = Client::new(format!("ws://{address}/"), config).unwrap();
            let waiting = async {
                loop {
                    if let Some(ClientEvent::Waiting { delay, .. }) = client.next_event().await {
                        break delay;
                    }
                }
            };
            let answering = async {
                let mut peer = Peer::new(listener.accept().await.unwrap().0.into_inner().unwrap());
                peer.head().await;
                peer.send(format!("HTTP/1.1 {status} No\r\n{fields}Content-Length: 0\r\n\r\n").as_bytes());
                peer
            };
            let (delay, _peer) = future::zip(waiting, answering).await;
            let least = Duration::from_secs(least);
            assert!(delay >= least, "{fields}: {delay:?}");
            assert!(delay <= least.max(Duration::from_millis(500)), "{fields}: {delay:?}");
        });
    }
}

#[test]
fn an_event_stream_tells_proxies_not_to_collect_it() {
    let server = Server::bind(Bind::localhost(), Config::server()).unwrap();
    let stream = async |mut http: Acceptor<Socket>| {
        let Some(Incoming::Request(request)) = http.next().await else { panic!("no request") };
        let _body = http.respond_streaming(request, sse::head(), None).unwrap();
        http.next().await;
    };
    let asking = async { sent(&server, |address| get(address, "/events")).head().await };
    let head = run(beside(&server, stream, asking));
    assert_eq!(field(&head, "X-Accel-Buffering"), Some("no"), "{head}");
    assert_eq!(field(&head, "Content-Type"), Some("text/event-stream"), "{head}");
}

#[test]
fn behind_an_upgrade_that_the_application_refuses_nothing_is_served() {
    let no = || http::Response::builder().status(404).body(Bytes::from("no")).unwrap();
    for (answer, status) in [(no(), 404), (upgrade_required(), 426)] {
        for behind in ["GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n", "\u{1}\u{2}", ""] {
            let seen = RefCell::new(Vec::new());
            let server = Server::bind(Bind::localhost(), Config::server()).unwrap();
            let refuse = async |mut http: Acceptor<Socket>| {
                let mut before = None;
                while let Some(incoming) = http.next().await {
                    match incoming {
                        Incoming::Request(request) => {
                            seen.borrow_mut().push(request.path().to_owned());
                            before = Some(request);
                        }
                        Incoming::Upgrade(upgrade) => {
                            // Refused before what came before it is answered.
                            http.responder().respond(upgrade, answer.clone()).unwrap();
                            http.respond(before.take().unwrap(), ok("before")).await.unwrap();
                        }
                    }
                }
                assert!(http.closed().is_none_or(|closed| closed.error.is_none()), "{:?}", http.closed());
            };
            let asking = async {
                let ask = |address| {
                    [get(address, "/before"), handshake(address, "/ws"), behind.as_bytes().to_vec()].concat()
                };
                sent(&server, ask).all().await
            };
            let got = run(beside(&server, refuse, asking));
            assert!(got.starts_with("HTTP/1.1 200 "), "what came before is answered: {got}");
            assert_eq!(got.matches("HTTP/1.1").count(), 2, "{got}");
            let refusal = &got[got.rfind("HTTP/1.1").unwrap()..];
            assert!(refusal.starts_with(&format!("HTTP/1.1 {status} ")), "{got}");
            let connection = if status == 426 { "Upgrade, close" } else { "close" };
            assert_eq!(field(refusal, "Connection"), Some(connection), "{got}");
            assert_eq!(seen.take(), ["/before"]);
        }
    }
}

#[test]
fn behind_an_upgrade_refused_by_the_engine_or_for_want_of_a_token_nothing_is_served() {
    const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let config = || ServerConfig::from(Config::server());
    type Change = fn(String) -> String;
    let cases: [(ServerConfig, Change, u16); 6] = [
        (config(), |ask| ask.replace("Version: 13", "Version: 8"), 426),
        (config(), |ask| ask.replace("\r\n\r\n", "\r\nOrigin: http://evil.example\r\n\r\n"), 403),
        (config(), |ask| ask.replace("Sec-WebSocket-Key", "X"), 400),
        (config(), |ask| ask.replace("GET /ws", "POST /ws"), 405),
        (config(), |ask| ask.replace("Host: 127.0.0.1", "Host: evil.example"), 421),
        (config().require_token(Token::from_random([3; 16])), |ask| ask, 401),
    ];
    for (config, change, status) in cases {
        let server = Server::bind(Bind::localhost(), config).unwrap();
        let nothing = async |mut http: Acceptor<Socket>| assert!(http.next().await.is_none());
        let ask =
            |address| (change(String::from_utf8(handshake(address, "/ws")).unwrap()) + SMUGGLED).into_bytes();
        let got = run(beside(&server, nothing, async { sent(&server, ask).all().await }));
        assert!(got.starts_with(&format!("HTTP/1.1 {status} ")), "{got}");
        assert_eq!(got.matches("HTTP/1.1").count(), 1, "{got}");
        let connection = if status == 426 { "Upgrade, close" } else { "close" };
        assert_eq!(field(&got, "Connection"), Some(connection), "{got}");
    }
}

#[test]
fn behind_an_upgrade_that_is_dropped_too_late_or_too_late_for_a_server_that_stops_nothing_is_served() {
    for case in 0..3 {
        let mut config = Config::server();
        if case == 1 {
            config.handshake_timeout = Duration::from_millis(20);
        }
        let server = Server::bind(Bind::localhost(), config).unwrap();
        let held = RefCell::new(None);
        let handle = async |mut http: Acceptor<Socket>| {
            let Some(Incoming::Upgrade(upgrade)) = http.next().await else { panic!("no upgrade") };
            match case {
                0 => drop(upgrade),
                _ => *held.borrow_mut() = Some(upgrade),
            }
            assert!(http.next().await.is_none(), "{case}");
        };
        let got = run(beside(&server, handle, async {
            let ask = |address| [handshake(address, "/ws"), get(address, "/smuggled")].concat();
            let mut peer = sent(&server, ask);
            if case == 2 {
                got(|| held.borrow().is_some().then_some(())).await;
                // It stops once the peer has gone.
                let all = async move { peer.all().await };
                return future::zip(server.stop(HOUR), all).await.1;
            }
            peer.all().await
        }));
        assert!(got.starts_with("HTTP/1.1 503 ") && got.matches("HTTP/1.1").count() == 1, "{case}: {got}");
        assert_eq!(field(&got, "Connection"), Some("close"), "{got}");
    }
}

#[test]
fn a_request_that_asks_for_another_upgrade_or_for_none_is_served_and_kept_alive() {
    let server = Server::bind(Bind::localhost(), Config::server()).unwrap();
    run(beside(&server, hello, async {
        let address = server.local_addr().unwrap();
        let ask = String::from_utf8(handshake(address, "/")).unwrap();
        let mut peer = Peer::connect(address);
        for request in [
            ask.replace("Upgrade: websocket", "Upgrade: h2c"),
            ask.replace("Upgrade: websocket\r\n", ""),
            ask.replace("Connection: Upgrade\r\n", ""),
        ] {
            peer.send(request.as_bytes());
            assert_eq!(got(|| peer.take_response()).await, (200, "hello".to_owned()), "{request}");
        }
        assert_eq!(peer.ended, None);
    }));
}
