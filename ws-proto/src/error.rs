//! Errors by blame: the peer's ([`ProtocolError`], [`HandshakeError`]), the network's and the clock's
//! ([`Error`]), and the application's own misuse ([`SendError`]).

use crate::close::CloseCode;
use bytes::Bytes;
use core::fmt;
use http::StatusCode;

/// Why a connection ended otherwise than by a completed closing handshake.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The peer broke the WebSocket protocol or one of our limits.
    Protocol(ProtocolError),
    /// The peer's HTTP or its opening handshake was refused, or refused us.
    Handshake(HandshakeError),
    /// A deadline passed.
    Timeout(Timeout),
    /// The peer closed TCP without a Close frame.
    Eof,
    /// The transport failed, or the connection was given up by its owner.
    Lost(Cause),
    /// All connections together held more than they may, and this one moved least for what it held.
    Memory {
        /// How many bytes all of them held.
        held: usize,
        /// The [limit](crate::Memory::limit).
        limit: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(e) => e.fmt(f),
            Self::Handshake(e) => e.fmt(f),
            Self::Timeout(e) => e.fmt(f),
            Self::Eof => f.write_str("the peer ended the connection without a close frame"),
            Self::Lost(cause) => cause.fmt(f),
            Self::Memory { held, limit } => write!(
                f,
                "all connections together held {held} bytes, over the limit of {limit}, and this one moved least for \
                 what it held; raise the limit with ServerConfig::memory_limit"
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Protocol(e) => Some(e),
            Self::Handshake(e) => Some(e),
            _ => None,
        }
    }
}

impl From<ProtocolError> for Error {
    fn from(e: ProtocolError) -> Self {
        Self::Protocol(e)
    }
}

impl From<HandshakeError> for Error {
    fn from(e: HandshakeError) -> Self {
        Self::Handshake(e)
    }
}

/// What ended a connection from below or from beside it: the argument of
/// [`Connection::abort`](crate::Connection::abort).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// Reading or writing failed.
    Io(std::io::ErrorKind),
    /// The application ended the connection at once, without a closing handshake.
    Terminated,
    /// The server stopped, and its deadline passed before the connection was done.
    Stopped,
}

impl From<std::io::Error> for Cause {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error.kind())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(kind) => write!(f, "the transport failed: {kind}"),
            Self::Terminated => f.write_str("the application terminated the connection"),
            Self::Stopped => f.write_str("the server stopped before the connection was done"),
        }
    }
}

/// Which deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Timeout {
    /// The opening handshake, or the head of an HTTP request, took too long.
    Handshake,
    /// The body of a request came too slowly.
    Body,
    /// The heartbeat was not answered.
    Heartbeat,
    /// The closing handshake took too long.
    Close,
    /// The peer took no output for too long, or less than [`min_output_rate`](crate::Config::min_output_rate) asks for.
    Output,
    /// An HTTP connection was kept alive, and no further request came.
    KeepAlive,
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handshake => "the handshake took too long",
            Self::Body => "the request body came too slowly",
            Self::Heartbeat => "the peer did not answer the heartbeat",
            Self::Close => "the closing handshake took too long",
            Self::Output => {
                "the peer stopped reading what was sent to it, or took less than Config::min_output_rate asks for"
            }
            Self::KeepAlive => "no further request came on a kept-alive connection",
        })
    }
}

