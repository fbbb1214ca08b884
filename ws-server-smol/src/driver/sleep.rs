//! The machine slept: the first connection of a server that notices wakes all of them.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError};
use std::time::{Instant, SystemTime};
use ws_host::sleep::SleepDetector;
use ws_proto::{Config, WallClock};

/// Both clocks, for tests.
pub(crate) type Clocks = Arc<dyn Fn() -> (Instant, SystemTime) + Send + Sync>;

/// What the connections of a server share, and other connections have for themselves.
pub(crate) struct Sleep {
    detector: Mutex<SleepDetector>,
    clocks: Option<Clocks>,
    /// How often the machine slept.
    times: AtomicU32,
    /// Wakes the other connections.
    alarm: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Sleep {
    pub(crate) fn new(clocks: Option<Clocks>) -> Self {
        let (now, wall) = match &clocks {
            Some(clocks) => clocks(),
            None => (Instant::now(), SystemTime::now()),
        };
        Self {
            detector: Mutex::new(SleepDetector::new(now, wall)),
            clocks,
            times: AtomicU32::new(0),
            alarm: OnceLock::new(),
        }
    }

    /// For a connection without a server, whose time of day it keeps set, where there is one.
    pub(crate) fn of(config: &Config) -> Self {
        let sleep = Self::new(None);
        if let Some(clock) = config.get_wall_clock() {
            sleep.keep(clock);
        }
        sleep
    }

    /// Sets what wakes the others; once.
    pub(crate) fn set_alarm(&self, alarm: impl Fn() + Send + Sync + 'static) {
        let _ = self.alarm.set(Box::new(alarm));
    }

    /// How often the machine has slept by now.
    pub(crate) fn times(&self) -> u32 {
        self.times.load(Relaxed)
    }

    /// Keeps this time of day set.
    pub(crate) fn keep(&self, clock: &WallClock) {
        self.detector.lock().unwrap_or_else(PoisonError::into_inner).keep(clock);
    }

    /// Compares the clocks, and so sets the time of day, before anything is answered. A caller that finds out wakes the
    /// others, and so must hold no lock of a connection.
    pub(crate) fn look(&self, now: Instant) {
        // Where it is locked, somebody else looks already.
        let mut detector = match self.detector.try_lock() {
            Ok(detector) => detector,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let slept = match &self.clocks {
            Some(clocks) => {
                let (now, wall) = clocks();
                detector.slept(now, || wall)
            }
            None => detector.slept(now, SystemTime::now),
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
