//! A handle to a server: its addresses, its counts, stopping it.

use crate::connection::Connections;
use crate::ids::ServerId;
use crate::server::list::Server;
use std::net::SocketAddr;
use std::time::Duration;
use ws_host::listen::{self, Scheme, lan_url, url};
use ws_host::server::InvalidConfig;
use ws_host::server::{ServerConfig, Stop};

/// A server of an endpoint, from [`Connections::server`].
///
/// Once the server has stopped, its counts are 0, it has no address, and the other methods do nothing.
#[derive(Debug)]
pub struct ServerHandle<'c> {
    connections: &'c mut Connections,
    id: ServerId,
}

impl Connections {
    /// A server: its addresses, its counts, stopping it. The id of a stopped server is not an error.
    pub fn server(&mut self, id: ServerId) -> ServerHandle<'_> {
        ServerHandle { connections: self, id }
    }
}

impl ServerHandle<'_> {
    /// Which server this is.
    pub fn id(&self) -> ServerId {
        self.id
    }
}

/// Its addresses. Once it begins to stop it has no URLs; [`local_addr`](Self::local_addr) remains until it has stopped.
impl ServerHandle<'_> {
    /// The URL to connect to from this machine: `ws://127.0.0.1:8700/path`, or `localhost` for a server
    /// on all interfaces. The path's leading slash is optional; characters that are invalid in a URL are encoded. With
    /// TLS, the scheme is `wss`.
    pub fn url(&self, path: &str) -> Option<String> {
        let (scheme, address) = self.running()?.at(Scheme::Ws)?;
        Some(url(scheme, address, path))
    }

    /// As [`url`](Self::url), with the scheme `http`, or `https` with TLS: for a browser.
    pub fn http_url(&self, path: &str) -> Option<String> {
        let (scheme, address) = self.running()?.at(Scheme::Http)?;
        Some(url(scheme, address, path))
    }

    /// The URL to connect to from the local network, `ws://192.168.1.7:8700/path`. For a server on all
    /// interfaces, the host is this machine's address on its default route, or without one a private address of
    /// its interfaces; otherwise the bound address. `None` if the network cannot reach the server, or there is none.
    ///
    /// It looks up the route to an unassigned address: it sends no packet, looks up no name,
    /// and does not wait.
    pub fn lan_url(&self, path: &str) -> Option<String> {
        let (scheme, address) = self.running()?.at(Scheme::Ws)?;
        lan_url(scheme, address, path)
    }

    /// As [`lan_url`](Self::lan_url), with the scheme `http`, or `https` with TLS: for a QR code, say.
    pub fn lan_http_url(&self, path: &str) -> Option<String> {
        let (scheme, address) = self.running()?.at(Scheme::Http)?;
        lan_url(scheme, address, path)
    }

    /// All URLs: one for each listener, then the one for the local network, if there is
    /// one.
    pub fn urls(&self, path: &str) -> Vec<String> {
        let Some(running) = self.running() else { return Vec::new() };
        let addresses = running.listeners.iter().filter_map(|listener| listener.socket.local_addr());
        listen::urls(Scheme::Ws.secure(running.is_tls), addresses, path)
    }

    /// The address that it listens on, port included; the IPv4 one for a server on `localhost`. `None`
    /// on a Unix socket, and once it has stopped.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.connections.servers.get(self.id)?.address()
    }
}

