//! What holds for all connections of a run together: nobody is forgotten while time passes, and the memory that they
//! share is enough.

use super::end::End;
use super::world::{ClientKind, Purpose, World};
use std::time::Duration;

/// Within this those that hold the most have to give way: a second, and a second for their goodbye each.
const GIVES_WAY: Duration = Duration::from_secs(20);

impl World {
    /// Time has passed: whoever is waited for is still in time.
    pub(super) fn check_time(&mut self) {
        for (client, conn) in self.clients.iter().zip(&self.server.conns) {
            conn.party.end.check_time(self.now);
            if let ClientKind::WebSocket(party) = &client.kind {
                party.end.check_time(self.now);
            }
        }
        if self.purpose == Purpose::Memory {
            self.check_memory();
        }
    }

    /// The memory that all share is never much over its limit, and not at all for long.
    fn check_memory(&mut self) {
        let (now, limit) = (self.now, self.memory.limit());
        let ends = || self.server.conns.iter().map(|conn| &conn.party.end);
        let held: usize = ends().map(End::held).sum();
        let own: usize = ends().map(|end| end.own()).sum();
        assert!(held <= limit + own, "{held} bytes are held, and {limit} are allowed for all");
        let counted: usize =
            ends().map(|end| end.held().saturating_sub(end.rules.config.get_low_mark())).sum();
        let is_judged = ends().all(|end| end.manner.late == Duration::ZERO);
        self.over_since = (counted > limit && is_judged).then(|| self.over_since.unwrap_or(now));
        let is_for_long = self.over_since.is_some_and(|since| now > since + GIVES_WAY);
        assert!(!is_for_long, "{counted} bytes are counted for long, and {limit} are allowed for all");
    }
}
