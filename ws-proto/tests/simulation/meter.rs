//! What a connection allocates for what it is given: so much as came, and nothing for what is only announced.

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::sync::atomic::{AtomicBool, Ordering};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// One thread alone is at work, so that what is allocated is its own.
static IS_ALONE: AtomicBool = AtomicBool::new(false);

/// Heads, tables of header fields, the box of an unfinished message.
const SLACK: usize = 32 << 10;

pub(crate) fn alone(run: impl FnOnce()) {
    IS_ALONE.store(true, Ordering::Relaxed);
    run();
    IS_ALONE.store(false, Ordering::Relaxed);
}

/// The bytes that were allocated so far, where one can say whose.
pub(crate) fn allocated() -> Option<usize> {
    IS_ALONE.load(Ordering::Relaxed).then(|| ALLOCATOR.stats().bytes_allocated)
}

/// Judges what was allocated since then while a connection read: `came` bytes belong to what is unfinished, and
/// `queued` wait to be written.
pub(crate) fn judge(before: Option<usize>, came: u64, queued: usize) {
    if let (Some(before), Some(after)) = (before, allocated()) {
        let most = SLACK + 4 * came as usize + 4 * queued;
        assert!(after - before <= most, "{} bytes were allocated for the {came} that came", after - before);
    }
}
