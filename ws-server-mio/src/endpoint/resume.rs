//! The machine slept: every peer is asked whether it is still there.

use crate::connection::{Connections, arm, lend, mark_dirty};
impl Connections {
    /// The machine slept: heartbeats are due at once.
    pub(crate) fn wake_up(&mut self) {
        let Self { slots, pool, timers, dirty, now, .. } = self;
        for (slot, live) in slots.iter_mut() {
            lend(live, pool);
            live.connection.handle_resume(*now);
            arm(slot, live, timers);
            mark_dirty(slot, live, dirty);
        }
        self.resume_clients();
    }
}
