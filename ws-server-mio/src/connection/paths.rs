//! The paths of WebSockets.

use crate::connection::Connections;
use crate::connection::slots::{Slot, flag, mark};
use crate::ids::ConnectionId;
use std::collections::HashMap;

/// The path that is kept for nothing: most servers have one socket.
const ROOT: &str = "/";
/// A longer one is not kept, so that strangers cannot fill the memory with them.
const LONGEST: usize = 256;

/// The paths of WebSockets, by slot. They stand aside, so that a connection without one is no larger.
#[derive(Default)]
pub(crate) struct Paths(HashMap<u32, Box<str>>);

impl Paths {
    pub(crate) fn keep(&mut self, slot: u32, live: &mut Slot, path: Box<str>) {
        live.mark(mark::ACCEPTED);
        if &*path != ROOT {
            live.set(flag::PATH);
            if path.len() <= LONGEST {
                self.0.insert(slot, path);
            }
        }
    }

    /// A connection is gone.
    pub(crate) fn forget(&mut self, slot: u32, live: &Slot) {
        if live.has(flag::PATH) {
            self.0.remove(&slot);
        }
    }

    pub(crate) fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }
}

impl Connections {
    /// The path at which a WebSocket was accepted, as it was sent: without query, not decoded. `None` for what is no
    /// WebSocket of a server, and for paths of more than 256 bytes. Those other than `/` take memory while the socket
    /// lasts.
    pub fn path(&self, id: ConnectionId) -> Option<&str> {
        let live = self.slots.get(id).filter(|live| live.is_marked(mark::ACCEPTED))?;
        match live.has(flag::PATH) {
            true => self.paths.0.get(&id.slot).map(|path| &**path),
            false => Some(ROOT),
        }
    }
}
