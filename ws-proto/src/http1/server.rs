//! The server's HTTP stage.
//!
//! ```text
//!            ┌──────────── keep-alive ◀───────────────┐
//!            ▼                                        │
//!  ─▶ Head ──▶ Body ──▶ Request ───▶ queue ──▶ answers, in the order of the requests ──▶ Ending
//!       │                              ▲                │
//!       ├───▶ Upgrade (nothing is read) ┤                └─▶ 101: a WebSocket
//!       │        └─ refused ─▶ Stopped ─┤
//!       └───▶ fault ─▶ Stopped ────────┘
//! ```
//!
//! Reading and answering go their own ways; the queue between them keeps the order.

use super::answer::{Answer, Pending};
use super::body::Body;
use super::head::{Head, Limits};
use super::reading::Reader;
pub(super) use super::reading::Reading;
use super::response::Shape;
use super::{Io, Opened};
use crate::access::cors::Grant;
use crate::access::transport::Transport;
use crate::config::Config;
use crate::error::{Error, RequestError};
use crate::handshake::check::{self, Checked, Framing, METHOD_LIMIT, RequestLine};
use crate::handshake::{Request, Token, Upgrade};
use crate::moment::Moment;
use crate::outbox::Outbox;
use ::http::{Method, Version};
use bytes::{Buf, Bytes, BytesMut};
use core::mem;
use std::collections::VecDeque;

/// What a request's head may have.
fn limits(config: &Config) -> Limits {
    let around = METHOD_LIMIT + " ".len() + " HTTP/1.1\r\n".len();
    Limits {
        bytes: config.head_limit,
        fields: config.header_limit,
        first_line: config.target_limit.saturating_add(around),
        reads_on: config.cors.is_set(),
    }
}

/// What the application is asked.
#[derive(Debug)]
pub(crate) enum Incoming {
    Request(Request),
    Upgrade(Upgrade),
}

/// Nothing more is read or answered: flush, half-close, drain.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    /// Why, if it was a fault.
    pub(crate) cause: Option<Error>,
    /// There is nothing to flush: what is left is part of an answer that nobody reads.
    pub(crate) at_once: bool,
}

#[derive(Debug)]
pub(crate) struct ServerHttp {
    transport: Transport,
    pub(super) reading: Reading,
    /// The requests that are not answered, and the answers that wait for their turn.
    pub(super) queue: VecDeque<Pending>,
    /// When the connection began, or became idle, or the head or body that is being read began.
    pub(super) since: Moment,
    /// When the connection began.
    pub(super) birth: Moment,
    /// The heads that were read.
    pub(super) served: u32,
    /// The request that is being read is a HEAD.
    pub(super) is_head: bool,
    /// Whose pages may read the answer to the request that is being read.
    pub(super) grant: Grant,
    pub(super) opened: Option<Opened>,
    /// What the end will be put down to, once the last answer is out.
    pub(super) cause: Option<Error>,
    pub(super) ending: Option<Ending>,
    /// The turn of a body has come whose application waits for room.
    pub(super) owes_room: bool,
    announced: bool,
    /// The peer has ended its half.
    pub(super) peer_ended: bool,
    /// What came while nothing could be asked, and an answer without a length was being given.
    pub(super) ahead: BytesMut,
    /// Nothing was parsed when that was last noted: no deadline of reading runs.
    pub(super) is_held: bool,
    /// The bytes of the outbox that stand before the answer in pieces whose turn has come.
    pub(super) in_front: usize,
    /// Its end is that of the connection.
    pub(super) has_open_end: bool,
    /// Requests or bodies that the application still has are not given any more.
    pub(super) has_cut: bool,
    /// No further request is taken.
    pub(super) is_stopping: bool,
}

impl ServerHttp {
    pub(crate) fn new(now: Moment, transport: Transport) -> Self {
        Self {
            transport,
            reading: Reading::Head { head: Head::default(), line: None },
            queue: VecDeque::new(),
            since: now,
            birth: now,
            served: 0,
            is_head: false,
            grant: Grant::default(),
            opened: None,
            cause: None,
            ending: None,
            owes_room: false,
            announced: false,
            peer_ended: false,
            ahead: BytesMut::new(),
            is_held: false,
            in_front: 0,
            has_open_end: false,
            has_cut: false,
            is_stopping: false,
        }
    }

    // --- what happens

