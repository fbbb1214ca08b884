//! Memory to read into and to write from, which connections hold only while bytes wait in it.

use std::cell::RefCell;
use ws_proto::{Connection, OutboxBuffer};

/// What is read at once.
const SIZE: usize = 64 << 10;
/// So many wait for their next use on each thread; connections that are paused hold others.
const KEPT: usize = 8;

thread_local! {
    static POOL: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
    static STORAGES: RefCell<Vec<OutboxBuffer>> = const { RefCell::new(Vec::new()) };
}

/// Memory to read into. Dropped, it goes back to the thread's pool.
#[derive(Debug)]
pub(crate) struct Buffer(Box<[u8]>);

impl Buffer {
    pub(crate) fn take() -> Self {
        // A thread that ends has no pool any more.
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

/// Gives a connection that is about to send memory to write into.
pub(crate) fn attach_buffer(connection: &mut Connection) {
    if !connection.outbox().has_buffer()
        && let Some(storage) = STORAGES.try_with(|pool| pool.borrow_mut().pop()).ok().flatten()
    {
        connection.outbox().attach_buffer(storage);
    }
}

/// Takes it back from one that has nothing to write.
pub(crate) fn detach_buffer(connection: &mut Connection) {
    if let Some(storage) = connection.outbox().detach_buffer()
        && storage.capacity() <= SIZE
    {
        let _ = STORAGES.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < KEPT {
                pool.push(storage);
            }
        });
    }
}
