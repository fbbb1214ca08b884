//! An HTTP client that shares no code with the engine: it makes requests and checks the answers.

use super::answers::{Kind, Spec};
use super::link::{CLIENT, Link, Read};
use super::rng::Rng;
use std::collections::VecDeque;
use std::time::Duration;
use ws_proto::Moment;

/// A request in flight, and what determines its answer.
#[derive(Clone, Copy, Debug)]
struct Sent {
    spec: Spec,
    is_head: bool,
    is_10: bool,
    /// When its body started, if it has one.
    body_since: Option<Moment>,
}

/// A slower body may get 408.
const BODY_TIME: Duration = Duration::from_secs(5);

pub(crate) struct Browser {
    number: usize,
    requests: usize,
    /// Unsent output.
    out: Vec<u8>,
    /// Output that waits for a 100.
    behind_continue: Option<Vec<u8>>,
    expected: VecDeque<Sent>,
    /// Input not yet parsed.
    input: Vec<u8>,
    answer: Option<Answer>,
    pub(crate) reads_from: Moment,
    most: usize,
    /// It half-closes after its last request.
    half_closes: bool,
    shut: bool,
    /// Its last request closes the connection, or is an upgrade.
    is_last: bool,
    is_upgrading: bool,
    /// The server announced that it closes, or its application broke off: unanswered requests are expected.
    is_closing: bool,
    /// Any answer may be a 503, and the connection may be cut: timeouts are too short, or one side aborts it.
    pub(crate) is_forced: bool,
    /// The server is stopping and accepts no further requests.
    pub(crate) is_stopping: bool,
    /// The number of complete answers.
    pub(crate) answered: usize,
    /// Whether it ended cleanly, once it has ended.
    ended: Option<bool>,
    pub(crate) left: bool,
    /// After the switch to a WebSocket: the input after the 101.
    pub(crate) switched: Option<Vec<u8>>,
}

/// An answer whose head has been read.
struct Answer {
    status: u16,
    body: Vec<u8>,
    framing: Framing,
    closes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Nothing,
    Length(usize),
    Chunked,
    UntilEnd,
}

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

impl Browser {
    pub(crate) fn new(number: usize, now: Moment, most: usize, is_hasty: bool) -> Self {
        Self {
            number,
            requests: 0,
            out: Vec::new(),
            behind_continue: None,
            expected: VecDeque::new(),
            input: Vec::new(),
            answer: None,
            reads_from: now,
            most: most.min(20_000),
            half_closes: false,
            shut: false,
            is_last: false,
            is_upgrading: false,
            is_closing: false,
            is_forced: is_hasty,
            is_stopping: false,
            answered: 0,
            ended: None,
            left: false,
            switched: None,
        }
    }

    // --- requests

    /// Makes one more request, unless the last one was made.
    pub(crate) fn request(&mut self, now: Moment, rng: &mut Rng) {
        if self.is_last || self.half_closes || self.left || self.switched.is_some() {
            return;
        }
        let kind = rng.pick(&Kind::REQUESTS);
        let len = if rng.percent(80) { rng.below(300) } else { rng.below(20_000) };
        let spec = Spec { kind, of: self.number, n: self.requests, len: len.min(self.most) };
        let is_endless = kind == Kind::Events;
        let is_10 = rng.percent(10);
        let is_head = !is_endless && rng.percent(10);
        let closes = rng.percent(10);
        let has_body = !is_head && !is_endless && rng.percent(30);
        let method = if is_head { "HEAD" } else { rng.pick(&["GET", "POST", "PUT"]) };
        let version = if is_10 { "1.0" } else { "1.1" };
        let mut head = format!("{method} {} HTTP/{version}\r\nHost: localhost\r\n", spec.path());
        if rng.percent(20) {
            head.push_str(&format!("X-Filler: {}\r\n", "y".repeat(rng.below(500).min(self.most))));
        }
        match (closes, is_10) {
            (true, _) => head.push_str("Connection: close\r\n"),
            (false, true) if rng.percent(70) => head.push_str("Connection: keep-alive\r\n"),
            (false, true) => self.is_last = true,
            (false, false) => {}
        }
        self.is_last |= closes || is_endless;
        if has_body {
            self.put_with_body(head, spec.body(), is_10, rng);
        } else {
            head.push_str("\r\n");
            self.put(head.as_bytes());
        }
        let body_since = has_body.then_some(now);
        self.expected.push_back(Sent { spec, is_head, is_10, body_since });
        self.requests += 1;
    }

