//! The states of the server: order, keep-alive, limits, deadlines.

use super::{Incoming, Io, ServerHttp};
use crate::access::transport::Transport;
use crate::config::Config;
use crate::config::wall_clock::WallClock;
use crate::error::{Error, RequestError, RespondError, Timeout};
use crate::handshake::{Request, Upgrade};
use crate::moment::Moment;
use crate::outbox::Outbox;
use ::http::{Response, StatusCode};
use bytes::{Buf, Bytes};
use core::time::Duration;
use std::time::UNIX_EPOCH;

/// A server's stage with a clock and a socket that takes everything.
pub(super) struct Rig {
    pub(super) http: ServerHttp,
    pub(super) config: Config,
    pub(super) out: Outbox,
    pub(super) now: Moment,
    /// Input that was not consumed.
    pub(super) rest: Vec<u8>,
    /// What the socket took while time passed.
    taken: Vec<u8>,
}

pub(super) const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
pub(super) const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(Config::server())
    }

    pub(super) fn with(config: Config) -> Self {
        let now = Moment::default();
        Self {
            http: ServerHttp::new(now, Transport::default()),
            config,
            out: Outbox::default(),
            now,
            rest: Vec::new(),
            taken: Vec::new(),
        }
    }

    pub(super) fn feed(&mut self, bytes: impl AsRef<[u8]>) -> Option<Incoming<'static>> {
        self.rest.extend_from_slice(bytes.as_ref());
        let mut all = std::mem::take(&mut self.rest);
        let mut input = &mut all[..];
        let mut io = Io { now: self.now, config: &self.config, out: &mut self.out };
        let incoming = self.http.handle_input(&mut io, false, &mut input).map(Incoming::into_owned);
        self.rest = input.to_vec();
        incoming
    }

    pub(super) fn request(&mut self, bytes: impl AsRef<[u8]>) -> Request {
        match self.feed(bytes) {
            Some(Incoming::Request(request)) => request,
            other => panic!("no request but {other:?}; answered {:?}", self.output()),
        }
    }

    pub(super) fn upgrade(&mut self, bytes: impl AsRef<[u8]>) -> Upgrade {
        match self.feed(bytes) {
            Some(Incoming::Upgrade(upgrade)) => upgrade,
            other => panic!("no upgrade but {other:?}; answered {:?}", self.output()),
        }
    }

    pub(super) fn respond(
        &mut self,
        request: impl Into<Request>,
        response: Response<Bytes>,
    ) -> Result<(), RespondError> {
        let mut io = Io { now: self.now, config: &self.config, out: &mut self.out };
        self.http.respond(&mut io, request.into(), response)
    }

    pub(super) fn ok(&mut self, request: impl Into<Request>, body: &'static str) {
        self.respond(request, Response::new(Bytes::from(body))).unwrap();
    }

    pub(super) fn accept(&mut self, upgrade: Upgrade) -> Result<(), RespondError> {
        self.http.accept(&mut Io { now: self.now, config: &self.config, out: &mut self.out }, upgrade)
    }

    /// Advances to the next deadline, and returns how far it was.
    pub(super) fn time_out(&mut self) -> Duration {
        self.taken = self.output_bytes();
        let deadline = self.http.deadline(&self.config, &self.out).expect("a deadline");
        let waited = deadline - self.now;
        self.now = deadline - Duration::from_millis(1);
        self.http.handle_timeout(&mut Io { now: self.now, config: &self.config, out: &mut self.out });
        assert_eq!(self.http.deadline(&self.config, &self.out), Some(deadline), "acted before the deadline");
        self.now = deadline;
        self.http.handle_timeout(&mut Io { now: self.now, config: &self.config, out: &mut self.out });
        waited
    }

    pub(super) fn output(&mut self) -> String {
        String::from_utf8(self.output_bytes()).unwrap()
    }

    pub(super) fn output_bytes(&mut self) -> Vec<u8> {
        let len = self.out.len();
        let mut bytes = std::mem::take(&mut self.taken);
        bytes.extend_from_slice(&self.out.copy_to_bytes(len));
        self.http.handle_written(self.now, len, &self.out);
        bytes
    }

    /// The status codes in the output.
    pub(super) fn statuses(&mut self) -> Vec<u16> {
        let output = self.output();
        output.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].parse().unwrap()).collect()
    }

    pub(super) fn cause(&self) -> Option<&Error> {
        self.http.ending().expect("an ending").cause.as_ref()
    }

    pub(super) fn is_ending(&self) -> bool {
        self.http.ending().is_some()
    }
}

