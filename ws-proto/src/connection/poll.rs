//! What the owner asks: the next event, the next step of the transport.

use super::backpressure::{Held, Told};
use super::{Connection, IoAction, Stage};
use crate::error::Error;
use crate::event::Event;
use crate::moment::Moment;
use core::mem;

impl Connection {
    /// The next event that something else than input caused: time, a write, an answer. Call it until `None`,
    /// after everything that may have caused one.
    #[inline]
    pub fn poll_event(&mut self, now: Moment) -> Option<Event<'static>> {
        // Asked after every turn, and mostly in vain.
        if matches!(self.stage, Stage::Open(_))
            && !self.backpressure.drained
            && self.input.held.is_free()
            && self.in_flight.is_none()
            && !self.decoder.has_fault()
        {
            self.note_received(now);
            return None;
        }
        self.end_handling(now);
        if self.is_counted() {
            self.look_soon(now);
        }
        let event = self.next_caused(now);
        if event.is_some() {
            self.tell(Told::Polled);
        }
        event
    }

    /// An event that something else than new input caused.
    fn next_caused(&mut self, now: Moment) -> Option<Event<'static>> {
        // What was kept is parsed as soon as it may be, since nothing more need come.
        if let Some(event) = self.receive_http(now, &mut &mut [][..]).or_else(|| self.receive_ahead(now)) {
            return Some(event);
        }
        if !self.has_ahead() && self.in_flight.as_ref().is_some_and(|in_flight| in_flight.ends_behind) {
            self.connection_closed(now, Error::Eof);
        }
        // The owner may have nothing more to give to `handle_input`.
        if let Stage::Open(_) | Stage::Closing(_) = self.stage
            && let Some(fault) = self.decoder.take_fault()
        {
            self.fail_connection(now, fault);
        }
        if let Some(opened) = self.report_open() {
            return Some(opened);
        }
        match &self.stage {
            Stage::Done { .. } => self.report_closed(),
            _ => mem::take(&mut self.backpressure.drained).then_some(Event::Drained),
        }
    }

    /// What the transport should do next. Reading and writing are independent of each other: a transport
    /// that can do both at once reads whenever the connection [is not paused](Self::is_paused).
    ///
    /// Behind the peer's [end](Self::handle_eof) it never says `Read` again: it says `Write` while something waits, `Pause`
    /// while the application is to answer, and then `Drop` or `Reset`.
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

    /// Whether nothing should be read now: the application has [paused](Self::pause) the connection, the peer has sent
    /// what it may in this second, what was answered to it is more than half of what the outbox takes and waits for it,
    /// enough requests are unanswered, an upgrade is undecided, or others have [their share](super::Shares::is_used)
    /// first. [`handle_input`](Self::handle_input) then leaves its input with the caller. Beside an answer without a
    /// length, requests are read ahead up to [`head_limit`](crate::Config::head_limit), since the peer's end would stand
    /// behind them.
    pub fn is_paused(&self) -> bool {
        match &self.stage {
            Stage::Http(http) => {
                self.input.held.has(Held::ANY) || http.is_paused(&self.config, self.takes_no_request())
            }
            Stage::Open(_) | Stage::Closing(_) => self.input.held.has(Held::ANY),
            _ => false,
        }
    }
}
