//! Two honest HTTP peers near each protective rule: neither is cut off. After each, the peer that the rule cuts off.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use bytes::{Buf, Bytes};
use http::Response;
use std::sync::Arc;
use std::time::Duration;
use ws_kit::frames::*;
use ws_proto::{Config, Connection, Event, Moment, Request, State};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A server with one connection, and its clock.
struct Server {
    connection: Connection,
    now: Moment,
}

impl Server {
    fn new() -> Self {
        let now = Moment::from_nanos(1 << 60);
        Self { connection: Connection::server(now, Arc::new(Config::server()), Default::default()), now }
    }

    fn feed(&mut self, bytes: impl AsRef<[u8]>) -> Option<Request> {
        match feed(&mut self.connection, self.now, bytes.as_ref()).pop() {
            Some(Event::Request(request)) => Some(request),
            None => None,
            other => panic!("{other:?}"),
        }
    }

    /// Time passes; the connection handles what is due.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.connection.poll_timeout().filter(|due| *due <= end) {
            self.now = due;
            self.connection.handle_timeout(due);
        }
        self.now = end;
    }

    fn answer(&mut self, request: Request, len: usize) {
        let response = Response::new(Bytes::from(vec![b'.'; len]));
        self.connection.respond(self.now, request, response).unwrap();
    }

    /// The status codes of the output, all of which is taken.
    fn statuses(&mut self) -> Vec<u16> {
        let output = String::from_utf8(take_output(&mut self.connection, self.now)).unwrap();
        output.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].parse().unwrap()).collect()
    }
}

// --- the rate of a body

/// A client uploads 40 KiB: after `pause`, a piece each half second. Returns whether the request arrives.
fn upload(pause: Duration, rate: usize) -> bool {
    let mut server = Server::new();
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40960\r\n\r\n";
    assert!(server.feed(head).is_none());
    server.pass(pause);
    let body = vec![b'x'; 40 * 1024];
    for piece in body.chunks(rate / 2) {
        server.pass(SECOND / 2);
        if let Some(request) = server.feed(piece) {
            server.answer(request, 2);
            return server.statuses() == [200];
        }
        if server.connection.outbox().has_remaining() {
            assert_eq!(server.statuses(), [408]);
            return false;
        }
    }
    panic!("neither a request nor an answer");
}

#[test]
fn a_slow_upload_arrives_at_the_minimum_rate() {
    assert!(upload(Duration::ZERO, 1024), "a slow one");
    assert!(upload(4 * SECOND, 1024), "one that begins late");
    assert!(upload(Duration::ZERO, 64 * 1024), "a fast one");
    assert!(!upload(Duration::ZERO, 700));
    assert!(!upload(5 * SECOND, 1024));
}

#[test]
fn an_upload_may_stall_for_the_time_that_it_is_ahead_of_the_rate() {
    for (stall, arrives) in [(24, true), (26, false)] {
        let mut server = Server::new();
        assert!(server.feed("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20481\r\n\r\n").is_none());
        assert!(server.feed(vec![b'x'; 20 * 1024]).is_none());
        server.pass(stall * SECOND);
        assert_eq!(server.feed("x").is_some(), arrives, "after {stall} s");
    }
}

// --- answer_timeout

#[test]
fn a_slow_answer_arrives_and_one_past_the_timeout_is_503() {
    for (time, expected) in [(59, vec![200]), (61, vec![503])] {
        let mut server = Server::new();
        let request = server.feed(GET).unwrap();
        server.pass(time * SECOND);
        let _ = server.connection.respond(server.now, request, Response::new(Bytes::new()));
        assert_eq!(server.statuses(), expected, "after {time} s");
    }
}

#[test]
fn a_streamed_answer_has_no_timeout_while_its_reader_takes_it() {
    let mut server = Server::new();
    let request = server.feed(GET).unwrap();
    let body =
        server.connection.http().respond_streaming(server.now, request, Response::new(()), None).unwrap();
    for second in 0..600 {
        server.connection.http().send_body(&body, format!("event {second}\n")).unwrap();
        server.pass(SECOND);
        take_output(&mut server.connection, server.now);
    }
    server.connection.http().finish_body(server.now, body).unwrap();
    assert!(take_output(&mut server.connection, server.now).ends_with(b"0\r\n\r\n"));
}

#[test]
fn a_request_behind_a_slow_answer_is_answered() {
    let mut server = Server::new();
    let slow = server.feed(GET).unwrap();
    server.pass(30 * SECOND);
    let next = server.feed(GET).unwrap();
    server.answer(next, 1);
    server.pass(29 * SECOND);
    server.answer(slow, 1);
    assert_eq!(server.statuses(), [200, 200]);
}

// --- keep_alive

#[test]
fn a_further_request_in_time_keeps_the_connection() {
    let mut server = Server::new();
    for _ in 0..100 {
        let request = server.feed(GET).unwrap();
        server.answer(request, 1000);
        assert_eq!(server.statuses(), [200]);
        server.pass(15 * SECOND - MILLISECOND);
    }
    server.pass(MILLISECOND);
    assert_ne!(server.connection.state(), State::Connecting);
}

#[test]
fn a_slow_reader_of_an_answer_is_not_idle() {
    let mut server = Server::new();
    let request = server.feed(GET).unwrap();
    server.answer(request, 200_000);
    while !take_some(&mut server.connection, server.now, 2000).is_empty() {
        server.pass(SECOND);
    }
    server.pass(13 * SECOND);
    assert!(server.feed(GET).is_some(), "the time counts from the last byte");
}

#[test]
fn a_request_that_begins_in_time_may_take_the_handshake_timeout() {
    for (time, arrives) in [(9, true), (10, false)] {
        let mut server = Server::new();
        let request = server.feed(GET).unwrap();
        server.answer(request, 1);
        server.statuses();
        server.pass(15 * SECOND - MILLISECOND);
        assert!(server.feed(&GET[..7]).is_none());
        server.pass(time * SECOND);
        assert_eq!(server.feed(&GET[7..]).is_some(), arrives, "after {time} s");
    }
}