#[test]
fn requests_are_answered_in_order_whatever_the_order_of_the_answers() {
    let mut rig = Rig::new();
    let first = rig.request(GET.repeat(3));
    let second = rig.request("");
    let third = rig.request("");
    rig.ok(third, "three");
    rig.ok(second, "two");
    assert!(rig.out.is_empty());
    rig.ok(first, "one");
    let one = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none";
    let output = rig.output();
    assert!(output.starts_with(one), "{output}");
    assert!(output.find("two").unwrap() < output.find("three").unwrap());
    assert!(!rig.is_ending());
}

#[test]
fn a_pipeline_is_paused_at_its_limit() {
    let mut rig = Rig::new();
    let first = rig.request(GET.repeat(20));
    let others: Vec<_> = (1..16).map(|_| rig.request("")).collect();
    assert!(rig.http.is_paused(&rig.config, false));
    assert!(rig.feed("").is_none());
    assert_eq!(rig.rest.len(), 4 * GET.len());
    rig.ok(first, "");
    assert!(!rig.http.is_paused(&rig.config, false));
    let last = rig.request("");
    assert!(rig.http.is_paused(&rig.config, false));
    drop((others, last));
}

#[test]
fn fault_does_not_lose_earlier_answers() {
    let mut rig = Rig::new();
    let first = rig.request(format!("{GET}{GET}GET / HTTP/1.1\r\n\r\n{GET}"));
    let second = rig.request("");
    assert!(rig.feed("").is_none());
    assert!(rig.out.is_empty() && !rig.is_ending());
    rig.ok(second, "");
    rig.ok(first, "");
    assert_eq!(rig.statuses(), [200, 200, 400]);
    assert!(matches!(rig.cause(), Some(Error::Request(RequestError::Malformed(_)))));
    assert_eq!(rig.rest, GET.as_bytes());
}

#[test]
fn keep_alive_follows_the_http_version() {
    for (head, ends, word) in [
        ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", false, None),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", true, Some("close")),
        (
            "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: x\r\nConnection: y, Close\r\n\r\n",
            true,
            Some("close"),
        ),
        ("GET / HTTP/1.0\r\n\r\n", true, Some("close")),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false, Some("keep-alive")),
        ("GET / HTTP/1.2\r\nHost: localhost\r\n\r\n", false, None),
    ] {
        let mut rig = Rig::new();
        let request = rig.request(format!("{head}{GET}"));
        rig.ok(request, "x");
        let output = rig.output();
        assert_eq!(rig.is_ending(), ends, "{head}");
        assert_eq!(
            output.split_once("Connection: ").map(|(_, o)| o.split_once("\r\n").unwrap().0),
            word,
            "{head}"
        );
        assert_eq!(rig.feed("").is_none(), ends, "{head}");
        if ends {
            assert!(rig.cause().is_none());
        }
    }
}

#[test]
fn nothing_is_read_behind_the_last_request() {
    let mut rig = Rig::new();
    let request = rig.request(format!("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n{GET}"));
    assert!(rig.feed("").is_none());
    assert!(rig.http.is_paused(&rig.config, false));
    rig.ok(request, "");
    assert_eq!(rig.rest, GET.as_bytes());
}

#[test]
fn the_last_request_of_a_connection_closes_it() {
    let mut config = Config::server();
    config.request_limit = 2;
    let mut rig = Rig::with(config);
    let request = rig.request(GET);
    rig.ok(request, "");
    let request = rig.request(GET.repeat(2));
    rig.ok(request, "");
    assert!(rig.output().ends_with("Connection: close\r\n\r\n"));
    assert!(rig.is_ending());
}

