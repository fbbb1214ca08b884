//! The opening handshake, from both ends (RFC 6455 §4).

use super::tests_server::{GET, Rig, UPGRADE};
use super::{ClientHttp, Incoming, Io, Opened};
use crate::config::Config;
use crate::error::{Error, RespondError, ResponseError};
use crate::handshake::{self, ClientRequest};
use crate::outbox::Outbox;
use ::http::Response;
use bytes::{Buf, Bytes};
use core::time::Duration;

// --- the server

#[test]
fn upgrade_is_accepted_with_101_and_ends_http() {
    let mut rig = Rig::new();
    let mut upgrade =
        rig.upgrade(UPGRADE.replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: a, chat\r\n\r\n") + GET);
    assert!(rig.http.is_paused(&rig.config, false));
    assert!(rig.feed("").is_none());
    assert_eq!(rig.rest, GET.as_bytes());
    assert!(rig.http.take_opened().is_none());
    upgrade.select_subprotocol("chat").unwrap();
    for (name, value) in [("Set-Cookie", "a=b"), ("set-cookie", "c=d"), ("x-request-id", "7")] {
        upgrade.set_header(name, value).unwrap();
    }
    rig.accept(upgrade).unwrap();
    let (response, terms) = rig.http.take_opened().unwrap();
    assert!(terms.is_none());
    assert_eq!(response.status(), 101);
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
    assert_eq!(
        rig.output(),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\
         Set-Cookie: a=b\r\nSet-Cookie: c=d\r\nX-Request-ID: 7\r\n\r\n"
    );
    assert!(rig.feed("").is_none());
    assert_eq!(rig.rest, GET.as_bytes());
    assert!(rig.http.deadline(&rig.config, &rig.out).is_none() && !rig.is_ending());
}

#[test]
fn accepted_upgrade_waits_for_earlier_answers() {
    let mut rig = Rig::new();
    let request = rig.request(format!("{GET}{UPGRADE}"));
    let upgrade = rig.upgrade("");
    rig.accept(upgrade).unwrap();
    assert!(rig.http.take_opened().is_none() && rig.out.is_empty());
    rig.ok(request, "");
    assert!(rig.http.take_opened().is_some());
    assert_eq!(rig.statuses(), [200, 101]);
}

#[test]
fn rejected_upgrade_ends_the_connection_unread() {
    for status in [400, 401, 404, 426, 503, 200, 304] {
        for (behind, later) in [(GET, ""), ("", GET), ("\u{81}\u{85}", ""), (UPGRADE, UPGRADE), ("", "")] {
            let mut rig = Rig::new();
            let upgrade = rig.upgrade(format!("{UPGRADE}{behind}"));
            let response = Response::builder().status(status).body(Bytes::new()).unwrap();
            rig.respond(upgrade, response).unwrap();
            assert!(rig.feed("").is_none() && rig.feed(later).is_none());
            let output = rig.output();
            assert!(output.starts_with(&format!("HTTP/1.1 {status} ")), "{output}");
            assert!(output.ends_with("Connection: close\r\n\r\n"), "{output}");
            assert_eq!(output.matches("HTTP/1.1").count(), 1, "{output}");
            assert!(rig.is_ending() && rig.cause().is_none(), "it is not a fault");
        }
    }
    // A second attempt as a WebSocket needs a new connection.
    let mut rig = Rig::new();
    let upgrade = rig.upgrade(format!("{UPGRADE}{GET}"));
    rig.respond(upgrade, handshake::upgrade_required()).unwrap();
    let output = rig.output();
    assert!(output.contains("\r\nUpgrade: websocket\r\n"), "{output}");
    assert!(output.contains("\r\nConnection: Upgrade, close\r\n") && rig.is_ending(), "{output}");
    assert_eq!(output.matches("\r\nConnection: ").count(), 1, "{output}");
}

#[test]
fn upgrade_rejected_by_a_stream_ends_with_the_stream() {
    for length in [Some(2), None] {
        let mut rig = Rig::new();
        let first = rig.request(format!("{GET}{UPGRADE}{GET}"));
        let upgrade = rig.upgrade("");
        let Rig { http, now, config, out, .. } = &mut rig;
        let head = Response::builder().status(403).body(()).unwrap();
        let body =
            http.respond_streaming(&mut Io { now: *now, config, out }, upgrade.into(), head, length).unwrap();
        http.send_body(out, &body, Bytes::from_static(b"no")).unwrap();
        assert!(out.is_empty(), "it is not its turn");
        rig.ok(first, "");
        assert!(rig.feed(GET).is_none() && !rig.is_ending());
        let Rig { http, now, config, out, .. } = &mut rig;
        http.finish_body(&mut Io { now: *now, config, out }, body).unwrap();
        let output = rig.output();
        let (one, other) = output.split_at(output.rfind("HTTP/1.1").unwrap());
        assert!(one.starts_with("HTTP/1.1 200 ") && !one.contains("Connection"), "{one}");
        assert!(other.starts_with("HTTP/1.1 403 ") && other.contains("\r\nConnection: close\r\n"), "{other}");
        assert!(rig.is_ending());
    }
}

#[test]
fn requests_before_a_rejected_upgrade_are_answered_in_turn() {
    let mut rig = Rig::new();
    let first = rig.request(format!("{GET}{GET}{UPGRADE}{GET}"));
    let second = rig.request("");
    let upgrade = rig.upgrade("");
    rig.respond(upgrade, Response::builder().status(404).body(Bytes::new()).unwrap()).unwrap();
    rig.ok(second, "");
    assert!(rig.out.is_empty() && !rig.is_ending());
    rig.ok(first, "");
    assert!(rig.feed("").is_none());
    let output = rig.output();
    assert_eq!(output.matches("HTTP/1.1 200").count(), 2);
    assert_eq!((output.matches("HTTP/1.1").count(), output.matches("Connection: close").count()), (3, 1));
    assert!(output.ends_with("Connection: close\r\n\r\n") && rig.is_ending());
}

/// Requests that resemble an opening handshake, but are not.
pub(super) fn plain() -> Vec<String> {
    vec![
        UPGRADE.replace("HTTP/1.1", "HTTP/1.0"),
        UPGRADE.replace("Upgrade: websocket", "Upgrade: h2c"),
        UPGRADE.replace("Upgrade: websocket", "Upgrade: websockets"),
        UPGRADE.replace("Upgrade: websocket", "X: websocket"),
        UPGRADE.replace("Connection: Upgrade", "Connection: keep-alive"),
        UPGRADE.replace("Connection: Upgrade", "Connection: xupgrade"),
        UPGRADE.replace("Connection: Upgrade", "X: y"),
    ]
}

#[test]
fn request_for_another_protocol_is_plain() {
    for request in plain() {
        let mut rig = Rig::new();
        let request = rig.request(request);
        rig.respond(request, handshake::upgrade_required()).unwrap();
        let output = rig.output();
        assert!(output.starts_with("HTTP/1.1 426 Upgrade Required\r\n"));
        assert!(output.contains("\r\nUpgrade: websocket\r\n"));
        assert!(output.contains("\r\nSec-WebSocket-Version: 13\r\n"));
        // It continues, but in HTTP/1.0.
        assert_eq!(output.contains("\r\nConnection: Upgrade\r\n"), !rig.is_ending(), "{output}");
    }
}

#[test]
fn only_a_426_may_name_the_protocol_and_sets_no_other_connection_option() {
    for (status, option, allowed) in [(426, "upgrade", true), (426, "close", false), (200, "Upgrade", false)]
    {
        let mut rig = Rig::new();
        let request = rig.request(GET);
        let response = Response::builder().status(status).header("Connection", option).body(Bytes::new());
        let result = rig.respond(request, response.unwrap());
        assert_eq!(result.is_ok(), allowed, "{status} {option}");
    }
}

/// Valid handshakes, each in its own way.
pub(super) fn good() -> Vec<String> {
    vec![
        UPGRADE.replace("Connection: Upgrade", "Connection: keep-alive, UPGRADE"),
        UPGRADE.replace("Connection: Upgrade", "connection: keep-alive\r\nConnection: ,, upgrade ,"),
        UPGRADE.replace("Upgrade: websocket", "Upgrade: WebSocket"),
        UPGRADE.replace("Upgrade: websocket", "Upgrade: h2c, websocket"),
        UPGRADE.replace("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n"),
        UPGRADE.replace("\r\n\r\n", "\r\nOrigin: http://localhost\r\n\r\n"),
        UPGRADE.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate; x=\"y\"\r\n\r\n"),
    ]
}

