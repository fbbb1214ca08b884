//! Paused reading: by the application, or by the other leg of a coupling.

use crate::connection::Connections;
use crate::connection::io::find_reset;
use crate::connection::lists::mark_dirty;
use crate::connection::slots::{flag, mark};
use crate::ids::ConnectionId;

/// Any reason to pause reading.
const ANY: u8 = mark::PAUSED | mark::HELD;

/// Reading.
impl Connections {
    /// Stops reading a connection: it emits no events until [`Connections::resume`], and the kernel throttles its peer
    /// once the receive buffers are full. Sending continues. It takes effect at once: the rest of the current read
    /// waits too.
    ///
    /// While reading is paused, no missing Pong ends the connection, since the Pong may be unread; heartbeats that are
    /// due are still sent, and a peer that takes no output is still detected. A reset is detected at once, and
    /// the end of the peer's stream when reading resumes. [`Connections::close`] ends the pause;
    /// [`Closed::reading_paused`](crate::Closed::reading_paused) says whether the connection was paused when the end
    /// began, even if `close` began it. The id of a connection that is gone is not an error.
    pub fn pause(&mut self, id: ConnectionId) {
        self.hold(id, mark::PAUSED);
    }

    /// Resumes reading, in this turn or the next. It does nothing if reading is not paused, or the connection is gone.
    pub fn resume(&mut self, id: ConnectionId) {
        self.release(id, mark::PAUSED);
    }

    pub(crate) fn hold(&mut self, id: ConnectionId, reason: u8) {
        let Self { slots, sockets, dirty, now, .. } = self;
        let Some(live) = slots.get_mut(id).filter(|live| !live.is_marked(reason)) else { return };
        live.mark(reason);
        live.connection.pause();
        // No further edge signals an earlier reset.
        if live.has(flag::READ_CLOSED) && live.connection.is_paused() {
            find_reset(id.slot, live, sockets, *now);
        }
        mark_dirty(id.slot, live, dirty);
    }

    pub(crate) fn release(&mut self, id: ConnectionId, reason: u8) {
        let Self { slots, dirty, now, .. } = self;
        let Some(live) = slots.get_mut(id).filter(|live| live.is_marked(reason)) else { return };
        live.unmark(reason);
        if !live.is_marked(ANY) {
            live.connection.resume(*now);
            mark_dirty(id.slot, live, dirty);
        }
    }
}
