//! How a server stops.
//!
//! ```text
//!  Serving ──stop──▶ the extension is told, then the application ──▶ 1001 to everyone ──▶ until all are gone ──▶ Idle
//!           nobody is accepted, the port is free                        the deadline cuts the rest ─────────┘
//! ```

use super::{Phase, Server, until};
use crate::shared::Shared;
use event_listener::listener;
use std::time::{Duration, Instant};
use ws_proto::{Cause, CloseCode};

impl Server {
    /// Stops: from now on nobody is accepted, and the port is free. The [extension](crate::Extension::stopping) is
    /// told, then the application's [hook](Self::before_stop), while the clients are still there; each of these is
    /// told 1001, and what they still send is delivered. It waits until all are gone, and at the deadline cuts
    /// those that are left, also where no task polls them.
    ///
    /// Stopping twice is harmless: both wait, and the earlier deadline holds. Dropped, its future leaves a server
    /// that stops; another call waits for that. Afterwards [`listen`](Self::listen) starts it again.
    pub async fn stop(&self, deadline: Duration) {
        // A deadline that no clock will ever show is none.
        let deadline = Instant::now().checked_add(deadline);
        if self.begin_stop(deadline) {
            self.extend(|extension| extension.stopping(self));
            let hook = self.inner.state().before_stop.take();
            if let Some(mut hook) = hook {
                hook(self);
                // It may have set another.
                self.inner.state().before_stop.get_or_insert(hook);
            }
            for shared in self.all() {
                // Plain HTTP ends with what is answered; who is ending already needs no word.
                let _ = shared.connection().close(Instant::now(), CloseCode::GOING_AWAY, "");
                shared.wake();
            }
        }
        loop {
            listener!(self.inner.gone => gone);
            match self.stopping() {
                Some(deadline) => until(gone, deadline).await,
                None => return,
            }
        }
    }

    /// Says whether it was this call that began.
    fn begin_stop(&self, deadline: Option<Instant>) -> bool {
        let mut state = self.inner.state();
        match &mut state.phase {
            Phase::Idle => false,
            Phase::Serving(_) => {
                state.phase = Phase::Stopping { deadline };
                drop(state);
                self.inner.bell.0.notify(usize::MAX);
                true
            }
            Phase::Stopping { deadline: old } => {
                *old = match (*old, deadline) {
                    (Some(old), Some(new)) => Some(old.min(new)),
                    (old, new) => old.or(new),
                };
                drop(state);
                self.inner.gone.notify(usize::MAX);
                false
            }
        }
    }

    /// Whether it still stops, and until when.
    fn stopping(&self) -> Option<Option<Instant>> {
        let mut state = self.inner.state();
        let Phase::Stopping { deadline } = state.phase else { return None };
        if !state.members.is_empty() && deadline.is_none_or(|deadline| Instant::now() < deadline) {
            return Some(deadline);
        }
        state.phase = Phase::Idle;
        let ids: Vec<_> = state.members.keys().copied().collect();
        let rest: Vec<_> = ids.into_iter().filter_map(|id| state.remove(id)).collect();
        drop(state);
        for member in rest {
            self.inner.newest().forget(member.shared.id);
            member.shared.connection().abort(Instant::now(), Cause::Terminated);
            member.socket.cut();
            member.shared.wake();
        }
        self.inner.gone.notify(usize::MAX);
        None
    }

    fn all(&self) -> Vec<std::sync::Arc<Shared>> {
        self.inner.state().members.values().map(|member| member.shared.clone()).collect()
    }
}
