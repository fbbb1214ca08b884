//! CORS: which pages may read which answer, and which origins it admits.

use super::tests_server::{GET, Rig, UPGRADE};
use super::{Incoming, Io, ServerHttp};
use crate::access::cors::Cors;
use crate::access::transport::Transport;
use crate::config::Config;
use crate::handshake::Request;
use ::http::Response;
use bytes::Bytes;

pub(super) const DEV: &str = "http://localhost:5173";
pub(super) const EVIL: &str = "http://evil.example";

pub(super) fn named() -> Config {
    Config::server().cors(Cors::new().origin(DEV))
}

pub(super) fn any() -> Config {
    Config::server().cors(Cors::new().any_origin())
}

/// A request with this `Origin` and these further lines.
pub(super) fn of(origin: &str, request: &str, lines: &str) -> String {
    let (first, rest) = request.split_once("\r\n").unwrap();
    format!("{first}\r\nOrigin: {origin}\r\n{lines}{rest}")
}

pub(super) fn preflight(origin: &str, lines: &str) -> String {
    of(
        origin,
        "OPTIONS /api HTTP/1.1\r\nHost: localhost\r\n\r\n",
        &format!("Access-Control-Request-Method: DELETE\r\n{lines}"),
    )
}

/// The values of a field in a head.
pub(super) fn values<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    let fields = head.split("\r\n").filter_map(|line| line.split_once(": "));
    fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
}

pub(super) fn allowed(head: &str) -> Vec<&str> {
    values(head, "access-control-allow-origin")
}

pub(super) fn has_cors(head: &str) -> bool {
    head.to_ascii_lowercase().contains("access-control-")
}

pub(super) fn readable(head: &str) -> bool {
    allowed(head) == [DEV]
        && values(head, "access-control-allow-credentials") == ["true"]
        && values(head, "vary") == ["origin"]
}

// --- the engine's own answers

/// The engine's own answer to such a request; if it is emitted, the application drops it.
fn own(config: Config, request: &str) -> String {
    let mut rig = Rig::with(config);
    match rig.feed(request) {
        Some(Incoming::Request(request)) => drop(request),
        Some(Incoming::Upgrade(upgrade)) => drop(upgrade),
        Some(Incoming::Body(body)) => panic!("{body:?}"),
        None if rig.http.deadline(&rig.config, &rig.out).is_some() => drop(rig.time_out()),
        None => {}
    }
    rig.feed("");
    rig.output().strip_prefix("HTTP/1.1 ").unwrap().to_owned()
}

