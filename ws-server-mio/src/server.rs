//! Listening: start, stop, addresses, counts.
//!
//! ```text
//!  listen ──▶ Serving ──stop──▶ Announced ──▶ Telling ──▶ Waiting ──deadline──▶ Ending ──▶ gone
//!             accepts           Stopping      1001 to     until all            the rest    Stopped
//!                               is told       everyone    are gone ─────────── is cut ───▶ is told
//! ```

use crate::bind::{Bind, ListenError};
use crate::connections::Connections;
use crate::slots::{ConnectionId, flag};
use mio::net::TcpListener;
use mio::{Interest, Token};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use ws_proto::{Cause, CloseCode, Config};

/// Place of a server in the list; small, since each connection keeps one.
pub(crate) type ServerIndex = u16;

/// Which server, for as long as the endpoint lives. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId {
    index: ServerIndex,
    generation: u32,
}

/// What a server allows: the rules of each connection, and how many there may be.
///
/// A [`Config`] alone is a server with the other defaults.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// The rules of each connection.
    pub connection: Config,
    /// The most connections at a time, plain HTTP included; further ones are closed as they come. 10,000.
    pub max_connections: usize,
}

impl ServerConfig {
    /// The defaults, with these rules for each connection.
    pub fn new(connection: Config) -> Self {
        Self { connection, max_connections: 10_000 }
    }

    /// Sets the most connections at a time.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self::new(Config::server())
    }
}

impl From<Config> for ServerConfig {
    fn from(connection: Config) -> Self {
        Self::new(connection)
    }
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Serving,
    /// `stop` was called; the handler is not told yet.
    Announced {
        deadline: Option<Instant>,
    },
    /// Connections in slots from `cursor` on are not told yet.
    Telling {
        deadline: Option<Instant>,
        cursor: u32,
    },
    Waiting {
        deadline: Option<Instant>,
    },
    /// The deadline passed; connections in slots from `cursor` on are not cut yet.
    Ending {
        cursor: u32,
    },
}

/// What there is to do for a server that stops.
pub(crate) enum Step {
    Nothing,
    /// Tell the handler.
    Stopping(ServerId),
    /// Tell this connection that the server goes away.
    Tell(u32),
    /// Cut this connection.
    Cut(u32),
    /// Tell the handler; the server is removed.
    Stopped(ServerId),
}

pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    /// Connections may wait.
    pub(crate) ready: bool,
    /// Accepting failed for want of something; not again before this.
    pub(crate) retry_at: Option<Instant>,
}

pub(crate) struct Server {
    generation: u32,
    pub(crate) config: Arc<Config>,
    pub(crate) max_connections: usize,
    pub(crate) listeners: Vec<Listener>,
    address: SocketAddr,
    phase: Phase,
    /// Sockets that are open, whatever they are.
    pub(crate) sockets: usize,
    pub(crate) http: usize,
    pub(crate) websockets: usize,
    pub(crate) turned_away: u64,
    /// Accepting failed, and the handler was told.
    pub(crate) failing: bool,
}

impl Server {
    fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Announced { deadline } | Phase::Telling { deadline, .. } | Phase::Waiting { deadline } => {
                deadline
            }
            Phase::Serving | Phase::Ending { .. } => None,
        }
    }
}

/// The servers of an endpoint.
#[derive(Default)]
pub(crate) struct Servers {
    list: Vec<Option<Server>>,
    generation: u32,
}

/// Tokens of listeners count down from below the waker's; those of connections count up from zero.
const FIRST_LISTENER: usize = usize::MAX - 1;
/// At most this many sockets to a server.
pub(crate) const LISTENERS: usize = 2;

impl Servers {
    pub(crate) fn get(&self, id: ServerId) -> Option<&Server> {
        self.list.get(usize::from(id.index))?.as_ref().filter(|server| server.generation == id.generation)
    }

    fn get_mut(&mut self, id: ServerId) -> Option<&mut Server> {
        self.list.get_mut(usize::from(id.index))?.as_mut().filter(|server| server.generation == id.generation)
    }

    #[inline]
    pub(crate) fn at_mut(&mut self, index: ServerIndex) -> Option<&mut Server> {
        self.list.get_mut(usize::from(index))?.as_mut()
    }

    pub(crate) fn id_at(&self, index: ServerIndex) -> Option<ServerId> {
        let server = self.list.get(usize::from(index))?.as_ref()?;
        Some(ServerId { index, generation: server.generation })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.iter().all(Option::is_none)
    }

    /// One above the highest index in use.
    pub(crate) fn end(&self) -> ServerIndex {
        self.list.len() as ServerIndex
    }

    /// A listener is readable. Tokens that mean nothing any more are ignored.
    pub(crate) fn ready(&mut self, token: Token) {
        let Some(place) = FIRST_LISTENER.checked_sub(token.0) else { return };
        let Some(Some(server)) = self.list.get_mut(place / LISTENERS) else { return };
        if let Some(listener) = server.listeners.get_mut(place % LISTENERS) {
            listener.ready = true;
        }
    }

