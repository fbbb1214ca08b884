//! A hook that sees events before the application does.

use crate::ids::ConnectionId;
use crate::server::Server;
use std::fmt;
use ws_proto::{Closed, Event};

/// Sees each event of an open WebSocket of a [`Server`] before the application does, and may consume it: for a protocol
/// on top of messages (remote calls, say), a log, or access control.
///
/// If it panics, and the panic is caught, it stays in place. The event that it was filtering is lost, and the WebSocket
/// of that event ends with 1011.
///
/// A server has at most one, set with [`Server::set_extension`]. The task that polls the connection calls it, one call
/// at a time: a call on another thread waits. It may call the server, and drop its WebSockets: what it causes
/// itself ([`closed`](Self::closed), say) follows right after the call, in order, and so does the end of a WebSocket
/// that another thread drops meanwhile. It must not poll a connection of its server: a WebSocket whose event it would
/// have to filter during its own call ends with 1011.
///
/// ```
/// use ws_server_smol::{ConnectionId, Event, Extension, Server};
///
/// /// Answers "?" itself; all other events go to the application.
/// struct Help;
///
/// impl Extension for Help {
///     fn filter(&mut self, server: &Server, id: ConnectionId, event: Event<'static>) -> Option<Event<'static>> {
///         match event {
///             Event::Message(message) if message.as_bytes() == b"?" => {
///                 let _ = server.send(id, "say anything");
///                 None
///             }
///             event => Some(event),
///         }
///     }
/// }
/// ```
pub trait Extension: Send {
    /// Called for each message, fragment and Pong, and when the outbox has drained. The application gets what this
    /// returns; `None` consumes the event.
    fn filter(&mut self, server: &Server, id: ConnectionId, event: Event<'static>) -> Option<Event<'static>> {
        let _ = (server, id);
        Some(event)
    }

    /// Called when a WebSocket has opened.
    fn opened(&mut self, server: &Server, id: ConnectionId) {
        let _ = (server, id);
    }

    /// Called when an open WebSocket has ended, for any reason: once for each, and before the application sees it.
    /// [`Topics::of`](crate::Topics::of) still returns its topics.
    fn closed(&mut self, server: &Server, id: ConnectionId, closed: &Closed) {
        let _ = (server, id, closed);
    }

    /// Called when the server begins to stop; its connections are still open.
    fn stopping(&mut self, server: &Server) {
        let _ = server;
    }
}

/// The server already has an extension.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AlreadyExtended;

ws_proto::debug_is_display!(AlreadyExtended);

impl fmt::Display for AlreadyExtended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server already has an extension; combine both into one")
    }
}

impl std::error::Error for AlreadyExtended {}
