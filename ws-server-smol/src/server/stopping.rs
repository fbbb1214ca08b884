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
    untold: VecDeque<ConnectionId>,
    count: usize,
    /// `None` if no clock can represent it.
    pub(super) deadline: Option<Instant>,
}

impl Stopping {
    pub(super) fn new(stop: Stop, untold: VecDeque<ConnectionId>) -> Self {
        let since = Instant::now();
        let deadline =
            stop.get_spread().checked_add(stop.get_deadline()).and_then(|time| since.checked_add(time));
        Self { count: untold.len(), stop, since, untold, deadline }
    }

    /// The hooks are done: closing these connections begins now, and the deadline stays.
    pub(super) fn begin(&mut self, untold: VecDeque<ConnectionId>) {
        *self = Self { deadline: self.deadline, ..Self::new(self.stop.clone(), untold) };
    }

    /// Merges another stop: the earlier times apply, and the code and reason stay.
    pub(super) fn meet(&mut self, other: Stop) {
        let other = other.code(self.stop.get_code()).reason(self.stop.get_reason());
        let mut other = Self::new(other, self.untold.clone());
        other.deadline = self.deadline.into_iter().chain(other.deadline).min();
        let told_by = |stopping: &Self| stopping.since.checked_add(stopping.stop.get_spread());
        match (told_by(&other), told_by(self)) {
            (Some(new), Some(old)) if new >= old => self.deadline = other.deadline,
            (None, _) => self.deadline = other.deadline,
            _ => *self = other,
        }
    }

    /// Returns the connections that are due, and when the next one is.
    pub(super) fn due(&mut self, now: Instant) -> (Vec<ConnectionId>, Option<Instant>) {
        let told = self.stop.told(self.count, now.saturating_duration_since(self.since));
        let left = self.count - told.min(self.count);
        let due = self.untold.drain(..self.untold.len().saturating_sub(left)).collect();
        let next = (left > 0).then(|| self.since.checked_add(self.stop.next_at(self.count, told))).flatten();
        (due, next)
    }
}
