//! The tasks to wake for one connection.

use crate::gate::Gate;
use atomic_waker::AtomicWaker;
use event_listener::Event;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Wake, Waker};

/// The tasks that a connection may need to wake.
///
/// The socket and the timer are polled with this as their waker, never with a task's: all tasks that wait for the
/// connection are woken, whichever polled last, and a cancelled task loses no wake-up.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    driver: AtomicWaker,
    flusher: AtomicWaker,
    room: Room,
    /// Held while the connection is locked, wherever something may be woken meanwhile: streams wake, too.
    gate: Gate,
}

const DRIVER: u32 = 1;
const FLUSHER: u32 = 2;
const ROOM: u32 = 4;

impl Wakers {
    /// Registers the task that waits for events: it drives everything.
    pub(super) fn register_driver(&self, waker: &Waker) {
        self.driver.register(waker);
    }

    /// Registers the task that waits until all output is written.
    pub(super) fn register_flusher(&self, waker: &Waker) {
        self.flusher.register(waker);
    }

    /// Registers a task that is about to wait for room.
    pub(super) fn register_room(&self) -> Waiting<'_> {
        self.room.register()
    }

    pub(crate) fn wake_driver(&self) {
        self.wake(DRIVER);
    }

    /// Wakes the task that writes: the one that drives, and the one that waits until all output is written.
    pub(super) fn wake_writers(&self) {
        self.wake(DRIVER | FLUSHER);
    }

    /// There may be room.
    pub(super) fn wake_room(&self) {
        if self.room.has_waiting() {
            self.wake(ROOM);
        }
    }

    /// The connection has ended.
    pub(super) fn wake_senders(&self) {
        self.wake(ROOM | FLUSHER);
    }

    /// Holds wake-ups back until the connection is unlocked: declare it first.
    pub(super) fn hold(&self) -> impl Drop {
        self.gate.hold(|tasks| self.wake_now(tasks))
    }

    fn wake(&self, tasks: u32) {
        if self.gate.passes(tasks) {
            self.wake_now(tasks);
        }
    }

    fn wake_now(&self, tasks: u32) {
        if tasks & DRIVER > 0 {
            self.driver.wake();
        }
        if tasks & FLUSHER > 0 {
            self.flusher.wake();
        }
        if tasks & ROOM > 0 {
            self.room.notify();
        }
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        Wakers::wake(self, DRIVER | FLUSHER | ROOM);
    }
}

/// Where senders wait for room.
#[derive(Debug, Default)]
struct Room {
    event: Event,
    /// How many tasks wait, or are about to.
    waiting: AtomicUsize,
}

impl Room {
    /// Usually there are none, and that costs no lock: a task registers before it checks the connection, and the
    /// connection's lock orders the change before this load.
    #[inline]
    fn has_waiting(&self) -> bool {
        self.waiting.load(SeqCst) > 0
    }

    /// Has all waiting tasks check again.
    fn notify(&self) {
        if self.has_waiting() {
            self.event.notify(usize::MAX);
        }
    }

    fn register(&self) -> Waiting<'_> {
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
