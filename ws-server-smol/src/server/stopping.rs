//! The schedule of a stop: which connections get a Close when, and when the rest is aborted.

use crate::ids::ConnectionId;
use std::collections::VecDeque;
use std::time::Instant;
use ws_host::server::Stop;

/// A stop in progress.
pub(super) struct Stopping {
    pub(super) stop: Stop,
    since: Instant,
    /// Connections that still need a Close, out of `count`.
    pending: VecDeque<ConnectionId>,
    count: usize,
    /// `None` if no clock can represent it.
    pub(super) deadline: Option<Instant>,
}

impl Stopping {
    pub(super) fn new(stop: Stop, pending: VecDeque<ConnectionId>) -> Self {
        let since = Instant::now();
        let deadline =
            stop.get_spread().checked_add(stop.get_deadline()).and_then(|time| since.checked_add(time));
        Self { count: pending.len(), stop, since, pending, deadline }
    }

    /// The hooks are done: closing these connections begins now, and the deadline stays.
    pub(super) fn begin(&mut self, pending: VecDeque<ConnectionId>) {
        *self = Self { deadline: self.deadline, ..Self::new(self.stop.clone(), pending) };
    }

    /// Merges another stop: the earlier times apply, and the code and reason stay.
    pub(super) fn merge(&mut self, other: Stop) {
        let other = other.code(self.stop.get_code()).reason(self.stop.get_reason());
        let mut other = Self::new(other, self.pending.clone());
        other.deadline = self.deadline.into_iter().chain(other.deadline).min();
        let spread_end = |stopping: &Self| stopping.since.checked_add(stopping.stop.get_spread());
        match (spread_end(&other), spread_end(self)) {
            (Some(new), Some(old)) if new >= old => self.deadline = other.deadline,
            (None, _) => self.deadline = other.deadline,
            _ => *self = other,
        }
    }

    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Returns the connections that are due, and when the next one is.
    pub(super) fn due(&mut self, now: Instant) -> (Vec<ConnectionId>, Option<Instant>) {
        let closed = self.stop.due(self.count, now.saturating_duration_since(self.since));
        let left = self.count - closed.min(self.count);
        let due = self.pending.drain(..self.pending.len().saturating_sub(left)).collect();
        let next =
            (left > 0).then(|| self.since.checked_add(self.stop.next_at(self.count, closed))).flatten();
        (due, next)
    }
}
