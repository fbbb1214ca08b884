//! How the owner of a connection treats it: how it reads and writes, and when.

use super::rng::Rng;
use std::time::Duration;

/// How an owner treats its connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// It does what `poll_io` says, so it never reads while something is to be written.
    pub(crate) one_at_a_time: bool,
    pub(crate) read_most: usize,
    pub(crate) write_most: usize,
    /// It reads no more than so many bytes a second.
    pub(crate) read_rate: Option<u32>,
    /// Its timers are late by this.
    pub(crate) late: Duration,
    /// It reads what is there before it judges a deadline.
    pub(crate) reads_first: bool,
    /// It takes the memory of an empty outbox back, and lends it again.
    pub(crate) lends: bool,
    /// It does not always ask for events at once.
    pub(crate) is_lazy: bool,
    /// Its handlers take up to this long for an event.
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

    /// Of an owner that does all it can at once, as a loop over sockets does.
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

    /// The most that one message should have, so that it takes some dozen steps and not thousands.
    pub(crate) fn fair_length(&self) -> usize {
        self.read_most.min(self.write_most) * 50
    }

    /// Reads and writes what there is.
    pub(crate) fn be_brisk(&mut self) {
        (self.read_most, self.write_most, self.read_rate) = (1 << 20, 1 << 20, None);
        self.one_at_a_time = false;
    }
}
