//! Ties a connection to its server, which counts it and can reach it.

use crate::clock;
use crate::ids::ConnectionId;
use crate::server::{Phase, Server};
use ws_host::topics::{Delivered, flush_latest};
use ws_proto::{Closed, Event};

/// The connection holds this. Dropping it removes the connection from the server. A WebSocket is removed when it ends,
/// but its subscriptions stay known until this is dropped.
pub(crate) struct Membership {
    server: Server,
    id: ConnectionId,
}

impl Membership {
    pub(crate) fn new(server: Server, id: ConnectionId) -> Self {
        Self { server, id }
    }

    /// The connection has sent a request, its first or another one.
    pub(crate) fn request_received(&self, upgrade: bool) {
        let mut state = self.server.inner.state();
        let Some(member) = state.members.get_mut(&self.id) else { return };
        let new = std::mem::take(&mut member.new);
        if upgrade {
            state.upgrading.insert(self.id);
        }
        if new {
            let was_at_limit = state.admission.at_handshake_limit();
            state.admission.handshake_done();
            if was_at_limit {
                drop(state);
                self.server.inner.accept_notify.0.notify(usize::MAX);
            }
        }
    }

    /// The connection is an open WebSocket from now on.
    pub(crate) fn opened(&self) {
        let mut state = self.server.inner.state();
        state.upgrading.remove(&self.id);
        if let Some(member) = state.members.get_mut(&self.id) {
            member.websocket = true;
            state.websockets += 1;
        }
        drop(state);
        self.server.extend(|extension| extension.opened(&self.server, self.id));
    }

    /// Acts on an event before the application gets it.
    #[inline]
    pub(crate) fn observe(&self, event: &Event<'static>) {
        if matches!(event, Event::Drained) {
            self.drained();
        }
    }

    /// Returns what the extension leaves of an event for the application.
    pub(crate) fn filter(&self, event: Event<'static>) -> Option<Event<'static>> {
        let mut event = Some(event);
        self.server.extend(|extension| {
            event = extension.filter(&self.server, self.id, event.take()?);
            Some(())
        });
        event
    }

    /// The outbox has drained: sends the frames kept for a slow peer, as far as it takes them.
    fn drained(&self) {
        let mut latest = self.server.inner.latest();
        if !latest.has(self.id) {
            return;
        }
        let shared = match self.server.inner.state().members.get(&self.id) {
            Some(member) => member.shared.clone(),
            None => return latest.forget(self.id),
        };
        flush_latest(clock::now(), self.id, &mut shared.connection(), &mut latest, |frame, delivered| {
            if delivered == Delivered::Queued && frame.ends_message() {
                shared.count_sent();
            }
        });
        drop(latest);
        shared.wake();
    }

    /// Whether an extension sees the events.
    #[inline]
    pub(crate) fn is_extended(&self) -> bool {
        self.server.inner.extension.get().is_some()
    }

    /// The WebSocket has ended.
    pub(crate) fn closed(&self, closed: &Closed) {
        self.leave();
        self.server.extend(|extension| extension.closed(&self.server, self.id, closed));
    }

    /// Removes the connection from the server, unless that is already done or the stopping server has cut it.
    fn leave(&self) {
        let inner = &self.server.inner;
        let mut state = inner.state();
        let was_at_limit = state.admission.at_handshake_limit();
        if state.remove(self.id).is_none() {
            return;
        }
        let stopping = matches!(state.phase, Phase::Stopping(_));
        drop(state);
        inner.latest().forget(self.id);
        if was_at_limit {
            inner.accept_notify.0.notify(usize::MAX);
        }
        if stopping {
            inner.ended.notify(usize::MAX);
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.leave();
        self.server.inner.state().topics.forget(self.id);
    }
}
