//! The machine slept: finding out from its two clocks.
//!
//! In sleep the monotonic clock of most systems stands still while the wall clock goes on (on Windows both go
//! on, and deadlines have passed instead). Sockets look open afterwards, and their peers may be long gone: whoever
//! finds out tells each connection by [`Connection::handle_resume`](crate::Connection::handle_resume).
//!
//! Who compares the clocks has read the time of day, and so keeps each [`WallClock`] set, from which `Date` is written.

use crate::wall_clock::WallClock;
use core::time::Duration;
use std::time::{Instant, SystemTime};

/// The clocks are compared so often, and no more.
const COMPARE: Duration = Duration::from_secs(1);
/// A wall clock that is set right jumps by less.
const SLEEP: Duration = Duration::from_secs(5);

/// Compares the monotonic clock with the wall clock, and keeps the time of day set.
///
/// ```
/// use std::time::{Duration, Instant, SystemTime};
/// use ws_proto::sleep::SleepDetector;
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
    /// # use ws_proto::{WallClock, sleep::SleepDetector};
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
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn kept_clocks_follow_the_wall_clock_forwards_and_back() {
        let (now, day) = (Instant::now(), UNIX_EPOCH + 86_400 * SECOND);
        let mut detector = SleepDetector::new(now, day);
        let (one, other) = (WallClock::new(UNIX_EPOCH), WallClock::new(UNIX_EPOCH));
        detector.keep(&one);
        detector.keep(&other);
        assert_eq!((one.get(), other.get()), (Some(day), Some(day)), "at once");
        for (after, wall) in [(1, day + 7200 * SECOND), (2, day - 7200 * SECOND), (3, day)] {
            detector
                .slept(now + after * SECOND - Duration::from_nanos(1), || panic!("it was read a moment ago"));
            detector.slept(now + after * SECOND, || wall);
            assert_eq!((one.get(), other.get()), (Some(wall), Some(wall)));
        }
        // What HTTP has no way to write.
        detector.slept(now + 4 * SECOND, || UNIX_EPOCH - SECOND);
        assert_eq!(one.get(), None);
        detector.slept(now + 5 * SECOND, || day);
        assert_eq!(one.get(), Some(day));
    }

    #[test]
    fn a_clock_is_kept_once_and_let_go_when_nobody_else_has_it() {
        let (now, wall) = (Instant::now(), UNIX_EPOCH);
        let mut detector = SleepDetector::new(now, wall);
        let clock = WallClock::new(wall);
        detector.keep(&clock);
        detector.keep(&clock.clone());
        detector.keep(&WallClock::new(wall));
        assert_eq!(detector.kept.len(), 2);
        detector.slept(now + SECOND, || wall);
        assert_eq!(detector.kept.len(), 1);
        drop(clock);
        detector.slept(now + 2 * SECOND, || wall);
        assert!(detector.kept.is_empty());
    }
}
