//! Faults of the peer in the WebSocket protocol, and in our limits.

use crate::close_code::CloseCode;
use core::fmt;

/// How the peer broke RFC 6455, or a limit. Each maps to one close code.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A reserved bit is set that no extension defines (§5.2).
    ReservedBits,
    /// An opcode that is not defined (§5.2).
    ReservedOpcode(u8),
    /// A client's frame without a mask (§5.1).
    MaskMissing,
    /// A server's frame with a mask (§5.1).
    MaskPresent,
    /// A control frame without FIN (§5.5).
    ControlFragmented,
    /// A control frame of more than 125 bytes (§5.5).
    ControlTooLong,
    /// A payload length in a longer form than it needs (§5.2).
    LengthNotMinimal,
    /// A 64-bit payload length with its highest bit set (§5.2).
    LengthOverflow,
    /// A continuation frame where no message is in progress (§5.4).
    ContinuationUnexpected,
    /// A new data frame inside a fragmented message (§5.4).
    ContinuationExpected,
    /// A Close frame with a body of one byte (§5.5.1).
    CloseTooShort,
    /// A close code that must not be sent (§7.4).
    CloseCodeInvalid(u16),
    /// A close reason that is not UTF-8 (§5.5.1).
    CloseReasonNotUtf8,
    /// A text message that is not UTF-8 (§8.1).
    TextNotUtf8,
    /// A message over our limit (§10.4).
    MessageTooBig {
        /// The limit in bytes.
        limit: u64,
    },
    /// A compressed message whose bytes are not a deflate stream, or end inside one (RFC 7692 §7.2.2).
    DeflateInvalid,
    /// A compressed message that inflated to too many times its size.
    CompressionRatio {
        /// How many times larger it may become.
        limit: u32,
    },
    /// More frames a second than allowed, of a kind that carries nothing: control frames or empty frames.
    Flood {
        /// The limit in frames a second.
        limit: u32,
    },
}

impl ProtocolError {
    /// The close code that reports it to the peer (§7.4.1). One of the two tables from error to wire; the other is
    /// [`RequestError::status`](super::RequestError::status).
    pub const fn close_code(&self) -> CloseCode {
        match self {
            Self::ReservedBits
            | Self::ReservedOpcode(_)
            | Self::MaskMissing
            | Self::MaskPresent
            | Self::ControlFragmented
            | Self::ControlTooLong
            | Self::LengthNotMinimal
            | Self::LengthOverflow
            | Self::ContinuationUnexpected
            | Self::ContinuationExpected
            | Self::CloseTooShort
            | Self::CloseCodeInvalid(_) => CloseCode::PROTOCOL_ERROR,
            Self::CloseReasonNotUtf8 | Self::TextNotUtf8 | Self::DeflateInvalid => CloseCode::INVALID_PAYLOAD,
            Self::MessageTooBig { .. } | Self::CompressionRatio { .. } => CloseCode::TOO_BIG,
            Self::Flood { .. } => CloseCode::POLICY,
        }
    }

    /// A short reason for the Close frame; it fits in the 123 bytes of §5.5.1.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::ReservedBits => "reserved bit set",
            Self::ReservedOpcode(_) => "reserved opcode",
            Self::MaskMissing => "frame not masked",
            Self::MaskPresent => "frame masked by a server",
            Self::ControlFragmented => "fragmented control frame",
            Self::ControlTooLong => "control frame over 125 bytes",
            Self::LengthNotMinimal => "length not in its shortest form",
            Self::LengthOverflow => "length with its highest bit set",
            Self::ContinuationUnexpected => "continuation without a message",
            Self::ContinuationExpected => "new message inside a fragmented one",
            Self::CloseTooShort => "close body of one byte",
            Self::CloseCodeInvalid(_) => "invalid close code",
            Self::CloseReasonNotUtf8 => "close reason is not UTF-8",
            Self::TextNotUtf8 => "text is not UTF-8",
            Self::MessageTooBig { .. } => "message too big",
            Self::DeflateInvalid => "compressed message is not a deflate stream",
            Self::CompressionRatio { .. } => "compressed message grows too much",
            Self::Flood { .. } => "too many frames without content",
        }
    }
}

crate::debug_is_display!(ProtocolError);

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedOpcode(opcode) => write!(f, "the peer sent the reserved opcode {opcode:#x}"),
            Self::CloseCodeInvalid(code) => write!(f, "the peer sent the invalid close code {code}"),
            Self::MessageTooBig { limit } => {
                write!(f, "the peer sent a message over the limit of {limit} bytes; raise message_limit")
            }
            Self::CompressionRatio { limit } => {
                write!(
                    f,
                    "the peer sent a compressed message that inflated to more than {limit} times its size; raise \
                     ratio_limit"
                )
            }
            Self::Flood { limit } => {
                write!(f, "the peer sent more than {limit} frames without content in a second")
            }
            other => write!(f, "the peer broke the protocol: {}", other.reason()),
        }
    }
}

impl std::error::Error for ProtocolError {}
