//! What is done with one socket: accepting it, hearing that it is ready, writing to it.

use crate::connection::slots::{Slot, flag, mark};
use crate::connection::{Connections, arm, mark_dirty, read_on};
use crate::server::list::ServerIndex;
use crate::sys::socket::{Stream, short_says_all};
use crate::sys::socket_options;
use bytes::Buf;
use mio::{Interest, Token};
use std::io::{self, IoSlice, Write};
use std::time::Instant;
use ws_host::listen::{self, ACCEPT_AGAIN};
use ws_proto::Connection;

/// How many slices one write gathers.
const SLICES: usize = 64;

/// What the kernel says of a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Readiness {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) read_closed: bool,
    pub(crate) error: bool,
}

impl From<&mio::event::Event> for Readiness {
    #[inline]
    fn from(event: &mio::event::Event) -> Self {
        Self {
            readable: event.is_readable(),
            writable: event.is_writable(),
            read_closed: event.is_read_closed(),
            error: event.is_error(),
        }
    }
}

/// Writes once; says whether the connection learned something of it.
pub(crate) fn write(live: &mut Slot, now: Instant, limit: usize) -> bool {
    // What counts as queued may be a body that waits for its turn.
    if !live.has(flag::WRITABLE) || live.connection.outbox().is_empty() {
        return false;
    }
    loop {
        match write_once(&mut live.connection, &live.stream, limit) {
            Ok((asked, n)) => {
                if n < asked && short_says_all(&live.stream) {
                    live.clear(flag::WRITABLE);
                }
                live.connection.wrote(now, n);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                live.clear(flag::WRITABLE);
                // Nothing went out: the time in which something must, begins.
                live.connection.wrote(now, 0);
            }
            Err(error) => {
                live.connection.write_failed(now, error.into());
                // What the peer said before may stand unread, whether or not an edge told of it.
                live.set(flag::READABLE);
            }
        }
        return true;
    }
}

/// Looks whether the peer has reset a connection that nobody reads from, since reading would tell.
pub(crate) fn find_reset(live: &mut Slot, now: Instant) {
    if let Ok(Some(error)) = live.stream.take_error() {
        if live.is_marked(mark::PAUSED) {
            return live.connection.abort(now, error.into());
        }
        // Held back for a moment by output alone: what the peer said before may stand unread.
        live.connection.write_failed(now, error.into());
        live.set(flag::READABLE);
    }
}

/// How many bytes were offered, and how many the socket took.
#[inline]
fn write_once(connection: &mut Connection, mut stream: &Stream, limit: usize) -> io::Result<(usize, usize)> {
    let outbox = connection.outbox();
    let chunk = outbox.chunk();
    if chunk.len() == outbox.remaining() || chunk.len() >= limit {
        let chunk = &chunk[..chunk.len().min(limit)];
        return Ok((chunk.len(), stream.write(chunk)?));
    }
    let mut slices = [IoSlice::new(&[]); SLICES];
    let mut count = outbox.chunks_vectored(&mut slices);
    let mut asked = 0;
    for (k, slice) in slices[..count].iter().enumerate() {
        asked += slice.len();
        if asked >= limit {
            count = k + 1;
            break;
        }
    }
    Ok((asked, stream.write_vectored(&slices[..count])?))
}

impl Connections {
    /// Accepts one connection from a listener; says whether there may be more.
    pub(crate) fn accept_one(&mut self, index: ServerIndex, place: usize) -> bool {
        let now = self.now;
        let Some(server) = self.servers.at_mut(index) else { return false };
        if server.census.is_crowded() {
            return false;
        }
        let Some(listener) = server.listeners.get_mut(place) else { return false };
        if !listener.ready || listener.retry_at.is_some_and(|at| now < at) {
            return false;
        }
        listener.retry_at = None;
        let (mut stream, peer) = match listener.socket.accept() {
            Ok(accepted) => accepted,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                listener.ready = false;
                return false;
            }
            Err(error) if listen::is_passing(&error) => return true,
            Err(error) => {
                self.accept_failed(index, place, error);
                return false;
            }
        };
        let Some(slot) = self.slots.next().filter(|_| server.census.admit(peer)) else {
            self.tally.turned_away += 1;
            return true;
        };
        let both = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.registry.register(&mut stream, Token(slot as usize), both) {
            server.census.asked();
            server.census.dismiss(peer);
            self.accept_failed(index, place, error);
            return false;
        }
        self.tally.accepted += 1;
        server.failing = false;
        server.http += 1;
        if peer.is_some() {
            socket_options::prepare(&stream);
        }
        let mut connection = Connection::server(now, server.config.clone(), server.transport);
        connection.share_inflating();
        let mut live = Slot::new(connection, stream, index);
        live.set(flag::HTTP | flag::NEW);
        arm(slot, &mut live, &mut self.timers);
        self.slots.put(live, peer);
        true
    }

    /// No descriptor, no memory: asking again at once would spin. Who waits, waits in the kernel.
    fn accept_failed(&mut self, index: ServerIndex, place: usize, error: io::Error) {
        let now = self.now;
        let id = self.servers.id_at(index);
        let (Some(server), Some(id)) = (self.servers.at_mut(index), id) else { return };
        if let Some(listener) = server.listeners.get_mut(place) {
            listener.retry_at = Some(now + ACCEPT_AGAIN);
        }
        if !server.failing {
            server.failing = true;
            self.failures.push_back((id, error));
        }
    }

    /// The kernel has news of a connection.
    #[inline]
    pub(crate) fn ready(&mut self, slot: u32, ready: Readiness) {
        let Self { slots, dirty, readable, now, .. } = self;
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
            read_on(slot, live, readable);
            if ready.error && live.connection.is_paused() {
                find_reset(live, *now);
                mark_dirty(slot, live, dirty);
            }
        }
    }
}
