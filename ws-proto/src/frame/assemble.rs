//! The received part of something unfinished: a header, a control frame, a message to be joined.

use crate::error::ProtocolError;
use crate::event::Message;
use crate::frame::MAX_HEADER;
use crate::frame::utf8::{self, Utf8};
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::mem;

/// The type of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Binary,
}

/// The received part of something unfinished.
#[derive(Debug, Default)]
pub(crate) struct Partial {
    pub(crate) header: [u8; MAX_HEADER],
    pub(crate) header_len: u8,
    pub(crate) control: Vec<u8>,
    /// Payload bytes of the message in progress that the headers of its frames have declared so far.
    pub(crate) declared: u64,
    pub(crate) text: String,
    pub(crate) data: Vec<u8>,
    /// Consumed bytes that are still to be inflated.
    pub(crate) compressed: Bytes,
    pub(crate) utf8: Utf8,
    /// Whether a fragment of the message in progress was emitted.
    pub(crate) begun: bool,
    /// A fault, reported once the good bytes before it are delivered.
    pub(crate) fault: Option<ProtocolError>,
}

impl Kind {
    #[inline]
    pub(crate) fn borrow_message(self, bytes: &[u8]) -> Result<Message<'_>, ProtocolError> {
        Ok(match self {
            Self::Text => {
                let text = utf8::check(bytes).map_err(|_| ProtocolError::TextNotUtf8)?;
                Message::Text(Cow::Borrowed(text))
            }
            Self::Binary => Message::Binary(Cow::Borrowed(bytes)),
        })
    }
}

impl Partial {
    pub(crate) fn is_empty(&self) -> bool {
        self.header_len == 0 && self.control.is_empty() && self.fault.is_none() && !self.begun
    }

    /// Whether part of a message to be joined has arrived.
    pub(crate) fn holds_data(&self) -> bool {
        !self.text.is_empty() || !self.data.is_empty() || !self.utf8.is_complete()
    }

    /// Joins, in existing memory, a message that has just begun.
    pub(crate) fn use_memory(&mut self, kind: Kind, mut memory: Vec<u8>) {
        memory.clear();
        match kind {
            Kind::Binary => self.data = memory,
            Kind::Text => self.text = String::from_utf8(memory).unwrap_or_default(),
        }
    }

    /// Appends to the message. Room at most doubles what has arrived, and never exceeds what is expected.
    pub(crate) fn join(&mut self, kind: Kind, bytes: &[u8], expected: usize) -> Result<(), ProtocolError> {
        let held = self.text.len() + self.data.len();
        let room = self.text.capacity() + self.data.capacity() - held;
        // A character that an earlier part began may add three bytes.
        let more = bytes.len() + 3;
        let reserve = if room < more { more + held.saturating_add(bytes.len()).min(expected) } else { 0 };
        match kind {
            Kind::Binary => {
                self.data.reserve_exact(reserve);
                self.data.extend_from_slice(bytes);
            }
            Kind::Text => {
                self.text.reserve_exact(reserve);
                let added = self.utf8.feed(bytes).map_err(|_| ProtocolError::TextNotUtf8)?;
                self.text.extend(added.ended);
                self.text.push_str(added.text);
            }
        }
        Ok(())
    }

    pub(crate) fn take_joined(&mut self, kind: Kind) -> Result<Message<'static>, ProtocolError> {
        Ok(match kind {
            Kind::Binary => Message::Binary(Cow::Owned(mem::take(&mut self.data))),
            Kind::Text if self.utf8.is_complete() => Message::Text(Cow::Owned(mem::take(&mut self.text))),
            Kind::Text => return Err(ProtocolError::TextNotUtf8),
        })
    }
}
