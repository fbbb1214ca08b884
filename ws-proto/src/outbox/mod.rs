//! Bytes for the socket.
//!
//! ```text
//!  bytes:  [ sent | begun | copied frames … | header | copied frames … ]      one growing buffer
//!  shared:                           at ^ cut: Bytes      (payloads that are not copied, in order)
//!  urgent:                ^ Pings and Pongs, after the frame that is partly written
//! ```
//!
//! Small frames are copied into one buffer; a large payload with its own owner is only referenced, at its place in the
//! stream. Control frames that may overtake (RFC 6455 §5.4) are separate. A reader sees one sequence of slices.

mod inner;
mod unsent;

use crate::memory::Memory;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::{Buf, Bytes};
use core::fmt;
use inner::{Inner, Shared};
use std::io::IoSlice;
pub(crate) use unsent::TAKE;
pub use unsent::Unsent;

/// An [`OutboxBuffer`] keeps capacity up to this when detached.
const KEEP_CAPACITY: usize = 256 * 1024;
/// The same for control frames; a Ping or a Pong has at most 131 bytes.
const KEEP_URGENT: usize = 1024;

/// The memory of an outbox. [Attach](Outbox::attach_buffer) one before anything is queued,
/// [detach](Outbox::detach_buffer) it when everything is written, and the outbox allocates nothing.
///
/// It may hold a spare buffer too: the memory of a large message that was sent. It serves to join the next large
/// message that arrives on a connection with this buffer.
#[derive(Default)]
pub struct OutboxBuffer {
    inner: Box<Inner>,
}

impl OutboxBuffer {
    /// How many bytes of memory it holds, the spare included.
    pub fn capacity(&self) -> usize {
        self.inner.bytes.capacity() + self.inner.spare.capacity()
    }

    /// Whether it holds a spare buffer for a large message.
    pub fn has_spare(&self) -> bool {
        self.inner.spare.capacity() > 0
    }
}

impl fmt::Debug for OutboxBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutboxBuffer({} bytes)", self.capacity())
    }
}

/// Pending bytes for the socket, as a [`Buf`].
///
/// Report what the socket took with [`Connection::handle_written`](crate::Connection::handle_written), which advances
/// it.
#[derive(Default)]
pub struct Outbox {
    inner: Option<Box<Inner>>,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outbox({} bytes)", self.remaining())
    }
}

