//! What sees events before the application does.

use crate::ids::ConnectionId;
use crate::server::Server;
use std::fmt;
use ws_proto::{Closed, Event};

/// Sees what happens on the open WebSockets of a [`Server`] before the application does, and may keep what it is
/// for: a protocol above messages (remote calls, say), a log, a guard.
///
/// Where it panics, and that is caught, it stays in place; a WebSocket whose event it was filtering ends with 1011.
///
/// A server has one, set once with [`Server::set_extension`]. It is called by the task that polls the connection, one
/// call at a time; it must not set an extension, nor poll a connection of its server.
///
/// ```
/// use ws_server_smol::{ConnectionId, Event, Extension, Server};
///
/// /// Answers "?" by itself; everything else is the application's.
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
    /// A message, a fragment, a pong, or that the outbox has drained. The application gets what this returns; with
    /// `None` the extension has kept it.
    fn filter(&mut self, server: &Server, id: ConnectionId, event: Event<'static>) -> Option<Event<'static>> {
        let _ = (server, id);
        Some(event)
    }

    /// A WebSocket has opened.
    fn opened(&mut self, server: &Server, id: ConnectionId) {
        let _ = (server, id);
    }

    /// A WebSocket that was open has ended, whatever ended it: once for each, and before the application sees it.
    /// [`Topics::of`](crate::Topics::of) still shows what it was subscribed to.
    fn closed(&mut self, server: &Server, id: ConnectionId, closed: &Closed) {
        let _ = (server, id, closed);
    }

    /// The server begins to stop; its clients are still there.
    fn stopping(&mut self, server: &Server) {
        let _ = server;
    }
}

/// A server has its extension already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AlreadyExtended;

ws_proto::debug_is_display!(AlreadyExtended);

impl fmt::Display for AlreadyExtended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server has an extension already; compose the two into one")
    }
}

impl std::error::Error for AlreadyExtended {}