    fn put_with_body(&mut self, mut head: String, body: &[u8], is_10: bool, rng: &mut Rng) {
        // Without a body, it expects no 100.
        let expects = !is_10 && !body.is_empty() && rng.percent(30);
        if expects {
            head.push_str("Expect: 100-continue\r\n");
        }
        let is_chunked = !is_10 && rng.percent(50);
        if is_chunked {
            head.push_str("Transfer-Encoding: chunked\r\n\r\n");
        } else {
            head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        }
        self.put(head.as_bytes());
        if expects && rng.percent(70) {
            self.behind_continue.get_or_insert_default();
        }
        if !is_chunked {
            return self.put(body);
        }
        for chunk in body.chunks(rng.within(1, 5000).max(self.most / 8)) {
            self.put(format!("{:x}\r\n", chunk.len()).as_bytes());
            self.put(chunk);
            self.put(b"\r\n");
        }
        self.put(b"0\r\n\r\n");
    }

    fn put(&mut self, bytes: &[u8]) {
        self.behind_continue.as_mut().unwrap_or(&mut self.out).extend_from_slice(bytes);
    }

    /// Makes its last request, an upgrade.
    pub(crate) fn request_upgrade(&mut self, kind: Kind) {
        if self.is_last || self.half_closes || self.left {
            return;
        }
        let spec = Spec { kind, of: self.number, n: self.requests, len: 100.min(self.most) };
        self.put(format!("GET {} HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}\r\n", spec.path()).as_bytes());
        (self.is_last, self.is_upgrading) = (true, true);
        self.expected.push_back(Sent { spec, is_head: false, is_10: false, body_since: None });
        self.requests += 1;
    }

    /// Makes no further requests and half-closes, unless that would end a WebSocket.
    pub(crate) fn half_close(&mut self, is_served_on: bool) {
        self.half_closes |= !self.is_upgrading;
        // The server may abort an answer without a length once its client has half-closed.
        self.is_forced |= !is_served_on && self.expected.iter().any(|sent| sent.spec.kind.is_streamed());
    }

    // --- actions

    pub(crate) fn can_read(&self, now: Moment, link: &Link) -> bool {
        !self.left && self.switched.is_none() && self.reads_from <= now && link.is_readable(CLIENT, now)
    }

    pub(crate) fn can_write(&self, now: Moment, link: &Link) -> bool {
        let is_over = self.left || self.shut || self.switched.is_some();
        let has_room = link.room(CLIENT) > 0 || link.is_reset(CLIENT, now);
        let ends = self.out.is_empty() && self.behind_continue.is_none() && self.half_closes;
        !is_over && (!self.out.is_empty() && has_room || ends)
    }

    pub(crate) fn next(&self, now: Moment, link: &Link) -> Option<Moment> {
        if self.left || self.switched.is_some() {
            return None;
        }
        link.next_arrival(CLIENT, now).into_iter().chain([self.reads_from]).filter(|at| *at > now).min()
    }

    pub(crate) fn write(&mut self, now: Moment, link: &mut Link, rng: &mut Rng) {
        if self.out.is_empty() {
            self.shut = true;
            return link.shut(CLIENT, now);
        }
        let most = rng.within(1, self.out.len());
        match link.write(CLIENT, now, &self.out[..most], rng) {
            Ok(n) => drop(self.out.drain(..n)),
            Err(_) => self.end(now, link, false),
        }
    }

