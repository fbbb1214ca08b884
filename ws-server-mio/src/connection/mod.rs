//! Every verb, for handlers and between turns alike.

pub(crate) mod couple;
pub(crate) mod data;
pub(crate) mod deadlines;
pub(crate) mod io;
pub(crate) mod pause;
pub(crate) mod pool;
pub(crate) mod readable;
pub(crate) mod slots;
pub(crate) mod stats;
pub(crate) mod timers;

use crate::client::list::Clients;
use crate::client::resolver::Resolver;
use crate::connection::couple::Couples;
use crate::connection::data::Data;
use crate::connection::pool::Pool;
use crate::connection::readable::{Readable, share_on};
use crate::connection::slots::{ConnectionId, Slot, Slots, flag, mark};
use crate::connection::stats::Tally;
use crate::connection::timers::Timers;
use crate::event::Event;
use crate::extension;
use crate::fanout::FanOut;
use crate::files::Files;
use crate::server::list::ServerId;
use crate::server::list::Servers;
use crate::sys::socket_options;
use bytes::Bytes;
use mio::Registry;
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use ws_host::sleep::SleepDetector;
use ws_proto::{
    Cause, CloseCode, Connection, Frame, Message, Request, ResponseBody, SendError, Sent, State, Upgrade,
};

/// Bytes that were read for a connection and that it has not used.
pub(crate) struct Leftover {
    pub(crate) buffer: Vec<u8>,
    /// What stands before is used.
    pub(crate) at: usize,
}

/// All servers and connections of an endpoint: what handlers are given, and what
/// [`Endpoint::connections`](crate::Endpoint::connections) shows between turns.
///
/// Verbs only queue; the turn writes at its end, once per connection. An id that is gone is answered as what
/// it is, closed: [`SendError::NotOpen`], [`State::Closed`], `None`, 0.
pub struct Connections {
    pub(crate) slots: Slots,
    pub(crate) servers: Servers,
    pub(crate) clients: Clients,
    /// Who looks names up, where somebody may.
    pub(crate) resolver: Option<Resolver>,
    pub(crate) registry: Registry,
    pub(crate) timers: Timers,
    /// The present, as far as this turn knows.
    pub(crate) now: Instant,
    /// Finds out whether the machine slept, and keeps the time of day of all servers set.
    pub(crate) sleep: SleepDetector,
    /// Connections that may have something to tell or to write, each once.
    pub(crate) dirty: VecDeque<u32>,
    pub(crate) readable: Readable,
    pub(crate) leftovers: HashMap<u32, Leftover>,
    /// What an extension observed when it panicked: to be told to the handler.
    pub(crate) untold: VecDeque<Event<'static>>,
    /// A server has stopped in a turn that a panic ended.
    pub(crate) stopped: bool,
    /// Accepting failed: to be told.
    pub(crate) failures: VecDeque<(ServerId, std::io::Error)>,
    pub(crate) pool: Pool,
    pub(crate) files: Files,
    pub(crate) couples: Couples,
    pub(crate) data: Data,
    pub(crate) exit: bool,
    pub(crate) fanout: FanOut,
    pub(crate) tally: Tally,
    pub(crate) extension: extension::ExtensionSlot,
    /// Somebody sees events before the handler.
    pub(crate) intercepted: bool,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("len", &self.slots.len()).finish_non_exhaustive()
    }
}

/// One connection.
impl Connections {
    /// Opens a WebSocket: answers its handshake with 101.
    ///
    /// # Errors
    /// As [`ws_proto::Connection::accept`]; [`SendError::NotOpen`] when the connection is gone.
    pub fn accept(&mut self, id: ConnectionId, upgrade: Upgrade) -> Result<(), SendError> {
        self.with(id, |connection, now| connection.accept(now, upgrade))
    }

    /// Answers a request, now or later; or refuses an upgrade, which is a request too, and the last of its connection.
    ///
    /// # Errors
    /// As [`ws_proto::Connection::respond`]; [`SendError::NotOpen`] when the connection is gone.
    pub fn respond(
        &mut self,
        id: ConnectionId,
        request: impl Into<Request>,
        mut response: http::Response<Bytes>,
    ) -> Result<(), SendError> {
        let request = request.into();
        self.set_token_cookie(id, &request, &mut response);
        self.with(id, |connection, now| connection.respond(now, request, response))?;
        self.count_answer(id.slot);
        Ok(())
    }

