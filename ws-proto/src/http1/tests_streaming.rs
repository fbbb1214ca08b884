//! Streaming requests: their parts, their ends, `100 Continue`, early answers, deadlines.

use super::Incoming;
use super::tests_server::{GET, Rig};
use crate::access::head_rule::{HeadRule, RequestHead};
use crate::config::Config;
use crate::error::{Error, RequestError, RespondError, Timeout};
use crate::event::RequestBody;
use ::http::{Method, Response};
use core::time::Duration;
use std::sync::Arc;

/// Bodies for `/files/` are streaming, up to this many bytes.
#[derive(Debug)]
struct Files(u64);

impl HeadRule for Files {
    fn check(&self, _: &RequestHead<'_>) -> Result<(), RequestError> {
        Ok(())
    }

    fn stream_body(&self, head: &RequestHead<'_>) -> Option<u64> {
        (head.path().starts_with("/files/") && head.method() != Method::GET).then_some(self.0)
    }
}

pub(super) fn streaming(limit: u64) -> Config {
    Config::server().head_rule(Arc::new(Files(limit)))
}

fn rig() -> Rig {
    Rig::with(streaming(1 << 50))
}

/// A head with these lines.
pub(super) fn put(lines: &str) -> String {
    format!("PUT /files/film HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

pub(super) const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

/// All parts that follow from these bytes: the data, and the end.
fn body(rig: &mut Rig, bytes: &str) -> (Vec<u8>, Option<RequestBody<'static>>) {
    let mut data = Vec::new();
    let mut incoming = rig.feed(bytes);
    loop {
        match incoming {
            Some(Incoming::Body(RequestBody::Data(more))) => data.extend_from_slice(&more),
            Some(Incoming::Body(end)) => return (data, Some(end)),
            Some(other) => panic!("{other:?}"),
            None => return (data, None),
        }
        incoming = rig.feed("");
    }
}

fn complete(rig: &mut Rig, bytes: &str) -> Vec<u8> {
    let (data, end) = body(rig, bytes);
    assert!(matches!(end, Some(RequestBody::Complete)), "{end:?}");
    data
}

fn incomplete(rig: &mut Rig, bytes: &str) -> Error {
    match body(rig, bytes).1 {
        Some(RequestBody::Incomplete(error)) => *error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_precedes_its_streaming_body() {
    for (lines, bytes, len) in [
        ("Content-Length: 5\r\n", "hello", Some(5)),
        (CHUNKED, "2\r\nhe\r\n3;x\r\nllo\r\n0\r\nT: u\r\n\r\n", None),
    ] {
        let mut rig = rig();
        let request = rig.request(put(lines));
        assert!(request.is_streaming() && request.body().is_empty());
        assert_eq!(request.body_len(), len);
        assert_eq!(complete(&mut rig, bytes), b"hello");
        rig.ok(request, "stored");
        assert!(rig.output().ends_with("\r\n\r\nstored"));
        let request = rig.request(GET);
        assert!(!request.is_streaming() && request.body_len() == Some(0));
    }
}

#[test]
fn an_empty_streaming_body_has_an_end_too() {
    for (lines, bytes) in [("", ""), ("Content-Length: 0\r\n", ""), (CHUNKED, "0\r\n\r\n")] {
        let mut rig = rig();
        let request = rig.request(put(lines));
        assert!(request.is_streaming());
        assert_eq!(complete(&mut rig, bytes), b"");
        rig.ok(request, "stored");
        assert!(!rig.is_ending());
    }
}

#[test]
fn a_streaming_body_is_emitted_as_it_arrives_and_nothing_is_kept() {
    let mut rig = rig();
    let request = rig.request(put("Content-Length: 3000000000000\r\n"));
    for _ in 0..1000 {
        assert_eq!(body(&mut rig, &"x".repeat(5000)).0.len(), 5000);
        assert_eq!((rig.http.memory_len(), rig.rest.len()), (0, 0));
    }
    drop(request);
}

#[test]
fn a_pipelined_request_waits_for_the_end_of_the_body() {
    let mut rig = Rig::with(streaming(10).pipeline_limit(1));
    let request = rig.request(put("Content-Length: 5\r\n") + "hello" + GET);
    assert_eq!(complete(&mut rig, ""), b"hello");
    rig.ok(request, "one");
    let get = rig.request("");
    rig.ok(get, "two");
    assert_eq!(rig.statuses(), [200, 200]);
}

#[test]
fn a_streaming_body_may_arrive_while_an_earlier_request_is_unanswered() {
    let mut rig = rig();
    let get = rig.request(GET.to_owned() + &put("Content-Length: 5\r\nExpect: 100-continue\r\n"));
    let request = rig.request("");
    assert_eq!(body(&mut rig, "he").0, b"he");
    assert_eq!(rig.output(), "", "an early 100 would be the answer to another request");
    rig.ok(get, "one");
    assert!(rig.output().ends_with("one"));
    assert_eq!(complete(&mut rig, "llo"), b"llo");
    assert_eq!(rig.output(), "HTTP/1.1 100 Continue\r\n\r\n");
    rig.ok(request, "two");
}

#[test]
fn a_declared_length_over_the_limit_is_rejected_at_its_head() {
    let mut rig = Rig::with(streaming(10));
    assert!(rig.feed(put("Content-Length: 11\r\nExpect: 100-continue\r\n")).is_none());
    assert_eq!(rig.statuses(), [413]);
    assert!(matches!(rig.cause(), Some(Error::Request(RequestError::BodyTooLarge))));
}

#[test]
fn a_chunked_body_over_the_limit_is_cut_off() {
    let mut rig = Rig::with(streaming(10));
    let request = rig.request(put(CHUNKED));
    assert_eq!(body(&mut rig, "a\r\n0123456789\r\n").0.len(), 10);
    let error = incomplete(&mut rig, "1\r\nx\r\n0\r\n\r\n");
    assert!(matches!(error, Error::Request(RequestError::BodyTooLarge)));
    assert_eq!(rig.statuses(), [413]);
    assert!(rig.is_ending());
    assert_eq!(rig.respond(request, Response::default()), Err(RespondError::NotOpen));
}

#[test]
fn a_malformed_chunk_cuts_the_body_off() {
    let mut rig = rig();
    let _request = rig.request(put(CHUNKED));
    let error = incomplete(&mut rig, "1\r\nx\n");
    assert!(matches!(error, Error::Request(RequestError::Malformed(_))));
    assert_eq!(rig.statuses(), [400]);
}

#[test]
fn two_lengths_are_rejected_before_a_streaming_body() {
    let mut rig = rig();
    assert!(rig.feed(put(&format!("Content-Length: 5\r\n{CHUNKED}"))).is_none());
    assert_eq!(rig.statuses(), [400]);
}

// --- 100 Continue

#[test]
fn continue_is_sent_once_the_application_has_seen_the_request() {
    let mut rig = rig();
    let request = rig.request(put("Content-Length: 5\r\nExpect: 100-continue\r\n"));
    assert_eq!(rig.output(), "", "the application may reject it");
    assert_eq!(rig.http.deadline(&rig.config, &rig.out), None, "its time has not begun");
    assert!(rig.feed("").is_none());
    assert_eq!(rig.output(), "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(complete(&mut rig, "hello"), b"hello");
    rig.ok(request, "stored");
    assert_eq!(rig.statuses(), [200]);
    assert!(!rig.is_ending());
}

#[test]
fn an_early_rejection_precedes_continue_and_ends_the_connection() {
    let mut rig = rig();
    let request = rig.request(put("Content-Length: 5\r\nExpect: 100-continue\r\n"));
    rig.ok(request, "no");
    let output = rig.output();
    assert!(!output.contains("100") && output.contains("Connection: close\r\n"), "{output}");
    assert!(rig.is_ending() && rig.feed("hello").is_none());
}

#[test]
fn an_empty_body_needs_no_continue() {
    let mut rig = rig();
    let request = rig.request(put("Content-Length: 0\r\nExpect: 100-continue\r\n"));
    assert_eq!(complete(&mut rig, ""), b"");
    rig.ok(request, "stored");
    assert_eq!(rig.statuses(), [200]);
}

// --- early answers

#[test]
fn after_an_early_answer_a_small_rest_is_discarded_and_the_connection_continues() {
    for is_dropped in [false, true] {
        let mut rig = rig();
        let request = rig.request(put("Content-Length: 65536\r\n"));
        assert_eq!(body(&mut rig, "hello").0, b"hello");
        match is_dropped {
            true => drop(request),
            false => rig.ok(request, "no"),
        }
        let rest = "x".repeat(65536 - 5);
        let get = rig.request(rest + GET);
        rig.ok(get, "two");
        assert_eq!(rig.statuses(), [if is_dropped { 503 } else { 200 }, 200]);
    }
}

#[test]
fn after_an_early_answer_a_large_or_unknown_rest_ends_the_connection() {
    for lines in ["Content-Length: 65537\r\n", CHUNKED] {
        for is_dropped in [false, true] {
            let mut rig = rig();
            let request = rig.request(put(lines));
            match is_dropped {
                true => drop(request),
                false => rig.ok(request, "no"),
            }
            assert!(rig.feed(format!("0\r\n\r\n{GET}")).is_none());
            let output = rig.output();
            assert!(output.contains("Connection: close\r\n"), "{output}");
            assert!(rig.is_ending());
        }
    }
}

#[test]
fn a_streaming_answer_ends_the_body_too() {
    let mut rig = rig();
    let request = rig.request(put(CHUNKED));
    let mut io = super::Io { now: rig.now, config: &rig.config, out: &mut rig.out };
    let answer = rig.http.respond_streaming(&mut io, request, Response::new(()), None).unwrap();
    assert!(rig.feed("5\r\nhello\r\n0\r\n\r\n").is_none());
    let mut io = super::Io { now: rig.now, config: &rig.config, out: &mut rig.out };
    rig.http.finish_body(&mut io, answer).unwrap();
    assert!(rig.output().contains("Connection: close"));
    assert!(rig.is_ending());
}

#[test]
fn a_discarded_rest_that_does_not_arrive_gets_no_second_answer() {
    let mut rig = rig();
    let request = rig.request(put("Content-Length: 10\r\n"));
    rig.ok(request, "no");
    assert_eq!(rig.time_out(), Duration::from_secs(30));
    assert_eq!(rig.statuses(), [200]);
    assert!(matches!(rig.cause(), Some(Error::Timeout(Timeout::Body))));
}

// --- deadlines

#[test]
fn each_period_must_bring_enough() {
    let mut rig = rig();
    let request = rig.request(put("Content-Length: 3000000000000\r\n"));
    assert!(rig.feed("").is_none());
    for _ in 0..5 {
        assert_eq!(body(&mut rig, &"x".repeat(30 << 10)).0.len(), 30 << 10);
        assert_eq!(rig.time_out(), Duration::from_secs(30));
        assert!(!rig.is_ending());
    }
    // What it sent earlier does not help.
    assert_eq!(body(&mut rig, &"x".repeat((30 << 10) - 1)).0.len(), (30 << 10) - 1);
    rig.time_out();
    let error = incomplete(&mut rig, "");
    assert!(matches!(error, Error::Timeout(Timeout::Body)));
    assert_eq!(rig.statuses(), [408]);
    drop(request);
}

#[test]
fn the_time_of_the_application_is_not_the_peers() {
    let mut rig = rig();
    let _request = rig.request(put("Content-Length: 10\r\n"));
    assert!(matches!(rig.feed("x"), Some(Incoming::Body(RequestBody::Data(_)))));
    let begin = rig.now;
    rig.now = begin + Duration::from_secs(100);
    assert_eq!(rig.http.deadline(&rig.config, &rig.out), None, "the application handles it");
    assert!(rig.feed("").is_none());
    assert_eq!(rig.http.deadline(&rig.config, &rig.out), Some(rig.now + Duration::from_secs(30)));
}

#[test]
fn the_time_for_the_answer_begins_with_the_end_of_the_body() {
    let mut rig = rig();
    let _request = rig.request(put("Content-Length: 5\r\n"));
    rig.now += Duration::from_secs(600);
    assert_eq!(complete(&mut rig, "hello"), b"hello");
    assert_eq!(rig.time_out(), Duration::from_secs(60));
    assert_eq!(rig.statuses(), [503]);
}
