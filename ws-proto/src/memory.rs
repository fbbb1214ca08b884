//! The memory that all connections of a server hold together, and which of them must close when it exceeds the limit.
//!
//! ```text
//!   below its low mark ──▶ not counted ──▶ above it: a holder ──▶ it checks, four times a second ──▶ victim, or stays
//!                                          (a `Charge`)
//! ```
//!
//! Each holder reports what it holds and what it has moved, by its own deadline. When the limit has been exceeded for a
//! second, those that moved least for what they hold become victims, the largest first, until the rest fits; new
//! holders are last. Each victim closes at its next check.

use crate::moment::Moment;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How long the limit may be exceeded before a connection must close; also the period over which each is measured.
const GRACE: Duration = Duration::from_secs(1);
/// Capacity that remains when no connection is counted.
const KEEP_CAPACITY: usize = 64;
/// How often each holder checks.
pub(crate) const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// The memory that connections share: one limit for what they hold together in outboxes, in unfinished messages, and in
/// bytes read ahead.
///
/// A connection counts once it holds more than its [low mark](crate::Config::outbox) after a write, or more than its
/// [high mark](crate::Config::outbox); a payload that several share counts once. Above the limit, peers with unfinished
/// messages or request bodies are not read, and sends over the high mark return [`Full`](crate::SendError::Full). If
/// that does not help within a second, those that take or send least for what they hold are closed, the largest first:
/// with 1013 where their output is the larger part, with 1009 where an incoming message is.
///
/// Clones share the same limit. Set it on every connection with [`Config::memory`](crate::Config::memory); servers use
/// `ServerConfig::memory_limit`.
///
/// ```
/// use ws_proto::{Config, Memory};
///
/// let memory = Memory::new(256 << 20);
/// let config = Config::server().memory(memory.clone());
/// assert_eq!(memory.held(), 0);
/// # let _ = config;
/// ```
#[derive(Clone, Debug)]
pub struct Memory {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    limit: usize,
    /// The bytes of all holders together.
    held: AtomicUsize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// By their address.
    shared: HashMap<usize, Shared>,
    holders: Vec<Option<Holder>>,
    vacant: Vec<usize>,
    /// When the limit was exceeded, as of the last check of any holder.
    over_since: Option<Moment>,
}

