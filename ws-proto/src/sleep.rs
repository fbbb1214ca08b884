//! The machine slept: finding out from its two clocks.
//!
//! In sleep the monotonic clock of most systems stands still while the wall clock goes on (on Windows both go
//! on, and deadlines have passed instead). Sockets look open afterwards, and their peers may be long gone: whoever
//! finds out tells each connection by [`Connection::handle_resume`](crate::Connection::handle_resume).

use core::time::Duration;
use std::time::{Instant, SystemTime};

/// The clocks are compared so often, and no more.
const COMPARE: Duration = Duration::from_secs(1);
/// A wall clock that is set right jumps by less.
const SLEEP: Duration = Duration::from_secs(5);

/// Compares the monotonic clock with the wall clock.
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
}

impl SleepDetector {
    /// Begins to compare.
    pub fn new(now: Instant, wall: SystemTime) -> Self {
        Self { compared: (now, wall) }
    }

    /// How long the machine slept, if it did since this was last asked. The wall clock is read once a second at most.
    #[inline]
    pub fn slept(&mut self, now: Instant, wall: impl FnOnce() -> SystemTime) -> Option<Duration> {
        let awake = now.saturating_duration_since(self.compared.0);
        if awake < COMPARE { None } else { self.compare(now, awake, wall()) }
    }

    #[cold]
    fn compare(&mut self, now: Instant, awake: Duration, wall: SystemTime) -> Option<Duration> {
        let (_, before) = core::mem::replace(&mut self.compared, (now, wall));
        // A wall clock that was set back tells nothing.
        let slept = wall.duration_since(before).ok()?.saturating_sub(awake);
        (slept >= SLEEP).then_some(slept)
    }
}
