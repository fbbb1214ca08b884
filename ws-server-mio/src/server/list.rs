//! The list of servers, and how one stops.
//!
//! ```text
//!  listen ──▶ Serving ──stop──▶ Announced ──▶ Closing ──▶ Waiting ──deadline──▶ Overdue ──▶ Ending ──▶ gone
//!             accepts           emits         closes      until all            reads       aborts     emits
//!                               Stopping      each, over  are gone ─┐          what had    the rest   Stopped
//!                                             the spread            │          arrived                 ▲
//!                                                                   └──────────────────────────────────┘
//! ```
//!
//! The deadline takes effect like any other: after reading what had arrived, and after writing what the peers take at
//! once. So a stop without any grace still sends its Close. A flood delays it no longer than one turn reads.

use crate::connection::readable::Readable;
use crate::ids::{NO_SERVER, ServerId, ServerIndex};
use crate::sys::listener::Acceptor;
use mio::Token;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use ws_host::layer::Layer;
use ws_host::listen::{AcceptFailures, Scheme};
use ws_host::server::{Admission, ServerConfig, Stop, UpgradeRule};
#[cfg(feature = "tls-no-provider")]
use ws_host::tls::{ServerTls, TlsLayer};
use ws_host::token::TokenRule;
use ws_proto::Moment;
use ws_proto::{Config, Transport};

#[derive(Clone, Copy, Debug)]
enum Phase {
    Serving,
    /// `stop` was called; the handler does not know yet.
    Announced,
    /// This many connections are being closed; those in slots from `cursor` on are not yet.
    Closing {
        cursor: u32,
        closed: usize,
    },
    Waiting,
    /// The deadline passed. First, what has arrived is read: in one pass, of which there were so many before.
    Overdue {
        passes: u64,
    },
    /// Connections in slots from `cursor` on are not aborted yet.
    Ending {
        cursor: u32,
    },
}

/// How a server stops.
pub(crate) struct Stopping {
    pub(crate) stop: Stop,
    since: Moment,
    /// How many connections it had when it began to stop.
    count: usize,
    /// `None` is beyond the clock's range.
    deadline: Option<Moment>,
}

impl Stopping {
    fn new(now: Moment, count: usize, stop: Stop) -> Self {
        // It counts from the end of the spread.
        let deadline = now.checked_add(stop.get_spread().saturating_add(stop.get_deadline()));
        Self { stop, since: now, count, deadline }
    }

    /// Takes the earlier of both times; the code and reason stay.
    fn merge(&mut self, now: Moment, stop: &Stop) {
        let other = Self::new(now, self.count, stop.clone());
        self.deadline = self.deadline.into_iter().chain(other.deadline).min();
        let spread = now.since(self.since).saturating_add(stop.get_spread());
        self.stop = self.stop.clone().spread(self.stop.get_spread().min(spread));
    }

    fn is_over(&self, now: Moment) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// When the next connection is closed.
    fn next_at(&self, closed: usize) -> Option<Moment> {
        self.since.checked_add(self.stop.next_at(self.count, closed))
    }

    fn closes_next(&self, now: Moment, closed: usize) -> bool {
        self.next_at(closed).is_some_and(|at| at <= now)
    }
}

/// The next step of a stopping server.
pub(crate) enum Step {
    Nothing,
    /// Emit `Stopping`.
    Stopping(ServerId),
    /// Close this connection because the server goes away.
    Close(u32),
    /// Write to this connection a last time, and abort it unless it takes much: then it is the next again.
    Abort(u32),
    /// Emit `Stopped`; the server is removed.
    Stopped(ServerId),
}

pub(crate) struct Listener {
    pub(crate) socket: Acceptor,
    /// Connections may be waiting.
    pub(crate) ready: bool,
    /// Accepting failed for lack of resources; retry no earlier than this.
    pub(crate) retry_at: Option<Moment>,
}

