//! The machine slept: every peer is asked whether it is still there.

use crate::connections::{Connections, arm, lend, touch};
use std::sync::Arc;
use std::time::SystemTime;

impl Connections {
    /// The machine slept: heartbeats are due at once.
    pub(crate) fn wake_up(&mut self, wall: SystemTime) {
        let Self { slots, servers, pool, timers, touched, now, .. } = self;
        for (slot, live) in slots.iter_mut() {
            lend(live, pool);
            live.connection.handle_resume(*now);
            arm(slot, live, timers);
            touch(slot, live, touched);
        }
        // The `Date` of answers is reckoned from the monotonic clock.
        for server in servers.iter_mut() {
            Arc::make_mut(&mut server.config).date = Some((*now, wall));
        }
        self.resume_clients();
    }
}
