//! The contexts that compress and inflate.

mod deflater;
mod inflater;
#[cfg(test)]
mod tests_codec;

pub(super) use deflater::{Deflater, Effort};
pub(super) use inflater::{Broken, CHUNK, Incoming, Inflater};
