//! The tasks to wake, for one connection.

use atomic_waker::AtomicWaker;
use event_listener::Event;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Wake;

/// The tasks that a connection may have to wake.
///
/// The socket and the timer are polled with this as their waker, never with that of a task: all tasks that wait
/// for the connection are woken, whichever polled last, and one that gave up takes no wake-up with it.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    /// The task that waits for events: it does everything.
    pub(crate) driver: AtomicWaker,
    /// The task that waits until all is written.
    pub(crate) flusher: AtomicWaker,
    /// The tasks that wait for room: there may be some, or the connection has ended.
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
    /// How many wait, or are about to.
    waiting: AtomicUsize,
}

impl Room {
    /// Has all of them look again. Mostly none waits, and that costs no lock: a task says that it waits before it looks
    /// at the connection, whose lock lies between what is notified of and this.
    #[inline]
    pub(crate) fn notify(&self) {
        if self.waiting.load(SeqCst) > 0 {
            self.event.notify(usize::MAX);
        }
    }

    /// Says that a task is about to wait.
    pub(super) fn enter(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, SeqCst);
        Waiting(self)
    }
}

/// That somebody may wait for room.
pub(super) struct Waiting<'a>(&'a Room);

impl Waiting<'_> {
    /// What is notified when it may be there.
    pub(super) fn event(&self) -> &Event {
        &self.0.event
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, SeqCst);
    }
}
