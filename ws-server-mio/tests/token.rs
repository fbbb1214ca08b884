//! Servers that require a token.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;
use common::*;
use ws_server_mio::{ServerConfig, Token};

fn rig() -> (Rig, String) {
    let token = Token::from_random([3; 16]);
    let text = token.as_str().to_owned();
    (Rig::new(ServerConfig::new().require_token(token)), text)
}

/// Sends a request with one more header field, and returns the answer's head.
fn ask(rig: &mut Rig, mut request: Vec<u8>, field: &str) -> String {
    request.truncate(request.len() - 2);
    request.extend_from_slice(field.as_bytes());
    request.extend_from_slice(b"\r\n");
    let mut peer = rig.peer();
    peer.send(&request);
    let mut head = None;
    rig.until("an answer", |_| {
        head = peer.take_head();
        head.is_some()
    });
    head.unwrap()
}

fn cookie(head: &str) -> Option<&str> {
    head.lines().find_map(|line| line.strip_prefix("set-cookie: ").or(line.strip_prefix("Set-Cookie: ")))
}

#[test]
fn without_the_token_page_and_socket_get_401_and_the_application_sees_nothing() {
    let (mut rig, token) = rig();
    let address = rig.address();
    for path in ["/", "/?token=wrong", &format!("/{token}"), &format!("/?Token={token}")] {
        for request in [get(address, path), handshake(address, path)] {
            let head = ask(&mut rig, request, "Cookie: ws_token=wrong\r\n");
            assert!(head.starts_with("HTTP/1.1 401 "), "{path}: {head}");
            assert_eq!(cookie(&head), None, "{head}");
        }
    }
    assert_eq!(rig.app.count(|seen| matches!(seen, Seen::Request(..) | Seen::Upgrade(..))), 0);
    assert_eq!(rig.endpoint.connections().server(rig.server).count(), 0);
}

#[test]
fn the_token_in_the_url_authenticates_and_then_its_cookie_does() {
    let (mut rig, token) = rig();
    let address = rig.address();
    let head = ask(&mut rig, get(address, &format!("/?a=b&token={token}")), "");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let cookie = cookie(&head).unwrap().to_owned();
    assert!(cookie.ends_with("; HttpOnly; SameSite=Strict"), "{cookie}");
    assert!(head.to_lowercase().contains("referrer-policy: same-origin\r\n"), "no other site sees the token");
    let pair = cookie.split(';').next().unwrap();
    let field = format!("Cookie: theme=dark; {pair}\r\n");
    let head = ask(&mut rig, get(address, "/app.js"), &field);
    assert!(head.starts_with("HTTP/1.1 200 ") && !head.to_lowercase().contains("set-cookie"), "{head}");
    let head = ask(&mut rig, handshake(address, "/socket"), &field);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
}

#[test]
fn a_foreign_cookie_does_not_lock_the_bearer_out() {
    let (mut rig, token) = rig();
    let address = rig.address();
    let own = format!("ws_token_{}={token}", address.port());
    for other in [&b"name=Zo\xc3\xab"[..], b"name=Zo\xeb", b"\xff", b"=", b"x", b"a=\"", b"", b"a b"] {
        for before in [true, false] {
            let pair = [other, own.as_bytes()];
            let [first, last] = if before { pair } else { [pair[1], pair[0]] };
            for between in [&b"; "[..], b"\r\nCookie: "] {
                let line = [b"Cookie: ", first, between, last, b"\r\n"].concat();
                for (request, status) in [(get(address, "/"), 200), (handshake(address, "/"), 101)] {
                    let mut request = request;
                    request.truncate(request.len() - 2);
                    let mut peer = rig.peer();
                    peer.send(&[&request[..], &line, b"\r\n"].concat());
                    let head = rig.head(&mut peer);
                    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{line:?}: {head}");
                }
            }
        }
    }
    let head = ask(
        &mut rig,
        get(address, "/"),
        &format!("Authorization: Basic Zo\u{eb}\r\nAuthorization: Bearer {token}\r\n"),
    );
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
}

