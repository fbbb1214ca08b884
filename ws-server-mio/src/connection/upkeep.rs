//! The turn's bookkeeping for connections: lists, counts, and their end.

use crate::connection::couple::Leg;
use crate::connection::io::find_reset;
use crate::connection::lists::{Leftover, arm, attach_buffer, detach_buffer, expire, mark_dirty, queue_read};
use crate::connection::slots::{Slots, flag, mark};
use crate::connection::{Connections, deadlines};
use crate::event::Event;
use crate::ids::{ClientId, ConnectionId};
use crate::sys::poller::Readiness;
use std::net::SocketAddr;
use ws_proto::{Connection, Moment, RequestError, RespondError, SendError};

impl Connections {
    /// Applies a sending operation to a connection, if it exists.
    #[inline]
    pub(crate) fn with<T>(
        &mut self,
        id: ConnectionId,
        op: impl FnOnce(&mut Connection, Moment) -> Result<T, SendError>,
    ) -> Result<T, SendError> {
        self.apply(id, || SendError::NotOpen, op)
    }

    /// Applies a responding operation to a connection, if it exists.
    pub(crate) fn answer<T>(
        &mut self,
        id: ConnectionId,
        op: impl FnOnce(&mut Connection, Moment) -> Result<T, RespondError>,
    ) -> Result<T, RespondError> {
        self.apply(id, || RespondError::NotOpen, op)
    }

    #[inline]
    fn apply<T, E>(
        &mut self,
        id: ConnectionId,
        not_open: impl FnOnce() -> E,
        op: impl FnOnce(&mut Connection, Moment) -> Result<T, E>,
    ) -> Result<T, E> {
        let Self { slots, pool, dirty, now, .. } = self;
        let Some(live) = slots.get_mut(id) else { return Err(not_open()) };
        attach_buffer(live, pool);
        let result = op(&mut live.connection, *now);
        mark_dirty(id.slot, live, dirty);
        result
    }

    /// Lets the kernel detect a vanished peer.
    pub(crate) fn probe(&mut self, id: ConnectionId) {
        if let Some(live) = self.slots.get_mut(id)
            && !live.has(flag::NO_PEER)
            && !live.is_marked(mark::PROBED)
        {
            live.mark(mark::PROBED);
            self.sockets.socket(id.slot, &live.stream).probe();
        }
    }

    /// Ensures that the turn visits this connection before it ends.
    #[inline]
    pub(crate) fn mark_dirty(&mut self, slot: u32) {
        if let Some(live) = self.slots.at_mut(slot) {
            mark_dirty(slot, live, &mut self.dirty);
        }
    }

    /// Whether the heap's entry is the connection's current one.
    pub(crate) fn is_armed(slots: &Slots, entry: deadlines::Entry) -> bool {
        slots.at(entry.slot()).is_some_and(|live| live.armed() == entry.tick())
    }

    /// The endpoint is idle: frees the memory of a busy time. The lists go first, since one small block above many
    /// large ones keeps an allocator from returning those.
    pub(crate) fn free_memory(&mut self) {
        self.dirty.shrink_to_fit();
        self.readable.shrink();
        self.sockets.shrink();
        self.leftovers.shrink_to_fit();
        self.files.shrink();
        self.couples.shrink();
        self.data.shrink();
        self.paths.shrink();
        self.pool.clear();
    }

    /// Removes a connection and closes its socket.
    pub(crate) fn remove_slot(&mut self, slot: u32) {
        if let Some(live) = self.slots.at(slot).filter(|live| live.is_marked(mark::COUPLED)) {
            self.leg_removed(live.id(slot));
        }
        if let Some(id) = self.slots.at(slot).map(|live| live.id(slot)) {
            // They are still known if the handler has panicked in its `Closed`.
            self.forget_topics(id);
            self.bearers.forget(id);
        }
        self.uncount(slot);
        self.settle(slot);
        self.files.forget(slot);
        let leftovers = self.slots.at(slot).is_some_and(|live| live.has(flag::LEFTOVER));
        if leftovers && let Some(leftover) = self.leftovers.remove(&slot) {
            self.pool.return_buffer(leftover.buffer);
        }
        let Some(mut live) = self.slots.remove(slot) else { return };
        if live.is_marked(mark::CLIENT) {
            let client = self.clients.of_slot(slot);
            self.clients.unbind(slot);
            // It is still known if the handler has panicked in its `Closed`.
            client.inspect(|client| self.clients.forget_idle(*client));
        }
        if live.stream.is_none() {
            self.sockets.remove(slot);
            if live.has(flag::QUEUED) {
                self.readable.forget_handshaking(slot);
            }
        }
        self.data.forget(slot, &live);
        self.paths.forget(slot, &live);
        detach_buffer(&mut live, &mut self.pool);
    }

