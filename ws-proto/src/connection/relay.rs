//! From one connection to another: how a proxy forwards messages and the close.

use super::in_flight::Outgoing;
use super::{Connection, Sent};
use crate::close_code::CloseCode;
use crate::deflate::CompressionHint;
use crate::error::SendError;
use crate::event::{Closed, Fragment, Message};
use crate::frame::utf8::Utf8;
use crate::frame::{Frame, Opcode, RSV1, first_byte};
use alloc::borrow::Cow;
use alloc::string::String;
use bytes::Bytes;

impl Connection {
    /// Forwards what another connection received, a message or the fragments of one in order, regardless of the
    /// [cap](crate::Config::outbox): stop reading the other connection once this returns [`Sent::Congested`], until
    /// this connection has [drained](crate::Event::Drained).
    ///
    /// # Errors
    /// [`SendError::NotOpen`]; [`SendError::FragmentOrder`] for a fragment that continues nothing or starts a message
    /// within another, and for a message while one of this connection is unfinished and more than the [high
    /// mark](crate::Config::outbox) waits behind it: it may never end.
    pub fn relay<'m>(&mut self, received: impl Into<Fragment<'m>>) -> Result<Sent, SendError> {
        self.check_open()?;
        let Fragment { data, first, last } = received.into();
        if first && last {
            return self.relay_message(data);
        }
        let opcode = if first { opcode(&data) } else { Opcode::Continuation };
        if first && self.in_flight.as_ref().is_none_or(|in_flight| in_flight.outgoing.is_none()) {
            // Its text is checked already, and cut at characters.
            let text = data.is_text().then(Utf8::default);
            let compressed = self.compresses(CompressionHint::ByLength, usize::MAX);
            self.in_flight().outgoing = Some(Outgoing { text, compressed });
            self.write_fragment(&Frame::unencoded(opcode, false, payload(data)), compressed);
            return Ok(self.check_marks());
        }
        self.enqueue(&Frame::unencoded(opcode, last, payload(data)))
    }

    fn relay_message(&mut self, message: Message<'_>) -> Result<Sent, SendError> {
        let is_unfinished = self.in_flight.as_ref().is_some_and(|in_flight| in_flight.outgoing.is_some());
        let (opcode, len) = (opcode(&message), message.as_bytes().len());
        // The peer cannot drain what waits, so `Congested` would never clear.
        if is_unfinished && self.waiting_len() > self.config.high_mark {
            return Err(SendError::FragmentOrder);
        }
        if is_unfinished || is_owned(&message) {
            return self.enqueue(&Frame::unencoded(opcode, true, payload(message)));
        }
        if self.compresses(CompressionHint::ByLength, len) {
            self.write_compressed(first_byte(true, opcode) | RSV1, message.as_bytes(), true);
        } else {
            self.write_copied(opcode, true, message.as_bytes());
        }
        Ok(self.check_marks())
    }
}

impl Closed {
    /// How a relay closes its other leg: with the peer's own code and reason. A Close without a code stays without one.
    /// A lost connection (1006) becomes 1001 towards a server, whose client is gone, and 1011 towards a client, whose
    /// server failed; so does a code that must not be sent.
    pub fn relayed(&self, to_server: bool) -> (CloseCode, &str) {
        match self.code {
            CloseCode::NO_STATUS => (CloseCode::NO_STATUS, ""),
            code if code.is_sendable() => (code, &self.reason),
            _ if to_server => (CloseCode::GOING_AWAY, ""),
            _ => (CloseCode::INTERNAL_ERROR, ""),
        }
    }
}

fn opcode(message: &Message<'_>) -> Opcode {
    if message.is_text() { Opcode::Text } else { Opcode::Binary }
}

fn is_owned(message: &Message<'_>) -> bool {
    matches!(message, Message::Text(Cow::Owned(_)) | Message::Binary(Cow::Owned(_)))
}

fn payload(message: Message<'_>) -> Bytes {
    match message {
        Message::Text(Cow::Borrowed(text)) => Bytes::copy_from_slice(text.as_bytes()),
        Message::Text(Cow::Owned(text)) => String::into_bytes(text).into(),
        Message::Binary(Cow::Borrowed(data)) => Bytes::copy_from_slice(data),
        Message::Binary(Cow::Owned(data)) => data.into(),
    }
}
