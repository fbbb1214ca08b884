//! Who may be read, in which order.
//!
//! ```text
//!   readable ──▶ ready ──visit──▶ all is read
//!                          └──its share of what is inflated is used──▶ little, or much ──visit──▶ …
//! ```
//!
//! Each that is ready is visited first. Then those go on whose share was not enough: those that inflated little of late
//! before those that inflated much.

use crate::connection::Connections;
use crate::connection::slots::{Slot, flag};
use crate::endpoint::turn::TurnRun;
use crate::event::Event;
use std::collections::VecDeque;
use ws_proto::Connection;

/// Below so much of late, a connection goes before those above.
const LITTLE: u64 = 256 << 10;

/// So much is inflated in a turn for connections that want more than one share.
const TURN: u64 = 1 << 20;
/// So many of one that has inflated much, before the next of them goes on: a message of 16 MiB is finished, so that not
/// all of them stand unfinished in memory.
const AT_A_TIME: u32 = 1024;

/// The slots of connections that may have something to read, each once.
#[derive(Default)]
pub(crate) struct Readable {
    ready: VecDeque<u32>,
    /// Their shares are used. The last one comes first: it goes on until it is done, or has inflated much.
    little: Vec<u32>,
    much: VecDeque<u32>,
    /// Which of these goes on with its message, and for how many shares at most.
    going_on: Option<(u32, u32)>,
}

impl Readable {
    #[inline]
    pub(crate) fn push(&mut self, slot: u32) {
        self.ready.push_back(slot);
    }

    /// Adds a connection that has used its share.
    pub(crate) fn push_sharing(&mut self, slot: u32, connection: &Connection) {
        if connection.inflated_lately() < LITTLE {
            self.little.push(slot);
        } else if connection.is_receiving_message()
            && self.going_on.is_some_and(|(other, left)| other == slot && left > 0)
        {
            self.much.push_front(slot);
        } else {
            self.much.push_back(slot);
        }
    }

    /// How many are to be visited before any goes on.
    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    pub(crate) fn next_ready(&mut self) -> Option<u32> {
        self.ready.pop_front()
    }

    /// Who goes on.
    pub(crate) fn next_sharing(&mut self) -> Option<u32> {
        self.little.pop().or_else(|| self.next_of_much())
    }

    /// Who goes on before all others, lest they keep it waiting for ever.
    pub(crate) fn first_sharing(&mut self) -> Option<u32> {
        self.next_of_much().or_else(|| self.little.pop())
    }

    fn next_of_much(&mut self) -> Option<u32> {
        let slot = self.much.pop_front()?;
        let left = match self.going_on {
            Some((other, left)) if other == slot && left > 0 => left,
            _ => AT_A_TIME,
        };
        self.going_on = Some((slot, left - 1));
        Some(slot)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.little.is_empty() && self.much.is_empty()
    }

    pub(crate) fn shrink(&mut self) {
        self.ready.shrink_to_fit();
        self.little.shrink_to_fit();
        self.much.shrink_to_fit();
    }

    #[cfg(test)]
    pub(crate) fn contains(&self, slot: u32) -> bool {
        self.ready.contains(&slot) || self.little.contains(&slot) || self.much.contains(&slot)
    }
}

/// Queues a connection that has used its share, where it has.
#[cold]
pub(crate) fn share_on(slot: u32, live: &mut Slot, readable: &mut Readable) {
    if live.connection.has_used_share() && !live.has(flag::QUEUED) {
        live.set(flag::QUEUED);
        readable.push_sharing(slot, &live.connection);
    }
}

impl<H: FnMut(&mut Connections, Event<'_>)> TurnRun<'_, H> {
    /// Visits each connection that may be read, once: who comes back waits for the next turn. Those whose share of what is
    /// inflated was not enough go on behind them, for as long as the kernel need not be asked who else has come.
    pub(crate) fn read(&mut self) {
        if let Some(slot) = self.connections.readable.first_sharing() {
            self.visit_sharing(slot);
        }
        for _ in 0..self.connections.readable.ready() {
            if self.over {
                break;
            }
            let Some(slot) = self.connections.readable.next_ready() else { break };
            self.visit(slot);
        }
        let mut inflated = 0;
        while inflated < TURN
            && !self.over
            && let Some(slot) = self.connections.readable.next_sharing()
        {
            inflated += self.visit_sharing(slot);
        }
    }

    /// Goes on with a connection that had used its share; says how much it inflated.
    #[cold]
    fn visit_sharing(&mut self, slot: u32) -> u64 {
        let Some(live) = self.connections.slots.at_mut(slot) else { return 0 };
        let before = live.connection.inflated_lately();
        live.connection.next_share(self.connections.now);
        self.visit(slot);
        self.worked();
        let after = self.connections.slots.at(slot).map_or(0, |live| live.connection.inflated_lately());
        after.saturating_sub(before)
    }
}
