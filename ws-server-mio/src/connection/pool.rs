//! Memory that the loop lends out, so that neither an idle connection nor a busy loop allocates.

use ws_proto::OutboxBuffer;

/// How many outbox buffers are kept. A broadcast needs one for each of its connections in one turn.
const SMALL_KEPT: usize = 1024;
/// Up to this size a buffer is small, and `SMALL_KEPT` of them are kept; of larger ones, `LARGE_BYTES` bytes in total.
const SMALL: usize = 4 << 10;
const LARGE_BYTES: usize = 64 << 20;
/// How many buffers for leftover bytes are kept: a turn cuts short one visit at most; all others belong to paused
/// peers.
const BUFFERS: usize = 8;

#[derive(Default)]
pub(crate) struct Pool {
    small: Vec<OutboxBuffer>,
    /// Large buffers, or small ones with a spare buffer for a large message.
    large: Vec<OutboxBuffer>,
    large_bytes: usize,
    buffers: Vec<Vec<u8>>,
}

impl Pool {
    /// The most recently returned one, which is warm in the cache.
    #[inline]
    pub(crate) fn take_outbox(&mut self) -> OutboxBuffer {
        match self.large.pop() {
            Some(buffer) => {
                self.large_bytes -= buffer.capacity();
                buffer
            }
            None => self.small.pop().unwrap_or_default(),
        }
    }

    #[inline]
    pub(crate) fn return_outbox(&mut self, buffer: OutboxBuffer) {
        let capacity = buffer.capacity();
        if capacity > SMALL {
            if self.large_bytes + capacity <= LARGE_BYTES {
                self.large_bytes += capacity;
                self.large.push(buffer);
            }
        } else if self.small.len() < SMALL_KEPT {
            self.small.push(buffer);
        }
    }

    /// Whether the pool holds nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.small.is_empty() && self.large.is_empty() && self.buffers.is_empty()
    }

    /// The endpoint is idle: later work may allocate.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// A buffer filled with these bytes.
    pub(crate) fn buffer_with(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut buffer = self.buffers.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(bytes);
        buffer
    }

    pub(crate) fn return_buffer(&mut self, buffer: Vec<u8>) {
        if self.buffers.len() < BUFFERS {
            self.buffers.push(buffer);
        }
    }
}
