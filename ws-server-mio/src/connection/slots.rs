//! Storage of connections: a slab with generations.
//!
//! ```text
//!  entry:  Free ──put──▶ Live ──remove──▶ Removed ──free_removed (end of the turn)──▶ Free, next generation
//! ```
//!
//! The slab grows in chunks and never moves an entry, so ten thousand connections are not copied to make
//! room for one more. An entry that was emptied in a turn is reused in the next one at the earliest: stale
//! references of the turn (a list entry, an event of the same batch) find nothing.

use crate::connection::deadlines;
use crate::ids::{ConnectionId, ServerIndex};
use mio::net::TcpStream;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use ws_proto::Connection;

/// Independent facts about one connection.
pub mod flag {
    /// The kernel may hold input: an edge was reported, and no read has drained it since.
    pub const READABLE: u16 = 1;
    /// The kernel accepts output: no write has shown otherwise since the last edge.
    pub const WRITABLE: u16 = 1 << 1;
    /// The peer has ended its stream, or there is an error: a short read is not the end of the
    /// input.
    pub const READ_CLOSED: u16 = 1 << 2;
    /// It is in the queue to be read.
    pub const QUEUED: u16 = 1 << 3;
    /// It is on the dirty list.
    pub const DIRTY: u16 = 1 << 4;
    /// It has leftover bytes in a separate buffer.
    pub const LEFTOVER: u16 = 1 << 5;
    /// It is counted as plain HTTP.
    pub const HTTP: u16 = 1 << 6;
    /// It is counted as a WebSocket: an upgrade was requested.
    pub const WEBSOCKET: u16 = 1 << 7;
    /// Its peer has an IPv6 address, stored separately.
    pub const V6: u16 = 1 << 8;
    /// It has sent no request yet: a handshake in progress.
    pub const NEW: u16 = 1 << 9;
    /// Its peer has no known address: it arrived over a Unix socket.
    pub const NO_PEER: u16 = 1 << 10;
    /// It is a client's, and not connected yet.
    pub const CONNECTING: u16 = 1 << 11;
    /// It has application data, stored separately.
    pub const DATA: u16 = 1 << 12;
    /// Its path is not `/`: it is stored separately, or too long for that.
    pub const PATH: u16 = 1 << 13;
}

/// More facts, usually false.
pub(crate) mod mark {
    /// The application has paused its reading.
    pub(crate) const PAUSED: u8 = 1;
    /// The other leg is congested.
    pub(crate) const HELD: u8 = 1 << 1;
    /// It is, or was, coupled with another: the application does not see its messages.
    pub(crate) const COUPLED: u8 = 1 << 2;
    /// Its timer fired while input was unread: its deadline is checked after its next visit.
    pub(crate) const OVERDUE: u8 = 1 << 3;
    /// The kernel probes whether its peer is still there.
    pub(crate) const PROBED: u8 = 1 << 4;
    /// It is a WebSocket accepted by a server.
    pub(crate) const ACCEPTED: u8 = 1 << 5;
    /// It is a client's: we connected.
    pub(crate) const CLIENT: u8 = 1 << 6;
    /// The kernel has refused what TLS had to write by itself.
    pub(crate) const REFUSED: u8 = 1 << 7;
}

/// A connection, and the loop's state of it: 24 bytes in addition to the engine's.
pub(crate) struct Slot {
    pub(crate) connection: Connection,
    /// Its socket; `None` if it is stored separately.
    pub(crate) stream: Option<TcpStream>,
    /// The tick for which a timer is in the heap; it has 40 bits.
    armed_low: u32,
    armed_high: u8,
    generation: u32,
    peer_v4: [u8; 4],
    peer_port: u16,
    pub(crate) server: ServerIndex,
    flags: u16,
    marks: u8,
}

impl Slot {
    pub(crate) fn new(connection: Connection, stream: Option<TcpStream>, server: ServerIndex) -> Self {
        Self {
            connection,
            stream,
            armed_low: u32::MAX,
            armed_high: u8::MAX,
            generation: 0,
            peer_v4: [0; 4],
            peer_port: 0,
            server,
            // A new socket is writable; the edge that says so may come later.
            flags: flag::WRITABLE,
            marks: 0,
        }
    }

