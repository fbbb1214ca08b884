//! Ties a connection to its server, which counts it and can reach it.

use crate::clock;
use crate::driver::Driver;
use crate::driver::peer::lock;
use crate::ids::ConnectionId;
use crate::server::lingering::{Finish, Lingering};
pub(crate) use crate::server::slot::Nested;
use crate::server::slot::{Busy, Call};
use crate::server::{Member, Phase, Server, State};
use crate::sys::socket::Socket;
use futures_io::{AsyncRead, AsyncWrite};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use ws_host::server::Admission;
use ws_host::topics::{Delivered, flush_latest};
use ws_proto::{CloseCode, Closed, Event, Upgrade};

/// The connection holds this. Dropping it removes the connection from the server. A WebSocket is removed when it ends,
/// but its subscriptions stay known until this is dropped.
pub(crate) struct Membership<S: AsyncRead + AsyncWrite + Unpin> {
    server: Server,
    id: ConnectionId,
    finish: fn(Driver<S>, Self) -> Finish,
}

impl State {
    pub(super) fn admission(&self) -> MutexGuard<'_, Admission> {
        lock(&self.admission)
    }

    /// Removes all that is counted and kept for a connection, except the names of its topics.
    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Member> {
        let member = self.members.remove(&id)?;
        self.upgrading.remove(&id);
        self.bearers.forget(id);
        self.topics.leave(id);
        self.websockets -= usize::from(member.websocket);
        if member.new {
            self.admission().handshake_done();
        }
        member.shared.peer.release(&self.admission);
        member.shared.add_to(&mut self.stats);
        Some(member)
    }
}

impl Membership<Socket> {
    pub(crate) fn new(server: Server, id: ConnectionId) -> Self {
        let finish = |driver, membership| -> Finish {
            Box::pin(Dropped { driver, membership: Some(membership) }.finish())
        };
        Self { server, id, finish }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Membership<S> {
    /// The connection has sent a request, its first or another one.
    pub(crate) fn request_received(&self, upgrade: bool) {
        let mut state = self.server.inner.state();
        let Some(member) = state.members.get_mut(&self.id) else { return };
        let new = std::mem::take(&mut member.new);
        if upgrade {
            state.upgrading.insert(self.id);
        }
        if new {
            let mut admission = state.admission();
            let was_at_limit = admission.at_handshake_limit();
            admission.handshake_done();
            drop(admission);
            if was_at_limit {
                drop(state);
                self.server.inner.accept_notify.notify();
            }
        }
    }

    /// The connection requests an upgrade, and has passed the rule of the server.
    pub(crate) fn note_token(&self, upgrade: &Upgrade) {
        let mut state = self.server.inner.state();
        let State { token: Some(rule), bearers, members, .. } = &mut *state else { return };
        if members.contains_key(&self.id) {
            bearers.note(self.id, rule, upgrade);
        }
    }

    /// Where the server counts it.
    pub(crate) fn admission(&self) -> Arc<Mutex<Admission>> {
        self.server.inner.state().admission.clone()
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
        self.server.notify_extension(Call::Opened(self.id), Busy::Wait);
    }

    /// Acts on an event before the application gets it.
    #[inline]
    pub(crate) fn observe(&self, event: &Event<'static>) {
        if matches!(event, Event::Drained) {
            self.drained();
        }
    }

    /// Passes an event through the extension to the application. It is an error if the extension itself polls the
    /// connection.
    pub(crate) fn filter(&self, event: Event<'static>) -> Result<Option<Event<'static>>, Nested> {
        self.server.filter(self.id, event)
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

    /// The WebSocket has ended. The extension sees that before the application, so this waits for it.
    pub(crate) fn closed(&self, closed: Box<Closed>) {
        self.leave();
        self.server.notify_extension(Call::Closed(self.id, closed), Busy::Wait);
    }

    /// The WebSocket is dropped before its end. During an orderly closing handshake, while `serve` or a stop runs, that
    /// polls it from now on: its handler may have returned because sends fail after a Close, and what was queued before
    /// is still to be written. Otherwise it ends at once. This waits for no other thread.
    pub(crate) fn dropped(driver: &mut Driver<S>, membership: &mut Option<Self>) {
        let lingering =
            membership.as_ref().filter(|_| driver.is_closing_in_order()).and_then(Self::lingering);
        if let Some(lingering) = lingering
            && let Some(membership) = membership.take()
        {
            let (inner, finish) = (membership.server.inner.clone(), membership.finish);
            lingering.add(finish(driver.take(), membership));
            inner.ended.notify(usize::MAX);
            return;
        }
        let closed = driver.end_now_with_report(CloseCode::GOING_AWAY);
        if let (Some(membership), Some(closed)) = (membership, closed) {
            membership.leave();
            membership.server.notify_extension(Call::Closed(membership.id, closed), Busy::Queue);
        }
    }

    fn lingering(&self) -> Option<Arc<Lingering>> {
        self.server.inner.state().lingering.upgrade()
    }

    /// Removes the connection from the server, unless that is already done, or the stopping server has aborted it.
    fn leave(&self) {
        let inner = &self.server.inner;
        let mut state = inner.state();
        let was_at_limit = state.admission().at_handshake_limit();
        let Some(member) = state.remove(self.id) else { return };
        let stopping = matches!(state.phase, Phase::Stopping(_));
        drop(state);
        // It may own tasks, through their wakers.
        drop(member);
        inner.latest().forget(self.id);
        if was_at_limit {
            inner.accept_notify.notify();
        }
        if stopping {
            inner.ended.notify(usize::MAX);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Drop for Membership<S> {
    fn drop(&mut self) {
        self.leave();
        // Not before the extension has seen the end.
        self.server.notify_extension(Call::Forget(self.id), Busy::Queue);
    }
}

/// A WebSocket that its handler has dropped: messages that still arrive are discarded.
struct Dropped {
    driver: Driver<Socket>,
    membership: Option<Membership<Socket>>,
}

impl Dropped {
    async fn finish(mut self) {
        while let Some(event) = poll_fn(|cx| self.driver.poll_event(cx)).await {
            let Some(membership) = &self.membership else { return };
            if let Event::Closed(closed) = event {
                self.driver.end(false);
                return membership.closed(closed);
            }
            membership.observe(&event);
        }
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        Membership::dropped(&mut self.driver, &mut self.membership);
    }
}
