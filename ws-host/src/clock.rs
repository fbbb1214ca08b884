//! The clock that all connections of a process share.

use std::sync::LazyLock;
use std::time::Instant;
use std::time::SystemTime;
use ws_proto::Clock;

/// A [`Clock`] that counts from the first call in this process.
///
/// Owners of sockets that use it may share a [`Memory`](ws_proto::Memory), whatever the runtime: their moments share one
/// origin. An [`Instant`] from before the first call is the origin itself.
///
/// ```
/// use std::time::{Duration, Instant};
/// use ws_host::clock;
///
/// let clock = clock::of_process();
/// let now = clock.moment(Instant::now());
/// assert_eq!(clock::of_process(), clock);
/// assert!(now < now + Duration::from_nanos(1));
/// ```
pub fn of_process() -> Clock {
    static CLOCK: LazyLock<Clock> = LazyLock::new(|| Clock::new(Instant::now()));
    *CLOCK
}

/// The time of day, for the validity of certificates and the age of files.
pub(crate) fn time_of_day() -> SystemTime {
    SystemTime::now()
}
