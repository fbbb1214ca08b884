//! The machine slept: finding out from its two clocks.
//!
//! In sleep the monotonic clock of most systems stands still while the wall clock goes on (on Windows both go
//! on, and deadlines have passed instead). Sockets look open afterwards, and their peers may be long gone: whoever
//! finds out tells each connection by [`Connection::handle_resume`](ws_proto::Connection::handle_resume).
//!
//! Who compares the clocks has read the time of day, and so keeps each [`WallClock`] set, from which `Date` is written.

use core::time::Duration;
use std::time::{Instant, SystemTime};
use ws_proto::WallClock;

/// The clocks are compared so often, and no more.
const COMPARE: Duration = Duration::from_secs(1);
/// A wall clock that is set right jumps by less.
const SLEEP: Duration = Duration::from_secs(5);

/// Compares the monotonic clock with the wall clock, and keeps the time of day set.
///
/// ```
/// use std::time::{Duration, Instant, SystemTime};
/// use ws_host::sleep::SleepDetector;
///
/// let (now, wall) = (Instant::now(), SystemTime::now());
/// let mut detector = SleepDetector::new(now, wall);
/// let second = Duration::from_secs(1);
/// assert_eq!(detector.slept(now + second, || wall + second), None);
/// assert_eq!(detector.slept(now + 2 * second, || wall + 62 * second), Some(60 * second));
/// ```
#[derive(Debug)]
pub struct SleepDetector {
    compared: (Instant, SystemTime),
    kept: Vec<WallClock>,
}

impl SleepDetector {
    /// Begins to compare.
    pub fn new(now: Instant, wall: SystemTime) -> Self {
        Self { compared: (now, wall), kept: Vec::new() }
    }

    /// Sets this clock to the wall clock as it was last read, and again whenever that is read, for as long as anybody
    /// else has a clone.
    ///
    /// ```
    /// # use std::time::{Duration, Instant, SystemTime};
    /// # use ws_proto::WallClock;
    /// # use ws_host::sleep::SleepDetector;
    /// let (now, wall) = (Instant::now(), SystemTime::UNIX_EPOCH);
    /// let (mut detector, second) = (SleepDetector::new(now, wall), Duration::from_secs(1));
    /// let clock = WallClock::new(wall);
    /// detector.keep(&clock);
    /// detector.slept(now + second, || wall + 3600 * second);
    /// assert_eq!(clock.get(), Some(wall + 3600 * second));
    /// ```
    pub fn keep(&mut self, clock: &WallClock) {
        clock.set(self.compared.1);
        if !self.kept.iter().any(|kept| kept.is(clock)) {
            // Those of servers that have stopped since the clocks were compared.
            self.kept.retain(WallClock::is_shared);
            self.kept.push(clock.clone());
        }
    }

    /// How long the machine slept, if it did since this was last asked. The wall clock is read once a second at most;
    /// asked before answers are given, their `Date` is right to a second however long nothing happened.
    #[inline]
    pub fn slept(&mut self, now: Instant, wall: impl FnOnce() -> SystemTime) -> Option<Duration> {
        let awake = now.saturating_duration_since(self.compared.0);
        if awake < COMPARE { None } else { self.compare(now, awake, wall()) }
    }

    #[cold]
    fn compare(&mut self, now: Instant, awake: Duration, wall: SystemTime) -> Option<Duration> {
        let (_, before) = core::mem::replace(&mut self.compared, (now, wall));
        self.kept.retain(|clock| {
            clock.set(wall);
            clock.is_shared()
        });
        // A wall clock that was set back tells nothing.
        let slept = wall.duration_since(before).ok()?.saturating_sub(awake);
        (slept >= SLEEP).then_some(slept)
    }
}

#[cfg(test)]
#[path = "tests_sleep.rs"]
mod tests;
