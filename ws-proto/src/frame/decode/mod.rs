//! Bytes to frames to messages (RFC 6455 §5).
//!
//! ```text
//!            ┌────────────── next frame ◀───────────────┐
//!            ▼                                          │
//!  ┌──────────────┐  data header   ┌───────────┐  payload complete
//!  │    Header    │───────────────▶│  Payload  │────────┤
//!  │ (may spill)  │                └───────────┘        │
//!  │              │ control header ┌───────────┐        │
//!  │              │───────────────▶│  Control  │────────┘
//!  └──────────────┘                └───────────┘
//! ```
//!
//! A message that is whole in the input is unmasked there and borrowed from there. Only messages that arrive in parts
//! are collected, as they arrive: a declared length alone allocates nothing.

mod inflate;

use crate::config::Delivery;
use crate::config::heartbeat::MAX_CONTROL_PAYLOAD;
use crate::deflate::PerMessage;
use crate::error::ProtocolError;
use crate::event::{Fragment, Message};
use crate::frame::assemble::{Kind, Partial};
use crate::frame::mask;
use crate::frame::{self, Header, MAX_HEADER, Opcode, Parsed};
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem;

/// A message with this much still to arrive reuses the memory of another large one.
const LARGE: u64 = 16 * 1024;

/// The decoder's rules, from its connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Whether the peer must mask: it is a client.
    pub(crate) masked: bool,
    /// Whether messages may be compressed.
    pub(crate) compressible: bool,
    pub(crate) message_limit: u64,
    pub(crate) delivery: Delivery,
}

/// Inflates the peer's messages, if it may compress them.
pub(crate) type Inflation<'d> = Option<&'d mut PerMessage>;

impl Rules {
    /// How many bytes a message may have on the wire. Compressed, it may be larger than inflated: a byte flushed alone,
    /// as a fragment must be, is a stored block of 6 bytes and an empty one of 5.
    fn wire_limit(&self, form: Form) -> u64 {
        match form {
            Form::Joined | Form::Chunks => self.message_limit,
            Form::CompressedJoined | Form::CompressedChunks => {
                self.message_limit.saturating_mul(11).saturating_add(64)
            }
        }
    }

    fn is_chunked(&self, one_frame: bool, len: u64) -> bool {
        match self.delivery {
            Delivery::Whole => false,
            Delivery::Chunked { whole } => !one_frame || len > whole,
        }
    }
}