    #[inline]
    pub(crate) fn has(&self, flags: u16) -> bool {
        self.flags & flags != 0
    }

    pub(crate) fn flags(&self) -> u16 {
        self.flags
    }

    #[inline]
    pub(crate) fn set(&mut self, flags: u16) {
        self.flags |= flags;
    }

    #[inline]
    pub(crate) fn clear(&mut self, flags: u16) {
        self.flags &= !flags;
    }

    #[inline]
    pub(crate) fn is_marked(&self, marks: u8) -> bool {
        self.marks & marks != 0
    }

    #[inline]
    pub(crate) fn mark(&mut self, marks: u8) {
        self.marks |= marks;
    }

    #[inline]
    pub(crate) fn unmark(&mut self, marks: u8) {
        self.marks &= !marks;
    }

    /// The tick for which a timer is in the heap; [`deadlines::NEVER`] without one.
    #[inline]
    pub(crate) fn armed(&self) -> u64 {
        u64::from(self.armed_high) << 32 | u64::from(self.armed_low)
    }

    #[inline]
    pub(crate) fn is_armed(&self) -> bool {
        self.armed_high != u8::MAX
    }

    #[inline]
    pub(crate) fn set_armed(&mut self, tick: u64) {
        self.armed_low = tick as u32;
        self.armed_high = (tick >> 32) as u8;
    }

    fn keep_peer(&mut self, slot: u32, peer: Option<SocketAddr>, peers_v6: &mut HashMap<u32, SocketAddrV6>) {
        self.peer_port = peer.map_or(0, |peer| peer.port());
        match peer {
            None => self.set(flag::NO_PEER),
            Some(SocketAddr::V4(peer)) => self.peer_v4 = peer.ip().octets(),
            // A dual-stack socket reports IPv4 peers as ::ffff:a.b.c.d.
            Some(SocketAddr::V6(peer)) => match peer.ip().to_canonical() {
                IpAddr::V4(ip) => self.peer_v4 = ip.octets(),
                IpAddr::V6(_) => {
                    self.set(flag::V6);
                    peers_v6.insert(slot, peer);
                }
            },
        }
    }

    pub(crate) fn id(&self, slot: u32) -> ConnectionId {
        ConnectionId { slot, generation: self.generation }
    }
}

enum Entry {
    Live(Slot),
    Removed { generation: u32 },
    Free { generation: u32, next: Option<u32> },
}

const CHUNK_BITS: u32 = 8;
const CHUNK: usize = 1 << CHUNK_BITS;

/// The most connections at a time: a timer has 24 bits for the slot.
const MAX_SLOTS: u32 = 1 << deadlines::SLOT_BITS;

/// The connections of one endpoint.
#[derive(Default)]
pub(crate) struct Slots {
    chunks: Vec<Box<[Entry; CHUNK]>>,
    /// The head of the free list. The slot freed last comes first: it is warm in the cache.
    free: Option<u32>,
    removed: Vec<u32>,
    len: usize,
    /// IPv6 addresses, scopes included, which do not fit in a slot.
    peers_v6: HashMap<u32, SocketAddrV6>,
}

impl Slots {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// One above the highest slot.
    pub(crate) fn end(&self) -> u32 {
        (self.chunks.len() * CHUNK) as u32
    }

    #[inline]
    fn entry_mut(&mut self, slot: u32) -> Option<&mut Entry> {
        Some(&mut self.chunks.get_mut((slot >> CHUNK_BITS) as usize)?[slot as usize & (CHUNK - 1)])
    }

