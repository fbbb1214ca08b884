//! The time of day, which only the owner of a clock knows.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use core::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

/// The time of day as the owner of a clock last set it; clones share it.
///
/// A server writes its `Date` from it (RFC 9110 §6.6.1). The owner of the sockets keeps it set, at least once a second
/// while answers go out, as `SleepDetector::attach` of `ws-host` does; the engine reads no clock. The adapters keep the
/// clock of every server set, including one that the application provided: a time that the application sets lasts for a
/// second at most.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use ws_proto::{Config, WallClock};
///
/// let clock = WallClock::new(SystemTime::now());
/// let config = Config::server().wall_clock(clock.clone());
/// // later, as time passes, or after the system clock was set
/// clock.set(SystemTime::now() - Duration::from_secs(3600));
/// ```
#[derive(Clone, Debug)]
pub struct WallClock(Arc<AtomicU64>);

impl WallClock {
    /// A clock that shows this time.
    pub fn new(now: SystemTime) -> Self {
        Self(Arc::new(AtomicU64::new(seconds(now))))
    }

    /// Sets the time.
    pub fn set(&self, now: SystemTime) {
        self.0.store(seconds(now), Relaxed);
    }

    /// The time that was set last, in whole seconds; `None` where HTTP cannot express it, before 1970 and after 9999.
    pub fn get(&self) -> Option<SystemTime> {
        match self.0.load(Relaxed) {
            UNKNOWN => None,
            seconds => UNIX_EPOCH.checked_add(Duration::from_secs(seconds)),
        }
    }

    /// Whether both are clones of the same clock.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether there are clones.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

const UNKNOWN: u64 = u64::MAX;
/// The end of the year 9999.
const END: u64 = 253_402_300_800;

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs()).filter(|s| *s < END).unwrap_or(UNKNOWN)
}