    /// Begins an answer whose body comes in pieces, now or later. With a `length` the body must have exactly
    /// that.
    ///
    /// Without a length the answer may go on for ever, and ends when the peer has gone: at the end of its stream, at a
    /// reset, or when the kernel has asked a silent peer for 45 s in vain (on systems where that can be said).
    ///
    /// # Errors
    /// As [`ws_proto::Connection::respond_streaming`]; [`SendError::NotOpen`] when the connection is gone.
    pub fn respond_streaming(
        &mut self,
        id: ConnectionId,
        request: impl Into<Request>,
        mut head: http::Response<()>,
        length: Option<u64>,
    ) -> Result<ResponseBody, SendError> {
        let request = request.into();
        self.set_token_cookie(id, &request, &mut head);
        let body =
            self.with(id, |connection, now| connection.respond_streaming(now, request, head, length))?;
        self.count_answer(id.slot);
        if length.is_none() && !body.is_unwanted() {
            self.probe(id);
        }
        Ok(body)
    }

    /// Gives the next piece of a body. After [`Sent::Congested`], better wait for
    /// [`Drained`](crate::Event::Drained).
    ///
    /// # Errors
    /// As [`ws_proto::Connection::send_body`]: [`SendError::NotOpen`] when the peer is gone, and
    /// [`SendError::Full`]. Nothing was queued then.
    pub fn send_body(
        &mut self,
        id: ConnectionId,
        body: &ResponseBody,
        piece: impl Into<Bytes>,
    ) -> Result<Sent, SendError> {
        self.with(id, |connection, _| connection.send_body(body, piece))
    }

    /// Ends a body. One that is dropped instead ends its connection, and the peer sees that it was cut off.
    ///
    /// # Errors
    /// As [`ws_proto::Connection::finish_body`]; [`SendError::NotOpen`] when the connection is gone.
    pub fn finish_body(&mut self, id: ConnectionId, body: ResponseBody) -> Result<(), SendError> {
        self.with(id, |connection, now| connection.finish_body(now, body))
    }

    /// Sends a frame that was made once, and may go to many.
    ///
    /// # Errors
    /// [`SendError::NotOpen`], [`SendError::Full`], [`SendError::FragmentOrder`]; nothing was queued then.
    pub fn send(&mut self, id: ConnectionId, frame: &Frame) -> Result<Sent, SendError> {
        self.with(id, |connection, _| connection.send(frame))
            .inspect(|_| self.tally.messages_out += ends_message(frame))
    }

