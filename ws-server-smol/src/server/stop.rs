//! Stopping a server.
//!
//! ```text
//!  Serving ──stop──▶ the extension, then the application ──▶ the clients, one by one
//!           accepts no more, the port is free                                   │
//!           Idle ◀── until all are gone ◀── the deadline, once all tasks ran, aborts the rest
//! ```

use crate::clock::{self, Check, until_check};
use crate::server::lingering::Lingering;
use crate::server::slot::{Busy, Call};
use crate::server::stopping::Stopping;
use crate::server::{BeforeStop, Inner, Member, Phase, Server};
use event_listener::{Event, listener};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::time::{Duration, Instant};
use ws_host::server::Stop;

/// How often other tasks run between the deadline and its effect. In between, an executor notices which sockets are
/// readable.
const ROUNDS: u8 = 2;
/// Then they run after so many connections were aborted, …
const BURST: u32 = 16;
/// … or so many bytes written to them.
const BYTES: u64 = 64 << 10;

/// The hooks that run before the clients get a Close. If one panics, the stop continues with the next call.
struct Hooks<'s> {
    server: &'s Server,
    before_stop: Option<BeforeStop>,
}

impl Drop for Hooks<'_> {
    fn drop(&mut self) {
        if let Some(hook) = self.before_stop.take() {
            let mut state = self.server.inner.state();
            // The hook may have set another; then this one is dropped, after the lock is released.
            let _previous = match &state.before_stop {
                Some(_) => Some(hook),
                None => state.before_stop.replace(hook),
            };
            drop(state);
        }
        self.server.continue_stopping();
    }
}

/// Polls lingering WebSockets; once it gives up, others do.
pub(crate) struct Lingers {
    lingering: Arc<Lingering>,
    inner: Arc<Inner>,
}

impl Lingers {
    pub(crate) fn poll(&self, cx: &mut Context<'_>) {
        self.lingering.poll(cx);
    }

    /// Notified when one is dropped, and when a connection ends while the server is stopping.
    pub(crate) fn event(&self) -> &Event {
        &self.inner.ended
    }
}

impl Drop for Lingers {
    fn drop(&mut self) {
        self.inner.ended.notify(usize::MAX);
    }
}

impl Server {
    /// Stops the server, with a Close 1001 to all clients at once. As [`stop_with`](Self::stop_with) with
    /// [`Stop::within`].
    pub async fn stop(&self, deadline: Duration) {
        self.stop_with(Stop::within(deadline)).await;
    }

    /// Stops the server: from now on it accepts no connection, and the port is free. First the
    /// [extension](crate::Extension::stopping) runs, then the application's [hook](Self::before_stop), while the
    /// clients are still connected. Then the server closes them one by one over [`Stop::spread`]; until then each is
    /// served as usual:
    ///
    /// - a WebSocket gets a Close with this code and reason, and messages that still arrive are delivered. Sends fail
    ///   from then on; if its handler returns because of that, this future or [`serve`](Self::serve) writes what is
    ///   queued;
    /// - an event stream (`text/event-stream`) ends; every other response completes, and so does a request that is
    ///   arriving; no further request is accepted.
    ///
    /// It waits until all are gone, and at the deadline, which counts from the end of the spread, aborts the rest, even
    /// if no task polls them. An aborted connection ends with [`Error::Stopped`](crate::Error::Stopped); an unfinished
    /// response is an error to its handler. Only this deadline limits the wait for clients that read pending output
    /// slowly; without it they may delay a close for hours:
    /// [`Config::close_timeout`](ws_proto::Config::close_timeout).
    ///
    /// At the deadline, other tasks run twice, so that connections that are polled read what has arrived. Then each
    /// connection that is left gets what it takes without waiting, a WebSocket its Close last, even if its turn in the
    /// spread had not come: so even `stop(Duration::ZERO)` sends 1001 to each client that reads. If it was written,
    /// [`Closed::sent`](crate::Closed::sent) has its code. After every 16 of them, or 64 KiB, other tasks run again.
    ///
    /// Stopping twice is harmless: both calls wait, the earlier deadline and the earlier end of the spread apply, and
    /// the code and reason stay those of the first call. If the future is dropped, the server is still stopping, and
    /// another call continues, or [`serve`](Self::serve); without either, WebSockets without a handler end at once.
    /// Await it before `main` returns: the end of the process ends everything. Afterwards [`listen`](Self::listen)
    /// restarts the server: call it only after `serve`, or the loop around [`accept`](Self::accept), has ended, too;
    /// otherwise that may not notice the stop, and continue.
    pub async fn stop_with(&self, stop: Stop) {
        if self.begin_stop(&stop) {
            let mut hooks = Hooks { server: self, before_stop: None };
            self.notify_extension(Call::Stopping, Busy::Wait);
            hooks.before_stop = self.inner.state().before_stop.take();
            if let Some(hook) = &mut hooks.before_stop {
                hook(self);
            }
        }
        let (lingering, mut rounds) = (self.linger(), 0);
        loop {
            listener!(self.inner.ended => ended);
            let Some(next_check) = self.drive_stop(&mut rounds) else { return };
            let turn = poll_fn(|cx| {
                lingering.poll(cx);
                Pin::new(&mut ended).poll(cx)
            });
            until_check(turn, next_check).await;
        }
    }

