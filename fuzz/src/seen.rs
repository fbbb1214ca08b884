//! The kinds of events that an input caused.

use core::fmt;
use ws_proto::Event;

/// The kinds of events that were emitted. The tests use it to check that the seeds reach all of them.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen(u16);

const NAMES: [&str; 9] =
    ["Request", "Upgrade", "Open", "Message", "Fragment", "Pong", "Drained", "Closed", "Body"];

impl Seen {
    pub(crate) fn record(&mut self, event: &Event<'_>) {
        let kind = match event {
            Event::Request(_) => 0,
            Event::Upgrade(_) => 1,
            Event::Open(_) => 2,
            Event::Message(_) => 3,
            Event::Fragment(_) => 4,
            Event::Pong(_) => 5,
            Event::Drained => 6,
            Event::Body(_) => 8,
            _ => 7,
        };
        self.0 |= 1 << kind;
    }

    /// The union of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The kinds, by name.
    pub fn kinds(self) -> impl Iterator<Item = &'static str> {
        NAMES.iter().enumerate().filter(move |(kind, _)| self.0 & 1 << kind != 0).map(|(_, name)| *name)
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.kinds()).finish()
    }
}
