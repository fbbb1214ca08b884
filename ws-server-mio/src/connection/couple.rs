//! Coupling of two connections, as in a proxy.
//!
//! ```text
//!   peer ──frames──▶ leg ──message──▶ extension ──▶ outbox of the other leg ──frames──▶ its peer
//!                     ▲                                      │
//!                     └── held: the other is congested ──────┘  until it has drained
//! ```
//!
//! A leg is held while the other one is not open yet, or is over its high mark.

use crate::ids::{ClientId, ConnectionId};
use std::collections::HashMap;
use std::fmt;
use ws_proto::CloseCode;

/// One leg of a coupling: a connection, or a client that has none yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leg {
    /// A connection of a server or of a client.
    Connection(ConnectionId),
    /// The connection that this client has, or will get.
    Client(ClientId),
}

impl From<ConnectionId> for Leg {
    fn from(id: ConnectionId) -> Self {
        Self::Connection(id)
    }
}

impl From<ClientId> for Leg {
    fn from(client: ClientId) -> Self {
        Self::Client(client)
    }
}

impl Leg {
    pub(crate) fn client(self) -> Option<ClientId> {
        match self {
            Self::Client(client) => Some(client),
            Self::Connection(_) => None,
        }
    }
}

/// Why two legs cannot be coupled. Then nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CoupleError {
    /// The connection is closing or gone, or the client is idle: it will send nothing.
    Gone(Leg),
    /// The leg is already coupled.
    Coupled(Leg),
    /// Both legs are the same connection.
    Itself,
}

ws_proto::debug_is_display!(CoupleError);

impl fmt::Display for CoupleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone(Leg::Connection(id)) => write!(f, "the connection {id} is closing or gone"),
            Self::Gone(Leg::Client(_)) => f.write_str("the client is idle, closing or gone"),
            Self::Coupled(Leg::Connection(id)) => write!(f, "the connection {id} is already coupled"),
            Self::Coupled(Leg::Client(_)) => f.write_str("the client is already coupled"),
            Self::Itself => f.write_str("a connection cannot be coupled with itself"),
        }
    }
}

impl std::error::Error for CoupleError {}

/// The partner of each leg, in both directions. A client is listed until its connection opens.
#[derive(Default)]
pub(crate) struct Couples {
    legs: HashMap<Leg, Leg>,
    /// Legs whose partner is emitting `Closed`, with the close for a peer that is a client, and for one that is a
    /// server.
    pub(crate) ending: Vec<(Leg, [(CloseCode, String); 2])>,
}

impl Couples {
    pub(crate) fn of(&self, leg: Leg) -> Option<Leg> {
        self.legs.get(&leg).copied()
    }

    pub(crate) fn put(&mut self, a: Leg, b: Leg) {
        self.legs.insert(a, b);
        self.legs.insert(b, a);
    }

    /// Ends a coupling; returns the other leg.
    pub(crate) fn take(&mut self, leg: Leg) -> Option<Leg> {
        let other = self.legs.remove(&leg)?;
        self.legs.remove(&other);
        Some(other)
    }

    pub(crate) fn legs(&self) -> impl Iterator<Item = Leg> {
        self.legs.keys().copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.legs.is_empty()
    }

    pub(crate) fn shrink(&mut self) {
        self.legs.shrink_to_fit();
    }
}
