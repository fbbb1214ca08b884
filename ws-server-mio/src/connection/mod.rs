//! The methods of `Connections`, for handlers and between turns alike.

pub(crate) mod couple;
pub(crate) mod data;
pub(crate) mod deadlines;
pub(crate) mod io;
pub(crate) mod lists;
pub(crate) mod negotiated;
pub(crate) mod paths;
pub(crate) mod pause;
pub(crate) mod pool;
pub(crate) mod readable;
pub(crate) mod relay;
pub(crate) mod respond_file;
pub(crate) mod slots;
pub(crate) mod tokens;
pub(crate) mod upkeep;

use crate::client::list::Clients;
use crate::client::resolver::Resolver;
use crate::connection::couple::Couples;
use crate::connection::data::Data;
use crate::connection::deadlines::Deadlines;
use crate::connection::lists::Leftover;
use crate::connection::paths::Paths;
use crate::connection::pool::Pool;
use crate::connection::readable::Readable;
use crate::connection::slots::{Slots, flag, mark};
use crate::event::Event;
use crate::extension;
use crate::fanout::FanOut;
use crate::files::Files;
use crate::ids::{ConnectionId, ServerId};
use crate::server::list::Servers;
use crate::sys::Sys;
use crate::sys::custom::CustomSockets;
use crate::timers::Timers;
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;
use ws_host::server::Stats;
use ws_host::sleep::SleepDetector;
use ws_host::socket::canonical;
use ws_host::token::Bearers;
use ws_proto::{
    CloseCode, Error, Moment, Outgoing, Request, RespondError, ResponseBody, SendError, Sent, State, Upgrade,
};

/// The closure of a timer.
pub(crate) type TimerJob = Box<dyn FnOnce(&mut Connections) + Send>;

/// All servers and connections of an endpoint: passed to handlers and, between turns, returned by
/// [`Endpoint::connections`](crate::Endpoint::connections).
///
/// Methods only queue; the turn writes at its end, once per connection. They treat the id of a connection that is gone
/// as closed: [`SendError::NotOpen`], [`State::Closed`], `None`, 0.
pub struct Connections {
    pub(crate) slots: Slots,
    pub(crate) servers: Servers,
    pub(crate) clients: Clients,
    /// The resolver, if lookups are enabled.
    pub(crate) resolver: Option<Resolver>,
    /// The system.
    pub(crate) sys: Sys,
    /// Sockets that are not the system's.
    pub(crate) sockets: CustomSockets,
    pub(crate) deadlines: Deadlines,
    /// The time when the clock was last read.
    pub(crate) now: Moment,
    /// Detects sleep, and sets the time of day of all servers.
    pub(crate) sleep: SleepDetector,
    /// Connections that may have events or output, each once.
    pub(crate) dirty: VecDeque<u32>,
    pub(crate) readable: Readable,
    pub(crate) leftovers: HashMap<u32, Leftover>,
    /// Events that an extension was observing when it panicked; the handler has not seen them yet.
    pub(crate) pending_events: VecDeque<Event<'static>>,
    /// A server has stopped in a turn that a panic ended.
    pub(crate) stopped: bool,
    /// Failed accepts to be reported.
    pub(crate) failures: VecDeque<(ServerId, std::io::Error)>,
    pub(crate) pool: Pool,
    pub(crate) files: Files,
    pub(crate) couples: Couples,
    pub(crate) data: Data,
    pub(crate) paths: Paths,
    pub(crate) bearers: Bearers<ConnectionId>,
    pub(crate) timers: Timers<TimerJob>,
    pub(crate) exit: bool,
    pub(crate) fanout: FanOut,
    /// Counts of the endpoint, and the bytes of connections that are gone.
    pub(crate) totals: Stats,
    pub(crate) extension: extension::ExtensionSlot,
    /// An extension is set.
    pub(crate) intercepted: bool,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("len", &self.slots.len()).finish_non_exhaustive()
    }
}

/// One connection.
impl Connections {
    /// Accepts an upgrade: answers the handshake with 101.
    ///
    /// # Errors
    /// As [`ws_proto::Connection::accept`]; [`RespondError::NotOpen`] when the connection is gone.
    pub fn accept(&mut self, id: ConnectionId, upgrade: Upgrade) -> Result<(), RespondError> {
        let path = Box::from(upgrade.path());
        self.answer(id, |connection, now| connection.accept(now, upgrade))?;
        if let Some(live) = self.slots.get_mut(id) {
            self.paths.keep(id.slot, live, path);
        }
        Ok(())
    }

