//! The contexts that compress and inflate, over the one file that knows zlib. Without the feature `deflate` there is
//! none: all of compression is compiled, and nothing can set it in motion.

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

/// How hard to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Effort {
    pub(crate) level: u8,
    pub(crate) memory_level: u8,
    /// 9 to 15.
    pub(crate) window_bits: u8,
}

/// The bytes are no deflate stream (RFC 1951).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// What inflating came to.
struct Step {
    read: usize,
    written: usize,
    /// Whether a block said that it is the last.
    ended: Result<bool, Broken>,
}
