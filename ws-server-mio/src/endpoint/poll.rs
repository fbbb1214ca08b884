//! Waiting, and turns of work.

use crate::connection::Connections;
use crate::endpoint::options::{Rounds, Turn};
use crate::endpoint::turn::TurnRun;
use crate::endpoint::work::Kinds;
use crate::endpoint::{Endpoint, IDLE_AFTER};
use crate::event::Event;
use crate::sys::poller::WAKER;
use mio::Token;
use std::io;
use std::time::{Duration, Instant};
use ws_proto::Moment;

/// The most kernel polls in one turn, as long as each returns a full batch.
const WAITS: usize = 16;

/// Turns.
impl Endpoint {
    /// Waits until something happens, at most for `timeout` (in whole milliseconds, rounded up; `None` is
    /// unlimited), and does one turn of work: the handler gets each event, and the connections with which to answer it.
    /// `Some(Duration::ZERO)` does not wait. It may return early without an event.
    ///
    /// # Errors
    /// When waiting fails, which no peer can cause. An error on a connection is its `Closed` event.
    ///
    /// # Panics
    /// If the handler, the [`Extension`](crate::Extension) or a job of a [`Remote`](crate::Remote) panics. The turn
    /// ends there, and the endpoint stays usable: catch the panic, and run another turn soon, as after
    /// [`Turn::more`](crate::Turn::more). Every connection continues, including the one whose event panicked: the event
    /// is consumed, the input after it is processed next, and an unanswered request gets 503. If the application has
    /// lost track of a peer's state, it should [`close`](Connections::close) the connection.
    pub fn poll(
        &mut self,
        timeout: Option<Duration>,
        handler: impl FnMut(&mut Connections, Event<'_>),
    ) -> io::Result<Turn> {
        if timeout != Some(Duration::ZERO) {
            self.read_clock();
        }
        Ok(self.turn(timeout, None, handler)?.0)
    }

    /// Serves until a deadline: waits and runs turns, the last of which starts no event after it. It runs at least one
    /// turn, even if the deadline has passed. The result counts the events of all turns, and says whether the last one
    /// left work. For a loop with its own frame rate:
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// use std::time::{Duration, Instant};
    /// use ws_server_mio::Endpoint;
    ///
    /// let mut endpoint = Endpoint::new()?;
    /// let mut next_frame = Instant::now();
    /// loop {
    ///     // update and draw …
    ///     next_frame += Duration::from_micros(16_667);
    ///     endpoint.poll_until(next_frame, |_connections, _event| {})?;
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Endpoint::poll`].
    pub fn poll_until(
        &mut self,
        deadline: Instant,
        mut handler: impl FnMut(&mut Connections, Event<'_>),
    ) -> io::Result<Turn> {
        let deadline = self.clock.moment(deadline);
        let mut all = Turn::default();
        loop {
            let left = deadline.since(self.read_clock());
            let (turn, _) = self.turn(Some(left), Some(deadline), &mut handler)?;
            all.events = all.events.saturating_add(turn.events);
            all.elapsed += turn.elapsed;
            all.more = turn.more;
            if self.clock.now() >= deadline {
                return Ok(all);
            }
        }
    }

    /// Runs until [`Connections::exit`] is called, or until the last server has stopped and the last client is
    /// idle.
    ///
    /// # Errors
    /// As [`Endpoint::poll`].
    pub fn run(&mut self, mut handler: impl FnMut(&mut Connections, Event<'_>)) -> io::Result<()> {
        // A server or client has ended; check whether it was the last.
        let mut ended = false;
        loop {
            let (_, stopped) = self.turn(None, None, &mut handler)?;
            ended |= stopped | self.connections.clients.take_became_idle();
            let exit = std::mem::take(&mut self.connections.exit);
            if exit || ended && self.connections.servers.is_empty() && self.connections.clients.all_idle() {
                return Ok(());
            }
        }
    }

    /// Reads the clock: timers count from now, however long ago the last turn was.
    fn read_clock(&mut self) -> Moment {
        let now = self.clock.now();
        self.connections.now = now;
        self.connections.deadlines.set_now(now);
        now
    }

    /// Runs one turn; returns whether a server has stopped in it.
    fn turn(
        &mut self,
        timeout: Option<Duration>,
        deadline: Option<Moment>,
        handler: impl FnMut(&mut Connections, Event<'_>),
    ) -> io::Result<(Turn, bool)> {
        let wait = match self.has_work() {
            true => Some(Duration::ZERO),
            false => {
                // As of the last turn's beginning, so that `run` reads no clock for it. A timer is late by at most
                // that turn's duration.
                let timer = self.connections.deadlines.wait();
                let own = timer.into_iter().chain(self.next_deadline_in(self.connections.now));
                own.chain(timeout).chain(self.idle_timeout()).min()
            }
        };
        self.nudged = false;
        self.waiting.wait(wait)?;
        if wait == Some(IDLE_AFTER) && self.waiting.is_empty() {
            self.connections.free_memory();
        }
        let start = self.read_clock();
        self.compare_clocks();
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
            // No deadline is checked before the peer's pending input is known.
            self.waiting.wait(Some(Duration::ZERO))?;
        }
        let abandoned = || {
            if self.nested.get() {
                // If this fails, `next_timeout` still reports the work.
                let _ = self.remote.wake();
            }
            self.waiting.abandon();
        };
        let stopped = std::mem::take(&mut self.connections.stopped);
        let budgeted = self.budget.time.and_then(|time| start.checked_add(time));
        let end = budgeted.into_iter().chain(deadline).min();
        let next = self.first;
        let mut turn = TurnRun {
            connections: &mut self.connections,
            rx: &mut self.rx,
            jobs: &mut self.jobs,
            first: &mut self.first,
            next,
            handler,
            budget: &self.budget,
            clock: &self.clock,
            end,
            open: Kinds::ALL,
            handshakes: self.budget.handshakes,
            rounds: if budgeted.is_some() { self.budget.rounds() } else { Rounds::ONE },
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
        let more = self.has_work()
            || self.connections.deadlines.has_work()
            || self.waiting.set_idle(|| self.next_timeout());
        if more && self.nested.get() {
            self.remote.wake()?;
        }
        let elapsed = match end {
            None => Duration::ZERO,
            Some(_) => self.connections.now.since(start),
        };
        self.worst_turn = self.worst_turn.max(elapsed);
        Ok((Turn { events, more, elapsed }, stopped))
    }
}
