//! Cross-origin pages: preflights, and which origins may read which answer; and what may accompany a token.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;

use common::{once, run};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use std::cell::RefCell;
use std::net::{SocketAddr, TcpStream};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use ws_server_smol::{Bind, Cors, HttpConnection, Incoming, Server, ServerConfig, Socket, Token};

const DEV: &str = "http://localhost:5173";
const EVIL: &str = "http://evil.example";
const TOKEN: &str = "BwcHBwcHBwcHBwcHBwcHBw";
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const PREFLIGHT: &str =
    "Access-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: authorization\r\n";

fn named() -> ServerConfig {
    ServerConfig::new().cors(Cors::new().origin(DEV))
}

fn with_token(config: ServerConfig) -> ServerConfig {
    config.require_token(Token::from_random([7; 16]))
}

/// The requests that the application received, as printed.
type Requests = RefCell<Vec<String>>;

/// Answers everything, `/stream` as a streaming response, `/own` with its own header field, and drops `/drop`.
async fn answer(mut http: HttpConnection<Socket>, requests: &Requests) {
    while let Some(incoming) = http.next().await {
        requests.borrow_mut().push(format!("{incoming:?}"));
        match incoming {
            Incoming::Upgrade(upgrade) => {
                let Ok(mut ws) = http.accept(upgrade).await else { return };
                while ws.next().await.is_some() {}
                return;
            }
            Incoming::Request(request) if request.path() == "/stream" => {
                let body = http.respond_streaming(request, http::Response::new(()), Some(0)).unwrap();
                body.finish().unwrap();
            }
            Incoming::Request(request) if request.path() == "/own" => {
                let response = http::Response::builder().header("Access-Control-Allow-Origin", "*");
                http.respond(request, response.body("".into()).unwrap()).await.unwrap();
            }
            Incoming::Request(request) if request.path() == "/drop" => drop(request),
            Incoming::Request(request) => {
                let _ = http.respond(request, http::Response::new("".into())).await;
            }
        }
    }
}

/// Runs a script beside such a server; returns the requests that the application received.
fn serving(config: ServerConfig, script: impl AsyncFn(SocketAddr, &Requests)) {
    let server = Server::bind(Bind::localhost(), config).unwrap();
    let requests = Requests::default();
    run(async {
        let scripted = async {
            script(server.local_addr().unwrap(), &requests).await;
            server.stop(Duration::ZERO).await;
        };
        future::zip(server.serve(async |http| answer(http, &requests).await), scripted).await;
    });
}

async fn tcp(address: SocketAddr) -> Socket {
    async_io::Async::<TcpStream>::connect(address).await.unwrap().into()
}

/// The next head that arrives.
async fn head(stream: &mut Socket) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        answer.push(byte[0]);
    }
    String::from_utf8(answer).unwrap()
}

/// The head of the answer to this, on a new connection.
async fn ask(address: SocketAddr, line: &str, fields: impl AsRef<[u8]>) -> String {
    let mut stream = tcp(address).await;
    let first = format!("{line} HTTP/1.1\r\nHost: {address}\r\n");
    let request = [first.as_bytes(), fields.as_ref(), b"\r\n"].concat();
    stream.write_all(&request).await.unwrap();
    head(&mut stream).await
}

/// Drives a connection while it waits; no request of it may reach the application.
async fn beside<T>(http: &mut HttpConnection<Socket>, waiting: impl Future<Output = T>) -> T {
    let (mut next, mut waiting) = (pin!(http.next()), pin!(waiting));
    future::poll_fn(|cx| {
        assert!(next.as_mut().poll(cx).is_pending());
        waiting.as_mut().poll(cx)
    })
    .await
}

fn origin(origin: &str) -> String {
    format!("Origin: {origin}\r\n")
}

fn values<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    let fields = head.split("\r\n").filter_map(|line| line.split_once(": "));
    fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
}

fn readable(head: &str) -> bool {
    values(head, "access-control-allow-origin") == [DEV]
        && values(head, "access-control-allow-credentials") == ["true"]
        && values(head, "vary") == ["origin"]
}

fn has_cors(head: &str) -> bool {
    head.to_ascii_lowercase().contains("access-control-")
}

