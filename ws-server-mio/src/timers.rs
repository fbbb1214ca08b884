//! Deadlines: a heap that is cleaned lazily.
//!
//! A connection has at most one deadline that counts, kept in its slot as `armed`. Moving it to a later time
//! costs nothing here: the entry stays, fires early, and the connection is armed anew. Only an earlier
//! deadline adds an entry, and the older one is stale from then on.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// One timer. The order is by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) at: u64,
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

pub(crate) struct Timers {
    birth: Instant,
    heap: BinaryHeap<Reverse<Entry>>,
}

impl Timers {
    pub(crate) fn new(birth: Instant) -> Self {
        Self { birth, heap: BinaryHeap::new() }
    }

    /// A deadline in milliseconds since the birth, rounded up: never early.
    #[inline]
    pub(crate) fn tick_of(&self, deadline: Instant) -> u64 {
        let since = deadline.saturating_duration_since(self.birth);
        since.as_secs() * 1000 + u64::from(since.subsec_nanos().div_ceil(1_000_000))
    }

    /// The present in milliseconds since the birth, rounded down.
    pub(crate) fn tick_at(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.birth);
        since.as_secs() * 1000 + u64::from(since.subsec_millis())
    }

    /// The time from `now` until a tick.
    pub(crate) fn until(&self, tick: u64, now: Instant) -> Duration {
        (self.birth + Duration::from_millis(tick)).saturating_duration_since(now)
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        self.heap.push(Reverse(entry));
    }

    pub(crate) fn first(&self) -> Option<Entry> {
        self.heap.peek().map(|Reverse(entry)| *entry)
    }

    pub(crate) fn pop(&mut self) {
        self.heap.pop();
    }

    /// Forgets stale entries when they are the larger part; `live` is how many there can be of the others.
    pub(crate) fn clean(&mut self, live: usize, is_live: impl Fn(&Entry) -> bool) {
        if self.heap.len() > 2 * live + 64 {
            self.heap.retain(|Reverse(entry)| is_live(entry));
            self.heap.shrink_to(2 * live + 64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_never_early() {
        let birth = Instant::now();
        let timers = Timers::new(birth);
        let deadline = birth + Duration::from_micros(1500);
        assert_eq!(timers.tick_of(deadline), 2);
        assert_eq!(timers.tick_at(deadline), 1);
        assert_eq!(timers.until(2, birth), Duration::from_millis(2));
        assert_eq!(timers.until(2, birth + Duration::from_secs(1)), Duration::ZERO);
    }

    #[test]
    fn stale_entries_are_cleaned_when_they_outnumber_the_live() {
        let mut timers = Timers::new(Instant::now());
        for at in 0..1000 {
            timers.push(Entry { at, slot: 0, generation: 0 });
        }
        timers.clean(1, |entry| entry.at == 999);
        assert_eq!(timers.heap.len(), 1);
        assert_eq!(timers.first(), Some(Entry { at: 999, slot: 0, generation: 0 }));
    }
}
