//! Requests whose bodies are emitted as they arrive.
//!
//! ```text
//!  head ─▶ Request ─▶ Data* ─┬─▶ Complete ───────────────────────────▶ the next head
//!                      │     └─▶ Incomplete ─▶ the end                     ▲
//!                      └─ answered, or dropped ─┬─ at most 64 KiB left ─▶ discarded
//!                                               └─ more ─▶ the end, after the answer
//! ```
//!
//! The request is the last one in the queue until its body has ended, since nothing behind it is read before.

use super::Io;
use super::answer::{Answer, Pending};
use super::body::Part;
use super::reading::StreamReader;
use super::server::{CONTINUE, Incoming, Reading, ServerHttp};
use crate::error::{Error, RequestError};
use crate::event::RequestBody;
use crate::handshake::Request;
use crate::handshake::check::MIN_BODY_RATE;
use crate::moment::Moment;
use core::time::Duration;
use std::borrow::Cow;
use std::boxed::Box;
use std::sync::Arc;

/// In each such period the peer must send at the minimum rate. Unlike for bodies that are collected, earlier periods do
/// not count: otherwise a peer could pause for days after a gigabyte.
pub(super) const STREAM_PERIOD: Duration = Duration::from_secs(30);

/// The most bytes of an unwanted body that are read, to keep the connection.
const DISCARD_UP_TO: u64 = 64 << 10;

impl StreamReader {
    /// The period is over: begins the next one, if the peer has sent enough.
    pub(super) fn begin_period(&mut self) -> bool {
        let is_enough = self.received >= u64::from(self.min_rate) * STREAM_PERIOD.as_secs();
        self.received = 0;
        if self.is_discarded {
            // The rest is not awaited, so a peer that may pause must not hold the connection for it.
            self.min_rate = self.min_rate.max(MIN_BODY_RATE);
        }
        is_enough
    }

    /// Whether the peer may pause for as long as it likes.
    pub(super) fn may_pause(&self) -> bool {
        self.min_rate == 0 && !self.is_discarded
    }
}

impl ServerHttp {
    /// Consumes input up to the next part of the body.
    pub(super) fn read_stream<'a>(
        &mut self,
        io: &mut Io<'_>,
        input: &mut &'a mut [u8],
    ) -> Result<Option<Incoming<'a>>, RequestError> {
        let Reading::Stream(reader) = &mut self.reading else { return Ok(None) };
        let body = match reader.deframer.next(reader.room, input)? {
            Part::Pending => return Ok(None),
            Part::Data(data) => {
                let len = data.len() as u64;
                reader.room -= len;
                reader.received += len;
                if reader.is_discarded {
                    return Ok(None);
                }
                reader.emitted = Some(io.now);
                RequestBody::Data(Cow::Borrowed(data))
            }
            Part::End => {
                let (keep_alive, is_discarded) = (reader.keep_alive, reader.is_discarded);
                if let Some(Pending { answer: Answer::Awaited { since, .. }, .. }) = self.queue.back_mut() {
                    since.get_or_insert(io.now);
                }
                self.await_request(io.now, keep_alive);
                if is_discarded {
                    return Ok(None);
                }
                RequestBody::Complete
            }
        };
        Ok(Some(Incoming::Body(body)))
    }

    /// Whether the body has ended, and this is not yet reported.
    pub(super) fn is_stream_at_end(&self) -> bool {
        matches!(&self.reading, Reading::Stream(reader) if reader.deframer.is_at_end())
    }

    /// The application has handled the last event. The peer is not to blame for the time that this took.
    pub(super) fn end_handling(&mut self, now: Moment) {
        if let Reading::Stream(reader) = &mut self.reading
            && let Some(emitted) = reader.emitted.take()
        {
            // Unless a pause has moved it already.
            self.since = (self.since + now.since(emitted)).min(now);
        }
    }

    /// Asks the peer for a body that the application may want (RFC 9110 §10.1.1), once the earlier requests are
    /// answered: the client would attribute an early 100 to one of them.
    pub(super) fn send_continue(&mut self, io: &mut Io<'_>, held: bool) {
        if held || self.queue.len() != 1 || !self.awaits_stream() {
            return;
        }
        if let Reading::Stream(reader) = &mut self.reading
            && reader.continue_due
        {
            reader.continue_due = false;
            io.out.buffer().extend_from_slice(CONTINUE);
            self.since = io.now;
        }
    }

    /// If the application has answered or dropped the request, it does not want the rest of the body. The peer may be in
    /// the middle of it, and read no answer before its end: so no more than a small rest is read (RFC 9112 §9.3). A peer
    /// that waits for a 100 may send it or not, so what follows is ambiguous.
    pub(super) fn settle_stream(&mut self) {
        if self.is_stream_wanted() {
            return;
        }
        let Reading::Stream(reader) = &mut self.reading else { return };
        let is_small = reader.deframer.left().is_some_and(|left| left <= DISCARD_UP_TO);
        if is_small && !reader.continue_due && reader.keep_alive {
            (reader.is_discarded, reader.emitted) = (true, None);
        } else {
            self.stop_reading();
        }
    }

    /// Ends the connection after the answers that are due.
    pub(super) fn end_stream(&mut self, cause: Option<Error>) {
        self.cause = cause;
        self.stop_reading();
        if self.queue.is_empty() {
            self.end();
        }
    }

    /// Whether the rest of an unwanted body is being read.
    pub(super) fn is_discarding(&self) -> bool {
        matches!(&self.reading, Reading::Stream(reader) if reader.is_discarded)
    }

    /// Whether the last request in the queue is the one whose body is arriving.
    pub(super) fn awaits_stream(&self) -> bool {
        let last = self.queue.back().map(|pending| &pending.answer);
        matches!(self.reading, Reading::Stream(_))
            && matches!(last, Some(Answer::Awaited { since: None, .. }))
    }

    /// Whether the application waits for the rest of a body.
    fn is_stream_wanted(&self) -> bool {
        self.awaits_stream() && self.queue.back().is_some_and(|pending| !pending.answer.is_dropped())
    }

    /// Takes the request whose body is arriving: it is no longer to be answered by the application.
    pub(super) fn take_stream_pending(&mut self) -> Option<Pending> {
        let pending = if self.awaits_stream() { self.queue.pop_back() } else { None };
        self.has_discarded |= pending.is_some();
        pending
    }

    /// The rest of the body will not be read: the application learns of it, if it waits for it. Precedes every change
    /// that ends reading.
    pub(super) fn cut_stream(&mut self, cause: &Error) {
        if self.is_stream_wanted() {
            self.cut = Some(Box::new(cause.clone()));
        }
    }

    /// The unreported end of a body that was cut off.
    pub(crate) fn take_cut(&mut self) -> Option<RequestBody<'static>> {
        self.cut.take().map(RequestBody::Incomplete)
    }

    /// The connection ends for this cause, or because the application ends it. Returns why a body is cut off, if that
    /// is not yet reported.
    pub(crate) fn end_cut(&mut self, cause: Option<&Error>) -> Option<Box<Error>> {
        self.cut_stream(cause.unwrap_or(&Error::Aborted));
        self.cut.take()
    }

    /// Whether a part of this request's body is still to be reported.
    pub(crate) fn is_receiving(&self, request: &Request) -> bool {
        let is_this = |pending: &Pending| matches!(&pending.answer, Answer::Awaited { token, .. } if Arc::ptr_eq(token, request.token()));
        self.cut.is_some() || self.awaits_stream() && self.queue.back().is_some_and(is_this)
    }
}
