//! Which connection, which server, which client: numbers that are never used twice.

use std::fmt;

/// Which connection, for as long as the endpoint lives.
///
/// An id is never used twice: once its connection is gone it finds nobody, and every verb answers so.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// Place of a server in the list; small, since each connection keeps one.
pub(crate) type ServerIndex = u16;
/// That of a connection which came to no server.
pub(crate) const NO_SERVER: ServerIndex = ServerIndex::MAX;

/// Which server, for as long as the endpoint lives. Never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId {
    pub(crate) index: ServerIndex,
    pub(crate) generation: u32,
}

/// Which client, for as long as the endpoint lives: it stays the same when the client connects again. Never used
/// twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// As short as the others, so that a log can be read: `3.1` is the first connection after another in the fourth place.
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