    /// The kernel reports readiness of a connection.
    #[inline]
    pub(crate) fn ready(&mut self, slot: u32, ready: Readiness) {
        let Self { slots, sockets, dirty, readable, now, .. } = self;
        let Some(live) = slots.at_mut(slot) else { return };
        if live.has(flag::CONNECTING) {
            return self.connect_ready(slot, ready);
        }
        if ready.writable && !live.has(flag::WRITABLE) {
            live.set(flag::WRITABLE);
            mark_dirty(slot, live, dirty);
        }
        if ready.read_closed || ready.error {
            live.set(flag::READ_CLOSED);
        }
        if ready.readable || ready.read_closed || ready.error {
            live.set(flag::READABLE);
            queue_read(slot, live, readable);
            if ready.error && live.connection.is_paused() {
                find_reset(slot, live, sockets, *now);
                mark_dirty(slot, live, dirty);
            }
        }
    }

    /// Plaintext was read. Before the first of it, the engine gets the result of the TLS handshake, or learns that the
    /// peer speaks without TLS.
    #[cold]
    pub(crate) fn note_tls(&mut self, slot: u32) {
        let peer = self.slots.at(slot).and_then(|live| self.slots.peer(live.id(slot)));
        let Some(live) = self.slots.at_mut(slot) else { return };
        if let Some(info) = self.sockets.tls(slot) {
            live.connection.http().set_tls(info);
        } else if let Some(config) = self.sockets.redirect(slot)
            && let Some(server) = self.servers.at(live.server)
        {
            let transport = server.transport.peer(peer);
            live.connection = Connection::server(self.now, config, transport);
        }
    }

    /// Bytes before the first of a connection were read, such as a PROXY header: its client is known, and is admitted, or
    /// not.
    #[cold]
    pub(crate) fn note_client(&mut self, slot: u32) {
        let Some(client) = self.sockets.take_client(slot) else { return };
        let is_admitted = self.readmit(slot, Some(client));
        let Some(live) = self.slots.at_mut(slot) else { return };
        match is_admitted {
            true => live.connection.http().set_peer(client),
            false => live.connection.abort(self.now, RequestError::TooManyConnections.into()),
        }
        self.mark_dirty(slot);
    }

    /// Counts a connection for the address of its client, if that has changed; returns whether that address has room.
    pub(crate) fn readmit(&mut self, slot: u32, client: Option<SocketAddr>) -> bool {
        let Some(live) = self.slots.at(slot) else { return true };
        let from = self.slots.peer(live.id(slot));
        if from == client {
            return true;
        }
        let server = self.servers.at_mut(live.server);
        let is_admitted = server.is_none_or(|server| server.admission.readmit(from, client));
        match is_admitted {
            true => self.slots.set_peer(slot, client),
            false => self.totals.rejected += 1,
        }
        is_admitted
    }

    /// Keeps bytes that a connection does not consume now.
    pub(crate) fn keep_leftover(&mut self, slot: u32, leftover: Leftover) {
        if let Some(live) = self.slots.at_mut(slot) {
            live.set(flag::LEFTOVER);
            self.leftovers.insert(slot, leftover);
        }
    }

