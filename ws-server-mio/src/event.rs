//! What the handler is told.

use crate::servers::ServerId;
use crate::slots::ConnectionId;
use std::io;

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
    /// Connections cannot be accepted, most often since the process has no descriptor left. The server tries
    /// again by itself, ten times a second; this is told once until one is accepted again.
    AcceptFailed {
        /// Whose connections.
        server: ServerId,
        /// What the system said.
        error: io::Error,
    },
}