#[test]
fn allowed_origin_may_read_engine_answers() {
    let post = "POST / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let upgrade = |from: &str, to: &str| of(DEV, &UPGRADE.replace(from, to), "");
    let fields = |n: usize| "X: y\r\n".repeat(n);
    for (status, request) in [
        (413, of(DEV, post, "Content-Length: 1048577\r\n")),
        (413, of(DEV, post, "Transfer-Encoding: chunked\r\n") + "fffffff\r\n"),
        (400, of(DEV, post, "Transfer-Encoding: chunked\r\n") + "x\r\n"),
        (431, of(DEV, GET, &fields(100))),
        (431, of(DEV, GET, &format!("X: {}\r\n", "y".repeat(40_000)))),
        (414, of(DEV, &GET.replace("/ ", &format!("/{} ", "a".repeat(9000))), "")),
        (501, of(DEV, &GET.replace("GET", &"G".repeat(33)), "")),
        (505, of(DEV, &GET.replace("HTTP/1.1", "HTTP/2.0"), "")),
        (501, of(DEV, post, "Transfer-Encoding: gzip\r\n")),
        (417, of(DEV, post, "Expect: more\r\n")),
        (400, of(DEV, GET, "A : b\r\n")),
        (400, of(DEV, GET, "A: b\n")),
        (400, of(DEV, GET, "").replace("Host: localhost\r\n", "")),
        (400, of(DEV, post, "Content-Length: x\r\n")),
        (405, upgrade("GET", "POST")),
        (426, upgrade("Version: 13", "Version: 8")),
        (400, upgrade("ZQ==", "")),
        (408, of(DEV, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "").trim_end().to_owned()),
        (408, of(DEV, post, "Content-Length: 5\r\n") + "hell"),
        (503, of(DEV, GET, "")),
        (503, of(DEV, UPGRADE, "")),
    ] {
        let answer = own(named(), &request);
        assert!(answer.starts_with(&status.to_string()), "{request:.80}: {answer}");
        assert!(readable(&answer), "{answer}");
        let answer = own(any(), &request.replace("POST", "OPTIONS"));
        if !request.contains("websocket") {
            assert_eq!(allowed(&answer), ["*"], "{answer}");
        }
        let foreign = own(named(), &request.replace(DEV, EVIL));
        assert!(!has_cors(&foreign), "{foreign}");
        let line = format!("Origin: {DEV}\r\n");
        let doubled = own(named(), &request.replace(&line, &line.repeat(2)));
        assert!(!has_cors(&doubled), "which of the two is the origin? {doubled}");
        let unset = own(Config::server(), &request.replace("POST", "OPTIONS"));
        assert!(!has_cors(&unset) && values(&unset, "vary").is_empty(), "{unset}");
    }
}

#[test]
fn origin_past_the_head_limit_is_ignored() {
    let last = |n| GET.replace("\r\n\r\n", &format!("\r\n{}Origin: {DEV}\r\n\r\n", "X: y\r\n".repeat(n)));
    for (n, readable) in [(99, true), (100, false)] {
        assert_eq!(has_cors(&own(named(), &last(n))), readable, "{n}");
    }
    let long = GET.replace("\r\n\r\n", &format!("\r\nX: {}\r\nOrigin: {DEV}\r\n\r\n", "y".repeat(40_000)));
    assert!(!has_cors(&own(named(), &long)));
    // Half a line does not count.
    let cut = format!("GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: {DEV}");
    assert!(own(named(), &cut).starts_with("408 ") && !has_cors(&own(named(), &cut)));
}

#[test]
fn long_target_is_rejected_once_the_origin_is_known() {
    let head = of(DEV, &GET.replace("/ ", &format!("/{} ", "a".repeat(9000))), "");
    for step in [1, 100, 8000, head.len()] {
        let mut rig = Rig::with(named());
        for part in head.as_bytes().chunks(step) {
            assert!(rig.out.is_empty());
            assert!(rig.feed(part).is_none());
        }
        let output = rig.output();
        assert!(output.starts_with("HTTP/1.1 414 ") && readable(&output), "{step}: {output}");
    }
    let mut rig = Rig::with(named());
    assert!(rig.feed(&head[..8900]).is_none());
    assert!(rig.out.is_empty());
    rig.time_out();
    assert_eq!(rig.statuses(), [414], "the rest never arrives");
    let mut rig = Rig::with(named());
    assert!(rig.feed("x".repeat(40_000)).is_none());
    assert_eq!(rig.statuses(), [414], "no line ends");
    let mut rig = Rig::new();
    assert!(rig.feed(&head[..8900]).is_none());
    assert_eq!(rig.statuses(), [414], "at once where no rule is set");
}

