//! The events that the handler receives.

use crate::ids::{ClientId, ConnectionId, ServerId};
use std::io;
use std::time::Duration;
use ws_host::client::ConnectError;
use ws_proto::{Closed, Fragment, Message, Pong, Request, RequestBody, Upgrade};

/// An event: on a connection, on a server, on a client, or of the endpoint.
///
/// The data of a connection's event borrows from the loop's receive buffer for the call: answering copies it into
/// the outbox, [`into_owned`](Self::into_owned) keeps it. A connection emits its events in this order:
///
/// ```text
///  server:  (Request | Body | Drained)* [Upgrade] [Open ─▶ (Message | Fragment | Pong | Drained)*] Closed
///  client:                                        Open ─▶ (Message | Fragment | Pong | Drained)*  Closed
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A server received a plain HTTP request. Answer it, now or later, with
    /// [`respond`](crate::Connections::respond), [`respond_streaming`](crate::Connections::respond_streaming) or
    /// [`respond_file`](crate::Connections::respond_file). A request dropped during this call gets 404, or 426
    /// on a path that accepts upgrades ([`upgrade_paths`](crate::ServerConfig::upgrade_paths)); a request kept
    /// and dropped later gets 503 when the turn next visits its connection, at the latest after the
    /// [`answer_timeout`](crate::ServerConfig::answer_timeout).
    Request(ConnectionId, Request),
    /// A server received the next part of the body of the last [`Request`](Self::Request) of this connection, which is
    /// [streaming](Request::is_streaming): data, or the end. Answering or dropping the request ends its body. To receive
    /// it more slowly, [`pause`](crate::Connections::pause) the connection.
    ///
    /// A client that waits for `100 Continue` gets it after the handler's call for the request, once the earlier
    /// requests are answered, unless this one is answered by then or the connection is paused.
    Body(ConnectionId, RequestBody<'a>),
    /// A server received a valid opening handshake, and
    /// [`decide_upgrades`](crate::ServerConfig::decide_upgrades) is set; otherwise it is accepted automatically, and
    /// [`Open`](Self::Open) comes next. Answer it with [`accept`](crate::Connections::accept), or reject it with
    /// [`respond`](crate::Connections::respond); if you drop it, it gets 503. Rejecting or dropping it
    /// ends the connection.
    Upgrade(ConnectionId, Upgrade),
    /// A WebSocket is open. A client gets the server's 101; a server, the 101 that it sent.
    Open(ConnectionId, Box<http::Response<()>>),
    /// A whole message.
    Message(ConnectionId, Message<'a>),
    /// A fragment of a message, with [chunked delivery](ws_host::server::ServerConfig::delivery).
    Fragment(ConnectionId, Fragment<'a>),
    /// The Pong that answers a Ping of [`send_ping`](crate::Connections::send_ping).
    Pong(ConnectionId, Pong),
    /// The outbox was over its high mark and has now fallen to its low mark.
    Drained(ConnectionId),
    /// The last event of a connection, exactly once; also of a plain HTTP connection that sent a request:
    /// [`was_open`](Closed::was_open) tells the two apart.
    ///
    /// During this call, [`ClientHandle::state`](crate::ClientHandle::state) of a client already says what follows:
    /// [`Waiting`](crate::ClientState::Waiting), and [`Event::Reconnecting`] comes next; or
    /// [`Idle`](crate::ClientState::Idle), and the client has given up: it has no policy, the end is
    /// [final](ws_host::client::Reconnect::is_final), the attempts are used up, or it was disconnected. No other event
    /// reports that.
    Closed(ConnectionId, Box<Closed>),
    /// A server begins to stop. Its connections are still open.
    Stopping(ServerId),
    /// A server has stopped. Its connections are gone, and its id is no longer valid.
    Stopped(ServerId),
    /// The machine has resumed from sleep. The first turn that runs at least a second after the last check notices it.
    /// Every open WebSocket with a heartbeat has a Ping under way, and its peer has the usual time to answer; the sleep
    /// itself closes no connection. Setting the wall clock forward by five seconds or more emits this, too.
    Resumed {
        /// How long it slept, approximately.
        slept: Duration,
    },
    /// A server cannot accept connections, usually because the process is out of descriptors. It retries automatically,
    /// ten times a second. It emits this once, and not again until it has accepted a connection.
    AcceptFailed {
        /// The server.
        server: ServerId,
        /// The system's error.
        error: io::Error,
    },
    /// A client's attempt to connect failed. Each attempt emits this or opens a connection.
    ///
    /// Unless [`Event::Reconnecting`] follows, the client is idle: it has no policy, or the rejection is final, as
    /// 401 is unless [`Reconnect::retry_status`](ws_host::client::Reconnect::retry_status) says otherwise. Its
    /// [`state`](crate::ClientHandle::state) during this call is already [`Idle`](crate::ClientState::Idle) or
    /// [`Waiting`](crate::ClientState::Waiting). Calling [`reconnect`](crate::ClientHandle::reconnect) here retries at
    /// once, without a delay.
    ConnectFailed {
        /// The client.
        client: ClientId,
        /// Why.
        error: ConnectError,
    },
    /// A client will reconnect by its policy: this follows [`Event::ConnectFailed`] or the `Closed` of its
    /// connection, when the delay begins. [`set_request`](crate::ClientHandle::set_request) can change the
    /// next request, and [`disconnect`](crate::ClientHandle::disconnect) cancels the attempt.
    Reconnecting {
        /// The client.
        client: ClientId,
        /// The number of the next attempt since the last success.
        attempt: u32,
        /// The delay before it.
        delay: Duration,
    },
}

impl<'a> Event<'a> {
    /// Converts the engine's event of this connection. `None` for an event unknown to this adapter.
    #[inline]
    pub(crate) fn of(id: ConnectionId, event: ws_proto::Event<'a>) -> Option<Self> {
        use ws_proto::Event as Engine;
        Some(match event {
            Engine::Message(message) => Event::Message(id, message),
            Engine::Fragment(fragment) => Event::Fragment(id, fragment),
            Engine::Request(request) => Event::Request(id, request),
            Engine::Body(body) => Event::Body(id, body),
            Engine::Upgrade(upgrade) => Event::Upgrade(id, upgrade),
            Engine::Open(response) => Event::Open(id, response),
            Engine::Pong(pong) => Event::Pong(id, pong),
            Engine::Drained => Event::Drained(id),
            Engine::Closed(closed) => Event::Closed(id, closed),
            _ => return None,
        })
    }

    /// The connection that this event belongs to; `None` for events of a server, a client or the endpoint.
    #[inline]
    pub fn connection(&self) -> Option<ConnectionId> {
        match self {
            Event::Request(id, _)
            | Event::Body(id, _)
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
            Event::Body(id, body) => Event::Body(id, body.into_owned()),
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
