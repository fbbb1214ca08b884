//! Frames (RFC 6455 §5.2): headers in and out, and [`Frame`], a message encoded once.

pub(crate) mod assemble;
pub(crate) mod decode;
pub(crate) mod mask;
pub(crate) mod utf8;

use crate::config::heartbeat::MAX_CONTROL_PAYLOAD;
use crate::deflate::{CompressionHint, Shared};
use crate::error::{ProtocolError, SendError};
use crate::event::Message;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// Payloads up to this are copied even where they could be shared: it costs less than one more slice.
pub(crate) const COPY_UP_TO: usize = 1024;
/// The compression bit, on the first frame of a message (RFC 7692 §6).
pub(crate) const RSV1: u8 = 0x40;
/// The longest header: two bytes, a 64-bit length, a masking key.
pub(crate) const MAX_HEADER: usize = 14;

/// The kind of a frame (§11.8).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Opcode {
    /// Continues the message in progress.
    Continuation,
    /// Text, UTF-8.
    Text,
    /// Bytes.
    Binary,
    /// Ends the connection.
    Close,
    /// Requests a Pong.
    Ping,
    /// Answers a Ping, or is a one-way heartbeat.
    Pong,
}

impl Opcode {
    /// Whether frames of this kind control the connection, rather than carry a message.
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    pub(crate) const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    #[inline]
    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }
}

/// A received frame header, checked for everything that the header alone decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) opcode: Opcode,
    pub(crate) fin: bool,
    pub(crate) compressed: bool,
    pub(crate) len: u64,
    pub(crate) key: [u8; 4],
}

/// How a header starts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// The header and its own length in bytes.
    Whole(Header, usize),
    /// More bytes are needed.
    Partial,
}

/// Reads a header. `masked` is whether the peer must mask, `compressible` whether it may compress. A fault is
/// reported as soon as the bytes show it.
#[inline]
pub(crate) fn parse_header(input: &[u8], masked: bool, compressible: bool) -> Result<Parsed, ProtocolError> {
    let Some(&first) = input.first() else { return Ok(Parsed::Partial) };
    let compressed = first & RSV1 != 0;
    let begins_message = matches!(first & 0x0f, 1 | 2);
    if first & 0x30 != 0 || compressed && !(compressible && begins_message) {
        return Err(ProtocolError::ReservedBits);
    }
    let fin = first & 0x80 != 0;
    let Some(opcode) = Opcode::from_bits(first & 0x0f) else {
        return Err(ProtocolError::ReservedOpcode(first & 0x0f));
    };
    if opcode.is_control() && !fin {
        return Err(ProtocolError::ControlFragmented);
    }
    let Some(&second) = input.get(1) else { return Ok(Parsed::Partial) };
    if (second & 0x80 != 0) != masked {
        return Err(if masked { ProtocolError::MaskMissing } else { ProtocolError::MaskPresent });
    }
    let short = second & 0x7f;
    if opcode.is_control() && short > MAX_CONTROL_PAYLOAD as u8 {
        return Err(ProtocolError::ControlTooLong);
    }
    let (len, at) = match short {
        126 => {
            let Some(bytes) = input.get(2..4) else { return Ok(Parsed::Partial) };
            let len = u64::from(u16::from_be_bytes([bytes[0], bytes[1]]));
            if len < 126 {
                return Err(ProtocolError::LengthNotMinimal);
            }
            (len, 4)
        }
        127 => {
            if input.get(2).is_some_and(|byte| byte & 0x80 != 0) {
                return Err(ProtocolError::LengthOverflow);
            }
            let Some(bytes) = input.get(2..10) else { return Ok(Parsed::Partial) };
            let mut be = [0; 8];
            be.copy_from_slice(bytes);
            let len = u64::from_be_bytes(be);
            if len <= 0xffff {
                return Err(ProtocolError::LengthNotMinimal);
            }
            (len, 10)
        }
        len => (u64::from(len), 2),
    };
    if !masked {
        return Ok(Parsed::Whole(Header { opcode, fin, compressed, len, key: [0; 4] }, at));
    }
    let Some(bytes) = input.get(at..at + 4) else { return Ok(Parsed::Partial) };
    let key = [bytes[0], bytes[1], bytes[2], bytes[3]];
    Ok(Parsed::Whole(Header { opcode, fin, compressed, len, key }, at + 4))
}

