//! Timers of the application: what it wants done later, once.

use crate::connection::Connections;
use crate::endpoint::remote::Job;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use ws_proto::Moment;

/// A timer that [`Connections::after`] has set. Never used twice; dropping it leaves the timer to run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timer {
    at: Moment,
    number: u64,
}

impl Timer {
    /// Cancels it; says whether it was still to run. What it holds is dropped.
    pub fn cancel(self, connections: &mut Connections) -> bool {
        connections.alarms.waiting.remove(&self).is_some()
    }

    /// Whether it is still to run.
    pub fn is_set(self, connections: &Connections) -> bool {
        connections.alarms.waiting.contains_key(&self)
    }
}

impl fmt::Display for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.number)
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As many timers wait as [`Options::max_timers`](crate::Options::max_timers) allows.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TooManyTimers {
    /// How many may wait.
    pub limit: usize,
}

impl fmt::Display for TooManyTimers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} timers wait, the most that Options::max_timers allows", self.limit)
    }
}

impl fmt::Debug for TooManyTimers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for TooManyTimers {}

/// The timers of an endpoint, the next one first.
pub(crate) struct Alarms {
    waiting: BTreeMap<Timer, Job>,
    limit: usize,
    /// How many were ever set.
    count: u64,
}

impl Alarms {
    pub(crate) fn new(limit: usize) -> Self {
        Self { waiting: BTreeMap::new(), limit, count: 0 }
    }

    /// How many were ever set: those that a pass sets itself wait for the next one.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// One whose time has come, of those that were set before there were so many.
    pub(crate) fn take_due(&mut self, now: Moment, count: u64) -> Option<Job> {
        let next = self.waiting.first_entry()?;
        let is_due = next.key().at <= now && next.key().number < count;
        is_due.then(|| next.remove())
    }

    #[inline]
    pub(crate) fn has_work(&self, now: Moment) -> bool {
        self.waiting.first_key_value().is_some_and(|(timer, _)| timer.at <= now)
    }

    /// The time from now until the next one.
    #[inline]
    pub(crate) fn wait_from(&self, now: Moment) -> Option<Duration> {
        Some(self.waiting.first_key_value()?.0.at.since(now))
    }
}

/// Timers.
impl Connections {
    /// Runs this once, in the first turn after that time: counted from the beginning of the present turn, or, between turns,
    /// from [`Endpoint::connections`](crate::Endpoint::connections). It wakes the loop, is counted in
    /// [`Endpoint::next_timeout`](crate::Endpoint::next_timeout) and runs within the turn's budget, at least one in each
    /// turn; one that it sets itself runs in the next turn at the earliest.
    ///
    /// A timer keeps no loop alive: [`Endpoint::run`](crate::Endpoint::run) ends with the last server and client, and what
    /// waits then runs no more.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ws_server_mio::{CloseCode, Connections, Event, Timer};
    ///
    /// fn handle(connections: &mut Connections, event: Event<'_>) {
    ///     match event {
    ///         // Who has said nothing within ten seconds goes.
    ///         Event::Open(id, _) => {
    ///             let close = move |connections: &mut Connections| {
    ///                 let _ = connections.close(id, CloseCode::POLICY, "say who you are");
    ///             };
    ///             if let Ok(timer) = connections.after(Duration::from_secs(10), close) {
    ///                 connections.set_data(id, timer);
    ///             }
    ///         }
    ///         Event::Message(id, _) => {
    ///             if let Some(timer) = connections.take_data::<Timer>(id) {
    ///                 timer.cancel(connections);
    ///             }
    ///         }
    ///         _ => {}
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// [`TooManyTimers`]: as many wait as [`Options::max_timers`](crate::Options::max_timers) allows.
    pub fn after(
        &mut self,
        duration: Duration,
        job: impl FnOnce(&mut Connections) + Send + 'static,
    ) -> Result<Timer, TooManyTimers> {
        let alarms = &mut self.alarms;
        if alarms.waiting.len() >= alarms.limit {
            return Err(TooManyTimers { limit: alarms.limit });
        }
        let timer = Timer { at: self.now + duration, number: alarms.count };
        alarms.count += 1;
        alarms.waiting.insert(timer, Box::new(job));
        Ok(timer)
    }
}
