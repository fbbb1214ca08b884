//! What the owner polls: the next event, and the next I/O step.

use super::backpressure::{Held, LastEvent};
use super::{Connection, IoAction, Stage};
use crate::error::Error;
use crate::event::{Event, RequestBody};
use crate::moment::Moment;
use core::mem;

impl Connection {
    /// The next event not caused by input: by time, a write, an answer. Call it until `None`, after every call that may
    /// cause one.
    #[inline]
    pub fn poll_event(&mut self, now: Moment) -> Option<Event<'static>> {
        // Called after every turn, usually without result.
        if matches!(self.stage, Stage::Open(_))
            && !self.backpressure.drained
            && self.input.held.is_free()
            && self.in_flight.is_none()
            && !self.decoder.has_fault()
        {
            self.record_received(now);
            return None;
        }
        self.end_handling(now);
        if self.is_counted() {
            self.check_soon(now);
        }
        let event = self.next_caused(now);
        if event.is_some() {
            self.record_event(LastEvent::Polled);
        }
        event
    }

    /// The next event not caused by new input.
    fn next_caused(&mut self, now: Moment) -> Option<Event<'static>> {
        // Parse kept bytes as soon as possible, since no more input may follow.
        if let Some(event) = self.receive_http(now, &mut &mut [][..]).or_else(|| self.receive_ahead(now)) {
            return Some(event);
        }
        if !self.has_ahead() && self.in_flight.as_ref().is_some_and(|in_flight| in_flight.ends_behind) {
            self.connection_closed(now, Error::Eof);
        }
        // The owner may have no more input for `handle_input`.
        if let Stage::Open(_) | Stage::Closing(_) = self.stage
            && let Some(fault) = self.decoder.take_fault()
        {
            self.fail_connection(now, fault);
        }
        if let Some(opened) = self.report_open() {
            return Some(opened);
        }
        if let Some(cut) = self.take_cut() {
            return Some(Event::Body(cut));
        }
        match &self.stage {
            Stage::Done { .. } => self.report_closed(),
            _ => mem::take(&mut self.backpressure.drained).then_some(Event::Drained),
        }
    }

    /// Reports that a body was cut off by the end of the connection.
    pub(super) fn take_cut(&mut self) -> Option<RequestBody<'static>> {
        let cut = self.stage.ending_mut()?.cut.take()?;
        Some(RequestBody::Incomplete(cut))
    }

    /// The transport's next step. Reading and writing are independent: a transport that can do both at once reads
    /// whenever the connection [is not paused](Self::is_paused).
    ///
    /// After the peer's [end of stream](Self::handle_eof) it never returns `Read` again: it returns `Write` while
    /// output is pending, `Pause` while an answer of the application is due, and then `Drop` or `Reset`.
    pub fn poll_io(&mut self) -> IoAction {
        if let Stage::Done { wants_reset, .. } = self.stage {
            return if wants_reset { IoAction::Reset } else { IoAction::Drop };
        }
        if !self.outbox.is_empty() {
            return IoAction::Write;
        }
        if let Stage::Draining(draining) = &mut self.stage
            && draining.take_half_close()
        {
            return IoAction::Shutdown;
        }
        if self.is_paused() { IoAction::Pause } else { IoAction::Read }
    }

    /// Whether nothing should be read now: the application has [paused](Self::pause) the connection, the peer has used
    /// its rate for this second, answers to it fill more than half of the outbox's cap, too much output is pending for
    /// a further HTTP request, all connections together hold too much, too many requests are unanswered, an upgrade is
    /// undecided, or other connections take [their share](super::Shares::is_used) first.
    /// [`handle_input`](Self::handle_input) then leaves its input with the caller. During an answer without a length,
    /// requests are read ahead up to [`head_limit`](crate::Config::head_limit), since the peer's end of stream would
    /// follow them.
    pub fn is_paused(&self) -> bool {
        match &self.stage {
            Stage::Http(http) => {
                self.input.held.has(Held::ANY) || http.is_paused(&self.config, self.holds_requests())
            }
            Stage::Open(_) | Stage::Closing(_) => self.input.held.has(Held::ANY),
            _ => false,
        }
    }
}