    /// Sends text. A large text that is owned moves; it is not copied.
    ///
    /// # Errors
    /// As [`Connections::send`].
    pub fn send_text<'t>(
        &mut self,
        id: ConnectionId,
        text: impl Into<Cow<'t, str>>,
    ) -> Result<Sent, SendError> {
        self.with(id, |connection, _| connection.send_text(text)).inspect(|_| self.tally.messages_out += 1)
    }

    /// Sends bytes. A large vector that is owned moves; it is not copied.
    ///
    /// # Errors
    /// As [`Connections::send`].
    pub fn send_binary<'t>(
        &mut self,
        id: ConnectionId,
        data: impl Into<Cow<'t, [u8]>>,
    ) -> Result<Sent, SendError> {
        self.with(id, |connection, _| connection.send_binary(data)).inspect(|_| self.tally.messages_out += 1)
    }

    /// Sends a message as it was received, say.
    ///
    /// # Errors
    /// As [`Connections::send`].
    #[inline]
    pub fn send_message(&mut self, id: ConnectionId, message: Message<'_>) -> Result<Sent, SendError> {
        self.with(id, |connection, _| connection.send_message(message))
            .inspect(|_| self.tally.messages_out += 1)
    }

    /// Sends a Ping; its answer is [`Event::Pong`].
    ///
    /// # Errors
    /// [`SendError::NotOpen`], [`SendError::ControlTooLong`].
    pub fn send_ping(&mut self, id: ConnectionId, payload: &[u8]) -> Result<Sent, SendError> {
        self.with(id, |connection, now| connection.send_ping(now, payload))
    }

    /// Begins the closing handshake. `Closed` comes when it is done or has taken too long.
    ///
    /// # Errors
    /// [`SendError::NotOpen`], [`SendError::CloseCodeInvalid`], [`SendError::CloseReasonTooLong`].
    pub fn close(&mut self, id: ConnectionId, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.with(id, |connection, now| connection.close(now, code, reason))
    }

    /// Ends a connection at once: no Close frame, and what was queued is lost. `Closed` still comes. An id
    /// that is gone is no error.
    pub fn terminate(&mut self, id: ConnectionId) {
        if let Some(live) = self.slots.get_mut(id) {
            live.connection.abort(self.now, Cause::Terminated);
            self.mark_dirty(id.slot);
        }
    }

    /// Where a connection stands.
    pub fn state(&self, id: ConnectionId) -> State {
        self.slots.get(id).map_or(State::Closed, |live| live.connection.state())
    }

    /// How many bytes wait to be written to it.
    pub fn queued(&self, id: ConnectionId) -> usize {
        self.slots.get(id).map_or(0, |live| live.connection.queued())
    }

    /// The time that the peer last took to answer a Ping.
    pub fn latency(&self, id: ConnectionId) -> Option<Duration> {
        self.slots.get(id)?.connection.latency()
    }

    /// What was agreed on with the peer about compression; `None` where messages stay plain.
    #[cfg(feature = "deflate")]
    pub fn compression(&self, id: ConnectionId) -> Option<ws_proto::deflate::Terms> {
        self.slots.get(id)?.connection.compression()
    }

    /// The peer's address. A peer that came by IPv4 has an IPv4 address, on dual-stack servers too; one that came
    /// over a Unix socket has none.
    pub fn peer_addr(&self, id: ConnectionId) -> Option<SocketAddr> {
        self.slots.peer(id)
    }

    /// The address that the peer connected to; none on a Unix socket.
    pub fn local_addr_of(&self, id: ConnectionId) -> Option<SocketAddr> {
        let mut address = self.slots.get(id)?.stream.local_addr().ok()?;
        address.set_ip(address.ip().to_canonical());
        Some(address)
    }
}

/// All connections.
impl Connections {
    /// Every WebSocket of every server: connecting, open or closing.
    pub fn ids(&self) -> impl Iterator<Item = ConnectionId> {
        let websockets = self.slots.iter().filter(|(_, live)| live.has(flag::WEBSOCKET));
        websockets.map(|(slot, live)| live.id(slot))
    }

    /// Ends [`Endpoint::run`](crate::Endpoint::run) after this turn. To part politely, stop the servers and
    /// disconnect the clients instead: the loop ends with the last of them.
    pub fn exit(&mut self) {
        self.exit = true;
    }
}

/// How many messages end with this frame: one or none.
#[inline]
pub(crate) fn ends_message(frame: &Frame) -> u64 {
    u64::from(frame.fin() && !frame.opcode().is_control())
}

/// Gives an outbox memory from the pool, if it has none.
#[inline]
pub(crate) fn lend(live: &mut Slot, pool: &mut Pool) {
    if !live.connection.has_storage() {
        live.connection.lend(pool.storage());
    }
}

/// Takes the memory of an empty outbox back.
#[inline]
pub(crate) fn reclaim(live: &mut Slot, pool: &mut Pool) {
    if let Some(storage) = live.connection.reclaim() {
        pool.give_storage(storage);
    }
}

/// Puts a timer in the heap if the connection's deadline is earlier than the one that is there.
#[inline]
pub(crate) fn arm(slot: u32, live: &mut Slot, timers: &mut Timers) {
    if !live.connection.timeout_moved() && live.is_armed() {
        return;
    }
    let Some(deadline) = live.connection.poll_timeout() else { return };
    let tick = timers.tick_of(deadline);
    if tick < live.armed() {
        live.set_armed(tick);
        timers.push(timers::Entry::new(tick, slot));
    }
}

/// Queues a connection that may be read further. One that is paused is queued when that ends: whatever ends
/// it touches the connection. One that has used its share waits for the next.
#[inline]
pub(crate) fn read_on(slot: u32, live: &mut Slot, readable: &mut Readable) {
    if live.has(flag::READABLE | flag::LEFTOVER) && !live.has(flag::QUEUED) {
        if live.connection.is_paused() {
            share_on(slot, live, readable);
        } else {
            live.set(flag::QUEUED);
            readable.push(slot);
        }
    }
}

