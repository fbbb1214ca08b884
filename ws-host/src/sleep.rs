//! Detecting that the machine slept, from its two clocks.
//!
//! During sleep, the monotonic clock of most systems stops while the wall clock continues (on Windows both continue,
//! and deadlines have passed instead). Sockets look open afterwards, and their peers may be long gone: the owner
//! notifies each connection with [`Connection::handle_resume`](ws_proto::Connection::handle_resume).
//!
//! Comparing the clocks reads the time of day, so the detector also keeps each [`WallClock`] set, the source of `Date`.

use core::time::Duration;
use std::time::SystemTime;
use ws_proto::{Moment, WallClock};

/// The clocks are compared at most this often.
const COMPARE: Duration = Duration::from_secs(1);
/// A smaller jump of the wall clock is a clock correction.
const SLEEP: Duration = Duration::from_secs(5);

/// Compares the monotonic clock with the wall clock, and keeps the time of day set.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use ws_host::sleep::SleepDetector;
/// use ws_proto::Moment;
///
/// let (now, wall) = (Moment::default(), SystemTime::now());
/// let mut detector = SleepDetector::new(now, wall);
/// let second = Duration::from_secs(1);
/// assert_eq!(detector.slept(now + second, || wall + second), None);
/// assert_eq!(detector.slept(now + 2 * second, || wall + 62 * second), Some(60 * second));
/// ```
#[derive(Debug)]
pub struct SleepDetector {
    compared: (Moment, SystemTime),
    kept: Vec<WallClock>,
}

impl SleepDetector {
    /// Starts from these readings of both clocks.
    pub fn new(now: Moment, wall: SystemTime) -> Self {
        Self { compared: (now, wall), kept: Vec::new() }
    }

    /// Sets this clock to the last reading of the wall clock, and again at each reading while another clone of it
    /// exists.
    ///
    /// ```
    /// # use std::time::{Duration, Instant, SystemTime};
    /// # use ws_proto::{Moment, WallClock};
    /// # use ws_host::sleep::SleepDetector;
    /// let (now, wall) = (Moment::default(), SystemTime::UNIX_EPOCH);
    /// let (mut detector, second) = (SleepDetector::new(now, wall), Duration::from_secs(1));
    /// let clock = WallClock::new(wall);
    /// detector.attach(&clock);
    /// detector.slept(now + second, || wall + 3600 * second);
    /// assert_eq!(clock.get(), Some(wall + 3600 * second));
    /// ```
    pub fn attach(&mut self, clock: &WallClock) {
        clock.set(self.compared.1);
        if !self.kept.iter().any(|kept| kept.is(clock)) {
            // Servers may have stopped since the clocks were compared.
            self.kept.retain(WallClock::is_shared);
            self.kept.push(clock.clone());
        }
    }

    /// How long the machine slept since the last call, if it did. It reads the wall clock at most once a second. A call
    /// before each batch of answers keeps their `Date` accurate to a second, however long the owner was idle.
    #[inline]
    pub fn slept(&mut self, now: Moment, wall: impl FnOnce() -> SystemTime) -> Option<Duration> {
        let awake = now.since(self.compared.0);
        if awake < COMPARE { None } else { self.compare(now, awake, wall()) }
    }

    #[cold]
    fn compare(&mut self, now: Moment, awake: Duration, wall: SystemTime) -> Option<Duration> {
        let (_, before) = core::mem::replace(&mut self.compared, (now, wall));
        self.kept.retain(|clock| {
            clock.set(wall);
            clock.is_shared()
        });
        // Setting the wall clock back does not indicate sleep.
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
        let (now, day) = (Moment::default(), UNIX_EPOCH + 86_400 * SECOND);
        let mut detector = SleepDetector::new(now, day);
        let (one, other) = (WallClock::new(UNIX_EPOCH), WallClock::new(UNIX_EPOCH));
        detector.attach(&one);
        detector.attach(&other);
        assert_eq!((one.get(), other.get()), (Some(day), Some(day)), "at once");
        for (after, wall) in [(1, day + 7200 * SECOND), (2, day - 7200 * SECOND), (3, day)] {
            detector
                .slept(now + after * SECOND - Duration::from_nanos(1), || panic!("it was read a moment ago"));
            detector.slept(now + after * SECOND, || wall);
            assert_eq!((one.get(), other.get()), (Some(wall), Some(wall)));
        }
        // A time that HTTP cannot write.
        detector.slept(now + 4 * SECOND, || UNIX_EPOCH - SECOND);
        assert_eq!(one.get(), None);
        detector.slept(now + 5 * SECOND, || day);
        assert_eq!(one.get(), Some(day));
    }

    #[test]
    fn a_clock_is_kept_once_and_released_with_its_last_clone() {
        let (now, wall) = (Moment::default(), UNIX_EPOCH);
        let mut detector = SleepDetector::new(now, wall);
        let clock = WallClock::new(wall);
        detector.attach(&clock);
        detector.attach(&clock.clone());
        detector.attach(&WallClock::new(wall));
        assert_eq!(detector.kept.len(), 2);
        detector.slept(now + SECOND, || wall);
        assert_eq!(detector.kept.len(), 1);
        drop(clock);
        detector.slept(now + 2 * SECOND, || wall);
        assert!(detector.kept.is_empty());
    }
}
