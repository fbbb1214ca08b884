//! A server's connections, by id.

use crate::clock;
use crate::driver::shared::{PauseOwner, Shared};
use crate::handles::sender::Sender;
use crate::ids::ConnectionId;
use crate::server::Server;
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use ws_host::server::Stats;
use ws_host::token::TokenId;
use ws_proto::{CloseCode, Outgoing, Request, RespondError, SendError, Sent, State};

/// # One connection, by id
///
/// The id of a closed connection matches nothing, and is never reused.
impl Server {
    /// All WebSockets, open or closing, oldest first. Those still connecting are counted by [`count`](Self::count), and
    /// not listed.
    pub fn ids(&self) -> Vec<ConnectionId> {
        let state = self.inner.state();
        state.members.iter().filter(|(_, member)| member.websocket).map(|(id, _)| *id).collect()
    }

    /// Returns the number of WebSockets: connecting, open or closing.
    pub fn count(&self) -> usize {
        let state = self.inner.state();
        let upgrading = state.upgrading.iter().filter_map(|id| state.members.get(id));
        state.websockets + upgrading.filter(|member| member.shared.connection().http().is_upgrading()).count()
    }

    /// Returns the number of plain HTTP connections, including idle ones and those without a request so far.
    pub fn http_count(&self) -> usize {
        let websockets = self.count();
        self.inner.state().members.len().saturating_sub(websockets)
    }

    /// Returns how many connections were rejected since the server began to listen, because of a limit of
    /// [`ServerConfig`](crate::ServerConfig).
    pub fn rejected(&self) -> u64 {
        self.inner.state().admission().rejected()
    }

    /// Returns the server's counters, which exclude any [`Client`](crate::Client). This visits every connection: call
    /// it once a second rather than once per message.
    pub fn stats(&self) -> Stats {
        let state = self.inner.state();
        let mut stats = state.stats;
        stats.open = state.members.len();
        stats.rejected += state.admission().rejected();
        state.members.values().for_each(|member| member.shared.add_to(&mut stats));
        stats
    }

    /// Returns a handle to an open WebSocket, which needs no lookup by id.
    pub fn sender(&self, id: ConnectionId) -> Option<Sender> {
        let state = self.inner.state();
        let member = state.members.get(&id).filter(|member| member.websocket)?;
        Some(Sender { shared: member.shared.clone() })
    }

