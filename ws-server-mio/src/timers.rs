//! Timers of the application, each run once.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use ws_proto::Moment;

/// A timer set by [`Connections::after`](crate::Connections::after). A handle is never reused; dropping it does not
/// cancel the timer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timer {
    at: Moment,
    number: u64,
}

impl fmt::Display for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.number)
    }
}

ws_proto::debug_is_display!(Timer);

/// Too many timers are pending: [`Options::max_timers`](crate::Options::max_timers).
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TooManyTimers {
    /// The limit.
    pub limit: usize,
}

impl fmt::Display for TooManyTimers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} timers are pending, the limit of Options::max_timers", self.limit)
    }
}

ws_proto::debug_is_display!(TooManyTimers);

impl std::error::Error for TooManyTimers {}

/// The timers of an endpoint, the next one first.
pub(crate) struct Timers<J> {
    pub(crate) waiting: BTreeMap<Timer, J>,
    limit: usize,
    /// How many timers were ever set.
    count: u64,
}

impl<J> Timers<J> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { waiting: BTreeMap::new(), limit, count: 0 }
    }

    /// How many timers were ever set: those set during a pass wait for the next one.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Sets a timer.
    pub(crate) fn set(&mut self, at: Moment, job: J) -> Result<Timer, TooManyTimers> {
        if self.waiting.len() >= self.limit {
            return Err(TooManyTimers { limit: self.limit });
        }
        let timer = Timer { at, number: self.count };
        self.count += 1;
        self.waiting.insert(timer, job);
        Ok(timer)
    }

    /// Takes a due timer of the first `count` ever set.
    pub(crate) fn take_due(&mut self, now: Moment, count: u64) -> Option<J> {
        let next = self.waiting.first_entry()?;
        let is_due = next.key().at <= now && next.key().number < count;
        is_due.then(|| next.remove())
    }

    #[inline]
    pub(crate) fn has_work(&self, now: Moment) -> bool {
        self.waiting.first_key_value().is_some_and(|(timer, _)| timer.at <= now)
    }

    /// The time until the next timer.
    #[inline]
    pub(crate) fn wait_from(&self, now: Moment) -> Option<Duration> {
        Some(self.waiting.first_key_value()?.0.at.since(now))
    }
}
