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

std::thread_local! {
    static POOL: RefCell<Vec<Buffer>> = const { RefCell::new(Vec::new()) };
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static LAST: RefCell<Weak<TlsInfo>> = const { RefCell::new(Weak::new()) };
}

/// Gives a buffer without memory that of the pool.
pub(super) fn attach(buffer: &mut Buffer) {
    if buffer.capacity() == 0
        // A thread that is exiting no longer has a pool.
        && let Some(pooled) = POOL.try_with(|pool| pool.borrow_mut().pop()).ok().flatten()
    {
        *buffer = pooled;
    }
}

/// Takes the memory of an empty buffer back.
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

/// Shares this with the session before, if it is the same: most clients of a server agree on the same.
pub(super) fn share(info: TlsInfo) -> Arc<TlsInfo> {
    let last = LAST.try_with(|last| last.borrow().upgrade()).ok().flatten();
    if let Some(last) = last.filter(|last| **last == info) {
        return last;
    }
    let info = Arc::new(info);
    let _ = LAST.try_with(|last| last.replace(Arc::downgrade(&info)));
    info
}
