//! Files from a folder: opened here, sent chunk by chunk by the turn.

use crate::connection::Connections;
use crate::connection::slots::ConnectionId;
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use ws_host::web;
use ws_host::web::Disk;
use ws_proto::{Connection, Request, ResponseBody, SendError, State};

/// What is read from a file at once. The next chunk is read when less than this waits to be written.
const CHUNK: usize = 64 << 10;
/// More than what frames a chunk.
const FRAMING: usize = 64;

/// A folder whose files are served by [`Connections::respond_file`].
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
/// No system reads files without blocking. A turn reads at most 64 KiB for each answer, and none for a peer that
/// does not read, so a disk takes microseconds where the file is cached and milliseconds where it is not. Where
/// that is too long for your frames (a network drive, a disk that sleeps), open and read on a thread of your own
/// and hand the chunks to [`Connections::send_body`] through [`Remote::run`](crate::Remote::run). What the
/// program needs at all times is better [embedded](ws_host::web::Assets).
pub type Folder = web::Folder<Disk>;

/// An answer that is being read from a file.
struct Sending {
    id: ConnectionId,
    body: ResponseBody,
    file: File,
    left: u64,
}

/// The answers that are being read from files.
#[derive(Default)]
pub(crate) struct Files {
    /// Those whose next chunk can be read.
    ready: VecDeque<Sending>,
    /// By slot, those whose last chunk is not written yet, or whose turn has not come.
    waiting: HashMap<u32, VecDeque<Sending>>,
}

impl Files {
    pub(crate) fn has_work(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Whether one waits for this connection to be written to.
    #[inline]
    pub(crate) fn waits_for(&self, slot: u32) -> bool {
        !self.waiting.is_empty() && self.waiting.contains_key(&slot)
    }

    /// What was sent to a connection is written.
    pub(crate) fn resume(&mut self, slot: u32) {
        self.ready.extend(self.waiting.remove(&slot).unwrap_or_default());
    }

    /// A connection is gone.
    pub(crate) fn forget(&mut self, slot: u32) {
        if self.waits_for(slot) {
            self.waiting.remove(&slot);
        }
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.waiting.is_empty()
    }

    pub(crate) fn shrink(&mut self) {
        self.ready.shrink_to_fit();
        self.waiting.shrink_to_fit();
    }
}

/// Whether a connection has room for the next chunk. Where the cap of the outbox is below that, it has when all is
/// written.
pub(crate) fn takes_chunk(connection: &mut Connection) -> bool {
    let (queued, cap) = (connection.outbox().len(), connection.config().outbox_cap);
    queued == 0 || queued < CHUNK && queued + CHUNK + FRAMING <= cap
}

/// Files.
impl Connections {
    /// Answers a request with the file of a folder that its path leads to: 200, a part (206) or 304; 404 where
    /// there is none, 405 for what is no GET or HEAD, and a redirect for a folder whose slash is missing.
    ///
    /// The file is opened now, and read chunk by chunk as the peer takes it; nothing is left to do. A file that
    /// becomes shorter meanwhile, or unreadable, ends the connection, so that the peer sees that it was cut off.
    ///
    /// # Errors
    /// As [`Connections::respond`].
    pub fn respond_file(
        &mut self,
        id: ConnectionId,
        request: impl Into<Request>,
        folder: &Folder,
    ) -> Result<(), SendError> {
        let request = request.into();
        let (mut file, plan) = match folder.open(&request) {
            Ok(opened) => opened,
            Err(answer) => return self.respond(id, request, *answer),
        };
        if plan.is_empty() {
            return self.respond(id, request, plan.head.map(|()| Bytes::new()));
        }
        if plan.part.start > 0
            && let Err(error) = file.seek(SeekFrom::Start(plan.part.start))
        {
            let answer = folder.unreadable(&request, error);
            return self.respond(id, request, answer);
        }
        let left = plan.len();
        let body = self.respond_streaming(id, request, plan.head, Some(left))?;
        if body.is_unwanted() {
            return Ok(());
        }
        self.files.ready.push_back(Sending { id, body, file, left });
        Ok(())
    }

    /// Sends one chunk of the answer that is next in the list.
    pub(crate) fn send_chunk(&mut self) {
        let Some(mut sending) = self.files.ready.pop_front() else { return };
        let id = sending.id;
        // Who is gone takes the file along.
        let Some(live) = self.slots.get_mut(id) else { return };
        // Of a file that waits behind other answers nothing is read: these, and the peer, take their time.
        if !live.connection.is_its_turn(&sending.body) && live.connection.state() == State::Connecting {
            return self.wait(sending);
        }
        if !takes_chunk(&mut live.connection) {
            return self.wait(sending);
        }
        let room = sending.left.min(CHUNK as u64);
        let mut chunk = Vec::with_capacity(room as usize);
        let read = Read::by_ref(&mut sending.file).take(room).read_to_end(&mut chunk);
        // A file that has become shorter: dropping the body ends the connection, which is to notice that.
        if read.is_err() || chunk.is_empty() {
            drop(sending);
            return self.mark_id_dirty(id);
        }
        let len = chunk.len() as u64;
        match self.send_body(id, &sending.body, chunk) {
            Ok(_) if sending.left == len => drop(self.finish_body(id, sending.body)),
            Ok(_) => {
                sending.left -= len;
                self.wait(sending);
            }
            // The peer is gone.
            Err(_) => {}
        }
    }

    fn wait(&mut self, sending: Sending) {
        self.files.waiting.entry(sending.id.slot).or_default().push_back(sending);
    }

    fn mark_id_dirty(&mut self, id: ConnectionId) {
        if self.slots.get(id).is_some() {
            self.mark_dirty(id.slot);
        }
    }
}