    /// Queues a message or a frame for one WebSocket.
    ///
    /// # Errors
    /// As [`Sender::try_send`]; also [`SendError::NotOpen`] if there is no such WebSocket.
    pub fn send<'m>(&self, id: ConnectionId, outgoing: impl Into<Outgoing<'m>>) -> Result<Sent, SendError> {
        self.sender(id).ok_or(SendError::NotOpen)?.try_send(outgoing)
    }

    /// Begins the closing handshake of a WebSocket. [`Config::close_timeout`](ws_proto::Config::close_timeout) says how
    /// long a slow peer may delay its end; [`terminate`](Self::terminate) ends it earlier.
    ///
    /// # Errors
    /// As [`Sender::close`]; also [`SendError::NotOpen`] if there is no such connection.
    pub fn close(&self, id: ConnectionId, code: CloseCode, reason: &str) -> Result<(), SendError> {
        let shared = self.shared(id).ok_or(SendError::NotOpen)?;
        shared.connection().close(clock::now(), code, reason)?;
        shared.wake();
        Ok(())
    }

    /// Returns the token by which a WebSocket came, if the server [requires](crate::ServerConfig::require_tokens) one.
    pub fn token(&self, id: ConnectionId) -> Option<TokenId> {
        self.inner.state().bearers.token(id)
    }

    /// Closes each open WebSocket whose token was [revoked](crate::Tokens::revoke), or has expired, with 1008 (policy
    /// violation), and terminates each whose upgrade is undecided; returns how many. Revoking a token alone closes nothing:
    /// call this afterwards, or now and then.
    ///
    /// ```
    /// # use ws_server_smol::{Server, ServerConfig, Token, Tokens};
    /// # let tokens = Tokens::new();
    /// # let lost = tokens.add(Token::from_random([7; 16]));
    /// # let server = Server::new(ServerConfig::new().require_tokens(tokens.clone()));
    /// tokens.revoke(lost);
    /// println!("{} closed", server.close_revoked());
    /// ```
    pub fn close_revoked(&self) -> usize {
        let revoked = self.inner.state().bearers.revoked();
        revoked.into_iter().filter(|id| self.end_revoked(*id)).count()
    }

    /// Returns whether there was something to end.
    fn end_revoked(&self, id: ConnectionId) -> bool {
        if self.state(id) == State::Connecting {
            // Otherwise the application could still accept it.
            self.terminate(id);
            return true;
        }
        self.close(id, CloseCode::POLICY, "token revoked").is_ok()
    }

    /// Stops reading a connection, like [`Sender::pause`]. Does nothing if there is no connection with this id.
    pub fn pause(&self, id: ConnectionId) {
        if let Some(shared) = self.shared(id) {
            shared.pause(PauseOwner::Application);
        }
    }

    /// Resumes reading, and wakes the task that polls the connection. Does nothing if there is no connection with this
    /// id, or it is not paused.
    pub fn resume(&self, id: ConnectionId) {
        if let Some(shared) = self.shared(id) {
            shared.resume(PauseOwner::Application);
        }
    }

    /// Aborts a connection in any phase: it sends no Close frame, and queued output is lost. The id of a connection
    /// that is gone is not an error.
    pub fn terminate(&self, id: ConnectionId) {
        let Some((shared, socket)) =
            self.inner.state().members.get(&id).map(|m| (m.shared.clone(), m.socket.clone()))
        else {
            return;
        };
        shared.connection().abort(clock::now(), ws_proto::Error::Aborted);
        socket.shut_down();
        shared.wake();
    }

    /// Answers a request of a connection, or rejects an upgrade, from outside its handler.
    ///
    /// # Errors
    /// [`RespondError::NotOpen`], also if there is no such connection; [`RespondError::WrongRequest`],
    /// [`RespondError::Header`], [`RespondError::Status`].
    pub fn respond(
        &self,
        id: ConnectionId,
        request: impl Into<Request>,
        response: http::Response<Bytes>,
    ) -> Result<(), RespondError> {
        self.shared(id).ok_or(RespondError::NotOpen)?.respond(request.into(), response)
    }

    /// Returns the state of a connection; [`State::Closed`] if there is no connection with this id.
    pub fn state(&self, id: ConnectionId) -> State {
        self.shared(id).map_or(State::Closed, |shared| shared.connection().state())
    }

    /// Returns how many bytes of output are queued for a connection.
    pub fn queued(&self, id: ConnectionId) -> usize {
        self.shared(id).map_or(0, |shared| shared.connection().queued())
    }

    /// Returns how long the peer took to answer the last Ping.
    pub fn latency(&self, id: ConnectionId) -> Option<Duration> {
        self.shared(id)?.connection().latency()
    }

    /// Returns the peer's address. An IPv4 peer has an IPv4 address, even on dual-stack servers; a peer on a Unix
    /// socket has none. Behind a [trusted proxy](crate::ServerConfig::trust_proxy) it is the client's, as of the last
    /// request, and the proxy's before the first.
    pub fn peer_addr(&self, id: ConnectionId) -> Option<SocketAddr> {
        self.inner.state().members.get(&id)?.shared.peer.address()
    }

    /// Returns the address at the other end of the socket: behind a [trusted
    /// proxy](crate::ServerConfig::trust_proxy) that of the proxy, otherwise [`peer_addr`](Self::peer_addr). `None` on a
    /// Unix socket, and once the connection is over.
    pub fn transport_addr(&self, id: ConnectionId) -> Option<SocketAddr> {
        let shared = self.inner.state().members.get(&id)?.shared.clone();
        shared.transport_addr()
    }

    /// Returns the address that the peer connected to; `None` on a Unix socket.
    pub fn local_addr_of(&self, id: ConnectionId) -> Option<SocketAddr> {
        self.inner.state().members.get(&id)?.socket.local_addr()
    }

    fn shared(&self, id: ConnectionId) -> Option<Arc<Shared>> {
        Some(self.inner.state().members.get(&id)?.shared.clone())
    }
}
