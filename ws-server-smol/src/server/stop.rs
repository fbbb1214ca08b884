//! How a server stops.
//!
//! ```text
//!  Serving ──stop──▶ the extension, then the application ──▶ the clients, one after the other
//!           accepts no more, the port is free                                   │
//!                                Idle ◀── until all are gone; the deadline cuts the rest
//! ```

use crate::clock::{self, until};
use crate::server::stopping::Stopping;
use crate::server::{BeforeStop, Phase, Server};
use event_listener::listener;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use ws_host::server::Stop;
use ws_proto::{Error, IoAction};

/// The hooks that run before the clients are told. If one panics, the stop continues with the next call.
struct Hooks<'s> {
    server: &'s Server,
    before_stop: Option<BeforeStop>,
}

impl Drop for Hooks<'_> {
    fn drop(&mut self) {
        if let Some(hook) = self.before_stop.take() {
            // It may have set another.
            self.server.inner.state().before_stop.get_or_insert(hook);
        }
        self.server.go_on_stopping();
    }
}

impl Server {
    /// Stops, with a Close 1001 to all clients at once. As [`stop_with`](Self::stop_with) with [`Stop::within`].
    pub async fn stop(&self, deadline: Duration) {
        self.stop_with(Stop::within(deadline)).await;
    }

    /// Stops: from now on it accepts no connection, and the port is free. The [extension](crate::Extension::stopping) is
    /// called, then the application's [hook](Self::before_stop), while the clients are still there. Then these are told,
    /// one after the other over [`Stop::spread`]; until then each is served as ever:
    ///
    /// - a WebSocket gets a Close with this code and reason, and what it still sends is delivered;
    /// - an event stream (`text/event-stream`) ends; every other answer goes on to its end, and so does a request that is
    ///   arriving; no further request is taken.
    ///
    /// It waits until all are gone, and at the deadline, which counts from the end of the spread, cuts those that are
    /// left, also where no task polls them. What is cut ends with [`Error::Stopped`]; an answer that was being given is
    /// an error to its handler.
    ///
    /// Stopping twice is harmless: both wait, of the two the earlier deadline and the earlier end of the spread hold, and
    /// the code and the reason stay those of the first call. Dropped, its future leaves a server that stops; another call
    /// goes on with that. Afterwards [`listen`](Self::listen) starts it again.
    pub async fn stop_with(&self, stop: Stop) {
        if self.begin_stop(&stop) {
            let mut hooks = Hooks { server: self, before_stop: None };
            self.extend(|extension| extension.stopping(self));
            hooks.before_stop = self.inner.state().before_stop.take();
            if let Some(hook) = &mut hooks.before_stop {
                hook(self);
            }
        }
        loop {
            listener!(self.inner.gone => gone);
            match self.stopping() {
                Some(look_again) => until(gone, look_again).await,
                None => return,
            }
        }
    }

    /// Says whether it was this call that began.
    fn begin_stop(&self, stop: &Stop) -> bool {
        let mut state = self.inner.state();
        match &mut state.phase {
            Phase::Idle => false,
            Phase::Serving(_) => {
                // The hooks come before the clients.
                state.phase = Phase::Stopping(Stopping::new(stop.clone(), VecDeque::new()));
                drop(state);
                self.inner.accept_notify.0.notify(usize::MAX);
                true
            }
            Phase::Stopping(stopping) => {
                stopping.meet(stop.clone());
                drop(state);
                self.inner.gone.notify(usize::MAX);
                false
            }
        }
    }

    /// The hooks are through: now the clients, beginning with the oldest.
    fn go_on_stopping(&self) {
        let mut state = self.inner.state();
        let untold = state.members.keys().copied().collect();
        if let Phase::Stopping(stopping) = &mut state.phase {
            // Another call may have met it meanwhile.
            stopping.begin(untold);
        }
    }

    /// Tells those whose turn it is, and cuts the rest when the time is over. When to look again, if it still stops.
    fn stopping(&self) -> Option<Option<Instant>> {
        let now = Instant::now();
        self.inner.sleep.look(now);
        let mut state = self.inner.state();
        let Phase::Stopping(stopping) = &mut state.phase else { return None };
        let (due, next) = stopping.due(now);
        let (code, reason, deadline) =
            (stopping.stop.get_code(), stopping.stop.get_reason().to_owned(), stopping.deadline);
        let due: Vec<_> = due.iter().filter_map(|id| Some(state.members.get(id)?.shared.clone())).collect();
        drop(state);
        let moment = clock::moment(now);
        for shared in due {
            // One that is closing already needs no Close.
            let _ = shared.connection().go_away(moment, code, &reason);
            shared.wake();
        }
        let mut state = self.inner.state();
        if !state.members.is_empty() && deadline.is_none_or(|deadline| now < deadline) {
            return Some(deadline.into_iter().chain(next).min());
        }
        state.phase = Phase::Idle;
        let ids: Vec<_> = state.members.keys().copied().collect();
        let rest: Vec<_> = ids.into_iter().filter_map(|id| state.remove(id)).collect();
        drop(state);
        for member in rest {
            self.inner.newest().forget(member.shared.id);
            let mut connection = member.shared.connection();
            connection.abort(moment, Error::Stopped);
            // A FIN would make a whole answer of what was cut off.
            if connection.poll_io() == IoAction::Reset {
                member.socket.reset_on_close()
            } else {
                member.socket.cut()
            }
            drop(connection);
            member.shared.wake();
        }
        self.inner.gone.notify(usize::MAX);
        None
    }
}
