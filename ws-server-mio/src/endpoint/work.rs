//! The kinds of work of a turn, and which of them goes first.
//!
//! A turn does each kind in its order, as long as it has time. If the time runs out, the next turn begins with the kind
//! after the one that used it up, and goes around the circle:
//!
//! ```text
//!  the time suffices:     Writes Notices … Reads Files … Timers │ the rest of the turn
//!  it runs out in Reads:  Writes Notices … Reads
//!  the next turn:         Files … Timers Writes Notices … Reads │ the rest of the turn
//!                                                         └─ now last
//! ```
//!
//! So a kind without end gets all the time that the others leave. If `n` kinds have no end, each kind gets its turn
//! within `n` turns, however short they are: the first kind that has work does at least one unit of it. Within a kind,
//! the work that has waited longest goes first. A turn that a panic ends counts as one that ran out of time.

/// A kind of work. The clock is read after each unit of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Connections with output or pending events.
    Writes,
    /// Events of clients.
    Notices,
    /// Clients that are due.
    Clients,
    /// Closures from other threads.
    Jobs,
    /// Servers that are stopping, and the events of servers.
    Servers,
    /// New connections.
    Accepts,
    /// A connection that used up its share of inflating, and precedes all others.
    Inflating,
    /// Connections with input, and then those that used up their share.
    Reads,
    /// Files being sent.
    Files,
    /// Deadlines of connections.
    Deadlines,
    /// Timers of the application.
    Timers,
}

const ORDER: [Work; 11] = [
    Work::Writes,
    Work::Notices,
    Work::Clients,
    Work::Jobs,
    Work::Servers,
    Work::Accepts,
    Work::Inflating,
    Work::Reads,
    Work::Files,
    Work::Deadlines,
    Work::Timers,
];

impl Work {
    /// What a turn begins with if the last one did not run out of time.
    pub(crate) const FIRST: Self = Self::Writes;

    /// The kind after it, around the circle.
    #[inline]
    pub(crate) fn next(self) -> Self {
        ORDER[(self as usize + 1) % ORDER.len()]
    }

    #[inline]
    fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// The kinds of work that may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kinds(u16);

impl Kinds {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const ALL: Self = Self((1 << ORDER.len()) - 1);

    /// This kind and those after it in the order.
    #[inline]
    pub(crate) fn from(first: Work) -> Self {
        Self(Self::ALL.0 & !(first.bit() - 1))
    }

    /// The kinds before this one in the order.
    #[inline]
    pub(crate) fn before(first: Work) -> Self {
        Self(first.bit() - 1)
    }

    #[inline]
    pub(crate) fn has(self, work: Work) -> bool {
        self.0 & work.bit() != 0
    }

    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self == Self::NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_laps_of_a_turn_cover_each_kind_once() {
        for first in ORDER {
            for work in ORDER {
                assert_ne!(Kinds::from(first).has(work), Kinds::before(first).has(work));
            }
            assert!(Kinds::from(first).has(first));
        }
        assert_eq!(Kinds::from(Work::FIRST), Kinds::ALL);
        assert!(Kinds::before(Work::FIRST).is_empty());
    }

    #[test]
    fn the_next_kind_goes_around_the_circle() {
        let mut work = Work::FIRST;
        for expected in ORDER {
            assert_eq!(work, expected);
            work = work.next();
        }
        assert_eq!(work, Work::FIRST);
    }
}