    /// Answers a request, now or later; or rejects an upgrade, which is the last request of its connection.
    ///
    /// # Errors
    /// As [`ws_proto::Connection::respond`]; [`RespondError::NotOpen`] when the connection is gone.
    pub fn respond(
        &mut self,
        id: ConnectionId,
        request: impl Into<Request>,
        response: http::Response<Bytes>,
    ) -> Result<(), RespondError> {
        let request = request.into();
        self.answer(id, |connection, now| connection.respond(now, request, response))?;
        self.count_answer(id.slot);
        Ok(())
    }

    /// Begins a streaming response, now or later. With a `length` the body must have exactly
    /// that length.
    ///
    /// Without a length the response may last forever, and ends when the peer has gone: at the end of its stream, at a
    /// reset, or, on systems that support it, within 45 s after the peer has fallen silent and no longer answers kernel
    /// probes.
    ///
    /// # Errors
    /// As [`ws_proto::PlainHttp::respond_streaming`]; [`RespondError::NotOpen`] when the connection is gone.
    pub fn respond_streaming(
        &mut self,
        id: ConnectionId,
        request: impl Into<Request>,
        head: http::Response<()>,
        length: Option<u64>,
    ) -> Result<ResponseBody, RespondError> {
        let request = request.into();
        let body = self
            .answer(id, |connection, now| connection.http().respond_streaming(now, request, head, length))?;
        self.count_answer(id.slot);
        if length.is_none() && !body.is_discarded() {
            self.probe(id);
        }
        Ok(body)
    }

    /// Sends the next chunk of a body. After [`Sent::Congested`], wait for
    /// [`Drained`](crate::Event::Drained).
    ///
    /// # Errors
    /// As [`ws_proto::PlainHttp::send_body`]: [`RespondError::NotOpen`] when the peer is gone, and
    /// [`RespondError::Full`]. Nothing was queued then.
    pub fn send_body(
        &mut self,
        id: ConnectionId,
        body: &ResponseBody,
        chunk: impl Into<Bytes>,
    ) -> Result<Sent, RespondError> {
        self.answer(id, |connection, _| connection.http().send_body(body, chunk))
    }

    /// Finishes a body. Dropping it instead ends its connection, and the peer sees a truncated body.
    ///
    /// # Errors
    /// As [`ws_proto::PlainHttp::finish_body`]; [`RespondError::NotOpen`] when the connection is gone.
    pub fn finish_body(&mut self, id: ConnectionId, body: ResponseBody) -> Result<(), RespondError> {
        self.answer(id, |connection, now| connection.http().finish_body(now, body))
    }

