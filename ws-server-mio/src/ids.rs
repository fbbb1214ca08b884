//! Ids of connections, servers and clients: numbers that are never reused.

use std::fmt;

/// Identifies a connection of this endpoint.
///
/// An id is never reused: once its connection is gone, every method reports that.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// Index of a server in the list; small, since each connection stores one.
pub(crate) type ServerIndex = u16;
/// The index stored in a connection without a server.
pub(crate) const NO_SERVER: ServerIndex = ServerIndex::MAX;

/// Identifies a server of this endpoint. An id is never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId {
    pub(crate) index: ServerIndex,
    pub(crate) generation: u32,
}

/// Identifies a client of this endpoint. An id stays the same across reconnects, and is never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// Short, so that a log stays readable: `3.1` is the second connection in the fourth slot.
impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.generation)
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.generation)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.generation)
    }
}

// Events print their ids.
ws_proto::debug_is_display!(ConnectionId, ServerId, ClientId);