pub(crate) struct Server {
    generation: u32,
    pub(crate) config: Arc<Config>,
    pub(crate) transport: Transport,
    pub(crate) admission: Admission,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) upgrades: UpgradeRule,
    pub(crate) token: Option<Arc<TokenRule>>,
    pub(crate) is_tls: bool,
    #[cfg(feature = "tls-no-provider")]
    pub(crate) tls: Option<ServerTls>,
    address: Option<SocketAddr>,
    phase: Phase,
    pub(crate) stopping: Option<Box<Stopping>>,
    pub(crate) http: usize,
    pub(crate) websockets: usize,
    /// Which failures to accept are reported.
    pub(crate) failures: AcceptFailures,
}

impl Server {
    pub(crate) fn new(
        config: ServerConfig,
        listeners: Vec<Listener>,
        address: Option<SocketAddr>,
        transport: Transport,
    ) -> Self {
        let connection = config.connection_config_at(address);
        Self {
            generation: 0,
            admission: Admission::new(&config),
            upgrades: config.upgrade_rule(),
            token: config.token_rule(address, connection.get_wall_clock()).map(Arc::new),
            is_tls: config.is_tls(),
            #[cfg(feature = "tls-no-provider")]
            tls: config.server_tls(&connection),
            config: Arc::new(connection),
            transport,
            listeners,
            address,
            phase: Phase::Serving,
            stopping: None,
            http: 0,
            websockets: 0,
            failures: AcceptFailures::default(),
        }
    }

    /// Sets the configuration of future connections.
    pub(crate) fn set_config(&mut self, config: &ServerConfig) {
        self.upgrades = config.upgrade_rule();
        self.is_tls = config.is_tls();
        let connection = config.connection_config_at(self.address);
        #[cfg(feature = "tls-no-provider")]
        {
            self.tls = config.server_tls(&connection);
        }
        self.token = config.token_rule(self.address, connection.get_wall_clock()).map(Arc::new);
        self.config = Arc::new(connection);
    }

    /// TLS of a new connection, if the server speaks it.
    pub(crate) fn tls_layer(&self) -> Option<Layer> {
        #[cfg(feature = "tls-no-provider")]
        let layer = self.tls.as_ref().map(|tls| TlsLayer::server(tls.clone()).into());
        #[cfg(not(feature = "tls-no-provider"))]
        let layer = None;
        layer
    }

    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The scheme that fits its TLS, and the address.
    pub(crate) fn at(&self, scheme: Scheme) -> Option<(Scheme, SocketAddr)> {
        Some((scheme.secure(self.is_tls), self.address?))
    }

    /// When a stopping server needs its next step.
    fn due(&self) -> Option<Moment> {
        let stopping = self.stopping.as_deref()?;
        match self.phase {
            Phase::Closing { closed, .. } => {
                stopping.next_at(closed).into_iter().chain(stopping.deadline).min()
            }
            Phase::Announced | Phase::Waiting => stopping.deadline,
            Phase::Serving | Phase::Overdue { .. } | Phase::Ending { .. } => None,
        }
    }

    fn is_over(&self, now: Moment) -> bool {
        self.stopping.as_ref().is_some_and(|stopping| stopping.is_over(now))
    }
}

/// The servers of an endpoint.
#[derive(Default)]
pub(crate) struct Servers {
    list: Vec<Option<Server>>,
    generation: u32,
    /// A server is stopping, or has connections to accept. Most turns need only this check.
    busy: bool,
    /// The listener to accept from next.
    place: usize,
}

/// Tokens of listeners count down from below the waker's; those of connections count up from zero.
const FIRST_LISTENER: usize = usize::MAX - 1;
/// The most sockets per server.
const LISTENERS: usize = 2;

impl Servers {
    pub(crate) fn get(&self, id: ServerId) -> Option<&Server> {
        self.list.get(usize::from(id.index))?.as_ref().filter(|server| server.generation == id.generation)
    }

