//! Handshakes that another HTTP server has read get the answers of the engine's own server.

use super::Incoming;
use super::tests_handshake::{bad, good, plain};
use super::tests_head_rule::{keyed, ruled};
use super::tests_server::{Rig, UPGRADE};
use crate::access::cors::Cors;
use crate::access::transport::Transport;
use crate::config::Config;
use crate::connection::State;
use crate::error::RequestError;
use crate::handshake::{Rejection, answer, answer_over};
use crate::moment::Moment;
use ::http::{Request, Response, StatusCode};
use alloc::sync::Arc;
use bytes::Bytes;

/// A request as another server parses it.
fn parsed(text: &str) -> Request<()> {
    let mut fields = [httparse::EMPTY_HEADER; 200];
    let mut head = httparse::Request::new(&mut fields);
    assert!(head.parse(text.as_bytes()).unwrap().is_complete(), "{text}");
    let version = if head.version == Some(0) { ::http::Version::HTTP_10 } else { ::http::Version::HTTP_11 };
    let request = Request::builder().method(head.method.unwrap()).uri(head.path.unwrap()).version(version);
    let request = head.headers.iter().fold(request, |request, field| request.header(field.name, field.value));
    request.body(()).unwrap()
}

/// The engine's own answer: the status of its rejection, or `None` if the application must answer.
fn own(config: &Config, text: &str) -> (Option<Incoming<'static>>, String) {
    let mut rig = Rig::with(config.clone());
    let incoming = rig.feed(text);
    (incoming, rig.output())
}

fn rejected(text: &str, config: &Config) -> Rejection {
    match answer(&parsed(text), config) {
        Err(rejection) => rejection,
        Ok(answer) => panic!("{answer:?} to {text}"),
    }
}

/// Compares both answers, except for the length, which the other server adds.
fn assert_same(response: &Response<Bytes>, own: &str, text: &str) {
    let (head, body) = own.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with(&format!("HTTP/1.1 {} ", response.status().as_u16())), "{text}: {own}");
    assert_eq!(body.as_bytes(), response.body(), "{text}");
    for line in head.lines().skip(1) {
        let (name, value) = line.split_once(": ").unwrap();
        if name != "Content-Length" {
            let given = response.headers().get_all(name).iter().any(|given| given == value);
            assert!(given, "{line:?} is missing: {text}");
        }
    }
}

#[test]
fn invalid_handshake_matches_the_engines_answer() {
    let config = Config::server();
    for (text, status, expected) in bad() {
        let rejection = rejected(&text, &config);
        let error = rejection.error().expect("a fault").clone();
        assert_eq!((error.status().as_u16(), error.to_string()), (status, rejection.to_string()));
        let response = rejection.into_response();
        let (name, value) = expected.split_once(": ").unwrap_or_default();
        assert!(expected.is_empty() || response.headers()[name] == value, "{text}: {response:?}");
        assert_same(&response, &own(&config, &text).1, &text);
    }
    for text in [
        UPGRADE.replace("Host: localhost\r\n", ""),
        UPGRADE.replace("Host: localhost", "Host: localhost\r\nHost: localhost"),
        UPGRADE.replace("Host: localhost", "Host: user@localhost"),
        UPGRADE.replace("/ws", "http://evil.example/ws"),
        UPGRADE.replace("/ws", &format!("/{}", "x".repeat(8 << 10))),
        UPGRADE.replace("GET", "TRACE"),
        UPGRADE.replace("GET", &"X".repeat(33)),
        UPGRADE.replace("\r\n\r\n", "\r\nExpect: more\r\n\r\n"),
        UPGRADE.replace("\r\n\r\n", &format!("{}\r\n\r\n", "\r\nA: b".repeat(100))),
    ] {
        let (incoming, output) = own(&config, &text);
        assert!(incoming.is_none(), "{text}");
        assert_same(&rejected(&text, &config).into_response(), &output, &text);
    }
}

#[test]
fn valid_handshake_matches_the_engines_answer() {
    let plain = Config::server();
    #[cfg(feature = "deflate")]
    let configs = [plain.clone(), plain.deflate(crate::Deflate::new())];
    #[cfg(not(feature = "deflate"))]
    let configs = [plain];
    let with = |field: &str| UPGRADE.replace("\r\n\r\n", &format!("\r\n{field}\r\n\r\n"));
    let mut texts = good();
    texts.push(UPGRADE.to_owned());
    texts.push(UPGRADE.replace("/ws", "http://localhost/ws?room=7"));
    texts.push(UPGRADE.replace("/ws", &format!("/{}", "x".repeat((8 << 10) - 1))));
    texts.push(with("Sec-WebSocket-Protocol: a, chat"));
    texts.push(with("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"));
    texts.push(with("Expect: 100-continue"));
    for (config, text) in configs.iter().flat_map(|config| texts.iter().map(move |text| (config, text))) {
        let mut rig = Rig::with(config.clone());
        let mut upgrade = rig.upgrade(text);
        let mut answer = answer(&parsed(text), config).unwrap();
        assert_eq!((answer.path(), answer.query()), (upgrade.path(), upgrade.query()));
        assert_eq!(answer.choose_subprotocol(&["chat"]), upgrade.choose_subprotocol(&["chat"]));
        answer.set_header("Set-Cookie", "a=b").unwrap();
        upgrade.set_header("Set-Cookie", "a=b").unwrap();
        rig.accept(upgrade).unwrap();
        let (response, terms) = rig.http.take_opened().unwrap();
        let (answered, opening) = answer.into_parts();
        assert_eq!(
            (answered.status(), answered.headers()),
            (response.status(), response.headers()),
            "{text}"
        );
        assert_eq!(opening.terms, terms);
        let connection = opening.into_connection(Moment::default(), Arc::new(config.clone()));
        assert_eq!((connection.state(), connection.is_client()), (State::Open, false));
        #[cfg(feature = "deflate")]
        assert_eq!(connection.compression(), terms);
    }
}