#[test]
fn lists_may_span_lines_and_ignore_case() {
    for request in good() {
        let _upgrade = Rig::new().upgrade(request);
    }
}

/// Invalid handshakes, the status of each, and what its answer contains.
pub(super) fn bad() -> Vec<(String, u16, &'static str)> {
    let with = |field: &str| UPGRADE.replace("\r\n\r\n", &format!("\r\n{field}\r\n\r\n"));
    let version = "Sec-WebSocket-Version: 13";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    vec![
        (UPGRADE.replace("GET", "POST"), 405, "Allow: GET"),
        (UPGRADE.replace("GET", "OPTIONS"), 405, "Allow: GET"),
        (UPGRADE.replace(version, "Sec-WebSocket-Version: 8"), 426, "Sec-WebSocket-Version: 13"),
        (UPGRADE.replace(version, "Sec-WebSocket-Version: 13, 8"), 426, "Sec-WebSocket-Version: 13"),
        (UPGRADE.replace(version, "X: y"), 400, ""),
        (with(version), 400, ""),
        (UPGRADE.replace(key, "X: y"), 400, ""),
        (UPGRADE.replace(key, "Sec-WebSocket-Key:"), 400, ""),
        (UPGRADE.replace(key, "Sec-WebSocket-Key: short"), 400, ""),
        (UPGRADE.replace(key, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZXgg"), 400, ""),
        (UPGRADE.replace(key, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ= ="), 400, ""),
        (UPGRADE.replace(key, "Sec-WebSocket-Key: \"dGhlIHNhbXBsZSBub25jZQ==\""), 400, ""),
        (with(key), 400, ""),
        (with("Content-Length: 1"), 400, ""),
        (with("Transfer-Encoding: chunked"), 400, ""),
        (with("Sec-WebSocket-Protocol: a b"), 400, ""),
        (with("Sec-WebSocket-Protocol: \u{e9}"), 400, ""),
        (with("Origin: https://evil.example"), 403, ""),
        (with("Origin: null"), 403, ""),
        (UPGRADE.replace("Host: localhost", "Host: evil.example"), 421, ""),
    ]
}

#[test]
fn invalid_handshake_answer_names_the_fix() {
    for (request, status, expected) in bad() {
        let mut rig = Rig::new();
        assert!(rig.feed(&request).is_none(), "{request}");
        let output = rig.output();
        assert!(output.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {output}");
        assert!(output.contains(expected) && output.contains("close\r\n"), "{output}");
        assert!(matches!(rig.cause(), Some(Error::Request(_))));
    }
}

#[test]
fn key_is_answered_verbatim_after_trimming() {
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    for (sent, key) in [
        ("\t dGhlIHNhbXBsZSBub25jZQ==\t ", key),
        // Other pad bits make another text.
        ("AQIDBAUGBwgJCgsMDQ4PEC==", "AQIDBAUGBwgJCgsMDQ4PEC=="),
    ] {
        let mut rig = Rig::new();
        let upgrade = rig.upgrade(UPGRADE.replace("dGhlIHNhbXBsZSBub25jZQ==", sent));
        rig.accept(upgrade).unwrap();
        let (response, _) = rig.http.take_opened().unwrap();
        assert_eq!(response.headers()["sec-websocket-accept"], handshake::accept_key(key));
    }
}

#[test]
fn long_subprotocol_field_is_read_in_linear_time() {
    let value = ", ".repeat(10_000) + "chat";
    let _upgrade = Rig::new()
        .upgrade(UPGRADE.replace("\r\n\r\n", &format!("\r\nSec-WebSocket-Protocol: {value}\r\n\r\n")));
}

#[test]
fn undecided_upgrade_is_answered_503_and_ends_the_connection() {
    for is_dropped in [true, false] {
        let mut rig = Rig::new();
        let upgrade = rig.upgrade(UPGRADE);
        let kept = if is_dropped {
            drop(upgrade);
            None
        } else {
            assert_eq!(rig.http.deadline(&rig.config, &rig.out), Some(rig.now + Duration::from_secs(10)));
            rig.now += Duration::from_secs(10);
            Some(upgrade)
        };
        rig.http.handle_timeout(&mut Io { now: rig.now, config: &rig.config, out: &mut rig.out });
        assert_eq!(rig.statuses(), [503]);
        assert!(matches!(rig.cause(), Some(Error::Unanswered)));
        if let Some(upgrade) = kept {
            assert_eq!(rig.accept(upgrade), Err(RespondError::WrongRequest));
        }
    }
}

#[test]
fn half_closed_peer_gets_no_websocket() {
    let mut rig = Rig::new();
    let upgrade = rig.upgrade(UPGRADE);
    rig.http.handle_eof(&rig.config);
    assert!(!rig.is_ending());
    assert_eq!(rig.accept(upgrade), Err(RespondError::NotOpen));
    rig.http.sweep(&mut Io { now: rig.now, config: &rig.config, out: &mut rig.out });
    assert_eq!(rig.statuses(), [503]);
    assert!(rig.is_ending());
}

// --- the client

const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn client() -> (ClientHttp, String) {
    let request = ClientRequest::new("ws://localhost:8080/x?y").unwrap();
    let request = request.subprotocol("chat").unwrap().subprotocol("mqtt").unwrap();
    let mut out = Outbox::default();
    let http = ClientHttp::new(
        &Config::client(),
        &request.header("Cookie", "a=b").unwrap(),
        *b"the sample nonce",
        &mut out,
    );
    let len = out.len();
    (http, String::from_utf8(out.copy_to_bytes(len).to_vec()).unwrap())
}

fn answer(bytes: &str) -> (Option<Result<Opened, ResponseError>>, Vec<u8>) {
    let mut bytes = bytes.as_bytes().to_vec();
    let mut input = &mut bytes[..];
    let result = client().0.handle_input(&Config::client(), &mut input);
    (result, input.to_vec())
}

#[test]
fn client_request_has_the_configured_fields() {
    assert_eq!(
        client().1,
        "GET /x?y HTTP/1.1\r\nHost: localhost:8080\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: chat, mqtt\r\nCookie: a=b\r\n\r\n"
    );
    assert!(matches!(Rig::new().feed(client().1), Some(Incoming::Upgrade(_))));
}

#[test]
fn client_accepts_a_valid_answer_and_leaves_the_frames() {
    for bytes in [
        ANSWER.to_owned(),
        ANSWER.replace("101 Switching Protocols", "101"),
        ANSWER.replace("101 Switching Protocols", "101 "),
        ANSWER.replace("HTTP/1.1", "HTTP/1.2"),
        ANSWER.replace("Connection: Upgrade", "Connection: keep-alive, upgrade"),
        ANSWER.replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"),
        format!("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n{ANSWER}"),
    ] {
        let (result, rest) = answer(&format!("{bytes}\u{1}\u{2}"));
        let (response, _) = result.unwrap().unwrap();
        assert_eq!(response.status(), 101);
        assert_eq!(rest, [1, 2]);
    }
}

#[test]
fn client_rejects_an_invalid_answer() {
    let with = |field: &str| ANSWER.replace("\r\n\r\n", &format!("\r\n{field}\r\n\r\n"));
    let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    for bytes in [
        ANSWER.replace("HTTP/1.1", "HTTP/1.0"),
        ANSWER.replace("Upgrade: websocket", "X: y"),
        ANSWER.replace("Upgrade: websocket", "Upgrade: h2c"),
        ANSWER.replace("Upgrade: websocket", "Upgrade: websocket, h2c"),
        with("Upgrade: websocket"),
        ANSWER.replace("Connection: Upgrade", "Connection: close"),
        ANSWER.replace(accept, "X: y"),
        ANSWER.replace("s3pP", "S3pP"),
        with(accept),
        with("Sec-WebSocket-Extensions: permessage-deflate"),
        with("Sec-WebSocket-Protocol: soap"),
        with("Sec-WebSocket-Protocol: CHAT"),
        with("Sec-WebSocket-Protocol: chat, mqtt"),
        with("Sec-WebSocket-Protocol:"),
        with("Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat"),
    ] {
        let (result, _) = answer(&bytes);
        assert!(matches!(result, Some(Err(ResponseError::AcceptInvalid(_)))), "{bytes}: {result:?}");
    }
    for bytes in [
        ANSWER.replace("HTTP/1.1 101", "HTTP/2.0 101"),
        ANSWER.replace("HTTP/1.1 101", "HTTP/1.1  101"),
        ANSWER.replace("HTTP/1.1 101", "HTTP/1.1 1010"),
        ANSWER.replace("HTTP/1.1 101", "\r\nHTTP/1.1 99"),
        ANSWER.replace("\r\n", "\n"),
        with(" folded"),
        "SSH-2.0-OpenSSH_9.9\r\n".to_owned(),
        "HTTP/1.1 100 Continue\r\n\r\n".repeat(100),
    ] {
        let (result, _) = answer(&bytes);
        assert!(matches!(result, Some(Err(ResponseError::Malformed(_)))), "{bytes}: {result:?}");
    }
    let (result, _) = answer(&with(&format!("X: {}", "y".repeat(40_000))));
    assert!(matches!(result, Some(Err(ResponseError::HeadTooLarge))));
}

#[test]
fn rejection_keeps_its_body_up_to_the_limit() {
    let long = "x".repeat(20_000);
    for (bytes, eof, want) in [
        ("HTTP/1.1 401 No\r\nContent-Length: 5\r\n\r\nhello", false, "hello"),
        ("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", false, ""),
        ("HTTP/1.1 204 No\r\n\r\n", false, ""),
        ("HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", false, "hello"),
        ("HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx", false, "hello"),
        ("HTTP/1.0 401 No\r\n\r\nhello", true, "hello"),
        ("HTTP/1.1 401 No\r\nContent-Length: 9\r\n\r\nhello", true, "hello"),
        (&format!("HTTP/1.1 401 No\r\nContent-Length: 20000\r\n\r\n{long}"), false, &long[..16 << 10]),
        (&format!("HTTP/1.1 401 No\r\n\r\n{long}"), false, &long[..16 << 10]),
    ] {
        for cut in [bytes.len(), 20, 1] {
            let (mut client, config) = (client().0, Config::client());
            let mut parts: Vec<Vec<u8>> = bytes.as_bytes().chunks(cut).map(<[u8]>::to_vec).collect();
            let result = parts.iter_mut().find_map(|part| client.handle_input(&config, &mut &mut part[..]));
            assert_eq!(result.is_none(), eof, "{bytes:.60}");
            let error = result.map_or_else(|| client.handle_eof(), |result| result.unwrap_err());
            let ResponseError::Rejected(response) = error else { panic!("{error:?}") };
            assert_eq!(response.body(), want, "{bytes:.60}");
        }
    }
}

#[test]
fn a_connection_ended_before_an_answer_is_not_a_malformed_answer() {
    for bytes in ["", "H", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: web"] {
        let mut client = client().0;
        let mut bytes = bytes.as_bytes().to_vec();
        assert!(client.handle_input(&Config::client(), &mut &mut bytes[..]).is_none());
        assert!(matches!(client.handle_eof(), ResponseError::Eof));
    }
}

#[test]
fn a_server_that_speaks_tls_is_an_error_of_its_own_except_within_tls() {
    // An alert and a ServerHello; the first byte decides.
    for bytes in [&b"\x15\x03\x03\x00\x02\x02\x0a"[..], b"\x16\x03\x03\x00\x7a", b"\x15"] {
        for (url, is_plain) in [("ws://localhost", true), ("wss://localhost", false)] {
            let (config, request) = (Config::client(), ClientRequest::new(url).unwrap());
            let mut client = ClientHttp::new(&config, &request, [7; 16], &mut Outbox::default());
            let result = client.handle_input(&config, &mut &mut bytes.to_vec()[..]);
            match result {
                Some(Err(ResponseError::TlsRequired)) => assert!(is_plain),
                Some(Err(ResponseError::Malformed(_))) => assert!(!is_plain),
                other => panic!("{url}: {other:?}"),
            }
        }
    }
}