    pub(crate) fn get_mut(&mut self, id: ServerId) -> Option<&mut Server> {
        self.list.get_mut(usize::from(id.index))?.as_mut().filter(|server| server.generation == id.generation)
    }

    pub(crate) fn at(&self, index: ServerIndex) -> Option<&Server> {
        self.list.get(usize::from(index))?.as_ref()
    }

    #[inline]
    pub(crate) fn at_mut(&mut self, index: ServerIndex) -> Option<&mut Server> {
        self.list.get_mut(usize::from(index))?.as_mut()
    }

    /// A free index.
    pub(crate) fn vacant(&self) -> Option<ServerIndex> {
        let place = self.list.iter().position(Option::is_none).unwrap_or(self.list.len());
        ServerIndex::try_from(place).ok().filter(|index| *index < NO_SERVER)
    }

    /// The token of a server's listener.
    pub(crate) fn token(index: ServerIndex, place: usize) -> Token {
        Token(FIRST_LISTENER - (usize::from(index) * LISTENERS + place))
    }

    pub(crate) fn add(&mut self, index: ServerIndex, mut server: Server) -> ServerId {
        self.generation = self.generation.wrapping_add(1);
        server.generation = self.generation;
        match self.list.get_mut(usize::from(index)) {
            Some(empty) => *empty = Some(server),
            None => self.list.push(Some(server)),
        }
        ServerId { index, generation: self.generation }
    }

    /// Begins to stop a server, or moves its deadline forward.
    pub(crate) fn stop(&mut self, id: ServerId, now: Moment, stop: Stop) {
        let Some(server) = self.get_mut(id) else { return };
        match &mut server.stopping {
            Some(stopping) => stopping.merge(now, &stop),
            None => {
                server.stopping = Some(Box::new(Stopping::new(now, server.admission.connections(), stop)));
                server.phase = Phase::Announced;
                server.listeners.clear();
            }
        }
        self.busy = true;
    }

    pub(crate) fn id_at(&self, index: ServerIndex) -> Option<ServerId> {
        let server = self.list.get(usize::from(index))?.as_ref()?;
        Some(ServerId { index, generation: server.generation })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.iter().all(Option::is_none)
    }

    /// One above the highest index.
    pub(crate) fn end(&self) -> ServerIndex {
        self.list.len() as ServerIndex
    }

    /// How many listeners there may be.
    pub(crate) fn places(&self) -> usize {
        self.list.len() * LISTENERS
    }

    /// The next listener to accept from.
    pub(crate) fn next_place(&mut self) -> (ServerIndex, usize) {
        let place = self.place % self.places().max(1);
        self.place = place + 1;
        ((place / LISTENERS) as ServerIndex, place % LISTENERS)
    }

    /// A listener is readable. Stale tokens are ignored.
    pub(crate) fn ready(&mut self, token: Token) {
        let Some(place) = FIRST_LISTENER.checked_sub(token.0) else { return };
        let Some(Some(server)) = self.list.get_mut(place / LISTENERS) else { return };
        if let Some(listener) = server.listeners.get_mut(place % LISTENERS) {
            listener.ready = true;
            self.busy = true;
        }
    }

    /// Whether any server needs work now.
    #[inline]
    pub(crate) fn has_work(&self, now: Moment) -> bool {
        self.busy && self.any_has_work(now)
    }

    fn any_has_work(&self, now: Moment) -> bool {
        self.list.iter().flatten().any(|server| match server.phase {
            Phase::Serving if server.admission.at_handshake_limit() => false,
            Phase::Serving => server
                .listeners
                .iter()
                .any(|listener| listener.ready && listener.retry_at.is_none_or(|at| at <= now)),
            Phase::Closing { closed, .. } => {
                let next = server.stopping.as_ref().is_none_or(|stopping| stopping.closes_next(now, closed));
                next || server.admission.connections() == 0 || server.is_over(now)
            }
            Phase::Waiting => server.admission.connections() == 0 || server.is_over(now),
            // Aborted connections go through the dirty list.
            Phase::Ending { cursor } => server.admission.connections() == 0 || cursor < u32::MAX,
            Phase::Announced | Phase::Overdue { .. } => true,
        })
    }

