//! The server's HTTP stage.
//!
//! ```text
//!            ┌──────────── keep-alive ◀───────────────┐
//!            ▼                                        │
//!  ─▶ Head ──▶ Body ──▶ Request ───▶ queue ──▶ answers, in the order of the requests ──▶ Ending
//!       ├───▶ Request ──▶ Stream ──────┤                │
//!       │                              ▲                │
//!       ├───▶ Upgrade (nothing is read) ┤                └─▶ 101: a WebSocket
//!       │       └─ rejected ─▶ Stopped ─┤
//!       └───▶ fault ─▶ Stopped ────────┘
//! ```
//!
//! Reading and answering are independent; the queue between them keeps the order.

use super::answer::{Answer, Pending};
use super::body::{Body, Deframer};
use super::head::{Head, Limits};
use super::reading::Reader;
pub(super) use super::reading::Reading;
use super::reading::StreamReader;
use super::response::Shape;
use super::{Io, Opened};
use crate::access::cors::Grant;
use crate::access::tls::TlsInfo;
use crate::access::transport::Transport;
use crate::config::Config;
use crate::error::{Error, RequestError};
use crate::event::RequestBody;
use crate::handshake::check::{self, Checked, Framing, METHOD_LIMIT, RequestLine};
use crate::handshake::{Request, Token, Upgrade};
use crate::moment::Moment;
use crate::outbox::Outbox;
use ::http::{Method, Version};
use bytes::{Buf, Bytes, BytesMut};
use core::mem;
use std::collections::VecDeque;
use std::sync::Arc;

/// The limits of a request's head.
fn limits(config: &Config) -> Limits {
    Limits {
        bytes: config.head_limit,
        fields: config.header_limit,
        first_line: config.target_limit.saturating_add(METHOD_LIMIT + "  HTTP/1.1\r\n".len()),
        reads_on: config.cors.is_set(),
        allows_lf: false,
    }
}

/// What the application must answer.
#[derive(Debug)]
pub(crate) enum Incoming<'a> {
    Request(Request),
    Upgrade(Upgrade),
    Body(RequestBody<'a>),
}

impl Incoming<'_> {
    pub(super) fn into_owned(self) -> Incoming<'static> {
        match self {
            Incoming::Request(request) => Incoming::Request(request),
            Incoming::Upgrade(upgrade) => Incoming::Upgrade(upgrade),
            Incoming::Body(body) => Incoming::Body(body.into_owned()),
        }
    }
}

/// Nothing more is read or answered: flush, half-close, drain.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    /// The cause, if it was a fault.
    pub(crate) cause: Option<Error>,
    /// There is nothing to flush: the rest is part of an answer without a reader.
    pub(crate) at_once: bool,
}

/// The first byte of a TLS handshake (RFC 8446 §5.1). No method begins with it.
const TLS_HANDSHAKE: u8 = 0x16;

#[derive(Debug)]
pub(crate) struct ServerHttp {
    pub(super) transport: Transport,
    /// That of the client of the request that was read last: a trusted proxy may describe another.
    client: Transport,
    /// The result of the TLS handshake beneath.
    pub(super) tls: Option<Arc<TlsInfo>>,
    pub(super) reading: Reading,
    /// The unanswered requests, and the answers that wait for their turn.
    pub(super) queue: VecDeque<Pending>,
    /// When the connection began, or became idle, or the head or body that is being read began.
    pub(super) since: Moment,
    /// When the connection began.
    pub(super) birth: Moment,
    /// The number of heads read.
    pub(super) served: u32,
    /// The request that is being read is a HEAD.
    pub(super) is_head: bool,
    /// Which pages may read the answer to the request that is being read.
    pub(super) grant: Grant,
    pub(super) opened: Option<Opened>,
    /// The cause of the end, once the last answer is sent.
    pub(super) cause: Option<Error>,
    pub(super) ending: Option<Ending>,
    /// Why the body of a streaming request was cut off, not yet reported to the application.
    pub(super) cut: Option<Box<Error>>,
    /// It is the turn of a body whose sender waits for room.
    pub(super) room_due: bool,
    has_emitted: bool,
    /// The peer has ended its half.
    pub(super) peer_ended: bool,
    /// Input received while requests were held back, during an answer without a length.
    pub(super) ahead: BytesMut,
    /// Nothing was parsed at the last check: no read deadline runs.
    pub(super) is_held: bool,
    /// The bytes of the outbox before the current streaming response.
    pub(super) in_front: usize,
    /// It ends only with the connection.
    pub(super) has_open_end: bool,
    /// Requests or bodies that the application still has are no longer accepted.
    pub(super) has_discarded: bool,
    /// No further request is taken.
    pub(super) is_stopping: bool,
}