    /// Whether there is something to do now for any server.
    pub(crate) fn has_work(&self, now: Instant) -> bool {
        self.list.iter().flatten().any(|server| match server.phase {
            Phase::Serving => server
                .listeners
                .iter()
                .any(|listener| listener.ready && listener.retry_at.is_none_or(|at| at <= now)),
            Phase::Waiting { deadline } => {
                server.sockets == 0 || deadline.is_some_and(|deadline| deadline <= now)
            }
            // What is cut goes through the list of the touched.
            Phase::Ending { cursor } => server.sockets == 0 || cursor < u32::MAX,
            Phase::Announced { .. } | Phase::Telling { .. } => true,
        })
    }

    /// The next moment at which a server wants to act by itself.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let servers = self.list.iter().flatten();
        servers
            .flat_map(|server| {
                let retries = server.listeners.iter().filter_map(|listener| listener.retry_at);
                retries.chain(server.deadline())
            })
            .min()
    }

    /// The next thing to do for a server that stops. `owner` says whose a slot is.
    pub(crate) fn step(
        &mut self,
        index: ServerIndex,
        now: Instant,
        end: u32,
        owner: impl Fn(u32) -> Option<ServerIndex>,
    ) -> Step {
        let id = self.id_at(index);
        let (Some(server), Some(id)) = (self.at_mut(index), id) else { return Step::Nothing };
        let next = |from: u32| (from..end).find(|slot| owner(*slot) == Some(index));
        loop {
            match server.phase {
                Phase::Serving => return Step::Nothing,
                Phase::Announced { deadline } => {
                    server.phase = Phase::Telling { deadline, cursor: 0 };
                    return Step::Stopping(id);
                }
                Phase::Telling { deadline, cursor } => match next(cursor) {
                    Some(slot) => {
                        server.phase = Phase::Telling { deadline, cursor: slot + 1 };
                        return Step::Tell(slot);
                    }
                    None => server.phase = Phase::Waiting { deadline },
                },
                Phase::Waiting { deadline } if server.sockets > 0 => {
                    if deadline.is_none_or(|deadline| now < deadline) {
                        return Step::Nothing;
                    }
                    server.phase = Phase::Ending { cursor: 0 };
                }
                Phase::Ending { cursor } if server.sockets > 0 => match next(cursor) {
                    Some(slot) => {
                        server.phase = Phase::Ending { cursor: slot + 1 };
                        return Step::Cut(slot);
                    }
                    None => {
                        server.phase = Phase::Ending { cursor: u32::MAX };
                        return Step::Nothing;
                    }
                },
                Phase::Waiting { .. } | Phase::Ending { .. } => {
                    self.list[usize::from(index)] = None;
                    return Step::Stopped(id);
                }
            }
        }
    }
}

/// Servers.
impl Connections {
    /// Starts a server. It accepts from the next turn on; what follows comes as events.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use ws_server_mio::{Bind, Config, Endpoint, Options, ServerConfig};
    ///
    /// let mut endpoint = Endpoint::new(Options::default())?;
    /// let connections = endpoint.connections();
    /// let local = connections.listen(Bind::localhost(), Config::server())?;
    /// let lan = connections.listen(Bind::lan().port_range(8700..=8799), ServerConfig::default().max_connections(50))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ListenError`] says what was tried. Nothing is left behind, and trying again is fine.
    pub fn listen(
        &mut self,
        bind: impl Into<Bind>,
        config: impl Into<ServerConfig>,
    ) -> Result<ServerId, ListenError> {
        let ServerConfig { connection: mut config, max_connections } = config.into();
        config.date.get_or_insert((self.now, SystemTime::now()));
        let place = self.servers.list.iter().position(Option::is_none).unwrap_or(self.servers.list.len());
        let sockets = bind.into().open()?;
        let failed = |error: io::Error| ListenError::new(Vec::new(), error);
        let index = ServerIndex::try_from(place).map_err(|_| failed(io::ErrorKind::OutOfMemory.into()))?;
        let mut listeners = Vec::with_capacity(sockets.len());
        let mut address = None;
        for (k, socket) in sockets.into_iter().enumerate() {
            address = address.or(Some(socket.local_addr().map_err(failed)?));
            let mut socket = TcpListener::from_std(socket);
            let token = Token(FIRST_LISTENER - (place * LISTENERS + k));
            self.registry.register(&mut socket, token, Interest::READABLE).map_err(failed)?;
            listeners.push(Listener { socket, ready: false, retry_at: None });
        }
        let Some(address) = address else { return Err(ListenError::NoPort) };
        self.servers.generation = self.servers.generation.wrapping_add(1);
        let generation = self.servers.generation;
        let server = Some(Server {
            generation,
            config: Arc::new(config),
            max_connections,
            listeners,
            address,
            phase: Phase::Serving,
            sockets: 0,
            http: 0,
            websockets: 0,
            turned_away: 0,
            failing: false,
        });
        match self.servers.list.get_mut(place) {
            Some(empty) => *empty = server,
            None => self.servers.list.push(server),
        }
        Ok(ServerId { index, generation })
    }