#[test]
fn a_page_reopened_by_its_link_still_sends_no_referrer() {
    let (mut rig, token) = rig();
    let address = rig.address();
    let field = format!("Cookie: ws_token_{}={token}\r\n", address.port());
    let head = ask(&mut rig, get(address, &format!("/?token={token}")), &field).to_lowercase();
    assert!(head.contains("referrer-policy: same-origin\r\n"), "{head}");
    assert!(!head.contains("set-cookie"), "the browser has it: {head}");
    let head = ask(&mut rig, get(address, "/?token=old"), &field).to_lowercase();
    assert!(head.starts_with("http/1.1 200 ") && !head.contains("referrer-policy"), "{head}");
}

#[test]
fn no_event_prints_the_token() {
    let (mut rig, token) = rig();
    let address = rig.address();
    let (log, logged) = std::sync::mpsc::channel();
    rig.app.also = Some(Box::new(move |_, event| log.send(format!("{event:?}")).unwrap()));
    let target = format!("/page?token={token}");
    let fields = format!(
        "Cookie: ws_token_{}={token}\r\nAuthorization: Bearer {token}\r\nReferer: http://{address}{target}\r\n\
         X-Forwarded-Uri: {target}\r\n",
        address.port()
    );
    ask(&mut rig, get(address, &target), &fields);
    ask(&mut rig, handshake(address, &target), &fields);
    ask(&mut rig, handshake(address, &target), "");
    rig.until("two WebSockets", |rig| rig.app.open_ids().len() == 2);
    let shown: Vec<String> = logged.try_iter().collect();
    assert!(shown.iter().filter(|event| event.contains("\"/page\"")).count() == 3, "{shown:?}");
    assert!(shown.iter().all(|event| !event.contains(&token)), "{shown:?}");
}

#[test]
fn a_socket_may_send_the_token_in_its_url_and_a_program_in_authorization() {
    let (mut rig, token) = rig();
    let address = rig.address();
    let head = ask(&mut rig, handshake(address, &format!("/?token={token}")), "");
    assert!(head.starts_with("HTTP/1.1 101 ") && cookie(&head).is_some(), "{head}");
    let head = ask(&mut rig, get(address, "/"), &format!("Authorization: Bearer {token}\r\n"));
    assert!(head.starts_with("HTTP/1.1 200 ") && cookie(&head).is_none(), "{head}");
}

#[test]
fn a_request_without_the_token_ends_its_connection_and_the_next_connection_may_retry() {
    let (mut rig, token) = rig();
    let address = rig.address();
    let mut peer = rig.peer();
    let with = get(address, &format!("/?token={token}"));
    peer.send(&[&get(address, "/")[..], &with].concat());
    let head = rig.head(&mut peer);
    assert!(head.starts_with("HTTP/1.1 401 ") && head.contains("Connection: close\r\n"), "{head}");
    rig.until("its end", |_| {
        peer.read();
        peer.ended.is_some()
    });
    assert_eq!(rig.app.count(|seen| matches!(seen, Seen::Request(..))), 0, "nothing behind it is served");
    let mut peer = rig.peer();
    peer.send(&[&with[..], &with].concat());
    for _ in 0..2 {
        assert_eq!(rig.response(&mut peer), (200, "hello".to_owned()), "with the token it is kept alive");
    }
}

#[test]
fn a_request_without_the_token_is_answered_before_its_body_and_before_100_continue() {
    let (mut rig, token) = rig();
    let address = rig.address();
    let post = |path: &str, fields: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nExpect: 100-continue\r\n{fields}\r\n")
    };
    for (fields, body) in
        [("Content-Length: 5\r\n", "hello"), ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n")]
    {
        let mut peer = rig.peer();
        peer.send(post("/", fields).as_bytes());
        let head = rig.head(&mut peer);
        assert!(head.starts_with("HTTP/1.1 401 ") && head.contains("Connection: close\r\n"), "{head}");

        let mut peer = rig.peer();
        peer.send(post(&format!("/?token={token}"), fields).as_bytes());
        let head = rig.head(&mut peer);
        assert!(head.starts_with("HTTP/1.1 100 "), "{head}");
        peer.send(body.as_bytes());
        assert_eq!(rig.response(&mut peer), (200, "hello".to_owned()));
    }
}

