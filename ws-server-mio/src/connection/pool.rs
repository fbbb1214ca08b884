//! Memory that the loop lends and takes back, so that neither an idle connection nor a busy loop allocates.

use ws_proto::Storage;

/// Outbox memories that are kept. A broadcast touches many connections in one turn, each with its own.
const STORAGES: usize = 1024;
/// A memory up to this is small: of those, that many are kept. Of larger ones, so many bytes together.
const SMALL: usize = 4 << 10;
const LARGE_TOGETHER: usize = 64 << 20;
/// Buffers for unread bytes that are kept; a turn cuts one visit short, the others belong to paused peers.
const BUFFERS: usize = 8;

#[derive(Default)]
pub(crate) struct Pool {
    storages: Vec<Storage>,
    /// Those that hold more, or a spare buffer for a large message.
    large: Vec<Storage>,
    large_bytes: usize,
    buffers: Vec<Vec<u8>>,
}

impl Pool {
    /// The one given back last, which is warm.
    #[inline]
    pub(crate) fn storage(&mut self) -> Storage {
        match self.large.pop() {
            Some(storage) => {
                self.large_bytes -= storage.capacity();
                storage
            }
            None => self.storages.pop().unwrap_or_default(),
        }
    }

    #[inline]
    pub(crate) fn give_storage(&mut self, storage: Storage) {
        let capacity = storage.capacity();
        if capacity > SMALL {
            if self.large_bytes + capacity <= LARGE_TOGETHER {
                self.large_bytes += capacity;
                self.large.push(storage);
            }
        } else if self.storages.len() < STORAGES {
            self.storages.push(storage);
        }
    }

    /// Whether it holds anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.storages.is_empty() && self.large.is_empty() && self.buffers.is_empty()
    }

    /// All is quiet: whatever comes next may as well allocate.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// A buffer with these bytes in it.
    pub(crate) fn buffer_with(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut buffer = self.buffers.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(bytes);
        buffer
    }

    pub(crate) fn give_buffer(&mut self, buffer: Vec<u8>) {
        if self.buffers.len() < BUFFERS {
            self.buffers.push(buffer);
        }
    }
}