    /// Stops a server: from now on nobody is accepted, and the port is free.
    ///
    /// Then, from the next turn on: [`Event::Stopping`](crate::Event::Stopping), while the clients are still
    /// open; each of them is told 1001; what they still send is delivered, and `Closed` for each; at last, when
    /// all are gone or the deadline has cut the rest, [`Event::Stopped`](crate::Event::Stopped).
    ///
    /// Stopping twice is harmless: the earlier deadline holds. Listening anew is possible at any time.
    pub fn stop(&mut self, server: ServerId, deadline: Duration) {
        // A deadline that no clock will ever show is none.
        let new = self.now.checked_add(deadline);
        let Some(server) = self.servers.get_mut(server) else { return };
        match &mut server.phase {
            phase @ Phase::Serving => {
                *phase = Phase::Announced { deadline: new };
                server.listeners.clear();
            }
            Phase::Announced { deadline } | Phase::Telling { deadline, .. } | Phase::Waiting { deadline } => {
                *deadline = match (*deadline, new) {
                    (Some(old), Some(new)) => Some(old.min(new)),
                    (old, new) => old.or(new),
                };
            }
            Phase::Ending { .. } => {}
        }
    }

    /// The address that a server listens on, port included; the IPv4 one of a server on `localhost`. `None`
    /// once it has stopped.
    pub fn local_addr(&self, server: ServerId) -> Option<SocketAddr> {
        Some(self.servers.get(server)?.address)
    }

    /// The address to connect to from this machine: `ws://127.0.0.1:8700/path`, and `localhost` for a server
    /// on every interface. A slash in front of the path may be left out.
    pub fn url(&self, server: ServerId, path: &str) -> Option<String> {
        self.url_with("ws", server, path)
    }

    /// As [`Connections::url`], with `http` in front: what to give to a browser.
    pub fn http_url(&self, server: ServerId, path: &str) -> Option<String> {
        self.url_with("http", server, path)
    }

    fn url_with(&self, scheme: &str, server: ServerId, path: &str) -> Option<String> {
        let address = self.local_addr(server)?;
        let path = path.replace('\\', "/");
        let slash = if path.starts_with('/') { "" } else { "/" };
        Some(match address.ip().is_unspecified() {
            true => format!("{scheme}://localhost:{}{slash}{path}", address.port()),
            false => format!("{scheme}://{address}{slash}{path}"),
        })
    }

    /// How many WebSocket clients a server has: connecting, open or closing.
    pub fn count(&self, server: ServerId) -> usize {
        self.servers.get(server).map_or(0, |server| server.websockets)
    }

    /// How many plain HTTP connections a server has, idle ones included.
    pub fn http_count(&self, server: ServerId) -> usize {
        self.servers.get(server).map_or(0, |server| server.http)
    }

    /// How many connections a server has turned away since it started, being at its
    /// [`max_connections`](ServerConfig::max_connections).
    pub fn turned_away(&self, server: ServerId) -> u64 {
        self.servers.get(server).map_or(0, |server| server.turned_away)
    }

    /// The servers that listen or are about to stop.
    pub fn servers(&self) -> impl Iterator<Item = ServerId> {
        (0..self.servers.end()).filter_map(|index| self.servers.id_at(index))
    }

    /// Which server a connection came to.
    pub fn server_of(&self, id: ConnectionId) -> Option<ServerId> {
        self.servers.id_at(self.slots.get(id)?.server)
    }

    /// Tells a client that its server goes away.
    pub(crate) fn leave(&mut self, slot: u32) {
        let now = self.now;
        let Some(live) = self.slots.at_mut(slot) else { return };
        // Plain HTTP ends with what is answered; who is ending already needs no word.
        let _ = live.connection.close(now, CloseCode::GOING_AWAY, "");
        self.touch(slot);
    }

    /// Cuts a connection that did not leave in time.
    pub(crate) fn cut(&mut self, slot: u32) {
        if let Some(live) = self.slots.at_mut(slot) {
            live.connection.abort(self.now, Cause::Terminated);
            self.touch(slot);
        }
    }

    /// The connection is plain HTTP no longer, and counted as a WebSocket.
    pub(crate) fn count_upgrade(&mut self, slot: u32) {
        self.recount(slot, flag::HTTP, flag::WEBSOCKET);
    }

    /// The upgrade was refused.
    pub(crate) fn count_refusal(&mut self, slot: u32) {
        self.recount(slot, flag::WEBSOCKET, flag::HTTP);
    }

    /// The connection is no client any more, though its socket may still drain.
    pub(crate) fn uncount(&mut self, slot: u32) {
        self.recount(slot, flag::HTTP | flag::WEBSOCKET, 0);
    }

    /// Moves a connection from one kind to another.
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