/// How the peer broke RFC 6455, or a limit. Each maps to one close code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A reserved bit is set that no extension gave a meaning (§5.2).
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
    /// A compressed message whose bytes are no deflate stream, or end inside one (RFC 7692 §7.2.2).
    DeflateInvalid,
    /// A compressed message that became too many times larger than it came.
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
    /// The close code that tells the peer (§7.4.1). One of the two tables from error to wire; the other is
    /// [`HandshakeError::status`].
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

    /// A short reason for the Close frame; it fits the 123 bytes of §5.5.1.
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
            Self::ContinuationUnexpected => "continuation of nothing",
            Self::ContinuationExpected => "new message inside a fragmented one",
            Self::CloseTooShort => "close body of one byte",
            Self::CloseCodeInvalid(_) => "invalid close code",
            Self::CloseReasonNotUtf8 => "close reason is not UTF-8",
            Self::TextNotUtf8 => "text is not UTF-8",
            Self::MessageTooBig { .. } => "message too big",
            Self::DeflateInvalid => "compressed message is no deflate stream",
            Self::CompressionRatio { .. } => "compressed message grows too much",
            Self::Flood { .. } => "too many frames without content",
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedOpcode(opcode) => write!(f, "the peer sent the reserved opcode {opcode:#x}"),
            Self::CloseCodeInvalid(code) => write!(f, "the peer sent the invalid close code {code}"),
            Self::MessageTooBig { limit } => {
                write!(
                    f,
                    "the peer sent a message over the limit of {limit} bytes; raise it with Config::message_limit"
                )
            }
            Self::CompressionRatio { limit } => {
                write!(
                    f,
                    "the peer sent a compressed message that became more than {limit} times larger; raise it with \
                     Deflate::ratio_limit"
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

/// What was wrong with the peer's HTTP or with its half of the opening handshake (RFC 6455 §4, RFC 9112).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum HandshakeError {
    // --- a server about a client's request
    /// The request breaks the grammar of HTTP/1.1; says where.
    Malformed(&'static str),
    /// The request target is over the limit.
    TargetTooLong,
    /// The head of the request is over the limit, in bytes or in header fields.
    HeadTooLarge,
    /// The body is over the limit.
    BodyTooLarge,
    /// Not HTTP/1.0 or HTTP/1.1.
    VersionNotSupported,
    /// A transfer coding other than `chunked` alone.
    TransferCoding,
    /// A method that this server never serves: CONNECT, TRACE.
    MethodNotImplemented,
    /// An `Expect` other than `100-continue`.
    Expectation,
    /// The `Host` is not one of ours: a rebound name, or one that must be allowed first.
    HostNotAllowed(String),
    /// The `Origin` may not talk to this server.
    OriginNotAllowed(String),
    /// A WebSocket handshake by another method than GET (§4.1).
    UpgradeNotGet,
    /// A WebSocket version other than 13 (§4.4).
    WebSocketVersion,
    /// A handshake header is missing, repeated or malformed; says which.
    UpgradeMalformed(&'static str),
    /// The application did not answer in time, or dropped the request.
    Unanswered,
    /// The application dropped an answer that it had begun to give in pieces, or gave less than it declared.
    Unfinished,
    /// The peer ended the connection while it was being answered.
    Abandoned,
    /// The request did not arrive in time.
    TooSlow,

    // --- a client about a server's response
    /// The response breaks the grammar of HTTP/1.1; says where.
    ResponseMalformed(&'static str),
    /// The head of the response is over the limit.
    ResponseTooLarge,
    /// The server answered with another status than 101: its whole answer, with as much of the body as the
    /// limit allows.
    Refused(Box<http::Response<Bytes>>),
    /// A 101 whose handshake headers are wrong (§4.1); says which.
    AcceptInvalid(&'static str),
}

impl HandshakeError {
    /// The status that answers the request, for faults of a client; `None` for those of a server, which
    /// nobody can answer. One of the two tables from error to wire; the other is
    /// [`ProtocolError::close_code`].
    pub const fn status(&self) -> Option<StatusCode> {
        Some(match self {
            Self::Malformed(_) | Self::UpgradeMalformed(_) => StatusCode::BAD_REQUEST,
            Self::OriginNotAllowed(_) => StatusCode::FORBIDDEN,
            Self::UpgradeNotGet => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::HostNotAllowed(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::WebSocketVersion => StatusCode::UPGRADE_REQUIRED,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TransferCoding | Self::MethodNotImplemented => StatusCode::NOT_IMPLEMENTED,
            Self::Unanswered => StatusCode::SERVICE_UNAVAILABLE,
            Self::VersionNotSupported => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Unfinished
            | Self::Abandoned
            | Self::ResponseMalformed(_)
            | Self::ResponseTooLarge
            | Self::Refused(_)
            | Self::AcceptInvalid(_) => return None,
        })
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "malformed request: {what}"),
            Self::TargetTooLong => f.write_str("the request target is too long"),
            Self::HeadTooLarge => f.write_str("the request head is too large"),
            Self::BodyTooLarge => f.write_str("the request body is too large"),
            Self::VersionNotSupported => f.write_str("only HTTP/1.0 and HTTP/1.1 are spoken here"),
            Self::TransferCoding => f.write_str("no transfer coding but chunked is understood"),
            Self::MethodNotImplemented => f.write_str("this method is not implemented"),
            Self::Expectation => f.write_str("no expectation but 100-continue can be met"),
            Self::HostNotAllowed(host) => write!(
                f,
                "the host {host:?} is not one of this server's; if it is, allow it with Config::allow_host"
            ),
            Self::OriginNotAllowed(origin) => write!(
                f,
                "the origin {origin:?} may not use this server; if it may, allow it with Config::allow_origin"
            ),
            Self::UpgradeNotGet => f.write_str("a WebSocket handshake must be a GET"),
            Self::WebSocketVersion => f.write_str("only version 13 of WebSocket is spoken here"),
            Self::UpgradeMalformed(what) => write!(f, "malformed WebSocket handshake: {what}"),
            Self::Unanswered => f.write_str("the application did not answer the request"),
            Self::Unfinished => f.write_str("the application did not finish its answer"),
            Self::Abandoned => f.write_str("the peer ended the connection while it was being answered"),
            Self::TooSlow => f.write_str("the request did not arrive in time"),
            Self::ResponseMalformed(what) => write!(f, "malformed response: {what}"),
            Self::ResponseTooLarge => f.write_str("the head of the response is too large"),
            Self::Refused(response) => write!(f, "the server answered {}", response.status()),
            Self::AcceptInvalid(what) => write!(f, "the server's handshake is wrong: {what}"),
        }
    }
}

impl std::error::Error for HandshakeError {}

/// What the application asked for and cannot have. Nothing was queued, and the connection goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is not open: it has ended or is about to; for messages, also when it is still in its handshake.
    NotOpen,
    /// The outbox is at its cap: wait for [`Event::Drained`](crate::Event::Drained), or close the connection. Where
    /// whole messages wait behind one that is being sent in fragments, send its last fragment.
    Full,
    /// Nobody polls the connection, so that nothing is written, and there was no room for as long as output may wait:
    /// await its [`next`] beside the send.
    ///
    /// [`next`]: https://docs.rs/ws-server-smol
    NotPolled,
    /// A control frame carries at most 125 bytes (§5.5).
    ControlTooLong(usize),
    /// A fragment out of order: a continuation of nothing, a new message inside a fragmented one, or a
    /// control frame in pieces (§5.4).
    FragmentOrder,
    /// A text frame whose payload is not UTF-8 (§8.1).
    NotUtf8,
    /// A Close frame is sent with [`Connection::close`](crate::Connection::close).
    CloseFrame,
    /// A code that must not be sent (§7.4).
    CloseCodeInvalid(CloseCode),
    /// A close reason of more than 123 bytes (§5.5.1).
    CloseReasonTooLong(usize),
    /// The request belongs to another connection, was answered already, or its time is over.
    WrongRequest,
    /// A header that this response may not carry, since the connection itself writes it or since it would
    /// break the message; says which.
    ResponseHeader(String),
    /// A status that an application may not answer with: 1xx.
    ResponseStatus(StatusCode),
    /// The pieces of a body do not make the length that was declared for it.
    BodyLength {
        /// How many bytes of that length are left.
        left: u64,
    },
    /// A subprotocol that the client did not offer.
    SubprotocolNotOffered(String),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOpen => f.write_str("the connection is not open"),
            Self::Full => {
                f.write_str("the outbox is full: wait until it has drained, or close the connection")
            }
            Self::NotPolled => f.write_str(
                "there is no room, and nobody polls the connection, which would make some: await its next() beside \
                 the send",
            ),
            Self::ControlTooLong(n) => write!(f, "a control frame carries at most 125 bytes, not {n}"),
            Self::FragmentOrder => f.write_str("a fragment out of order"),
            Self::NotUtf8 => f.write_str("the payload of a text frame must be UTF-8"),
            Self::CloseFrame => f.write_str("a close frame is sent by close()"),
            Self::CloseCodeInvalid(code) => write!(f, "the close code {} must not be sent", code.get()),
            Self::CloseReasonTooLong(n) => write!(f, "a close reason has at most 123 bytes, not {n}"),
            Self::WrongRequest => {
                f.write_str("this connection did not make that request, or it was answered, or its time is over")
            }
            Self::ResponseHeader(name) => write!(f, "the response may not set the header {name:?}"),
            Self::ResponseStatus(status) => write!(f, "an application may not answer with {status}"),
            Self::BodyLength { left } => {
                write!(f, "of the length that was declared for the body {left} bytes are left")
            }
            Self::SubprotocolNotOffered(name) => {
                write!(f, "the client did not offer the subprotocol {name:?}")
            }
        }
    }
}

impl std::error::Error for SendError {}
