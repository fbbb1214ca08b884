//! Compressed bytes to bytes: one context.

use super::deflater::TAIL;
use alloc::boxed::Box;
use core::fmt;
use zlib_rs::{InflateFlush, Status};

/// So much is inflated at a time.
pub(super) const CHUNK: usize = 8 * 1024;

/// The bytes are no deflate stream (RFC 1951).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

pub(crate) struct Inflater {
    inflate: zlib_rs::Inflate,
    /// A block said that it is the last: what follows is a stream of its own (RFC 7692 §7.2.3.4).
    ended: bool,
    chunk: Box<[u8]>,
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").finish_non_exhaustive()
    }
}

impl Inflater {
    pub(crate) fn new() -> Self {
        // A smaller window would not save memory, and this one inflates what has a smaller one too.
        let inflate = zlib_rs::Inflate::new(false, 15);
        Self { inflate, ended: false, chunk: vec![0; CHUNK].into() }
    }

    /// Forgets all that was inflated.
    pub(crate) fn forget(&mut self) {
        self.inflate.reset(false);
        self.ended = false;
    }

    /// Begins a stream that may refer to these bytes.
    pub(crate) fn begin(&mut self, window: &[u8]) -> Result<(), Broken> {
        self.forget();
        if !window.is_empty() {
            self.inflate.set_dictionary(window).map_err(|_| Broken)?;
        }
        Ok(())
    }

    /// Whether the stream has ended, and what follows must [begin](Self::begin) another.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Inflates at most so many bytes of what the input holds, and cuts off what it used. Nothing more is to come of
    /// the input when it gives nothing.
    pub(crate) fn inflate(&mut self, input: &mut &[u8], at_most: usize) -> Result<&[u8], Broken> {
        let room = at_most.min(CHUNK);
        let (used, len) = self.step(input, room, InflateFlush::NoFlush)?;
        *input = &input[used..];
        Ok(&self.chunk[..len])
    }

    /// Ends a message: what was not sent is added (§7.2.2). The last block must then be complete, and have given all
    /// that was in it.
    pub(crate) fn end(&mut self) -> Result<(), Broken> {
        if self.ended {
            return Ok(());
        }
        // Between two blocks it stops; inside one it would take the byte behind the tail too.
        let [a, b, c, d] = TAIL;
        match self.step(&[a, b, c, d, 0], CHUNK, InflateFlush::Block)? {
            (4, 0) if !self.ended => Ok(()),
            _ => Err(Broken),
        }
    }

    fn step(&mut self, input: &[u8], room: usize, flush: InflateFlush) -> Result<(usize, usize), Broken> {
        let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self.inflate.decompress(input, &mut self.chunk[..room], flush).map_err(|_| Broken)?;
        self.ended = status == Status::StreamEnd;
        let used = (self.inflate.total_in() - before_in) as usize;
        let len = (self.inflate.total_out() - before_out) as usize;
        Ok((used, len))
    }
}
