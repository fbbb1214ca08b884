//! The application's verbs, and bytes out.

use super::{Connection, Outgoing, Ping, Sent, Side, Stage};
use crate::error::SendError;
use crate::event::Message;
use crate::frame::{self, Frame, MAX_HEADER, Opcode};
use crate::handshake::{Request, Upgrade};
use crate::http::ResponseBody;
use crate::mask;
use crate::outbox::COPY_UP_TO;
use crate::utf8::Utf8;
use alloc::borrow::Cow;
use bytes::Bytes;
use std::time::Instant;

impl Connection {
    /// Server: completes an opening handshake. [`Event::Open`](crate::Event::Open) follows from
    /// [`poll_event`](Self::poll_event).
    ///
    /// # Errors
    /// [`SendError::WrongRequest`] when the upgrade is not one of this connection, or its time is over;
    /// [`SendError::NotOpen`] when the peer has ended its stream meanwhile.
    pub fn accept(&mut self, now: Instant, upgrade: Upgrade) -> Result<(), SendError> {
        let Stage::Http(http) = &mut self.stage else { return Err(SendError::WrongRequest) };
        let result = http.accept(now, &self.config, &mut self.outbox, upgrade);
        self.settle_http(now);
        result
    }

    /// Server: answers a request, now or later, in any order; or refuses an upgrade.
    ///
    /// `Content-Length`, `Date` and `Connection` are written by the connection itself. What is answered to HEAD
    /// goes out without its body.
    ///
    /// # Errors
    /// [`SendError::WrongRequest`] when the request is not one of this connection, or its time is over;
    /// [`SendError::ResponseHeader`] and [`SendError::ResponseStatus`] for what would break the framing: the
    /// request is then answered 503.
    pub fn respond(
        &mut self,
        now: Instant,
        request: impl Into<Request>,
        response: ::http::Response<Bytes>,
    ) -> Result<(), SendError> {
        let Stage::Http(http) = &mut self.stage else { return Err(SendError::WrongRequest) };
        let result = http.respond(now, &self.config, &mut self.outbox, request.into(), response);
        self.settle_http(now);
        result
    }

    /// Server: begins an answer whose body comes in pieces, now or later, as a file or a stream of events does.
    ///
    /// With a `length` the body must have exactly that; without, it is sent in chunks (RFC 9112 §7.1), and to
    /// HTTP/1.0 until the connection ends. It goes out in its turn behind the answers to earlier requests; until
    /// then its pieces are held, and count as queued.
    ///
    /// ```
    /// # use std::{sync::Arc, time::Instant};
    /// # use ws_proto::{Config, Connection, Event};
    /// # let now = Instant::now();
    /// # let mut server = Connection::server(now, Arc::new(Config::server()));
    /// # let mut input = *b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    /// # let Some(Event::Request(request)) = server.receive(now, &mut &mut input[..]) else { panic!() };
    /// let body = server.respond_streaming(now, request, http::Response::new(()), None)?;
    /// server.send_body(&body, "tick\n")?;
    /// server.send_body(&body, "tock\n")?;
    /// server.finish_body(now, body)?;
    /// assert!(bytes::Buf::chunk(server.outbox()).ends_with(b"5\r\ntick\n\r\n5\r\ntock\n\r\n0\r\n\r\n"));
    /// # Ok::<(), ws_proto::SendError>(())
    /// ```
    ///
    /// # Errors
    /// As [`respond`](Self::respond). `Content-Length` is told by `length` alone.
    pub fn respond_streaming(
        &mut self,
        now: Instant,
        request: impl Into<Request>,
        head: ::http::Response<()>,
        length: Option<u64>,
    ) -> Result<ResponseBody, SendError> {
        let Stage::Http(http) = &mut self.stage else { return Err(SendError::WrongRequest) };
        let request = request.into();
        let result = http.respond_streaming(now, &self.config, &mut self.outbox, request, head, length);
        self.settle_http(now);
        result
    }

