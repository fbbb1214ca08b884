//! Bytes for the socket.
//!
//! ```text
//!  bytes:  [ sent | begun | copied frames … | header | copied frames … ]      one growing buffer
//!  shared:                           at ^ cut: Bytes      (payloads that are not copied, in order)
//!  urgent:                ^ Pings and Pongs, behind the frame that is partly written
//! ```
//!
//! Small frames are copied behind each other into one buffer; a large payload that somebody already owns is
//! only referred to, at the place in the stream where it belongs. Control frames that may overtake (RFC 6455 §5.4)
//! stand aside. A reader sees one sequence of slices.

use crate::frame;
use crate::memory::{Memory, SharedPayload};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::{Buf, Bytes};
use core::fmt;
use std::io::IoSlice;

/// Payloads up to this are copied even where they could be shared: it costs less than one more slice.
pub(crate) const COPY_UP_TO: usize = 1024;
/// Capacity up to this is kept in a [`Storage`] that is handed back.
const KEEP_CAPACITY: usize = 256 * 1024;
/// So much of the memory of control frames; a Ping or a Pong has at most 131 bytes.
const KEEP_URGENT: usize = 1024;
/// A large payload that was sent leaves its memory for the next large message, from this size up to that.
const SPARE_FROM: usize = 32 * 1024;
const SPARE_UP_TO: usize = 4 * 1024 * 1024;

/// The memory of an outbox. An outbox that is given one before it is written to, and relieved of it when it
/// is empty, allocates nothing.
///
/// It may hold a spare buffer too: the memory of a large message that was sent. The next large message that
/// arrives on a connection with this storage is joined in it.
#[derive(Default)]
pub struct Storage {
    inner: Box<Inner>,
}

impl Storage {
    /// How many bytes of memory it holds, the spare included.
    pub fn capacity(&self) -> usize {
        self.inner.bytes.capacity() + self.inner.spare.capacity()
    }

    /// Whether it holds a spare buffer for a large message.
    pub fn has_spare(&self) -> bool {
        self.inner.spare.capacity() > 0
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Storage({} bytes)", self.capacity())
    }
}

#[derive(Default)]
struct Inner {
    /// Copied frames; what stands before `start` was sent.
    bytes: Vec<u8>,
    start: usize,
    shared: VecDeque<Shared>,
    /// Bytes that stand beside `bytes`: shared payloads, and urgent frames.
    beside: usize,
    /// What is left of a frame that is partly written, or of the HTTP before the first frame: nothing may stand in
    /// between.
    begun: usize,
    urgent: Urgent,
    /// The memory of a large payload that was sent; empty.
    spare: Vec<u8>,
    /// Where shared payloads are counted, once there is much.
    memory: Option<Memory>,
}

/// A payload that is not copied.
struct Shared {
    /// The position in `bytes` that it comes before.
    at: usize,
    payload: Bytes,
    /// That it is counted.
    _counted: Option<SharedPayload>,
}

/// Control frames that overtake what is queued.
#[derive(Default)]
struct Urgent {
    bytes: Vec<u8>,
    /// What stands before was sent.
    start: usize,
    /// How many of them are Pongs.
    pongs: u8,
}

