//! The state shared by the owner of a connection and its handles: the engine, and the tasks to wake.

use crate::clock;
use crate::driver::peer::Peer;
use crate::driver::sleep::Sleep;
use crate::driver::wakers::Wakers;
use crate::ids::ConnectionId;
use crate::sys::layered::Layers;
use crate::sys::socket::SocketHandle;
use bytes::Bytes;
use http::Response;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};
use std::time::Instant;
use ws_host::server::Stats;
use ws_proto::{Connection, Moment, Request, RequestError, RespondError, ResponseBody, TlsInfo, Transport};

/// Why reading of a connection is paused.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum PauseOwner {
    Application = 1,
    /// A [`couple`](crate::couple) whose other leg is congested.
    Couple = 2,
}

/// What the owner passes to a connection besides its stream.
#[derive(Default)]
pub(crate) struct DriverOptions {
    /// A handle to the stream, if it is a socket.
    pub(crate) socket: Option<SocketHandle>,
    /// The peer's address, if it has one.
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) sleep: Option<Arc<Sleep>>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) id: ConnectionId,
    connection: Mutex<Connection>,
    /// The socket that senders write to directly, so that they never wait for a task that waits for them; `None` for
    /// other streams, and once the connection is over.
    socket: Mutex<Option<SocketHandle>>,
    holds_output: bool,
    pub(crate) peer: Peer,
    sleep: Arc<Sleep>,
    pub(crate) wakers: Arc<Wakers>,
    /// `wakers`, with which the stream and its timer are polled. Only clones of one waker are sure to be equal
    /// ([`Waker::will_wake`]), and a reactor wakes the waker that another one replaces: with two, the driver and a
    /// sender would wake each other without end.
    pub(super) waker: Waker,
    /// Messages received and sent. Both are counted under the connection's lock.
    messages: [AtomicUsize; 2],
    /// How often the owner has polled the connection.
    pub(super) polls: AtomicU32,
    /// Each [`PauseOwner`] is a bit.
    pause_owners: AtomicU8,
    /// A write has failed; queued output is lost.
    write_failed: AtomicBool,
    /// A sender has written what the stream has not flushed yet.
    flush_due: AtomicBool,
}

impl Shared {
    pub(crate) fn new(
        connection: Connection,
        socket: Option<SocketHandle>,
        peer: Option<SocketAddr>,
        sleep: Arc<Sleep>,
    ) -> Self {
        let wakers = Arc::<Wakers>::default();
        Self {
            id: ConnectionId::next(),
            connection: Mutex::new(connection),
            holds_output: socket.as_ref().and_then(SocketHandle::layers).is_some_and(Layers::holds_output),
            socket: Mutex::new(socket),
            peer: Peer::new(peer),
            sleep,
            waker: Waker::from(wakers.clone()),
            wakers,
            messages: Default::default(),
            polls: AtomicU32::new(0),
            pause_owners: AtomicU8::new(0),
            write_failed: AtomicBool::new(false),
            flush_due: AtomicBool::new(false),
        }
    }

