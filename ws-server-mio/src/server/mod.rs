//! Listening: starting, stopping, addresses, counts.

pub(crate) mod accept;
pub(crate) mod handle;
pub(crate) mod list;
pub(crate) mod upgrades;

use crate::connection::Connections;
use crate::connection::io::write_last;
use crate::connection::lists::{attach_buffer, detach_buffer, mark_dirty};
use crate::connection::slots::flag;
use crate::ids::{ConnectionId, ServerId};
use crate::server::list::{Listener, Server, Servers};
use crate::sys::listener::NewListeners;
use std::io;
use ws_host::listen::{Bind, ListenError};
use ws_host::server::ServerConfig;
use ws_proto::{Error, State};

/// Servers.
impl Connections {
    /// Starts a server. It accepts from the next turn on, and emits events.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use ws_server_mio::{Bind, Endpoint, ServerConfig};
    ///
    /// let mut endpoint = Endpoint::new()?;
    /// let connections = endpoint.connections();
    /// let local = connections.listen(Bind::localhost(), ServerConfig::new())?;
    /// let lan = connections.listen(Bind::lan().port_range(8700..=8799), ServerConfig::default().max_connections(50))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A client's configuration does not compile:
    ///
    /// ```compile_fail,E0308
    /// # use ws_server_mio::{Bind, ClientConfig, Connections};
    /// # fn f(connections: &mut Connections) {
    /// let _ = connections.listen(Bind::localhost(), ClientConfig::new());
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ListenError`] says what was tried, or which part of the configuration is invalid. Nothing is left behind, and
    /// you may retry.
    pub fn listen(&mut self, bind: impl Into<Bind>, config: ServerConfig) -> Result<ServerId, ListenError> {
        config.check()?;
        let listeners = self.sys.listen(&bind.into())?;
        self.start(listeners, config)
    }

    /// Starts a server on a listener opened elsewhere, TCP or (on unix) a Unix socket. Otherwise as
    /// [`Connections::listen`]; the file of such a Unix socket is left to its creator.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use ws_server_mio::{Endpoint, ServerConfig};
    ///
    /// let listener = std::net::TcpListener::bind("127.0.0.1:8700")?;
    /// let mut endpoint = Endpoint::new()?;
    /// endpoint.connections().listen_on(listener, ServerConfig::new())?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # From systemd, or from a parent process
    ///
    /// With socket activation, systemd opens the listeners before the program runs, which needs no privileges even for
    /// ports below 1024. It sets `LISTEN_PID` to the id of this process and `LISTEN_FDS` to the number
    /// of descriptors, which begin at 3; a parent process can do the same. The crate `listenfd` checks the two
    /// and returns `TcpListener`s and `UnixListener`s of the standard library. A restart then loses no connections:
    /// new ones wait in the kernel.
    ///
    /// # Errors
    /// [`ListenError::Io`] if the system cannot watch it; [`ListenError::Config`] if the configuration is invalid.
    pub fn listen_on(
        &mut self,
        listener: impl Into<ws_host::listen::Listener>,
        config: ServerConfig,
    ) -> Result<ServerId, ListenError> {
        config.check()?;
        self.start(NewListeners::System(vec![listener.into()]), config)
    }

    /// Starts a server on these listeners.
    fn start(&mut self, listeners: NewListeners, config: ServerConfig) -> Result<ServerId, ListenError> {
        let transport = listeners.transport();
        let failed = |error: io::Error| ListenError::Io { tried: Vec::new(), error };
        let index = self.servers.vacant().ok_or_else(|| failed(io::ErrorKind::OutOfMemory.into()))?;
        let token = |place| Servers::token(index, place);
        let sockets = listeners.register(&self.sys.registry, token).map_err(failed)?;
        let listener = |socket| Listener { socket, ready: false, retry_at: None };
        let listeners: Vec<_> = sockets.into_iter().map(listener).collect();
        let address = listeners.first().and_then(|listener| listener.socket.local_addr());
        let server = Server::new(config, listeners, address, transport);
        if let Some(clock) = server.config.get_wall_clock() {
            self.sleep.attach(clock);
        }
        Ok(self.servers.add(index, server))
    }

    /// Sets the configuration of a server's future connections.
    pub(crate) fn set_server_config(&mut self, id: ServerId, config: ServerConfig) {
        let Some(server) = self.servers.get_mut(id) else { return };
        let config = config.trusted_proxies(server.admission.trusted_proxies().cloned());
        let config = match (config.get_connection().get_wall_clock(), server.config.get_wall_clock()) {
            (None, Some(clock)) => config.wall_clock(clock.clone()),
            _ => config,
        };
        server.set_config(&config);
        if let Some(clock) = server.config.get_wall_clock() {
            self.sleep.attach(clock);
        }
    }

    /// The servers that listen or are stopping.
    pub(crate) fn servers(&self) -> impl Iterator<Item = ServerId> {
        (0..self.servers.end()).filter_map(|index| self.servers.id_at(index))
    }

    /// The server of a connection.
    pub fn server_of(&self, id: ConnectionId) -> Option<ServerId> {
        self.servers.id_at(self.slots.get(id)?.server)
    }

    /// Closes a connection because its server goes away.
    pub(crate) fn go_away(&mut self, slot: u32) {
        let Self { slots, servers, now, .. } = self;
        let Some(live) = slots.at_mut(slot) else { return };
        let Some(stopping) = servers.at(live.server).and_then(|server| server.stopping.as_ref()) else {
            return;
        };
        // A closing connection sends no second Close.
        let _ = live.connection.go_away(*now, stopping.stop.get_code(), stopping.stop.get_reason());
        self.mark_dirty(slot);
    }

    /// Aborts a connection that missed the deadline. What it takes without waiting still leaves, the Close of an open
    /// WebSocket last. While it takes much, it waits for the next call.
    pub(crate) fn abort_stopped(&mut self, slot: u32, limit: usize) {
        let Self { slots, servers, sockets, pool, dirty, now, .. } = self;
        let Some(live) = slots.at_mut(slot) else { return };
        if live.connection.state() == State::Open
            && let Some(stopping) = servers.at(live.server).and_then(|server| server.stopping.as_ref())
        {
            attach_buffer(live, pool);
            // Its code and reason can be sent.
            let _ = live.connection.go_away(*now, stopping.stop.get_code(), stopping.stop.get_reason());
        }
        if write_last(slot, live, sockets, *now, limit) {
            return;
        }
        detach_buffer(live, pool);
        live.connection.abort(*now, Error::Stopped);
        mark_dirty(slot, live, dirty);
    }

    /// The connection counts as a WebSocket from now on.
    pub(crate) fn count_upgrade(&mut self, slot: u32) {
        self.recount(slot, flag::HTTP, flag::WEBSOCKET);
    }

    /// A request was answered. If that rejected the upgrade, rather than an earlier request, the
    /// connection counts as plain HTTP until it ends.
    pub(crate) fn count_answer(&mut self, slot: u32) {
        let connection = self.slots.at_mut(slot).map(|live| &mut live.connection);
        if !connection.is_some_and(|conn| conn.http().is_upgrading() || conn.state() == State::Open) {
            self.recount(slot, flag::WEBSOCKET, flag::HTTP);
        }
    }

    /// The connection is no longer counted, though its socket may still drain.
    pub(crate) fn uncount(&mut self, slot: u32) {
        self.recount(slot, flag::HTTP | flag::WEBSOCKET, 0);
    }

    /// Counts a connection as another kind.
    fn recount(&mut self, slot: u32, from: u16, to: u16) {
        let Some(live) = self.slots.at_mut(slot) else { return };
        if !live.has(from) {
            return;
        }
        let was_http = live.has(flag::HTTP);
        live.clear(flag::HTTP | flag::WEBSOCKET);
        live.set(to);
        let Some(server) = self.servers.at_mut(live.server) else { return };
        match was_http {
            true => server.http -= 1,
            false => server.websockets -= 1,
        }
        match to {
            flag::HTTP => server.http += 1,
            flag::WEBSOCKET => server.websockets += 1,
            _ => {}
        }
    }
}
