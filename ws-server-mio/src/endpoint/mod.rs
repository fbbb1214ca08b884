//! The loop: one turn after another.

pub(crate) mod options;
pub(crate) mod poll;
pub(crate) mod poller;
pub(crate) mod remote;
pub(crate) mod run;
pub(crate) mod turn;
pub(crate) mod visit;
pub(crate) mod watch;

use crate::client::resolver::Resolver;
use crate::connection::Connections;
use crate::connection::io::write;
use crate::connection::slots::flag;
use crate::endpoint::options::{Budget, Clock, Options, WallClock};
use crate::endpoint::poller::Waiting;
use crate::endpoint::remote::{Job, Remote};
use crate::endpoint::watch::Watch;
use crate::ids::{ClientId, ServerId};
use crate::sys::poller::{Selector, WAKER, Waker};
use crate::sys::{Answer, Sys, System};
use mio::Poll;
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};
use ws_host::sleep::SleepDetector;
use ws_proto::{CloseCode, Moment};

/// When nothing has happened for so long, the memory that busy connections pass around is freed.
const QUIET: Duration = Duration::from_millis(100);

/// The only loop: every server, and every connection, is a registration in it.
///
/// A program of its own calls [`Endpoint::run`]. A program with a loop already calls [`Endpoint::poll`] from
/// it, with [`Options::ui`]: whenever its descriptor is readable (unix; watch it level-triggered, at a
/// priority below drawing) and when [`Endpoint::next_timeout`] has passed; when [`Endpoint::watch`] wakes it; or
/// simply once a frame. See [`embedding`](crate::embedding).
///
/// Dropping it tells open clients 1001 as far as that goes without waiting. To part properly, stop the
/// servers and run until they have stopped.
pub struct Endpoint {
    pub(crate) waiting: Waiting,
    /// What was just read, of whichever connection: events are lent from it.
    rx: Box<[u8]>,
    connections: Connections,
    pub(crate) remote: Remote,
    jobs: VecDeque<Job>,
    /// The last turn did nothing but jobs.
    jobs_left: bool,
    budget: Budget,
    clock: Clock,
    wall_clock: WallClock,
    /// The machine slept, and nobody was told yet.
    slept: Option<Duration>,
    /// Somebody waits for our descriptor rather than in `poll`.
    nested: Cell<bool>,
    /// The descriptor is readable, for what was queued between turns.
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
    /// A loop with nothing in it, for a thread of its own: [`Options::server`].
    ///
    /// # Errors
    /// When the system gives no descriptors for it.
    pub fn new() -> io::Result<Self> {
        Self::with(Options::server())
    }

    /// A loop with nothing in it that behaves like this.
    ///
    /// # Errors
    /// When the system gives no descriptors for it.
    pub fn with(options: Options) -> io::Result<Self> {
        Self::on(options, None)
    }

