//! What the owner of a connection and its handles share: the engine, and the tasks to wake.

use crate::clock;
use crate::driver::sleep::Sleep;
use crate::driver::wakers::Wakers;
use crate::ids::ConnectionId;
use crate::sys::socket::SocketHandle;
use bytes::Bytes;
use http::Response;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Wake;
use std::time::Instant;
use ws_host::server::Stats;
use ws_host::token::TokenRule;
use ws_proto::{Connection, Request, RespondError, ResponseBody};

/// What holds the reading of a connection back.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Holder {
    Application = 1,
    /// A [`couple`](crate::couple), whose other side takes no more.
    Couple = 2,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) id: ConnectionId,
    connection: Mutex<Connection>,
    /// What senders write to themselves, so that they never wait for a task that waits for them; `None` for streams of
    /// other kinds, and once all is over.
    socket: Mutex<Option<SocketHandle>>,
    /// The address at the other end, where it is known.
    pub(crate) peer: Option<SocketAddr>,
    /// What requests must show.
    pub(crate) token: Option<Arc<TokenRule>>,
    sleep: Arc<Sleep>,
    pub(crate) wakers: Arc<Wakers>,
    /// Messages that were received and sent. Each is counted under the lock of the connection.
    messages: [AtomicUsize; 2],
    /// How often the connection was driven by its owner.
    pub(super) polls: AtomicU32,
    /// Each [`Holder`] is a bit.
    holders: AtomicU8,
    /// Writing has failed; what was queued is lost.
    write_failed: AtomicBool,
}

impl Shared {
    pub(crate) fn new(
        connection: Connection,
        token: Option<Arc<TokenRule>>,
        socket: Option<SocketHandle>,
        peer: Option<SocketAddr>,
        sleep: Arc<Sleep>,
    ) -> Self {
        Self {
            id: ConnectionId::next(),
            connection: Mutex::new(connection),
            socket: Mutex::new(socket),
            peer,
            token,
            sleep,
            wakers: Arc::default(),
            messages: Default::default(),
            polls: AtomicU32::new(0),
            holders: AtomicU8::new(0),
            write_failed: AtomicBool::new(false),
        }
    }

    /// A message was received; the connection is locked.
    #[inline]
    pub(crate) fn count_received(&self) {
        self.messages[0].store(self.messages[0].load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// A message was sent; the connection is locked.
    #[inline]
    pub(crate) fn count_sent(&self) {
        self.messages[1].store(self.messages[1].load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Adds what it has received and sent.
    pub(crate) fn add_to(&self, stats: &mut Stats) {
        stats.add_bytes(&self.connection());
        stats.messages_in += self.messages[0].load(Relaxed) as u64;
        stats.messages_out += self.messages[1].load(Relaxed) as u64;
    }

    /// Whatever its owner waits for, it has to know; and tasks that wait for room must look again.
    pub(crate) fn wake(&self) {
        self.wakers.wake_by_ref();
    }

    /// Where what is queued by now will end, in bytes that were written.
    pub(crate) fn end_of_output(&self) -> u64 {
        let connection = self.connection();
        connection.bytes_sent() + connection.queued() as u64
    }

    /// Whether all was written up to there: the connection may have ended since, even by it.
    pub(crate) fn has_written(&self, end: u64) -> bool {
        self.connection().bytes_sent() >= end
    }

    /// Its owner drives it now.
    pub(crate) fn note_poll(&self) {
        self.polls.fetch_add(1, Relaxed);
    }

    pub(crate) fn note_write_failed(&self) {
        self.write_failed.store(true, Relaxed);
    }

    pub(crate) fn has_write_failed(&self) -> bool {
        self.write_failed.load(Relaxed)
    }

    /// Holds reading back, for one more reason.
    pub(crate) fn pause(&self, holder: Holder) {
        let mut connection = self.connection();
        if self.holders.fetch_or(holder as u8, Relaxed) & holder as u8 == 0 {
            connection.pause();
        }
    }

    /// Takes a reason away; where it was the last one, reading goes on. Says whether it does now.
    pub(crate) fn resume(&self, holder: Holder) -> bool {
        let mut connection = self.connection();
        let was_last = self.holders.fetch_and(!(holder as u8), Relaxed) == holder as u8;
        if was_last {
            connection.resume(clock::now());
            self.wakers.driver.wake();
        }
        was_last
    }

    pub(crate) fn is_held(&self) -> bool {
        self.holders.load(Relaxed) != 0
    }

    /// Answers a request, or refuses an upgrade; the driver is woken to write it.
    pub(crate) fn respond(
        &self,
        request: Request,
        mut response: Response<Bytes>,
    ) -> Result<(), RespondError> {
        if let Some(rule) = &self.token {
            rule.complete_response(&request, &mut response);
        }
        let now = Instant::now();
        self.sleep.look(now);
        self.connection().respond(clock::moment(now), request, response)?;
        self.wakers.driver.wake();
        Ok(())
    }

    pub(crate) fn respond_streaming(
        &self,
        request: Request,
        mut head: Response<()>,
        length: Option<u64>,
    ) -> Result<ResponseBody, RespondError> {
        if let Some(rule) = &self.token {
            rule.complete_response(&request, &mut head);
        }
        let now = Instant::now();
        self.sleep.look(now);
        let body = self.connection().http().respond_streaming(clock::moment(now), request, head, length)?;
        if length.is_none()
            && let Some(socket) = &*self.socket()
        {
            // It may be silent for as long as it likes, and so may its peer.
            socket.probe();
        }
        self.wakers.driver.wake();
        Ok(body)
    }

    pub(crate) fn connection(&self) -> MutexGuard<'_, Connection> {
        // The engine does not panic; if it did, it would stay as good as any connection that failed.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        self.socket().as_ref()?.local_addr()
    }

    pub(super) fn socket(&self) -> MutexGuard<'_, Option<SocketHandle>> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All is over, and all waiting ends.
    pub(crate) fn end(&self, by_reset: bool) {
        let socket = self.socket().take();
        if by_reset && let Some(socket) = socket {
            socket.reset_on_close();
        }
        self.wakers.room.notify();
        self.wakers.flusher.wake();
    }
}
