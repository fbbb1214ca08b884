//! What the handler is given.

use crate::ids::{ClientId, ConnectionId, ServerId};
use std::io;
use std::time::Duration;
use ws_host::client::ConnectError;
use ws_proto::{Closed, Fragment, Message, Pong, Request, Upgrade};

/// What happened: on a connection, on a server, on a client, or to the endpoint.
///
/// What an event of a connection carries is lent for the call, from the loop's receive buffer: answering copies it into
/// the outbox, keeping it takes [`into_owned`](Self::into_owned). A connection emits them in this order:
///
/// ```text
///  server:  Request*  [[Upgrade ─▶] Open ─▶ (Message | Fragment | Pong | Drained)*]  Closed
///  client:                        Open ─▶ (Message | Fragment | Pong | Drained)*   Closed
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A server was asked for something that is no WebSocket. Answer it, now or later, with
    /// [`respond`](crate::Connections::respond), [`respond_streaming`](crate::Connections::respond_streaming) or
    /// [`respond_file`](crate::Connections::respond_file). One that is dropped while it is reported is answered 404, or 426
    /// where a WebSocket is ([`upgrade_paths`](crate::ServerConfig::upgrade_paths)); one that is kept
    /// and dropped later, 503 when its connection is next looked at, at the latest after the
    /// [`answer_timeout`](crate::ServerConfig::answer_timeout).
    Request(ConnectionId, Request),
    /// A server was sent a valid opening handshake, and
    /// [`decide_upgrades`](crate::ServerConfig::decide_upgrades) asks for the decision; otherwise it is accepted, and
    /// [`Open`](Self::Open) comes next. Answer it with [`accept`](crate::Connections::accept), or refuse it with
    /// [`respond`](crate::Connections::respond); dropped, it is answered 503. Refused or dropped, the connection ends with
    /// that answer.
    Upgrade(ConnectionId, Upgrade),
    /// A WebSocket is open. For a client this is the server's 101; for a server, the one that was sent.
    Open(ConnectionId, Box<http::Response<()>>),
    /// A whole message.
    Message(ConnectionId, Message<'a>),
    /// A fragment of a message, where the configuration asks for [chunks](ws_host::server::ServerConfig::delivery).
    Fragment(ConnectionId, Fragment<'a>),
    /// The answer to a Ping of ours.
    Pong(ConnectionId, Pong),
    /// The outbox was over its high mark and has now fallen to its low mark.
    Drained(ConnectionId),
    /// The end: the last event of a connection, exactly once: also of plain HTTP that was asked something, which
    /// [`was_open`](Closed::was_open) tells from a WebSocket.
    Closed(ConnectionId, Box<Closed>),
    /// A server is about to stop: the last moment at which its clients are still open.
    Stopping(ServerId),
    /// A server has stopped. Nothing of it is left, and its id finds nothing from now on.
    Stopped(ServerId),
    /// The machine slept, and is awake again: it is noticed in the first turn from then on that comes at least a
    /// second after the last look. Every peer was sent its heartbeat and has the usual time to answer; nobody
    /// is cut off for having slept. Where the wall clock was set forward by five seconds or more, this comes,
    /// too.
    Resumed {
        /// For how long, about.
        slept: Duration,
    },
    /// Connections cannot be accepted, most often since the process has no descriptor left. The server tries
    /// again by itself, ten times a second; this is emitted once until one is accepted again.
    AcceptFailed {
        /// Whose connections.
        server: ServerId,
        /// What the system said.
        error: io::Error,
    },
    /// A client's attempt to connect came to nothing. Each attempt ends with this, or opens a connection.
    ///
    /// Where [`Event::Reconnecting`] does not follow, the client rests: it has no policy, or the refusal is final, as
    /// 401 is unless [`Reconnect::retry_status`](ws_host::client::Reconnect::retry_status) says otherwise. To call
    /// [`reconnect`](crate::ClientHandle::reconnect) here is to try again at once, without any wait.
    ConnectFailed {
        /// Whose attempt.
        client: ClientId,
        /// Why.
        error: ConnectError,
    },
    /// A client will connect again by its policy: it follows [`Event::ConnectFailed`], or the `Closed` of its
    /// connection, and comes when the wait begins. [`set_request`](crate::ClientHandle::set_request) can renew what
    /// will be asked for, and [`disconnect`](crate::ClientHandle::disconnect) stop it.
    Reconnecting {
        /// Which client.
        client: ClientId,
        /// How many attempts it will be since the last success.
        attempt: u32,
        /// How long it waits before.
        delay: Duration,
    },
}

impl<'a> Event<'a> {
    /// The engine's event of this connection. `None` for one that this adapter does not know.
    #[inline]
    pub(crate) fn of(id: ConnectionId, event: ws_proto::Event<'a>) -> Option<Self> {
        use ws_proto::Event as Engine;
        Some(match event {
            Engine::Message(message) => Event::Message(id, message),
            Engine::Fragment(fragment) => Event::Fragment(id, fragment),
            Engine::Request(request) => Event::Request(id, request),
            Engine::Upgrade(upgrade) => Event::Upgrade(id, upgrade),
            Engine::Open(response) => Event::Open(id, response),
            Engine::Pong(pong) => Event::Pong(id, pong),
            Engine::Drained => Event::Drained(id),
            Engine::Closed(closed) => Event::Closed(id, closed),
            _ => return None,
        })
    }

    /// Which connection this happened on; `None` for what happens to a server, a client or the endpoint.
    #[inline]
    pub fn connection(&self) -> Option<ConnectionId> {
        match self {
            Event::Request(id, _)
            | Event::Upgrade(id, _)
            | Event::Open(id, _)
            | Event::Message(id, _)
            | Event::Fragment(id, _)
            | Event::Pong(id, _)
            | Event::Drained(id)
            | Event::Closed(id, _) => Some(*id),
            Event::Stopping(_)
            | Event::Stopped(_)
            | Event::Resumed { .. }
            | Event::AcceptFailed { .. }
            | Event::ConnectFailed { .. }
            | Event::Reconnecting { .. } => None,
        }
    }

    /// The same event, owning its data.
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Event::Request(id, request) => Event::Request(id, request),
            Event::Upgrade(id, upgrade) => Event::Upgrade(id, upgrade),
            Event::Open(id, response) => Event::Open(id, response),
            Event::Message(id, message) => Event::Message(id, message.into_owned()),
            Event::Fragment(id, fragment) => Event::Fragment(id, fragment.into_owned()),
            Event::Pong(id, pong) => Event::Pong(id, pong),
            Event::Drained(id) => Event::Drained(id),
            Event::Closed(id, closed) => Event::Closed(id, closed),
            Event::Stopping(server) => Event::Stopping(server),
            Event::Stopped(server) => Event::Stopped(server),
            Event::Resumed { slept } => Event::Resumed { slept },
            Event::AcceptFailed { server, error } => Event::AcceptFailed { server, error },
            Event::ConnectFailed { client, error } => Event::ConnectFailed { client, error },
            Event::Reconnecting { client, attempt, delay } => Event::Reconnecting { client, attempt, delay },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_cheap_to_move() {
        assert!(size_of::<Event<'_>>() <= 56, "{} bytes", size_of::<Event<'_>>());
    }
}
