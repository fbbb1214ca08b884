//! Deadlines: a lazily cleaned heap.
//!
//! A connection has at most one current deadline, kept in its slot as `armed`. Moving it later
//! costs nothing here: the entry stays, fires early, and the connection is armed again. Only an earlier
//! deadline adds an entry, which makes the older one stale.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;
use ws_proto::Moment;

/// Stands for no timer: about 34 years after the start.
pub(crate) const NEVER: u64 = (1 << 40) - 1;
const NANOS_PER_TICK: u64 = 1_000_000;
pub(crate) const SLOT_BITS: u32 = 24;

/// A timer in eight bytes: a tick of 40 bits, and a slot of 24. It needs no generation: if a later connection in
/// the slot is armed for the same tick, the old timer has the effect of that connection's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry(u64);

impl Entry {
    pub(crate) fn new(tick: u64, slot: u32) -> Self {
        Self(tick << SLOT_BITS | u64::from(slot))
    }

    pub(crate) fn tick(self) -> u64 {
        self.0 >> SLOT_BITS
    }

    pub(crate) fn slot(self) -> u32 {
        self.0 as u32 & ((1 << SLOT_BITS) - 1)
    }
}

pub(crate) struct Deadlines {
    start: Moment,
    now: Moment,
    /// The current time in milliseconds since the start, rounded down.
    tick: u64,
    heap: BinaryHeap<Reverse<Entry>>,
}

impl Deadlines {
    pub(crate) fn new(start: Moment) -> Self {
        Self { start, now: start, tick: 0, heap: BinaryHeap::new() }
    }

    /// A deadline in milliseconds since the start, rounded up: never early.
    #[inline]
    pub(crate) fn tick_of(&self, deadline: Moment) -> u64 {
        let nanos = deadline.as_nanos().saturating_sub(self.start.as_nanos());
        nanos.div_ceil(NANOS_PER_TICK).min(NEVER)
    }

    /// A turn begins.
    pub(crate) fn set_now(&mut self, now: Moment) {
        self.now = now;
        self.tick = now.as_nanos().saturating_sub(self.start.as_nanos()) / NANOS_PER_TICK;
    }

    /// The beginning of the turn.
    pub(crate) fn now(&self) -> Moment {
        self.now
    }

    /// The same, as a tick.
    pub(crate) fn tick(&self) -> u64 {
        self.tick
    }

    /// The time from the beginning of the last turn to the next timer.
    pub(crate) fn wait(&self) -> Option<Duration> {
        Some(Duration::from_millis(self.first()?.tick().saturating_sub(self.tick)))
    }

    /// The time from now to the next timer.
    pub(crate) fn wait_from(&self, now: Moment) -> Option<Duration> {
        let at = self.start + Duration::from_millis(self.first()?.tick());
        Some(at.since(now))
    }

    /// Whether a timer was due when the turn began.
    #[inline]
    pub(crate) fn has_work(&self) -> bool {
        self.first().is_some_and(|first| first.tick() <= self.tick)
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

    /// Removes stale entries if they are the majority; at most `live` entries are current.
    pub(crate) fn clean(&mut self, live: usize, is_live: impl Fn(Entry) -> bool) {
        if self.heap.len() > 2 * live + 64 {
            self.heap.retain(|Reverse(entry)| is_live(*entry));
            self.heap.shrink_to(2 * live + 64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_never_early() {
        let start = Moment::default();
        let mut deadlines = Deadlines::new(start);
        let deadline = start + Duration::from_micros(1500);
        assert_eq!(deadlines.tick_of(deadline), 2);
        deadlines.set_now(deadline);
        assert_eq!(deadlines.tick(), 1);
        deadlines.push(Entry::new(2, 0));
        assert_eq!(deadlines.wait(), Some(Duration::from_millis(1)));
        assert_eq!(deadlines.wait_from(deadline), Some(Duration::from_micros(500)));
        assert_eq!(deadlines.wait_from(start + Duration::from_secs(1)), Some(Duration::ZERO));
    }

    #[test]
    fn an_entry_keeps_its_two_parts() {
        let entry = Entry::new(NEVER, (1 << SLOT_BITS) - 1);
        assert_eq!((entry.tick(), entry.slot()), (NEVER, (1 << SLOT_BITS) - 1));
        assert!(Entry::new(1, 500) < Entry::new(2, 3));
    }

    #[test]
    fn stale_entries_are_cleaned_when_they_outnumber_the_live() {
        let mut deadlines = Deadlines::new(Moment::default());
        for tick in 0..1000 {
            deadlines.push(Entry::new(tick, 7));
        }
        deadlines.clean(1, |entry: Entry| entry.tick() == 999);
        assert_eq!(deadlines.heap.len(), 1);
        assert_eq!(deadlines.first(), Some(Entry::new(999, 7)));
    }
}
