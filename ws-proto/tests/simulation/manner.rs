//! How the owner of a connection drives it: how it reads and writes, and when.

use super::rng::Rng;
use std::time::Duration;

/// How an owner drives its connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// It follows `poll_io`, so it never reads while output is pending.
    pub(crate) one_at_a_time: bool,
    pub(crate) read_most: usize,
    pub(crate) write_most: usize,
    /// Its read rate in bytes a second.
    pub(crate) read_rate: Option<u32>,
    /// The delay of its timers.
    pub(crate) late: Duration,
    /// It reads available input before handling a deadline.
    pub(crate) reads_first: bool,
    /// It detaches the buffer of an empty outbox, and attaches it again.
    pub(crate) lends: bool,
    /// It does not always poll for events immediately.
    pub(crate) is_lazy: bool,
    /// The longest time its handlers take for an event.
    pub(crate) handling: Duration,
}

impl Manner {
    pub(crate) fn any(rng: &mut Rng) -> Self {
        Self {
            one_at_a_time: rng.percent(10),
            read_most: rng.pick(&[1, 10, 1000, 16 << 10, 1 << 20]),
            write_most: rng.pick(&[1, 100, 5000, 1 << 20]),
            read_rate: if rng.percent(80) { None } else { Some(rng.pick(&[10_000, 40_000])) },
            late: if rng.percent(80) { Duration::ZERO } else { rng.time(Duration::from_secs(2)) },
            reads_first: rng.percent(50),
            lends: rng.percent(30),
            is_lazy: rng.percent(30),
            handling: Duration::ZERO,
        }
    }

    /// An owner that acts without delay, like a loop over sockets.
    pub(crate) fn steady(rng: &mut Rng) -> Self {
        Self {
            one_at_a_time: false,
            read_most: rng.pick(&[1000, 16 << 10, 1 << 20]),
            write_most: rng.pick(&[5000, 1 << 20]),
            reads_first: true,
            is_lazy: false,
            ..Self::any(rng)
        }
    }

    /// The longest reasonable message, so that it takes dozens of steps and not thousands.
    pub(crate) fn fair_length(&self) -> usize {
        self.read_most.min(self.write_most) * 50
    }

    /// Reads and writes everything available.
    pub(crate) fn be_brisk(&mut self) {
        (self.read_most, self.write_most, self.read_rate) = (1 << 20, 1 << 20, None);
        self.one_at_a_time = false;
    }
}
