//! Messages out, and bytes to the socket.

use super::in_flight::{Outgoing, Ping, Stall};
use super::{Connection, Moment, Sent, Side, Stage};
use crate::config::heartbeat::HeartbeatKind;
use crate::config::heartbeat::MAX_CONTROL_PAYLOAD;
use crate::deflate::CompressionHint;
use crate::error::SendError;
use crate::frame::COPY_UP_TO;
use crate::frame::mask;
use crate::frame::utf8::Utf8;
use crate::frame::{self, Frame, MAX_HEADER, Opcode, RSV1, first_byte};
use crate::outbox;
use alloc::vec::Vec;
use bytes::{Buf, Bytes};

/// Behind this many bytes, a server queues a large payload in memory of its own: the buffer, which doubles, would hold
/// up to twice what is queued.
const LONG: usize = 1 << 20;

impl Connection {
    #[inline]
    pub(crate) fn send_frame(&mut self, frame: &Frame) -> Result<Sent, SendError> {
        // A small encoded message: one copy.
        if frame.is_small_message() && self.takes_at_once(frame.payload.len()) && !self.is_client() {
            self.outbox.buffer().extend_from_slice(&frame.encoded);
            return Ok(self.check_marks());
        }
        self.send_any(frame)
    }

    #[inline(never)]
    fn send_any(&mut self, frame: &Frame) -> Result<Sent, SendError> {
        self.check_open()?;
        if frame.opcode.is_control() {
            self.write_urgent(frame.opcode, &frame.payload);
            return Ok(self.check_marks());
        }
        if frame.opcode == Opcode::Continuation {
            // Messages that wait for its end do not block it.
            self.check_fits(self.outbox.len(), frame.payload.len())?;
        } else {
            self.check_room(frame.payload.len())?;
        }
        self.enqueue(frame)
    }

    /// Queues data, regardless of the cap.
    pub(super) fn enqueue(&mut self, frame: &Frame) -> Result<Sent, SendError> {
        let unfinished = self.in_flight.as_ref().and_then(|in_flight| in_flight.outgoing);
        match (frame.opcode, unfinished) {
            (Opcode::Continuation, None) => return Err(SendError::FragmentOrder),
            (Opcode::Continuation, Some(outgoing)) => self.send_continuation(frame, outgoing)?,
            (_, Some(_)) if frame.fin => {
                let in_flight = self.in_flight();
                // Includes the header, so empty messages are limited too.
                in_flight.waiting_len += frame.payload.len() + MAX_HEADER;
                in_flight.waiting.push_back(frame.clone());
                self.count_held();
            }
            (_, Some(_)) => return Err(SendError::FragmentOrder),
            (_, None) if frame.fin => self.write_message(frame),
            (opcode, None) => {
                let text = (opcode == Opcode::Text).then(Utf8::default);
                let compressed = self.compresses(frame.compression, usize::MAX);
                let mut outgoing = Outgoing { text, compressed };
                outgoing.check(&frame.payload, false)?;
                self.in_flight().outgoing = Some(outgoing);
                self.write_fragment(frame, compressed);
            }
        }
        Ok(self.check_marks())
    }

    fn send_continuation(&mut self, frame: &Frame, mut outgoing: Outgoing) -> Result<(), SendError> {
        outgoing.check(&frame.payload, frame.fin)?;
        self.write_fragment(frame, outgoing.compressed);
        if !frame.fin {
            self.in_flight().outgoing = Some(outgoing);
            return Ok(());
        }
        let in_flight = self.in_flight();
        in_flight.outgoing = None;
        in_flight.waiting_len = 0;
        for frame in core::mem::take(&mut in_flight.waiting) {
            self.write_message(&frame);
        }
        self.drop_in_flight_if_idle();
        Ok(())
    }

