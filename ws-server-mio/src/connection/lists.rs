//! The turn's lists that a connection is on, and the memory it borrows.

use crate::connection::deadlines;
use crate::connection::deadlines::Deadlines;
use crate::connection::io::write;
use crate::connection::pool::Pool;
use crate::connection::readable::Readable;
use crate::connection::slots::{Slot, flag};
use crate::sys::custom::CustomSockets;
use std::collections::VecDeque;
use ws_proto::Moment;

/// Bytes that were read for a connection and not yet consumed.
pub(crate) struct Leftover {
    pub(crate) buffer: Vec<u8>,
    /// The bytes before this are consumed.
    pub(crate) at: usize,
}

/// Attaches a buffer from the pool to an outbox, if it has none.
#[inline]
pub(crate) fn attach_buffer(live: &mut Slot, pool: &mut Pool) {
    if !live.connection.outbox().has_buffer() {
        live.connection.outbox().attach_buffer(pool.take_outbox());
    }
}

/// Returns the buffer of an empty outbox.
#[inline]
pub(crate) fn detach_buffer(live: &mut Slot, pool: &mut Pool) {
    if let Some(buffer) = live.connection.outbox().detach_buffer() {
        pool.return_outbox(buffer);
    }
}

/// Puts a timer in the heap if the connection's deadline is earlier than the armed one.
#[inline]
pub(crate) fn arm(slot: u32, live: &mut Slot, deadlines: &mut Deadlines) {
    if !live.connection.take_timeout_changed() && live.is_armed() {
        return;
    }
    let Some(deadline) = live.connection.poll_timeout() else { return };
    let tick = deadlines.tick_of(deadline);
    if tick < live.armed() {
        live.set_armed(tick);
        deadlines.push(deadlines::Entry::new(tick, slot));
    }
}

/// Queues a readable connection. A paused one is queued when the pause ends, since that makes the
/// connection dirty. One that has used its share waits for the next.
#[inline]
pub(crate) fn queue_read(slot: u32, live: &mut Slot, readable: &mut Readable) {
    if live.has(flag::READABLE | flag::LEFTOVER) && !live.has(flag::QUEUED) {
        if live.connection.is_paused() {
            queue_deferred(slot, live, readable);
        } else {
            live.set(flag::QUEUED);
            readable.push(slot);
        }
    }
}

/// Puts a connection on the dirty list, once.
#[inline]
pub(crate) fn mark_dirty(slot: u32, live: &mut Slot, dirty: &mut VecDeque<u32>) {
    if !live.has(flag::DIRTY) {
        live.set(flag::DIRTY);
        dirty.push_back(slot);
    }
}

/// Queues a connection if it has used its share.
#[cold]
pub(crate) fn queue_deferred(slot: u32, live: &mut Slot, readable: &mut Readable) {
    if live.connection.shares().is_used() && !live.has(flag::QUEUED) {
        live.set(flag::QUEUED);
        readable.push_deferred(slot, &mut live.connection);
    }
}

/// Expires deadlines as of the beginning of the turn: later input is not read yet. Output that one of them limits is
/// written first, as far as the kernel takes it: the turns may have had no time for it before.
pub(crate) fn expire(
    slot: u32,
    live: &mut Slot,
    sockets: &CustomSockets,
    deadlines: &Deadlines,
    now: Moment,
    limit: usize,
) {
    if live.connection.is_output_limited() {
        write(slot, live, sockets, now, limit);
    }
    live.set_armed(deadlines::NEVER);
    live.connection.handle_timeout(deadlines.now());
}