/// Its configuration, and stopping it.
impl ServerHandle<'_> {
    /// Sets the configuration for connections accepted from now on; existing ones keep theirs. The connection
    /// limits and the trusted proxies stay as they were when the server was started.
    ///
    /// # Errors
    /// [`InvalidConfig`] names the invalid part of the configuration; nothing has changed.
    pub fn set_config(&mut self, config: ServerConfig) -> Result<(), InvalidConfig> {
        config.check()?;
        self.connections.set_server_config(self.id, config);
        Ok(())
    }

    /// Stops the server: it accepts no more connections, and the port is free.
    ///
    /// From the next turn on it emits [`Event::Stopping`](crate::Event::Stopping), while the connections are still
    /// open; closes each with 1001; delivers what they still send, and `Closed` for each; and emits
    /// [`Event::Stopped`](crate::Event::Stopped) when all are gone, or the deadline has aborted the rest.
    ///
    /// HTTP connections take no further request. Event streams (`text/event-stream`) end at once; every other response,
    /// even one given later, and every request still arriving run to their end. Only this deadline limits the wait for
    /// peers that read pending output slowly; without it they may delay a close for hours:
    /// [`Config::close_timeout`](ws_proto::Config::close_timeout).
    ///
    /// # The deadline
    ///
    /// What has arrived by then is still read, as far as one turn has time for it. Then each connection that is left
    /// gets what it takes without waiting, a WebSocket its Close last, and is aborted: a response may be truncated, and
    /// `Closed` has the error [`Error::Stopped`](ws_proto::Error::Stopped), and in [`sent`](crate::Closed::sent) the
    /// code of a Close that was written. So even `stop(Duration::ZERO)`, or a loop that was busy until the deadline,
    /// sends 1001 to each peer that reads; HTTP connections are sent nothing new.
    ///
    /// With a [time budget](crate::Budget::time), this takes as many turns as it needs: the clock is read after each
    /// connection, and after each write of some 64 KiB to one. Without a budget, one turn aborts them all: that costs
    /// a write and a close for each, and at most the copying of all queued output.
    ///
    /// Stopping twice is harmless: the earlier deadline holds. Listening again is possible at any time.
    pub fn stop(&mut self, deadline: Duration) {
        self.stop_with(Stop::within(deadline));
    }

    /// As [`stop`](Self::stop), with another code and a reason, spread over time: connections are closed one after the
    /// other, plain HTTP included, so an event stream ends when its turn comes; until then each is served as usual. A
    /// thousand clients then do not reconnect in the same second. The deadline counts from the end of the spread; the
    /// connections whose turn has not come by then get their Close at the deadline.
    ///
    /// ```
    /// # use ws_server_mio::{Connections, ServerId};
    /// use std::time::Duration;
    /// use ws_server_mio::{CloseCode, Stop};
    ///
    /// fn restart(connections: &mut Connections, server: ServerId) {
    ///     let stop = Stop::within(Duration::from_secs(5)).code(CloseCode::SERVICE_RESTART);
    ///     connections.server(server).stop_with(stop.spread(Duration::from_secs(30)));
    /// }
    /// ```
    ///
    /// On a server that is already stopping, the earlier deadline and the earlier end of the spread hold, and the code
    /// and the reason stay those of the first call.
    pub fn stop_with(&mut self, stop: Stop) {
        self.connections.servers.stop(self.id, self.connections.now, stop);
    }
}

/// Its counts.
impl ServerHandle<'_> {
    /// How many WebSockets it has: connecting, open or closing.
    pub fn count(&self) -> usize {
        self.connections.servers.get(self.id).map_or(0, |server| server.websockets)
    }

    /// How many plain HTTP connections it has, including idle ones and those without a request so far. The latter emit
    /// `Closed` only with [`ServerConfig::report_all_closes`].
    pub fn http_count(&self) -> usize {
        self.connections.servers.get(self.id).map_or(0, |server| server.http)
    }

    /// How many connections it has rejected since it started: at its limit
    /// [`max_connections`](ServerConfig::max_connections), or at the peer's
    /// [`max_per_address`](ServerConfig::max_per_address).
    pub fn rejected(&self) -> u64 {
        self.connections.servers.get(self.id).map_or(0, |server| server.admission.rejected())
    }
}

impl ServerHandle<'_> {
    fn running(&self) -> Option<&Server> {
        self.connections.servers.get(self.id).filter(|server| !server.listeners.is_empty())
    }
}
