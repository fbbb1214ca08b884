//! Bytes for the socket.
//!
//! ```text
//!  bytes:  [ sent | copied frames … | header | copied frames … ]      one growing buffer
//!  shared:              at ^ cut: Bytes      (payloads that are not copied, in order)
//! ```
//!
//! Small frames are copied behind each other into one buffer; a large payload that somebody already owns is
//! only referred to, at the place in the stream where it belongs. A reader sees one sequence of slices.

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
    /// Shared payloads, each with the position in `bytes` that it comes before.
    shared: VecDeque<(usize, Bytes)>,
    shared_len: usize,
    /// The memory of a large payload that was sent; empty.
    spare: Vec<u8>,
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
            Some(inner) => inner.bytes.len() - inner.start + inner.shared_len,
            None => 0,
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
        inner.shared_len += payload.len();
        inner.shared.push_back((inner.bytes.len(), payload));
    }

    /// Takes the memory of a large message that was sent, if there is some; else an empty one.
    pub(crate) fn take_spare(&mut self) -> Vec<u8> {
        match &mut self.inner {
            Some(inner) => core::mem::take(&mut inner.spare),
            None => Vec::new(),
        }
    }

    /// Forgets the front of what waits: it was sent.
    #[inline]
    pub(crate) fn sent(&mut self, n: usize) {
        let Some(inner) = &mut self.inner else { return };
        if inner.shared.is_empty() && n == inner.bytes.len() - inner.start {
            inner.bytes.clear();
            inner.start = 0;
        } else {
            self.advance(n);
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
        for (at, _) in &mut self.shared {
            *at -= self.start;
        }
        self.start = 0;
    }

    /// Keeps the memory of a payload that nobody else refers to.
    fn keep_spare(&mut self, payload: Bytes) {
        let spare = Vec::from(payload);
        if (SPARE_FROM..=SPARE_UP_TO).contains(&spare.capacity()) && spare.capacity() > self.spare.capacity()
        {
            self.spare = spare;
        }
    }

    /// The copied bytes up to the first shared payload.
    fn copied(&self) -> &[u8] {
        let end = self.shared.front().map_or(self.bytes.len(), |(at, _)| *at);
        &self.bytes[self.start..end]
    }
}

impl Buf for Outbox {
    fn remaining(&self) -> usize {
        self.len()
    }

    fn chunk(&self) -> &[u8] {
        let Some(inner) = &self.inner else { return &[] };
        let copied = inner.copied();
        match inner.shared.front() {
            Some((_, payload)) if copied.is_empty() => payload,
            _ => copied,
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
        let mut from = inner.start;
        for (at, payload) in inner.shared.iter() {
            push(&inner.bytes[from..*at]);
            push(payload);
            from = *at;
        }
        push(&inner.bytes[from..]);
        n
    }

    fn advance(&mut self, mut cnt: usize) {
        assert!(cnt <= self.len(), "cannot advance past what waits");
        let Some(inner) = &mut self.inner else { return };
        loop {
            let copied = inner.copied().len();
            let step = copied.min(cnt);
            inner.start += step;
            cnt -= step;
            if cnt == 0 {
                break;
            }
            let Some((_, payload)) = inner.shared.front_mut() else { break };
            let step = payload.len().min(cnt);
            payload.advance(step);
            inner.shared_len -= step;
            cnt -= step;
            if payload.is_empty()
                && let Some((_, payload)) = inner.shared.pop_front()
            {
                inner.keep_spare(payload);
            }
        }
        if inner.start == inner.bytes.len() && inner.shared.is_empty() {
            inner.bytes.clear();
            inner.start = 0;
        }
    }
}
