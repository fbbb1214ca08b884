//! Heads on the wire: the spelling of names, dates; the deadlines of what follows an answer; and TLS in place of a head.

use super::Io;
use super::tests_server::{GET, Rig, UPGRADE};
use crate::config::Config;
use crate::config::wall_clock::WallClock;
use crate::error::{Error, RequestError};
use ::http::Response;
use bytes::Bytes;
use core::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

const NOW: Duration = Duration::from_secs(784_111_777);
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// The head of an answer with these fields, whole and as a stream.
fn heads(wall: Option<SystemTime>, status: u16, fields: &[(&str, &str)]) -> [String; 2] {
    let head = || {
        let mut builder = Response::builder().status(status);
        for (name, value) in fields {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap()
    };
    let rig = || {
        let config = Config::server();
        Rig::with(match wall {
            Some(wall) => config.wall_clock(WallClock::new(wall)),
            None => config,
        })
    };
    let mut whole = rig();
    let request = whole.request(GET);
    whole.respond(request, head().map(|()| Bytes::new())).unwrap();
    let mut streamed = rig();
    let request = streamed.request(GET);
    let Rig { http, now, config, out, .. } = &mut streamed;
    let body = http.respond_streaming(&mut Io { now: *now, config, out }, request, head(), Some(0)).unwrap();
    let _ = http.finish_body(&mut Io { now: *now, config, out }, body);
    [whole.output(), streamed.output()]
}

#[test]
fn names_are_spelled_as_in_their_rfcs() {
    for name in [
        "Content-Type",
        "X-Content-Type-Options",
        "Access-Control-Allow-Origin",
        "Set-Cookie",
        "ETag",
        "WWW-Authenticate",
        "Last-Event-ID",
        "Content-MD5",
        "DNT",
        "X-XSS-Protection",
        "X-DNS-Prefetch-Control",
        "Accept-CH",
        "Sec-CH-UA",
        "Sec-WebSocket-Version",
        "X-Accel-Buffering",
        "X-Te-st",
        "X--Y-",
        "X_Under.Score",
        "0-A",
        "-",
    ] {
        let expected = match name {
            "X-Te-st" => "X-TE-St",
            "X_Under.Score" => "X_under.score",
            name => name,
        };
        for head in heads(None, 200, &[(name, "x")]) {
            assert!(head.contains(&format!("\r\n{expected}: x\r\n")), "{name}: {head}");
        }
    }
}

#[test]
fn values_are_unchanged() {
    let value = "ETag, websocket; Sec-WebSocket-Accept=www";
    for head in heads(None, 200, &[("vary", value), ("Vary", "te")]) {
        assert!(head.contains(&format!("\r\nVary: {value}\r\nVary: te\r\n")), "{head}");
    }
}

#[test]
fn upgrade_answers_are_spelled_as_in_their_rfcs() {
    let mut rig = Rig::new();
    let upgrade = rig.upgrade(UPGRADE);
    rig.accept(upgrade).unwrap();
    assert!(rig.output().contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    let mut rig = Rig::new();
    rig.feed(UPGRADE.replace("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 7"));
    let output = rig.output();
    for field in ["Upgrade: websocket", "Connection: Upgrade, close", "Sec-WebSocket-Version: 13"] {
        assert!(output.contains(&format!("\r\n{field}\r\n")), "{field}: {output}");
    }
}

#[test]
fn last_modified_is_clamped_to_the_date() {
    let wall = Some(UNIX_EPOCH + NOW + Duration::from_millis(900));
    for (modified, expected) in [
        ("Sun, 06 Nov 1994 08:49:36 GMT", "Sun, 06 Nov 1994 08:49:36 GMT"),
        (DATE, DATE),
        ("Sun, 06 Nov 1994 08:49:38 GMT", DATE),
        ("Tue, 01 Jan 2030 00:00:00 GMT", DATE),
        ("Sunday, 06-Nov-94 08:49:38 GMT", DATE),
        ("soon", "soon"),
    ] {
        for status in [200, 206, 304] {
            for head in heads(wall, status, &[("Last-Modified", modified)]) {
                assert!(head.contains(&format!("\r\nLast-Modified: {expected}\r\n")), "{modified}: {head}");
                assert!(head.contains(&format!("\r\nDate: {DATE}\r\n")), "{head}");
                assert_eq!(head.matches("Last-Modified").count(), 1, "{head}");
            }
        }
    }
}

#[test]
fn last_modified_is_clamped_only_to_a_sent_date() {
    const FUTURE: &str = "Tue, 01 Jan 2030 00:00:00 GMT";
    for wall in [None, Some(UNIX_EPOCH - Duration::from_secs(1))] {
        for head in heads(wall, 200, &[("Last-Modified", FUTURE)]) {
            assert!(head.contains(FUTURE) && !head.contains("Date:"), "{head}");
        }
    }
    let wall = Some(UNIX_EPOCH + NOW);
    for (date, expected) in [
        ("Thu, 01 Jan 2026 00:00:00 GMT", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("Wed, 01 Jan 2031 00:00:00 GMT", FUTURE),
        ("mine", FUTURE),
    ] {
        for wall in [wall, None] {
            for head in heads(wall, 200, &[("Date", date), ("Last-Modified", FUTURE)]) {
                assert!(head.contains(&format!("\r\nLast-Modified: {expected}\r\n")), "{date}: {head}");
                assert_eq!(head.matches("\r\nDate: ").count(), 1, "{head}");
            }
        }
    }
}

#[test]
fn an_answer_does_not_restart_the_deadline_of_a_head_that_has_begun() {
    for (begun, time) in [(0, 15), (9, 7)] {
        let mut rig = Rig::new();
        let request = rig.request(GET);
        rig.feed(&GET[..begun]);
        rig.now += Duration::from_secs(3);
        rig.ok(request, "");
        assert_eq!(rig.time_out(), Duration::from_secs(time), "with {begun} bytes of a head");
    }
}

#[test]
fn no_deadline_runs_for_a_body_before_its_100_continue() {
    let mut rig = Rig::new();
    let request = rig.request(GET);
    let begin = rig.now;
    let post = "POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    assert!(rig.feed(post).is_none());
    let deadline = rig.http.deadline(&rig.config, &rig.out).unwrap();
    assert_eq!(deadline - begin, Duration::from_secs(60), "that of the answer before it");
    rig.now += Duration::from_secs(50);
    rig.ok(request, "");
    assert!(rig.output().ends_with("HTTP/1.1 100 Continue\r\n\r\n"));
    assert_eq!(rig.time_out(), Duration::from_secs(5));
}

#[test]
fn tls_at_a_port_without_it_ends_the_connection_without_an_answer() {
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    for cut in 1..hello.len() {
        let mut rig = Rig::new();
        assert!(rig.feed(&hello[..cut]).is_none());
        assert!(rig.feed(&hello[cut..]).is_none());
        assert!(matches!(rig.cause(), Some(Error::Request(RequestError::Tls))));
        assert!(rig.output().is_empty());
    }
    // Behind a request, that one is answered first.
    let mut rig = Rig::new();
    let request = rig.request(GET);
    assert!(rig.feed(hello).is_none());
    assert!(!rig.is_ending());
    rig.ok(request, "");
    assert_eq!(rig.statuses(), [200]);
    assert!(matches!(rig.cause(), Some(Error::Request(RequestError::Tls))));
}