    /// The time until a server needs a turn.
    #[inline]
    pub(crate) fn wait_from(&self, now: Moment) -> Option<Duration> {
        if !self.busy { None } else { Some(self.next_deadline()?.since(now)) }
    }

    fn next_deadline(&self) -> Option<Moment> {
        let servers = self.list.iter().flatten();
        servers
            .flat_map(|server| {
                // A server at its handshake limit resumes when a handshake has ended.
                let listeners = server.listeners.iter().filter(|_| !server.admission.at_handshake_limit());
                listeners.filter_map(|listener| listener.retry_at).chain(server.due())
            })
            .min()
    }

    /// Whether any server does more than serve its connections.
    #[inline]
    pub(crate) fn busy(&self) -> bool {
        self.busy
    }

    /// The end of a turn: updates `busy`.
    #[inline]
    pub(crate) fn settle(&mut self) {
        if self.busy {
            self.busy = self.list.iter().flatten().any(|server| {
                let is_idle = |listener: &Listener| !listener.ready && listener.retry_at.is_none();
                !matches!(server.phase, Phase::Serving) || !server.listeners.iter().all(is_idle)
            });
        }
    }

    /// The next step of a stopping server. `owner` maps a slot to its server, unless its connection is over.
    pub(crate) fn step(
        &mut self,
        index: ServerIndex,
        now: Moment,
        end: u32,
        readable: &Readable,
        owner: impl Fn(u32) -> Option<ServerIndex>,
    ) -> Step {
        let id = self.id_at(index);
        let (Some(server), Some(id)) = (self.at_mut(index), id) else { return Step::Nothing };
        let next = |from: u32| (from..end).find(|slot| owner(*slot) == Some(index));
        loop {
            match server.phase {
                Phase::Serving => return Step::Nothing,
                Phase::Announced => {
                    server.phase = Phase::Closing { cursor: 0, closed: 0 };
                    return Step::Stopping(id);
                }
                Phase::Closing { .. } if server.is_over(now) || server.admission.connections() == 0 => {
                    server.phase = Phase::Waiting;
                }
                Phase::Closing { cursor, closed } => {
                    if server.stopping.as_ref().is_some_and(|stopping| !stopping.closes_next(now, closed)) {
                        return Step::Nothing;
                    }
                    match next(cursor) {
                        Some(slot) => {
                            server.phase = Phase::Closing { cursor: slot + 1, closed: closed + 1 };
                            return Step::Close(slot);
                        }
                        None => server.phase = Phase::Waiting,
                    }
                }
                Phase::Waiting if server.admission.connections() > 0 => {
                    if !server.is_over(now) {
                        return Step::Nothing;
                    }
                    server.phase = Phase::Overdue { passes: readable.passes };
                }
                Phase::Overdue { passes } if server.admission.connections() > 0 => {
                    if readable.passes == passes && readable.ready() > 0 {
                        return Step::Nothing;
                    }
                    server.phase = Phase::Ending { cursor: 0 };
                }
                Phase::Ending { cursor } if server.admission.connections() > 0 => match next(cursor) {
                    Some(slot) => {
                        server.phase = Phase::Ending { cursor: slot };
                        return Step::Abort(slot);
                    }
                    None => {
                        server.phase = Phase::Ending { cursor: u32::MAX };
                        return Step::Nothing;
                    }
                },
                Phase::Waiting | Phase::Overdue { .. } | Phase::Ending { .. } => {
                    self.list[usize::from(index)] = None;
                    return Step::Stopped(id);
                }
            }
        }
    }
}
