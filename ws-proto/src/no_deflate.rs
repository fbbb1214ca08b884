//! Stands in for `deflate` where that feature is off: nothing is ever agreed on, so that all of this is gone.

use crate::config::Config;
use crate::error::ProtocolError;
use crate::frame::Compression;
use ::http::HeaderMap;
use ::http::header::{HeaderValue, SEC_WEBSOCKET_EXTENSIONS};
use bytes::Bytes;

#[derive(Clone, Debug)]
pub(crate) enum Deflate {}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Terms {}

#[derive(Debug)]
pub(crate) enum PerMessage {}

#[derive(Clone, Debug, Default)]
pub(crate) struct Shared;

impl PerMessage {
    pub(crate) fn new(terms: Terms) -> Self {
        match terms {}
    }

    pub(crate) fn release_is_due(&mut self) -> &mut bool {
        match *self {}
    }

    pub(crate) fn compresses(&self, _: &Deflate, _: Compression, _: usize) -> bool {
        match *self {}
    }

    pub(crate) fn compress(&mut self, _: &Deflate, _: &[u8], _: bool) -> &[u8] {
        match *self {}
    }

    pub(crate) fn take_compressed(&mut self, _: usize) -> Bytes {
        match *self {}
    }

    pub(crate) fn compressed(&mut self, _: &Deflate) {
        match *self {}
    }

    pub(crate) fn compress_shared(&mut self, _: &Deflate, _: &Shared, _: &[u8]) -> Bytes {
        match *self {}
    }

    pub(crate) fn inflate(
        &mut self,
        _: &Deflate,
        _: &mut &[u8],
        _: u64,
    ) -> Result<(&[u8], bool), ProtocolError> {
        match *self {}
    }

    pub(crate) fn end_message(&mut self, _: &Deflate) -> Result<(), ProtocolError> {
        match *self {}
    }

    pub(crate) fn has_uncounted(&self) -> bool {
        match *self {}
    }

    pub(crate) fn is_over_rate(&mut self, _: &Deflate, _: u16) -> bool {
        match *self {}
    }

    pub(crate) fn inflated_lately(&self) -> u32 {
        match *self {}
    }

    pub(crate) fn share(&mut self) {
        match *self {}
    }

    pub(crate) fn has_used_share(&self) -> bool {
        match *self {}
    }

    pub(crate) fn next_share(&mut self, _: &Deflate) {
        match *self {}
    }

    pub(crate) fn finish_share(&mut self) {
        match *self {}
    }

    pub(crate) fn note_use(&mut self, _: u64) {
        match *self {}
    }

    pub(crate) fn last_use(&self, _: u64) -> u64 {
        match *self {}
    }

    pub(crate) fn can_release(&self) -> bool {
        match *self {}
    }

    pub(crate) fn release_all(&mut self, _: &Deflate) {
        match *self {}
    }

    pub(crate) fn release(&mut self, _: &Deflate) {
        match *self {}
    }
}

impl Deflate {
    pub(crate) fn quiet(&self) -> core::time::Duration {
        match *self {}
    }
}

pub(crate) fn accept(_: &Config, _: &HeaderMap) -> Option<(Terms, HeaderValue)> {
    None
}

pub(crate) fn offer(_: &Config) -> Option<HeaderValue> {
    None
}

pub(crate) fn agree(_: &Config, response: &HeaderMap) -> Result<Option<Terms>, &'static str> {
    if response.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
        return Err("an extension that was not offered");
    }
    Ok(None)
}
