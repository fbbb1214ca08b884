//! Preflights: their form, and the answer to them.

use super::Incoming;
use super::tests_cors::{DEV, EVIL, allowed, any, has_cors, named, of, preflight, readable, values};
use super::tests_server::{GET, Rig};
use crate::access::cors::Cors;
use crate::config::Config;
use core::time::Duration;

#[test]
fn preflight_is_answered_without_an_event() {
    let mut rig = Rig::with(named());
    let lines = "Access-Control-Request-Headers: authorization,x-mine\r\nAccess-Control-Request-Private-Network: true\r\n";
    assert!(rig.feed(preflight(DEV, lines).repeat(2)).is_none());
    let output = rig.output();
    assert!(output.starts_with("HTTP/1.1 204 "), "{output}");
    let (one, two) = output.split_at(output.len() / 2);
    assert_eq!(one, two, "requested twice, answered twice");
    assert!(readable(one), "{one}");
    for (name, value) in [
        ("access-control-allow-methods", "DELETE"),
        ("access-control-allow-headers", "authorization,x-mine"),
        ("access-control-allow-private-network", "true"),
    ] {
        assert_eq!(values(one, name), [value], "{one}");
    }
    assert!(values(one, "content-length").is_empty() && values(one, "connection").is_empty(), "{one}");
    assert!(!rig.http.has_emitted() && !rig.is_ending());
    let request = rig.request(of(DEV, GET, ""));
    rig.ok(request, "x");
    assert!(readable(&rig.output()));
}

#[test]
fn other_origins_get_no_cors_fields() {
    for origin in
        [EVIL, "null", "", "*", "http://localhost:5174", "https://localhost:5173", "http://localhost:5173/"]
    {
        let mut rig = Rig::with(named());
        assert!(rig.feed(preflight(origin, "Access-Control-Request-Private-Network: true\r\n")).is_none());
        let output = rig.output();
        assert!(output.starts_with("HTTP/1.1 204 ") && !has_cors(&output), "{origin}: {output}");
        assert_eq!(values(&output, "vary"), ["origin"]);
        assert!(!rig.is_ending());
    }
    let mut rig = Rig::with(named());
    let mut bytes = preflight("X", "").into_bytes();
    let at = bytes.iter().position(|b| *b == b'X').unwrap();
    bytes[at] = 0xff;
    assert!(rig.feed(bytes).is_none());
    assert!(!has_cors(&rig.output()), "an Origin that is not text");
}

#[test]
fn any_origin_excludes_cookies_and_private_networks() {
    for origin in [DEV, "null"] {
        let mut rig = Rig::with(any());
        assert!(rig.feed(preflight(origin, "Access-Control-Request-Private-Network: true\r\n")).is_none());
        let output = rig.output();
        assert_eq!(allowed(&output), ["*"]);
        assert_eq!(values(&output, "access-control-allow-methods"), ["DELETE"]);
        for name in ["access-control-allow-credentials", "access-control-allow-private-network", "vary"] {
            assert!(values(&output, name).is_empty(), "{output}");
        }
    }
}

#[test]
fn other_options_requests_reach_the_application() {
    let bare = "OPTIONS /api HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let method = "Access-Control-Request-Method: PUT\r\n";
    for request in [
        bare.to_owned(),
        of(DEV, bare, ""),
        of(DEV, bare, "Access-Control-Request-Method:\r\n"),
        of(DEV, bare, "Access-Control-Request-Method: PUT, GET\r\n"),
        of(DEV, bare, &method.repeat(2)),
        of(DEV, bare, &format!("{method}Origin: {DEV}\r\n")),
        bare.replace("\r\n\r\n", &format!("\r\n{method}\r\n")),
        of(DEV, bare, method).replace("OPTIONS", "GET"),
        of(DEV, bare, method).replace("OPTIONS", "options"),
    ] {
        let mut rig = Rig::with(named());
        let received = rig.request(&request);
        rig.ok(received, "");
        assert_eq!(rig.statuses(), [200], "{request}");
    }
    for cors in [Cors::new(), Cors::new().origin("nowhere")] {
        let mut rig = Rig::with(Config::server().cors(cors));
        let request = rig.request(preflight(DEV, ""));
        rig.ok(request, "");
        let output = rig.output();
        assert!(!has_cors(&output) && values(&output, "vary").is_empty(), "no rule is set: {output}");
    }
}

#[test]
fn preflight_for_a_foreign_host_is_rejected() {
    for (request, status) in [
        (preflight(DEV, "").replace("Host: localhost", "Host: evil.example"), 421),
        (preflight(DEV, "").replace("/api", "http://evil.example/"), 421),
        (preflight(DEV, "").replace("Host: localhost\r\n", ""), 400),
    ] {
        for config in [named(), any()] {
            let mut rig = Rig::with(config);
            assert!(rig.feed(&request).is_none());
            let output = rig.output();
            assert!(output.starts_with(&format!("HTTP/1.1 {status} ")), "{output}");
            assert_eq!(has_cors(&output), status == 400, "{output}");
        }
    }
}