    /// Sends a Ping whose answer is reported with its latency: [`Event::Pong`](crate::Event::Pong). If several
    /// Pings are unanswered, only the answer to the last one is reported (RFC 6455 §5.5.3).
    ///
    /// # Errors
    /// [`SendError::NotOpen`], [`SendError::ControlTooLong`].
    pub fn send_ping(&mut self, now: Moment, payload: &[u8]) -> Result<Sent, SendError> {
        self.check_open()?;
        if payload.len() > MAX_CONTROL_PAYLOAD {
            return Err(SendError::ControlTooLong(payload.len()));
        }
        self.ping(now, Bytes::copy_from_slice(payload), false);
        Ok(self.check_marks())
    }

    pub(super) fn ping(&mut self, now: Moment, payload: Bytes, vital: bool) {
        let at = now;
        let sent_at = self.bytes_sent + self.write_urgent(Opcode::Ping, &payload) as u64;
        let in_flight = self.in_flight();
        let (awaited, sent_at) = match in_flight.ping.take() {
            Some(Ping { awaited: Some(awaited), sent_at, .. }) => (Some(awaited), sent_at),
            _ => (vital.then_some(at), sent_at),
        };
        in_flight.ping = Some(Ping { at, payload, awaited, sent_at });
    }

    /// Records that the socket took `n` bytes of the [outbox](Self::outbox). Report 0 when the socket would block: the
    /// time limit for a peer that does not read starts then.
    #[inline]
    pub fn handle_written(&mut self, now: Moment, n: usize) {
        // An ordinary connection with everything taken: nothing to check.
        if n > 0
            && n == self.outbox.len()
            && matches!(self.stage, Stage::Open(None))
            && self.in_flight.is_none()
            && self.input.held.is_free()
            && !self.backpressure.congested
        {
            self.outbox.sent_all();
            self.bytes_sent += n as u64;
            if self.config.heartbeat.kind == HeartbeatKind::Pong {
                self.beat = now;
            }
            return;
        }
        self.written_in_part(now, n);
    }

    #[inline(never)]
    fn written_in_part(&mut self, now: Moment, n: usize) {
        let queued = self.outbox.len();
        let n = n.min(queued);
        let framed = n < queued && self.is_framed();
        // Less than one slice: the socket takes no more for now. Longer slices may be handed on in parts.
        let is_refused = n < queued && n < self.outbox.chunk().len().min(outbox::TAKE);
        self.outbox.sent(n, framed);
        self.bytes_sent += n as u64;
        if n > 0 && self.config.heartbeat.kind == HeartbeatKind::Pong {
            self.beat = now;
        }
        if n == queued {
            if self.is_stalled() {
                self.end_stall();
            }
            self.flushed(now);
            self.arm_contexts(now);
        } else {
            if !self.is_stalled() {
                self.begin_stall(now);
            }
            if is_refused {
                self.close_overtakes();
            }
        }
        if self.in_flight.is_some() {
            self.update_in_flight(now, n);
        }
        if !self.input.held.is_free() {
            self.output_taken(now, n);
        }
        if self.backpressure.congested && self.outbox.len() <= self.config.low_mark {
            self.backpressure.congested = false;
            self.backpressure.drained = match &self.stage {
                Stage::Open(_) | Stage::Opened(_) => true,
                Stage::Http(http) => http.is_streaming(),
                _ => false,
            };
        }
        self.http_written(now, n);
    }

    /// Whether pending output is frames, rather than HTTP.
    pub(super) fn is_framed(&self) -> bool {
        match &self.stage {
            Stage::Http(_) | Stage::Handshake(_) => false,
            Stage::Draining(draining) => draining.ending.was_open,
            Stage::Opened(_) | Stage::Open(_) | Stage::Closing(_) | Stage::Done { .. } => true,
        }
    }

    /// The socket took less than there is: from now on the peer must take output in time.
    pub(super) fn begin_stall(&mut self, now: Moment) {
        self.in_flight().stall = Some(Stall { since: now, sent: self.bytes_sent, last: now });
        self.set_deadline(self.deadline.min(now + self.config.output_timeout));
    }

