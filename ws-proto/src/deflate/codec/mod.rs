//! The contexts that compress and inflate, over the one file that uses zlib. Without the feature `deflate` there is no
//! codec: all of compression is compiled, but nothing can start it.

mod deflater;
mod inflater;
#[cfg(not(feature = "deflate"))]
mod off;
#[cfg(test)]
#[cfg(feature = "deflate")]
mod tests_codec;
#[cfg(feature = "deflate")]
mod zlib;

pub(super) use deflater::Deflater;
pub(super) use inflater::{CHUNK, Incoming, Inflater};
#[cfg(not(feature = "deflate"))]
use off as backend;
#[cfg(feature = "deflate")]
use zlib as backend;

pub(super) use backend::Codec;
use backend::{Compressor, Decompressor};

/// The compression effort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Effort {
    pub(crate) level: u8,
    pub(crate) memory_level: u8,
    /// 9 to 15.
    pub(crate) window_bits: u8,
}

/// The bytes are not a deflate stream (RFC 1951).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// The result of one inflate step.
struct Step {
    read: usize,
    written: usize,
    /// Whether a block was marked as the last.
    ended: Result<bool, Broken>,
}
