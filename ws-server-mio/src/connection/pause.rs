//! Reading that is held back: by the application, or by the other leg of a coupling.

use crate::connection::Connections;
use crate::connection::io::find_reset;
use crate::connection::lists::mark_dirty;
use crate::connection::slots::{flag, mark};
use crate::ids::ConnectionId;

/// Whoever holds it back.
const ANY: u8 = mark::PAUSED | mark::HELD;

/// Reading.
impl Connections {
    /// Stops reading a connection: its events stay away until [`Connections::resume`], and its peer is slowed down by the
    /// kernel once that holds what it can. Sending goes on. It takes effect at once: what the same read brought waits too.
    ///
    /// While reading is paused no heartbeat is judged, since the answer may stand unread; one that is due is still sent,
    /// and a peer that takes no output is still found. A reset is found at once, and the end of the peer's stream when
    /// reading resumes. [`Connections::close`] ends the pause; [`Closed::reading_paused`](crate::Closed::reading_paused)
    /// says whether the connection was paused when the end began, also where `close` began it. An id that is gone is no error.
    pub fn pause(&mut self, id: ConnectionId) {
        self.hold(id, mark::PAUSED);
    }

    /// Reads on, in this turn or the next. Harmless where nothing is paused, and for an id that is gone.
    pub fn resume(&mut self, id: ConnectionId) {
        self.release(id, mark::PAUSED);
    }

    pub(crate) fn hold(&mut self, id: ConnectionId, why: u8) {
        let Self { slots, others, dirty, now, .. } = self;
        let Some(live) = slots.get_mut(id).filter(|live| !live.is_marked(why)) else { return };
        live.mark(why);
        live.connection.pause();
        // No further edge tells of a reset that came before.
        if live.has(flag::READ_CLOSED) && live.connection.is_paused() {
            find_reset(id.slot, live, others, *now);
        }
        mark_dirty(id.slot, live, dirty);
    }

    pub(crate) fn release(&mut self, id: ConnectionId, why: u8) {
        let Self { slots, dirty, now, .. } = self;
        let Some(live) = slots.get_mut(id).filter(|live| live.is_marked(why)) else { return };
        live.unmark(why);
        if !live.is_marked(ANY) {
            live.connection.resume(*now);
            mark_dirty(id.slot, live, dirty);
        }
    }
}
