//! A hook that sees events before the application does.

use crate::connection::Connections;
use crate::connection::io::write;
use crate::connection::lists::mark_dirty;
use crate::event::Event;
use crate::ids::ConnectionId;
use std::fmt;
use std::mem;
use ws_proto::{CloseCode, Error, State};

/// Sees each event before the application does, and may consume it: for a protocol on top of messages (remote calls,
/// say), a log, or access control.
///
/// If it panics, and the panic is caught, it stays in place. The event that it was filtering is lost, and the WebSocket
/// of that event ends with 1011; an event that it was observing reaches the handler in the next turn. See
/// [`Endpoint::poll`](crate::Endpoint::poll).
///
/// An endpoint has at most one, set once with [`Connections::set_extension`]. It is called like the handler, with
/// access to all connections; without one, an event costs nothing extra.
///
/// ```
/// use ws_server_mio::{Connections, Event, Extension};
///
/// /// Answers "?" itself; all other events go to the application.
/// struct Help;
///
/// impl Extension for Help {
///     fn filter<'a>(&mut self, connections: &mut Connections, event: Event<'a>) -> Option<Event<'a>> {
///         match event {
///             Event::Message(id, message) if message.as_bytes() == b"?" => {
///                 let _ = connections.send(id, "say anything");
///                 None
///             }
///             event => Some(event),
///         }
///     }
/// }
/// ```
pub trait Extension {
    /// Filters an event of a connection, except `Closed`. The handler gets the returned event; `None`
    /// consumes it. The extension must answer a request or an upgrade that it consumes.
    fn filter<'a>(&mut self, connections: &mut Connections, event: Event<'a>) -> Option<Event<'a>> {
        let _ = connections;
        Some(event)
    }

    /// Observes an event that cannot be consumed: [`Event::Closed`], also of a connection
    /// whose first events were consumed, and the events of a server or of the endpoint, such as
    /// [`Event::Stopping`]. The handler receives it next.
    fn observe(&mut self, connections: &mut Connections, event: &Event<'_>) {
        let _ = (connections, event);
    }
}

/// The endpoint already has an extension.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AlreadyExtended;

ws_proto::debug_is_display!(AlreadyExtended);

impl fmt::Display for AlreadyExtended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the endpoint already has an extension; combine both into one")
    }
}

impl std::error::Error for AlreadyExtended {}

/// Holds the extension, except during its own call, when it needs the connections that hold it.
#[derive(Default)]
pub(crate) enum ExtensionSlot {
    #[default]
    Empty,
    Set(Box<dyn Extension + Send>),
    Out,
}

impl Connections {
    /// Sets the extension of this endpoint, permanently.
    ///
    /// # Errors
    /// [`AlreadyExtended`]: the first one stays.
    pub fn set_extension(
        &mut self,
        extension: impl Extension + Send + 'static,
    ) -> Result<(), AlreadyExtended> {
        match self.extension {
            ExtensionSlot::Empty => {
                self.extension = ExtensionSlot::Set(Box::new(extension));
                self.intercepted = true;
                Ok(())
            }
            ExtensionSlot::Set(_) | ExtensionSlot::Out => Err(AlreadyExtended),
        }
    }

    /// Runs the extension, and returns what the handler is to see.
    #[cold]
    pub(crate) fn intercept<'a>(&mut self, event: Event<'a>) -> Option<Event<'a>> {
        match mem::replace(&mut self.extension, ExtensionSlot::Out) {
            ExtensionSlot::Set(extension) => Call::new(self, extension).call(event),
            place => {
                self.extension = place;
                Some(event)
            }
        }
    }
}

impl Connections {
    /// Ends a WebSocket at once, with 1011 if that can be written without waiting, and a request whose body is arriving.
    /// Other plain HTTP continues: a dropped request gets 503.
    #[cold]
    fn end_now(&mut self, id: ConnectionId, is_body: bool) {
        let Self { slots, sockets, dirty, now, .. } = self;
        let Some(live) = slots.get_mut(id) else { return };
        if matches!(live.connection.state(), State::Open | State::Closing) {
            // A closing connection sends no second Close.
            let _ = live.connection.close(*now, CloseCode::INTERNAL_ERROR, "");
            write(id.slot, live, sockets, *now, usize::MAX);
        } else if !is_body {
            return;
        }
        live.connection.abort(*now, Error::Aborted);
        mark_dirty(id.slot, live, dirty);
    }
}

/// A call of the extension. If it panics, it returns to its place, the handler receives the observed event
/// later, and a WebSocket whose event was being filtered ends: the application might mistake the rest of a message for
/// the whole.
struct Call<'c, 'a> {
    connections: &'c mut Connections,
    /// Taken when this is dropped.
    extension: Option<Box<dyn Extension + Send>>,
    observed: Option<Event<'a>>,
    /// The connection whose event is being filtered, and whether that is part of a body.
    filtered: Option<(ConnectionId, bool)>,
}

impl<'c, 'a> Call<'c, 'a> {
    fn new(connections: &'c mut Connections, extension: Box<dyn Extension + Send>) -> Self {
        Self { connections, extension: Some(extension), observed: None, filtered: None }
    }

    fn call(mut self, event: Event<'a>) -> Option<Event<'a>> {
        let extension = self.extension.as_mut()?;
        match event.connection() {
            Some(id) if !matches!(event, Event::Closed(..)) => {
                self.filtered = Some((id, matches!(event, Event::Body(..))));
                let rest = extension.filter(self.connections, event);
                self.filtered = None;
                rest
            }
            _ => {
                extension.observe(self.connections, self.observed.insert(event));
                self.observed.take()
            }
        }
    }
}

impl Drop for Call<'_, '_> {
    fn drop(&mut self) {
        if let Some(extension) = self.extension.take() {
            self.connections.extension = ExtensionSlot::Set(extension);
        }
        if let Some(event) = self.observed.take() {
            self.connections.pending_events.push_back(event.into_owned());
        }
        if let Some((id, is_body)) = self.filtered {
            self.connections.end_now(id, is_body);
        }
    }
}
