//! zlib, behind the few calls that contexts make. No other file names it.

use super::{Broken, Effort, Step};
use zlib_rs::{DeflateConfig, DeflateFlush, InflateFlush, Status};

/// Creates contexts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Codec;

impl Codec {
    pub(super) fn compressor(self, effort: Effort) -> Compressor {
        let config = DeflateConfig {
            level: effort.level.into(),
            mem_level: effort.memory_level.into(),
            // Negative: a stream without zlib's header.
            window_bits: -i32::from(effort.window_bits),
            ..DeflateConfig::default()
        };
        Compressor(zlib_rs::Deflate::new_with_config(config))
    }

    pub(super) fn decompressor(self) -> Decompressor {
        // A smaller window would not save memory, and this one also inflates streams with a smaller one.
        Decompressor(zlib_rs::Inflate::new(false, 15))
    }
}

pub(super) struct Compressor(zlib_rs::Deflate);

impl Compressor {
    pub(super) fn reset(&mut self) {
        self.0.reset();
    }

    /// Compresses as much as `out` has room for; returns how many bytes it read and wrote.
    pub(super) fn compress(&mut self, input: &[u8], out: &mut [u8], flush: bool) -> (usize, usize) {
        let (before_in, before_out) = (self.0.total_in(), self.0.total_out());
        let flush = if flush { DeflateFlush::SyncFlush } else { DeflateFlush::NoFlush };
        // It fails only for parameters that cannot occur here.
        let _ = self.0.compress(input, out, flush);
        ((self.0.total_in() - before_in) as usize, (self.0.total_out() - before_out) as usize)
    }
}

pub(super) struct Decompressor(zlib_rs::Inflate);

impl Decompressor {
    pub(super) fn reset(&mut self) {
        self.0.reset(false);
    }

    /// Sets what the next stream may refer to.
    pub(super) fn set_window(&mut self, window: &[u8]) {
        // A raw stream accepts any dictionary.
        let _ = self.0.set_dictionary(window);
    }

    /// Inflates as much as `out` has room for, up to the end of the block if `one_block` is set.
    pub(super) fn decompress(&mut self, input: &[u8], out: &mut [u8], one_block: bool) -> Step {
        let (before_in, before_out) = (self.0.total_in(), self.0.total_out());
        let flush = if one_block { InflateFlush::Block } else { InflateFlush::NoFlush };
        let status = self.0.decompress(input, out, flush);
        Step {
            read: (self.0.total_in() - before_in) as usize,
            written: (self.0.total_out() - before_out) as usize,
            ended: status.map(|status| status == Status::StreamEnd).map_err(|_| Broken),
        }
    }
}
