//! Before a WebSocket: plain HTTP, upgrades, the 101, keys.

use super::common::run;
use super::peer::*;
use super::transport::{peer_of, server_config};
use super::{App, beside, local, next_upgrade, ok, open, requesting_peer};
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use ws_server_smol::handshake::{accept_key, is_valid_key, key, verify};
use ws_server_smol::{Incoming, RespondError, SendError, State};

#[test]
fn row_04_plain_http_is_answered_on_the_same_port_now_or_later_kept_alive_and_pipelined() {
    let server = local(server_config());
    let address = server.local_addr().unwrap();
    let (hold, held, app) = (Cell::new(false), RefCell::new(Vec::new()), App::default());
    // To answer later, put the request and its responder aside, and read the next one.
    let handler = async |mut http: ws_server_smol::HttpConnection<_>| {
        if !hold.get() {
            return app.handle(http).await;
        }
        while let Some(Incoming::Request(request)) = http.next().await {
            match hold.get() {
                true => held.borrow_mut().push((http.responder(), request)),
                false => http.respond(request, ok("hello")).await.unwrap(),
            }
        }
    };
    run(beside(&server, handler, async {
        let (mut socket, _) = open(&server, "/socket").await;

        // Three requests arrive at once, and none is answered yet; the WebSocket works meanwhile.
        hold.set(true);
        let mut browser = peer_of(address);
        let json = with_fields(
            format!("POST /api HTTP/1.1\r\nHost: {address}\r\n\r\n").into_bytes(),
            "Content-Length: 7\r\n",
        );
        let json = [json, b"{\"a\":1}".to_vec()].concat();
        browser.send(&[get(address, "/"), get(address, "/app.js"), json].concat());
        browser.beside(until(|| held.borrow().len() == 3)).await;
        assert_eq!(server.http_count(), 1, "one connection has them all");
        socket.send(&frame(TEXT, b"meanwhile"));
        assert_eq!(socket.frame().await, (TEXT, b"meanwhile".to_vec()));
        browser.read();
        assert!(browser.got.is_empty());

        // Responses are sent in the order of the requests, whatever the order of answering.
        while let Some((responder, request)) = held.borrow_mut().pop() {
            let body = format!("{} {} {:?}", request.method(), request.path(), request.body());
            responder.respond(request, ok(body)).unwrap();
        }
        for expected in ["GET / b\"\"", "GET /app.js b\"\"", r#"POST /api b"{\"a\":1}""#] {
            assert_eq!(browser.response().await, (200, expected.to_owned()));
        }

        // The same connection sends another request, and is answered at once.
        hold.set(false);
        browser.send(&get(address, "/more"));
        assert_eq!(browser.response().await, (200, "hello".to_owned()));
        assert_eq!(server.http_count(), 1);
    }));
}

#[test]
fn row_05_an_upgrade_shows_its_request_and_is_accepted_changed_rejected_or_closed() {
    let server = local(server_config().allow_origin("https://app.example"));
    let address = server.local_addr().unwrap();
    let ask = async || {
        let fields =
            "Origin: https://app.example\r\nSec-WebSocket-Protocol: chat.v2, chat\r\nX-Device: 7\r\n";
        let mut peer = peer_of(address);
        peer.send(&with_fields(handshake(address, "/room?name=sun"), fields));
        let (http, upgrade) = next_upgrade(&server, &mut peer).await;
        (peer, http, upgrade)
    };
    run(async {
        // The upgrade shows its request; the application adds a header and a subprotocol to the response.
        let (mut peer, http, mut upgrade) = ask().await;
        assert_eq!((upgrade.method(), upgrade.path()), (&http::Method::GET, "/room"));
        assert_eq!((upgrade.query(), upgrade.origin()), (Some("name=sun"), Some("https://app.example")));
        assert_eq!(upgrade.headers()["x-device"], "7");
        assert_eq!(upgrade.subprotocols().collect::<Vec<_>>(), ["chat.v2", "chat"]);
        upgrade.set_header("Set-Cookie", "seat=3").unwrap();
        upgrade.select_subprotocol("chat").unwrap();
        assert!(matches!(upgrade.select_subprotocol("soap"), Err(RespondError::SubprotocolNotOffered(_))));
        let ws = http.accept(upgrade).await.unwrap();
        assert_eq!(ws.subprotocol(), Some("chat"));
        let head = peer.head().await.to_lowercase();
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        assert!(head.contains("\r\nset-cookie: seat=3\r\n"), "{head}");
        assert!(head.contains("\r\nsec-websocket-protocol: chat\r\n"), "{head}");

        // It is accepted unchanged, and no subprotocol is chosen.
        let (mut peer, http, upgrade) = ask().await;
        let plain = http.accept(upgrade).await.unwrap();
        assert_eq!(plain.subprotocol(), None);
        let head = peer.head().await.to_lowercase();
        assert!(head.starts_with("http/1.1 101 ") && !head.contains("sec-websocket-protocol"), "{head}");

        // It is rejected with a status and a body, or closed without a response.
        let (mut peer, mut http, upgrade) = ask().await;
        let no = http::Response::builder().status(403).body(Bytes::from("members only")).unwrap();
        http.respond(upgrade, no).await.unwrap();
        assert_eq!(peer.response().await, (403, "members only".to_owned()));
        let (mut peer, http, _upgrade) = ask().await;
        drop(http);
        peer.end().await;
        assert!(peer.got.is_empty() && peer.ended == Some(Ok(())), "{:?}", peer.got);
        assert_eq!(server.ids(), [ws.id(), plain.id()]);
    });
}

#[test]
fn row_06_open_is_reported_after_the_switch_and_sending_works_from_then_on() {
    let server = local(server_config());
    run(async {
        let mut peer = requesting_peer(&server, "/");
        let (http, upgrade) = next_upgrade(&server, &mut peer).await;
        let id = http.id();
        assert_eq!(server.state(id), State::Connecting);
        assert_eq!(server.send(id, "too early"), Err(SendError::NotOpen));
        assert!(server.ids().is_empty());

        // `accept` returns once it is open.
        let mut ws = http.accept(upgrade).await.unwrap();
        assert_eq!((ws.id(), ws.state(), server.state(id)), (id, State::Open, State::Open));
        assert_eq!(ws.response().status(), http::StatusCode::SWITCHING_PROTOCOLS);
        ws.send("welcome").await.unwrap();
        assert!(peer.head().await.starts_with("HTTP/1.1 101 "));
        assert_eq!(peer.frame().await, (TEXT, b"welcome".to_vec()), "the first message after the 101");
        assert_eq!(server.ids(), [id]);
    });
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

    // A server sends the same.
    let server = local(server_config());
    let mut peer = requesting_peer(&server, "/");
    let head = run(beside(&server, super::hello, peer.head()));
    let given = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("sec-websocket-accept").then_some(value)
    });
    assert!(verify(&mine, given.unwrap()), "{head}");
}
