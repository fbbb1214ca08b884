//! The time of this process, as the engine counts it: connections of several servers may share a memory.

use async_io::Timer;
use std::sync::LazyLock;
use std::time::Instant;
use ws_proto::{Clock, Moment};

static CLOCK: LazyLock<Clock> = LazyLock::new(|| Clock::new(Instant::now()));

#[inline]
pub(crate) fn now() -> Moment {
    CLOCK.moment(Instant::now())
}

#[inline]
pub(crate) fn moment(instant: Instant) -> Moment {
    CLOCK.moment(instant)
}

/// Has a timer fire then; `None` is never.
pub(crate) fn set(timer: &mut Timer, at: Option<Moment>) {
    match at.and_then(|at| CLOCK.instant(at)) {
        Some(at) => timer.set_at(at),
        None => *timer = Timer::never(),
    }
}