    pub(crate) fn read(&mut self, now: Moment, link: &mut Link, rng: &mut Rng) {
        let most = rng.pick(&[1, 100, 10_000, 1 << 20]);
        match link.read(CLIENT, now, most, &mut self.input) {
            Read::Bytes(_) => self.parse(now),
            Read::Nothing => {}
            Read::End => {
                if let Some(answer) = self.answer.take() {
                    self.check_cut_off(now, answer);
                }
                self.end(now, link, true);
            }
            Read::Reset => self.end(now, link, false),
        }
    }

    pub(crate) fn leave(&mut self, now: Moment, link: &mut Link) {
        self.left = true;
        link.close(CLIENT, now);
    }

    fn end(&mut self, now: Moment, link: &mut Link, in_order: bool) {
        self.ended = Some(in_order);
        self.left = true;
        link.close(CLIENT, now);
        let lost = !self.expected.is_empty() || !self.input.is_empty();
        // The reset that reports a truncated answer also destroys others.
        let is_broken_off = self.expected.iter().any(|sent| sent.spec.kind == Kind::CutOff);
        assert!(
            !lost || self.is_closing || self.is_forced || self.is_stopping || is_broken_off,
            "the connection ended with {} requests unanswered",
            self.expected.len()
        );
        assert!(in_order || self.is_forced || is_broken_off, "an HTTP connection was reset");
    }

    /// Whether every request was answered.
    pub(crate) fn is_answered_whole(&self) -> bool {
        self.expected.is_empty()
    }

    /// Whether it has left, or has seen the connection fail.
    pub(crate) fn has_left(&self) -> bool {
        self.ended != Some(true)
    }

    /// Whether it has all its answers.
    pub(crate) fn is_done(&self) -> bool {
        let streams =
            self.answer.is_some() && self.expected.front().is_some_and(|sent| sent.spec.kind == Kind::Events);
        let has_all = streams || self.expected.is_empty();
        self.left || self.switched.is_some() || has_all && self.out.is_empty()
    }

    // --- answers

    fn parse(&mut self, now: Moment) {
        while self.switched.is_none() {
            if self.answer.is_none() && !self.read_head() {
                return;
            }
            let Some(answer) = &mut self.answer else { continue };
            if !answer.read_body(&mut self.input) {
                return;
            }
            if let Some(answer) = self.answer.take() {
                self.check_answer(now, answer);
            }
        }
    }

