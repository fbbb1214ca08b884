//! Which connection, which server, which client: numbers that are never used twice.

/// Which connection, for as long as the endpoint lives.
///
/// An id is never used twice: once its connection is gone it finds nobody, and every verb answers so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl std::fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.slot, self.generation)
    }
}

/// Place of a server in the list; small, since each connection keeps one.
pub(crate) type ServerIndex = u16;
/// That of a connection which came to no server.
pub(crate) const NO_SERVER: ServerIndex = ServerIndex::MAX;

/// Which server, for as long as the endpoint lives. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId {
    pub(crate) index: ServerIndex,
    pub(crate) generation: u32,
}

/// Which client, for as long as the endpoint lives: it stays the same when the client connects again. Never used
/// twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}
