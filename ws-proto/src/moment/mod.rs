//! The time that the engine receives.

#[cfg(test)]
mod tests_moment;

use core::fmt;
use core::ops::{Add, AddAssign, Sub, SubAssign};
use core::time::Duration;
use std::time::Instant;

/// A point in time: whole nanoseconds since an origin that the owner of the connections chooses.
///
/// The engine reads no clock. Every call that may make something due takes `now`, from a monotonic clock:
/// that of the operating system ([`Clock`] converts its [`Instant`]s), of a game, of a simulation, of a timer chip.
/// Moments compare only with moments of the same origin, so use one origin for all connections that share a
/// [`Memory`](crate::Memory); adapters use one for a whole process.
///
/// Arithmetic saturates, at the origin and at the end of the range, 584 years later.
///
/// ```
/// use std::time::Duration;
/// use ws_proto::Moment;
///
/// let start = Moment::from_nanos(5_000_000); // 5 ms after the origin
/// let later = start + Duration::from_secs(2);
/// assert!(start < later);
/// assert_eq!(later.since(start), Duration::from_secs(2));
/// assert_eq!(start.since(later), Duration::ZERO);
/// assert_eq!(later - Duration::from_secs(60), Moment::default()); // the origin
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The end of the range: nothing becomes due then.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// This many nanoseconds after the origin.
    #[inline]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    #[inline]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to this; zero if `earlier` is the later one.
    #[inline]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The moment `duration` later; `None` where that is the end of the range, at which nothing becomes due.
    #[inline]
    pub fn checked_add(self, duration: Duration) -> Option<Self> {
        Some(self + duration).filter(|moment| *moment != Self::NEVER)
    }
}

/// More than 584 years are clamped.
#[inline]
fn nanos(duration: Duration) -> u64 {
    let nanos = u64::from(duration.subsec_nanos());
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// Saturates at the end of the range.
impl Add<Duration> for Moment {
    type Output = Self;

    #[inline]
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

/// Saturates at the end of the range.
impl AddAssign<Duration> for Moment {
    #[inline]
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

/// Saturates at the origin.
impl Sub<Duration> for Moment {
    type Output = Self;

    #[inline]
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }
}

/// Saturates at the origin.
impl SubAssign<Duration> for Moment {
    #[inline]
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

/// As [`since`](Moment::since).
impl Sub for Moment {
    type Output = Duration;

    #[inline]
    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

/// The time since the origin, as a [`Duration`].
impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Moment({:?})", Duration::from_nanos(self.0))
    }
}

/// Converts [`Instant`]s to [`Moment`]s and back. It reads no clock: it only stores the origin.
///
/// ```
/// use std::time::{Duration, Instant};
/// use ws_proto::{Clock, Moment};
///
/// let origin = Instant::now(); // once, when the program begins
/// let clock = Clock::new(origin);
///
/// let instant = origin + Duration::from_millis(20);
/// let now = clock.moment(instant); // for the engine
/// assert_eq!(now, Moment::default() + Duration::from_millis(20));
/// assert_eq!(clock.instant(now), Some(instant)); // for a timer
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock whose moments count from `origin`. Choose one that is not later than any `now`.
    pub const fn new(origin: Instant) -> Self {
        Self { origin }
    }

    /// The moment of an instant; the origin for an earlier one.
    #[inline]
    pub fn moment(&self, instant: Instant) -> Moment {
        Moment(nanos(instant.saturating_duration_since(self.origin)))
    }

    /// The instant of a moment; `None` if the system's clock cannot represent it.
    #[inline]
    pub fn instant(&self, moment: Moment) -> Option<Instant> {
        self.origin.checked_add(Duration::from_nanos(moment.0))
    }
}