    /// Counts a received message; the connection is locked.
    #[inline]
    pub(crate) fn count_received(&self) {
        self.messages[0].store(self.messages[0].load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Counts a sent message; the connection is locked.
    #[inline]
    pub(crate) fn count_sent(&self) {
        self.messages[1].store(self.messages[1].load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Adds this connection's traffic.
    pub(crate) fn add_to(&self, stats: &mut Stats) {
        stats.add_connection(&self.connection());
        stats.messages_in += self.messages[0].load(Relaxed) as u64;
        stats.messages_out += self.messages[1].load(Relaxed) as u64;
    }

    /// Wakes the owner, whatever it waits for, and the tasks that wait for room.
    pub(crate) fn wake(&self) {
        self.wakers.wake_by_ref();
    }

    /// Returns the number of bytes that will have been sent once all queued output is written.
    pub(crate) fn end_of_output(&self) -> u64 {
        let connection = self.connection();
        connection.bytes_sent() + connection.queued() as u64
    }

    /// Whether all output up to there was written, even if the connection has ended since.
    pub(crate) fn has_written(&self, end: u64) -> bool {
        self.connection().bytes_sent() >= end
    }

    /// Counts a poll by the owner.
    pub(crate) fn count_poll(&self) {
        self.polls.fetch_add(1, Relaxed);
    }

    /// Plaintext was read. Before the first of it, the engine gets the result of the TLS handshake, or learns that the
    /// peer speaks without TLS.
    #[inline]
    pub(crate) fn note_tls(&self, connection: &mut Connection, now: Moment) {
        if connection.bytes_received() > 0 {
            return;
        }
        let socket = self.socket();
        let Some(layers) = socket.as_ref().and_then(SocketHandle::layers) else { return };
        if let Some(info) = layers.info() {
            connection.http().set_tls(info);
        } else if let Some(config) = layers.redirect() {
            *connection = Connection::server(now, config, Transport::default().peer(self.peer.address()));
        }
    }

    /// Bytes before the first of the connection were read, such as a PROXY header: its client is known, and is admitted, or
    /// not.
    #[cold]
    pub(super) fn note_client(&self, connection: &mut Connection, now: Moment) {
        if connection.bytes_received() > 0 {
            return;
        }
        let Some(layers) = self.layers() else { return };
        let Some(client) = layers.take_client() else { return };
        match self.peer.readmit(layers.admission(), Some(client)) {
            true => connection.http().set_peer(client),
            false => connection.abort(now, RequestError::TooManyConnections.into()),
        }
    }

    /// Whether a read has left output that is to be flushed, as TLS may.
    #[inline]
    pub(super) fn needs_flush(&self) -> bool {
        self.holds_output
            && self.socket().as_ref().and_then(SocketHandle::layers).is_some_and(Layers::needs_flush)
    }

    /// The result of the TLS handshake.
    pub(crate) fn tls_info(&self) -> Option<Arc<TlsInfo>> {
        self.socket().as_ref()?.layers()?.info()
    }

    /// The layers of the stream, until the connection is over.
    pub(crate) fn layers(&self) -> Option<Arc<Layers>> {
        self.socket().as_ref()?.share_layers()
    }

    pub(crate) fn set_write_failed(&self) {
        self.write_failed.store(true, Relaxed);
    }

    pub(super) fn set_flush_due(&self) {
        self.flush_due.store(true, Relaxed);
    }

    /// Whether the stream is to be flushed on behalf of a sender; once. The connection is locked.
    pub(super) fn take_flush_due(&self) -> bool {
        self.flush_due.load(Relaxed) && self.flush_due.swap(false, Relaxed)
    }

    pub(crate) fn has_write_failed(&self) -> bool {
        self.write_failed.load(Relaxed)
    }

    /// Pauses reading on behalf of an owner.
    pub(crate) fn pause(&self, owner: PauseOwner) {
        let mut connection = self.connection();
        if self.pause_owners.fetch_or(owner as u8, Relaxed) & owner as u8 == 0 {
            connection.pause();
        }
    }

    /// Releases an owner's pause; after the last one, reading resumes. Returns whether it does.
    pub(crate) fn resume(&self, owner: PauseOwner) -> bool {
        let mut connection = self.connection();
        let was_last = self.pause_owners.fetch_and(!(owner as u8), Relaxed) == owner as u8;
        if was_last {
            connection.resume(clock::now());
            drop(connection);
            self.wakers.wake_driver();
        }
        was_last
    }

    pub(crate) fn is_reading_paused(&self) -> bool {
        self.pause_owners.load(Relaxed) != 0
    }

    /// Answers a request, or rejects an upgrade; wakes the driver to write the response.
    pub(crate) fn respond(&self, request: Request, response: Response<Bytes>) -> Result<(), RespondError> {
        let now = Instant::now();
        self.sleep.check(now);
        self.connection().respond(clock::moment(now), request, response)?;
        self.wakers.wake_driver();
        Ok(())
    }

    pub(crate) fn respond_streaming(
        &self,
        request: Request,
        head: Response<()>,
        length: Option<u64>,
    ) -> Result<ResponseBody, RespondError> {
        let now = Instant::now();
        self.sleep.check(now);
        let body = self.connection().http().respond_streaming(clock::moment(now), request, head, length)?;
        if length.is_none()
            && let Some(socket) = &*self.socket()
        {
            // The response and its peer may be silent for any time, so let the system probe the peer.
            socket.probe();
        }
        self.wakers.wake_driver();
        Ok(body)
    }

    pub(crate) fn connection(&self) -> MutexGuard<'_, Connection> {
        // The engine does not panic; if it did, its state would still be that of a failed connection.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        self.socket().as_ref()?.local_addr()
    }

    /// The address at the other end of the socket.
    pub(crate) fn transport_addr(&self) -> Option<SocketAddr> {
        self.socket().as_ref()?.peer_addr()
    }

    pub(super) fn socket(&self) -> MutexGuard<'_, Option<SocketHandle>> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the socket may hold a copy of what it did not take, as TLS does.
    #[inline]
    pub(super) fn holds_output(&self) -> bool {
        self.holds_output
    }

    /// The connection is over: ends all waiting.
    pub(crate) fn end(&self, by_reset: bool) {
        let socket = self.socket().take();
        if by_reset && let Some(socket) = socket {
            socket.reset_on_close();
        }
        self.wakers.wake_senders();
    }
}
