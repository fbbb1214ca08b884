//! Invariants of all connections of a run together: none is forgotten while time passes, and the shared memory
//! suffices.

use super::end::End;
use super::world::{ClientKind, Purpose, World};
use std::time::Duration;

/// The largest holders must be closed within this: a second, and a second for each Close.
const GIVES_WAY: Duration = Duration::from_secs(20);

impl World {
    /// Time has passed: every wait must still be in time.
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

    /// The shared memory is never far over its limit, and never over it for long.
    fn check_memory(&mut self) {
        let (now, limit) = (self.now, self.memory.limit());
        let ends = || self.server.conns.iter().map(|conn| &conn.party.end);
        let held: usize = ends().map(End::held).sum();
        let own: usize = ends().map(|end| end.own()).sum();
        assert!(held <= limit + own, "{held} bytes are held; the limit for all is {limit}");
        let counted: usize =
            ends().map(|end| end.held().saturating_sub(end.rules.config.get_low_mark())).sum();
        let is_judged = ends().all(|end| end.manner.late == Duration::ZERO);
        self.over_since = (counted > limit && is_judged).then(|| self.over_since.unwrap_or(now));
        let is_for_long = self.over_since.is_some_and(|since| now > since + GIVES_WAY);
        assert!(!is_for_long, "{counted} bytes are counted for long; the limit for all is {limit}");
    }
}