/// Puts a connection on the dirty list, once.
#[inline]
pub(crate) fn mark_dirty(slot: u32, live: &mut Slot, dirty: &mut VecDeque<u32>) {
    if !live.has(flag::DIRTY) {
        live.set(flag::DIRTY);
        dirty.push_back(slot);
    }
}

/// For the turn.
impl Connections {
    pub(crate) fn new(
        registry: Registry,
        resolver: Option<Resolver>,
        now: Instant,
        sleep: SleepDetector,
    ) -> Self {
        Self {
            slots: Slots::default(),
            servers: Servers::default(),
            clients: Clients::default(),
            resolver,
            registry,
            timers: Timers::new(now),
            now,
            sleep,
            dirty: VecDeque::new(),
            readable: Readable::default(),
            leftovers: HashMap::new(),
            untold: VecDeque::new(),
            stopped: false,
            failures: VecDeque::new(),
            pool: Pool::default(),
            files: Files::default(),
            couples: Couples::default(),
            data: Data::default(),
            exit: false,
            fanout: FanOut::default(),
            tally: Tally::default(),
            extension: extension::ExtensionSlot::default(),
            intercepted: false,
        }
    }

    /// Applies a verb to a connection that exists.
    #[inline]
    pub(crate) fn with<T>(
        &mut self,
        id: ConnectionId,
        verb: impl FnOnce(&mut Connection, Instant) -> Result<T, SendError>,
    ) -> Result<T, SendError> {
        let Self { slots, pool, dirty, now, .. } = self;
        let Some(live) = slots.get_mut(id) else { return Err(SendError::NotOpen) };
        lend(live, pool);
        let result = verb(&mut live.connection, *now);
        mark_dirty(id.slot, live, dirty);
        result
    }

    /// Has the kernel find out when the peer vanishes.
    fn probe(&mut self, id: ConnectionId) {
        if let Some(live) = self.slots.get_mut(id)
            && !live.has(flag::UNIX)
            && !live.is_marked(mark::PROBED)
        {
            live.mark(mark::PROBED);
            socket_options::probe(&live.stream);
        }
    }

    /// Sees to it that the turn looks at this connection before it ends.
    #[inline]
    pub(crate) fn mark_dirty(&mut self, slot: u32) {
        if let Some(live) = self.slots.at_mut(slot) {
            mark_dirty(slot, live, &mut self.dirty);
        }
    }

    /// Whether the heap's entry is the one that its connection waits for.
    pub(crate) fn is_armed(slots: &Slots, entry: timers::Entry) -> bool {
        slots.at(entry.slot()).is_some_and(|live| live.armed() == entry.tick())
    }

    /// All is quiet: what a busy time needed is freed. The lists go first, since one small block above many
    /// large ones keeps an allocator from giving those back.
    pub(crate) fn free_memory(&mut self) {
        self.dirty.shrink_to_fit();
        self.readable.shrink();
        self.leftovers.shrink_to_fit();
        self.files.shrink();
        self.couples.shrink();
        self.data.shrink();
        self.pool.clear();
    }

    /// Takes a connection out and closes its socket.
    pub(crate) fn remove_slot(&mut self, slot: u32) {
        if let Some(live) = self.slots.at(slot).filter(|live| live.is_marked(mark::COUPLED)) {
            self.lose_leg(live.id(slot));
        }
        if let Some(id) = self.slots.at(slot).map(|live| live.id(slot)) {
            // Where the handler of its end has panicked.
            self.forget_topics(id);
        }
        self.uncount(slot);
        self.settle(slot);
        self.files.forget(slot);
        let leftovers = self.slots.at(slot).is_some_and(|live| live.has(flag::LEFTOVER));
        if leftovers && let Some(rest) = self.leftovers.remove(&slot) {
            self.pool.give_buffer(rest.buffer);
        }
        let Some(mut live) = self.slots.remove(slot) else { return };
        if live.has(flag::CLIENT) {
            self.clients.unbind(slot);
        }
        self.data.forget(slot, &live);
        reclaim(&mut live, &mut self.pool);
    }
}