impl Outbox {
    /// Pending bytes.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.inner {
            Some(inner) => inner.bytes.len() - inner.start + inner.beside,
            None => 0,
        }
    }

    /// The memory of copied bytes, here or handed on.
    pub(crate) fn copied_len(&self) -> usize {
        self.inner.as_ref().map_or(0, |inner| inner.bytes.len() + inner.urgent.bytes.len() + inner.handed_on)
    }

    /// The pending bytes and the copies of what was handed on.
    pub(crate) fn held_len(&self) -> usize {
        self.len() + self.inner.as_ref().map_or(0, |inner| inner.handed_on)
    }

    /// Counts shared payloads in this memory from now on, including pending ones, until all is written.
    pub(crate) fn count_in(&mut self, memory: &Memory) {
        let Some(inner) = &mut self.inner else { return };
        if inner.memory.is_none() {
            inner.memory = Some(memory.clone());
            for shared in &mut inner.shared {
                shared._counted = Some(memory.share(&shared.payload));
            }
        }
    }

    /// Stops counting them.
    pub(crate) fn stop_counting(&mut self) {
        if let Some(inner) = &mut self.inner
            && inner.memory.take().is_some()
        {
            inner.shared.iter_mut().for_each(|shared| shared._counted = None);
        }
    }

    /// Whether nothing is pending.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it has memory, attached or its own.
    #[inline]
    pub fn has_buffer(&self) -> bool {
        self.inner.is_some()
    }

    /// Attaches memory to write into, unless it has some. See [`detach_buffer`](Self::detach_buffer).
    pub fn attach_buffer(&mut self, buffer: OutboxBuffer) {
        if self.inner.is_none() {
            self.inner = Some(buffer.inner);
        }
    }

    /// Detaches the memory of an empty outbox, so an idle connection holds none; `None` while bytes are pending.
    ///
    /// A loop that attaches it to the next connection allocates nothing in its steady state.
    pub fn detach_buffer(&mut self) -> Option<OutboxBuffer> {
        if !self.is_empty() {
            return None;
        }
        let mut inner = self.inner.take()?;
        inner.bytes.clear();
        inner.start = 0;
        inner.written = None;
        if inner.bytes.capacity() > KEEP_CAPACITY {
            inner.bytes = Vec::new();
        }
        if inner.shared.capacity() > 64 {
            inner.shared = VecDeque::new();
        }
        if inner.urgent.bytes.capacity() > KEEP_URGENT {
            inner.urgent.bytes = Vec::new();
        }
        Some(OutboxBuffer { inner })
    }

    /// The buffer to append to.
    #[inline]
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        let inner = self.inner.get_or_insert_with(Inner::boxed);
        // Sent bytes are removed when they are the larger half, so a long backlog moves each byte at most once more.
        if inner.start > 4096 && inner.start * 2 > inner.bytes.len() {
            inner.compact();
        }
        &mut inner.bytes
    }

    /// Appends a payload that is shared rather than copied.
    pub(crate) fn push_shared(&mut self, payload: Bytes) {
        if payload.is_empty() {
            return;
        }
        let inner = self.inner.get_or_insert_default();
        inner.beside += payload.len();
        let counted = inner.memory.as_ref().map(|memory| memory.share(&payload));
        inner.shared.push_back(Shared { at: inner.bytes.len(), payload, _counted: counted });
    }

    /// Appends a control frame that overtakes; `write` encodes it. Returns how many bytes must be written up to its
    /// end.
    pub(crate) fn push_urgent(&mut self, is_pong: bool, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        let inner = self.inner.get_or_insert_with(Inner::boxed);
        let urgent = &mut inner.urgent;
        let before = urgent.bytes.len();
        write(&mut urgent.bytes);
        inner.beside += urgent.bytes.len() - before;
        urgent.pongs = urgent.pongs.saturating_add(u8::from(is_pong));
        inner.begun + urgent.left()
    }

    /// Whether a frame, other than urgent ones, is pending of which nothing is written.
    pub(crate) fn has_unbegun(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.len() - inner.urgent.left() > inner.begun)
    }

    /// How many Pongs are pending, 255 at most.
    pub(crate) fn pongs(&self) -> u8 {
        self.inner.as_ref().map_or(0, |inner| inner.urgent.pongs)
    }

    /// From now on frames are appended; pending bytes are not frames, and nothing overtakes them.
    pub(crate) fn begin_frames(&mut self) {
        if let Some(inner) = &mut self.inner {
            inner.begun = inner.bytes.len() - inner.start + inner.beside;
        }
    }

    /// Drops all pending bytes, except the rest of a partly written frame and urgent frames.
    pub(crate) fn drop_unwritten(&mut self) {
        let Some(inner) = &mut self.inner else { return };
        let mut left = inner.begun;
        let mut end = inner.start;
        let mut kept = 0;
        let mut kept_len = 0;
        for shared in &mut inner.shared {
            let copied = (shared.at - end).min(left);
            end += copied;
            left -= copied;
            if left == 0 {
                break;
            }
            shared.payload.truncate(left);
            left -= shared.payload.len();
            kept_len += shared.payload.len();
            kept += 1;
        }
        inner.shared.truncate(kept);
        inner.bytes.truncate(end + left);
        inner.beside = kept_len + inner.urgent.left();
    }

    /// Takes the memory of a large message that was sent, or an empty one.
    pub(crate) fn take_spare(&mut self) -> Vec<u8> {
        match &mut self.inner {
            Some(inner) => core::mem::take(&mut inner.spare),
            None => Vec::new(),
        }
    }

    /// Removes all pending bytes: they were sent.
    #[inline]
    pub(crate) fn sent_all(&mut self) {
        let Some(inner) = &mut self.inner else { return };
        if inner.beside > 0 {
            return inner.advance(usize::MAX, false);
        }
        inner.bytes.clear();
        inner.start = 0;
        inner.begun = 0;
        inner.handed_on = 0;
    }

    /// Removes sent bytes from the front. If they are `framed` rather than HTTP, tracks the progress of the partly
    /// written frame.
    pub(crate) fn sent(&mut self, n: usize, framed: bool) {
        if let Some(inner) = &mut self.inner {
            inner.advance(n, framed);
        }
    }

    /// Removes all pending bytes.
    pub(crate) fn clear(&mut self) {
        self.inner = None;
    }
}

impl Buf for Outbox {
    fn remaining(&self) -> usize {
        self.len()
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        match &self.inner {
            Some(inner) if inner.beside == 0 => &inner.bytes[inner.start..],
            Some(inner) => inner.first_slice(),
            None => &[],
        }
    }

    fn chunks_vectored<'a>(&'a self, dst: &mut [IoSlice<'a>]) -> usize {
        let Some(inner) = &self.inner else { return 0 };
        let mut n = 0;
        let mut push = |slice: &'a [u8]| {
            if !slice.is_empty() && n < dst.len() {
                dst[n] = IoSlice::new(slice);
                n += 1;
            }
        };
        // The common case is one loop without checks for urgent frames.
        match inner.urgent.left() {
            0 => inner.data_slices(&mut push),
            _ => inner.slices(&mut push),
        }
        n
    }

    fn advance(&mut self, cnt: usize) {
        assert!(cnt <= self.len(), "cannot advance past the pending bytes");
        if let Some(inner) = &mut self.inner {
            inner.advance(cnt, false);
        }
    }
}
