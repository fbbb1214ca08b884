//! Stopping a server.
//!
//! ```text
//!  Serving ──stop──▶ the extension, then the application ──▶ the clients, one by one
//!           accepts no more, the port is free                                   │
//!                                Idle ◀── until all are gone; the deadline cuts the rest
//! ```

use crate::clock::{self, until};
use crate::server::lingering::Lingering;
use crate::server::slot::{Busy, Call};
use crate::server::stopping::Stopping;
use crate::server::{BeforeStop, Inner, Phase, Server};
use event_listener::{Event, listener};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::time::{Duration, Instant};
use ws_host::server::Stop;
use ws_proto::{Error, IoAction};

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
    /// if no task polls them. An aborted connection ends with [`Error::Stopped`]; an unfinished response is an error to
    /// its handler. Only this deadline limits the wait for clients that read pending output slowly; without it they may
    /// delay a close for hours: [`Config::close_timeout`](ws_proto::Config::close_timeout).
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
        let lingering = self.linger();
        loop {
            listener!(self.inner.ended => ended);
            let Some(next_check) = self.drive_stop() else { return };
            let turn = poll_fn(|cx| {
                lingering.poll(cx);
                Pin::new(&mut ended).poll(cx)
            });
            until(turn, next_check).await;
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
    /// server is still stopping.
    pub(crate) fn drive_stop(&self) -> Option<Option<Instant>> {
        let now = Instant::now();
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
        let mut state = self.inner.state();
        if !state.members.is_empty() && deadline.is_none_or(|deadline| now < deadline) {
            return Some(deadline.into_iter().chain(next).min());
        }
        state.phase = Phase::Idle;
        let ids: Vec<_> = state.members.keys().copied().collect();
        let remaining: Vec<_> = ids.into_iter().filter_map(|id| state.remove(id)).collect();
        drop(state);
        for member in remaining {
            self.inner.latest().forget(member.shared.id);
            let mut connection = member.shared.connection();
            connection.abort(moment, Error::Stopped);
            // A FIN would make a truncated response look complete.
            if connection.poll_io() == IoAction::Reset {
                member.socket.reset_on_close()
            } else {
                member.socket.shut_down()
            }
            drop(connection);
            member.shared.wake();
        }
        self.inner.ended.notify(usize::MAX);
        None
    }
}
