//! Inflation: one context.

use super::deflater::TAIL;
use super::{Broken, Codec, Decompressor, Step};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::{fmt, mem};

/// How much to inflate at a time.
pub(crate) const CHUNK: usize = 8 * 1024;

/// A message of the peer, in progress.
#[derive(Default)]
pub(crate) struct Incoming {
    /// Compressed bytes.
    pub(crate) compressed: u64,
    /// Inflated bytes.
    pub(crate) inflated: u64,
    pub(crate) work: u64,
}

pub(crate) struct Inflater {
    inflate: Decompressor,
    /// A block was marked as the last: what follows is a new stream, which may refer to this one (RFC 7692 §7.2.3.4).
    ended: bool,
    /// The input is not a deflate stream; the valid output before that has been returned.
    is_broken: bool,
    /// The last output bytes, at least as many as the window has. zlib has them too, but does not expose them.
    window: Vec<u8>,
    window_len: usize,
    chunk: Box<[u8]>,
    /// Output bytes, plus bytes copied to restart a stream.
    work: u64,
    pub(crate) message: Incoming,
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").field("window", &self.window.len()).finish_non_exhaustive()
    }
}

impl Inflater {
    pub(crate) fn new(codec: Codec) -> Self {
        let chunk = vec![0; CHUNK].into();
        Self {
            inflate: codec.decompressor(),
            ended: false,
            is_broken: false,
            window: Vec::new(),
            window_len: 1 << 15,
            chunk,
            work: 0,
            message: Incoming::default(),
        }
    }

    /// Starts a stream that may refer to these bytes, as far back as the window reaches.
    pub(crate) fn begin(&mut self, window: &[u8], window_bits: u8) {
        self.window_len = 1 << window_bits.min(15);
        self.window.clear();
        self.window.extend_from_slice(window);
        self.restart();
    }

    /// Resets the context.
    pub(crate) fn forget(&mut self) {
        self.window.clear();
        self.message = Incoming::default();
        self.restart();
        self.work = 0;
    }

    /// The bytes that later input may refer to.
    pub(crate) fn window(&self) -> &[u8] {
        &self.window[self.window.len().saturating_sub(self.window_len)..]
    }

    pub(crate) fn is_within_message(&self) -> bool {
        self.message.compressed > 0
    }

    /// Whether the input after the last output is known to be invalid.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// The last output.
    pub(crate) fn chunk(&self, len: usize) -> &[u8] {
        &self.chunk[..len]
    }

    /// The work done since the last call, in bytes.
    pub(crate) fn take_work(&mut self) -> u64 {
        mem::take(&mut self.work)
    }

    /// Inflates at most `at_most` bytes from the input, and advances it past the bytes used. Output may be less than
    /// the input holds, and empty where a block was the last: what follows may cost the work of a whole window. Where
    /// the stream breaks, the good output is returned first, and the next call returns the error.
    pub(crate) fn inflate(&mut self, input: &mut &[u8], at_most: usize) -> Result<&[u8], Broken> {
        if self.ended && !input.is_empty() {
            self.restart();
        }
        let (used, len) = self.step(input, at_most.min(CHUNK), false)?;
        *input = &input[used..];
        if len == 0 && !self.ended && !input.is_empty() {
            return Err(Broken);
        }
        self.remember(len);
        Ok(&self.chunk[..len])
    }

    /// Ends a message: adds the bytes that were not sent (§7.2.2). The last block must then be complete, and all of its
    /// output returned.
    pub(crate) fn end(&mut self) -> Result<(), Broken> {
        if self.ended {
            return Ok(());
        }
        // Between two blocks it stops; inside one it would also consume the byte after the tail.
        let [a, b, c, d] = TAIL;
        match self.step(&[a, b, c, d, 0], CHUNK, true)? {
            (4, 0) if !self.ended => Ok(()),
            _ => Err(Broken),
        }
    }

    fn restart(&mut self) {
        self.inflate.reset();
        self.ended = false;
        self.is_broken = false;
        let from = self.window.len().saturating_sub(self.window_len);
        if from < self.window.len() {
            self.inflate.set_window(&self.window[from..]);
            self.work += (self.window.len() - from) as u64;
        }
    }

    fn step(&mut self, input: &[u8], room: usize, one_block: bool) -> Result<(usize, usize), Broken> {
        if self.is_broken {
            return Err(Broken);
        }
        if self.ended {
            return Ok((0, 0));
        }
        let Step { read, written, ended } =
            self.inflate.decompress(input, &mut self.chunk[..room], one_block);
        self.ended = ended == Ok(true);
        self.is_broken = ended.is_err();
        if self.is_broken && written == 0 { Err(Broken) } else { Ok((read, written)) }
    }

    fn remember(&mut self, len: usize) {
        self.work += len as u64;
        let excess = (self.window.len() + len).saturating_sub(self.window_len);
        // Moved now and then: each byte moves about once.
        let slack = self.window_len / 2;
        if excess > slack {
            self.window.drain(..excess.min(self.window.len()));
        }
        let need = self.window.len() + len;
        if need > self.window.capacity() {
            // Grows on demand, up to the most it can ever need.
            let room = (2 * self.window.capacity()).min(self.window_len + slack).max(need);
            self.window.reserve_exact(room - self.window.len());
        }
        self.window.extend_from_slice(&self.chunk[..len]);
    }
}