    /// Sends a message, or a prepared frame: text (`&str`, `String`), bytes (`&[u8]`, `Vec<u8>`, [`Bytes`]), a
    /// received [`Message`](crate::Message), or a [`Frame`](crate::Frame). Large owned payloads are moved,
    /// not copied.
    ///
    /// ```
    /// # use ws_server_mio::{Connections, ConnectionId, Frame, Message, SendError};
    /// # fn f(connections: &mut Connections, id: ConnectionId, message: Message<'_>) -> Result<(), SendError> {
    /// connections.send(id, "hello")?;
    /// connections.send(id, vec![1, 2, 3])?;
    /// connections.send(id, message)?;
    /// connections.send(id, Frame::text("made once"))?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`SendError::NotOpen`], [`SendError::Full`], and for fragments [`SendError::FragmentOrder`] and
    /// [`SendError::NotUtf8`]; nothing was queued then.
    #[inline]
    pub fn send<'m>(
        &mut self,
        id: ConnectionId,
        outgoing: impl Into<Outgoing<'m>>,
    ) -> Result<Sent, SendError> {
        let outgoing = outgoing.into();
        let messages = u64::from(outgoing.ends_message());
        self.with(id, |connection, _| connection.send(outgoing)).inspect(|_| self.count_sent(id, messages))
    }

    /// Sends a Ping; the Pong that answers it is [`Event::Pong`](crate::Event::Pong).
    ///
    /// # Errors
    /// [`SendError::NotOpen`], [`SendError::ControlTooLong`].
    pub fn send_ping(&mut self, id: ConnectionId, payload: &[u8]) -> Result<Sent, SendError> {
        self.with(id, |connection, now| connection.send_ping(now, payload))
    }

    /// Begins the closing handshake. `Closed` follows when it is done or has timed out.
    ///
    /// A peer that reads pending output slowly may delay this for hours:
    /// [`Config::close_timeout`](ws_proto::Config::close_timeout). For a deadline of your own,
    /// [`terminate`](Self::terminate) the connection in a timer: [`after`](Self::after).
    ///
    /// # Errors
    /// [`SendError::NotOpen`], [`SendError::CloseCodeInvalid`], [`SendError::CloseReasonTooLong`].
    pub fn close(&mut self, id: ConnectionId, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.with(id, |connection, now| connection.close(now, code, reason))
    }

    /// Aborts a connection in any phase: it sends no Close frame, and queued output is lost. `Closed` still follows.
    /// The id of a connection that is gone is not an error.
    pub fn terminate(&mut self, id: ConnectionId) {
        if let Some(live) = self.slots.get_mut(id) {
            live.connection.abort(self.now, Error::Aborted);
            self.mark_dirty(id.slot);
        }
    }

    /// The state of a connection; [`State::Closed`] if there is no connection with this id.
    pub fn state(&self, id: ConnectionId) -> State {
        self.slots.get(id).map_or(State::Closed, |live| live.connection.state())
    }

    /// The path at which a server accepted a WebSocket, as sent: without query, not decoded. `None` for anything but a
    /// server's WebSocket, and for paths of more than 256 bytes. Paths other than `/` take memory while the WebSocket
    /// lasts.
    pub fn path(&self, id: ConnectionId) -> Option<&str> {
        self.paths.of(id.slot, self.slots.get(id)?)
    }

    /// How many bytes of output are queued for a connection.
    pub fn queued(&self, id: ConnectionId) -> usize {
        self.slots.get(id).map_or(0, |live| live.connection.queued())
    }

    /// How long the peer took to answer the last Ping.
    pub fn latency(&self, id: ConnectionId) -> Option<Duration> {
        self.slots.get(id)?.connection.latency()
    }

    /// The peer's address. An IPv4 peer has an IPv4 address, even on dual-stack servers; a peer on a Unix socket has
    /// none. Behind a [trusted proxy](crate::ServerConfig::trust_proxy) it is the client's, as of the last request, and
    /// the proxy's before the first.
    pub fn peer_addr(&self, id: ConnectionId) -> Option<SocketAddr> {
        self.slots.peer(id)
    }

    /// The address at the other end of the socket: behind a [trusted proxy](crate::ServerConfig::trust_proxy) that of the
    /// proxy, otherwise [`peer_addr`](Self::peer_addr). `None` on a Unix socket, and once the peer has reset the
    /// connection.
    pub fn transport_addr(&self, id: ConnectionId) -> Option<SocketAddr> {
        let live = self.slots.get(id)?;
        self.sockets.socket(id.slot, &live.stream).peer_addr().ok().map(canonical)
    }

    /// The address that the peer connected to; `None` on a Unix socket.
    pub fn local_addr(&self, id: ConnectionId) -> Option<SocketAddr> {
        let live = self.slots.get(id)?;
        self.sockets.socket(id.slot, &live.stream).local_addr().ok().map(canonical)
    }
}

/// All connections.
impl Connections {
    /// Every WebSocket of every server: connecting, open or closing.
    pub fn ids(&self) -> impl Iterator<Item = ConnectionId> {
        let websockets = self.slots.iter().filter(|(_, live)| live.has(flag::WEBSOCKET));
        websockets.map(|(slot, live)| live.id(slot))
    }

    /// Ends [`Endpoint::run`](crate::Endpoint::run) after this turn. For a graceful shutdown, stop the servers and
    /// disconnect the clients instead: the loop ends with the last of them.
    pub fn exit(&mut self) {
        self.exit = true;
    }
}

