//! The loop: one turn after another.

pub(crate) mod options;
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
use crate::endpoint::options::{Budget, Clock, Options, Turn, WallClock};
use crate::endpoint::poller::Waiting;
use crate::endpoint::remote::{Job, Remote};
use crate::endpoint::turn::TurnRun;
use crate::endpoint::watch::Watch;
use crate::event::Event;
use crate::sys::poller::{Selector, WAKER, Waker};
use crate::sys::{Answer, Sys, System};
use mio::{Poll, Token};
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};
use ws_host::sleep::SleepDetector;
use ws_proto::CloseCode;

/// How often a turn asks the kernel, at most, where it always has as much to tell as one wait can bring.
const WAITS: usize = 16;
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
    /// A loop with nothing in it.
    ///
    /// # Errors
    /// When the system gives no descriptors for it.
    pub fn new(options: Options) -> io::Result<Self> {
        Self::with(options, None)
    }

    /// As [`Endpoint::new`], with something in the system's place.
    ///
    /// # Errors
    /// As [`Endpoint::new`].
    #[doc(hidden)]
    pub fn with_system(options: Options, system: impl System + 'static) -> io::Result<Self> {
        Self::with(options, Some(Box::new(system)))
    }

    fn with(options: Options, mut system: Option<Box<dyn System>>) -> io::Result<Self> {
        let Options { budget, resolve_names, lookup, mut clock, wall_clock } = options;
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
        let connections = Connections::new(sys, resolver, clock.now(), sleep);
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
        })
    }

    /// Waits until something happens, at most for `timeout` (in whole milliseconds, rounded up; `None` is as
    /// long as it takes), and does one turn of work: the handler gets each event, with the connections at hand
    /// to answer it. With `Some(Duration::ZERO)` it does not wait. It may return early without an event.
    ///
    /// # Errors
    /// When waiting fails, which no peer can cause. What goes wrong on a connection is its `Closed` event.
    ///
    /// # Panics
    /// Where the handler, the [`Extension`](crate::Extension) or a job of a [`Remote`](crate::Remote) does. The turn ends
    /// there, and the endpoint stays usable: catch the panic, and run another turn soon, as after
    /// [`Turn::more`](crate::Turn::more). Every connection goes on, that of the handler's event included: the event is used
    /// up, what was read behind it is told next, and a request that was not answered is answered 503. Where the application
    /// no longer knows what it owes a peer, it should [`close`](Connections::close) it.
    pub fn poll(
        &mut self,
        timeout: Option<Duration>,
        handler: impl FnMut(&mut Connections, Event<'_>),
    ) -> io::Result<Turn> {
        if timeout != Some(Duration::ZERO) {
            // However long ago the last turn was, timers count from now.
            let now = self.clock.now();
            self.connections.now = now;
            self.connections.timers.set_now(now);
        }
        Ok(self.turn(timeout, handler)?.0)
    }

    /// Runs until [`Connections::exit`] is called, or until the last server has stopped and the last client has come
    /// to rest.
    ///
    /// # Errors
    /// As [`Endpoint::poll`].
    pub fn run(&mut self, mut handler: impl FnMut(&mut Connections, Event<'_>)) -> io::Result<()> {
        // Something came to its end; where the rest has done so before, that was the last.
        let mut ended = false;
        loop {
            let (_, stopped) = self.turn(None, &mut handler)?;
            ended |= stopped | self.connections.clients.take_rested();
            let exit = std::mem::take(&mut self.connections.exit);
            if exit || ended && self.connections.servers.is_empty() && self.connections.clients.all_rest() {
                return Ok(());
            }
        }
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
        let server = self.connections.servers.wait_from(now);
        let client = self.connections.clients.wait_from(now);
        timer.into_iter().chain(server).chain(client).min()
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
    /// let mut endpoint = Endpoint::new(Options::ui())?;
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

    /// One turn, and whether a server has stopped in it.
    fn turn(
        &mut self,
        timeout: Option<Duration>,
        handler: impl FnMut(&mut Connections, Event<'_>),
    ) -> io::Result<(Turn, bool)> {
        let wait = match self.has_work() {
            true => Some(Duration::ZERO),
            false => {
                // As of the last turn's beginning, lest `run` read a clock for it. A timer is late by no more
                // than that turn took.
                let timer = self.connections.timers.wait();
                let server = self.connections.servers.wait_from(self.connections.now);
                let client = self.connections.clients.wait_from(self.connections.now);
                timeout.into_iter().chain(timer).chain(server).chain(client).chain(self.quiet()).min()
            }
        };
        self.nudged = false;
        self.waiting.wait(wait)?;
        if wait == Some(QUIET) && self.waiting.is_empty() {
            self.connections.free_memory();
        }
        let instant = self.clock.instant();
        let start = self.clock.moment(instant);
        self.connections.now = start;
        self.connections.timers.set_now(start);
        self.compare_clocks(instant);
        for _ in 0..WAITS {
            self.waiting.each(|token, readiness| match token {
                WAKER => self.remote.take(&mut self.jobs),
                Token(slot) if slot < self.connections.slots.end() as usize => {
                    self.connections.ready(slot as u32, readiness);
                }
                token => self.connections.servers.ready(token),
            });
            if !self.waiting.is_full() {
                break;
            }
            // Nobody is judged before what has come from it is known.
            self.waiting.wait(Some(Duration::ZERO))?;
        }
        let abandoned = || {
            if self.nested.get() {
                // Where that fails, `next_timeout` still tells.
                let _ = self.remote.wake();
            }
            self.waiting.abandon();
        };
        let stopped = std::mem::take(&mut self.connections.stopped);
        let mut turn = TurnRun {
            connections: &mut self.connections,
            rx: &mut self.rx,
            jobs: &mut self.jobs,
            jobs_left: &mut self.jobs_left,
            handler,
            budget: &self.budget,
            clock: &self.clock,
            end: self.budget.time.and_then(|time| start.checked_add(time)),
            over: false,
            events: 0,
            stopped,
            current: None,
            finished: false,
            was_intercepted: false,
            abandoned: &abandoned,
        };
        if let Some(slept) = self.slept.take() {
            turn.resume(slept);
        }
        turn.run();
        let (events, stopped) = (turn.events, turn.stopped);
        drop(turn);
        let more = self.has_work() || self.waiting.rest(|| self.next_timeout());
        if more && self.nested.get() {
            self.remote.wake()?;
        }
        let elapsed = match self.budget.time {
            None => Duration::ZERO,
            Some(_) => self.connections.now.since(start),
        };
        self.connections.tally.worst_turn = self.connections.tally.worst_turn.max(elapsed);
        Ok((Turn { events, more, elapsed }, stopped))
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
