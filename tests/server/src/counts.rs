//! A server's counts, for `GET /counts`.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use ws_host::server::Stats;

/// Counts that never decrease.
#[derive(Debug, Default)]
pub struct Counts {
    /// How often the loop, or the single future, has run.
    pub turns: AtomicU64,
    /// WebSockets reported open.
    pub opened: AtomicU64,
    /// WebSockets reported closed.
    pub ended: AtomicU64,
    /// Received messages.
    pub messages: AtomicU64,
    /// The most pending requests on one connection.
    pub max_pending: AtomicU64,
    /// How many failed accepts were reported.
    pub accept_failed: AtomicU64,
}

pub fn add(count: &AtomicU64) {
    count.fetch_add(1, Relaxed);
}

impl Counts {
    /// Formats one line per count, those of the server included.
    pub fn page(&self, server: &Stats) -> String {
        let Stats { open, accepted, tls_failed, .. } = server;
        let mut page = format!("open {open}\naccepted {accepted}\ntls_failed {tls_failed}\n");
        for (name, count) in [
            ("turns", &self.turns),
            ("opened", &self.opened),
            ("ended", &self.ended),
            ("messages", &self.messages),
            ("max_pending", &self.max_pending),
            ("accept_failed", &self.accept_failed),
        ] {
            let _ = writeln!(page, "{name} {}", count.load(Relaxed));
        }
        page
    }
}