/// An item decoded from the input.
#[derive(Debug)]
pub(crate) enum Decoded<'a> {
    Message(Message<'a>),
    Fragment(Fragment<'a>),
    /// A data frame without payload within a message: neither its first nor its last.
    Empty,
    Ping(Cow<'a, [u8]>),
    Pong(Cow<'a, [u8]>),
    Close(Cow<'a, [u8]>),
}

/// The message in progress, as declared by its first header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct InProgress {
    kind: Kind,
    form: Form,
}

/// How a message arrives and is delivered: decided by its first header alone, so the same for every split of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Joined,
    Chunks,
    CompressedJoined,
    CompressedChunks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// Between frames, or inside a header whose first bytes are saved.
    Header,
    /// Inside the payload of a data frame.
    Payload { fin: bool },
    /// Inside compressed payload that was consumed except for its last byte, and is not fully inflated.
    Inflating { fin: bool },
    /// Inside the payload of a control frame.
    Control(Opcode),
}

/// The decoder of one connection. Small: state that only an unfinished message needs is boxed.
#[derive(Debug)]
pub(crate) struct Decoder {
    /// Payload bytes of the current frame still to arrive.
    pub(crate) remaining: u64,
    key: [u8; 4],
    position: Position,
    message: Option<InProgress>,
    partial: Option<Box<Partial>>,
}

/// Cuts `n` bytes off the front of the input.
#[inline]
fn take<'a>(input: &mut &'a mut [u8], n: usize) -> &'a mut [u8] {
    let (front, rest) = mem::take(input).split_at_mut(n);
    *input = rest;
    front
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Self { remaining: 0, key: [0; 4], position: Position::Header, message: None, partial: None }
    }

    /// Whether a message is in progress.
    pub(crate) fn is_inside_message(&self) -> bool {
        self.message.is_some()
    }

    /// The received bytes of the message in progress that wait for the rest.
    pub(crate) fn held_len(&self) -> usize {
        self.partial
            .as_ref()
            .map_or(0, |partial| partial.data.capacity() + partial.text.capacity() + partial.compressed.len())
    }

    /// Whether nothing is in progress.
    #[inline]
    pub(crate) fn is_between_messages(&self) -> bool {
        self.position == Position::Header && self.message.is_none() && self.partial.is_none()
    }

    /// Whether a protocol violation is known, and only the good data before it is left to deliver.
    #[inline]
    pub(crate) fn has_fault(&self) -> bool {
        self.partial.as_ref().is_some_and(|partial| partial.fault.is_some())
    }

    pub(crate) fn take_fault(&mut self) -> Option<ProtocolError> {
        self.partial.as_mut()?.fault.take()
    }

    /// The fast path for the common case: a message in one short frame that is whole at the front of the input. `None`
    /// for anything else, with nothing consumed.
    #[inline]
    pub(crate) fn whole<'a>(
        &mut self,
        rules: &Rules,
        input: &mut &'a mut [u8],
    ) -> Option<Result<Message<'a>, ProtocolError>> {
        if !self.is_between_messages() {
            return None;
        }
        let [first, second, ..] = **input else { return None };
        let kind = match first {
            0x81 => Kind::Text,
            0x82 => Kind::Binary,
            _ => return None,
        };
        let (len, at) = match second ^ (rules.masked as u8) << 7 {
            len @ 1..=125 => (usize::from(len), 2),
            126 => match **input {
                [_, _, a, b, ..] => (usize::from(u16::from_be_bytes([a, b])), 4),
                _ => return None,
            },
            _ => return None,
        };
        if at == 4 && len < 126 || len as u64 > rules.message_limit || rules.is_chunked(true, len as u64) {
            return None;
        }
        let payload = if rules.masked {
            let &[a, b, c, d] = input.get(at..at + 4)?.first_chunk()?;
            if input.len() - at - 4 < len {
                return None;
            }
            let payload = &mut take(input, at + 4 + len)[at + 4..];
            mask::apply(payload, [a, b, c, d]);
            payload
        } else {
            if input.len() - at < len {
                return None;
            }
            &mut take(input, at + len)[at..]
        };
        Some(kind.borrow_message(payload))
    }

    /// Consumes input up to the next item; `None` when it is used up.
    ///
    /// `spare` provides memory for a large message that arrives in parts, if there is some.
    pub(crate) fn next<'a>(
        &mut self,
        rules: &Rules,
        input: &mut &'a mut [u8],
        mut spare: impl FnMut() -> Vec<u8>,
        mut inflation: Inflation<'_>,
    ) -> Result<Option<Decoded<'a>>, ProtocolError> {
        if let Some(fault) = self.take_fault() {
            return Err(fault);
        }
        loop {
            match self.position {
                Position::Header => {
                    let Some(header) = self.header(rules, input)? else { return Ok(None) };
                    self.begin(rules, header)?;
                    if header.len == 0 && header.opcode == Opcode::Continuation && !header.fin {
                        return Ok(Some(Decoded::Empty));
                    }
                }
                Position::Control(opcode) => {
                    let Some(payload) = self.control(input, rules.masked) else { return Ok(None) };
                    self.position = Position::Header;
                    return Ok(Some(match opcode {
                        Opcode::Ping => Decoded::Ping(payload),
                        Opcode::Pong => Decoded::Pong(payload),
                        _ => Decoded::Close(payload),
                    }));
                }
                Position::Payload { fin } => {
                    if self.remaining > 0 && (input.is_empty() || self.waits_for_share(&inflation)) {
                        return Ok(None);
                    }
                    if let Some(decoded) = self.payload(rules, fin, input, &mut spare, &mut inflation)? {
                        return Ok(Some(decoded));
                    }
                }
                Position::Inflating { fin } => {
                    if input.is_empty() || self.waits_for_share(&inflation) {
                        return Ok(None);
                    }
                    let taken = self.partial.as_mut().map(|partial| mem::take(&mut partial.compressed));
                    let taken = taken.unwrap_or_default();
                    if let Some(decoded) =
                        self.inflated_chunk(rules, fin, &taken, input, 1, &mut inflation)?
                    {
                        return Ok(Some(decoded));
                    }
                }
            }
        }
    }

    /// The next header, whether it is whole in the input or arrives byte by byte.
    fn header(&mut self, rules: &Rules, input: &mut &mut [u8]) -> Result<Option<Header>, ProtocolError> {
        let spilled = self.partial.as_ref().map_or(0, |partial| usize::from(partial.header_len));
        if spilled == 0 {
            if let Parsed::Whole(header, at) = frame::parse_header(input, rules.masked, rules.compressible)? {
                take(input, at);
                return Ok(Some(header));
            }
            if input.is_empty() {
                return Ok(None);
            }
        }
        let partial = self.partial.get_or_insert_default();
        let more = input.len().min(MAX_HEADER - spilled);
        partial.header[spilled..spilled + more].copy_from_slice(&input[..more]);
        match frame::parse_header(&partial.header[..spilled + more], rules.masked, rules.compressible)? {
            Parsed::Whole(header, at) => {
                partial.header_len = 0;
                take(input, at - spilled);
                self.forget_if_empty();
                Ok(Some(header))
            }
            Parsed::Partial => {
                partial.header_len = (spilled + more) as u8;
                take(input, more);
                Ok(None)
            }
        }
    }

    /// Checks a header against the message in progress and the limit (§5.4, §10.4).
    fn begin(&mut self, rules: &Rules, header: Header) -> Result<(), ProtocolError> {
        self.key = header.key;
        self.remaining = header.len;
        if header.opcode.is_control() {
            self.position = Position::Control(header.opcode);
            return Ok(());
        }
        let message = match (header.opcode, self.message) {
            (Opcode::Continuation, Some(message)) => message,
            (Opcode::Continuation, None) => return Err(ProtocolError::ContinuationUnexpected),
            (_, Some(_)) => return Err(ProtocolError::ContinuationExpected),
            (opcode, None) => {
                let kind = if opcode == Opcode::Text { Kind::Text } else { Kind::Binary };
                let form = match (header.compressed, rules.is_chunked(header.fin, header.len)) {
                    (false, false) => Form::Joined,
                    (false, true) => Form::Chunks,
                    (true, false) => Form::CompressedJoined,
                    (true, true) => Form::CompressedChunks,
                };
                InProgress { kind, form }
            }
        };
        let before = match &self.partial {
            Some(partial) if self.message.is_some() => partial.declared,
            _ => 0,
        };
        let declared = before.saturating_add(header.len);
        if declared > rules.wire_limit(message.form) {
            return Err(ProtocolError::MessageTooBig { limit: rules.message_limit });
        }
        if !header.fin {
            self.partial.get_or_insert_default().declared = declared;
        }
        self.message = Some(message);
        self.position = Position::Payload { fin: header.fin };
        Ok(())
    }

    fn forget_if_empty(&mut self) {
        if self.message.is_none() && self.partial.as_ref().is_some_and(|partial| partial.is_empty()) {
            self.partial = None;
        }
    }

    fn control<'a>(&mut self, input: &mut &'a mut [u8], masked: bool) -> Option<Cow<'a, [u8]>> {
        let n = (self.remaining as usize).min(input.len());
        let whole = n as u64 == self.remaining;
        let begun = self.partial.as_ref().is_some_and(|partial| !partial.control.is_empty());
        let bytes = take(input, n);
        if masked {
            self.key = mask::apply(bytes, self.key);
        }
        self.remaining -= n as u64;
        if whole && !begun {
            return Some(Cow::Borrowed(bytes));
        }
        let partial = self.partial.get_or_insert_default();
        if partial.control.capacity() == 0 {
            partial.control.reserve_exact(MAX_CONTROL_PAYLOAD);
        }
        partial.control.extend_from_slice(bytes);
        if !whole {
            return None;
        }
        let payload = mem::take(&mut partial.control);
        self.forget_if_empty();
        Some(Cow::Owned(payload))
    }

    /// The available part of a data frame's payload, unmasked; `None` if it is only collected.
    fn payload<'a>(
        &mut self,
        rules: &Rules,
        fin: bool,
        input: &mut &'a mut [u8],
        spare: &mut dyn FnMut() -> Vec<u8>,
        inflation: &mut Inflation<'_>,
    ) -> Result<Option<Decoded<'a>>, ProtocolError> {
        match self.message {
            Some(InProgress { form: Form::CompressedChunks, .. }) => {
                return self.inflated_first(rules, fin, input, inflation);
            }
            Some(InProgress { form: Form::CompressedJoined, kind }) => {
                return self.inflated(rules, fin, kind, input, inflation);
            }
            _ => {}
        }
        let n = usize::try_from(self.remaining).map_or(input.len(), |remaining| remaining.min(input.len()));
        let bytes = take(input, n);
        if rules.masked {
            self.key = mask::apply(bytes, self.key);
        }
        self.remaining -= n as u64;
        let last = fin && self.remaining == 0;
        if self.remaining == 0 {
            self.position = Position::Header;
        }
        let Some(message) = self.message else { return Ok(None) };
        if last {
            self.message = None;
        }
        if message.form == Form::Chunks {
            return Ok(self.fragment(message.kind, bytes, last)?.map(Decoded::Fragment));
        }
        let begun = self.partial.as_ref().is_some_and(|partial| partial.holds_data());
        if last && !begun {
            self.forget_if_empty();
            return message.kind.borrow_message(bytes).map(|message| Some(Decoded::Message(message)));
        }
        // The rest of this frame will arrive; later fragments are unknown.
        let expected = if fin { self.remaining } else { u64::MAX }.min(rules.message_limit);
        let partial = self.partial.get_or_insert_default();
        if !begun && self.remaining >= LARGE {
            partial.use_memory(message.kind, spare());
        }
        partial.join(message.kind, bytes, usize::try_from(expected).unwrap_or(usize::MAX))?;
        if !last {
            return Ok(None);
        }
        let joined = partial.take_joined(message.kind)?;
        self.forget_if_empty();
        Ok(Some(Decoded::Message(joined)))
    }

    /// The fragment of these bytes; `None` if they hold no whole character.
    fn fragment<'a>(
        &mut self,
        kind: Kind,
        bytes: &'a [u8],
        last: bool,
    ) -> Result<Option<Fragment<'a>>, ProtocolError> {
        let partial = self.partial.get_or_insert_default();
        let (data, fault) = match kind {
            Kind::Binary => (Message::Binary(Cow::Borrowed(bytes)), false),
            Kind::Text => {
                let (text, fault) = partial.utf8.feed_good(bytes);
                (Message::Text(text), fault || (last && !partial.utf8.is_complete()))
            }
        };
        let first = !partial.begun;
        if fault {
            partial.fault = Some(ProtocolError::TextNotUtf8);
            if data.as_bytes().is_empty() {
                return Err(ProtocolError::TextNotUtf8);
            }
            return Ok(Some(Fragment { data, first, last: false }));
        }
        if data.as_bytes().is_empty() && !last {
            return Ok(None);
        }
        partial.begun = !last;
        self.forget_if_empty();
        Ok(Some(Fragment { data, first, last }))
    }
}
