//! Lists of an endpoint's servers, clients and connections, for handlers and jobs.

use crate::connection::Connections;
use crate::ids::{ClientId, ConnectionId, ServerId};

/// The servers, the clients and the connections of an endpoint, from [`Connections::all`]. For the WebSockets of its
/// servers there is [`Connections::ids`].
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
    /// The servers that listen or are about to stop.
    pub fn servers(self) -> impl Iterator<Item = ServerId> + use<'c> {
        self.connections.servers()
    }

    /// All clients, idle or not.
    pub fn clients(self) -> impl Iterator<Item = ClientId> + use<'c> {
        self.connections.clients()
    }

    /// Every connection that has not ended, HTTP included: of servers, and of clients, even removed ones. Until it is
    /// empty, some output may still be written.
    pub fn connections(self) -> impl Iterator<Item = ConnectionId> + use<'c> {
        self.connections.slots.iter().map(|(slot, live)| live.id(slot))
    }
}
