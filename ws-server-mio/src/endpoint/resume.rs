//! The machine slept: every peer is asked whether it is still there.

use crate::connection::{Connections, arm, lend, touch};
impl Connections {
    /// The machine slept: heartbeats are due at once.
    pub(crate) fn wake_up(&mut self) {
        let Self { slots, pool, timers, touched, now, .. } = self;
        for (slot, live) in slots.iter_mut() {
            lend(live, pool);
            live.connection.handle_resume(*now);
            arm(slot, live, timers);
            touch(slot, live, touched);
        }
        self.resume_clients();
    }
}