impl ServerHttp {
    pub(crate) fn new(now: Moment, transport: Transport) -> Self {
        Self {
            transport,
            client: transport,
            tls: None,
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
            cut: None,
            room_due: false,
            has_emitted: false,
            peer_ended: false,
            ahead: BytesMut::new(),
            is_held: false,
            in_front: 0,
            has_open_end: false,
            has_discarded: false,
            is_stopping: false,
        }
    }

    // --- input

    /// Consumes input up to the next event, kept input first. `None` when it is used up, when paused, or when ending;
    /// unused bytes stay with the caller. While `held`, no request is emitted.
    pub(crate) fn handle_input<'a>(
        &mut self,
        io: &mut Io<'_>,
        held: bool,
        input: &mut &'a mut [u8],
    ) -> Option<Incoming<'a>> {
        self.end_handling(io.now);
        self.sweep(io);
        self.send_continue(io, held);
        let incoming = if self.cut.is_none() { self.parse(io, held, input) } else { None };
        if incoming.is_none() {
            self.end_input();
        }
        incoming.or_else(|| self.take_cut().map(Incoming::Body))
    }

    /// Parses kept input, and then new input, as far as nothing holds requests back; during an answer without a length
    /// the rest is kept.
    fn parse<'a>(&mut self, io: &mut Io<'_>, held: bool, input: &mut &'a mut [u8]) -> Option<Incoming<'a>> {
        while !held && !self.is_held_back(io.config) {
            let result = if !self.ahead.is_empty() {
                let mut ahead = mem::take(&mut self.ahead);
                let mut kept = &mut ahead[..];
                let result = self.read(io, &mut kept).map(|incoming| incoming.map(Incoming::into_owned));
                let left = kept.len();
                let used = ahead.len() - left;
                ahead.advance(used);
                if left > 0 {
                    self.ahead = ahead;
                }
                result
            } else if !input.is_empty() || self.is_stream_at_end() {
                self.read(io, input)
            } else {
                return None;
            };
            match result {
                // Preflights return nothing to the caller, which would hold the next request back above this mark.
                Ok(None) if io.out.len() > io.config.high_mark => break,
                Ok(None) => {}
                Ok(Some(incoming)) => {
                    self.has_emitted = true;
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

    /// Records that the socket took `n` bytes of the outbox.
    pub(crate) fn handle_written(&mut self, now: Moment, n: usize, out: &Outbox) {
        self.in_front = self.in_front.saturating_sub(n);
        // A connection is idle from the flush on: before it, the peer has not received the answer to its last request.
        if n > 0 && out.is_empty() && self.queue.is_empty() && self.is_between_requests() {
            self.since = now;
        }
    }

    /// The outbox is over its mark: no request is taken.
    pub(crate) fn hold(&mut self) {
        self.is_held = true;
    }

    /// Records whether we hold requests back. What the peer sends then is unread, so its time does not run; once it is
    /// read again, what has begun gets its whole time.
    pub(crate) fn set_held(&mut self, now: Moment, config: &Config, held: bool) {
        let held = held || self.is_held_back(config);
        if self.is_held && !held {
            self.since = now;
        }
        self.is_held = held;
    }

    // --- queries

    /// The 101 and the agreed terms, once it is in the outbox: from then on the connection is a WebSocket.
    pub(crate) fn take_opened(&mut self) -> Option<Opened> {
        self.opened.take()
    }

    /// Whether nothing is read. While `held`, no request is taken.
    pub(crate) fn is_paused(&self, config: &Config, held: bool) -> bool {
        (held || self.is_held_back(config)) && !self.has_room_ahead(config)
    }

    /// Whether no request is taken: too many are unanswered, an upgrade is undecided, the end is near, or a streaming
    /// response is in progress. That may never end, and every answer after it would wait in memory; but a request that
    /// has begun to arrive has a deadline, and is read to its end.
    fn is_held_back(&self, config: &Config) -> bool {
        let is_behind_stream = match &self.reading {
            Reading::Head { head, .. } => head.is_empty() && self.is_streaming(),
            Reading::Body(_) | Reading::Stream(_) => false,
            Reading::Upgrade | Reading::Opened | Reading::Stopped => return true,
        };
        // The request whose body is arriving is in the queue already.
        let others = self.queue.len() - usize::from(self.awaits_stream());
        is_behind_stream || others >= config.pipeline_limit.max(1)
    }

    /// Whether an upgrade is undecided, or accepted and waiting for its turn.
    pub(crate) fn is_upgrading(&self) -> bool {
        matches!(self.reading, Reading::Upgrade)
    }

    /// Whether the body of a request is being collected.
    pub(crate) fn is_inside_body(&self) -> bool {
        matches!(self.reading, Reading::Body(_))
    }

    /// Some when nothing more will be read or answered.
    pub(crate) fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// Whether this connection ever emitted an event.
    pub(crate) fn has_emitted(&self) -> bool {
        self.has_emitted
    }

    /// Whether the peer has ended its half.
    pub(crate) fn peer_ended(&self) -> bool {
        self.peer_ended
    }

    /// Whether an answer is in progress that ends only with the connection: truncated, it looks whole to the peer.
    pub(crate) fn has_open_end(&self) -> bool {
        self.has_open_end
    }

    /// Whether an answer is due.
    pub(crate) fn is_answer_due(&self) -> bool {
        !self.queue.is_empty()
    }

    // --- reading

    fn read<'a>(
        &mut self,
        io: &mut Io<'_>,
        input: &mut &'a mut [u8],
    ) -> Result<Option<Incoming<'a>>, RequestError> {
        match &mut self.reading {
            Reading::Head { head, line } => {
                if head.is_empty() && self.served > 0 {
                    self.since = io.now;
                }
                if head.is_empty() && input.first() == Some(&TLS_HANDSHAKE) {
                    self.reject_tls();
                    return Ok(None);
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
                let mut checked = check::check(line, headers, io.config, self.transport, Some(io.now))?;
                if let Some(tls) = &self.tls {
                    checked.request.extensions_mut().insert(tls.clone());
                }
                checked.keep_alive &= self.served < io.config.request_limit && !self.is_stopping;
                if checked.is_upgrade && self.is_stopping {
                    self.reject_upgrade(io);
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
                Ok(self.emit(io, request, shape))
            }
            Reading::Stream(_) => self.read_stream(io, input),
            Reading::Upgrade | Reading::Opened | Reading::Stopped => Ok(None),
        }
    }

    /// The peer speaks TLS, and would not understand an answer: the connection ends once earlier requests are answered.
    fn reject_tls(&mut self) {
        self.cause = Some(RequestError::Tls.into());
        self.stop_reading();
        if self.queue.is_empty() {
            self.end();
        }
    }

    /// Continues after a head.
    fn begin(&mut self, io: &mut Io<'_>, checked: Checked) -> Option<Incoming<'static>> {
        let Checked { request, transport, framing, keep_alive, expects_continue, is_upgrade, stream } =
            checked;
        let shape = Shape { is_head: self.is_head, is_10: request.version() == Version::HTTP_10, keep_alive };
        self.client = transport;
        if is_upgrade {
            let token = self.enqueue(Some(io.now), shape, true);
            self.reading = Reading::Upgrade;
            return Some(Incoming::Upgrade(Upgrade::new(request, transport, token).complete(io.config)));
        }
        let deframer = match framing {
            Framing::Length(length) => Deframer::Length(length),
            Framing::Chunked => Deframer::chunked(),
        };
        if let Some(limits) = stream {
            let token = self.enqueue(None, shape, false);
            self.since = io.now;
            let reader = StreamReader {
                // No client waits to send nothing.
                continue_due: expects_continue && !deframer.is_at_end(),
                deframer,
                keep_alive,
                room: limits.bytes,
                min_rate: limits.min_rate,
                received: 0,
                emitted: Some(io.now),
                is_discarded: false,
            };
            self.reading = Reading::Stream(Box::new(reader));
            return Some(Incoming::Request(Request::streaming(request, transport, token)));
        }
        if deframer.is_at_end() {
            return self.emit(io, request.map(|()| Bytes::new()), shape);
        }
        let body = Body::new(deframer);
        // The client would attribute an early 100 to an earlier request.
        let continue_due = expects_continue && !self.queue.is_empty();
        if expects_continue && !continue_due {
            io.out.buffer().extend_from_slice(CONTINUE);
        }
        self.since = io.now;
        self.reading = Reading::Body(Box::new(Reader { request, shape, body, continue_due }));
        None
    }

    /// A request is complete: emit it, unless it is a preflight.
    fn emit(
        &mut self,
        io: &mut Io<'_>,
        request: ::http::Request<Bytes>,
        shape: Shape,
    ) -> Option<Incoming<'static>> {
        if let Some(response) = self.preflight(io.config, &request) {
            self.answer_preflight(io, response, shape);
            return None;
        }
        let token = self.enqueue(Some(io.now), shape, false);
        self.await_request(io.now, shape.keep_alive);
        Some(Incoming::Request(Request::new(request, self.client, token)))
    }

    fn enqueue(&mut self, since: Option<Moment>, shape: Shape, is_upgrade: bool) -> Token {
        let (token, grant) = (Token::default(), mem::take(&mut self.grant));
        let answer = Answer::Awaited { token: token.clone(), since, is_upgrade };
        self.queue.push_back(Pending { shape, grant, answer });
        token
    }

    /// Waits for the next request, if there may be one.
    pub(super) fn await_request(&mut self, now: Moment, keep_alive: bool) {
        self.since = now;
        self.is_head = false;
        self.reading =
            if keep_alive { Reading::Head { head: Head::default(), line: None } } else { Reading::Stopped };
    }

    /// Whether a request was read, and nothing of the next has arrived.
    pub(super) fn is_between_requests(&self) -> bool {
        matches!(&self.reading, Reading::Head { head, .. } if head.is_empty() && self.served > 0)
    }
}

pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
