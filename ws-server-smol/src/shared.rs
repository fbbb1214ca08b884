//! What the owner of a connection and its senders share: the engine, and who is to be woken.

use atomic_waker::AtomicWaker;
use bytes::Bytes;
use event_listener::{Event, listener};
use http::Response;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Wake;
use std::time::Instant;
use ws_proto::token::TokenRule;
use ws_proto::{Connection, Request, ResponseBody, SendError, Sent, State};

/// The tasks that a connection may have to wake.
///
/// The socket and the timer are polled with this as their waker, never with that of a task: whoever waits for
/// the connection is woken, whichever of them polled last, and one that gave up takes no wake-up with it.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    /// Whoever waits for events: it does everything.
    pub(crate) driver: AtomicWaker,
    /// Whoever waits until all is written.
    pub(crate) flusher: AtomicWaker,
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.driver.wake();
        self.flusher.wake();
    }
}

/// Which connection, for as long as the process lives. Never used twice: once its connection is gone it finds nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

impl ConnectionId {
    fn next() -> Self {
        // No 64-bit atomics on every system; and connections begin seldom.
        static LAST: Mutex<u64> = Mutex::new(0);
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        *last += 1;
        Self(*last)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) id: ConnectionId,
    connection: Mutex<Connection>,
    /// What requests must show.
    pub(crate) token: Option<Arc<TokenRule>>,
    pub(crate) wakers: Arc<Wakers>,
    /// There is room again, or the connection has ended.
    pub(crate) room: Event,
}

impl Shared {
    pub(crate) fn new(connection: Connection, token: Option<Arc<TokenRule>>) -> Self {
        Self {
            id: ConnectionId::next(),
            connection: Mutex::new(connection),
            token,
            wakers: Arc::default(),
            room: Event::new(),
        }
    }

    /// Whatever its owner waits for, it has to know; and who waits for room must look again.
    pub(crate) fn wake(&self) {
        self.wakers.wake_by_ref();
        self.room.notify(usize::MAX);
    }

    /// Answers a request, or refuses an upgrade; the driver is woken to write it.
    pub(crate) fn respond(&self, request: Request, mut response: Response<Bytes>) -> Result<(), SendError> {
        if let Some(rule) = &self.token {
            rule.sign(&request, &mut response);
        }
        self.connection().respond(Instant::now(), request, response)?;
        self.wakers.driver.wake();
        Ok(())
    }

    pub(crate) fn respond_streaming(
        &self,
        request: Request,
        mut head: Response<()>,
        length: Option<u64>,
    ) -> Result<ResponseBody, SendError> {
        if let Some(rule) = &self.token {
            rule.sign(&request, &mut head);
        }
        let body = self.connection().respond_streaming(Instant::now(), request, head, length)?;
        self.wakers.driver.wake();
        Ok(body)
    }

    pub(crate) fn connection(&self) -> MutexGuard<'_, Connection> {
        // The engine does not panic; if it did, it would stay as good as any connection that failed.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends as soon as there is room below the high mark.
    pub(crate) async fn send_when_room(
        &self,
        try_send: impl Fn() -> Result<Sent, SendError>,
    ) -> Result<(), SendError> {
        loop {
            listener!(self.room => room);
            if !self.await_room() {
                match try_send() {
                    // It is larger than what is left: there will be more.
                    Err(SendError::Full) => {}
                    result => return result.map(drop),
                }
            }
            room.await;
        }
    }

    /// Whether whoever sends has to wait; it is noted that somebody does.
    fn await_room(&self) -> bool {
        let mut connection = self.connection();
        if connection.state() == State::Closed || !connection.is_congested() {
            return false;
        }
        let paused = connection.is_paused();
        connection.await_room();
        if paused && !connection.is_paused() {
            self.wakers.driver.wake();
        }
        true
    }
}
