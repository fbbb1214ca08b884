//! The machine slept: finding out, and asking every peer whether it is still there.
//!
//! In sleep the monotonic clock of most systems stands still while the wall clock goes on (on Windows both go
//! on, and deadlines have passed instead). Sockets look open afterwards, and their peers may be long gone.

use crate::connections::{Connections, arm, lend, touch};
use crate::options::{Clock, WallClock};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// The clocks are compared so often, and no more.
const COMPARE: Duration = Duration::from_secs(1);
/// A wall clock that is set right jumps by less.
const SLEEP: Duration = Duration::from_secs(5);

/// Compares the two clocks.
pub(crate) struct Sleep {
    wall: WallClock,
    compared: (Instant, SystemTime),
}

impl Sleep {
    pub(crate) fn new(clock: &Clock, wall: WallClock) -> Self {
        let compared = (clock.now(), wall.now());
        Self { wall, compared }
    }

    /// How long the machine slept, if it did since this was last asked. Mostly it is too soon to look.
    #[inline]
    pub(crate) fn slept(&mut self, now: Instant) -> Option<(Duration, SystemTime)> {
        let awake = now.saturating_duration_since(self.compared.0);
        if awake < COMPARE { None } else { self.compare(now, awake) }
    }

    #[cold]
    fn compare(&mut self, now: Instant, awake: Duration) -> Option<(Duration, SystemTime)> {
        let wall = self.wall.now();
        let (_, before) = std::mem::replace(&mut self.compared, (now, wall));
        // A wall clock that was set back tells nothing.
        let slept = wall.duration_since(before).ok()?.saturating_sub(awake);
        (slept >= SLEEP).then_some((slept, wall))
    }
}

impl Connections {
    /// The machine slept: heartbeats are due at once.
    pub(crate) fn resume(&mut self, wall: SystemTime) {
        let Self { slots, servers, pool, timers, touched, now, .. } = self;
        for (slot, live) in slots.iter_mut() {
            lend(live, pool);
            live.connection.handle_resume(*now);
            arm(slot, live, timers);
            touch(slot, live, touched);
        }
        // The `Date` of answers is reckoned from the monotonic clock.
        for server in servers.iter_mut() {
            Arc::make_mut(&mut server.config).date = Some((*now, wall));
        }
        self.resume_clients();
    }
}