    /// Reads a complete head, if there is one.
    fn read_head(&mut self) -> bool {
        let Some(end) = find(&self.input, b"\r\n\r\n") else { return false };
        let head = String::from_utf8(self.input.drain(..end + 4).collect()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).unwrap();
        let status: u16 = status.get(..3).unwrap().parse().unwrap();
        if status == 100 {
            let rest = self.behind_continue.take();
            self.out.extend(rest.into_iter().flatten());
            return true;
        }
        let field = |name: &str| {
            let mut values = lines.clone().filter_map(|line| {
                let (key, value) = line.split_once(": ")?;
                key.eq_ignore_ascii_case(name).then_some(value)
            });
            let value = values.next();
            assert!(values.next().is_none(), "{name} occurs twice in {head}");
            value
        };
        let closes = field("Connection").is_some_and(|value| value.ends_with("close"));
        let Some(sent) = self.expected.front() else { panic!("unsolicited answer: {head}") };
        if status == 101 {
            assert!(matches!(sent.spec.kind, Kind::Accept | Kind::AcceptLater), "{sent:?}: {head}");
            assert_eq!(field("Sec-WebSocket-Accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
            self.expected.pop_front();
            assert!(self.expected.is_empty());
            self.switched = Some(std::mem::take(&mut self.input));
            return false;
        }
        let length = field("Content-Length").map(|value| value.parse().unwrap());
        let framing = match (field("Transfer-Encoding"), length) {
            _ if sent.is_head || status == 204 => Framing::Nothing,
            (Some("chunked"), None) if !sent.is_10 => Framing::Chunked,
            (None, Some(length)) => Framing::Length(length),
            (None, None) if sent.is_10 && closes => Framing::UntilEnd,
            _ => panic!("{sent:?}: {head}"),
        };
        self.answer = Some(Answer { status, body: Vec::new(), framing, closes });
        true
    }

    fn check_answer(&mut self, now: Moment, answer: Answer) {
        let Some(sent) = self.expected.pop_front() else { panic!("unsolicited answer") };
        let Sent { spec, .. } = sent;
        self.answered += 1;
        // A server that closes after an answer sends no further one.
        self.is_closing |= answer.closes;
        let expected = match spec.kind {
            Kind::Now | Kind::Later | Kind::Sized | Kind::Streamed | Kind::CutOff | Kind::Events => 200,
            Kind::Refused => 404,
            Kind::NoContent => 204,
            Kind::Refuse => 403,
            Kind::Dropped | Kind::Drop => 503,
            Kind::Accept | Kind::AcceptLater => 101,
        };
        if self.is_forced && matches!(answer.status, 503 | 400 | 408 | 413 | 414 | 431) {
            return;
        }
        if answer.status == 408 {
            return assert!(
                sent.body_since.is_some_and(|since| now >= since + BODY_TIME),
                "408 for {sent:?}"
            );
        }
        // If none of its body was sent, it may still become a 503; a stopping server accepts no upgrade.
        let is_refused = self.is_stopping && Kind::UPGRADES.contains(&spec.kind);
        let may_be_503 = (spec.kind == Kind::CutOff || is_refused) && answer.status == 503;
        assert!(answer.status == expected || may_be_503, "{} for {sent:?}", answer.status);
        let is_whole = answer.framing == Framing::Nothing || expected == 503 || may_be_503;
        let is_part = spec.kind == Kind::Events && spec.body().starts_with(&answer.body);
        assert!(is_whole || is_part || answer.body == spec.body(), "the body for {sent:?}");
    }

    /// The connection ended inside an answer.
    fn check_cut_off(&mut self, now: Moment, answer: Answer) {
        let Some(sent) = self.expected.front().copied() else { panic!("unsolicited answer") };
        if answer.framing == Framing::UntilEnd && sent.spec.kind != Kind::CutOff && !self.is_forced {
            self.input.clear();
            return self.check_answer(now, answer);
        }
        self.input.clear();
        // This may be complete: a truncated one is reset.
        self.answered += usize::from(answer.framing == Framing::UntilEnd);
        assert!(sent.spec.kind == Kind::CutOff || self.is_forced, "{sent:?} is cut off");
        // The engine's own answers have a different text.
        let is_ours = answer.status == 408 || answer.status == 503;
        let begins = sent.spec.body().starts_with(&answer.body);
        assert!(is_ours || begins, "the cut body for {sent:?}");
        self.is_closing = true;
    }
}

impl Answer {
    /// Reads available body bytes. Returns whether the body is complete.
    fn read_body(&mut self, input: &mut Vec<u8>) -> bool {
        match self.framing {
            Framing::Nothing => true,
            Framing::Length(length) => {
                let n = input.len().min(length - self.body.len());
                self.body.extend(input.drain(..n));
                self.body.len() == length
            }
            Framing::UntilEnd => {
                self.body.append(input);
                false
            }
            Framing::Chunked => {
                while let Some(at) = find(input, b"\r\n") {
                    let size = std::str::from_utf8(&input[..at]).unwrap();
                    let size = usize::from_str_radix(size, 16).unwrap();
                    let end = at + 2 + size;
                    if input.len() < end + 2 {
                        return false;
                    }
                    assert_eq!(&input[end..end + 2], b"\r\n", "the end of a chunk");
                    self.body.extend_from_slice(&input[at + 2..end]);
                    input.drain(..end + 2);
                    if size == 0 {
                        return true;
                    }
                }
                false
            }
        }
    }
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}