#[test]
fn a_preflight_needs_no_token_and_never_reaches_the_application() {
    serving(with_token(named()), async |at, requests| {
        for (from, is_allowed) in [(DEV, true), (EVIL, false)] {
            let answer = ask(at, "OPTIONS /api", origin(from) + PREFLIGHT).await;
            assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
            assert_eq!((readable(&answer), has_cors(&answer)), (is_allowed, is_allowed), "{answer}");
            if is_allowed {
                assert_eq!(values(&answer, "access-control-allow-methods"), ["PUT"]);
                assert_eq!(values(&answer, "access-control-allow-headers"), ["authorization"]);
            }
        }
        let answer = ask(at, "OPTIONS http://evil.example/", origin(DEV) + PREFLIGHT).await;
        assert!(answer.starts_with("HTTP/1.1 421 ") && !has_cors(&answer), "{answer}");
        let answer = ask(at, "OPTIONS /", origin(DEV)).await;
        assert!(
            answer.starts_with("HTTP/1.1 401 "),
            "an OPTIONS without preflight fields needs it: {answer}"
        );
        assert!(requests.borrow().is_empty(), "{requests:?}");
    });
}

#[test]
fn only_an_allowed_origin_may_read_the_answer_with_or_without_a_token() {
    serving(with_token(named()), async |at, _| {
        let shown = format!("Cookie: name=Zo\u{eb}; ws_token_{}={TOKEN}\r\n", at.port());
        for fields in ["", UPGRADE] {
            let answer = ask(at, "GET /", origin(DEV) + fields).await;
            assert!(answer.starts_with("HTTP/1.1 401 ") && readable(&answer), "{answer}");
        }
        for fields in [shown.clone(), format!("Authorization: Bearer {TOKEN}\r\n")] {
            let answer = ask(at, "GET /", origin(DEV) + &fields).await;
            assert!(answer.starts_with("HTTP/1.1 200 ") && readable(&answer), "{answer}");
        }
        let answer = ask(at, "GET /", origin(DEV) + &shown + UPGRADE).await;
        assert!(answer.starts_with("HTTP/1.1 101 ") && !has_cors(&answer), "named origins may: {answer}");
        for (fields, status) in [(origin(EVIL), 401), (origin(EVIL) + &shown, 200), (shown, 200)] {
            let answer = ask(at, "GET /", fields).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && !has_cors(&answer), "{answer}");
            assert_eq!(values(&answer, "vary"), ["origin"]);
        }
    });
}

#[test]
fn a_request_without_the_token_is_answered_before_its_body_and_before_100_continue() {
    serving(with_token(ServerConfig::new()), async |at, requests| {
        for (field, body) in [
            ("Content-Length: 5\r\n", "hello"),
            ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        ] {
            let fields = format!("Expect: 100-continue\r\n{field}");
            let answer = ask(at, "POST /", &fields).await;
            assert!(
                answer.starts_with("HTTP/1.1 401 ") && values(&answer, "connection") == ["close"],
                "{answer}"
            );
            assert!(requests.borrow().is_empty());

            let mut stream = tcp(at).await;
            let request = format!("POST /?token={TOKEN} HTTP/1.1\r\nHost: {at}\r\n{fields}\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            assert!(head(&mut stream).await.starts_with("HTTP/1.1 100 "));
            stream.write_all(body.as_bytes()).await.unwrap();
            assert!(head(&mut stream).await.starts_with("HTTP/1.1 200 "));
            assert_eq!(requests.borrow_mut().drain(..).count(), 1);
        }
    });
}

#[test]
fn closed_explains_a_missing_token_and_a_path_without_a_websocket() {
    let config = with_token(ServerConfig::new()).report_all_closes(true).upgrade_paths(["/ws"]);
    let server = Server::bind(Bind::localhost(), config).unwrap();
    let at = server.local_addr().unwrap();
    let link = format!("GET /other?token={TOKEN}");
    let cases = [
        ("GET /", "", 401, "lacks the credentials"),
        ("GET /ws", UPGRADE, 401, "lacks the credentials"),
        (&*link, UPGRADE, 404, "there is no WebSocket at \"/other\""),
    ];
    for (line, fields, status, explanation) in cases {
        run(async {
            let served = async {
                let mut http = server.accept().await.unwrap();
                assert!(http.next().await.is_none(), "the application sees nothing");
                http.closed().unwrap().to_string()
            };
            let (text, answer) = future::zip(served, ask(at, line, fields)).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            assert!(text.contains(explanation), "{text}");
        });
    }
}

#[test]
fn the_token_and_the_paths_apply_without_a_server_too() {
    let config = with_token(ServerConfig::new()).upgrade_paths(["/ws"]).connection_config();
    let config = Arc::new(config);
    for (target, status) in
        [("/ws".to_owned(), 401), (format!("/other?token={TOKEN}"), 404), (format!("/ws?token={TOKEN}"), 101)]
    {
        run(async {
            let (mut peer, stream) = common::pair().await;
            let mut http = HttpConnection::new(stream, config.clone());
            let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}\r\n");
            peer.write_all(request.as_bytes()).await.unwrap();
            let upgrade = async {
                let upgrade = http.next_upgrade().await?;
                http.accept(upgrade).await.ok()
            };
            let answered = async {
                let answer = head(&mut peer).await;
                drop(peer);
                answer
            };
            let (websocket, answer) = future::zip(upgrade, answered).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            let (is_open, cookies) = (websocket.is_some(), values(&answer, "set-cookie").len());
            assert_eq!((is_open, cookies == 1), (status == 101, status == 101), "{answer}");
        });
    }
}