    fn end_stall(&mut self) {
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.stall = None;
        }
        if let (Stage::Open(_), Some(due)) = (&self.stage, self.heartbeat_due()) {
            // While it stalled, no one-way heartbeat was due.
            self.set_deadline(self.deadline.min(due));
        }
        self.drop_in_flight_if_idle();
    }

    /// Updates what a write affects: a Ping in the outbox, waiting Pongs, and the counted memory.
    #[inline(never)]
    fn update_in_flight(&mut self, now: Moment, n: usize) {
        let before = self.bytes_sent - n as u64;
        let Some(in_flight) = &mut self.in_flight else { return };
        if let Some(stall) = in_flight.stall.as_mut().filter(|_| n > 0) {
            stall.last = now;
        }
        if let Some(ping) = &mut in_flight.ping
            && let Some(awaited) = &mut ping.awaited
            && n > 0
            && before < ping.sent_at
        {
            // Its answer cannot precede it, and it did not reach the kernel before this.
            *awaited = now;
        }
        if in_flight.pong.is_some() && self.outbox.pongs() == 0 {
            self.send_newest_pong();
        }
        if self.is_counted() || self.outbox.len() > self.config.low_mark {
            self.count_held();
            self.check_soon(now);
        }
        self.drop_in_flight_if_idle();
    }

    fn send_newest_pong(&mut self) {
        let Some(in_flight) = &mut self.in_flight else { return };
        if let Some(payload) = in_flight.pong.take()
            && matches!(self.stage, Stage::Open(_))
        {
            self.answer_ping(&payload);
        }
    }

    #[inline]
    pub(crate) fn send_copied(&mut self, opcode: Opcode, payload: &[u8]) -> Result<Sent, SendError> {
        if self.takes_at_once(payload.len()) {
            self.write_copied(opcode, true, payload);
            return Ok(self.check_marks());
        }
        self.send_copied_slowly(opcode, payload)
    }

    #[cold]
    fn send_copied_slowly(&mut self, opcode: Opcode, payload: &[u8]) -> Result<Sent, SendError> {
        self.check_open()?;
        self.check_room(payload.len())?;
        if self.in_flight.as_ref().is_some_and(|in_flight| in_flight.outgoing.is_some()) {
            return self.send_owned(opcode, Bytes::copy_from_slice(payload));
        }
        if self.compresses(CompressionHint::ByLength, payload.len()) {
            self.write_compressed(first_byte(true, opcode) | RSV1, payload, true);
        } else if self.outbox.len() >= LONG && payload.len() > COPY_UP_TO && !self.is_client() {
            self.write_shared(first_byte(true, opcode), &Bytes::copy_from_slice(payload));
        } else {
            self.write_copied(opcode, true, payload);
        }
        Ok(self.check_marks())
    }

    pub(crate) fn send_owned(&mut self, opcode: Opcode, payload: Bytes) -> Result<Sent, SendError> {
        self.send_frame(&Frame::unencoded(opcode, true, payload))
    }

    #[inline]
    pub(super) fn check_open(&self) -> Result<(), SendError> {
        if self.stage.is_open() { Ok(()) } else { Err(SendError::NotOpen) }
    }

    /// Whether a message of this length may simply be appended. An uncongested outbox is at most at its high mark,
    /// which usually settles whether there is room.
    #[inline]
    fn takes_at_once(&self, len: usize) -> bool {
        let (cap, high_mark) = (self.config.outbox_cap, self.config.high_mark);
        matches!(self.stage, Stage::Open(None))
            && !self.backpressure.congested
            && self.in_flight.is_none()
            && len < cap.saturating_sub(high_mark.saturating_add(MAX_HEADER))
    }

    /// A single message always fits, regardless of the cap. A rejected sender receives `Drained` later.
    pub(super) fn check_room(&mut self, len: usize) -> Result<(), SendError> {
        self.check_fits(self.queued(), len)
    }

    /// Above the high mark there is also no room while all connections together hold too much.
    pub(super) fn is_full(&self, queued: usize, len: usize) -> bool {
        if queued > self.config.high_mark && self.is_memory_over() {
            return true;
        }
        queued > 0 && queued.saturating_add(len).saturating_add(MAX_HEADER) > self.config.outbox_cap
    }

    pub(super) fn check_fits(&mut self, queued: usize, len: usize) -> Result<(), SendError> {
        if self.is_full(queued, len) {
            // The peer cannot drain what waits behind an unfinished message of ours.
            self.backpressure.congested |= !self.outbox.is_empty();
            return Err(SendError::Full);
        }
        Ok(())
    }

    /// Compares the outbox with its marks. Messages behind an unfinished message or streaming response of ours do not
    /// count: they wait for us, not for the peer.
    #[inline]
    pub(super) fn check_marks(&mut self) -> Sent {
        let little = self.config.high_mark.min(self.config.outbox_cap / 2);
        if self.outbox.len() <= little { Sent::Queued } else { self.check_marks_slowly() }
    }

    /// Counts held memory above the high mark, or half the cap. Below that, it is counted after the next write.
    #[inline(never)]
    fn check_marks_slowly(&mut self) -> Sent {
        self.check_over_half();
        self.count_held();
        if self.outbox.len() <= self.config.high_mark {
            return Sent::Queued;
        }
        self.backpressure.congested = true;
        Sent::Congested
    }

    /// Appends a frame whose payload is copied.
    #[inline]
    pub(super) fn write_copied(&mut self, opcode: Opcode, fin: bool, payload: &[u8]) {
        write_bytes(&mut self.side, self.outbox.buffer(), first_byte(fin, opcode), payload);
    }

    /// Appends a Ping or a Pong, which overtakes queued frames (§5.4). Returns how many bytes must be written up to its
    /// end.
    pub(super) fn write_urgent(&mut self, opcode: Opcode, payload: &[u8]) -> usize {
        let Self { side, outbox, .. } = self;
        outbox.push_urgent(opcode == Opcode::Pong, |out| {
            write_bytes(side, out, first_byte(true, opcode), payload);
        })
    }

    /// Appends a frame whose payload is shared where that is cheaper than a copy. A client masks, so it always
    /// copies.
    pub(super) fn write_shared(&mut self, first: u8, payload: &Bytes) {
        if self.is_client() || payload.len() <= COPY_UP_TO {
            return write_bytes(&mut self.side, self.outbox.buffer(), first, payload);
        }
        frame::write_header(self.outbox.buffer(), first, payload.len(), None);
        self.outbox.push_shared(payload.clone());
    }

    /// Appends a whole message.
    pub(super) fn write_message(&mut self, frame: &Frame) {
        if self.compresses(frame.compression, frame.payload.len()) {
            self.write_compressed(first_byte(true, frame.opcode) | RSV1, &frame.payload, true);
        } else {
            self.write_shared(first_byte(true, frame.opcode), &frame.payload);
        }
    }

    /// Appends a fragment. The compression bit is set on the first one (RFC 7692 §6.1).
    pub(super) fn write_fragment(&mut self, frame: &Frame, compressed: bool) {
        let first = first_byte(frame.fin, frame.opcode);
        if compressed {
            let rsv1 = if frame.opcode == Opcode::Continuation { 0 } else { RSV1 };
            self.write_compressed(first | rsv1, &frame.payload, frame.fin);
        } else {
            self.write_shared(first, &frame.payload);
        }
    }
}

/// Appends a frame whose payload is copied; a client masks it.
#[inline]
pub(super) fn write_bytes(side: &mut Side, out: &mut Vec<u8>, first: u8, payload: &[u8]) {
    out.reserve(MAX_HEADER + payload.len());
    match side {
        Side::Server => {
            frame::write_header(out, first, payload.len(), None);
            out.extend_from_slice(payload);
        }
        Side::Client(keys) => {
            let key = keys.next();
            frame::write_header(out, first, payload.len(), Some(key));
            let at = out.len();
            out.extend_from_slice(payload);
            mask::apply(&mut out[at..], key);
        }
    }
}

impl Outgoing {
    /// Checks the next fragment: text must be UTF-8 across all its fragments (§5.6).
    fn check(&mut self, payload: &[u8], fin: bool) -> Result<(), SendError> {
        if let Some(utf8) = &mut self.text {
            utf8.feed(payload).map_err(|_| SendError::NotUtf8)?;
            if fin && !utf8.is_complete() {
                return Err(SendError::NotUtf8);
            }
        }
        Ok(())
    }
}