#[test]
fn body_fields_follow_status_and_method() {
    let response =
        |status: u16, body: &'static str| Response::builder().status(status).body(Bytes::from(body)).unwrap();
    for (method, response, want) in [
        ("GET", response(200, "hello"), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        ("GET", response(200, ""), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("HEAD", response(200, "hello"), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("HEAD", response(200, ""), "HTTP/1.1 200 OK\r\n\r\n"),
        ("GET", response(204, ""), "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", response(304, ""), "HTTP/1.1 304 Not Modified\r\n\r\n"),
        ("GET", response(304, "hello"), "HTTP/1.1 304 Not Modified\r\n\r\n"),
        ("GET", response(299, "x"), "HTTP/1.1 299 \r\nContent-Length: 1\r\n\r\nx"),
    ] {
        let mut rig = Rig::new();
        let request = rig.request(format!("{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        rig.respond(request, response).unwrap();
        assert_eq!(rig.output(), want, "{method}");
    }
}

#[test]
fn large_bodies_are_shared() {
    let mut rig = Rig::new();
    let request = rig.request(GET);
    let body = Bytes::from(vec![b'x'; 100_000]);
    rig.respond(request, Response::new(body.clone())).unwrap();
    let head = rig.out.chunk().len();
    rig.out.advance(head);
    assert_eq!(rig.out.chunk().as_ptr(), body.as_ptr());
    assert_eq!(rig.out.len(), body.len());
}

#[test]
fn response_that_would_break_framing_is_rejected() {
    for (method, name, value, allowed) in [
        ("GET", "Transfer-Encoding", "chunked", false),
        ("GET", "Connection", "close", false),
        ("GET", "Keep-Alive", "timeout=5", false),
        ("GET", "Upgrade", "h2c", false),
        ("GET", "Content-Length", "5", true),
        ("GET", "Content-Length", "4", false),
        ("GET", "Content-Length", "+5", false),
        ("HEAD", "Content-Length", "4", true),
        ("HEAD", "Content-Length", "x", false),
    ] {
        let mut rig = Rig::new();
        let request = rig.request(format!("{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let response = Response::builder().header(name, value).body(Bytes::from("hello")).unwrap();
        let result = rig.respond(request, response);
        if allowed {
            assert_eq!(result, Ok(()));
            assert_eq!(rig.output().to_ascii_lowercase().matches("content-length: ").count(), 1);
        } else {
            assert_eq!(result, Err(RespondError::Header(name.to_ascii_lowercase())), "{name}: {value}");
            assert!(rig.out.is_empty());
            // The token is used up; the client must not be left waiting.
            rig.feed("");
            assert_eq!(rig.statuses(), [503]);
        }
    }
    for status in [100, 101, 103] {
        let mut rig = Rig::new();
        let request = rig.request(GET);
        let response = Response::builder().status(status).body(Bytes::new()).unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(rig.respond(request, response), Err(RespondError::Status(status)));
    }
}

#[test]
fn responses_are_dated() {
    let wall = UNIX_EPOCH + Duration::from_secs(784_111_777);
    let clock = WallClock::new(wall);
    let mut rig = Rig::with(Config::server().wall_clock(clock.clone()));
    clock.set(wall + Duration::from_secs(60));
    let request = rig.request(GET);
    rig.ok(request, "");
    assert!(rig.output().contains("\r\nDate: Sun, 06 Nov 1994 08:50:37 GMT\r\n"));
    let request = rig.request(GET);
    rig.respond(request, Response::builder().header("Date", "mine").body(Bytes::new()).unwrap()).unwrap();
    assert_eq!(rig.output().to_ascii_lowercase().matches("\r\ndate: ").count(), 1);
    // Before 1970, and after the year 9999.
    for wall in [UNIX_EPOCH - Duration::from_secs(100), UNIX_EPOCH + Duration::from_secs(1 << 38)] {
        let mut rig = Rig::with(Config::server().wall_clock(WallClock::new(wall)));
        let request = rig.request(GET);
        rig.ok(request, "");
        assert!(!rig.output().contains("Date"));
    }
}

#[test]
fn dropped_request_is_answered_503_and_others_normally() {
    let mut rig = Rig::new();
    let first = rig.request(GET.repeat(3));
    let second = rig.request("");
    let third = rig.request("");
    drop(second);
    rig.ok(third, "");
    rig.ok(first, "");
    rig.http.sweep(&mut Io { now: rig.now, config: &rig.config, out: &mut rig.out });
    assert_eq!(rig.statuses(), [200, 503, 200]);
    assert!(!rig.is_ending());
}

#[test]
fn request_of_another_connection_is_rejected() {
    let (mut one, mut two) = (Rig::new(), Rig::new());
    let request = one.request(GET);
    let _kept = two.request(GET);
    assert_eq!(two.respond(request, Response::new(Bytes::new())), Err(RespondError::WrongRequest));
    let upgrade = one.upgrade(UPGRADE);
    assert_eq!(two.accept(upgrade), Err(RespondError::WrongRequest));
    assert!(two.out.is_empty());
}

#[test]
fn late_request_is_answered_503() {
    let mut rig = Rig::new();
    let request = rig.request(GET);
    assert_eq!(rig.time_out(), Duration::from_secs(60));
    assert_eq!(rig.statuses(), [503]);
    assert_eq!(rig.respond(request, Response::new(Bytes::new())), Err(RespondError::WrongRequest));
    let request = rig.request(GET);
    rig.ok(request, "");
    assert_eq!(rig.statuses(), [200]);
}

#[test]
fn the_deadline_of_a_head_is_absolute() {
    let mut rig = Rig::new();
    let start = rig.now;
    for byte in GET.as_bytes()[..9].chunks(1) {
        rig.now += Duration::from_secs(1);
        assert!(rig.feed(byte).is_none());
    }
    rig.time_out();
    assert_eq!(rig.now - start, Duration::from_secs(10));
    assert_eq!(rig.statuses(), [408]);
    assert!(matches!(rig.cause(), Some(Error::Timeout(Timeout::Handshake))));
    assert!(!rig.http.has_emitted());
}

#[test]
fn the_deadline_of_a_later_head_begins_with_its_first_byte() {
    let mut rig = Rig::new();
    let request = rig.request(GET);
    rig.ok(request, "");
    rig.now += Duration::from_secs(12);
    assert!(rig.feed("GET").is_none());
    assert_eq!(rig.time_out(), Duration::from_secs(10));
    assert_eq!(rig.statuses(), [200, 408]);
}

#[test]
fn silent_connection_ends_silently() {
    for silence in ["", "\r\n"] {
        let mut rig = Rig::new();
        rig.feed(silence);
        assert_eq!(rig.time_out(), Duration::from_secs(10));
        assert!(rig.out.is_empty());
        assert!(matches!(rig.cause(), Some(Error::Timeout(Timeout::Handshake))));
        assert!(rig.http.deadline(&rig.config, &rig.out).is_none());
    }
}

#[test]
fn idle_connection_ends_without_error() {
    let mut rig = Rig::new();
    let request = rig.request(GET);
    rig.now += Duration::from_secs(30);
    rig.ok(request, "");
    assert_eq!(rig.time_out(), Duration::from_secs(15));
    assert_eq!(rig.statuses(), [200]);
    assert!(rig.cause().is_none());
    assert!(rig.http.has_emitted());
}

#[test]
fn body_must_arrive_at_a_minimum_rate() {
    let mut rig = Rig::new();
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n";
    assert!(rig.feed(head).is_none());
    let start = rig.now;
    rig.now += Duration::from_secs(4);
    assert!(rig.feed(vec![b'x'; 10 * 1024]).is_none());
    rig.time_out();
    assert_eq!(rig.now - start, Duration::from_secs(15));
    assert!(rig.output().contains("408"));
    assert!(matches!(rig.cause(), Some(Error::Timeout(Timeout::Body))));
}

#[test]
fn half_closed_peer_is_still_answered() {
    let mut rig = Rig::new();
    let first = rig.request(GET.repeat(2));
    let second = rig.request("");
    rig.http.handle_eof(&rig.config);
    assert!(!rig.is_ending());
    rig.ok(first, "");
    rig.ok(second, "");
    let output = rig.output();
    assert_eq!(output.matches("Connection: close").count(), 1);
    assert!(output.ends_with("Connection: close\r\n\r\n"));
    assert!(rig.cause().is_none());

    for (bytes, cut_off) in [
        ("", false),
        ("GET /", true),
        ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nx", true),
    ] {
        let mut rig = Rig::new();
        assert!(rig.feed(bytes).is_none());
        rig.http.handle_eof(&rig.config);
        assert_eq!(matches!(rig.cause(), Some(Error::RequestCutOff)), cut_off);
        assert!(rig.out.is_empty());
    }
}