#[test]
fn named_origins_may_open_sockets_but_any_origin_may_not() {
    let any = || ServerConfig::new().cors(Cors::new().any_origin());
    let cases = [(named(), DEV, true), (named(), EVIL, false), (any(), DEV, false), (any(), EVIL, false)];
    for (config, from, is_in) in cases {
        serving(config, async |at, _| {
            for (line, fields, status) in [("GET /", UPGRADE, 101), ("DELETE /", "", 200)] {
                let expected = if is_in { status } else { 403 };
                let answer = ask(at, line, origin(from) + fields).await;
                assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{from}: {answer}");
                assert_eq!(has_cors(&answer), expected == 200, "{answer}");
            }
            let answer = ask(at, "GET /", origin(from)).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "reading is another matter: {answer}");
        });
    }
}

#[test]
fn a_preflight_waits_for_its_turn_and_counts_as_a_handshake() {
    let server = Server::bind(Bind::localhost(), named().max_handshakes(1)).unwrap();
    let at = server.local_addr().unwrap();
    let preflight = format!("OPTIONS /api HTTP/1.1\r\nHost: {at}\r\n{}{PREFLIGHT}\r\n", origin(DEV));
    let get = format!("GET / HTTP/1.1\r\nHost: {at}\r\n\r\n");
    run(async {
        let (mut first, _second) = (tcp(at).await, tcp(at).await);
        let mut http = server.accept().await.unwrap();
        first.write_all(preflight.as_bytes()).await.unwrap();
        let mut accepting = pin!(server.accept());
        let answered = beside(&mut http, head(&mut first)).await;
        assert!(answered.starts_with("HTTP/1.1 204 ") && readable(&answered), "{answered}");
        assert!(once(accepting.as_mut()).await.is_pending(), "the first has sent no request yet");
        first.write_all(format!("{get}{preflight}{get}").as_bytes()).await.unwrap();
        let Some(Incoming::Request(one)) = http.next().await else { panic!() };
        assert!(accepting.await.is_some());
        let Some(Incoming::Request(two)) = http.next().await else { panic!() };
        let responder = http.responder();
        responder.respond(two, http::Response::new("".into())).unwrap();
        responder.respond(one, http::Response::new("".into())).unwrap();
        for status in [200, 204, 200] {
            let answer = beside(&mut http, head(&mut first)).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        }
    });
}

#[test]
fn a_connection_with_only_preflights_reports_no_close() {
    let server = Server::bind(Bind::localhost(), named()).unwrap();
    let at = server.local_addr().unwrap();
    run(async {
        let mut peer = tcp(at).await;
        let mut http = server.accept().await.unwrap();
        let preflight = format!("OPTIONS * HTTP/1.1\r\nHost: {at}\r\n{}{PREFLIGHT}\r\n", origin(DEV));
        peer.write_all(preflight.as_bytes()).await.unwrap();
        assert!(beside(&mut http, head(&mut peer)).await.starts_with("HTTP/1.1 204 "));
        drop(peer);
        assert!(http.next().await.is_none() && http.closed().is_none());
        drop(http);
        assert_eq!(server.http_count(), 0);
    });
}

