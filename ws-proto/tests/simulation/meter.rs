//! What a connection allocates for its input: in proportion to received bytes, nothing for announced ones.

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::sync::atomic::{AtomicBool, Ordering};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// A single thread runs, so that its allocations can be attributed.
static IS_ALONE: AtomicBool = AtomicBool::new(false);

/// Heads, tables of header fields, the box of an unfinished message.
const SLACK: usize = 32 << 10;

pub(crate) fn alone(run: impl FnOnce()) {
    IS_ALONE.store(true, Ordering::Relaxed);
    run();
    IS_ALONE.store(false, Ordering::Relaxed);
}

/// The bytes allocated so far, if they can be attributed.
pub(crate) fn allocated() -> Option<usize> {
    IS_ALONE.load(Ordering::Relaxed).then(|| ALLOCATOR.stats().bytes_allocated)
}

/// Checks the allocations since `before`, while a connection read: `unfinished` bytes await the rest of
/// their message, and `queued` are pending output.
pub(crate) fn check(before: Option<usize>, unfinished: u64, queued: usize) {
    if let (Some(before), Some(after)) = (before, allocated()) {
        let most = SLACK + 4 * unfinished as usize + 4 * queued;
        assert!(after - before <= most, "{} bytes were allocated for {unfinished} received", after - before);
    }
}