/// Application data of a connection: a user, parameters, progress.
impl Connections {
    /// Stores data with a connection, replacing its data of the same type. Each type has one value, so an
    /// extension and the application can store theirs independently.
    ///
    /// It is available up to and including the handler's call for [`Closed`](crate::Event::Closed), and is
    /// dropped right after it. Returns whether the connection exists; otherwise nothing is stored.
    ///
    /// ```
    /// use ws_server_mio::{Connections, Event};
    ///
    /// struct Player {
    ///     name: String,
    ///     moves: u32,
    /// }
    ///
    /// fn handle(connections: &mut Connections, event: Event<'_>) {
    ///     match event {
    ///         Event::Upgrade(id, upgrade) => {
    ///             let name = upgrade.query().unwrap_or("guest").to_owned();
    ///             connections.set_data(id, Player { name, moves: 0 });
    ///             let _ = connections.accept(id, upgrade);
    ///         }
    ///         Event::Message(id, _) => {
    ///             if let Some(player) = connections.data_mut::<Player>(id) {
    ///                 player.moves += 1;
    ///             }
    ///         }
    ///         Event::Closed(id, _) => {
    ///             if let Some(player) = connections.take_data::<Player>(id) {
    ///                 println!("{} leaves after {} moves", player.name, player.moves);
    ///             }
    ///         }
    ///         _ => {}
    ///     }
    /// }
    /// ```
    pub fn set_data<T: Send + 'static>(&mut self, id: ConnectionId, data: T) -> bool {
        let Some(live) = self.slots.get_mut(id) else { return false };
        live.set(flag::DATA);
        let kept = self.data.0.entry(id.slot).or_default();
        match kept.iter_mut().find_map(|kept| kept.downcast_mut::<T>()) {
            Some(kept) => *kept = data,
            None => kept.push(Box::new(data)),
        }
        true
    }

    /// A connection's data of this type. `None` if the connection is gone.
    pub fn data<T: 'static>(&self, id: ConnectionId) -> Option<&T> {
        self.slots.get(id).filter(|live| live.has(flag::DATA))?;
        self.data.0.get(&id.slot)?.iter().find_map(|kept| kept.downcast_ref())
    }

    /// As [`Connections::data`], mutable.
    pub fn data_mut<T: 'static>(&mut self, id: ConnectionId) -> Option<&mut T> {
        self.slots.get(id).filter(|live| live.has(flag::DATA))?;
        self.data.0.get_mut(&id.slot)?.iter_mut().find_map(|kept| kept.downcast_mut())
    }

    /// Takes the data of this type from a connection.
    pub fn take_data<T: 'static>(&mut self, id: ConnectionId) -> Option<T> {
        self.slots.get(id).filter(|live| live.has(flag::DATA))?;
        let kept = self.data.0.get_mut(&id.slot)?;
        let place = kept.iter().position(|kept| kept.is::<T>())?;
        kept.swap_remove(place).downcast().ok().map(|data| *data)
    }
}

/// Counts.
impl Connections {
    /// What the servers have done since the endpoint began, all together; the endpoint's own clients do not count. It
    /// visits every connection: call it once a second rather than once a message.
    ///
    /// ```
    /// # use ws_server_mio::Endpoint;
    /// # let mut endpoint = Endpoint::new()?;
    /// let stats = endpoint.connections().stats();
    /// println!("{} open, {} rejected", stats.open, stats.rejected);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn stats(&self) -> Stats {
        let mut stats = self.totals;
        for (_, live) in self.slots.iter().filter(|(_, live)| !live.is_marked(mark::CLIENT)) {
            stats.open += 1;
            stats.add_connection(&live.connection);
        }
        stats
    }
}

/// For the turn.
impl Connections {
    pub(crate) fn new(
        sys: Sys,
        resolver: Option<Resolver>,
        now: Moment,
        sleep: SleepDetector,
        max_timers: usize,
    ) -> Self {
        Self {
            slots: Slots::default(),
            servers: Servers::default(),
            clients: Clients::default(),
            resolver,
            sys,
            sockets: CustomSockets::default(),
            deadlines: Deadlines::new(now),
            now,
            sleep,
            dirty: VecDeque::new(),
            readable: Readable::default(),
            leftovers: HashMap::new(),
            pending_events: VecDeque::new(),
            stopped: false,
            failures: VecDeque::new(),
            pool: Pool::default(),
            files: Files::default(),
            couples: Couples::default(),
            data: Data::default(),
            paths: Paths::default(),
            bearers: Bearers::default(),
            timers: Timers::new(max_timers),
            exit: false,
            fanout: FanOut::default(),
            totals: Stats::default(),
            extension: extension::ExtensionSlot::default(),
            intercepted: false,
        }
    }
}
