//! The loop: one turn after another.

pub(crate) mod options;
pub(crate) mod poll;
pub(crate) mod poller;
pub(crate) mod remote;
pub(crate) mod run;
pub(crate) mod turn;
pub(crate) mod visit;
pub(crate) mod watch;
pub(crate) mod work;

use crate::client::resolver::Resolver;
use crate::connection::Connections;
use crate::connection::io::write_last;
use crate::connection::slots::{flag, mark};
use crate::endpoint::options::{Budget, Clock, Options, WallClock};
use crate::endpoint::poller::Waiting;
use crate::endpoint::remote::{Job, Remote};
use crate::endpoint::watch::Watch;
use crate::endpoint::work::Work;
use crate::ids::{ClientId, ServerId};
use crate::sys::poller::{Selector, WAKER, Waker};
use crate::sys::{Answer, Sys, System};
use mio::Poll;
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::time::Duration;
use ws_host::sleep::SleepDetector;
use ws_proto::{CloseCode, Error, IoAction, Moment};

/// After this long without activity, the memory that busy connections share is freed.
const IDLE_AFTER: Duration = Duration::from_millis(100);

/// The event loop that drives every server and every connection.
///
/// A program without a loop calls [`Endpoint::run`]. A program that already has a loop calls [`Endpoint::poll`] from
/// it, with [`Options::ui`]: whenever its descriptor is readable (unix; watch it level-triggered, at a
/// priority below drawing) and when [`Endpoint::next_timeout`] has passed; when [`Endpoint::watch`] wakes it; or
/// simply once a frame. See [`embedding`](crate::embedding).
///
/// Dropping it writes what is queued, and closes the WebSockets of servers with 1001, and those of clients with 1000,
/// if that can be written without waiting. For a graceful shutdown, stop the servers and run until they have stopped.
pub struct Endpoint {
    pub(crate) waiting: Waiting,
    /// The bytes that were just read from a connection: events borrow from them.
    rx: Box<[u8]>,
    connections: Connections,
    pub(crate) remote: Remote,
    jobs: VecDeque<Job>,
    /// The kind of work that the next turn begins with.
    first: Work,
    budget: Budget,
    clock: Clock,
    wall_clock: WallClock,
    /// The machine slept, and that is not reported yet.
    slept: Option<Duration>,
    /// The host watches our descriptor instead of waiting in `poll`.
    nested: Cell<bool>,
    /// The descriptor is readable because of work queued between turns.
    nudged: bool,
    worst_turn: Duration,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("connections", &self.connections)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// An empty loop for a dedicated thread: [`Options::server`].
    ///
    /// # Errors
    /// When the system provides no descriptors for it.
    pub fn new() -> io::Result<Self> {
        Self::with(Options::server())
    }

    /// An empty loop with these options.
    ///
    /// # Errors
    /// When the system provides no descriptors for it.
    pub fn with(options: Options) -> io::Result<Self> {
        Self::on(options, None)
    }

    /// As [`Endpoint::with`], with a replacement for the system.
    ///
    /// # Errors
    /// As [`Endpoint::with`].
    #[doc(hidden)]
    pub fn with_system(options: Options, system: impl System + 'static) -> io::Result<Self> {
        Self::on(options, Some(Box::new(system)))
    }

    fn on(options: Options, mut system: Option<Box<dyn System>>) -> io::Result<Self> {
        let Options { budget, max_timers, resolve_names, lookup, mut clock, wall_clock } = options;
        let budget = budget.clamped();
        let sleep = SleepDetector::new(clock.begin(), wall_clock.now());
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let (selector, waker) = match &mut system {
            None => (Selector::new(poll), Waker::Mio(mio::Waker::new(&registry, WAKER)?)),
            Some(system) => {
                let (poller, wake) = system.poller();
                (Selector::other(poller), Waker::Other(wake))
            }
        };
        let remote = Remote::new(waker);
        let resolver = resolve_names.then(|| Resolver::new(lookup_callbacks(remote.clone())));
        let sys = Sys::new(registry, lookup, system);
        let connections = Connections::new(sys, resolver, clock.now(), sleep, max_timers);
        let rx = vec![0; rx_size(&budget)].into_boxed_slice();
        Ok(Self {
            waiting: Waiting::new(selector),
            rx,
            connections,
            remote,
            jobs: VecDeque::new(),
            first: Work::FIRST,
            budget,
            clock,
            wall_clock,
            slept: None,
            nested: Cell::new(false),
            nudged: false,
            worst_turn: Duration::ZERO,
        })
    }