/// The first byte of an uncompressed frame.
#[inline(always)]
pub(crate) const fn first_byte(fin: bool, opcode: Opcode) -> u8 {
    (fin as u8) << 7 | opcode.bits()
}

/// Appends a header with the shortest length form (§5.2). With a constant `None` as key, most of it compiles away.
#[inline(always)]
pub(crate) fn write_header(out: &mut Vec<u8>, first: u8, len: usize, key: Option<[u8; 4]>) {
    let mask = (key.is_some() as u8) << 7;
    match len {
        0..=125 => out.extend_from_slice(&[first, mask | len as u8]),
        126..=0xffff => {
            let [a, b] = (len as u16).to_be_bytes();
            out.extend_from_slice(&[first, mask | 126, a, b]);
        }
        _ => {
            out.extend_from_slice(&[first, mask | 127]);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    if let Some(key) = key {
        out.extend_from_slice(&key);
    }
}

/// The length of the frame whose header, written by us, is at the front.
pub(crate) fn encoded_len(front: &[u8]) -> usize {
    let [_, second, rest @ ..] = front else { return front.len() };
    let key = if second & 0x80 == 0 { 0 } else { 4 };
    let (len, header) = match (second & 0x7f, rest) {
        (126, [a, b, ..]) => (u64::from(u16::from_be_bytes([*a, *b])), 4),
        (127, _) => (rest.first_chunk().map_or(0, |len| u64::from_be_bytes(*len)), 10),
        (len, _) => (u64::from(len), 2),
    };
    usize::try_from(len).unwrap_or(usize::MAX).saturating_add(header + key)
}

/// A message, a fragment or a Ping to send, validated and ready; clones share it.
///
/// Made once, it can be sent to any number of connections: a broadcast.
///
/// ```
/// use ws_proto::{Frame, Opcode};
///
/// let hello = Frame::text("hello");
/// let data = Frame::binary(vec![1, 2, 3]);
/// let first = Frame::raw(Opcode::Text, false, "in two ")?;
/// let last = Frame::raw(Opcode::Continuation, true, "pieces")?;
/// assert!(Frame::raw(Opcode::Ping, false, "").is_err());
/// # Ok::<(), ws_proto::SendError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Frame {
    pub(crate) opcode: Opcode,
    pub(crate) fin: bool,
    pub(crate) payload: Bytes,
    /// A small frame as a server sends it, header and payload; `payload` is its end. Empty for a large one, whose
    /// payload is not copied.
    pub(crate) encoded: Bytes,
    pub(crate) compression: CompressionHint,
    /// The message as compressed for many; only for a whole message.
    pub(crate) shared: Option<Shared>,
}

impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        (self.opcode, self.fin, self.compression, &self.payload)
            == (other.opcode, other.fin, other.compression, &other.payload)
    }
}

impl Eq for Frame {}

/// A received message, to be sent to many. Borrowed data is copied.
///
/// ```
/// use ws_proto::{Frame, Message};
///
/// assert_eq!(Frame::from(Message::Text("hello".into())), Frame::text("hello"));
/// ```
impl From<Message<'_>> for Frame {
    fn from(message: Message<'_>) -> Self {
        match message {
            Message::Text(text) => Self::text(text),
            Message::Binary(data) => Self::binary(data.into_owned()),
        }
    }
}