    /// Server: gives the next piece of a body. Pieces that were taken in pace with
    /// [`Event::Drained`](crate::Event::Drained) keep little in memory, however long the body is.
    ///
    /// # Errors
    /// [`SendError::NotOpen`] when the connection has ended, [`SendError::Full`], [`SendError::BodyLength`] when
    /// this would be more than was declared, [`SendError::WrongRequest`] when the body is another connection's.
    /// Nothing was queued then.
    pub fn send_body(&mut self, body: &ResponseBody, piece: impl Into<Bytes>) -> Result<Sent, SendError> {
        let piece = piece.into();
        if !matches!(self.stage, Stage::Http(_)) {
            return Err(SendError::NotOpen);
        }
        if body.is_unwanted() {
            return Ok(Sent::Queued);
        }
        if self.is_its_turn(body) {
            // What waits behind this body cannot be in its way.
            self.check_fits(self.outbox.len(), piece.len())?;
            let Stage::Http(http) = &mut self.stage else { return Err(SendError::NotOpen) };
            http.send_body(&mut self.outbox, body, piece)?;
            return Ok(self.note_queued());
        }
        let is_full = self.is_full(self.queued(), piece.len());
        let Stage::Http(http) = &mut self.stage else { return Err(SendError::NotOpen) };
        if is_full {
            http.owe_room(body);
            return Err(SendError::Full);
        }
        http.send_body(&mut self.outbox, body, piece)?;
        if self.outbox.len() + http.held_len() > self.config.high_mark {
            http.owe_room(body);
            return Ok(Sent::Congested);
        }
        Ok(Sent::Queued)
    }

    /// Server: whether the turn of a body has come. Before that its pieces are held, and count as queued.
    pub fn is_its_turn(&self, body: &ResponseBody) -> bool {
        match &self.stage {
            Stage::Http(http) => http.is_its_turn(body) == Some(true),
            _ => false,
        }
    }

    /// Server: ends a body. The connection goes on to the next request.
    ///
    /// # Errors
    /// [`SendError::NotOpen`] and [`SendError::WrongRequest`] as for [`send_body`](Self::send_body);
    /// [`SendError::BodyLength`] when less came than was declared: the connection then ends, so that the peer
    /// sees that the body was cut off.
    pub fn finish_body(&mut self, now: Instant, body: ResponseBody) -> Result<(), SendError> {
        if body.is_unwanted() {
            return Ok(());
        }
        let Stage::Http(http) = &mut self.stage else { return Err(SendError::NotOpen) };
        let result = http.finish_body(now, &self.config, &mut self.outbox, body);
        self.settle_http(now);
        result
    }

    /// Sends a frame: a whole message, a fragment, a ping.
    ///
    /// While a message is being sent in fragments, whole messages wait behind its last one; control frames do
    /// not (RFC 6455 §5.4).
    ///
    /// # Errors
    /// [`SendError::NotOpen`], [`SendError::Full`], and for fragments [`SendError::FragmentOrder`] and
    /// [`SendError::NotUtf8`]. Nothing was queued then.
    #[inline]
    pub fn send(&mut self, frame: &Frame) -> Result<Sent, SendError> {
        // A broadcast of something small: one copy.
        if frame.is_small_message() && self.takes_at_once(frame.payload.len()) && !self.is_client() {
            self.outbox.buffer().extend_from_slice(&frame.encoded);
            return Ok(self.note_queued());
        }
        self.send_any(frame)
    }

    #[inline(never)]
    fn send_any(&mut self, frame: &Frame) -> Result<Sent, SendError> {
        self.check_open()?;
        if frame.opcode.is_control() {
            self.write_copied(frame.opcode, true, &frame.payload);
            return Ok(self.note_queued());
        }
        if frame.opcode == Opcode::Continuation {
            // What waits behind the message cannot be in the way of its end.
            self.check_fits(self.outbox.len(), frame.payload.len())?;
        } else {
            self.check_room(frame.payload.len())?;
        }
        let unfinished = self.busy.as_ref().and_then(|busy| busy.outgoing);
        match (frame.opcode, unfinished) {
            (Opcode::Continuation, None) => return Err(SendError::FragmentOrder),
            (Opcode::Continuation, Some(outgoing)) => self.send_continuation(frame, outgoing)?,
            (_, Some(_)) if frame.fin => {
                let busy = self.busy();
                // With its header, so that empty ones have an end, too.
                busy.waiting_len += frame.payload.len() + MAX_HEADER;
                busy.waiting.push_back(frame.clone());
            }
            (_, Some(_)) => return Err(SendError::FragmentOrder),
            (_, None) if frame.fin => self.write_shared(frame),
            (opcode, None) => {
                let mut outgoing =
                    if opcode == Opcode::Text { Outgoing::Text(Utf8::default()) } else { Outgoing::Binary };
                outgoing.check(&frame.payload, false)?;
                self.busy().outgoing = Some(outgoing);
                self.write_shared(frame);
            }
        }
        Ok(self.note_queued())
    }