    /// The connections, for use between turns. The next turn writes what is queued: [`Endpoint::next_timeout`] then
    /// returns zero, the endpoint's descriptor is readable if it is watched, and a [`Watch`](crate::Watch) wakes.
    pub fn connections(&mut self) -> &mut Connections {
        self.connections.now = self.clock.now();
        self.compare_clocks();
        if self.nested.get() && !self.nudged {
            self.nudged = true;
            // If this fails, `next_timeout` still reports the work.
            let _ = self.remote.wake();
        }
        self.waiting.nudge();
        &mut self.connections
    }

    /// How long no turn is needed, unless the descriptor becomes readable: zero while work is left in user space,
    /// which the descriptor does not signal; `None` without any timer.
    pub fn next_timeout(&self) -> Option<Duration> {
        if self.has_work() {
            return Some(Duration::ZERO);
        }
        let now = self.clock.now();
        let timer = self.connections.deadlines.wait_from(now);
        timer.into_iter().chain(self.next_deadline_in(now)).min()
    }

    /// The time until a server, a client or an application timer needs a turn.
    #[inline]
    fn next_deadline_in(&self, now: Moment) -> Option<Duration> {
        let Connections { servers, clients, timers, .. } = &self.connections;
        let (server, client) = (servers.wait_from(now), clients.wait_from(now));
        server.into_iter().chain(client).chain(timers.wait_from(now)).min()
    }

    /// The servers that listen or are stopping.
    pub fn servers(&self) -> impl Iterator<Item = ServerId> {
        self.connections.servers()
    }

    /// All clients, idle or not.
    pub fn clients(&self) -> impl Iterator<Item = ClientId> {
        self.connections.clients()
    }

    /// The longest turn since the endpoint began, or since [`take_worst_turn`](Self::take_worst_turn). Zero without a
    /// time limit, from [`Budget::time`] or a deadline of [`poll_until`](Self::poll_until): no clock is read then.
    pub fn worst_turn(&self) -> Duration {
        self.worst_turn
    }

    /// Resets the [longest turn](Self::worst_turn), and returns it.
    pub fn take_worst_turn(&mut self) -> Duration {
        std::mem::take(&mut self.worst_turn)
    }

    /// A handle for other threads.
    pub fn remote(&self) -> Remote {
        self.remote.clone()
    }

    /// Sets how much one turn may do, from the next one on: a hidden window can afford more than one that draws.
    pub fn set_budget(&mut self, budget: Budget) {
        let budget = budget.clamped();
        let size = rx_size(&budget);
        if self.rx.len() != size {
            self.rx = vec![0; size].into_boxed_slice();
        }
        self.budget = budget;
    }

