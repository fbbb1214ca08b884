//! The paths of WebSockets.

use crate::connection::slots::{Slot, flag, mark};
use std::collections::HashMap;
use ws_host::server::PATH_LIMIT;

/// The path that needs no storage: most servers have one socket.
const ROOT: &str = "/";

/// The paths of WebSockets, by slot. Stored separately, so that a connection at `/` stays small.
#[derive(Default)]
pub(crate) struct Paths(HashMap<u32, Box<str>>);

impl Paths {
    pub(crate) fn keep(&mut self, slot: u32, live: &mut Slot, path: Box<str>) {
        live.mark(mark::ACCEPTED);
        if &*path != ROOT {
            live.set(flag::PATH);
            if path.len() <= PATH_LIMIT {
                self.0.insert(slot, path);
            }
        }
    }

    pub(crate) fn of(&self, slot: u32, live: &Slot) -> Option<&str> {
        match (live.is_marked(mark::ACCEPTED), live.has(flag::PATH)) {
            (false, _) => None,
            (true, false) => Some(ROOT),
            (true, true) => self.0.get(&slot).map(|path| &**path),
        }
    }

    /// The connection is gone.
    pub(crate) fn forget(&mut self, slot: u32, live: &Slot) {
        if live.has(flag::PATH) {
            self.0.remove(&slot);
        }
    }

    pub(crate) fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }
}
