//! Pending output that a writer owns, while the connection is free for other calls.
//!
//! ```text
//!  outbox:  [ begun: what an Unsent has, to the end of its last frame | urgent | later output ]
//!             ^ stays until written; nothing is inserted, and nothing of it is dropped
//! ```

use super::Outbox;
use super::inner::{Inner, Shared};
use crate::frame;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use bytes::{Buf, Bytes};
use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::io::IoSlice;

/// An `Unsent` has at least this many bytes, if that many are pending, and [`Outbox::hand_on`] hands on at most as many
/// to a layer below: more than a socket takes at once, and few enough for Pings to overtake the rest.
pub(crate) const TAKE: usize = 64 * 1024;

/// The front of the pending output, to be held across an await: the result of
/// [`Connection::unsent`](crate::Connection::unsent). It borrows nothing, which leaves the connection free for other
/// calls.
///
/// It is a [`Buf`]: the writer advances it, as Tokio's `write_buf` and `write_all_buf` do automatically, and what it is
/// advanced past is written. Nothing is lost or sent twice when a write is cancelled and this is dropped: the
/// connection knows how much was written, and returns the rest with the next one.
///
/// It has copies of small frames, 64 KiB in all, and refers to large payloads.
#[must_use = "write it, or drop it to get the next one"]
pub struct Unsent {
    chunks: VecDeque<Bytes>,
    len: usize,
    /// None once all is written: then the next one is available.
    written: Option<Arc<AtomicUsize>>,
}

impl Buf for Unsent {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        self.chunks.front().map_or(&[], |chunk| chunk)
    }

    fn chunks_vectored<'a>(&'a self, dst: &mut [IoSlice<'a>]) -> usize {
        let slots = dst.iter_mut().zip(&self.chunks);
        slots.map(|(slot, chunk)| *slot = IoSlice::new(chunk)).count()
    }

    fn advance(&mut self, cnt: usize) {
        assert!(cnt <= self.len, "cannot advance past the end");
        let mut left = cnt;
        while let Some(chunk) = self.chunks.front_mut().filter(|_| left > 0) {
            let step = chunk.len().min(left);
            chunk.advance(step);
            left -= step;
            if chunk.is_empty() {
                self.chunks.pop_front();
            }
        }
        self.len -= cnt;
        if let Some(written) = &self.written {
            written.fetch_add(cnt, Ordering::Release);
        }
        if self.len == 0 {
            self.written = None;
        }
    }
}

impl fmt::Debug for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unsent({} bytes)", self.len)
    }
}

impl Outbox {
    /// The front of the pending output; `None` if there is none, or while the previous one lives. In `framed` output,
    /// control frames overtake only what follows its last frame.
    pub(crate) fn take_unsent(&mut self, framed: bool) -> Option<Unsent> {
        let inner = self.inner.as_deref_mut().filter(|inner| inner.len() > 0)?;
        let written = inner.written.get_or_insert_default();
        // Another writer has it.
        Arc::get_mut(written)?;
        let written = written.clone();
        let chunks = inner.take(framed);
        Some(Unsent { len: chunks.iter().map(Bytes::len).sum(), chunks, written: Some(written) })
    }

    /// Hands the front of the pending output on, at most 64 KiB: as with an [`Unsent`], it stays first and unchanged until
    /// it is written. Returns how many slices it filled.
    pub(crate) fn hand_on<'a>(&'a mut self, framed: bool, slices: &mut [IoSlice<'a>]) -> usize {
        let Some(inner) = self.inner.as_deref_mut() else { return 0 };
        let data = inner.len() - inner.urgent.left();
        let mut left = if framed { inner.begin(data) } else { data }.min(TAKE.max(inner.handed_on));
        inner.handed_on = left;
        let mut count = 0;
        inner.data_slices(|slice| {
            let slice = &slice[..slice.len().min(left)];
            if count < slices.len() && !slice.is_empty() {
                slices[count] = IoSlice::new(slice);
                left -= slice.len();
                count += 1;
            }
        });
        count
    }

    /// How many bytes of the [last one](Self::take_unsent) were written since the last call.
    pub(crate) fn take_written(&mut self) -> usize {
        let written = self.inner.as_ref().and_then(|inner| inner.written.as_ref());
        written.map_or(0, |written| written.swap(0, Ordering::Acquire))
    }
}

impl Inner {
    fn take(&mut self, framed: bool) -> VecDeque<Bytes> {
        let data = self.len() - self.urgent.left();
        let end = if framed { self.begin(data) } else { data };
        let mut chunks = VecDeque::new();
        let (mut from, mut left, mut taken) = (self.start, end, 0);
        let shared = self.shared.iter().map(|shared| (shared.at, Some(&shared.payload)));
        for (at, payload) in shared.chain([(self.bytes.len(), None)]) {
            let copied = &self.bytes[from..at];
            let copied = &copied[..copied.len().min(left).min(TAKE - taken)];
            let payload = payload.filter(|_| copied.len() == at - from);
            let shared = payload
                .map_or(Bytes::new(), |payload| payload.slice(..payload.len().min(left - copied.len())));
            left -= copied.len() + shared.len();
            taken += copied.len() + shared.len();
            let copied = Bytes::copy_from_slice(copied);
            chunks.extend([copied, shared].into_iter().filter(|chunk| !chunk.is_empty()));
            if taken >= TAKE || left == 0 {
                break;
            }
            from = at;
        }
        chunks
    }

    /// Begins whole frames, with `data` bytes in all: urgent ones first, unless a frame is begun already, then as many
    /// as are taken at once. Returns the end up to which nothing is inserted.
    fn begin(&mut self, data: usize) -> usize {
        let overtaking = self.urgent.left();
        if self.begun > 0 && overtaking > 0 {
            return self.begun;
        }
        if overtaking > 0 {
            let payload = Bytes::copy_from_slice(&self.urgent.bytes[self.urgent.start..]);
            self.urgent.advance(overtaking);
            self.shared.push_front(Shared { at: self.start, payload, _counted: None });
            self.begun = overtaking;
        }
        let data = data + overtaking;
        let (mut end, mut passed) = (self.begun, 0);
        self.data_slices(|slice| {
            // A header was copied into one slice; its payload may be the next.
            while end < TAKE && end < passed + slice.len() {
                end += frame::encoded_len(&slice[end - passed..]);
            }
            passed += slice.len();
        });
        self.begun = end.min(data);
        self.begun
    }
}
