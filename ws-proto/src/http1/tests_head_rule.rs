//! Rules for heads: what they reject is answered before any of its body is read.

use super::Incoming;
use super::tests_cors::{DEV, EVIL, allowed, has_cors, named, of, preflight, readable, values};
use super::tests_server::{GET, Rig, UPGRADE};
use crate::access::head_rule::{HeadRule, RequestHead};
use crate::config::Config;
use crate::connection::Connection;
use crate::error::{Error, RequestError};
use crate::event::Event;
use crate::moment::Moment;
use ::http::{HeaderMap, HeaderValue, Response};
use bytes::Bytes;
use core::time::Duration;
use std::sync::Arc;

/// Admits requests with a key, and upgrades on `/ws`; marks what it has completed.
#[derive(Debug)]
pub(super) struct KeyRule;

impl HeadRule for KeyRule {
    fn check(&self, head: &RequestHead<'_>) -> Result<(), RequestError> {
        if !head.headers().contains_key("x-key") {
            return Err(RequestError::Unauthorized);
        }
        match head.is_upgrade() && head.path() != "/ws" {
            true => Err(RequestError::UpgradePath(head.path().to_owned())),
            false => Ok(()),
        }
    }

    fn complete(&self, head: &RequestHead<'_>, response: &mut HeaderMap) {
        let mark = if head.is_upgrade() { "upgrade" } else { head.query().unwrap_or("request") };
        response.append("x-mark", HeaderValue::from_str(mark).unwrap());
    }
}

pub(super) fn ruled(config: Config) -> Config {
    config.head_rule(Arc::new(KeyRule))
}

fn rig() -> Rig {
    Rig::with(ruled(Config::server()))
}

/// The same request with a key.
pub(super) fn keyed(request: &str) -> String {
    request.replacen("\r\n", "\r\nX-Key: 7\r\n", 1)
}