    /// Spawns a helper thread that waits for the kernel and for timers, and calls `wake` on that thread when a turn has
    /// something to do. Sockets, state and handlers stay on the calling thread. This works the same on every system,
    /// even with loops that cannot poll descriptors.
    ///
    /// `wake` asks the host to run a turn, by any means that reaches its loop from other threads: a proxy event, a
    /// posted message, a repaint. The turn is [`Endpoint::poll`] with `Some(Duration::ZERO)`.
    ///
    /// - It is called once, and not again until a turn has ended with [`Turn::more`](crate::Turn::more) false. After a
    ///   turn with `more`, the host itself runs another one soon, at a lower priority than drawing. So wake-ups cannot
    ///   outrun turns.
    /// - It is called for sockets, for [`Remote::run`], for calls between turns ([`Endpoint::connections`]), and
    ///   when [`Endpoint::next_timeout`] has passed.
    /// - A slow `wake` delays only the next one. A panic in it ends the watch.
    ///
    /// [`Endpoint::poll`] with a timeout and [`Endpoint::run`] work as before, and may run while `wake` is
    /// called. While the watch lasts, leave the endpoint's descriptor alone.
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// use std::{sync::mpsc, time::Duration};
    /// use ws_server_mio::{Endpoint, Options};
    ///
    /// let mut endpoint = Endpoint::with(Options::ui())?;
    /// let (wake, woken) = mpsc::channel(); // a foreign loop
    /// let watch = endpoint.watch(move || { let _ = wake.send(()); })?;
    /// while woken.recv().is_ok() {
    ///     while endpoint.poll(Some(Duration::ZERO), |_connections, _event| {})?.more {
    ///         // Draw, here: one turn does a millisecond of work.
    ///     }
    /// }
    /// drop(watch);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] while another [`Watch`] of this endpoint lives, and when the system
    /// provides no thread. The endpoint is then unchanged.
    pub fn watch(&mut self, wake: impl Fn() + Send + 'static) -> io::Result<Watch> {
        let next = self.next_timeout();
        self.waiting.watch(self.remote.clone(), next, wake)
    }

    fn has_work(&self) -> bool {
        !self.jobs.is_empty() || self.connections.has_work()
    }

    /// The idle time after which pooled memory is freed, if any is held. A host that waits elsewhere is
    /// not woken for it.
    fn idle_timeout(&self) -> Option<Duration> {
        (!self.connections.pool.is_empty()).then_some(IDLE_AFTER)
    }

    /// Checks whether the machine slept, and sets the time of day, before any response.
    #[inline]
    fn compare_clocks(&mut self) {
        let now = self.connections.now;
        let slept = self.connections.sleep.slept(now, || self.wall_clock.now());
        if let Some(slept) = slept {
            self.slept = Some(self.slept.unwrap_or_default().saturating_add(slept));
        }
    }
}

/// Creates callbacks for resolved names; each continues in the next turn.
fn lookup_callbacks(remote: Remote) -> Box<dyn Fn(String) -> Answer + Send> {
    Box::new(move |host| {
        let remote = remote.clone();
        Box::new(move |answer| {
            let host = host.clone();
            // The endpoint is gone, and with it its clients.
            let _ = remote.run(move |connections| connections.resolved(&host, answer));
        })
    })
}

fn rx_size(budget: &Budget) -> usize {
    budget.bytes_per_visit.clamp(4 << 10, 256 << 10)
}

/// The descriptor to watch from another loop: readable when a turn has something to do.
///
/// Watch it level-triggered. It does not signal timers: arm one for
/// [`Endpoint::next_timeout`] after each turn.
#[cfg(unix)]
impl std::os::fd::AsFd for Endpoint {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.nested.set(true);
        std::os::fd::AsFd::as_fd(&self.connections.sys.registry)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.remote.end();
        let now = self.clock.now();
        let Connections { slots, sockets, .. } = &mut self.connections;
        for (slot, live) in slots.iter_mut() {
            let is_client = live.is_marked(mark::CLIENT);
            let code = if is_client { CloseCode::NORMAL } else { CloseCode::GOING_AWAY };
            let is_websocket = is_client || live.has(flag::WEBSOCKET);
            if is_websocket {
                // If it is closing already, its Close may still be queued.
                let _ = live.connection.close(now, code, "");
            }
            while write_last(slot, live, sockets, now, usize::MAX) {}
            if !is_websocket {
                live.connection.abort(now, Error::Aborted);
                if live.connection.poll_io() == IoAction::Reset {
                    // A FIN would make a truncated response look complete.
                    sockets.socket(slot, &live.stream).reset_on_close();
                }
            }
        }
    }
}
