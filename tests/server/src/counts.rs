//! What a server has counted, for `GET /counts`.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// All of it goes up, but what says `most` or `open`.
#[derive(Debug, Default)]
pub struct Counts {
    /// How often the loop, or the one future of all, has run.
    pub turns: AtomicU64,
    /// WebSockets whose opening was told.
    pub opened: AtomicU64,
    /// WebSockets whose end was told.
    pub ended: AtomicU64,
    /// Messages that came.
    pub messages: AtomicU64,
    /// The most requests of one connection that waited for their answers at once.
    pub most_waiting: AtomicU64,
    /// How often it was told that connections cannot be accepted.
    pub accept_failed: AtomicU64,
}

pub fn add(count: &AtomicU64) {
    count.fetch_add(1, Relaxed);
}

impl Counts {
    /// A line for each; `open` and `accepted` are known to the server.
    pub fn page(&self, open: usize, accepted: u64) -> String {
        let mut page = format!("open {open}\naccepted {accepted}\n");
        for (name, count) in [
            ("turns", &self.turns),
            ("opened", &self.opened),
            ("ended", &self.ended),
            ("messages", &self.messages),
            ("most_waiting", &self.most_waiting),
            ("accept_failed", &self.accept_failed),
        ] {
            let _ = writeln!(page, "{name} {}", count.load(Relaxed));
        }
        page
    }
}