impl Frame {
    /// A whole text message.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(Opcode::Text, true, Bytes::from(text.into()))
    }

    /// A whole binary message.
    pub fn binary(data: impl Into<Bytes>) -> Self {
        Self::new(Opcode::Binary, true, data.into())
    }

    fn new(opcode: Opcode, fin: bool, payload: Bytes) -> Self {
        let is_message = fin && matches!(opcode, Opcode::Text | Opcode::Binary);
        let shared = is_message.then(Shared::default);
        if payload.len() > COPY_UP_TO {
            return Self { shared, ..Self::unencoded(opcode, fin, payload) };
        }
        let mut encoded = Vec::with_capacity(MAX_HEADER + payload.len());
        write_header(&mut encoded, first_byte(fin, opcode), payload.len(), None);
        let header = encoded.len();
        encoded.extend_from_slice(&payload);
        let encoded = Bytes::from(encoded);
        Self { encoded: encoded.clone(), shared, ..Self::unencoded(opcode, fin, encoded.slice(header..)) }
    }

    pub(crate) fn unencoded(opcode: Opcode, fin: bool, payload: Bytes) -> Self {
        let compression = CompressionHint::ByLength;
        Self { opcode, fin, payload, encoded: Bytes::new(), compression, shared: None }
    }

    /// The same frame, compressed regardless of its length, where compression was negotiated.
    #[must_use]
    pub fn with_compression(self) -> Self {
        Self { compression: CompressionHint::With, ..self }
    }

    /// The same frame, never compressed: for data that is compressed already, and for secrets beside text that a
    /// stranger chose. For a message in fragments, set it on the first one.
    #[must_use]
    pub fn without_compression(self) -> Self {
        Self { compression: CompressionHint::Without, ..self }
    }

    /// Whether it is a whole message, encoded as a server sends it.
    #[inline]
    pub(crate) fn is_small_message(&self) -> bool {
        self.fin && matches!(self.opcode, Opcode::Text | Opcode::Binary) && !self.encoded.is_empty()
    }

    /// A Ping (§5.5.2).
    ///
    /// # Errors
    /// [`SendError::ControlTooLong`] over 125 bytes.
    pub fn ping(payload: impl Into<Bytes>) -> Result<Self, SendError> {
        Self::raw(Opcode::Ping, true, payload)
    }

    /// An unsolicited Pong (§5.5.3).
    ///
    /// # Errors
    /// [`SendError::ControlTooLong`] over 125 bytes.
    pub fn pong(payload: impl Into<Bytes>) -> Result<Self, SendError> {
        Self::raw(Opcode::Pong, true, payload)
    }

    /// Any frame, for protocol experts: a frame that would break the protocol is rejected. Whether a fragment fits the
    /// one before it is checked on sending.
    ///
    /// A text message in one frame must be UTF-8; fragments of one are checked as they are sent.
    ///
    /// # Errors
    /// [`SendError::ControlTooLong`], [`SendError::FragmentOrder`] for a control frame without FIN,
    /// [`SendError::NotUtf8`], and [`SendError::CloseFrame`], since
    /// [`Connection::close`](crate::Connection::close) sends those.
    pub fn raw(opcode: Opcode, fin: bool, payload: impl Into<Bytes>) -> Result<Self, SendError> {
        let payload = payload.into();
        match opcode {
            Opcode::Close => return Err(SendError::CloseFrame),
            Opcode::Ping | Opcode::Pong if !fin => return Err(SendError::FragmentOrder),
            Opcode::Ping | Opcode::Pong if payload.len() > MAX_CONTROL_PAYLOAD => {
                return Err(SendError::ControlTooLong(payload.len()));
            }
            Opcode::Text if fin && utf8::check(&payload).is_err() => {
                return Err(SendError::NotUtf8);
            }
            _ => {}
        }
        Ok(Self::new(opcode, fin, payload))
    }

    /// The kind of this frame.
    pub fn opcode(&self) -> Opcode {
        self.opcode
    }

    /// Whether FIN is set.
    pub fn fin(&self) -> bool {
        self.fin
    }

    /// Whether it ends a message: false for control frames and for fragments before the last.
    #[inline]
    pub fn ends_message(&self) -> bool {
        self.fin && !self.opcode.is_control()
    }

    /// The payload.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }
}