    #[inline]
    pub(crate) fn at(&self, slot: u32) -> Option<&Slot> {
        match &self.chunks.get((slot >> CHUNK_BITS) as usize)?[slot as usize & (CHUNK - 1)] {
            Entry::Live(live) => Some(live),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn at_mut(&mut self, slot: u32) -> Option<&mut Slot> {
        match self.entry_mut(slot)? {
            Entry::Live(live) => Some(live),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn get(&self, id: ConnectionId) -> Option<&Slot> {
        self.at(id.slot).filter(|live| live.generation == id.generation)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Slot> {
        self.at_mut(id.slot).filter(|live| live.generation == id.generation)
    }

    /// The slot that [`Slots::put`] will use, for the registration before it. `None` at the
    /// limit.
    pub(crate) fn next(&mut self) -> Option<u32> {
        if self.free.is_none() && self.end() < MAX_SLOTS {
            let from = self.end();
            let entry = |k: usize| {
                let next = (k + 1 < CHUNK).then_some(from + k as u32 + 1);
                Entry::Free { generation: 0, next }
            };
            self.chunks.push(Box::new(std::array::from_fn(entry)));
            self.free = Some(from);
        }
        self.free
    }

    pub(crate) fn put(&mut self, mut live: Slot, peer: Option<SocketAddr>) {
        let Some(slot) = self.next() else { return };
        live.keep_peer(slot, peer, &mut self.peers_v6);
        if let Some(entry) = self.entry_mut(slot)
            && let Entry::Free { generation, next } = *entry
        {
            live.generation = generation;
            *entry = Entry::Live(live);
            self.free = next;
            self.len += 1;
        }
    }

    /// The client of a connection has become known, or has changed.
    pub(crate) fn set_peer(&mut self, slot: u32, peer: Option<SocketAddr>) {
        let mut peers_v6 = std::mem::take(&mut self.peers_v6);
        peers_v6.remove(&slot);
        if let Some(live) = self.at_mut(slot) {
            live.clear(flag::NO_PEER | flag::V6);
            live.keep_peer(slot, peer, &mut peers_v6);
        }
        self.peers_v6 = peers_v6;
    }

    pub(crate) fn peer(&self, id: ConnectionId) -> Option<SocketAddr> {
        let live = self.get(id)?;
        if live.has(flag::V6) {
            return self.peers_v6.get(&id.slot).map(|peer| SocketAddr::V6(*peer));
        }
        if live.has(flag::NO_PEER) {
            return None;
        }
        Some(SocketAddr::from((Ipv4Addr::from(live.peer_v4), live.peer_port)))
    }

    /// Removes a connection: its socket is closed when the result is dropped. The slot stays empty for the
    /// rest of the turn.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<Slot> {
        let entry = self.entry_mut(slot)?;
        let Entry::Live(live) = &*entry else { return None };
        let generation = live.generation;
        let Entry::Live(live) = std::mem::replace(entry, Entry::Removed { generation }) else { return None };
        if live.has(flag::V6) {
            self.peers_v6.remove(&slot);
        }
        self.len -= 1;
        self.removed.push(slot);
        Some(live)
    }

    /// The end of a turn: removed slots become free.
    pub(crate) fn free_removed(&mut self) {
        while let Some(slot) = self.removed.pop() {
            let next = self.free;
            if let Some(entry) = self.entry_mut(slot)
                && let Entry::Removed { generation } = *entry
            {
                *entry = Entry::Free { generation: generation.wrapping_add(1), next };
                self.free = Some(slot);
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Slot)> {
        let entries = self.chunks.iter().flat_map(|chunk| chunk.iter()).enumerate();
        entries.filter_map(|(slot, entry)| match entry {
            Entry::Live(live) => Some((slot as u32, live)),
            _ => None,
        })
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Slot)> {
        let entries = self.chunks.iter_mut().flat_map(|chunk| chunk.iter_mut()).enumerate();
        entries.filter_map(|(slot, entry)| match entry {
            Entry::Live(live) => Some((slot as u32, live)),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_barely_larger_than_its_connection() {
        assert_eq!(size_of::<Entry>(), size_of::<Slot>());
        // A stream is a descriptor in 4 bytes, and larger in debug builds.
        let most = (size_of::<Connection>() + 20 + size_of::<TcpStream>()).next_multiple_of(8);
        assert!(size_of::<Slot>() <= most, "{}", size_of::<Slot>());
    }
}
