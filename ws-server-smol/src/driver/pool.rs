//! Pooled memory for reading and writing, held by a connection only while it has pending bytes.

use std::cell::RefCell;
use ws_proto::{Connection, OutboxBuffer};

/// The size of one read.
const SIZE: usize = 64 << 10;
/// How many buffers each thread keeps; paused connections hold further ones.
const KEPT: usize = 8;

thread_local! {
    static POOL: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
    static OUTBOX_BUFFERS: RefCell<Vec<OutboxBuffer>> = const { RefCell::new(Vec::new()) };
}

/// A read buffer. Dropping it returns it to the thread's pool.
#[derive(Debug)]
pub(crate) struct Buffer(Box<[u8]>);

impl Buffer {
    pub(crate) fn take() -> Self {
        // A thread that is exiting no longer has a pool.
        let pooled = POOL.try_with(|pool| pool.borrow_mut().pop()).ok().flatten();
        Self(pooled.unwrap_or_else(|| vec![0; SIZE].into_boxed_slice()))
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.0);
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < KEPT {
                pool.push(bytes);
            }
        });
    }
}

/// Gives a buffer to a connection that is about to send.
pub(crate) fn attach_buffer(connection: &mut Connection) {
    if !connection.outbox().has_buffer()
        && let Some(buffer) = OUTBOX_BUFFERS.try_with(|pool| pool.borrow_mut().pop()).ok().flatten()
    {
        connection.outbox().attach_buffer(buffer);
    }
}

/// Takes the buffer back from a connection that has nothing to write.
pub(crate) fn detach_buffer(connection: &mut Connection) {
    if let Some(buffer) = connection.outbox().detach_buffer()
        && buffer.capacity() <= SIZE
    {
        let _ = OUTBOX_BUFFERS.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < KEPT {
                pool.push(buffer);
            }
        });
    }
}