#[test]
fn every_form_of_target_and_version_is_answered() {
    for (from, to, word) in [
        ("/api", "*", None),
        ("/api", "http://localhost/api", None),
        ("HTTP/1.1", "HTTP/1.0", Some("close")),
        ("HTTP/1.1\r\n", "HTTP/1.0\r\nConnection: keep-alive\r\n", Some("keep-alive")),
        ("HTTP/1.1\r\n", "HTTP/1.1\r\nConnection: close\r\n", Some("close")),
    ] {
        let mut rig = Rig::with(named());
        assert!(rig.feed(preflight(DEV, "").replacen(from, to, 1)).is_none());
        let output = rig.output();
        assert!(output.starts_with("HTTP/1.1 204 ") && readable(&output), "{output}");
        assert_eq!(values(&output, "connection").first().copied(), word);
        assert_eq!(rig.is_ending(), word == Some("close"));
    }
}

#[test]
fn a_preflight_waits_for_its_turn() {
    let mut rig = Rig::with(named());
    let first = rig.request(format!("{GET}{}{GET}", preflight(DEV, "")));
    let last = rig.request("");
    rig.ok(last, "last");
    assert!(rig.out.is_empty());
    rig.ok(first, "first");
    assert_eq!(rig.statuses(), [200, 204, 200]);
    let first = rig.request(GET.to_owned() + &preflight(DEV, "").repeat(20));
    assert!(rig.feed("").is_none());
    assert!(rig.http.is_paused(&rig.config, false), "sixteen may wait");
    rig.ok(first, "");
    assert!(rig.feed("").is_none());
    assert_eq!(rig.statuses()[1..], [204; 20]);
}

#[test]
fn preflight_body_is_discarded() {
    let lines = |lines: &str| preflight(DEV, &format!("Expect: 100-continue\r\n{lines}"));
    for request in [
        lines("Content-Length: 5\r\n") + "hello",
        lines("Transfer-Encoding: chunked\r\n") + "2\r\nhe\r\n3;x\r\nllo\r\n0\r\nTrailer: x\r\n\r\n",
        lines("Transfer-Encoding: chunked\r\n") + "0\r\n\r\n",
    ] {
        for step in [1, 7, usize::MAX] {
            let mut rig = Rig::with(named());
            let all = format!("{request}{}", of(DEV, GET, ""));
            let mut received = Vec::new();
            for part in all.as_bytes().chunks(step.min(all.len())) {
                received.extend(rig.feed(part));
            }
            let Some(Incoming::Request(get)) = received.pop() else { panic!("{request}") };
            assert_eq!((get.method().as_str(), received.len()), ("GET", 0), "{request}");
            rig.ok(get, "");
            assert_eq!(rig.statuses(), [100, 204, 200]);
        }
    }
    for request in [lines("Content-Length: 6\r\n"), lines("Transfer-Encoding: chunked\r\n") + "6\r\n"] {
        let mut rig = Rig::with(named().body_limit(5));
        assert!(rig.feed(request + GET).is_none());
        let output = rig.output();
        assert!(output.contains("HTTP/1.1 413 ") && readable(&output) && rig.is_ending(), "{output}");
    }
}

#[test]
fn preflights_alone_keep_a_connection_for_the_handshake_timeout() {
    let mut rig = Rig::with(named());
    let mut waited = Duration::ZERO;
    while waited < Duration::from_secs(9) {
        assert!(rig.feed(preflight(DEV, "")).is_none());
        assert_eq!(rig.statuses(), [204]);
        rig.now += Duration::from_secs(3);
        waited += Duration::from_secs(3);
    }
    assert_eq!(rig.time_out(), Duration::from_secs(1));
    assert!(rig.is_ending() && rig.out.is_empty());

    let mut rig = Rig::with(named());
    rig.now += Duration::from_secs(9);
    assert!(rig.feed("OPTIONS").is_none());
    rig.now += Duration::from_secs(1);
    assert!(rig.feed(&preflight(DEV, "")["OPTIONS".len()..]).is_none());
    assert_eq!(values(&rig.output(), "connection"), ["close"], "a late one is the last");
    assert!(rig.is_ending());

    let mut rig = Rig::with(named());
    assert!(rig.feed(preflight(DEV, "")).is_none());
    let request = rig.request(GET);
    rig.ok(request, "");
    rig.now += Duration::from_secs(12);
    assert!(rig.feed(preflight(DEV, "")).is_none());
    assert_eq!(rig.time_out(), rig.config.keep_alive, "a real request is kept alive");
}

#[test]
fn a_flood_of_preflights_stops_at_the_high_mark() {
    let mut config = named();
    config.outbox_cap = 4096;
    let config = config.outbox(512, 1024, 4096);
    let mut rig = Rig::with(config);
    assert!(rig.feed(preflight(DEV, "").repeat(900)).is_none());
    assert!(rig.out.len() > 1024 && rig.out.len() < 2048, "{}", rig.out.len());
    assert!(!rig.rest.is_empty());
}