#[test]
fn automatic_answers_are_readable_too() {
    serving(named(), async |at, _| {
        for from in [DEV, EVIL] {
            for (line, fields, status) in [
                ("POST /", "Content-Length: 9999999\r\n".to_owned(), 413),
                ("POST /", "Content-Length: x\r\n".to_owned(), 400),
                ("POST /", "Transfer-Encoding: gzip\r\n".to_owned(), 501),
                ("GET /", "X: y\r\n".repeat(100), 431),
                (&format!("GET /{}", "x".repeat(9000)), String::new(), 414),
                ("GET /drop", String::new(), 503),
            ] {
                let answer = ask(at, line, origin(from) + &fields).await;
                assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
                assert_eq!((readable(&answer), has_cors(&answer)), (from == DEV, from == DEV), "{answer}");
            }
        }
    });
}

#[test]
fn application_answers_are_readable_even_streamed_and_keep_their_own_fields() {
    serving(named(), async |at, _| {
        assert!(readable(&ask(at, "GET /stream", origin(DEV)).await));
        assert!(!has_cors(&ask(at, "GET /stream", origin(EVIL)).await));
        let own = ask(at, "GET /own", origin(DEV)).await;
        assert_eq!(values(&own, "access-control-allow-origin"), ["*"]);
        assert!(values(&own, "access-control-allow-credentials").is_empty());
    });
    serving(ServerConfig::new(), async |at, requests| {
        let answer = ask(at, "OPTIONS /", origin(DEV) + PREFLIGHT).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && !has_cors(&answer), "no rule is set: {answer}");
        assert_eq!(requests.borrow().len(), 1);
    });
}

#[test]
fn a_foreign_cookie_does_not_lock_the_bearer_out() {
    serving(with_token(ServerConfig::default()), async |at, _| {
        let own = format!("ws_token_{}={TOKEN}", at.port());
        for other in [&b"name=Zo\xc3\xab"[..], b"name=Zo\xeb", b"\xff", b"=", b"x", b"a=\"", b"", b"a b"] {
            for [first, last] in [[other, own.as_bytes()], [own.as_bytes(), other]] {
                for between in [&b"; "[..], b"\r\nCookie: "] {
                    let fields = [b"Cookie: ", first, between, last, b"\r\n"].concat();
                    let answer = ask(at, "GET /", &fields).await;
                    assert!(answer.starts_with("HTTP/1.1 200 "), "{fields:?}: {answer}");
                    let answer = ask(at, "GET /", [&fields[..], UPGRADE.as_bytes()].concat()).await;
                    assert!(answer.starts_with("HTTP/1.1 101 "), "{fields:?}: {answer}");
                }
            }
        }
    });
}

#[test]
fn a_page_reopened_by_its_link_still_sends_no_referrer() {
    serving(with_token(ServerConfig::default()), async |at, _| {
        let shown = format!("Cookie: ws_token_{}={TOKEN}\r\n", at.port());
        for path in ["/", "/stream"] {
            let answer = ask(at, &format!("GET {path}?token={TOKEN}"), &shown).await;
            assert_eq!(values(&answer, "referrer-policy"), ["same-origin"], "{answer}");
            assert!(values(&answer, "set-cookie").is_empty(), "the browser has it: {answer}");
        }
        let answer = ask(at, "GET /?token=old", &shown).await;
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && values(&answer, "referrer-policy").is_empty(),
            "{answer}"
        );
    });
}

#[test]
fn no_request_or_event_prints_the_token() {
    serving(with_token(ServerConfig::default()), async |at, requests| {
        let line = format!("GET /page?token={TOKEN}");
        let fields = format!(
            "Cookie: ws_token_{}={TOKEN}\r\nAuthorization: Bearer {TOKEN}\r\nReferer: http://{at}/?token={TOKEN}\r\n\
             X-Forwarded-Uri: /?token={TOKEN}\r\n",
            at.port()
        );
        for fields in [fields.clone(), fields + UPGRADE, UPGRADE.to_owned()] {
            ask(at, &line, &fields).await;
        }
        let shown = requests.borrow();
        assert_eq!(shown.iter().filter(|event| event.contains("\"/page\"")).count(), 3, "{shown:?}");
        assert!(shown.iter().all(|event| !event.contains(TOKEN)), "{shown:?}");
    });
}
