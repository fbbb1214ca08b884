//! The pending bytes of an outbox, and their order.

use crate::frame;
use crate::memory::{Memory, SharedPayload};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::{Buf, Bytes};
use core::sync::atomic::AtomicUsize;

/// A sent payload between these sizes gives its memory to the next large message.
const SPARE_FROM: usize = 32 * 1024;
const SPARE_UP_TO: usize = 4 * 1024 * 1024;

#[derive(Default)]
pub(super) struct Inner {
    /// Copied frames; everything before `start` was sent.
    pub(super) bytes: Vec<u8>,
    pub(super) start: usize,
    pub(super) shared: VecDeque<Shared>,
    /// Bytes outside `bytes`: shared payloads, and urgent frames.
    pub(super) beside: usize,
    /// The rest of a partly written frame, or of the HTTP before the first frame: nothing may be inserted.
    pub(super) begun: usize,
    /// How much of it was handed on, and is copied there.
    pub(super) handed_on: usize,
    pub(super) urgent: Urgent,
    /// The memory of a large payload that was sent; empty.
    pub(super) spare: Vec<u8>,
    /// Where shared payloads are counted, once there are many bytes.
    pub(super) memory: Option<Memory>,
    /// How many bytes of an `Unsent` were written and are not accounted for. Shared with it while it lives.
    pub(super) written: Option<Arc<AtomicUsize>>,
}

/// A payload that is not copied.
pub(super) struct Shared {
    /// The position in `bytes` that it precedes.
    pub(super) at: usize,
    pub(super) payload: Bytes,
    /// Keeps it counted.
    pub(super) _counted: Option<SharedPayload>,
}

/// Control frames that overtake what is queued.
#[derive(Default)]
pub(super) struct Urgent {
    pub(super) bytes: Vec<u8>,
    /// Everything before was sent.
    pub(super) start: usize,
    /// How many of them are Pongs.
    pub(super) pongs: u8,
}

impl Inner {
    #[cold]
    pub(super) fn boxed() -> Box<Self> {
        Box::default()
    }

    #[cold]
    pub(super) fn compact(&mut self) {
        self.bytes.drain(..self.start);
        for shared in &mut self.shared {
            shared.at -= self.start;
        }
        self.start = 0;
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start + self.beside
    }

    pub(super) fn advance(&mut self, mut n: usize, framed: bool) {
        n = n.min(self.len());
        self.handed_on = self.handed_on.saturating_sub(n);
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
            self.handed_on = 0;
            self.memory = None;
        }
    }

    pub(super) fn advance_data(&mut self, mut n: usize) {
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

    /// Passes on the slices of the pending bytes, in write order.
    pub(super) fn slices<'a>(&'a self, mut push: impl FnMut(&'a [u8])) {
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

    pub(super) fn data_slices<'a>(&'a self, mut push: impl FnMut(&'a [u8])) {
        let mut from = self.start;
        for shared in &self.shared {
            push(&self.bytes[from..shared.at]);
            push(&shared.payload);
            from = shared.at;
        }
        push(&self.bytes[from..]);
    }

    /// Keeps the memory of a payload without other references.
    pub(super) fn keep_spare(&mut self, payload: Bytes) {
        let spare = Vec::from(payload);
        if (SPARE_FROM..=SPARE_UP_TO).contains(&spare.capacity()) && spare.capacity() > self.spare.capacity()
        {
            self.spare = spare;
        }
    }

    /// The first bytes to write, where not everything is copied.
    #[inline(never)]
    pub(super) fn first_slice(&self) -> &[u8] {
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
    pub(super) fn copied(&self) -> &[u8] {
        let end = self.shared.front().map_or(self.bytes.len(), |shared| shared.at);
        &self.bytes[self.start..end]
    }
}

impl Urgent {
    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(super) fn advance(&mut self, n: usize) {
        self.start += n;
        if self.left() == 0 {
            self.bytes.clear();
            self.start = 0;
            self.pongs = 0;
        }
    }
}
