//! Replaces zlib where the feature `deflate` is off: an uninhabited codec. No [`Deflate`](super::super::Deflate)
//! settings can exist, and nothing is ever negotiated.

use super::{Effort, Step};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Codec {}
pub(super) type Compressor = Codec;
pub(super) type Decompressor = Codec;

impl Codec {
    pub(super) fn compressor(self, _: Effort) -> Compressor {
        self
    }

    pub(super) fn decompressor(self) -> Decompressor {
        self
    }

    pub(super) fn reset(&mut self) {
        match *self {}
    }

    pub(super) fn compress(&mut self, _: &[u8], _: &mut [u8], _: bool) -> (usize, usize) {
        match *self {}
    }

    pub(super) fn set_window(&mut self, _: &[u8]) {
        match *self {}
    }

    pub(super) fn decompress(&mut self, _: &[u8], _: &mut [u8], _: bool) -> Step {
        match *self {}
    }
}
