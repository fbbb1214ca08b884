//! Calls a server's extension.

use crate::extension::Extension;
use crate::ids::ConnectionId;
use crate::server::Server;
use crate::server::slot::{Busy, Call, Nested};
use ws_proto::Event;

impl Server {
    /// Passes an event through the extension. The error is [`Nested`] if the extension itself polls the connection.
    pub(super) fn filter(
        &self,
        id: ConnectionId,
        event: Event<'static>,
    ) -> Result<Option<Event<'static>>, Nested> {
        let Some(slot) = self.inner.extension.get() else { return Ok(Some(event)) };
        slot.call(|extension| extension.filter(self, id, event), |extension, call| self.make(extension, call))
    }

    /// Makes a call, or queues it.
    pub(super) fn notify_extension(&self, call: Call, busy: Busy) {
        if let Some(slot) = self.inner.extension.get() {
            slot.notify(call, busy, |extension, call| self.make(extension, call));
        } else if let Call::Forget(id) = call {
            self.inner.state().topics.forget(id);
        }
    }

    fn make(&self, extension: &mut dyn Extension, call: Call) {
        match call {
            Call::Opened(id) => extension.opened(self, id),
            Call::Closed(id, closed) => extension.closed(self, id, &closed),
            Call::Stopping => extension.stopping(self),
            Call::Forget(id) => self.inner.state().topics.forget(id),
        }
    }
}
