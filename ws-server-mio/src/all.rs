//! Lists of an endpoint's servers, clients and connections, for handlers and jobs.

use crate::connection::Connections;
use crate::ids::{ClientId, ConnectionId, ServerId};

/// The servers, the clients and the connections of an endpoint, from [`Connections::all`].
/// [`Connections::ids`] lists only the WebSockets of its servers.
#[derive(Clone, Copy, Debug)]
pub struct All<'c> {
    connections: &'c Connections,
}

impl Connections {
    /// All servers and clients, as in [`Endpoint::servers`](crate::Endpoint::servers) and
    /// [`Endpoint::clients`](crate::Endpoint::clients): for a handler, and for a job of
    /// [`Remote::run`](crate::Remote::run).
    ///
    /// ```
    /// use std::time::Duration;
    /// use ws_server_mio::Connections;
    ///
    /// /// `Endpoint::run` returns once all of them have ended.
    /// fn shut_down(connections: &mut Connections) {
    ///     for client in connections.all().clients().collect::<Vec<_>>() {
    ///         connections.client(client).disconnect();
    ///     }
    ///     for server in connections.all().servers().collect::<Vec<_>>() {
    ///         connections.server(server).stop(Duration::from_secs(2));
    ///     }
    /// }
    /// ```
    pub fn all(&self) -> All<'_> {
        All { connections: self }
    }
}

impl<'c> All<'c> {
    /// The servers that listen or are stopping.
    pub fn servers(self) -> impl Iterator<Item = ServerId> + use<'c> {
        self.connections.servers()
    }

    /// All clients, idle or not.
    pub fn clients(self) -> impl Iterator<Item = ClientId> + use<'c> {
        self.connections.clients()
    }

    /// Every connection that has not ended, plain HTTP included: those of servers, and those of clients, even of
    /// removed ones. While there is one, output may still be pending.
    pub fn connections(self) -> impl Iterator<Item = ConnectionId> + use<'c> {
        self.connections.slots.iter().map(|(slot, live)| live.id(slot))
    }
}
