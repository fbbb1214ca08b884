//! Bytes that were appended and not yet consumed.

use std::boxed::Box;
use std::vec::Vec;

/// The smallest allocation.
const STEP: usize = 4 << 10;

/// A buffer that is appended to at its end and consumed from its front. Its memory is initialized once, so a
/// reused buffer needs no zeroing.
#[derive(Debug, Default)]
pub(super) struct Buffer(Option<Box<Memory>>);

/// Behind a pointer, since most connections are idle, and hold none.
#[derive(Debug, Default)]
struct Memory {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// These bytes, in no more memory than they need.
    pub(super) fn exact(bytes: &[u8]) -> Self {
        Self(Some(Box::new(Memory { bytes: bytes.to_vec(), start: 0, end: bytes.len() })))
    }

    pub(super) fn len(&self) -> usize {
        self.content().len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.content().is_empty()
    }

    /// How much memory it holds.
    pub(super) fn capacity(&self) -> usize {
        self.0.as_ref().map_or(0, |memory| memory.bytes.capacity())
    }

    pub(super) fn content(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |memory| &memory.bytes[memory.start..memory.end])
    }

    pub(super) fn content_mut(&mut self) -> &mut [u8] {
        self.0.as_mut().map_or(&mut [], |memory| &mut memory.bytes[memory.start..memory.end])
    }

    /// Room for at least `least` bytes; [`fill`](Self::fill) appends what was written there.
    pub(super) fn room(&mut self, least: usize) -> &mut [u8] {
        let Memory { bytes, start, end } = &mut **self.0.get_or_insert_default();
        if *start == *end {
            (*start, *end) = (0, 0);
        }
        if bytes.len() - *end < least && *start > 0 {
            bytes.copy_within(*start..*end, 0);
            (*start, *end) = (0, *end - *start);
        }
        if bytes.len() - *end < least {
            bytes.resize((*end + least).next_multiple_of(STEP), 0);
        }
        &mut bytes[*end..]
    }

    pub(super) fn fill(&mut self, n: usize) {
        if let Some(Memory { bytes, end, .. }) = self.0.as_deref_mut() {
            *end = (*end + n).min(bytes.len());
        }
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.room(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.fill(bytes.len());
    }

    pub(super) fn consume(&mut self, n: usize) {
        if let Some(Memory { start, end, .. }) = self.0.as_deref_mut() {
            *start = (*start + n).min(*end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_consumed_in_order_whatever_the_room() {
        let mut buffer = Buffer::default();
        let (mut written, mut read, mut most) = (0_u32, 0_u32, 0);
        for round in 1..200_usize {
            let n = round * 37 % 5000;
            let room = buffer.room(n);
            assert!(room.len() >= n);
            for byte in &mut room[..n] {
                *byte = written as u8;
                written += 1;
            }
            buffer.fill(n);
            most = most.max(buffer.len());
            let take = buffer.len().min(round * 53 % 6000);
            for byte in &buffer.content()[..take] {
                assert_eq!(*byte, read as u8);
                read += 1;
            }
            buffer.consume(take);
            assert_eq!(buffer.len(), (written - read) as usize);
        }
        // A vector at most doubles.
        let allowed = 2 * (most + 5000).next_multiple_of(STEP);
        assert!(buffer.capacity() <= allowed, "it grows only with its content: {}", buffer.capacity());
    }
}
