//! Waiting for the kernel on a helper thread, which wakes the host.
//!
//! ```text
//!      thread "ws-watch"                        the endpoint's thread
//!
//!      wait in the kernel ◀────────────┐        turn: takes the batch, owes no wake-up now
//!             │ readiness, a deadline  │               │
//!             ▼                        │               ▼
//!      hand over one batch             │        drained, and no batch has come meanwhile?
//!             │ if a wake-up is owed   │          no: `Turn::more`; the host runs another turn
//!             ▼                        │         yes: a wake-up is owed from here on
//!      call `wake`                     │
//!             │                        │
//!      until the batch is taken ───────┘
//! ```
//!
//! The two meet under one lock, which orders a turn's last look and the thread's hand-over: the
//! second sees what the first did, so that no wake-up is lost. A turn that does not drain still takes a
//! batch: a flood on one socket delays no other.
//!
//! The thread holds the selector only while it waits in the kernel. Otherwise, during a slow
//! `wake` say, a turn takes the selector and polls the kernel itself.
//!
//! A batch may be older than the socket that now has its token. Such readiness is spurious, which every socket
//! tolerates.

use crate::endpoint::remote::Remote;
use crate::sys::poller::{Readiness, Selector, WAKER};
use mio::Token;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The granularity of waits: a wait that is too long by less than this is not interrupted.
const TICK: Duration = Duration::from_millis(1);

/// Keeps a helper thread watching an endpoint; [`Endpoint::watch`](crate::Endpoint::watch) starts it. Dropping this
/// ends the thread and the calls of `wake`; from then on the endpoint waits in its own turns again.
///
/// Dropping it does not wait for a running call of `wake`. It may be dropped before or after its endpoint.
#[must_use = "the watch ends when this is dropped"]
pub struct Watch {
    shared: Arc<Shared>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.end();
    }
}

/// The endpoint's side of a watch.
pub(crate) struct Watched {
    pub(crate) shared: Arc<Shared>,
    /// The batch that the turn works on. Its memory is swapped with the next batch.
    pub(crate) taken: Vec<(Token, Readiness)>,
}

impl Watched {
    /// Waits for a batch and takes it. Returns the selector when the watch has ended.
    pub(crate) fn wait(&mut self, mut timeout: Option<Duration>) -> (io::Result<()>, Option<Selector>) {
        self.taken.clear();
        let shared = &*self.shared;
        let mut state = shared.lock();
        // This turn sees what is ready, and checks again at its end.
        state.owed = false;
        if timeout != Some(Duration::ZERO) && state.is_idle() {
            state = match timeout {
                None => unpoisoned(shared.changed.wait_while(state, |state| state.is_idle())),
                Some(timeout) => {
                    unpoisoned(shared.changed.wait_timeout_while(state, timeout, |state| state.is_idle())).0
                }
            };
            timeout = Some(Duration::ZERO);
        }
        if !state.batch.is_empty() {
            std::mem::swap(&mut self.taken, &mut state.batch);
            drop(state);
            shared.changed.notify_all();
            return (Ok(()), None);
        }
        let Some(mut selector) = state.selector.take() else { return (Ok(()), None) };
        let ended = state.phase == Phase::Ended;
        drop(state);
        let waited = selector.wait(timeout);
        if ended {
            return (waited, Some(selector));
        }
        selector.each(|token, readiness| self.taken.push((token, readiness)));
        let mut state = shared.lock();
        state.selector = Some(selector);
        // After an error, the host may still need a wake-up.
        state.owed = waited.is_err();
        drop(state);
        shared.changed.notify_all();
        (waited, None)
    }

    /// Whether the watch has ended, and the thread has released the selector.
    pub(crate) fn has_ended(&self) -> bool {
        let state = self.shared.lock();
        state.phase == Phase::Ended && state.selector.is_some()
    }

    /// Passes its selector, and a batch not taken yet, to the next watch.
    pub(crate) fn hand_over(&self) -> (Option<Selector>, Vec<(Token, Readiness)>) {
        let mut state = self.shared.lock();
        (state.selector.take(), std::mem::take(&mut state.batch))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.shared.end();
    }
}

/// What the endpoint, its watch and the thread share.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// A batch was handed over or taken, the selector was returned, or the watch ended.
    changed: Condvar,
    remote: Remote,
}

#[derive(Default)]
struct State {
    /// Absent while the thread or a turn waits with it.
    selector: Option<Selector>,
    /// Handed over and not taken yet. Until then, the thread does not wait in the kernel.
    batch: Vec<(Token, Readiness)>,
    /// The host must be woken when there is work. Otherwise it runs a turn, or knows that it must.
    owed: bool,
    /// When a turn is due even if nothing is ready, as of the last turn that drained.
    deadline: Option<Instant>,
    /// The end of the thread's current wait in the kernel.
    until: Option<Instant>,
    phase: Phase,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Waiting,
    /// The thread is in `wake`.
    Calling,
    Ended,
}

impl State {
    /// There is nothing for a turn to take.
    fn is_idle(&self) -> bool {
        self.batch.is_empty() && self.selector.is_none()
    }

    /// The time until the deadline, if it needs a wake-up. A deadline that passed during a turn belongs to that
    /// turn.
    fn set_until(&mut self, now: Instant) -> Option<Duration> {
        self.until = self.deadline.filter(|deadline| self.owed || *deadline > now);
        self.until.map(|until| until.saturating_duration_since(now))
    }

