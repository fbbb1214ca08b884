//! A server inside somebody else's loop: polled in turns, and woken once for each.
//!
//! ```text
//!     resting ──a wake-up: the host is notified──▶ woken ──turn──▶ polling ──nothing more woke──▶ resting
//!                                                    ▲                │
//!                                                    └── a wake-up ───┘  polled again, or `Turn::more`
//! ```

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// Runs futures inside a loop that is not theirs: that of a window, say. The loop calls [`turn`](Self::turn), which
/// polls for about a millisecond and returns; in between, `notify` tells the loop that there is something to do.
///
/// Sockets, protocol and handlers stay on the loop's thread. What waits for sockets and timers meanwhile is the
/// helper thread of `async-io`, and there `notify` is mostly called: it has the loop run a turn, by whatever the loop
/// takes from other threads (an event of a proxy, a posted message, a request to repaint), and must not wait for it.
///
/// - `notify` is called once, and not again until a turn has ended with [`Turn::more`] false: a flood of wake-ups is
///   one.
/// - After a turn with `more` the host runs another soon, unasked, *below* drawing: at the next frame, when idle, by
///   a timer. It is not posted as an event that goes before painting.
/// - The first turn is unasked, too.
///
/// A turn ends when its budget is spent, and exceeds it by one step: of an executor a task that is polled once, which
/// this crate's connections end after half a millisecond or 64 KiB, read or inflated, or after one call of a handler that
/// computes for longer. Never give an executor's `run` to a loop instead: it polls up to two hundred tasks before it lets
/// go.
///
/// ```
/// use async_executor::LocalExecutor;
/// use std::rc::Rc;
/// use std::time::Duration;
/// use ws_server_smol::{Bind, Server, ServerConfig, UiDriver};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let executor = Rc::new(LocalExecutor::new());
/// let server = Server::bind(Bind::localhost(), ServerConfig::new())?;
/// executor
///     .spawn({
///         let (server, executor) = (server.clone(), executor.clone());
///         async move {
///             while let Some(mut http) = server.accept().await {
///                 executor.spawn(async move { while http.next().await.is_some() { /* answer */ } }).detach();
///             }
///         }
///     })
///     .detach();
///
/// let (wake, woken) = std::sync::mpsc::channel(); // the loop of somebody else
/// let mut ui = UiDriver::ticking(async move || executor.tick().await, move || {
///     let _ = wake.send(());
/// });
/// while ui.turn(Duration::from_millis(1)).more { /* draw, here */ }
/// // And from now on: as often as it is woken.
/// # drop(woken);
/// # Ok(())
/// # }
/// ```
pub struct UiDriver<'a> {
    /// `None` once it is finished.
    root: Option<Pin<Box<dyn Future<Output = ()> + 'a>>>,
    /// The root panicked, and cannot go on.
    panicked: bool,
    notify: Arc<Notify>,
    waker: Waker,
    clock: Box<dyn FnMut() -> Instant + 'a>,
}

/// What a [turn](UiDriver::turn) did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Turn {
    /// How often something was polled.
    pub steps: u32,
    /// Whether work is left without a further notice: run another turn soon, below drawing.
    pub more: bool,
    /// Whether all is over: the future has ended. Further turns do nothing.
    pub finished: bool,
    /// How long the turn took.
    pub elapsed: Duration,
}

impl<'a> UiDriver<'a> {
    /// Runs one future: [`Server::serve`](crate::Server::serve), say. A step polls it once, be it of many parts; for
    /// the shortest turns, give each connection a task of an executor and use [`ticking`](Self::ticking).
    pub fn new(future: impl Future<Output = ()> + 'a, notify: impl Fn() + Send + 'static) -> Self {
        let notify = Arc::new(Notify { state: AtomicU8::new(WOKEN), notify: Mutex::new(Box::new(notify)) });
        Self {
            root: Some(Box::pin(future)),
            panicked: false,
            waker: Waker::from(notify.clone()),
            notify,
            clock: Box::new(Instant::now),
        }
    }

    /// Runs an executor, task by task: `tick` polls one task once, and waits where none is woken, as
    /// `async_executor::LocalExecutor::tick` does. It never finishes by itself.
    pub fn ticking(tick: impl AsyncFn() + 'a, notify: impl Fn() + Send + 'static) -> Self {
        let ticks = async move {
            loop {
                tick().await;
                // One task is one step.
                let mut over = false;
                poll_fn(|cx| {
                    if !std::mem::replace(&mut over, true) {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    Poll::Ready(())
                })
                .await;
            }
        };
        Self::new(ticks, notify)
    }

    /// Replaces `Instant::now` for budgets, for tests.
    #[must_use]
    pub fn clock(mut self, clock: impl FnMut() -> Instant + 'a) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Polls until nothing is woken, or the budget is spent: a millisecond, for a loop that also draws. No step
    /// starts after a clock reading past it; one is taken even of a budget of zero, and with [`Duration::MAX`] a turn
    /// lasts for as long as anything is woken. It never waits, and one that has nothing to do reads the clock and is
    /// over.
    ///
    /// # Panics
    /// Where a handler does. The future does not go on then: the host is notified, and the next turn drops it and is
    /// [`finished`](Turn::finished). In tasks of `async_executor`, a panic goes to the task's awaiter, and the others
    /// go on.
    pub fn turn(&mut self, budget: Duration) -> Turn {
        if std::mem::take(&mut self.panicked) {
            self.root = None;
        }
        let start = (self.clock)();
        let mut turn = Turn { finished: self.root.is_none(), ..Turn::default() };
        while let Some(root) = &mut self.root
            && self.notify.answer()
        {
            turn.steps += 1;
            let step = Step { panicked: &mut self.panicked, notify: &self.notify };
            let ready = root.as_mut().poll(&mut Context::from_waker(&self.waker)).is_ready();
            std::mem::forget(step);
            if ready {
                self.root = None;
                turn.finished = true;
            }
            turn.elapsed = (self.clock)().saturating_duration_since(start);
            if turn.finished || self.notify.rest() {
                break;
            }
            if turn.elapsed >= budget {
                turn.more = true;
                break;
            }
        }
        turn
    }
}

/// A step. Where it panics, the host is notified: another turn is due.
struct Step<'s> {
    panicked: &'s mut bool,
    notify: &'s Arc<Notify>,
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        *self.panicked = true;
        self.notify.state.store(RESTING, Ordering::Release);
        self.notify.wake_by_ref();
    }
}

impl fmt::Debug for UiDriver<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UiDriver").field("finished", &self.root.is_none()).finish_non_exhaustive()
    }
}

/// Nothing is to be done: the next wake-up notifies the host.
const RESTING: u8 = 0;
/// A turn polls, and looks again before it rests.
const POLLING: u8 = 1;
/// Something is to be done, and the host knows.
const WOKEN: u8 = 2;

/// Many wake-ups, one notice.
struct Notify {
    state: AtomicU8,
    /// A lock, so that it need not be `Sync`.
    notify: Mutex<Box<dyn Fn() + Send>>,
}

impl Notify {
    /// Begins a step, if there was a wake-up.
    fn answer(&self) -> bool {
        self.state.compare_exchange(WOKEN, POLLING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Rests, if there was no wake-up meanwhile.
    fn rest(&self) -> bool {
        self.state.compare_exchange(POLLING, RESTING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl Wake for Notify {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(WOKEN, Ordering::AcqRel) == RESTING {
            self.notify.lock().unwrap_or_else(PoisonError::into_inner)();
        }
    }
}