    /// Uses input up to the next event, what was kept of it first. `None` when it is used up, when paused, or when
    /// ending; bytes that are not used stay with the caller. `held` says that nothing may be asked now, whatever comes.
    pub(crate) fn handle_input(
        &mut self,
        io: &mut Io<'_>,
        held: bool,
        input: &mut &mut [u8],
    ) -> Option<Incoming> {
        self.sweep(io);
        let incoming = self.parse(io, held, input);
        if incoming.is_none() {
            self.end_input();
        }
        incoming
    }

    /// Parses what was kept, and then input, as far as nothing holds requests back; beside an answer without a length
    /// the rest is kept.
    fn parse(&mut self, io: &mut Io<'_>, held: bool, input: &mut &mut [u8]) -> Option<Incoming> {
        while !held && !self.is_held_back(io.config) {
            let result = if !self.ahead.is_empty() {
                let mut ahead = mem::take(&mut self.ahead);
                let mut kept = &mut ahead[..];
                let result = self.read(io, &mut kept);
                let left = kept.len();
                let used = ahead.len() - left;
                ahead.advance(used);
                if left > 0 {
                    self.ahead = ahead;
                }
                result
            } else if !input.is_empty() {
                self.read(io, input)
            } else {
                return None;
            };
            match result {
                // Preflights return nothing to the caller, which holds the next request back above this mark.
                Ok(None) if io.out.len() > io.config.high_mark => break,
                Ok(None) => {}
                Ok(Some(incoming)) => {
                    self.announced = true;
                    return Some(incoming);
                }
                Err(error) => self.fail(io, error.clone(), error.into()),
            }
        }
        self.read_ahead(io.config, input);
        None
    }

    /// Answers 503 to the requests that the application has dropped.
    pub(crate) fn sweep(&mut self, io: &mut Io<'_>) {
        for pending in &mut self.queue {
            if pending.answer.is_dropped() {
                pending.answer.unanswered();
            }
        }
        self.flush(io);
    }

    /// Tells that the socket took so much of the outbox.
    pub(crate) fn handle_written(&mut self, now: Moment, n: usize, out: &Outbox) {
        self.in_front = self.in_front.saturating_sub(n);
        // A connection is idle from the flush on: before it, the peer has not heard the answer to its last request.
        if n > 0 && out.is_empty() && self.queue.is_empty() && self.is_between_requests() {
            self.since = now;
        }
    }

    /// The outbox is over its mark: no request is taken.
    pub(crate) fn hold(&mut self) {
        self.is_held = true;
    }

    /// Notes whether anything of ours holds requests back. What the peer sends then stands unread, so its time does
    /// not run; when it is read again, what has begun has its whole time.
    pub(crate) fn note_held(&mut self, now: Moment, config: &Config, held: bool) {
        let held = held || self.is_held_back(config);
        if self.is_held && !held {
            self.since = now;
        }
        self.is_held = held;
    }

    // --- what can be asked

    /// The 101 and what it agrees on, once it stands in the outbox: from then on the connection is a WebSocket.
    pub(crate) fn take_opened(&mut self) -> Option<Opened> {
        self.opened.take()
    }

    /// Whether nothing is read. `held` says that no request may be taken now.
    pub(crate) fn is_paused(&self, config: &Config, held: bool) -> bool {
        (held || self.is_held_back(config)) && !self.has_room_ahead(config)
    }

    /// Whether no request is taken: too many are unanswered, an upgrade is undecided, the end is near, or an answer is
    /// given in pieces. That may go on for ever, and whatever was answered behind it would wait in memory; but a
    /// request that has begun to arrive has a deadline, and is read to its end.
    fn is_held_back(&self, config: &Config) -> bool {
        let is_behind_pieces = match &self.reading {
            Reading::Head { head, .. } => head.is_empty() && self.is_streaming(),
            Reading::Body(_) => false,
            Reading::Upgrade | Reading::Opened | Reading::Stopped => return true,
        };
        is_behind_pieces || self.queue.len() >= config.pipeline_limit.max(1)
    }

    /// Whether an upgrade is undecided, or was accepted and waits for its turn.
    pub(crate) fn is_upgrading(&self) -> bool {
        matches!(self.reading, Reading::Upgrade)
    }

    /// Whether the body of a request is arriving.
    pub(crate) fn is_amid_body(&self) -> bool {
        matches!(self.reading, Reading::Body(_))
    }

    /// Some when nothing more will be read or answered.
    pub(crate) fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// Whether the application ever heard of this connection.
    pub(crate) fn announced(&self) -> bool {
        self.announced
    }

    /// Whether the peer has ended its half.
    pub(crate) fn peer_ended(&self) -> bool {
        self.peer_ended
    }