#[test]
fn plain_request_gets_426_and_is_not_a_fault() {
    let config = Config::server();
    for text in plain() {
        assert!(matches!(own(&config, &text).0, Some(Incoming::Request(_))), "{text}");
        let rejection = rejected(&text, &config);
        assert!(rejection.error().is_none(), "{text}");
        assert_eq!(rejection.to_string(), "the request does not ask for a WebSocket");
        let response = rejection.into_response();
        assert_eq!(
            (response.status(), &response.headers()["upgrade"]),
            (StatusCode::UPGRADE_REQUIRED, &"websocket".parse().unwrap())
        );
        assert_eq!(response.headers()["connection"], "Upgrade", "the connection continues");
    }
    // WebSockets over HTTP/2 (RFC 8441) are another protocol.
    let mut request = parsed(UPGRADE);
    *request.version_mut() = ::http::Version::HTTP_2;
    let response = answer(&request, &config).unwrap_err().into_response();
    assert_eq!(response.status(), 505);
    assert!(!response.headers().contains_key("connection"), "{response:?}");
}

#[test]
fn host_and_origin_rules_come_from_the_config() {
    let from = |origin: &str| UPGRADE.replace("\r\n\r\n", &format!("\r\nOrigin: {origin}\r\n\r\n"));
    let status = |text: &str, config: &Config, transport| match answer_over(&parsed(text), config, transport)
    {
        Ok(_) => 101,
        Err(rejection) => rejection.into_response().status().as_u16(),
    };
    let tcp = Transport::default();
    let strict = Config::server();
    let open = Config::server().allow_origin("https://app.example").allow_host("app.example");
    for (text, config, expected) in [
        (from("https://app.example"), &strict, 403),
        (from("https://app.example"), &open, 101),
        (from("https://app.example:444"), &open, 403),
        (UPGRADE.replace("localhost", "app.example"), &strict, 421),
        (UPGRADE.replace("localhost", "app.example"), &open, 101),
        (UPGRADE.replace("localhost", "www.app.example"), &open, 421),
        (UPGRADE.replace("Host: localhost", "Host:"), &open, 400),
    ] {
        assert_eq!(status(&text, config, tcp), expected, "{text}");
    }
    assert_eq!(status(&UPGRADE.replace("Host: localhost", "Host:"), &strict, Transport::unix()), 101);
    assert_eq!(status(&from("http://localhost"), &strict, tcp.secure(true)), 403);
    assert_eq!(status(&from("https://localhost"), &strict, tcp.secure(true)), 101);
    let other_name = from("http://127.0.0.1:8700").replace("Host: localhost", "Host: localhost:8700");
    assert_eq!(status(&other_name, &strict, tcp), 403);
    assert_eq!(status(&other_name, &strict, tcp.loopback_port(Some(8700))), 101);

    // An origin listed in CORS is admitted, and may read why something else is rejected.
    let config = Config::server().cors(Cors::new().origin("https://app.example"));
    assert_eq!(status(&from("https://app.example"), &config, tcp), 101);
    let late = from("https://app.example").replace("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8");
    let response = rejected(&late, &config).into_response();
    assert_eq!(
        (response.status(), response.headers().get("access-control-allow-origin").is_some()),
        (StatusCode::UPGRADE_REQUIRED, true)
    );
    assert_same(&response, &own(&config, &late).1, &late);
    let response = rejected(&from("https://evil.example"), &config).into_response();
    assert!(!response.headers().contains_key("vary"), "{response:?}");
}

#[test]
fn a_rule_for_heads_applies_elsewhere_too() {
    let config = ruled(Config::server());
    for (text, error) in [
        (UPGRADE.to_owned(), RequestError::Unauthorized),
        (keyed(&UPGRADE.replace("/ws", "/other")), RequestError::UpgradePath("/other".to_owned())),
    ] {
        let rejection = rejected(&text, &config);
        assert_eq!(rejection.error(), Some(&error));
        assert_same(&rejection.into_response(), &own(&config, &text).1, &text);
    }
    let answer = answer(&parsed(&keyed(UPGRADE)), &config).unwrap();
    assert_eq!(answer.into_parts().0.headers()["x-mark"], "upgrade");
}

#[test]
fn request_secrets_stay_out_of_logs() {
    let text =
        UPGRADE.replace("/ws", "/ws?token=hunter2").replace("\r\n\r\n", "\r\nCookie: a=hunter2\r\n\r\n");
    let answer = answer(&parsed(&text), &Config::server()).unwrap();
    assert!(!format!("{answer:?}").contains("hunter2"), "{answer:?}");
}

#[test]
fn unsupported_target_is_rejected_elsewhere_too() {
    let config = Config::server();
    for (target, expected) in [
        ("*", 400),
        ("localhost:8700", 400),
        ("chat", 400),
        ("ftp://localhost/chat", 400),
        ("/ä", 400),
        ("http://localhost/chat", 101),
        ("/%zz", 101),
    ] {
        let text = UPGRADE.replace("/ws", target);
        let mut request = parsed(UPGRADE);
        *request.uri_mut() = target.parse().unwrap();
        let status = match answer(&request, &config) {
            Ok(answer) => answer.into_parts().0.status(),
            Err(rejection) => rejection.into_response().status(),
        };
        assert_eq!(status, expected, "{target}");
        let (incoming, output) = own(&config, &text);
        assert_eq!(
            (incoming.is_some(), output.starts_with("HTTP/1.1 400 ")),
            (expected == 101, expected == 400),
            "{target}: {output}"
        );
    }
}
