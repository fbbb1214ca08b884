//! System sleep: the first connection of a server that notices it wakes all of them.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError};
use std::time::{Instant, SystemTime};
use ws_host::sleep::SleepDetector;
use ws_proto::{Clock, Config, WallClock};

/// Both clocks, for tests.
pub(crate) type Clocks = Arc<dyn Fn() -> (Instant, SystemTime) + Send + Sync>;

/// Shared by the connections of a server; other connections have their own.
pub(crate) struct Sleep {
    detector: Mutex<SleepDetector>,
    /// Converts the times of the detector.
    clock: Clock,
    clocks: Option<Clocks>,
    /// How often the machine has slept.
    times: AtomicU32,
    /// Wakes all connections.
    alarm: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Sleep {
    pub(crate) fn new(clocks: Option<Clocks>) -> Self {
        let (now, wall) = match &clocks {
            Some(clocks) => clocks(),
            None => (Instant::now(), SystemTime::now()),
        };
        let clock = Clock::new(now);
        Self {
            detector: Mutex::new(SleepDetector::new(clock.moment(now), wall)),
            clock,
            clocks,
            times: AtomicU32::new(0),
            alarm: OnceLock::new(),
        }
    }

    /// For a connection without a server; keeps its wall clock set, if it has one.
    pub(crate) fn of(config: &Config) -> Self {
        let sleep = Self::new(None);
        if let Some(clock) = config.get_wall_clock() {
            sleep.attach(clock);
        }
        sleep
    }

    /// Sets what wakes all connections; once.
    pub(crate) fn set_alarm(&self, alarm: impl Fn() + Send + Sync + 'static) {
        let _ = self.alarm.set(Box::new(alarm));
    }

    /// Returns how often the machine has slept.
    pub(crate) fn times(&self) -> u32 {
        self.times.load(Relaxed)
    }

    /// Keeps this wall clock set.
    pub(crate) fn attach(&self, clock: &WallClock) {
        self.detector.lock().unwrap_or_else(PoisonError::into_inner).attach(clock);
    }

    /// Compares the clocks and updates the wall clock; call it before any response. The caller that detects a sleep
    /// wakes all connections, so it must not hold the lock of one.
    pub(crate) fn check(&self, now: Instant) {
        // If it is locked, another thread is already comparing.
        let mut detector = match self.detector.try_lock() {
            Ok(detector) => detector,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let slept = match &self.clocks {
            Some(clocks) => {
                let (now, wall) = clocks();
                detector.slept(self.clock.moment(now), || wall)
            }
            None => detector.slept(self.clock.moment(now), SystemTime::now),
        };
        drop(detector);
        if slept.is_some() {
            self.times.fetch_add(1, Relaxed);
            if let Some(alarm) = self.alarm.get() {
                alarm();
            }
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("times", &self.times()).finish_non_exhaustive()
    }
}