    fn send_continuation(&mut self, frame: &Frame, mut outgoing: Outgoing) -> Result<(), SendError> {
        outgoing.check(&frame.payload, frame.fin)?;
        self.write_shared(frame);
        if !frame.fin {
            self.busy().outgoing = Some(outgoing);
            return Ok(());
        }
        let busy = self.busy();
        busy.outgoing = None;
        busy.waiting_len = 0;
        for frame in core::mem::take(&mut busy.waiting) {
            self.write_shared(&frame);
        }
        self.forget_busy_if_idle();
        Ok(())
    }

    /// Sends a text message. An owned `String` is moved where it is worth it, a borrowed text is copied.
    ///
    /// # Errors
    /// [`SendError::NotOpen`], [`SendError::Full`]. Nothing was queued then.
    #[inline]
    pub fn send_text<'t>(&mut self, text: impl Into<Cow<'t, str>>) -> Result<Sent, SendError> {
        match text.into() {
            Cow::Borrowed(text) => self.send_copied(Opcode::Text, text.as_bytes()),
            Cow::Owned(text) => self.send_owned(Opcode::Text, text.into()),
        }
    }

    /// Sends a binary message. An owned `Vec` is moved where it is worth it, a borrowed slice is copied.
    ///
    /// # Errors
    /// [`SendError::NotOpen`], [`SendError::Full`]. Nothing was queued then.
    #[inline]
    pub fn send_binary<'t>(&mut self, data: impl Into<Cow<'t, [u8]>>) -> Result<Sent, SendError> {
        match data.into() {
            Cow::Borrowed(data) => self.send_copied(Opcode::Binary, data),
            Cow::Owned(data) => self.send_owned(Opcode::Binary, data.into()),
        }
    }

    /// Sends a message as it was received.
    ///
    /// # Errors
    /// [`SendError::NotOpen`], [`SendError::Full`]. Nothing was queued then.
    #[inline]
    pub fn send_message(&mut self, message: Message<'_>) -> Result<Sent, SendError> {
        match message {
            Message::Text(text) => self.send_text(text),
            Message::Binary(data) => self.send_binary(data),
        }
    }

    /// Sends a ping whose answer is told with its latency: [`Event::Pong`](crate::Event::Pong). Of several that
    /// are unanswered, the last counts (RFC 6455 §5.5.3).
    ///
    /// # Errors
    /// [`SendError::NotOpen`], [`SendError::ControlTooLong`].
    pub fn send_ping(&mut self, now: Instant, payload: &[u8]) -> Result<Sent, SendError> {
        self.check_open()?;
        if payload.len() > frame::MAX_CONTROL_PAYLOAD {
            return Err(SendError::ControlTooLong(payload.len()));
        }
        self.ping(now, Bytes::copy_from_slice(payload), false);
        Ok(self.note_queued())
    }

    pub(super) fn ping(&mut self, now: Instant, payload: Bytes, vital: bool) {
        let at = self.moment(now);
        self.write_copied(Opcode::Ping, true, &payload);
        let busy = self.busy();
        let awaited = busy.ping.take().and_then(|ping| ping.awaited);
        busy.ping = Some(Ping { at, payload, awaited: awaited.or(vital.then_some(at)) });
    }

    /// Tells that the socket took `n` bytes of the [outbox](Self::outbox). Tell it 0 when the socket would
    /// block, so that the time for a peer that does not read begins to run.
    pub fn wrote(&mut self, now: Instant, n: usize) {
        let queued = self.outbox.len();
        let n = n.min(queued);
        self.outbox.sent(n);
        self.bytes_sent += n as u64;
        let moment = self.moment(now);
        if n > 0 {
            self.wrote = moment;
        }
        if n == queued {
            if core::mem::take(&mut self.output.stalled)
                && let (Stage::Open, Some(due)) = (&self.stage, self.heartbeat_due())
            {
                // While it stalled, no heartbeat was due.
                self.set_deadline(self.deadline.min(due));
            }
            self.output.pongs = 0;
            if self.busy.is_some() {
                self.send_newest_pong();
            }
            self.flushed(moment);
        } else if !self.output.stalled {
            self.output.stalled = true;
            self.wrote = moment;
            self.set_deadline(self.deadline.min(moment.after(self.config.output_timeout)));
        }
        if self.output.congested && self.outbox.len() <= self.config.low_mark {
            self.output.congested = false;
            self.output.awaited = false;
            self.output.drained = match &self.stage {
                Stage::Open | Stage::Opened(_) => true,
                Stage::Http(http) => http.is_streaming(),
                _ => false,
            };
        }
    }

    fn send_newest_pong(&mut self) {
        let Some(busy) = &mut self.busy else { return };
        if let Some(payload) = busy.pong.take() {
            if matches!(self.stage, Stage::Open) {
                self.answer_ping(&payload);
            }
            self.forget_busy_if_idle();
        }
    }

    #[inline]
    fn send_copied(&mut self, opcode: Opcode, payload: &[u8]) -> Result<Sent, SendError> {
        if self.takes_at_once(payload.len()) {
            self.write_copied(opcode, true, payload);
            return Ok(self.note_queued());
        }
        self.send_copied_slowly(opcode, payload)
    }

    #[cold]
    fn send_copied_slowly(&mut self, opcode: Opcode, payload: &[u8]) -> Result<Sent, SendError> {
        self.check_open()?;
        self.check_room(payload.len())?;
        if self.busy.as_ref().is_some_and(|busy| busy.outgoing.is_some()) {
            return self.send_owned(opcode, Bytes::copy_from_slice(payload));
        }
        self.write_copied(opcode, true, payload);
        Ok(self.note_queued())
    }

    fn send_owned(&mut self, opcode: Opcode, payload: Bytes) -> Result<Sent, SendError> {
        self.send(&Frame { opcode, fin: true, payload, encoded: Bytes::new() })
    }

    #[inline]
    fn check_open(&self) -> Result<(), SendError> {
        if matches!(self.stage, Stage::Open | Stage::Opened(_)) { Ok(()) } else { Err(SendError::NotOpen) }
    }

    /// Whether a message of this length may simply be appended. Uncongested, the outbox is at most at its high
    /// mark: mostly that settles whether there is room.
    #[inline]
    fn takes_at_once(&self, len: usize) -> bool {
        let (cap, high_mark) = (self.config.outbox_cap, self.config.high_mark);
        matches!(self.stage, Stage::Open)
            && !self.output.congested
            && self.busy.is_none()
            && len < cap.saturating_sub(high_mark + MAX_HEADER)
    }

    /// A message alone always fits, whatever the cap. Who is refused is told when it has drained.
    fn check_room(&mut self, len: usize) -> Result<(), SendError> {
        self.check_fits(self.queued(), len)
    }

    fn is_full(&self, queued: usize, len: usize) -> bool {
        queued > 0 && queued.saturating_add(len).saturating_add(MAX_HEADER) > self.config.outbox_cap
    }

    fn check_fits(&mut self, queued: usize, len: usize) -> Result<(), SendError> {
        if self.is_full(queued, len) {
            // What only waits behind an unfinished message of ours is not for the peer to drain.
            self.output.congested |= !self.outbox.is_empty();
            return Err(SendError::Full);
        }
        Ok(())
    }

    /// Compares the outbox with its high mark. What waits behind something of ours, a message or a body in
    /// pieces, does not count: it waits for us and not for the peer.
    #[inline]
    pub(super) fn note_queued(&mut self) -> Sent {
        if self.outbox.len() > self.config.high_mark {
            self.output.congested = true;
            self.output.awaited = false;
            return Sent::Congested;
        }
        Sent::Queued
    }

    /// Appends a frame whose payload is copied.
    #[inline]
    pub(super) fn write_copied(&mut self, opcode: Opcode, fin: bool, payload: &[u8]) {
        let out = self.outbox.buffer();
        out.reserve(MAX_HEADER + payload.len());
        match &mut self.side {
            Side::Server => {
                frame::write_header(out, fin, opcode, payload.len(), None);
                out.extend_from_slice(payload);
            }
            Side::Client(keys) => {
                let key = keys.next();
                frame::write_header(out, fin, opcode, payload.len(), Some(key));
                let at = out.len();
                out.extend_from_slice(payload);
                mask::apply(&mut out[at..], key);
            }
        }
    }

    /// Appends a frame whose payload is shared where that is cheaper than a copy. A client masks, so it always
    /// copies.
    fn write_shared(&mut self, frame: &Frame) {
        if self.is_client() || frame.payload.len() <= COPY_UP_TO {
            return self.write_copied(frame.opcode, frame.fin, &frame.payload);
        }
        frame::write_header(self.outbox.buffer(), frame.fin, frame.opcode, frame.payload.len(), None);
        self.outbox.push_shared(frame.payload.clone());
    }
}

impl Outgoing {
    /// Whether the next fragment fits: text must be UTF-8 over all its fragments (§5.6).
    fn check(&mut self, payload: &[u8], fin: bool) -> Result<(), SendError> {
        if let Self::Text(utf8) = self {
            utf8.feed(payload).map_err(|_| SendError::NotUtf8)?;
            if fin && !utf8.is_complete() {
                return Err(SendError::NotUtf8);
            }
        }
        Ok(())
    }
}