/// What waits to be written to the socket, as a [`Buf`].
///
/// Report what the socket took with [`Connection::wrote`](crate::Connection::wrote), which advances it.
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
    /// Bytes that wait.
    pub fn len(&self) -> usize {
        match &self.inner {
            Some(inner) => inner.bytes.len() - inner.start + inner.beside,
            None => 0,
        }
    }

    /// The memory of what was copied.
    pub(crate) fn copied_len(&self) -> usize {
        self.inner.as_ref().map_or(0, |inner| inner.bytes.len() + inner.urgent.bytes.len())
    }

    /// Counts shared payloads in this memory from now on, those that wait already included, until all is written.
    pub(crate) fn count_in(&mut self, memory: &Memory) {
        let Some(inner) = &mut self.inner else { return };
        if inner.memory.is_none() {
            inner.memory = Some(memory.clone());
            for shared in &mut inner.shared {
                shared._counted = Some(memory.share(&shared.payload));
            }
        }
    }

    /// Counts them no longer.
    pub(crate) fn count_no_more(&mut self) {
        if let Some(inner) = &mut self.inner
            && inner.memory.take().is_some()
        {
            inner.shared.iter_mut().for_each(|shared| shared._counted = None);
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn has_storage(&self) -> bool {
        self.inner.is_some()
    }

    pub(crate) fn lend(&mut self, storage: Storage) {
        if self.inner.is_none() {
            self.inner = Some(storage.inner);
        }
    }

    pub(crate) fn reclaim(&mut self) -> Option<Storage> {
        if !self.is_empty() {
            return None;
        }
        let mut inner = self.inner.take()?;
        inner.bytes.clear();
        inner.start = 0;
        if inner.bytes.capacity() > KEEP_CAPACITY {
            inner.bytes = Vec::new();
        }
        if inner.shared.capacity() > 64 {
            inner.shared = VecDeque::new();
        }
        if inner.urgent.bytes.capacity() > KEEP_URGENT {
            inner.urgent.bytes = Vec::new();
        }
        Some(Storage { inner })
    }

    /// The buffer to append to.
    #[inline]
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        let inner = self.inner.get_or_insert_with(Inner::boxed);
        // What was sent is forgotten when it is the larger half, so a long backlog moves each byte at most
        // once more.
        if inner.start > 4096 && inner.start * 2 > inner.bytes.len() {
            inner.compact();
        }
        &mut inner.bytes
    }

    /// A payload that is shared rather than copied, behind all that was appended so far.
    pub(crate) fn push_shared(&mut self, payload: Bytes) {
        if payload.is_empty() {
            return;
        }
        let inner = self.inner.get_or_insert_default();
        inner.beside += payload.len();
        let counted = inner.memory.as_ref().map(|memory| memory.share(&payload));
        inner.shared.push_back(Shared { at: inner.bytes.len(), payload, _counted: counted });
    }

    /// Appends a control frame to those that overtake; `write` appends it to what it is given. Says how many bytes
    /// must be written until its end is.
    pub(crate) fn push_urgent(&mut self, is_pong: bool, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        let inner = self.inner.get_or_insert_with(Inner::boxed);
        let urgent = &mut inner.urgent;
        let before = urgent.bytes.len();
        write(&mut urgent.bytes);
        inner.beside += urgent.bytes.len() - before;
        urgent.pongs += u8::from(is_pong);
        inner.begun + urgent.left()
    }

    /// How many Pongs wait.
    pub(crate) fn pongs(&self) -> u8 {
        self.inner.as_ref().map_or(0, |inner| inner.urgent.pongs)
    }

    /// From now on frames are appended; what waits already is none, and nothing overtakes it.
    pub(crate) fn begin_frames(&mut self) {
        if let Some(inner) = &mut self.inner {
            inner.begun = inner.bytes.len() - inner.start + inner.beside;
        }
    }

    /// Drops all that waits, but for the rest of a frame that is partly written and what overtakes.
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

    /// Takes the memory of a large message that was sent, if there is some; else an empty one.
    pub(crate) fn take_spare(&mut self) -> Vec<u8> {
        match &mut self.inner {
            Some(inner) => core::mem::take(&mut inner.spare),
            None => Vec::new(),
        }
    }

    /// Forgets all that waits: it was sent.
    #[inline]
    pub(crate) fn sent_all(&mut self) {
        let Some(inner) = &mut self.inner else { return };
        if inner.beside > 0 {
            return inner.advance(usize::MAX, false);
        }
        inner.bytes.clear();
        inner.start = 0;
        inner.begun = 0;
    }

    /// Forgets the front of what waits: it was sent. Where frames are `framed` rather than HTTP, it is noted how far
    /// the one is that is partly written.
    pub(crate) fn sent(&mut self, n: usize, framed: bool) {
        if let Some(inner) = &mut self.inner {
            inner.advance(n, framed);
        }
    }

    /// Forgets all that waits.
    pub(crate) fn clear(&mut self) {
        self.inner = None;
    }
}

impl Inner {
    #[cold]
    fn boxed() -> Box<Self> {
        Box::default()
    }

