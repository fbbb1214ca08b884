//! File responses, chunk by chunk.

use crate::connection::Connections;
use crate::files::{CHUNK, Folder, Sending, takes_chunk};
use crate::ids::ConnectionId;
use bytes::Bytes;
use std::io::{Read, Seek, SeekFrom};
use ws_proto::{Request, RespondError, State};

/// Files.
impl Connections {
    /// Answers a request with the file at its path in a folder: 200, a part (206) or 304; 404 if
    /// there is none, 405 for methods other than GET and HEAD, and a redirect for a folder without its trailing slash.
    ///
    /// The file is opened now, and read chunk by chunk as the peer reads, without further calls. A file that is
    /// truncated or becomes unreadable meanwhile ends the connection, so that the peer sees a truncated body.
    ///
    /// # Errors
    /// As [`Connections::respond`].
    pub fn respond_file(
        &mut self,
        id: ConnectionId,
        request: impl Into<Request>,
        folder: &Folder,
    ) -> Result<(), RespondError> {
        let request = request.into();
        let (mut file, plan) = match folder.open(&request) {
            Ok(opened) => opened,
            Err(response) => return self.respond(id, request, *response),
        };
        if plan.is_empty() {
            return self.respond(id, request, plan.head.map(|()| Bytes::new()));
        }
        if plan.part.start > 0
            && let Err(error) = file.seek(SeekFrom::Start(plan.part.start))
        {
            let response = folder.unreadable(&request, error);
            return self.respond(id, request, response);
        }
        let left = plan.len();
        let body = self.respond_streaming(id, request, plan.head, Some(left))?;
        if body.is_discarded() {
            return Ok(());
        }
        self.files.ready.push_back(Sending { id, body, file, left });
        Ok(())
    }

    /// Sends one chunk of the next response in the list.
    pub(crate) fn send_chunk(&mut self) {
        let Some(mut sending) = self.files.ready.pop_front() else { return };
        let id = sending.id;
        // The connection is gone, and the file is closed.
        let Some(live) = self.slots.get_mut(id) else { return };
        // A file behind other responses is not read yet.
        if !live.connection.http().is_its_turn(&sending.body) && live.connection.state() == State::Connecting
        {
            return self.wait(sending);
        }
        if !takes_chunk(&mut live.connection) {
            return self.wait(sending);
        }
        let room = sending.left.min(CHUNK as u64);
        let mut chunk = Vec::with_capacity(room as usize);
        let read = Read::by_ref(&mut sending.file).take(room).read_to_end(&mut chunk);
        // The file was truncated: dropping the body ends the connection, which must be visited for that.
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
