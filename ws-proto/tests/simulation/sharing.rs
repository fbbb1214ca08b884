//! What holds for all connections of a run together: nobody is forgotten while time passes, and the memory that they
//! share is enough.

use super::end::End;
use super::world::{ClientKind, Purpose, World};

/// What a connection may hold beside: control frames, a head, a message that was begun when there was room.
const BESIDE: usize = 8 << 10;

impl World {
    /// Time has passed: whoever is waited for is still in time.
    pub(super) fn check_time(&self) {
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

    fn check_memory(&self) {
        let ends = || self.server.conns.iter().map(|conn| &conn.party.end);
        let held: usize = ends().map(End::held).sum();
        // Up to its high mark each may send, and one message above.
        let own: usize =
            ends().map(|end| end.rules.config.high_mark.min(64 << 10) + end.longest + BESIDE).sum();
        let limit = self.memory.limit();
        assert!(held <= limit + own, "{held} bytes are held, and {limit} are allowed for all");
    }
}