    #[cold]
    fn compact(&mut self) {
        self.bytes.drain(..self.start);
        for shared in &mut self.shared {
            shared.at -= self.start;
        }
        self.start = 0;
    }

    fn len(&self) -> usize {
        self.bytes.len() - self.start + self.beside
    }

    fn advance(&mut self, mut n: usize, framed: bool) {
        n = n.min(self.len());
        while n > 0 {
            let urgent = self.urgent.left();
            let step;
            if self.begun == 0 && urgent > 0 {
                step = urgent.min(n);
                self.urgent.advance(step);
                self.beside -= step;
            } else {
                if self.begun == 0 && framed {
                    self.begun = frame::encoded_len(self.copied());
                }
                let whole = if self.begun > 0 { self.begun } else { self.len() - urgent };
                step = whole.min(n);
                self.begun = self.begun.saturating_sub(step);
                self.advance_data(step);
            }
            n -= step.max(1);
        }
        if self.len() == 0 {
            self.bytes.clear();
            self.start = 0;
            self.begun = 0;
            self.memory = None;
        }
    }

    fn advance_data(&mut self, mut n: usize) {
        loop {
            let step = self.copied().len().min(n);
            self.start += step;
            n -= step;
            if n == 0 {
                break;
            }
            let Some(Shared { payload, .. }) = self.shared.front_mut() else { break };
            let step = payload.len().min(n);
            payload.advance(step);
            self.beside -= step;
            n -= step;
            if payload.is_empty()
                && let Some(shared) = self.shared.pop_front()
            {
                self.keep_spare(shared.payload);
            }
        }
    }

    /// Gives the slices of what waits, in the order in which it is to be written.
    fn slices<'a>(&'a self, mut push: impl FnMut(&'a [u8])) {
        let urgent = &self.urgent.bytes[self.urgent.start..];
        let mut begun = self.begun;
        let mut is_over = begun == 0;
        if is_over {
            push(urgent);
        }
        self.data_slices(|slice| {
            let (front, rest) = slice.split_at(slice.len().min(begun));
            push(front);
            begun -= front.len();
            if begun == 0 && !is_over {
                is_over = true;
                push(urgent);
            }
            push(rest);
        });
    }

    fn data_slices<'a>(&'a self, mut push: impl FnMut(&'a [u8])) {
        let mut from = self.start;
        for shared in &self.shared {
            push(&self.bytes[from..shared.at]);
            push(&shared.payload);
            from = shared.at;
        }
        push(&self.bytes[from..]);
    }

    /// Keeps the memory of a payload that nobody else refers to.
    fn keep_spare(&mut self, payload: Bytes) {
        let spare = Vec::from(payload);
        if (SPARE_FROM..=SPARE_UP_TO).contains(&spare.capacity()) && spare.capacity() > self.spare.capacity()
        {
            self.spare = spare;
        }
    }

    /// What is to be written first, where not everything is copied.
    #[inline(never)]
    fn first_slice(&self) -> &[u8] {
        let copied = self.copied();
        let data = match self.shared.front() {
            Some(shared) if copied.is_empty() => &shared.payload,
            _ => copied,
        };
        match (self.urgent.left(), self.begun) {
            (0, _) => data,
            (_, 0) => &self.urgent.bytes[self.urgent.start..],
            (_, begun) => &data[..data.len().min(begun)],
        }
    }

    /// The copied bytes up to the first shared payload.
    fn copied(&self) -> &[u8] {
        let end = self.shared.front().map_or(self.bytes.len(), |shared| shared.at);
        &self.bytes[self.start..end]
    }
}

impl Urgent {
    fn left(&self) -> usize {
        self.bytes.len() - self.start
    }

    fn advance(&mut self, n: usize) {
        self.start += n;
        if self.left() == 0 {
            self.bytes.clear();
            self.start = 0;
            self.pongs = 0;
        }
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
        // The common case is one loop without looking for what overtakes.
        match inner.urgent.left() {
            0 => inner.data_slices(&mut push),
            _ => inner.slices(&mut push),
        }
        n
    }

    fn advance(&mut self, cnt: usize) {
        assert!(cnt <= self.len(), "cannot advance past what waits");
        if let Some(inner) = &mut self.inner {
            inner.advance(cnt, false);
        }
    }
}
