//! A server of an endpoint: where it is, what it counts, how it stops.

use crate::connection::Connections;
use crate::ids::ServerId;
use crate::server::list::Server;
use std::net::SocketAddr;
use std::time::Duration;
use ws_host::listen::{self, Scheme, lan_url, url};
use ws_host::server::InvalidConfig;
use ws_host::server::{ServerConfig, Stop};

/// One server of an endpoint, as [`Connections::server`] gives it.
///
/// Once the server has stopped, nothing is found there: `None`, 0, and verbs do nothing.
#[derive(Debug)]
pub struct ServerHandle<'c> {
    connections: &'c mut Connections,
    id: ServerId,
}

impl Connections {
    /// A server: its addresses, its counts, its end. The id of one that is gone is no error.
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

/// What it is called. There is nothing to call once it was told to stop.
impl ServerHandle<'_> {
    /// The address to connect to from this machine: `ws://127.0.0.1:8700/path`, and `localhost` for a server
    /// on every interface. A slash in front of the path may be left out; what no URL contains is encoded.
    pub fn url(&self, path: &str) -> Option<String> {
        Some(url(Scheme::Ws, self.running()?.address()?, path))
    }

    /// As [`url`](Self::url), with `http` in front: what to give to a browser.
    pub fn http_url(&self, path: &str) -> Option<String> {
        Some(url(Scheme::Http, self.running()?.address()?, path))
    }

    /// The address to connect to from the local network, `ws://192.168.1.7:8700/path`: of a server on every
    /// interface this machine's address on its default route, otherwise the one that the server is bound to.
    /// `None` where the network cannot reach it, or there is none.
    ///
    /// The system is asked for the way to an address that nobody has: no packet is sent, no name is looked up,
    /// and nothing is waited for.
    pub fn lan_url(&self, path: &str) -> Option<String> {
        lan_url(Scheme::Ws, self.running()?.address()?, path)
    }

    /// As [`lan_url`](Self::lan_url), with `http` in front: what to show as a QR code, say.
    pub fn lan_http_url(&self, path: &str) -> Option<String> {
        lan_url(Scheme::Http, self.running()?.address()?, path)
    }

    /// All of them: for each listener its address, and at last the one for the local network, where there is
    /// one.
    pub fn urls(&self, path: &str) -> Vec<String> {
        let Some(running) = self.running() else { return Vec::new() };
        listen::urls(running.listeners.iter().filter_map(|listener| listener.socket.local_addr()), path)
    }

    /// The address that it listens on, port included; the IPv4 one of a server on `localhost`. `None`
    /// on a Unix socket, and once it has stopped.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.connections.servers.get(self.id)?.address()
    }
}

/// What holds for its connections, and their end.
impl ServerHandle<'_> {
    /// Sets what holds for connections that are accepted from now on; those that are there keep their rules. The numbers of
    /// connections that may come stay those that the server was started with.
    ///
    /// # Errors
    /// [`InvalidConfig`] says which part of the configuration is invalid; nothing has changed then.
    pub fn set_config(&mut self, config: ServerConfig) -> Result<(), InvalidConfig> {
        config.check()?;
        self.connections.set_server_config(self.id, config);
        Ok(())
    }

    /// Stops the server: from now on nobody is accepted, and the port is free.
    ///
    /// Then, from the next turn on: [`Event::Stopping`](crate::Event::Stopping), while the clients are still
    /// open; each of them is told 1001; what they still send is delivered, and `Closed` for each; at last, when
    /// all are gone or the deadline has cut the rest, [`Event::Stopped`](crate::Event::Stopped).
    ///
    /// Over HTTP no further request is taken. Event streams (`text/event-stream`) end at once; every other answer,
    /// also one that is given later, and every request that is arriving goes on to its end. What the deadline cuts, the
    /// peer sees cut off, and its `Closed` has [`Error::Stopped`](ws_proto::Error::Stopped) as error.
    ///
    /// Stopping twice is harmless: the earlier deadline holds. Listening anew is possible at any time.
    pub fn stop(&mut self, deadline: Duration) {
        self.stop_with(Stop::within(deadline));
    }

    /// As [`stop`](Self::stop), with another code and a reason, and over a time: each connection is told in its turn, plain
    /// HTTP included, so that an event stream ends when its turn comes; those whose turn has not come are served as ever.
    /// A thousand clients then do not come back in the same second. The deadline counts from the end of that time.
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
    /// Of a server that is stopping already, the earlier deadline and the earlier end of the spread hold, and the code and
    /// the reason stay those of the first call.
    pub fn stop_with(&mut self, stop: Stop) {
        self.connections.servers.stop(self.id, self.connections.now, stop);
    }
}

/// What it counts.
impl ServerHandle<'_> {
    /// How many WebSocket clients it has: connecting, open or closing.
    pub fn count(&self) -> usize {
        self.connections.servers.get(self.id).map_or(0, |server| server.websockets)
    }

    /// How many plain HTTP connections it has: also idle ones, and those that have asked nothing yet. Of
    /// the end of the latter the application is told only with
    /// [`ServerConfig::report_all_closes`].
    pub fn http_count(&self) -> usize {
        self.connections.servers.get(self.id).map_or(0, |server| server.http)
    }

    /// How many connections it has rejected since it started, being at its
    /// [`max_connections`](ServerConfig::max_connections), or the peer at its
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
