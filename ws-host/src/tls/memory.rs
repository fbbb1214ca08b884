//! Memory of the sessions of a thread: an idle session holds none, and a busy one allocates none.

use super::buffer::Buffer;
use std::cell::RefCell;
use std::sync::{Arc, Weak};
use std::vec::Vec;
use ws_proto::TlsInfo;

/// How many buffers a thread keeps.
const KEPT: usize = 16;
/// The largest buffer that is kept.
const LARGEST: usize = 128 << 10;
/// The longest beginning of a record that waits in memory of its own size.
const BEGINNING: usize = 1 << 10;

std::thread_local! {
    static POOL: RefCell<Vec<Buffer>> = const { RefCell::new(Vec::new()) };
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static LAST: RefCell<Weak<TlsInfo>> = const { RefCell::new(Weak::new()) };
}

/// Replaces a buffer that has little or no memory by one from the pool, and keeps its content.
pub(super) fn attach(buffer: &mut Buffer) {
    if buffer.capacity() <= BEGINNING
        // A thread that is exiting no longer has a pool.
        && let Some(mut pooled) = POOL.try_with(|pool| pool.borrow_mut().pop()).ok().flatten()
    {
        pooled.append(buffer.content());
        *buffer = pooled;
    }
}

/// Returns a buffer's memory to the pool. A short beginning of a record, which waits for the rest, moves to memory of
/// its own size, so that a peer that stops within a record does not occupy the memory of a whole one.
pub(super) fn detach_waiting(buffer: &mut Buffer) {
    if !buffer.is_empty() && buffer.len() <= BEGINNING && buffer.capacity() > BEGINNING {
        let beginning = Buffer::exact(buffer.content());
        let mut emptied = core::mem::replace(buffer, beginning);
        emptied.consume(emptied.len());
        return detach(&mut emptied);
    }
    detach(buffer);
}

/// Returns the memory of an empty buffer to the pool.
pub(super) fn detach(buffer: &mut Buffer) {
    if !buffer.is_empty() || buffer.capacity() == 0 {
        return;
    }
    let empty = core::mem::take(buffer);
    if empty.capacity() <= LARGEST {
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < KEPT {
                pool.push(empty);
            }
        });
    }
}

/// Runs this with the memory in which small pieces of output are gathered.
pub(super) fn with_scratch<T>(run: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    let mut scratch = SCRATCH.try_with(RefCell::take).unwrap_or_default();
    scratch.clear();
    let result = run(&mut scratch);
    let _ = SCRATCH.try_with(|kept| kept.replace(scratch));
    result
}

/// Shares this result with the previous session of the thread, if both are equal, as for most clients of a server.
pub(super) fn share(info: TlsInfo) -> Arc<TlsInfo> {
    let last = LAST.try_with(|last| last.borrow().upgrade()).ok().flatten();
    if let Some(last) = last.filter(|last| **last == info) {
        return last;
    }
    let info = Arc::new(info);
    let _ = LAST.try_with(|last| last.replace(Arc::downgrade(&info)));
    info
}
