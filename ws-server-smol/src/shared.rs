//! What the owner of a connection and its senders share: the engine, and who is to be woken.

use atomic_waker::AtomicWaker;
use event_listener::Event;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Wake;
use ws_proto::{Connection, State};

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

#[derive(Debug)]
pub(crate) struct Shared {
    connection: Mutex<Connection>,
    pub(crate) wakers: Arc<Wakers>,
    /// There is room again, or the connection has ended.
    pub(crate) room: Event,
}

impl Shared {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection: Mutex::new(connection), wakers: Arc::default(), room: Event::new() }
    }

    pub(crate) fn connection(&self) -> MutexGuard<'_, Connection> {
        // The engine does not panic; if it did, it would stay as good as any connection that failed.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether whoever sends has to wait; it is noted that somebody does.
    pub(crate) fn await_room(&self) -> bool {
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
