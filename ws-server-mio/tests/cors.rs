//! Cross-origin pages: preflights, and which origins may read which answer.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;
use common::*;
use std::net::SocketAddr;
use ws_server_mio::{Bytes, Cors, ServerConfig, Token, http};

const DEV: &str = "http://localhost:5173";
const EVIL: &str = "http://evil.example";

fn named() -> ServerConfig {
    ServerConfig::new().cors(Cors::new().origin(DEV))
}

fn with_token(config: ServerConfig) -> (Rig, String) {
    let token = Token::from_random([3; 16]);
    let text = token.as_str().to_owned();
    (Rig::new(config.require_token(token)), text)
}

fn preflight(address: SocketAddr, origin: &str) -> Vec<u8> {
    format!(
        "OPTIONS /api HTTP/1.1\r\nHost: {address}\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: PUT\r\n\
         Access-Control-Request-Headers: authorization\r\n\r\n"
    )
    .into_bytes()
}

/// The head of the answer to a request with these header lines, on a new connection.
fn ask(rig: &mut Rig, request: Vec<u8>, lines: &str) -> String {
    let mut peer = rig.peer();
    peer.send(&with_fields(request, lines));
    rig.head(&mut peer)
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

fn request_count(rig: &Rig) -> usize {
    rig.app.count(|seen| matches!(seen, Seen::Request(..) | Seen::Upgrade(..)))
}

#[test]
fn a_preflight_needs_no_token_and_never_reaches_the_application() {
    let (mut rig, _) = with_token(named());
    let address = rig.address();
    let mut peer = rig.peer();
    for (from, is_allowed) in [(DEV, true), (EVIL, false), (DEV, true)] {
        peer.send(&preflight(address, from));
        let head = rig.head(&mut peer);
        assert!(head.starts_with("HTTP/1.1 204 "), "{head}");
        assert_eq!((readable(&head), has_cors(&head)), (is_allowed, is_allowed), "{head}");
        if is_allowed {
            assert_eq!(values(&head, "access-control-allow-methods"), ["PUT"]);
            assert_eq!(values(&head, "access-control-allow-headers"), ["authorization"]);
        }
    }
    drop(peer);
    rig.until("its end", |rig| rig.endpoint.connections().server(rig.server).http_count() == 0);
    rig.until("quiet", |rig| rig.turn().events == 0);
    assert!(rig.app.seen.is_empty(), "{:?}", rig.app.seen);
    let head = ask(&mut rig, preflight("192.0.2.1:1".parse().unwrap(), DEV), "");
    assert!(head.starts_with("HTTP/1.1 204 "), "{head}");
    let foreign = String::from_utf8(preflight(address, DEV)).unwrap().replace("Host: 127", "Host: x127");
    let head = ask(&mut rig, foreign.into_bytes(), "");
    assert!(head.starts_with("HTTP/1.1 421 ") && !has_cors(&head), "{head}");
    let head = ask(
        &mut rig,
        String::from_utf8(get(address, "/")).unwrap().replace("GET", "OPTIONS").into(),
        &origin(DEV),
    );
    assert!(head.starts_with("HTTP/1.1 401 "), "an OPTIONS without preflight fields needs the token: {head}");
    assert_eq!(request_count(&rig), 0);
}

#[test]
fn only_an_allowed_origin_may_read_the_answer_with_or_without_a_token() {
    let (mut rig, token) = with_token(named());
    let address = rig.address();
    let shown = format!("Cookie: name=Zo\u{eb}; ws_token_{}={token}\r\n", address.port());
    for request in [get(address, "/"), handshake(address, "/")] {
        let head = ask(&mut rig, request.clone(), &origin(DEV));
        assert!(head.starts_with("HTTP/1.1 401 ") && readable(&head), "{head}");
        assert_eq!(values(&head, "www-authenticate"), ["Bearer"]);
    }
    let head = ask(&mut rig, get(address, "/"), &(origin(DEV) + &shown));
    assert!(head.starts_with("HTTP/1.1 200 ") && readable(&head), "{head}");
    let head = ask(&mut rig, get(address, "/"), &format!("{}Authorization: Bearer {token}\r\n", origin(DEV)));
    assert!(head.starts_with("HTTP/1.1 200 ") && readable(&head), "{head}");
    let head = ask(&mut rig, handshake(address, "/"), &(origin(DEV) + &shown));
    assert!(head.starts_with("HTTP/1.1 101 ") && !has_cors(&head), "named origins may open sockets: {head}");
    for (lines, status) in [(origin(EVIL), 401), (origin(EVIL) + &shown, 200), (shown.clone(), 200)] {
        let head = ask(&mut rig, get(address, "/"), &lines);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")) && !has_cors(&head), "{head}");
        assert_eq!(values(&head, "vary"), ["origin"]);
    }
}

#[test]
fn named_origins_may_open_sockets_but_any_origin_may_not() {
    let any = || ServerConfig::new().cors(Cors::new().any_origin());
    for (config, from, status) in
        [(named(), DEV, 200), (named(), EVIL, 403), (any(), DEV, 403), (any(), EVIL, 403)]
    {
        let (mut rig, token) = with_token(config);
        let address = rig.address();
        let shown = format!("/?token={token}");
        let delete = String::from_utf8(get(address, &shown)).unwrap().replacen("GET", "DELETE", 1);
        for (request, opened) in [(handshake(address, &shown), 101), (delete.into_bytes(), 200)] {
            let expected = if status == 200 { opened } else { status };
            let head = ask(&mut rig, request, &origin(from));
            assert!(head.starts_with(&format!("HTTP/1.1 {expected} ")), "{from}: {head}");
            assert_eq!(has_cors(&head), expected == 200, "{head}");
        }
        let head = ask(&mut rig, get(address, &shown), &origin(from));
        assert!(head.starts_with("HTTP/1.1 200 "), "reading is another matter: {head}");
    }
}

#[test]
fn a_preflight_waits_for_its_turn_and_counts_as_a_handshake() {
    let mut rig = Rig::new(named().max_handshakes(1));
    let address = rig.address();
    let mut first = rig.peer();
    first.send(&preflight(address, DEV));
    assert!(rig.head(&mut first).starts_with("HTTP/1.1 204 "));
    let mut second = rig.peer();
    second.send(&get(address, "/second"));
    for _ in 0..10 {
        assert!(!rig.turn().more, "it does not spin");
    }
    assert_eq!(
        rig.endpoint.connections().server(rig.server).http_count(),
        1,
        "the first has sent no request yet"
    );
    rig.app.hold = true;
    first.send(&[get(address, "/first"), preflight(address, DEV), get(address, "/third")].concat());
    rig.until("all requests", |rig| rig.app.requests.len() == 3);
    first.read();
    assert!(first.got.is_empty());
    while let Some((id, request)) = rig.app.requests.pop() {
        rig.endpoint.connections().respond(id, request, ok("")).unwrap();
    }
    for status in [200, 204, 200] {
        let head = rig.head(&mut first);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    }
    assert!(rig.head(&mut second).starts_with("HTTP/1.1 200 "));
}

#[test]
fn automatic_answers_are_readable_too() {
    let mut rig = Rig::new(named());
    let address = rig.address();
    let post = String::from_utf8(get(address, "/")).unwrap().replace("GET", "POST").into_bytes();
    for from in [DEV, EVIL] {
        for (request, lines, status) in [
            (&post, "Content-Length: 9999999\r\n".to_owned(), 413),
            (&post, "Content-Length: x\r\n".to_owned(), 400),
            (&post, "Transfer-Encoding: gzip\r\n".to_owned(), 501),
            (&get(address, "/"), "X: y\r\n".repeat(100), 431),
            (&get(address, &format!("/{}", "x".repeat(9000))), String::new(), 414),
        ] {
            let head = ask(&mut rig, request.clone(), &(origin(from) + &lines));
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            assert_eq!((readable(&head), has_cors(&head)), (from == DEV, from == DEV), "{head}");
        }
        rig.app.hold = true;
        let mut peer = rig.peer();
        peer.send(&with_fields(get(address, "/"), &origin(from)));
        rig.until("the request", |rig| !rig.app.requests.is_empty());
        rig.app.requests.clear();
        rig.app.hold = false;
        // A dropped connection is noticed at the next request.
        peer.send(&get(address, "/"));
        let head = rig.head(&mut peer);
        assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
        assert_eq!(readable(&head), from == DEV, "{head}");
    }
}

#[test]
fn application_answers_are_readable_even_streamed_and_keep_their_own_fields() {
    let mut rig = Rig::new(named());
    let address = rig.address();
    rig.app.hold = true;
    let mut peer = rig.peer();
    peer.send(&with_fields(get(address, "/"), &origin(DEV)).repeat(3));
    rig.until("the requests", |rig| rig.app.requests.len() == 3);
    let mut requests = std::mem::take(&mut rig.app.requests).into_iter();
    let connections = rig.endpoint.connections();
    let (id, request) = requests.next().unwrap();
    let body = connections.respond_streaming(id, request, http::Response::new(()), Some(0)).unwrap();
    connections.finish_body(id, body).unwrap();
    let (id, request) = requests.next().unwrap();
    let by_hand = Cors::new().origin(DEV).allow(&*request, ok(""));
    connections.respond(id, request, by_hand).unwrap();
    let (id, request) = requests.next().unwrap();
    let response = http::Response::builder().header("Access-Control-Allow-Origin", "*");
    connections.respond(id, request, response.body(Bytes::new()).unwrap()).unwrap();
    for _ in 0..2 {
        let head = rig.head(&mut peer);
        assert!(readable(&head), "{head}");
    }
    let head = rig.head(&mut peer);
    assert_eq!(values(&head, "access-control-allow-origin"), ["*"]);
    assert!(values(&head, "access-control-allow-credentials").is_empty());
}

#[test]
fn without_a_rule_options_reaches_the_application() {
    let mut rig = Rig::new(ServerConfig::new());
    let address = rig.address();
    let head = ask(&mut rig, preflight(address, DEV), "");
    assert!(head.starts_with("HTTP/1.1 200 ") && !has_cors(&head), "{head}");
    assert_eq!(request_count(&rig), 1);
}
