//! Before a WebSocket: plain HTTP, upgrades, the 101, keys.

use super::common::*;
use std::sync::{Arc, Mutex};
use ws_proto::handshake::{accept_key, is_valid_key, key, verify};
use ws_server_mio::{Bytes, CloseCode, Event, RespondError, SendError, ServerConfig, State, http};

#[test]
fn row_04_plain_http_is_answered_on_the_same_port_now_or_later_kept_alive_and_pipelined() {
    let mut rig = Rig::new(ServerConfig::new());
    let address = rig.address();
    let (mut socket, _) = rig.open("/socket");

    // Three requests at once, none of which is answered yet; the socket works meanwhile.
    rig.app.hold = true;
    let mut browser = rig.peer();
    let json = with_fields(
        format!("POST /api HTTP/1.1\r\nHost: {address}\r\n\r\n").into_bytes(),
        "Content-Length: 7\r\n",
    );
    let json = [json, b"{\"a\":1}".to_vec()].concat();
    browser.send(&[get(address, "/"), get(address, "/app.js"), json].concat());
    rig.until("three requests", |rig| rig.app.requests.len() == 3);
    assert_eq!(rig.endpoint.connections().server(rig.server).http_count(), 1, "one connection has them all");
    socket.send(&frame(TEXT, b"meanwhile"));
    assert_eq!(rig.frame(&mut socket), (TEXT, b"meanwhile".to_vec()));
    browser.read();
    assert!(browser.got.is_empty());

    // Answers go out in the order of the requests, not in that of answering.
    while let Some((id, request)) = rig.app.requests.pop() {
        let body = format!("{} {} {:?}", request.method(), request.path(), request.body());
        rig.endpoint.connections().respond(id, request, ok(body)).unwrap();
    }
    for expected in ["GET / b\"\"", "GET /app.js b\"\"", r#"POST /api b"{\"a\":1}""#] {
        assert_eq!(rig.response(&mut browser), (200, expected.to_owned()));
    }

    // The same connection sends another request, and is answered at once.
    rig.app.hold = false;
    browser.send(&get(address, "/more"));
    assert_eq!(rig.response(&mut browser), (200, "hello".to_owned()));
    assert_eq!(rig.endpoint.connections().server(rig.server).http_count(), 1);
}

#[test]
fn row_05_an_upgrade_shows_its_request_and_is_accepted_changed_rejected_or_closed() {
    let mut rig = Rig::new(ServerConfig::new().allow_origin("https://app.example"));
    rig.app.hold = true;
    let address = rig.address();
    let ask = |rig: &mut Rig| {
        let fields =
            "Origin: https://app.example\r\nSec-WebSocket-Protocol: chat.v2, chat\r\nX-Device: 7\r\n";
        let mut peer = rig.peer();
        peer.send(&with_fields(handshake(address, "/room?name=sun"), fields));
        rig.until("the upgrade", |rig| rig.app.upgrades.len() == 1);
        let (id, upgrade) = rig.app.upgrades.pop().unwrap();
        (peer, id, upgrade)
    };

    // The request; a header and a subprotocol of the application's choice in the answer.
    let (mut peer, id, mut upgrade) = ask(&mut rig);
    assert_eq!((upgrade.method(), upgrade.path()), (&http::Method::GET, "/room"));
    assert_eq!((upgrade.query(), upgrade.origin()), (Some("name=sun"), Some("https://app.example")));
    assert_eq!(upgrade.headers()["x-device"], "7");
    assert_eq!(upgrade.subprotocols().collect::<Vec<_>>(), ["chat.v2", "chat"]);
    upgrade.set_header("Set-Cookie", "seat=3").unwrap();
    upgrade.select_subprotocol("chat").unwrap();
    assert!(matches!(upgrade.select_subprotocol("soap"), Err(RespondError::SubprotocolNotOffered(_))));
    rig.endpoint.connections().accept(id, upgrade).unwrap();
    let head = rig.head(&mut peer).to_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains("\r\nset-cookie: seat=3\r\n"), "{head}");
    assert!(head.contains("\r\nsec-websocket-protocol: chat\r\n"), "{head}");

    // No change: it is accepted, and no subprotocol is chosen.
    let (mut peer, id, upgrade) = ask(&mut rig);
    rig.endpoint.connections().accept(id, upgrade).unwrap();
    let head = rig.head(&mut peer).to_lowercase();
    assert!(head.starts_with("http/1.1 101 ") && !head.contains("sec-websocket-protocol"), "{head}");

    // Rejected with a status and a body, or closed without an answer.
    let (mut peer, id, upgrade) = ask(&mut rig);
    let no = http::Response::builder().status(403).body(Bytes::from("members only")).unwrap();
    rig.endpoint.connections().respond(id, upgrade, no).unwrap();
    assert_eq!(rig.response(&mut peer), (403, "members only".to_owned()));
    let (mut peer, id, _upgrade) = ask(&mut rig);
    rig.endpoint.connections().close(id, CloseCode::NORMAL, "").unwrap();
    rig.end(&mut peer);
    assert!(peer.got.is_empty() && peer.ended == Some(Ok(())), "{:?}", peer.got);
    assert_eq!(rig.app.open_ids().len(), 2);
}

#[test]
fn row_06_open_is_reported_after_the_switch_and_sending_works_from_then_on() {
    let mut rig = Rig::new(ServerConfig::new());
    rig.app.hold = true;
    let mut peer = rig.peer();
    peer.send(&handshake(rig.address(), "/"));
    rig.until("the upgrade", |rig| rig.app.upgrades.len() == 1);
    let (id, upgrade) = rig.app.upgrades.pop().unwrap();
    let connections = rig.endpoint.connections();
    assert_eq!(connections.state(id), State::Connecting);
    assert_eq!(connections.send(id, "too early"), Err(SendError::NotOpen));
    assert!(rig.app.open_ids().is_empty());

    let switched = Arc::new(Mutex::new(Vec::new()));
    let statuses = switched.clone();
    rig.app.also = Some(Box::new(move |connections, event| {
        if let Event::Open(id, response) = event {
            assert_eq!(connections.state(*id), State::Open);
            connections.send(*id, "welcome").unwrap();
            statuses.lock().unwrap().push(response.status());
        }
    }));
    rig.endpoint.connections().accept(id, upgrade).unwrap();
    assert!(rig.head(&mut peer).starts_with("HTTP/1.1 101 "));
    assert_eq!(rig.frame(&mut peer), (TEXT, b"welcome".to_vec()), "the first message after the 101");
    assert_eq!(rig.app.open_ids(), [id]);
    assert_eq!(*switched.lock().unwrap(), [http::StatusCode::SWITCHING_PROTOCOLS]);
}

#[test]
fn row_23_keys_are_generated_and_their_answers_derived_and_checked() {
    let mine = key(*b"the sample nonce");
    assert_eq!(mine, "dGhlIHNhbXBsZSBub25jZQ==", "Base64 of 16 bytes");
    assert!(is_valid_key(&mine) && !is_valid_key("dGhlIHNhbXBsZQ=="));
    let answer = accept_key(&mine);
    assert_eq!(answer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "SHA-1, Base64");
    assert!(verify(&mine, &answer));
    assert!(!verify(&key([0; 16]), &answer) && !verify(&mine, "") && !verify(&mine, &mine));

    // And a server answers the same.
    let mut rig = Rig::new(ServerConfig::new());
    let mut peer = rig.peer();
    peer.send(&handshake(rig.address(), "/"));
    let head = rig.head(&mut peer);
    let given = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("sec-websocket-accept").then_some(value)
    });
    assert!(verify(&mine, given.unwrap()), "{head}");
}