#[test]
fn allowed_origins_may_read_stopping_and_late_answers() {
    for config in [named(), any()] {
        let mut rig = Rig::with(config.clone());
        let request = rig.request(of(DEV, GET, ""));
        rig.time_out();
        assert!(!allowed(&rig.output()).is_empty());
        drop(request);
    }
    let mut rig = Rig::with(named());
    let upgrade = rig.upgrade(of(DEV, UPGRADE, ""));
    rig.http.go_away(&mut Io { now: rig.now, config: &rig.config, out: &mut rig.out });
    let output = rig.output();
    assert!(output.starts_with("HTTP/1.1 503 ") && readable(&output), "{output}");
    drop(upgrade);
    let mut rig = Rig::with(named());
    let (begin, rest) = UPGRADE.split_at(10);
    assert!(rig.feed(begin).is_none());
    rig.http.go_away(&mut Io { now: rig.now, config: &rig.config, out: &mut rig.out });
    assert!(rig.feed(rest.replace("Host:", &format!("Origin: {DEV}\r\nHost:"))).is_none());
    let output = rig.output();
    assert!(output.starts_with("HTTP/1.1 503 ") && readable(&output), "{output}");
    let mut rig = Rig::with(named());
    let (preflight, first) = (preflight(DEV, ""), rig.request(GET));
    assert!(rig.feed(&preflight[..10]).is_none());
    rig.http.go_away(&mut Io { now: rig.now, config: &rig.config, out: &mut rig.out });
    rig.ok(first, "");
    assert!(rig.feed(&preflight[10..]).is_none());
    assert_eq!(rig.statuses(), [200, 204], "a partly received request is answered");
    assert!(rig.is_ending());
}

// --- admission

#[test]
fn listed_origins_are_admitted_but_any_origin_admits_none() {
    let post = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
    for request in [post, UPGRADE] {
        let ask = |config: Config, origin: &str| {
            let mut rig = Rig::with(config);
            match rig.feed(of(origin, request, "")) {
                None => Err(rig.output()),
                Some(incoming) => Ok((rig, incoming)),
            }
        };
        assert!(ask(named(), DEV).is_ok());
        assert!(ask(named(), "HTTP://LOCALHOST:5173").is_ok());
        assert!(ask(named().allow_origin(EVIL), EVIL).is_ok(), "the rule of origins holds beside it");
        assert!(ask(any().allow_origin(EVIL), EVIL).is_ok());
        assert!(ask(named(), "http://localhost").is_ok(), "the server's own pages");
        let both = Config::server().cors(Cors::new().origin(DEV).any_origin());
        assert!(ask(both.clone(), DEV).is_ok());
        for (config, origin) in [
            (named(), EVIL),
            (named(), "null"),
            (named(), "http://localhost:5173.evil.example"),
            (any(), EVIL),
            (any(), DEV),
            (any(), "null"),
            (both, EVIL),
        ] {
            let answer = ask(config, origin).map(|(_, incoming)| incoming).unwrap_err();
            assert!(answer.starts_with("HTTP/1.1 403 ") && !has_cors(&answer), "{origin}: {answer}");
        }
    }
}

#[test]
fn origin_without_host_is_rejected() {
    for request in [of(DEV, UPGRADE, ""), of(DEV, GET, "").replace("GET", "POST")] {
        let mut rig = Rig::with(named());
        rig.http = ServerHttp::new(rig.now, Transport { unix: true, ..Transport::default() });
        assert!(rig.feed(request.replace("Host: localhost", "Host:")).is_none());
        let output = rig.output();
        assert!(output.starts_with("HTTP/1.1 403 ") && !has_cors(&output), "{output}");
    }
}

// --- what the application answers

/// The output when the application answers an origin like this.
fn answered(config: Config, origin: &str, response: Response<Bytes>) -> String {
    let mut rig = Rig::with(config);
    let request = rig.request(of(origin, GET, ""));
    rig.respond(request, response).unwrap();
    rig.output()
}

fn with(name: &str, value: &str) -> Response<Bytes> {
    Response::builder().header(name, value).body(Bytes::from("x")).unwrap()
}