/// A payload in one or more outboxes.
#[derive(Clone, Copy, Debug, Default)]
struct Shared {
    /// In how many outboxes.
    times: usize,
    /// The longest that began there: some outboxes may have only a part of it.
    len: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Holder {
    /// What this one holds, alone or shared.
    held: usize,
    /// What it received and sent in its last whole second; none for a new one.
    moved: Option<u64>,
    is_victim: bool,
}

impl Memory {
    /// A limit of this many bytes.
    pub fn new(limit: usize) -> Self {
        let inner = Inner { limit, held: AtomicUsize::new(0), table: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// The most bytes that all connections may hold together.
    pub fn limit(&self) -> usize {
        self.inner.limit
    }

    /// The bytes held now by connections over their low mark.
    pub fn held(&self) -> usize {
        self.inner.held.load(Ordering::Relaxed)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.held() > self.inner.limit
    }

    /// Counts a payload in an outbox; one that is in several counts once.
    pub(crate) fn share(&self, payload: &Bytes) -> SharedPayload {
        let (address, len) = (payload.as_ptr() as usize, payload.len());
        let mut table = self.table();
        let shared = table.shared.entry(address).or_default();
        shared.times += 1;
        if len > shared.len {
            self.inner.held.fetch_add(len - shared.len, Ordering::Relaxed);
            shared.len = len;
        }
        drop(table);
        SharedPayload { memory: self.clone(), address }
    }

    /// Starts to count a connection.
    pub(crate) fn charge(&self) -> Charge {
        let mut table = self.table();
        let slot = table.vacant.pop().unwrap_or(table.holders.len());
        match table.holders.get_mut(slot) {
            Some(holder) => *holder = Some(Holder::default()),
            None => table.holders.push(Some(Holder::default())),
        }
        drop(table);
        Charge { memory: self.clone(), slot, own: 0, measured: None }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.inner.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Selects the connections to close: those that moved least for what they hold, the largest first, until the rest
    /// fits.
    fn select_victims(&mut self, mut excess: usize) {
        let mut slots: Vec<usize> = (0..self.holders.len()).filter(|k| self.holders[*k].is_some()).collect();
        let holder = |slot: usize| self.holders[slot].unwrap_or_default();
        slots.sort_by(|a, b| {
            let (a, b) = (holder(*a), holder(*b));
            let pace = |one: Holder, other: Holder| u128::from(one.moved.unwrap_or(0)) * other.held as u128;
            // New holders have no measurement yet.
            let is_new = a.moved.is_none().cmp(&b.moved.is_none());
            is_new.then(pace(a, b).cmp(&pace(b, a))).then(b.held.cmp(&a.held))
        });
        for slot in slots {
            if excess == 0 {
                break;
            }
            if let Some(holder) = &mut self.holders[slot] {
                holder.is_victim = true;
                excess = excess.saturating_sub(holder.held);
            }
        }
    }
}

/// What one connection holds. Released on drop.
#[derive(Debug)]
pub(crate) struct Charge {
    memory: Memory,
    slot: usize,
    own: usize,
    /// When it was last measured, and how much it had moved by then.
    measured: Option<(Moment, u64)>,
}

impl Charge {
    /// Sets what it holds: alone, and including what it shares.
    pub(crate) fn set(&mut self, own: usize, with_shared: usize) {
        let held = &self.memory.inner.held;
        held.fetch_add(own, Ordering::Relaxed);
        held.fetch_sub(self.own, Ordering::Relaxed);
        self.own = own;
        if let Some(Some(holder)) = self.memory.table().holders.get_mut(self.slot) {
            holder.held = with_shared;
        }
    }

    /// Checks whether this connection must close, given the bytes it has moved so far. If so, returns what all
    /// connections hold. A connection that is not read for lack of memory keeps its previous measurement.
    pub(crate) fn check(&mut self, now: Moment, moved: u64, is_held_back: bool) -> Option<usize> {
        let held = self.memory.held();
        let excess = held.saturating_sub(self.memory.limit());
        let mut table = self.memory.inner.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Some(holder)) = table.holders.get_mut(self.slot) {
            // A holder that was there when the limit was exceeded must be measured before it may be selected.
            let window = if holder.moved.is_none() { GRACE - CHECK_INTERVAL } else { GRACE };
            match self.measured {
                Some((at, before)) if now.since(at) >= window => {
                    if !is_held_back || holder.moved.is_none() {
                        holder.moved = Some(moved.saturating_sub(before));
                    }
                    self.measured = Some((now, moved));
                }
                Some(_) => {}
                None => self.measured = Some((now, moved)),
            }
        }
        if excess == 0 {
            table.over_since = None;
            table.holders.iter_mut().flatten().for_each(|holder| holder.is_victim = false);
            return None;
        }
        let since = *table.over_since.get_or_insert(now);
        if now.since(since) >= GRACE {
            // Victims have a second to close.
            table.over_since = Some(now);
            table.select_victims(excess);
        }
        let holder = table.holders.get(self.slot).copied().flatten()?;
        holder.is_victim.then_some(held)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.memory.inner.held.fetch_sub(self.own, Ordering::Relaxed);
        let mut table = self.memory.table();
        table.holders[self.slot] = None;
        table.vacant.push(self.slot);
        if table.vacant.len() == table.holders.len() {
            // No connection is counted: release the memory of a busy period.
            table.vacant.clear();
            table.vacant.shrink_to(KEEP_CAPACITY);
            table.holders.clear();
            table.holders.shrink_to(KEEP_CAPACITY);
            table.shared.shrink_to(KEEP_CAPACITY);
            table.over_since = None;
        }
    }
}

/// Marks a payload as being in an outbox until dropped.
#[derive(Debug)]
pub(crate) struct SharedPayload {
    memory: Memory,
    address: usize,
}

impl Drop for SharedPayload {
    fn drop(&mut self) {
        let mut table = self.memory.table();
        let Some(shared) = table.shared.get_mut(&self.address) else { return };
        shared.times -= 1;
        if shared.times == 0 {
            self.memory.inner.held.fetch_sub(shared.len, Ordering::Relaxed);
            table.shared.remove(&self.address);
        }
    }
}
