//! Clients: connecting, disconnecting, reconnecting.

pub(crate) mod connect;
pub(crate) mod handle;
pub(crate) mod list;
pub(crate) mod names;
pub(crate) mod resolver;

use crate::client::list::{Client, Phase};
use crate::connection::Connections;
use crate::ids::{ClientId, ConnectionId};
use ws_host::client::{ClientConfig, ClientState, InvalidTarget, needs_resolver};
use ws_host::proxy::ProxyServer;
use ws_proto::{ClientRequest, CloseCode, State};

/// Clients.
///
/// A client outlives its connections: its [`ClientId`] stays the same, and each connection has its own
/// [`ConnectionId`], which the methods take.
///
/// ```text
///  connect ─▶ Connecting ───101──▶ Open ──▶ Closing ──▶ emits Closed
///                 │ ▲                                        │
///           emits │ │                                        ├─ no retry: Idle ──reconnect──▶
///   ConnectFailed ┴─┴───────── the delay is over ── Waiting ◀┴─ emits Reconnecting
/// ```
impl Connections {
    /// Creates a client and connects it. This never blocks; the outcome is
    /// [`Open`](crate::Event::Open) or [`Event::ConnectFailed`](crate::Event::ConnectFailed).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use ws_server_mio::{ClientConfig, ClientRequest, Endpoint, Event, Reconnect};
    ///
    /// let mut endpoint = Endpoint::new()?;
    /// let request = ClientRequest::new("ws://127.0.0.1:8700/chat")?.header("Authorization", "Bearer 0123")?;
    /// let config = ClientConfig::new().reconnect(Reconnect::default());
    /// endpoint.connections().connect(request, config)?;
    /// endpoint.run(|connections, event| match event {
    ///     // On every connection: set things up again.
    ///     Event::Open(id, _) => drop(connections.send(id, "hello")),
    ///     Event::Message(_, message) => println!("{message:?}"),
    ///     Event::ConnectFailed { error, .. } => println!("{error}"),
    ///     Event::Reconnecting { delay, .. } => println!("again in {delay:?}"),
    ///     _ => {}
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Each address of a name, or of `localhost`, has a quarter of a second before the next is tried in parallel (RFC
    /// 8305); the first that accepts the connection is used.
    ///
    /// # Errors
    /// [`InvalidTarget`] for a target that cannot be tried. Nothing is left behind.
    pub fn connect<R>(&mut self, request: R, config: ClientConfig) -> Result<ClientId, InvalidTarget>
    where
        R: TryInto<ClientRequest>,
        R::Error: Into<InvalidTarget>,
    {
        let request = request.try_into().map_err(Into::into)?;
        self.check_request(&request, &config)?;
        let id = self.clients.add(Client::new(request, config));
        self.begin(id.index);
        Ok(id)
    }

    /// The client's connection, while it is open or closing.
    pub(crate) fn connection_of(&self, client: ClientId) -> Option<ConnectionId> {
        match self.clients.get(client)?.phase {
            Phase::Open { slot, .. } => Some(self.slots.at(slot)?.id(slot)),
            _ => None,
        }
    }

    /// A client's state.
    pub(crate) fn client_state(&self, client: ClientId) -> ClientState {
        match self.clients.get(client).map(|at| &at.phase) {
            None | Some(Phase::Idle) => ClientState::Idle,
            Some(Phase::Resolving(_) | Phase::Connecting(_)) => ClientState::Connecting,
            Some(Phase::Waiting { .. }) => ClientState::Waiting,
            Some(Phase::Open { slot, .. }) => {
                match self.slots.at(*slot).map(|live| live.connection.state()) {
                    Some(State::Open) => ClientState::Open,
                    _ => ClientState::Closing,
                }
            }
        }
    }

    /// The client of a connection, also during its `Closed`.
    pub fn client_of(&self, id: ConnectionId) -> Option<ClientId> {
        self.slots.get(id)?;
        self.clients.of_slot(id.slot)
    }

    /// All clients, idle or not.
    pub(crate) fn clients(&self) -> impl Iterator<Item = ClientId> {
        self.clients.ids()
    }

    pub(crate) fn check_request(
        &self,
        request: &ClientRequest,
        config: &ClientConfig,
    ) -> Result<(), InvalidTarget> {
        if request.is_tls() && cfg!(not(feature = "tls-no-provider")) {
            return Err(InvalidTarget::TlsUnsupported);
        }
        // A proxy looks up the server's name, but its own is looked up here.
        let address = config.proxy_for(request).map_or(request, ProxyServer::address);
        let by_name = !has_path(config) && needs_resolver(address);
        if by_name && self.resolver.is_none() {
            return Err(InvalidTarget::NoResolver { host: address.host().to_owned() });
        }
        Ok(())
    }

    pub(crate) fn close_slot(&mut self, slot: u32) {
        let now = self.now;
        if let Some(live) = self.slots.at_mut(slot) {
            // A closing connection sends no second Close.
            let _ = live.connection.close(now, CloseCode::NORMAL, "");
            self.mark_dirty(slot);
        }
    }
}

/// Whether it connects to a Unix socket, for which the address of the request is not looked up.
#[cfg(unix)]
fn has_path(config: &ClientConfig) -> bool {
    config.get_unix().is_some()
}

#[cfg(not(unix))]
fn has_path(_: &ClientConfig) -> bool {
    false
}