    /// As [`Endpoint::with`], with something in the system's place.
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
        let resolver = resolve_names.then(|| Resolver::new(answers(remote.clone())));
        let sys = Sys::new(registry, lookup, system);
        let connections = Connections::new(sys, resolver, clock.now(), sleep, max_timers);
        let rx = vec![0; rx_size(&budget)].into_boxed_slice();
        Ok(Self {
            waiting: Waiting::new(selector),
            rx,
            connections,
            remote,
            jobs: VecDeque::new(),
            jobs_left: false,
            budget,
            clock,
            wall_clock,
            slept: None,
            nested: Cell::new(false),
            nudged: false,
            worst_turn: Duration::ZERO,
        })
    }

    /// Every verb, between turns. What it queues is written by the next turn: [`Endpoint::next_timeout`] then says
    /// zero, the endpoint's descriptor is readable where somebody watches that, and a [`Watch`](crate::Watch) wakes.
    pub fn connections(&mut self) -> &mut Connections {
        let instant = self.clock.instant();
        self.connections.now = self.clock.moment(instant);
        self.compare_clocks(instant);
        if self.nested.get() && !self.nudged {
            self.nudged = true;
            // Where that fails, `next_timeout` still tells.
            let _ = self.remote.wake();
        }
        self.waiting.nudge();
        &mut self.connections
    }

    /// How long nothing will need a turn, as far as the descriptor stays silent: zero while work is left in
    /// user space, which the descriptor will not tell; `None` when there is no timer at all.
    pub fn next_timeout(&self) -> Option<Duration> {
        if self.has_work() {
            return Some(Duration::ZERO);
        }
        let now = self.clock.now();
        let timer = self.connections.timers.wait_from(now);
        timer.into_iter().chain(self.next_act(now)).min()
    }

    /// The time from now until a server, a client or the application's timers want to act by themselves.
    #[inline]
    fn next_act(&self, now: Moment) -> Option<Duration> {
        let Connections { servers, clients, alarms, .. } = &self.connections;
        let (server, client) = (servers.wait_from(now), clients.wait_from(now));
        server.into_iter().chain(client).chain(alarms.wait_from(now)).min()
    }

    /// The servers that listen or are about to stop.
    pub fn servers(&self) -> impl Iterator<Item = ServerId> {
        self.connections.servers()
    }

    /// The clients there are, at rest or not.
    pub fn clients(&self) -> impl Iterator<Item = ClientId> {
        self.connections.clients()
    }

    /// The longest turn since the endpoint began, or since [`take_worst_turn`](Self::take_worst_turn). Zero without a
    /// [budget in time](Budget::time): no clock is read then.
    pub fn worst_turn(&self) -> Duration {
        self.worst_turn
    }

    /// Begins to look for the [longest turn](Self::worst_turn) anew, and answers what it was.
    pub fn take_worst_turn(&mut self) -> Duration {
        std::mem::take(&mut self.worst_turn)
    }

    /// A handle for other threads.
    pub fn remote(&self) -> Remote {
        self.remote.clone()
    }

    /// Sets how much one turn may do from the next one on: a window that is hidden has more time than one that draws.
    pub fn set_budget(&mut self, budget: Budget) {
        let budget = budget.clamped();
        let size = rx_size(&budget);
        if self.rx.len() != size {
            self.rx = vec![0; size].into_boxed_slice();
        }
        self.budget = budget;
    }

    /// Has a helper thread wait for the kernel and for timers, and call `wake` there when a turn would have
    /// something to do. Sockets, state and handlers stay on this thread. It works alike on every system, also
    /// where a loop takes no descriptor.
    ///
    /// `wake` has the host run a turn, by whatever its loop takes from other threads: an event of a proxy, a
    /// posted message, a repaint. The turn is [`Endpoint::poll`] with `Some(Duration::ZERO)`.
    ///
    /// - It is called once, and not again until a turn has ended with [`Turn::more`](crate::Turn::more) false.
    ///   After one with `more` the host runs another turn soon, unasked, below drawing: notices cannot outrun
    ///   turns.
    /// - It is called for sockets, for [`Remote::run`], for verbs between turns ([`Endpoint::connections`]), and
    ///   when [`Endpoint::next_timeout`] has passed.
    /// - A slow `wake` delays the next one and nothing else. One that panics ends the watch.
    ///
    /// [`Endpoint::poll`] with a timeout and [`Endpoint::run`] work as ever, and `wake` may be called beside
    /// them. While the watch lasts, leave the endpoint's descriptor alone.
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// use std::{sync::mpsc, time::Duration};
    /// use ws_server_mio::{Endpoint, Options};
    ///
    /// let mut endpoint = Endpoint::with(Options::ui())?;
    /// let (wake, woken) = mpsc::channel(); // the loop of somebody else
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
    /// gives no thread. The endpoint is then as it was.
    pub fn watch(&mut self, wake: impl Fn() + Send + 'static) -> io::Result<Watch> {
        let next = self.next_timeout();
        self.waiting.watch(self.remote.clone(), next, wake)
    }

    fn has_work(&self) -> bool {
        !self.jobs.is_empty() || self.connections.has_work()
    }

    /// The time after which all is quiet, where memory is kept that is then to be freed. Who waits elsewhere is
    /// not woken for it.
    fn quiet(&self) -> Option<Duration> {
        (!self.connections.pool.is_empty()).then_some(QUIET)
    }

    /// Looks whether the machine slept, and so sets the time of day, before anything is answered.
    #[inline]
    fn compare_clocks(&mut self, now: Instant) {
        let slept = self.connections.sleep.slept(now, || self.wall_clock.now());
        if let Some(slept) = slept {
            self.slept = Some(self.slept.unwrap_or_default().saturating_add(slept));
        }
    }
}

/// Makes what takes the answer for a name: it goes on in the next turn.
fn answers(remote: Remote) -> Box<dyn Fn(String) -> Answer + Send> {
    Box::new(move |host| {
        let remote = remote.clone();
        Box::new(move |answer| {
            let host = host.clone();
            // Without an endpoint there is nothing left to tell.
            let _ = remote.run(move |connections| connections.resolved(&host, answer));
        })
    })
}

fn rx_size(budget: &Budget) -> usize {
    budget.bytes_per_visit.clamp(4 << 10, 256 << 10)
}

/// The descriptor to watch from another loop: readable when a turn would have something to do.
///
/// It must be watched level-triggered, and it knows nothing of timers: arm one for
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
        let Connections { slots, others, .. } = &mut self.connections;
        for (slot, live) in slots.iter_mut() {
            let code = match live.has(flag::CLIENT) {
                true => CloseCode::NORMAL,
                false => CloseCode::GOING_AWAY,
            };
            if live.has(flag::WEBSOCKET | flag::CLIENT) && live.connection.close(now, code, "").is_ok() {
                write(slot, live, others, now, usize::MAX);
            }
        }
    }
}
