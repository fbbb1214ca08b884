//! The machine slept: every peer is asked whether it is still there.

use crate::connections::{Connections, arm, lend, touch};
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
        for clock in servers.iter_mut().filter_map(|server| server.config.wall_clock.as_ref()) {
            clock.set(wall);
        }
        self.resume_clients();
    }
}
