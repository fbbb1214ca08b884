//! The contexts that compress and inflate, over the one file that knows zlib.

mod deflater;
mod inflater;
#[cfg(test)]
mod tests_codec;
mod zlib;

pub(super) use deflater::Deflater;
pub(super) use inflater::{CHUNK, Incoming, Inflater};
pub(super) use zlib::Codec;
use zlib::{Compressor, Decompressor};

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