    /// Whether the thread must call `wake`.
    fn must_call(&self) -> bool {
        self.phase == Phase::Waiting && self.owed && self.is_due()
    }

    fn is_due(&self) -> bool {
        !self.batch.is_empty() || self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }
}

impl Shared {
    /// Starts the thread, which idles until [`Shared::start`] hands it a selector.
    pub(crate) fn begin(
        remote: Remote,
        wake: impl Fn() + Send + 'static,
    ) -> io::Result<(Arc<Self>, JoinHandle<()>)> {
        let shared = Arc::new(Self { state: Mutex::default(), changed: Condvar::new(), remote });
        let in_thread = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name("ws-watch".to_owned()).spawn(move || in_thread.run(&wake))?;
        Ok((shared, thread))
    }

    /// Hands the thread its selector.
    pub(crate) fn start(
        self: Arc<Self>,
        selector: Option<Selector>,
        batch: Vec<(Token, Readiness)>,
        thread: JoinHandle<()>,
        next: Option<Duration>,
    ) -> Watch {
        let mut state = self.lock();
        (state.selector, state.batch) = (selector, batch);
        state.thread = Some(thread);
        state.owed = true;
        state.deadline = deadline_of(next);
        drop(state);
        self.changed.notify_all();
        Watch { shared: self }
    }

    /// The thread's loop.
    fn run(&self, wake: &dyn Fn()) {
        let mut state = self.lock();
        // The selector arrives after the thread has started.
        while state.selector.is_none() && state.phase != Phase::Ended {
            state = unpoisoned(self.changed.wait(state));
        }
        loop {
            if state.must_call() {
                state = self.call(state, wake);
            }
            state = unpoisoned(self.changed.wait_while(state, |state| {
                state.phase != Phase::Ended
                    && !state.must_call()
                    && (state.selector.is_none() || !state.batch.is_empty())
            }));
            if state.phase == Phase::Ended {
                return;
            }
            if state.must_call() {
                continue;
            }
            let Some(mut selector) = state.selector.take() else { continue };
            let timeout = state.set_until(Instant::now());
            drop(state);
            let failed = selector.wait(timeout).is_err();
            state = self.lock();
            // The waker also signals an earlier deadline to this thread.
            selector.each(|token, readiness| {
                if token != WAKER || self.remote.has_jobs() {
                    state.batch.push((token, readiness));
                }
            });
            state.selector = Some(selector);
            if !state.batch.is_empty() || state.phase == Phase::Ended {
                self.changed.notify_all();
            }
            if failed {
                // The next turn waits itself and returns the error.
                if state.phase == Phase::Waiting && state.owed {
                    state = self.call(state, wake);
                }
                state.phase = Phase::Ended;
                self.changed.notify_all();
            }
        }
    }

    fn call<'s>(&'s self, mut state: MutexGuard<'s, State>, wake: &dyn Fn()) -> MutexGuard<'s, State> {
        state.owed = false;
        state.phase = Phase::Calling;
        drop(state);
        let panicked = catch_unwind(AssertUnwindSafe(wake)).is_err();
        let mut state = self.lock();
        if panicked {
            state.phase = Phase::Ended;
            self.changed.notify_all();
        } else if state.phase == Phase::Calling {
            state.phase = Phase::Waiting;
        }
        state
    }

    pub(crate) fn set_idle(&self, next: Option<Duration>) -> bool {
        let mut state = self.lock();
        if !state.batch.is_empty() {
            return true;
        }
        state.owed = true;
        state.deadline = deadline_of(next);
        self.notify_deadline(state);
        false
    }

    pub(crate) fn nudge(&self) {
        let mut state = self.lock();
        if state.owed && !state.is_due() {
            state.deadline = Some(Instant::now());
            self.notify_deadline(state);
        }
    }

    /// Marks a wake-up as owed, immediately.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        state.owed = true;
        state.deadline = Some(Instant::now());
        self.changed.notify_all();
        self.notify_deadline(state);
    }

    /// Shortens the thread's wait to the deadline.
    fn notify_deadline(&self, state: MutexGuard<'_, State>) {
        // Usually a deadline moves later, and the thread checks when the earlier one has passed.
        let too_long = match (state.deadline, state.until) {
            (Some(deadline), Some(until)) => deadline.checked_add(TICK).is_some_and(|late| late < until),
            (deadline, until) => deadline.is_some() && until.is_none(),
        };
        let notify = too_long && state.selector.is_none();
        drop(state);
        if notify {
            // If this fails, the host must observe the deadline itself, as without a watch.
            let _ = self.remote.wake();
        }
    }

    /// Ends the thread and waits for it, unless it is in `wake`, which may wait for the caller.
    fn end(&self) {
        let mut state = self.lock();
        let calling = state.phase == Phase::Calling;
        state.phase = Phase::Ended;
        let thread = state.thread.take();
        drop(state);
        self.changed.notify_all();
        let Some(thread) = thread else { return };
        if self.remote.wake().is_ok() && !calling {
            let _ = thread.join();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        unpoisoned(self.state.lock())
    }
}

fn unpoisoned<T>(result: Result<T, PoisonError<T>>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}

fn deadline_of(next: Option<Duration>) -> Option<Instant> {
    Instant::now().checked_add(next?)
}