/// A POST with these lines.
fn post(lines: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
const EXPECT: &str = "Expect: 100-continue\r\n";

#[test]
fn a_head_without_permission_is_answered_before_its_body_and_before_100_continue() {
    let sized = "Content-Length: 600000\r\n";
    for lines in [sized, CHUNKED, &format!("{sized}{EXPECT}"), &format!("{CHUNKED}{EXPECT}")] {
        for step in [1, 7, usize::MAX] {
            let mut rig = rig();
            for part in post(lines).as_bytes().chunks(step.min(post(lines).len())) {
                assert!(rig.feed(part).is_none());
            }
            let output = rig.output();
            assert!(
                output.starts_with("HTTP/1.1 401 ") && output.matches("HTTP/1.1").count() == 1,
                "{output}"
            );
            assert_eq!(values(&output, "connection"), ["close"], "{output}");
            assert_eq!(values(&output, "www-authenticate"), ["Bearer"], "{output}");
            assert_eq!(values(&output, "cache-control"), ["no-store"], "{output}");
            assert!(values(&output, "x-mark").is_empty(), "{output}");
            assert!(matches!(rig.cause(), Some(Error::Request(RequestError::Unauthorized))));
            assert!(rig.feed("5\r\nhello\r\n0\r\n\r\n").is_none());
            assert_eq!(rig.http.memory_len(), 0, "nothing of the body is kept");
            assert!(!rig.http.has_emitted() && rig.out.is_empty());
        }
    }
}

#[test]
fn a_body_that_arrives_with_its_rejected_head_is_not_kept() {
    for body in
        [format!("Content-Length: 5\r\n\r\nhello{GET}"), format!("{CHUNKED}\r\n5\r\nhello\r\n0\r\n\r\n{GET}")]
    {
        let mut rig = rig();
        assert!(rig.feed(format!("POST / HTTP/1.1\r\nHost: localhost\r\n{body}")).is_none());
        assert_eq!((rig.statuses(), rig.http.memory_len()), (vec![401], 0));
    }
}

#[test]
fn an_admitted_body_is_read_whole_after_100_continue() {
    for (lines, body) in [("Content-Length: 5\r\n", "hello"), (CHUNKED, "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")] {
        let mut rig = rig();
        assert!(rig.feed(keyed(&post(&format!("{lines}{EXPECT}")))).is_none());
        assert_eq!(rig.output(), "HTTP/1.1 100 Continue\r\n\r\n");
        let request = rig.request(body);
        assert_eq!(request.body(), "hello");
        rig.ok(request, "");
        let request = rig.request(keyed(GET));
        rig.ok(request, "");
        assert_eq!(rig.statuses(), [200, 200], "the connection is kept alive");
    }
}

#[test]
fn a_rejected_head_is_answered_in_its_turn_and_ends_the_pipeline() {
    for rejected in [GET.to_owned(), post("Content-Length: 5\r\n") + "hello", UPGRADE.to_owned()] {
        let mut rig = rig();
        let first = rig.request(keyed(GET) + &rejected + &keyed(GET));
        assert!(rig.feed("").is_none() && rig.out.is_empty());
        assert_eq!(rig.http.memory_len(), 0);
        rig.ok(first, "first");
        assert_eq!(rig.statuses(), [200, 401]);
        assert!(rig.feed(keyed(GET)).is_none() && rig.is_ending(), "{rejected}");
    }
}

#[test]
fn the_checks_of_host_origin_and_length_come_before_the_rule() {
    for (request, status) in [
        (GET.replace("localhost", "evil.example"), 421),
        (of(EVIL, &post(""), ""), 403),
        (post("Content-Length: 2000000\r\n"), 413),
        (UPGRADE.replace("Version: 13", "Version: 8"), 426),
        (UPGRADE.to_owned(), 401),
        (keyed(&UPGRADE.replace("/ws", "/other?secret")), 404),
    ] {
        let mut rig = rig();
        assert!(rig.feed(&request).is_none(), "{request}");
        assert_eq!(rig.statuses(), [status], "{request}");
        assert!(rig.is_ending());
    }
}

#[test]
fn a_page_of_an_allowed_origin_can_read_why_its_request_is_rejected() {
    for (origin, can_read) in [(DEV, true), (EVIL, false)] {
        for request in [GET, UPGRADE] {
            let mut rig = Rig::with(ruled(named()));
            assert!(rig.feed(of(origin, request, "")).is_none());
            let output = rig.output();
            let is_socket = request == UPGRADE;
            let status = if is_socket && !can_read { 403 } else { 401 };
            assert!(output.starts_with(&format!("HTTP/1.1 {status} ")), "{output}");
            assert_eq!(readable(&output), can_read, "{output}");
            assert_eq!(allowed(&output).is_empty(), !can_read);
        }
    }
}

#[test]
fn preflights_need_permission_only_with_a_body() {
    for request in [preflight(DEV, ""), preflight(EVIL, ""), preflight(DEV, "Content-Length: 0\r\n")] {
        let mut rig = Rig::with(ruled(named()));
        assert!(rig.feed(request.repeat(2)).is_none());
        assert_eq!(rig.statuses(), [204, 204], "{request}");
        assert!(!rig.is_ending());
    }
    for lines in ["Content-Length: 1\r\n", CHUNKED] {
        let mut rig = Rig::with(ruled(named()));
        assert!(rig.feed(preflight(DEV, lines)).is_none());
        let output = rig.output();
        assert!(output.starts_with("HTTP/1.1 401 ") && has_cors(&output), "{output}");
        let mut rig = Rig::with(ruled(named()));
        assert!(rig.feed(keyed(&preflight(DEV, lines))).is_none());
        assert!(rig.out.is_empty(), "its body is awaited");
    }
    let mut rig = rig();
    assert!(rig.feed(preflight(DEV, "")).is_none());
    assert_eq!(rig.statuses(), [401], "without CORS it is an ordinary request");
}

#[test]
fn the_rule_completes_each_answer_of_the_application() {
    let mut rig = rig();
    let request = rig.request(keyed(&GET.replace("/ ", "/?page ")));
    rig.ok(request, "");
    assert_eq!(values(&rig.output(), "x-mark"), ["page"]);
    let upgrade = rig.upgrade(keyed(UPGRADE));
    assert_eq!(upgrade.response_headers()["x-mark"], "upgrade");
    rig.accept(upgrade).unwrap();
    assert_eq!(values(&rig.output(), "x-mark"), ["upgrade"]);

    let mut rig = Rig::with(ruled(Config::server()));
    let upgrade = rig.upgrade(keyed(UPGRADE));
    rig.respond(upgrade, Response::builder().status(403).body(Bytes::new()).unwrap()).unwrap();
    assert_eq!(values(&rig.output(), "x-mark"), ["upgrade"]);

    let mut stream = super::tests_stream::Rig::with(ruled(Config::server()));
    let body = stream.begin(&keyed(GET), None);
    assert_eq!(values(&stream.output(), "x-mark"), ["request"]);
    stream.conn.http().finish_body(stream.now, body).unwrap();
}

#[test]
fn closed_explains_a_rejected_head_if_all_closes_are_reported() {
    for (request, reported, explanation) in [
        (GET.to_owned(), true, "lacks the credentials"),
        (UPGRADE.to_owned(), true, "lacks the credentials"),
        (keyed(&UPGRADE.replace("/ws", "/other?secret")), true, "there is no WebSocket at \"/other\""),
        (GET.to_owned(), false, ""),
    ] {
        let now = Moment::default();
        let config = ruled(Config::server().report_all_closes(reported));
        let mut conn = Connection::server(now, Arc::new(config), Default::default());
        assert!(conn.handle_input(now, &mut &mut request.as_bytes().to_vec()[..]).is_none());
        let queued = conn.queued();
        conn.handle_written(now, queued);
        conn.handle_eof(now);
        match conn.poll_event(now) {
            Some(Event::Closed(closed)) => {
                let text = closed.to_string();
                assert!(reported && text.contains(explanation) && !text.contains("secret"), "{text}");
            }
            other => assert!(!reported && other.is_none(), "{other:?}"),
        }
    }
}

#[test]
fn a_connection_without_permission_ends_at_once_and_an_admitted_one_idles() {
    let mut one = rig();
    assert!(one.feed(GET).is_none());
    assert!(one.is_ending());
    let mut two = rig();
    let Some(Incoming::Request(request)) = two.feed(keyed(GET)) else { panic!() };
    two.ok(request, "");
    assert_eq!(two.time_out(), Duration::from_secs(15));
}

#[test]
fn debug_of_a_head_shows_neither_query_nor_fields() {
    let request = ::http::Request::get("/page?token=hunter2").header("cookie", "k=hunter2").body(()).unwrap();
    let shown = format!("{:?}", RequestHead::new(&request, false));
    assert!(shown.contains("\"/page\"") && !shown.contains("hunter2"), "{shown}");
    assert_eq!(RequestHead::new(&request, true).method(), ::http::Method::GET);
}
