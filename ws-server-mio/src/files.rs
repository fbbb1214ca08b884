//! Files from a folder: opened here, sent chunk by chunk by the turn.

use crate::ids::ConnectionId;
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use ws_host::web;
use ws_host::web::Disk;
use ws_proto::{Connection, ResponseBody};

/// How much is read from a file at once. The next chunk is read when less than this is queued.
pub(crate) const CHUNK: usize = 64 << 10;
/// An upper bound on a chunk's framing.
const FRAMING: usize = 64;

/// A folder whose files are served by [`Connections::respond_file`](crate::Connections::respond_file).
///
/// ```no_run
/// # use ws_server_mio::{Connections, ConnectionId, Folder, Request};
/// # fn f(connections: &mut Connections, id: ConnectionId, request: Request) -> Result<(), Box<dyn std::error::Error>> {
/// let music = Folder::new("/srv/music")?.at("/music");
/// // for a request whose path begins with /music/:
/// connections.respond_file(id, request, &music)?;
/// # Ok(()) }
/// ```
///
/// # Disks block
///
/// The standard library reads files only by blocking calls, here of 64 KiB, and of nothing for a peer that does not
/// read. A turn reads once for each response, and with a [time limit](crate::Budget::time) again, round after round,
/// until its time is over, at most 4 MiB for each. A read takes microseconds if the file is cached, otherwise
/// milliseconds. If that is too long for your frames (a network drive, a sleeping disk), open and read on a thread of
/// your own and hand the chunks to [`Connections::send_body`](crate::Connections::send_body) through
/// [`Remote::run`](crate::Remote::run). [Embed](ws_host::web::Assets) files that the program always needs.
pub type Folder = web::Folder<Disk>;

/// A response that is being read from a file.
pub(crate) struct Sending {
    pub(crate) id: ConnectionId,
    pub(crate) body: ResponseBody,
    pub(crate) file: File,
    pub(crate) left: u64,
}

/// The responses that are being read from files.
#[derive(Default)]
pub(crate) struct Files {
    /// Those whose next chunk can be read.
    pub(crate) ready: VecDeque<Sending>,
    /// By slot, those whose last chunk is not written yet, or which wait behind other responses.
    pub(crate) waiting: HashMap<u32, VecDeque<Sending>>,
}

impl Files {
    pub(crate) fn has_work(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Whether a file waits for this connection's output to be written.
    #[inline]
    pub(crate) fn waits_for(&self, slot: u32) -> bool {
        !self.waiting.is_empty() && self.waiting.contains_key(&slot)
    }

    /// The connection's output is written.
    pub(crate) fn resume(&mut self, slot: u32) {
        self.ready.extend(self.waiting.remove(&slot).unwrap_or_default());
    }

    /// A connection is gone.
    pub(crate) fn forget(&mut self, slot: u32) {
        if self.waits_for(slot) {
            self.waiting.remove(&slot);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.waiting.is_empty()
    }

    pub(crate) fn shrink(&mut self) {
        self.ready.shrink_to_fit();
        self.waiting.shrink_to_fit();
    }
}

/// Whether a connection has room for the next chunk. With an outbox cap smaller than a chunk, the outbox must be
/// empty.
pub(crate) fn takes_chunk(connection: &mut Connection) -> bool {
    let (queued, cap) = (connection.outbox().len(), connection.config().get_outbox_cap());
    queued == 0 || queued < CHUNK && queued + CHUNK + FRAMING <= cap
}
