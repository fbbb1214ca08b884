//! Compression: one context.

use super::{Codec, Compressor, Effort};
use alloc::vec::Vec;
use bytes::Bytes;
use core::{fmt, mem};

/// The end of every flushed block, which is not sent with the last of a message (RFC 7692 §7.2.1).
pub(super) const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// An empty block without the tail: the form of an empty message (§7.2.3.6).
const EMPTY: u8 = 0;

/// How much to compress at a time.
const PART: usize = 1 << 20;

/// Output memory above this is not kept for the next message.
const KEEP: usize = 16 * 1024;

pub(crate) struct Deflater {
    deflate: Compressor,
    effort: Effort,
    /// The context must be reset before its next use: resetting takes time, so not earlier.
    stale: bool,
    /// The last output, with older bytes after it.
    out: Vec<u8>,
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater").field("effort", &self.effort).finish_non_exhaustive()
    }
}

impl Deflater {
    pub(crate) fn new(codec: Codec, effort: Effort) -> Self {
        Self { deflate: codec.compressor(effort), effort, stale: false, out: Vec::new() }
    }

    pub(crate) fn effort(&self) -> Effort {
        self.effort
    }

    /// Resets the context: later output refers to nothing before.
    pub(crate) fn forget(&mut self) {
        self.stale = true;
    }

    /// Compresses a message, or a part of one; `fin` marks the last. The peer can inflate all of the output.
    pub(crate) fn compress(&mut self, mut input: &[u8], fin: bool) -> &[u8] {
        let mut len = 0;
        if input.is_empty() {
            // After a flush there is nothing to flush, so zlib would not even emit the empty block.
            self.grow(1);
            self.out[0] = EMPTY;
            return &self.out[..usize::from(fin)];
        }
        if mem::take(&mut self.stale) {
            self.deflate.reset();
        }
        loop {
            // zlib counts its input with 32 bits.
            let (part, rest) = input.split_at(input.len().min(PART));
            self.grow(len + 64 + part.len() / 2);
            let (read, written) = self.deflate.compress(part, &mut self.out[len..], rest.is_empty());
            input = &input[read..];
            len += written;
            // The flush is complete only when room is left.
            if input.is_empty() && len < self.out.len() {
                break;
            }
        }
        if fin {
            debug_assert!(self.out[..len].ends_with(&TAIL));
            len -= TAIL.len();
        }
        &self.out[..len]
    }

    /// The last output: copied, or moved out with its memory if that is not kept and at least half full.
    pub(crate) fn take_output(&mut self, len: usize) -> Bytes {
        if len <= KEEP || len < self.out.len() / 2 {
            return Bytes::copy_from_slice(&self.out[..len]);
        }
        let mut out = mem::take(&mut self.out);
        out.truncate(len);
        out.into()
    }

    /// Releases memory beyond what messages usually need.
    pub(crate) fn shrink(&mut self) {
        if self.out.len() > KEEP {
            self.out = Vec::new();
        }
    }

    fn grow(&mut self, len: usize) {
        if self.out.len() < len {
            self.out.resize(len.next_power_of_two(), 0);
        }
    }
}