#[test]
fn allowed_origin_may_read_application_answers() {
    assert!(readable(&answered(named(), DEV, Response::new(Bytes::new()))));
    let not_modified = Response::builder().status(304).body(Bytes::new()).unwrap();
    assert!(readable(&answered(named(), DEV, not_modified)));
    let foreign = answered(named(), EVIL, Response::new(Bytes::new()));
    assert!(!has_cors(&foreign) && values(&foreign, "vary") == ["origin"], "{foreign}");
    let public = answered(any(), EVIL, Response::new(Bytes::new()));
    assert!(allowed(&public) == ["*"] && values(&public, "vary").is_empty(), "{public}");
    let both = || Config::server().cors(Cors::new().origin(DEV).any_origin());
    assert!(readable(&answered(both(), DEV, Response::new(Bytes::new()))));
    let other = answered(both(), EVIL, Response::new(Bytes::new()));
    assert!(allowed(&other) == ["*"] && values(&other, "vary") == ["origin"], "{other}");
    assert!(values(&other, "access-control-allow-credentials").is_empty());
}

#[test]
fn application_cors_fields_stay_and_are_not_duplicated() {
    for origin in [DEV, EVIL] {
        let own = answered(named(), origin, with("Access-Control-Allow-Origin", "https://app.example"));
        assert_eq!(allowed(&own), ["https://app.example"]);
        assert!(
            values(&own, "access-control-allow-credentials").is_empty() && values(&own, "vary").is_empty()
        );
    }
    for vary in ["Origin", "accept-encoding, ORIGIN", "*"] {
        assert_eq!(values(&answered(named(), DEV, with("Vary", vary)), "vary"), [vary]);
    }
    let added = answered(named(), DEV, with("Vary", "accept-encoding, x-origin"));
    assert_eq!(values(&added, "vary"), ["accept-encoding, x-origin", "origin"]);
    for origin in [DEV, EVIL] {
        let mut rig = Rig::with(named());
        let request = rig.request(of(origin, GET, ""));
        let by_hand = rig.config.cors.allow(&*request, Response::new(Bytes::new()));
        let twice = rig.config.cors.allow(&*request, by_hand);
        rig.respond(request, twice).unwrap();
        let output = rig.output();
        assert_eq!(values(&output, "vary"), ["origin"]);
        assert_eq!(allowed(&output).len(), usize::from(origin == DEV), "{output}");
    }
}

#[test]
fn streams_and_rejected_upgrades_carry_cors_fields_but_101_does_not() {
    let mut rig = Rig::with(named());
    let request = rig.request(of(DEV, GET, ""));
    let body = rig
        .http
        .respond_streaming(
            &mut Io { now: rig.now, config: &rig.config, out: &mut rig.out },
            request,
            Response::new(()),
            None,
        )
        .unwrap();
    assert!(readable(&rig.output()));
    drop(body);
    let mut rig = Rig::with(named());
    let upgrade = rig.upgrade(of(DEV, UPGRADE, ""));
    rig.respond(Request::from(upgrade), Response::builder().status(401).body(Bytes::new()).unwrap()).unwrap();
    let output = rig.output();
    assert!(output.starts_with("HTTP/1.1 401 ") && readable(&output), "{output}");
    let mut rig = Rig::with(named());
    let upgrade = rig.upgrade(of(DEV, UPGRADE, ""));
    rig.accept(upgrade).unwrap();
    let output = rig.output();
    assert!(output.starts_with("HTTP/1.1 101 ") && !has_cors(&output), "{output}");
    // A stream that is dropped before its turn becomes a readable 503.
    let mut rig = Rig::with(named());
    let first = rig.request(GET.to_owned() + &of(DEV, GET, ""));
    let second = rig.request("");
    let body = rig
        .http
        .respond_streaming(
            &mut Io { now: rig.now, config: &rig.config, out: &mut rig.out },
            second,
            Response::new(()),
            None,
        )
        .unwrap();
    drop(body);
    rig.ok(first, "");
    let output = rig.output();
    let dropped = output.rsplit("HTTP/1.1 ").next().unwrap();
    assert!(dropped.starts_with("503 ") && readable(dropped), "{output}");
}