    /// Takes part in polling the WebSockets that are dropped during a closing handshake.
    pub(crate) fn linger(&self) -> Lingers {
        let mut state = self.inner.state();
        let lingering = state.lingering.upgrade().unwrap_or_default();
        state.lingering = Arc::downgrade(&lingering);
        drop(state);
        Lingers { lingering, inner: self.inner.clone() }
    }

    /// Whether a stop waits for clients.
    pub(crate) fn is_closing_clients(&self) -> bool {
        let state = self.inner.state();
        matches!(state.phase, Phase::Stopping(_)) && !state.members.is_empty()
    }

    /// Returns whether this call began the stop.
    fn begin_stop(&self, stop: &Stop) -> bool {
        let mut state = self.inner.state();
        match &mut state.phase {
            Phase::Idle => false,
            Phase::Serving(_) => {
                // The hooks run before the clients get a Close.
                state.phase = Phase::Stopping(Stopping::new(stop.clone(), VecDeque::new()));
                drop(state);
                self.inner.accept_notify.notify();
                true
            }
            Phase::Stopping(stopping) => {
                stopping.merge(stop.clone());
                drop(state);
                self.inner.ended.notify(usize::MAX);
                false
            }
        }
    }

    /// The hooks are done: now the clients follow, oldest first.
    fn continue_stopping(&self) {
        let mut state = self.inner.state();
        let pending = state.members.keys().copied().collect();
        if let Phase::Stopping(stopping) = &mut state.phase {
            // Another call may have merged its `Stop` meanwhile.
            stopping.begin(pending);
        }
    }

    /// Closes the connections that are due, and aborts the rest at the deadline. Returns when to check again, while the
    /// server is still stopping. `rounds` is how often other tasks have run since the deadline, as far as this caller
    /// knows; it begins with 0.
    pub(crate) fn drive_stop(&self, rounds: &mut u8) -> Option<Check> {
        let now = Instant::now();
        let past_rounds = std::mem::take(rounds);
        self.inner.sleep.check(now);
        let mut state = self.inner.state();
        let Phase::Stopping(stopping) = &mut state.phase else { return None };
        let (due, next) = stopping.due(now);
        let (code, reason, deadline) =
            (stopping.stop.get_code(), stopping.stop.get_reason().to_owned(), stopping.deadline);
        let due: Vec<_> = due.iter().filter_map(|id| Some(state.members.get(id)?.shared.clone())).collect();
        drop(state);
        let moment = clock::moment(now);
        for shared in due {
            // A connection that is already closing needs no Close.
            let _ = shared.connection().go_away(moment, code, &reason);
            shared.wake();
        }
        let state = self.inner.state();
        let is_over = state.members.is_empty();
        if !is_over && deadline.is_none_or(|deadline| now < deadline) {
            return Some(Check::At(deadline.into_iter().chain(next).min()));
        }
        if !is_over && past_rounds < ROUNDS {
            // What has arrived by then is read first, where a task polls.
            let all: Vec<_> = state.members.values().map(|member| member.shared.clone()).collect();
            drop(state);
            all.iter().for_each(|shared| shared.wakers.wake_driver());
            *rounds = past_rounds + 1;
            return Some(Check::Soon);
        }
        drop(state);
        let mut written = 0;
        for _ in 0..BURST {
            let Some(member) = self.take_overdue(now) else { break };
            self.inner.latest().forget(member.shared.id);
            written += member.shared.abort_stopped(member.socket, moment, code, &reason);
            if written >= BYTES {
                break;
            }
        }
        let mut state = self.inner.state();
        // Another task may have finished this stop, and listened again.
        if let Phase::Stopping(_) = state.phase {
            if !state.members.is_empty() {
                *rounds = past_rounds;
                return Some(Check::Soon);
            }
            state.phase = Phase::Idle;
        }
        drop(state);
        self.inner.ended.notify(usize::MAX);
        None
    }

    /// Removes the oldest connection of a stop whose deadline has passed.
    fn take_overdue(&self, now: Instant) -> Option<Member> {
        let mut state = self.inner.state();
        let id = match &state.phase {
            Phase::Stopping(stopping) if stopping.is_overdue(now) => *state.members.keys().next()?,
            _ => return None,
        };
        state.remove(id)
    }
}
