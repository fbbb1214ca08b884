//! The order in which connections are read.
//!
//! ```text
//!   readable ──▶ ready ──visit──▶ all is read
//!                          └──its share of inflating is used──▶ light, or heavy ──visit──▶ …
//! ```
//!
//! Connections that are ready are visited first. Those that used up their share follow: first those that inflated
//! little recently, then those that inflated much.

use std::collections::VecDeque;
use ws_proto::Connection;

/// A connection that recently inflated less than this precedes those that inflated more.
const HEAVY_FROM: u64 = 256 << 10;

/// How many shares in a row a connection that inflated much gets: enough to finish a message of 16 MiB, so that not all
/// of them hold an unfinished one in memory.
const SHARES_IN_A_ROW: u32 = 1024;

/// The slots of connections that may be readable, each once.
#[derive(Default)]
pub(crate) struct Readable {
    ready: VecDeque<u32>,
    /// How many passes over that list have begun.
    pub(crate) passes: u64,
    /// Those that used up their share. Last in, first out: each continues until it is done, or has inflated much.
    light: VecDeque<u32>,
    heavy: VecDeque<u32>,
    /// The connection that is finishing its message, and its remaining shares.
    current: Option<(u32, u32)>,
    /// Those whose TLS handshake waits for a later turn.
    handshaking: VecDeque<u32>,
    /// Whether the oldest of the connections that inflated little is visited next, before all others.
    pub(crate) oldest_first: bool,
}

impl Readable {
    #[inline]
    pub(crate) fn push(&mut self, slot: u32) {
        self.ready.push_back(slot);
    }

    /// Adds a connection that has used up its share.
    pub(crate) fn push_deferred(&mut self, slot: u32, connection: &mut Connection) {
        if connection.shares().recently_inflated() < HEAVY_FROM {
            self.light.push_back(slot);
        } else if connection.is_receiving_message()
            && self.current.is_some_and(|(other, left)| other == slot && left > 0)
        {
            self.heavy.push_front(slot);
        } else {
            self.heavy.push_back(slot);
        }
    }

    /// Leaves a TLS handshake to a later turn.
    pub(crate) fn push_handshaking(&mut self, slot: u32) {
        self.handshaking.push_back(slot);
    }

    /// A turn begins in which this many handshakes may make progress: the oldest precede newer connections.
    #[inline]
    pub(crate) fn admit_handshakes(&mut self, count: usize) {
        if !self.handshaking.is_empty() {
            let count = count.min(self.handshaking.len());
            self.handshaking.drain(..count).rev().for_each(|slot| self.ready.push_front(slot));
        }
    }

    /// Whether the TLS handshake of this connection waits for a later turn.
    #[cold]
    pub(crate) fn is_handshaking(&self, slot: u32) -> bool {
        self.handshaking.contains(&slot)
    }

    /// Forgets a connection whose handshake may be waiting.
    #[cold]
    pub(crate) fn forget_handshaking(&mut self, slot: u32) {
        if let Some(at) = self.handshaking.iter().position(|other| *other == slot) {
            self.handshaking.remove(at);
        }
    }

    /// How many connections are visited before the next that used up its share.
    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    pub(crate) fn next_ready(&mut self) -> Option<u32> {
        self.ready.pop_front()
    }

    /// Whether any connection used up its share.
    #[inline]
    pub(crate) fn has_deferred(&self) -> bool {
        !(self.light.is_empty() && self.heavy.is_empty())
    }

    /// The next connection that used up its share.
    pub(crate) fn next_deferred(&mut self) -> Option<u32> {
        self.light.pop_back().or_else(|| self.next_heavy())
    }

    /// The connection that precedes all others, so that they cannot starve it. Unless a round ends in time, it is the
    /// only one that is sure to be visited. It is alternately one that inflated much and the oldest that inflated
    /// little.
    pub(crate) fn first_deferred(&mut self) -> Option<u32> {
        let oldest = if self.oldest_first { self.light.pop_front() } else { None };
        self.oldest_first = !self.oldest_first;
        oldest.or_else(|| self.next_heavy()).or_else(|| self.light.pop_back())
    }

    fn next_heavy(&mut self) -> Option<u32> {
        let slot = self.heavy.pop_front()?;
        let left = match self.current {
            Some((other, left)) if other == slot && left > 0 => left,
            _ => SHARES_IN_A_ROW,
        };
        self.current = Some((slot, left - 1));
        Some(slot)
    }

    /// Whether no connection waits for a visit, in this turn or a later one.
    pub(crate) fn is_empty(&self) -> bool {
        self.handshaking.is_empty() && !self.can_visit()
    }

    /// Whether any connection may be visited in this turn.
    pub(crate) fn can_visit(&self) -> bool {
        !self.ready.is_empty() || self.has_deferred()
    }

    pub(crate) fn shrink(&mut self) {
        self.ready.shrink_to_fit();
        self.light.shrink_to_fit();
        self.heavy.shrink_to_fit();
        self.handshaking.shrink_to_fit();
    }

    pub(crate) fn contains(&self, slot: u32) -> bool {
        [&self.ready, &self.light, &self.heavy, &self.handshaking].iter().any(|list| list.contains(&slot))
    }
}
