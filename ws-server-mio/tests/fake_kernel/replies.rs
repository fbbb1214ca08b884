//! An HTTP client: its requests, and whether the responses match.

use super::app::{FILE, content};
use super::remote_peer::Received;
use super::rng::Rng;
use super::uploads;
use std::collections::VecDeque;
use std::sync::Arc;

/// The peer, the number and the kind of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExpectedAnswer {
    kind: &'static str,
    n: usize,
    len: usize,
}

pub(super) struct Replies {
    peer: usize,
    request: usize,
    file: Arc<Vec<u8>>,
    /// What remains to be sent.
    pub(super) requests: Vec<u8>,
    pub(super) expected: VecDeque<ExpectedAnswer>,
    /// How many responses arrived whole.
    pub(super) whole: usize,
    pub(super) half_closes: bool,
    /// It may half-close before every request is answered.
    early: bool,
    bytes: Vec<u8>,
    /// It may be cut off for being slow, and was.
    hasty: bool,
    /// Handlers panic, and the application catches it.
    panics: bool,
    /// The responses no longer matter.
    pub(super) given_up: bool,
    /// The server has ended the connection; whether by a reset.
    pub(super) ended: Option<bool>,
}

impl Replies {
    pub(super) fn new(peer: usize, file: Arc<Vec<u8>>, hasty: bool, early: bool, panics: bool) -> Self {
        Self {
            peer,
            request: 0,
            file,
            requests: Vec::new(),
            expected: VecDeque::new(),
            whole: 0,
            half_closes: false,
            early,
            bytes: Vec::new(),
            hasty,
            panics,
            given_up: false,
            ended: None,
        }
    }

    pub(super) fn ask(&mut self, rng: &mut Rng, most: usize) {
        let kind = rng.pick(&["now", "now", "later", "stream", "sized", "file", "drop", "upload", "upload"]);
        let (n, len) = (self.request, rng.pick(&[0, 1, 10, 500, 3000, 20_000]).min(most));
        self.request += 1;
        self.expected.push_back(ExpectedAnswer { kind, n, len });
        if kind == "upload" {
            let chunk = if rng.percent(50) { Some(rng.pick(&[1000, 7, 9000])) } else { None };
            let path = format!("/upload/{}/{n}/{len}", self.peer);
            return self.requests.extend(uploads::encode(&path, content(self.peer, n, len), chunk));
        }
        let body = if rng.percent(30) { content(self.peer, n, len) } else { b"" };
        let (method, path) = match kind {
            "file" => ("GET", format!("/file/{FILE}?{}/{n}/{len}", self.peer)),
            kind => {
                (if body.is_empty() { "GET" } else { "POST" }, format!("/{kind}/{}/{n}/{len}", self.peer))
            }
        };
        let body = if method == "GET" { b"" } else { body };
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
        self.requests.extend_from_slice(head.as_bytes());
        self.requests.extend_from_slice(body);
    }

    /// Whether it half-closes now.
    pub(super) fn ends(&self) -> bool {
        self.half_closes && self.requests.is_empty() && (self.early || self.expected.is_empty())
    }

    pub(super) fn receive(&mut self, received: Received) {
        match received {
            Received::Bytes(_) if self.given_up => return,
            Received::Bytes(bytes) => self.bytes.extend_from_slice(&bytes),
            Received::Nothing => return,
            Received::End => self.ended = Some(false),
            Received::Reset => self.ended = Some(true),
        }
        while let Some(request) = self.expected.front().copied()
            && self.take(request)
        {
            self.expected.pop_front();
            self.whole += 1;
        }
        assert!(!self.expected.is_empty() || self.bytes.is_empty(), "a response without a request");
    }

    /// Takes one response, if available, and checks it.
    fn take(&mut self, request: ExpectedAnswer) -> bool {
        let Some(end) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4) else {
            return false;
        };
        let head = String::from_utf8_lossy(&self.bytes[..end]).to_lowercase();
        if self.hasty && !head.starts_with("http/1.1 200") {
            self.given_up = true;
            self.bytes.clear();
            self.expected.clear();
            return false;
        }
        let body = &self.bytes[end..];
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let (body, used) = match length {
            Some(length) => {
                let length: usize = length.parse().unwrap();
                if body.len() < length {
                    return false;
                }
                (body[..length].to_vec(), length)
            }
            None => match chunked(body) {
                Some(done) => done,
                None => return false,
            },
        };
        match request.kind {
            "drop" => {
                // A request lost in a panic gets 503.
                let lost = self.panics && head.starts_with("http/1.1 503");
                assert!(lost || head.starts_with("http/1.1 404"), "{head}");
            }
            "file" => assert!(head.starts_with("http/1.1 200") && body == *self.file, "{head}"),
            _ => {
                assert!(head.starts_with("http/1.1 200"), "{request:?}: {head}");
                assert!(
                    body == content(self.peer, request.n, request.len),
                    "{request:?}: {} bytes",
                    body.len()
                );
            }
        }
        self.bytes.drain(..end + used);
        true
    }
}

/// A chunked body, once whole, and its length on the wire.
fn chunked(mut bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let from = bytes.len();
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|two| two == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        let chunk = bytes.get(end + 2..end + 2 + size + 2)?;
        body.extend_from_slice(&chunk[..size]);
        bytes = &bytes[end + 2 + size + 2..];
        if size == 0 {
            return Some((body, from - bytes.len()));
        }
    }
}
