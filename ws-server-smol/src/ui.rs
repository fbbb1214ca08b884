//! A server inside an existing event loop: polled in turns, with one notification for each.
//!
//! ```text
//!     idle ──a wake-up: the host is notified──▶ woken ──turn──▶ polling ──no further wake-up──▶ idle
//!                                                 ▲                │
//!                                                 └── a wake-up ───┘  polled again, or `Turn::more`
//! ```

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// Runs futures inside an existing event loop: that of a window, say. The loop calls [`turn`](Self::turn), which polls
/// for about a millisecond and returns; in between, `notify` signals the loop that there is work.
///
/// Sockets, protocol and handlers stay on the loop's thread. The helper thread of `async-io` waits for sockets and
/// timers meanwhile, and usually calls `notify`. This asks the loop to run a turn, by any means that works from other
/// threads (a proxy event, a posted message, a repaint request), and must not wait for it.
///
/// - `notify` is called once, and not again until a turn has ended with [`Turn::more`] false: a flood of wake-ups
///   becomes one notification.
/// - After a turn with `more`, the host itself runs another one soon, at a lower priority than drawing: at the next
///   frame, when idle, by a timer. Do not post it as an event that precedes painting.
/// - Nor does the first turn need a notification.
///
/// A turn ends when its budget is spent, and exceeds it by at most one step. With an executor, a step polls one task
/// once; this crate's connections yield after half a millisecond or 64 KiB, read or inflated, or after one call of a
/// handler that computes for longer. Never run an executor's `run` in the loop instead: it polls up to two hundred
/// tasks before it yields.
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
/// let (wake, woken) = std::sync::mpsc::channel(); // the event loop
/// let mut ui = UiDriver::ticking(async move || executor.tick().await, move || {
///     let _ = wake.send(());
/// });
/// while ui.turn(Duration::from_millis(1)).more { /* draw, here */ }
/// // From now on, run a turn whenever it is woken.
/// # drop(woken);
/// # Ok(())
/// # }
/// ```
pub struct UiDriver<'a> {
    /// `None` once finished.
    root: Option<Pin<Box<dyn Future<Output = ()> + 'a>>>,
    /// The root panicked, and cannot continue.
    panicked: bool,
    notify: Arc<Notify>,
    waker: Waker,
    clock: Box<dyn FnMut() -> Instant + 'a>,
}

/// What a [turn](UiDriver::turn) did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Turn {
    /// How many polls were made.
    pub steps: u32,
    /// Whether work is left, with no further notification: run another turn soon, at a lower priority than drawing.
    pub more: bool,
    /// Whether the future has completed. Further turns do nothing.
    pub finished: bool,
    /// How long the turn took.
    pub elapsed: Duration,
}

impl<'a> UiDriver<'a> {
    /// Runs one future: [`Server::serve`](crate::Server::serve), say. A step polls it once, even if it has many parts;
    /// for the shortest turns, spawn each connection on an executor and use [`ticking`](Self::ticking).
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

    /// Runs an executor, task by task: `tick` polls one task once, and waits if none is woken, like
    /// `async_executor::LocalExecutor::tick`. It never finishes.
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

    /// Replaces `Instant::now` for budgets, in tests.
    #[must_use]
    pub fn clock(mut self, clock: impl FnMut() -> Instant + 'a) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Polls until nothing is woken, or the budget is spent: a millisecond, for a loop that also draws. No step starts
    /// once the clock is past the budget; even a budget of zero allows one step, and with [`Duration::MAX`] a turn
    /// lasts as long as anything is woken. It never blocks, and without work it only reads the clock.
    ///
    /// # Panics
    /// If a handler panics. The future does not continue then: the host is notified, and the next turn drops it and is
    /// [`finished`](Turn::finished). In tasks of `async_executor`, a panic goes to the task's awaiter, and the other
    /// tasks continue.
    pub fn turn(&mut self, budget: Duration) -> Turn {
        if std::mem::take(&mut self.panicked) {
            self.root = None;
        }
        let start = (self.clock)();
        let mut turn = Turn { finished: self.root.is_none(), ..Turn::default() };
        while let Some(root) = &mut self.root
            && self.notify.begin_step()
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
            if turn.finished || self.notify.try_idle() {
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

/// A step. If it panics, the host is notified: another turn is due.
struct Step<'s> {
    panicked: &'s mut bool,
    notify: &'s Arc<Notify>,
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        *self.panicked = true;
        self.notify.state.store(IDLE, Ordering::Release);
        self.notify.wake_by_ref();
    }
}

impl fmt::Debug for UiDriver<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UiDriver").field("finished", &self.root.is_none()).finish_non_exhaustive()
    }
}

/// There is no work: the next wake-up notifies the host.
const IDLE: u8 = 0;
/// A turn is polling, and checks again before it goes idle.
const POLLING: u8 = 1;
/// There is work, and the host knows.
const WOKEN: u8 = 2;

/// Merges many wake-ups into one notification.
struct Notify {
    state: AtomicU8,
    /// In a lock, so that it need not be `Sync`.
    notify: Mutex<Box<dyn Fn() + Send>>,
}

impl Notify {
    /// Begins a step if there was a wake-up.
    fn begin_step(&self) -> bool {
        self.state.compare_exchange(WOKEN, POLLING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Goes idle if there was no wake-up meanwhile.
    fn try_idle(&self) -> bool {
        self.state.compare_exchange(POLLING, IDLE, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl Wake for Notify {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(WOKEN, Ordering::AcqRel) == IDLE {
            self.notify.lock().unwrap_or_else(PoisonError::into_inner)();
        }
    }
}
