//! The connections of a server, by id.

use crate::clock;
use crate::driver::shared::{Holder, Shared};
use crate::handles::sender::Sender;
use crate::ids::ConnectionId;
use crate::server::Server;
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use ws_host::server::Stats;
use ws_proto::{CloseCode, Outgoing, Request, RespondError, SendError, Sent, State};

/// # One connection, by id
///
/// The id of a connection that is gone finds none, and never another.
impl Server {
    /// Every WebSocket: open or closing, the oldest first.
    pub fn ids(&self) -> Vec<ConnectionId> {
        let state = self.inner.state();
        state.members.iter().filter(|(_, member)| member.websocket).map(|(id, _)| *id).collect()
    }

    /// How many WebSocket clients there are: connecting, open or closing.
    pub fn count(&self) -> usize {
        let state = self.inner.state();
        let upgrading = state.upgrading.iter().filter_map(|id| state.members.get(id));
        state.websockets + upgrading.filter(|member| member.shared.connection().http().is_upgrading()).count()
    }

    /// How many plain HTTP connections there are: also idle ones, and those that have asked nothing yet.
    pub fn http_count(&self) -> usize {
        let websockets = self.count();
        self.inner.state().members.len().saturating_sub(websockets)
    }

    /// How many connections were rejected since it began to listen, being over a limit of
    /// [`ServerConfig`](crate::ServerConfig).
    pub fn rejected(&self) -> u64 {
        self.inner.state().admission.rejected()
    }

    /// What the server has done. It looks at every connection: ask once a second rather than once a message.
    pub fn stats(&self) -> Stats {
        let state = self.inner.state();
        let mut stats = state.stats;
        stats.open = state.members.len();
        state.members.values().for_each(|member| member.shared.add_to(&mut stats));
        stats
    }

    /// A handle on an open WebSocket, which finds it without looking.
    pub fn sender(&self, id: ConnectionId) -> Option<Sender> {
        let state = self.inner.state();
        let member = state.members.get(&id).filter(|member| member.websocket)?;
        Some(Sender { shared: member.shared.clone() })
    }

    /// Queues a message or a frame for one client.
    ///
    /// # Errors
    /// As [`Sender::try_send`]; [`SendError::NotOpen`] also where there is no such client.
    pub fn send<'m>(&self, id: ConnectionId, outgoing: impl Into<Outgoing<'m>>) -> Result<Sent, SendError> {
        self.sender(id).ok_or(SendError::NotOpen)?.try_send(outgoing)
    }

    /// Begins the closing handshake with a client.
    ///
    /// # Errors
    /// As [`Sender::close`]; [`SendError::NotOpen`] also where there is no such client.
    pub fn close(&self, id: ConnectionId, code: CloseCode, reason: &str) -> Result<(), SendError> {
        let shared = self.shared(id).ok_or(SendError::NotOpen)?;
        shared.connection().close(clock::now(), code, reason)?;
        shared.wake();
        Ok(())
    }

    /// Stops reading a connection, as [`Sender::pause`] does. Harmless where there is none of that id.
    pub fn pause(&self, id: ConnectionId) {
        if let Some(shared) = self.shared(id) {
            shared.pause(Holder::Application);
        }
    }

    /// Reads on, and wakes the task that polls the connection. Harmless where there is none of that id, or it is not
    /// paused.
    pub fn resume(&self, id: ConnectionId) {
        if let Some(shared) = self.shared(id) {
            shared.resume(Holder::Application);
        }
    }

    /// Ends a connection at once, whatever it is: no Close frame, and what was queued is lost.
    pub fn terminate(&self, id: ConnectionId) {
        let Some((shared, socket)) =
            self.inner.state().members.get(&id).map(|m| (m.shared.clone(), m.socket.clone()))
        else {
            return;
        };
        shared.connection().abort(clock::now(), ws_proto::Error::Aborted);
        socket.cut();
        shared.wake();
    }

    /// Answers a request of a connection, or refuses an upgrade, from elsewhere than its handler.
    ///
    /// # Errors
    /// [`SendError::NotOpen`], [`RespondError::WrongRequest`], [`RespondError::Header`], [`RespondError::Status`];
    /// [`SendError::NotOpen`] also where there is no such connection.
    pub fn respond(
        &self,
        id: ConnectionId,
        request: impl Into<Request>,
        response: http::Response<Bytes>,
    ) -> Result<(), RespondError> {
        self.shared(id).ok_or(RespondError::NotOpen)?.respond(request.into(), response)
    }

    /// Where a connection stands; [`State::Closed`] where there is none of that id.
    pub fn state(&self, id: ConnectionId) -> State {
        self.shared(id).map_or(State::Closed, |shared| shared.connection().state())
    }

    /// How many bytes wait to be written to a connection.
    pub fn queued(&self, id: ConnectionId) -> usize {
        self.shared(id).map_or(0, |shared| shared.connection().queued())
    }

    /// The time that a peer last took to answer a Ping.
    pub fn latency(&self, id: ConnectionId) -> Option<Duration> {
        self.shared(id)?.connection().latency()
    }

    /// The peer's address. A peer that came by IPv4 has an IPv4 address, on dual-stack servers too; one that came
    /// over a Unix socket has none.
    pub fn peer_addr(&self, id: ConnectionId) -> Option<SocketAddr> {
        self.inner.state().members.get(&id)?.shared.peer
    }

    /// The address that the peer connected to; none on a Unix socket.
    pub fn local_addr_of(&self, id: ConnectionId) -> Option<SocketAddr> {
        self.inner.state().members.get(&id)?.socket.local_addr()
    }

    fn shared(&self, id: ConnectionId) -> Option<Arc<Shared>> {
        Some(self.inner.state().members.get(&id)?.shared.clone())
    }
}
