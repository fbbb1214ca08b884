//! What the handler is told.

use crate::ids::{ClientId, ConnectionId, ServerId};
use std::io;
use std::time::Duration;
use ws_host::client::ConnectError;

/// What happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Something happened on a connection. What it carries is lent for the call, from the loop's receive
    /// buffer: answering copies it into the outbox, keeping it takes
    /// [`into_owned`](ws_proto::Event::into_owned).
    Connection(ConnectionId, ws_proto::Event<'a>),
    /// A server is about to stop: the last moment at which its clients are still open.
    Stopping(ServerId),
    /// A server has stopped. Nothing of it is left, and its id finds nobody from now on.
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
    /// again by itself, ten times a second; this is told once until one is accepted again.
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

impl Event<'_> {
    /// The same event, owning its data.
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Event::Connection(id, event) => Event::Connection(id, event.into_owned()),
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