#[test]
fn closed_explains_a_missing_token_and_a_path_without_a_websocket() {
    let token = Token::from_random([3; 16]);
    let link = format!("/other?token={}", token.as_str());
    let config = ServerConfig::new().report_all_closes(true).upgrade_paths(["/ws"]).require_token(token);
    let mut rig = Rig::new(config);
    let address = rig.address();
    for (request, status, explanation) in [
        (get(address, "/"), 401, "lacks the credentials"),
        (handshake(address, "/ws"), 401, "lacks the credentials"),
        (handshake(address, &link), 404, "there is no WebSocket at \"/other\""),
    ] {
        rig.app.seen.clear();
        let head = ask(&mut rig, request, "");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        rig.until("its end", |rig| !rig.app.seen.is_empty());
        assert!(matches!(rig.app.seen[..], [Seen::Closed(..)]), "{:?}", rig.app.seen);
        let text = rig.app.closed()[0].to_string();
        assert!(text.contains(explanation), "{text}");
    }
}

#[test]
fn closes_are_reported_of_authenticated_connections_only() {
    let (mut rig, token) = rig();
    let address = rig.address();
    for path in ["/", &format!("/?token={token}")] {
        let mut peer = rig.peer();
        peer.send(&get(address, path));
        rig.response(&mut peer);
        drop(peer);
        rig.until("its end", |rig| rig.endpoint.connections().server(rig.server).http_count() == 0);
        rig.until("quiet", |rig| rig.turn().events == 0);
    }
    assert_eq!(rig.app.closed().len(), 1);
    assert!(matches!(rig.app.seen[..], [Seen::Request(..), Seen::Closed(..)]));
}

#[test]
fn report_all_closes_includes_unauthenticated_connections() {
    let config = ServerConfig::new().report_all_closes(true);
    let mut rig = Rig::new(config.require_token(Token::from_random([3; 16])));
    let mut peer = rig.peer();
    peer.send(&get(rig.address(), "/"));
    assert_eq!(rig.response(&mut peer).0, 401);
    drop(peer);
    rig.until("its end", |rig| !rig.app.seen.is_empty());
    assert!(matches!(rig.app.seen[..], [Seen::Closed(..)]));
}

#[test]
fn each_server_has_its_own_rule() {
    let (mut rig, _) = rig();
    let bind = ws_server_mio::Bind::localhost();
    let open = rig.endpoint.connections().listen(bind, ServerConfig::new()).unwrap();
    rig.server = open;
    rig.open("/");
}

#[test]
fn a_token_set_later_is_required_from_then_on_but_not_of_open_websockets() {
    let mut rig = Rig::new(ServerConfig::new());
    let (address, server) = (rig.address(), rig.server);
    let (mut peer, _) = rig.open("/");
    let token = Token::from_random([3; 16]);
    let text = token.as_str().to_owned();
    let config = ServerConfig::new().require_token(token);
    rig.endpoint.connections().server(server).set_config(config).unwrap();
    let head = ask(&mut rig, get(address, "/"), "");
    assert!(head.starts_with("HTTP/1.1 401 "), "{head}");
    let head = ask(&mut rig, get(address, &format!("/?token={text}")), "");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    peer.send(&frame(TEXT, b"still here"));
    assert_eq!(rig.frame(&mut peer), (TEXT, b"still here".to_vec()));
    drop(peer);
    rig.until("its end", |rig| rig.app.closed().iter().any(|closed| closed.was_open));
}

#[test]
fn a_configuration_that_allows_no_request_is_rejected_without_effect() {
    let mut rig = Rig::new(ServerConfig::new());
    let (address, server) = (rig.address(), rig.server);
    let config = ServerConfig::new().allow_origin("no origin").require_token(Token::from_random([3; 16]));
    let refused = rig.endpoint.connections().server(server).set_config(config);
    assert!(refused.is_err());
    let head = ask(&mut rig, get(address, "/"), "");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
}
