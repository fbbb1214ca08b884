//! What this connection holds, counted together with the other connections of its server.

use super::backpressure::Held;
use super::{Connection, Moment, Stage};
use crate::close_code::CloseCode;
use crate::error::Error;
use crate::memory::{self, Charge};

/// Marks this connection as counted.
#[derive(Debug)]
pub(super) struct Counted {
    charge: Charge,
    /// When it next checks whether it must close.
    pub(super) check_at: Moment,
}

impl Connection {
    /// Received, undelivered bytes: an unfinished message, requests, and what was left with the caller.
    pub(super) fn undelivered_len(&self) -> usize {
        let unfinished = match &self.stage {
            Stage::Http(http) => http.memory_len(),
            _ => self.decoder.held_len(),
        };
        unfinished + self.in_flight.as_ref().map_or(0, |in_flight| in_flight.kept + in_flight.ahead.len())
    }

    /// Whole messages of ours that wait behind an unfinished one.
    pub(super) fn waiting_len(&self) -> usize {
        self.in_flight.as_ref().map_or(0, |in_flight| in_flight.waiting_len)
    }

    /// Counts what is held, above the low mark.
    pub(super) fn count_held(&mut self) {
        let beside = self.undelivered_len() + self.waiting_len();
        let Self { config, in_flight, outbox, .. } = self;
        let Some(memory) = &config.memory else { return };
        let all = outbox.held_len() + beside;
        if all > config.low_mark {
            outbox.count_in(memory);
            let in_flight = in_flight.get_or_insert_default();
            let is_new = in_flight.counted.is_none();
            let counted = in_flight
                .counted
                .get_or_insert_with(|| Counted { charge: memory.charge(), check_at: Moment::NEVER });
            counted.charge.set(outbox.copied_len() + beside, all);
            if is_new && in_flight.stall.is_some() {
                // Writes and reads may be far off, and there is no clock here: check at once.
                counted.check_at = Moment::default();
                self.set_deadline(Moment::default());
            }
        } else if let Some(in_flight) = in_flight
            && in_flight.counted.take().is_some()
        {
            outbox.stop_counting();
            self.drop_in_flight_if_idle();
        }
    }

    /// Schedules a check of what is still held after a write, a read or a turn.
    pub(super) fn check_soon(&mut self, now: Moment) {
        let counted = self.in_flight.as_mut().and_then(|in_flight| in_flight.counted.as_mut());
        if let Some(counted) = counted.filter(|counted| counted.check_at == Moment::NEVER) {
            counted.check_at = now;
            self.set_deadline(self.deadline.min(now));
        }
    }

    pub(super) fn is_counted(&self) -> bool {
        self.in_flight.as_ref().is_some_and(|in_flight| in_flight.counted.is_some())
    }

    /// Whether all connections together exceed the limit.
    pub(super) fn is_memory_over(&self) -> bool {
        self.config.memory.as_ref().is_some_and(|memory| memory.is_over())
    }

    /// Checks whether this connection must close for the others to stay.
    pub(super) fn check_memory(&mut self, now: Moment) {
        let moved = self.bytes_received + self.bytes_sent;
        let is_held_back = self.input.held.has(Held::MEMORY);
        let Some(counted) = self.in_flight.as_mut().and_then(|in_flight| in_flight.counted.as_mut()) else {
            return;
        };
        if now < counted.check_at {
            return;
        }
        counted.check_at = now + memory::CHECK_INTERVAL;
        let held = counted.charge.check(now, moved, is_held_back);
        if let (Some(held), Some(memory)) = (held, &self.config.memory) {
            let error = Error::Memory { held, limit: memory.limit() };
            let code = match self.outbox.len() + self.waiting_len() >= self.undelivered_len() {
                true => CloseCode::TRY_AGAIN_LATER,
                false => CloseCode::TOO_BIG,
            };
            self.evict(now, error, code, "the server is over its memory limit");
        }
    }
}