    /// Updates counts, subscriptions and clients for an event, before the handler sees it; returns whether the
    /// handler sees it.
    pub(crate) fn track_event(&mut self, slot: u32, event: &Event<'_>) -> bool {
        match event {
            Event::Message(..) => self.count_received(slot, 1),
            Event::Fragment(_, fragment) => self.count_received(slot, u64::from(fragment.last)),
            Event::Request(..) => self.settle_handshake(slot),
            Event::Upgrade(..) => {
                self.settle_handshake(slot);
                self.count_upgrade(slot);
            }
            Event::Drained(_) => self.flush_kept(slot),
            Event::Closed(..) => {
                self.uncount(slot);
                self.leave_topics(slot);
                return self.on_client_event(slot, event);
            }
            Event::Open(..) => {
                let is_visible = self.on_client_event(slot, event);
                if !self.couples.is_empty() {
                    self.leg_opened(slot);
                }
                return is_visible;
            }
            _ => {}
        }
        true
    }

    /// Counts received messages, unless they are a client's.
    fn count_received(&mut self, slot: u32, messages: u64) {
        if self.slots.at(slot).is_some_and(|live| !live.is_marked(mark::CLIENT)) {
            self.totals.messages_in += messages;
        }
    }

    /// Counts queued messages, unless they are a client's.
    #[inline]
    pub(crate) fn count_sent(&mut self, id: ConnectionId, messages: u64) {
        if !self.clients.has_connections() || !self.is_client(id) {
            self.totals.messages_out += messages;
        }
    }

    fn is_client(&self, id: ConnectionId) -> bool {
        self.slots.get(id).is_some_and(|live| live.is_marked(mark::CLIENT))
    }

    /// Whether work is left that the kernel does not signal.
    pub(crate) fn has_work(&self) -> bool {
        !self.dirty.is_empty()
            || !self.readable.is_empty()
            || self.files.has_work()
            || !self.failures.is_empty()
            || !self.pending_events.is_empty()
            || self.stopped
            || self.servers.has_work(self.now)
            || self.clients.has_work(self.now)
            || self.timers.has_work(self.now)
    }

    /// A connection has sent a request: its handshake is no longer in progress.
    pub(crate) fn settle_handshake(&mut self, slot: u32) {
        let Some(live) = self.slots.at_mut(slot).filter(|live| live.has(flag::NEW)) else { return };
        live.clear(flag::NEW);
        if let Some(server) = self.servers.at_mut(live.server) {
            server.admission.handshake_done();
        }
    }

    /// A connection is about to be removed: settles its counts.
    pub(crate) fn settle(&mut self, slot: u32) {
        self.settle_handshake(slot);
        let Some(live) = self.slots.at(slot) else { return };
        if !live.is_marked(mark::CLIENT) {
            self.totals.add_connection(&live.connection);
        }
        if let Some(server) = self.servers.at_mut(live.server) {
            server.admission.release(self.slots.peer(live.id(slot)));
        }
    }

    /// The machine slept: heartbeats are due now.
    pub(crate) fn on_resume(&mut self) {
        let Self { slots, pool, deadlines, dirty, now, .. } = self;
        for (slot, live) in slots.iter_mut() {
            attach_buffer(live, pool);
            live.connection.handle_resume(*now);
            arm(slot, live, deadlines);
            mark_dirty(slot, live, dirty);
        }
        self.resume_clients();
    }

    /// Puts a connection on every list that it may belong on. One write takes at most `limit` bytes.
    pub(crate) fn relist(&mut self, slot: u32, limit: usize) {
        let Self { slots, sockets, dirty, readable, deadlines, now, .. } = self;
        let Some(live) = slots.at_mut(slot) else { return };
        queue_read(slot, live, readable);
        // Its deadline would have been checked after the aborted visit.
        if live.is_marked(mark::OVERDUE) && !live.has(flag::QUEUED) {
            live.unmark(mark::OVERDUE);
            expire(slot, live, sockets, deadlines, *now, limit);
        }
        mark_dirty(slot, live, dirty);
    }

    /// Ends the partners of all clients that have become idle.
    pub(crate) fn end_idle_legs(&mut self) {
        let clients: Vec<ClientId> = self.couples.legs().filter_map(Leg::client).collect();
        for client in clients {
            self.end_idle_leg(client);
        }
    }
}
