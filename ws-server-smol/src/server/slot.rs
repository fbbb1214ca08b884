//! Holds the extension. It runs on one thread at a time, and what it causes meanwhile follows right after.
//!
//! ```text
//!   free ──filter──▶ running ──▶ the queued calls, in order ──▶ free
//!                       │                  ▲
//!                       └── a WebSocket is dropped: queue ──┘
//! ```

use crate::extension::Extension;
use crate::ids::ConnectionId;
use std::any::Any;
use std::collections::VecDeque;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use ws_proto::Closed;

/// A call that returns nothing, so it may be queued.
pub(super) enum Call {
    Opened(ConnectionId),
    Closed(ConnectionId, Box<Closed>),
    Stopping,
    /// The extension has seen the end of a dropped WebSocket: its topics may be forgotten.
    Forget(ConnectionId),
}

/// What to do while the extension runs on another thread.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Busy {
    Wait,
    Queue,
}

/// The extension already runs on this thread.
pub(crate) struct Nested;

pub(super) struct Slot {
    state: Mutex<State>,
    /// Notified when the extension is free, if a thread waits for that.
    free: Condvar,
}

struct State {
    place: Place,
    /// How many threads wait.
    waiting: usize,
    /// Calls that follow the running one; empty while the extension is free.
    queue: VecDeque<Call>,
}

enum Place {
    Free(Box<dyn Extension>),
    Running(ThreadId),
}

type Panic = Box<dyn Any + Send>;

impl Slot {
    pub(super) fn new(extension: Box<dyn Extension>) -> Self {
        let state = State { place: Place::Free(extension), waiting: 0, queue: VecDeque::new() };
        Self { state: Mutex::new(state), free: Condvar::new() }
    }

    /// Calls the extension, and then makes the queued calls.
    ///
    /// # Errors
    /// [`Nested`].
    pub(super) fn call<T>(
        &self,
        call: impl FnOnce(&mut dyn Extension) -> T,
        make: impl Fn(&mut dyn Extension, Call),
    ) -> Result<T, Nested> {
        let mut extension = take(&mut self.enter(Busy::Wait)).ok_or(Nested)?;
        let called = catching(|| call(&mut *extension));
        match (called, self.leave(extension, make)) {
            (Ok(value), None) => Ok(value),
            (Err(panic), _) | (Ok(_), Some(panic)) => resume_unwind(panic),
        }
    }

    /// Makes this call now; or right after the running one, if that is on this thread, or on another one and `busy`
    /// says so.
    pub(super) fn notify(&self, call: Call, busy: Busy, make: impl Fn(&mut dyn Extension, Call)) {
        let mut state = self.enter(busy);
        state.queue.push_back(call);
        let free = take(&mut state);
        drop(state);
        if let Some(panic) = free.and_then(|extension| self.leave(extension, make)) {
            resume_unwind(panic);
        }
    }

    /// Waits while the extension runs on another thread, if `busy` says so.
    fn enter(&self, busy: Busy) -> MutexGuard<'_, State> {
        let mut state = self.state();
        while busy == Busy::Wait
            && let Place::Running(thread) = state.place
            && thread != thread::current().id()
        {
            state.waiting += 1;
            state = self.free.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        state
    }

    /// Makes the queued calls, and puts the extension back. Returns the first panic.
    fn leave(
        &self,
        mut extension: Box<dyn Extension>,
        make: impl Fn(&mut dyn Extension, Call),
    ) -> Option<Panic> {
        let mut panic = None;
        loop {
            let mut state = self.state();
            let Some(call) = state.queue.pop_front() else {
                state.place = Place::Free(extension);
                if state.waiting > 0 {
                    self.free.notify_one();
                }
                return panic;
            };
            drop(state);
            if let Err(another) = catching(|| make(&mut *extension, call)) {
                panic.get_or_insert(another);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No application code runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the extension if it is free.
fn take(state: &mut State) -> Option<Box<dyn Extension>> {
    let running = Place::Running(thread::current().id());
    match mem::replace(&mut state.place, running) {
        Place::Free(extension) => Some(extension),
        running @ Place::Running(_) => {
            state.place = running;
            None
        }
    }
}

/// The extension and the server stay usable after a panic.
fn catching<T>(call: impl FnOnce() -> T) -> Result<T, Panic> {
    catch_unwind(AssertUnwindSafe(call))
}
