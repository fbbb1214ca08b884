//! The tasks to wake for one connection.

use atomic_waker::AtomicWaker;
use event_listener::Event;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Wake;

/// The tasks that a connection may need to wake.
///
/// The socket and the timer are polled with this as their waker, never with a task's: all tasks that wait for the
/// connection are woken, whichever polled last, and a cancelled task loses no wake-up.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    /// The task that waits for events: it drives everything.
    pub(crate) driver: AtomicWaker,
    /// The task that waits until all output is written.
    pub(crate) flusher: AtomicWaker,
    /// The tasks that wait for room: notified when there may be room, or the connection has ended.
    pub(crate) room: Room,
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.driver.wake();
        self.flusher.wake();
        self.room.notify();
    }
}

/// Where senders wait for room.
#[derive(Debug, Default)]
pub(crate) struct Room {
    event: Event,
    /// How many tasks wait, or are about to.
    waiting: AtomicUsize,
}

impl Room {
    /// Has all waiting tasks check again. Usually there are none, and that costs no lock: a task registers before it
    /// checks the connection, and the connection's lock orders the change before this load.
    #[inline]
    pub(crate) fn notify(&self) {
        if self.waiting.load(SeqCst) > 0 {
            self.event.notify(usize::MAX);
        }
    }

    /// Registers a task that is about to wait.
    pub(super) fn register(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, SeqCst);
        Waiting(self)
    }
}

/// Registration of a task that may wait for room.
pub(super) struct Waiting<'a>(&'a Room);

impl Waiting<'_> {
    /// The event that is notified when there may be room.
    pub(super) fn event(&self) -> &Event {
        &self.0.event
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, SeqCst);
    }
}