    /// Whether an answer has begun whose end is that of the connection: cut off, it looks whole to the peer.
    pub(crate) fn has_open_end(&self) -> bool {
        self.has_open_end
    }

    /// Whether an answer is due.
    pub(crate) fn owes_answer(&self) -> bool {
        !self.queue.is_empty()
    }

    // --- reading

    fn read(&mut self, io: &mut Io<'_>, input: &mut &mut [u8]) -> Result<Option<Incoming>, RequestError> {
        match &mut self.reading {
            Reading::Head { head, line } => {
                if head.is_empty() && self.served > 0 {
                    self.since = io.now;
                }
                let is_head = &mut self.is_head;
                let headers = head.receive(limits(io.config), input, |bytes| {
                    let parsed = RequestLine::parse(bytes, io.config.target_limit)?;
                    *is_head = parsed.method == Method::HEAD;
                    *line = Some(parsed);
                    Ok(())
                });
                let headers = headers.inspect_err(|_| self.grant = io.config.cors.grant_to(head.origin()))?;
                let Some(headers) = headers else { return Ok(None) };
                let Some(line) = line.take() else { return Ok(None) };
                self.served += 1;
                self.grant = io.config.cors.grant(&headers);
                let mut checked = check::check(line, headers, io.config, self.transport)?;
                checked.keep_alive &= self.served < io.config.request_limit && !self.is_stopping;
                if checked.is_upgrade && self.is_stopping {
                    self.refuse_upgrade(io);
                    return Ok(None);
                }
                Ok(self.begin(io, checked))
            }
            Reading::Body(reader) => {
                if !reader.body.receive(io.config.body_limit, input)? {
                    return Ok(None);
                }
                let body = reader.body.take();
                let request = mem::take(&mut reader.request).map(|()| body);
                let shape = reader.shape;
                Ok(self.announce(io, request, shape))
            }
            Reading::Upgrade | Reading::Opened | Reading::Stopped => Ok(None),
        }
    }

    /// Goes on behind a head.
    fn begin(&mut self, io: &mut Io<'_>, checked: Checked) -> Option<Incoming> {
        let Checked { request, framing, keep_alive, expects_continue, is_upgrade } = checked;
        let shape = Shape { is_head: self.is_head, is_10: request.version() == Version::HTTP_10, keep_alive };
        if is_upgrade {
            let token = self.enqueue(io.now, shape, true);
            self.reading = Reading::Upgrade;
            return Some(Incoming::Upgrade(Upgrade::new(request, token)));
        }
        let body = match framing {
            Framing::Length(0) => {
                return self.announce(io, request.map(|()| Bytes::new()), shape);
            }
            Framing::Length(length) => Body::length(length),
            Framing::Chunked => Body::chunked(),
        };
        // A 100 before the answer to an earlier request would be taken for that one's.
        let owes_continue = expects_continue && !self.queue.is_empty();
        if expects_continue && !owes_continue {
            io.out.buffer().extend_from_slice(CONTINUE);
        }
        self.since = io.now;
        self.reading = Reading::Body(Box::new(Reader { request, shape, body, owes_continue }));
        None
    }

    /// A request is whole: the application is asked, unless it is a preflight.
    fn announce(
        &mut self,
        io: &mut Io<'_>,
        request: ::http::Request<Bytes>,
        shape: Shape,
    ) -> Option<Incoming> {
        if let Some(response) = self.preflight(io.config, &request) {
            self.answer_preflight(io, response, shape);
            return None;
        }
        let token = self.enqueue(io.now, shape, false);
        self.read_on(io.now, shape.keep_alive);
        Some(Incoming::Request(Request::new(request, token)))
    }

    fn enqueue(&mut self, now: Moment, shape: Shape, is_upgrade: bool) -> Token {
        let token = Token::default();
        let answer = Answer::Awaited { token: token.clone(), since: now, is_upgrade };
        let grant = mem::take(&mut self.grant);
        self.queue.push_back(Pending { shape, grant, answer });
        token
    }

    /// Waits for the next request, if there may be one.
    pub(super) fn read_on(&mut self, now: Moment, keep_alive: bool) {
        self.since = now;
        self.is_head = false;
        self.reading =
            if keep_alive { Reading::Head { head: Head::default(), line: None } } else { Reading::Stopped };
    }

    /// Whether a request was read, and nothing came of the next.
    pub(super) fn is_between_requests(&self) -> bool {
        matches!(&self.reading, Reading::Head { head, .. } if head.is_empty() && self.served > 0)
    }
}

pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
