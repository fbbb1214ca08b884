//! Streaming responses: framing, order, backpressure, and visible ends.

use crate::moment::Moment;
use crate::{
    Closed, Config, Connection, Error, Event, IoAction, Outbox, Request, RespondError, ResponseBody, Sent,
};
use ::http::Response;
use bytes::{Buf, Bytes};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

pub(super) struct Rig {
    pub(super) conn: Connection,
    pub(super) now: Moment,
}

pub(super) const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(Config::server())
    }

    pub(super) fn with(config: Config) -> Self {
        let now = Moment::default();
        Self { conn: Connection::server(now, Arc::new(config), Default::default()), now }
    }

    pub(super) fn request(&mut self, text: &str) -> Request {
        let mut bytes = text.as_bytes().to_vec();
        match self.conn.handle_input(self.now, &mut &mut bytes[..]) {
            Some(Event::Request(request)) => request,
            other => panic!("no request but {other:?}"),
        }
    }

    pub(super) fn begin(&mut self, text: &str, length: Option<u64>) -> ResponseBody {
        let request = self.request(text);
        self.conn.http().respond_streaming(self.now, request, Response::new(()), length).unwrap()
    }

    /// The peer takes at most `most` bytes.
    pub(super) fn take(&mut self, most: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        while taken.len() < most && self.conn.outbox().has_remaining() {
            let outbox: &Outbox = self.conn.outbox();
            let chunk = outbox.chunk();
            let n = chunk.len().min(most - taken.len());
            taken.extend_from_slice(&chunk[..n]);
            self.conn.handle_written(self.now, n);
        }
        taken
    }

    pub(super) fn output(&mut self) -> String {
        String::from_utf8(self.take(usize::MAX)).unwrap()
    }

    fn closed(&mut self) -> Closed {
        assert_eq!(self.conn.poll_io(), IoAction::Shutdown);
        self.conn.handle_eof(self.now);
        self.end()
    }

    /// The report of its end, which must have been emitted.
    pub(super) fn end(&mut self) -> Closed {
        match self.conn.poll_event(self.now) {
            Some(Event::Closed(closed)) => *closed,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn body_without_length_is_chunked_and_keeps_the_connection() {
    let mut rig = Rig::new();
    let body = rig.begin(GET, None);
    assert_eq!(rig.output(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(rig.conn.http().send_body(&body, "hello"), Ok(Sent::Queued));
    assert_eq!(rig.conn.http().send_body(&body, ""), Ok(Sent::Queued), "no chunk of length 0 before the end");
    let long = "x".repeat(3000);
    rig.conn.http().send_body(&body, long.clone()).unwrap();
    assert_eq!(rig.output(), format!("5\r\nhello\r\nbb8\r\n{long}\r\n"));
    rig.conn.http().finish_body(rig.now, body).unwrap();
    assert_eq!(rig.output(), "0\r\n\r\n");
    let body = rig.begin(GET, Some(2));
    rig.conn.http().send_body(&body, "ok").unwrap();
    rig.conn.http().finish_body(rig.now, body).unwrap();
    assert_eq!(rig.output(), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
}

#[test]
fn http_1_0_gets_the_body_until_the_end_of_the_connection() {
    for head in ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"] {
        let mut rig = Rig::new();
        let body = rig.begin(head, None);
        rig.conn.http().send_body(&body, "until the end").unwrap();
        assert!(!rig.conn.is_paused(), "its end would show that the reader is gone");
        rig.conn.http().finish_body(rig.now, body).unwrap();
        assert_eq!(rig.output(), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end");
        assert!(rig.closed().error.is_none());
    }
    let mut rig = Rig::new();
    let body = rig.begin("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", Some(1));
    rig.conn.http().send_body(&body, "x").unwrap();
    rig.conn.http().finish_body(rig.now, body).unwrap();
    assert_eq!(rig.output(), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\nx");
    drop(rig.request(GET));
}

#[test]
fn head_gets_the_head_only() {
    for (length, framing) in [(None, "Transfer-Encoding: chunked"), (Some(9), "Content-Length: 9")] {
        let mut rig = Rig::new();
        let body = rig.begin("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n", length);
        assert!(body.is_discarded());
        rig.conn.http().send_body(&body, "of any length").unwrap();
        assert_eq!(rig.output(), format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n"));
        drop(rig.request(GET));
        rig.conn.http().send_body(&body, "and so on").unwrap();
        rig.conn.http().finish_body(rig.now, body).unwrap();
    }
}

#[test]
fn head_is_complete_without_chunks_on_a_closing_connection() {
    let mut rig = Rig::new();
    let body = rig.begin("HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", Some(9));
    // An application that sends chunks for a GET may send them here too.
    assert_eq!(rig.conn.http().send_body(&body, "nine byte"), Ok(Sent::Queued));
    assert_eq!(rig.conn.http().finish_body(rig.now, body), Ok(()));
    assert!(rig.output().ends_with("Connection: close\r\n\r\n"));
    assert!(rig.closed().error.is_none());
}

#[test]
fn a_status_without_body_sends_none() {
    for (status, head) in [
        (204, "HTTP/1.1 204 No Content\r\n\r\n"),
        (304, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
    ] {
        let mut rig = Rig::new();
        let request = rig.request(GET);
        let response = Response::builder().status(status).body(()).unwrap();
        let body = rig.conn.http().respond_streaming(rig.now, request, response, Some(5)).unwrap();
        rig.conn.http().send_body(&body, "12345678").unwrap();
        rig.conn.http().finish_body(rig.now, body).unwrap();
        assert_eq!(rig.output(), head);
    }
}

#[test]
fn dropped_body_is_visibly_truncated() {
    for length in [None, Some(100)] {
        let mut rig = Rig::new();
        let body = rig.begin(GET, length);
        rig.conn.http().send_body(&body, "half").unwrap();
        drop(body);
        assert!(rig.conn.poll_event(rig.now).is_none());
        let output = rig.output();
        assert!(output.contains("half") && !output.ends_with("0\r\n\r\n"), "{output}");
        let closed = rig.closed();
        assert!(matches!(closed.error, Some(Error::Unfinished)), "{closed}");
    }
}

#[test]
fn timer_detects_a_dropped_body() {
    let mut rig = Rig::new();
    let body = rig.begin(GET, None);
    for _ in 0..3 {
        rig.now = rig.conn.poll_timeout().unwrap();
        rig.conn.handle_timeout(rig.now);
        assert!(rig.conn.poll_event(rig.now).is_none());
        rig.output();
        rig.conn.http().send_body(&body, "still here").unwrap();
    }
    drop(body);
    rig.output();
    rig.now = rig.conn.poll_timeout().unwrap();
    rig.conn.handle_timeout(rig.now);
    assert!(rig.closed().error.is_some());
}

#[test]
fn body_dropped_before_its_turn_is_answered_503() {
    let mut rig = Rig::new();
    let first = rig.request(GET);
    let second = rig.begin(GET, None);
    rig.conn.http().send_body(&second, "never seen").unwrap();
    drop(second);
    rig.conn.respond(rig.now, first, Response::new(Bytes::from("1"))).unwrap();
    assert!(rig.conn.poll_event(rig.now).is_none());
    let output = rig.output();
    assert!(output.contains("\r\n\r\n1HTTP/1.1 503 ") && !output.contains("never"), "{output}");
    drop(rig.request(GET));
}

#[test]
fn excess_body_is_rejected_and_short_body_ends_the_connection() {
    let mut rig = Rig::new();
    let body = rig.begin(GET, Some(5));
    assert_eq!(rig.conn.http().send_body(&body, "toolong"), Err(RespondError::BodyLength { left: 5 }));
    rig.conn.http().send_body(&body, "abc").unwrap();
    assert_eq!(rig.conn.http().finish_body(rig.now, body), Err(RespondError::BodyLength { left: 2 }));
    assert!(rig.output().ends_with("\r\n\r\nabc"));
    assert!(rig.closed().error.is_some());
}

#[test]
fn pipelined_answers_keep_order_and_chunks_wait_their_turn() {
    let mut rig = Rig::new();
    let (first, second, third) = (rig.request(GET), rig.request(GET), rig.request(GET));
    let second = rig.conn.http().respond_streaming(rig.now, second, Response::new(()), None).unwrap();
    rig.conn.http().send_body(&second, "two").unwrap();
    rig.conn.respond(rig.now, third, Response::new(Bytes::from("three"))).unwrap();
    assert_eq!(rig.output(), "");
    assert_eq!(rig.conn.queued(), 3);
    rig.conn.respond(rig.now, first, Response::new(Bytes::from("one"))).unwrap();
    let output = rig.output();
    assert!(output.contains("\r\n\r\noneHTTP/1.1 200 OK\r\nTransfer"), "{output}");
    assert!(output.ends_with("3\r\ntwo\r\n"), "{output}");
    rig.conn.http().finish_body(rig.now, second).unwrap();
    assert_eq!(rig.output(), "0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthree");
}

#[test]
fn slow_reader_causes_congested_then_drained() {
    let mut rig = Rig::with(Config::server().outbox(1000, 10_000, 50_000));
    let body = rig.begin(GET, None);
    let chunk = Bytes::from(vec![b'x'; 8000]);
    assert_eq!(rig.conn.http().send_body(&body, chunk.clone()), Ok(Sent::Queued));
    assert_eq!(rig.conn.http().send_body(&body, chunk.clone()), Ok(Sent::Congested));
    while rig.conn.http().send_body(&body, chunk.clone()).is_ok() {}
    assert_eq!(rig.conn.http().send_body(&body, chunk.clone()), Err(RespondError::Full));
    assert!(rig.conn.queued() <= 50_000);
    rig.take(30_000);
    assert!(rig.conn.poll_event(rig.now).is_none());
    rig.output();
    assert!(matches!(rig.conn.poll_event(rig.now), Some(Event::Drained)));
    assert!(rig.conn.poll_event(rig.now).is_none(), "once per crossing");
    rig.conn.http().finish_body(rig.now, body).unwrap();
}

#[test]
fn queued_chunks_count_toward_the_cap() {
    let mut rig = Rig::with(Config::server().outbox(1000, 10_000, 50_000));
    let first = rig.request(GET);
    let body = rig.begin(GET, None);
    let chunk = Bytes::from(vec![b'x'; 8000]);
    let mut sent = 0;
    while rig.conn.http().send_body(&body, chunk.clone()).is_ok() {
        sent += 1;
    }
    assert_eq!(sent, 6);
    rig.conn.respond(rig.now, first, Response::new(Bytes::new())).unwrap();
    rig.output();
    assert!(matches!(rig.conn.poll_event(rig.now), Some(Event::Drained)));
    rig.conn.http().finish_body(rig.now, body).unwrap();
}

#[test]
fn peer_that_takes_nothing_times_out() {
    let mut rig = Rig::new();
    let body = rig.begin(GET, None);
    rig.conn.handle_written(rig.now, 0);
    rig.now += Duration::from_secs(30);
    rig.conn.handle_timeout(rig.now);
    assert!(matches!(rig.conn.poll_event(rig.now), Some(Event::Closed(_))));
    assert_eq!(rig.conn.http().send_body(&body, "x"), Err(RespondError::NotOpen));
    assert_eq!(rig.conn.http().finish_body(rig.now, body), Err(RespondError::NotOpen));
}

#[test]
fn close_during_a_body_does_not_complete_it() {
    let mut rig = Rig::new();
    let body = rig.begin(GET, None);
    rig.conn.close(rig.now, crate::CloseCode::GOING_AWAY, "").unwrap();
    assert_eq!(rig.conn.http().send_body(&body, "x"), Err(RespondError::NotOpen));
    assert!(!rig.output().contains("0\r\n\r\n"));
    drop(body);
}

#[test]
fn half_closed_peer_gets_the_rest_if_allowed_or_with_a_length() {
    for (half_close, length, rest) in [
        (true, None, "4\r\nrest\r\n0\r\n\r\n"),
        (false, Some(4), "\r\n\r\nrest"),
        (true, Some(4), "\r\n\r\nrest"),
    ] {
        let mut rig = Rig::with(Config::server().half_close(half_close));
        let body = rig.begin(GET, length);
        rig.conn.handle_eof(rig.now);
        rig.conn.http().send_body(&body, "rest").unwrap();
        rig.conn.http().finish_body(rig.now, body).unwrap();
        assert!(rig.output().ends_with(rest));
        match rig.conn.poll_event(rig.now) {
            Some(Event::Closed(closed)) => assert!(closed.error.is_none(), "{closed}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_body_belongs_to_its_connection() {
    let (mut one, mut other) = (Rig::new(), Rig::new());
    let body = one.begin(GET, None);
    let others = other.begin(GET, None);
    assert_eq!(one.conn.http().send_body(&others, "x"), Err(RespondError::WrongRequest));
    assert_eq!(other.conn.http().finish_body(other.now, body), Err(RespondError::WrongRequest));
    drop(others);
}

#[test]
fn framing_violation_is_rejected_and_answered_503() {
    for name in ["content-length", "transfer-encoding", "connection"] {
        let mut rig = Rig::new();
        let request = rig.request(GET);
        let head = Response::builder().header(name, "5").body(()).unwrap();
        let result = rig.conn.http().respond_streaming(rig.now, request, head, None);
        assert_eq!(result.unwrap_err(), RespondError::Header(name.to_owned()));
        assert!(rig.conn.poll_event(rig.now).is_none());
        assert!(rig.output().starts_with("HTTP/1.1 503 "));
    }
}

/// The chunked bodies in what the peer took.
pub(super) fn bodies(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    fn line<'a>(bytes: &mut &'a [u8]) -> &'a str {
        let end = bytes.windows(2).position(|two| two == b"\r\n").unwrap();
        let line = std::str::from_utf8(&bytes[..end]).unwrap();
        *bytes = &bytes[end + 2..];
        line
    }
    let mut bodies = Vec::new();
    while !bytes.is_empty() {
        while !line(&mut bytes).is_empty() {}
        let mut body = Vec::new();
        loop {
            let length = usize::from_str_radix(line(&mut bytes), 16).unwrap();
            body.extend_from_slice(&bytes[..length]);
            bytes = &bytes[length..];
            assert_eq!(line(&mut bytes), "");
            if length == 0 {
                break;
            }
        }
        bodies.push(body);
    }
    bodies
}

proptest! {
    /// For any chunks, any order, and any pace of the peer: each body arrives whole and in the order of the
    /// requests.
    #[test]
    fn bodies_arrive_whole_and_in_order(
        steps in proptest::collection::vec((0..3_usize, 0..3000_usize, 0..2500_usize), 0..40),
        finish in Just([0, 1, 2]).prop_shuffle(),
    ) {
        let mut rig = Rig::new();
        let requests: Vec<_> = (0..3).map(|_| rig.request(GET)).collect();
        let begin = |request| rig.conn.http().respond_streaming(rig.now, request, Response::new(()), None).unwrap();
        let mut running: Vec<_> = requests.into_iter().map(begin).map(Some).collect();
        let mut sent = vec![Vec::new(); 3];
        let mut taken = Vec::new();
        for (at, size, take) in steps {
            let chunk = vec![b'a' + (size % 26) as u8; size];
            sent[at].extend_from_slice(&chunk);
            rig.conn.http().send_body(running[at].as_ref().unwrap(), chunk).unwrap();
            taken.extend(rig.take(take));
        }
        for at in finish {
            let body = running[at].take().unwrap();
            rig.conn.http().finish_body(rig.now, body).unwrap();
            taken.extend(rig.take(1000));
        }
        taken.extend(rig.take(usize::MAX));
        prop_assert_eq!(bodies(&taken), sent);
        prop_assert_eq!(rig.conn.queued(), 0);
    }
}
