//! What a connection reports to its owner.

use crate::close_code::CloseCode;
use crate::error::Error;
use crate::handshake::{Request, Upgrade};
use core::fmt;
use core::time::Duration;
use std::borrow::Cow;

/// An event on a connection. Borrows from the input of
/// [`Connection::handle_input`](crate::Connection::handle_input), never from the connection, which stays free for
/// answers while an event lives.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Server: an HTTP request without an upgrade. Answer it, now or later, with
    /// [`Connection::respond`](crate::Connection::respond), or as a streaming response with
    /// [`PlainHttp::respond_streaming`](crate::PlainHttp::respond_streaming); a dropped request gets 503.
    Request(Request),
    /// Server: the next part of the body of the last [`Request`](Self::Request), which is
    /// [streaming](Request::is_streaming).
    Body(RequestBody<'a>),
    /// Server: a valid opening handshake. Answer it with [`Connection::accept`](crate::Connection::accept), or reject
    /// it with [`Connection::respond`](crate::Connection::respond); a dropped one gets 503. After a rejection or
    /// a drop, the connection ends with that answer.
    Upgrade(Upgrade),
    /// The WebSocket is open. For a client this is the server's 101; for a server, the one that it sent. It has the
    /// agreed [subprotocol](crate::handshake::subprotocol).
    Open(Box<http::Response<()>>),
    /// A whole message.
    Message(Message<'a>),
    /// A fragment of a fragmented or huge message, where [`Config::delivery`](crate::Config::delivery) is chunked.
    Fragment(Fragment<'a>),
    /// The answer to one of our Pings.
    Pong(Pong),
    /// The outbox was over its high mark and has now fallen to its low mark.
    Drained,
    /// The end: the last event of a connection, exactly once.
    Closed(Box<Closed>),
}

impl Event<'_> {
    /// The same event, owning its data.
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Event::Request(x) => Event::Request(x),
            Event::Body(x) => Event::Body(x.into_owned()),
            Event::Upgrade(x) => Event::Upgrade(x),
            Event::Open(x) => Event::Open(x),
            Event::Message(x) => Event::Message(x.into_owned()),
            Event::Fragment(x) => Event::Fragment(x.into_owned()),
            Event::Pong(x) => Event::Pong(x),
            Event::Drained => Event::Drained,
            Event::Closed(x) => Event::Closed(x),
        }
    }
}

/// A part of the body of a [streaming](Request::is_streaming) request: any number of [`Data`](Self::Data), and then the
/// end, [`Complete`](Self::Complete) or [`Incomplete`](Self::Incomplete).
///
/// An answer to the request, or dropping it, ends its body early: no further part follows. If the body was not received
/// up to its end, that answer is the last one of the connection (RFC 9112 §9.3), unless at most 64 KiB of a declared
/// length are missing.
///
/// The connection keeps nothing of the body. To slow its peer down, [pause](crate::Connection::pause) the connection.
/// While it is read, the peer must send 30 KiB in each 30 s, or the rest, unless
/// [`HeadRule::min_body_rate`](crate::HeadRule::min_body_rate) says otherwise. A client that waits for `100 Continue`
/// (RFC 9110 §10.1.1) gets it once the earlier requests are answered, with the next call for input or events after the
/// one that emitted the request, unless the request is answered by then or the connection is paused.
#[derive(Clone, Debug)]
pub enum RequestBody<'a> {
    /// The next bytes, at least one. The transport and the client decide how many at a time.
    Data(Cow<'a, [u8]>),
    /// The body is whole. The [time for the answer](crate::Config::answer_timeout) starts now.
    Complete,
    /// The rest does not arrive, for this reason: the peer left, was too slow, or broke a rule; the application or the
    /// server ended the connection. The request cannot be answered, and [`Event::Closed`] follows.
    Incomplete(Box<Error>),
}

impl RequestBody<'_> {
    /// The same part, owning its data.
    pub fn into_owned(self) -> RequestBody<'static> {
        match self {
            RequestBody::Data(data) => RequestBody::Data(Cow::Owned(data.into_owned())),
            RequestBody::Complete => RequestBody::Complete,
            RequestBody::Incomplete(error) => RequestBody::Incomplete(error),
        }
    }
}

/// A whole message (RFC 6455 §5.6). Borrowed when it arrived whole, owned when it was joined from parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text, valid UTF-8.
    Text(Cow<'a, str>),
    /// Bytes.
    Binary(Cow<'a, [u8]>),
}

impl Message<'_> {
    /// The same message, owning its data.
    pub fn into_owned(self) -> Message<'static> {
        match self {
            Message::Text(text) => Message::Text(Cow::Owned(text.into_owned())),
            Message::Binary(data) => Message::Binary(Cow::Owned(data.into_owned())),
        }
    }

    /// The text, if this is a text message.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Message::Text(text) => Some(text),
            Message::Binary(_) => None,
        }
    }

    /// The payload, of either type.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(data) => data,
        }
    }

    /// Whether the message is text.
    pub fn is_text(&self) -> bool {
        matches!(self, Message::Text(_))
    }
}

impl<'a> From<&'a str> for Message<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Message<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl<'a> From<&'a [u8]> for Message<'a> {
    fn from(data: &'a [u8]) -> Self {
        Self::Binary(data.into())
    }
}

impl From<Vec<u8>> for Message<'_> {
    fn from(data: Vec<u8>) -> Self {
        Self::Binary(data.into())
    }
}

/// A fragment of a message that is delivered as it arrives (RFC 6455 §5.4). Text is cut at characters, so a
/// fragment need not be exactly what one frame carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// The data, with the type of the whole message.
    pub data: Message<'a>,
    /// Whether this is the first fragment of its message; later ones continue it.
    pub first: bool,
    /// Whether this is the last fragment: FIN.
    pub last: bool,
}

impl Fragment<'_> {
    /// The same fragment, owning its data.
    pub fn into_owned(self) -> Fragment<'static> {
        Fragment { data: self.data.into_owned(), first: self.first, last: self.last }
    }
}

impl<'a> From<Message<'a>> for Fragment<'a> {
    /// A whole message: the first fragment is the last.
    fn from(data: Message<'a>) -> Self {
        Fragment { data, first: true, last: true }
    }
}

/// The answer to one of our pings (RFC 6455 §5.5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pong {
    /// The time from the ping to its answer.
    pub latency: Duration,
}

/// Which side started the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initiator {
    /// This side: the application closed, or we failed the connection.
    Local,
    /// The peer: its Close, its end of the stream, its reset.
    Remote,
}

/// Why and how a connection ended.
///
/// `Display` and `Debug` format it as a sentence for a log. The code in it is the peer's, also where this side closed:
/// then it is the peer's answer, and [`sent`](Self::sent) has ours.
#[derive(Clone)]
#[non_exhaustive]
pub struct Closed {
    /// The peer's close code: that of the first Close received, regardless of later failures (RFC 6455 §7.1.5); see
    /// [`clean`](Self::clean) and [`error`](Self::error) for the rest. [`CloseCode::NO_STATUS`] when its Close had
    /// none, [`CloseCode::ABNORMAL`] when there was no Close.
    pub code: CloseCode,
    /// The peer's reason; may be empty.
    pub reason: String,
    /// Whether both sides sent a Close, and nothing failed (RFC 6455 §7.1.4).
    pub clean: bool,
    /// Which side started the end.
    pub initiator: Initiator,
    /// The first cause, unless the close was orderly.
    pub error: Option<Error>,
    /// The code of our Close, if it was written to the transport.
    pub sent: Option<CloseCode>,
    /// Whether the WebSocket was ever open; `false` for plain HTTP and for failed handshakes.
    pub was_open: bool,
    /// Bytes received from the peer, HTTP included.
    pub bytes_received: u64,
    /// Bytes written to the peer, HTTP included.
    pub bytes_sent: u64,
    /// Whether this side was not reading when the end began: its application had [paused](crate::Connection::pause) the
    /// connection, or did not drive it. The peer's last messages may then be unread; where [`clean`](Self::clean) is
    /// true, its Close was still read.
    pub reading_paused: bool,
    /// The time from the connection's creation to its end.
    pub age: Duration,
}

/// A connection that was lost at once, for testing code that handles closes: its fields can be set.
impl Default for Closed {
    fn default() -> Self {
        Self {
            code: CloseCode::ABNORMAL,
            reason: String::new(),
            clean: false,
            initiator: Initiator::Remote,
            error: None,
            sent: None,
            was_open: false,
            bytes_received: 0,
            bytes_sent: 0,
            reading_paused: false,
            age: Duration::ZERO,
        }
    }
}

/// A close that is not orderly is an error to code that reads messages.
impl core::error::Error for Closed {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.error.as_ref().map(|error| error as _)
    }
}

crate::debug_is_display!(Closed);

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (who, by) = match self.initiator {
            Initiator::Local => ("we", "us"),
            Initiator::Remote => ("the peer", "the peer"),
        };
        // What failed after a side had begun to close is not why it did.
        let failure = self.error.as_ref().filter(|error| match self.initiator {
            Initiator::Local => matches!(error, Error::Eof | Error::RequestCutOff | Error::Io(_)),
            Initiator::Remote => self.code != CloseCode::ABNORMAL,
        });
        let is_local = self.initiator == Initiator::Local;
        match &self.error {
            Some(error) if failure.is_none() => write!(f, "ended by {by}: {error}")?,
            Some(_) if self.was_open && is_local => f.write_str("we closed the connection")?,
            _ if self.was_open => match self.sent {
                Some(sent) if is_local && sent != self.code => {
                    write!(
                        f,
                        "we closed the connection with {}; the peer answered {}",
                        sent.get(),
                        self.code
                    )?;
                }
                _ => write!(f, "{who} closed the connection: {}", self.code)?,
            },
            _ => write!(f, "{who} ended the HTTP connection")?,
        }
        if !self.reason.is_empty() {
            write!(f, " ({:?})", self.reason)?;
        }
        if let Some(failure) = failure {
            write!(f, "; then {failure}")?;
        }
        if self.reading_paused {
            f.write_str("; reading was paused on this side")?;
        }
        match self.sent {
            Some(sent) if self.error.is_some() => write!(f, "; sent close {}", sent.get())?,
            _ => {}
        }
        write!(
            f,
            "; {} bytes in, {} bytes out, after {:.1} s",
            self.bytes_received,
            self.bytes_sent,
            self.age.as_secs_f32()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Timeout;
    use std::io::ErrorKind;

    /// The text up to the bytes.
    fn shown(initiator: Initiator, code: u16, sent: Option<u16>, error: Option<Error>) -> String {
        let sent = sent.map(CloseCode::from);
        let closed =
            Closed { initiator, code: code.into(), sent, error, was_open: true, ..Closed::default() };
        closed.to_string().split("; 0 bytes").next().unwrap().to_owned()
    }

    #[test]
    fn the_side_that_ended_it_and_the_cause_agree() {
        use Initiator::{Local, Remote};
        let reset = || Some(Error::Io(ErrorKind::ConnectionReset));
        let late = || Some(Error::Timeout(Timeout::Close));
        let eof = "the peer ended the connection without a close frame";
        for (text, expected) in [
            (shown(Local, 1000, Some(1000), None), "we closed the connection: 1000 normal closure".to_owned()),
            (shown(Remote, 1006, None, Some(Error::Eof)), format!("ended by the peer: {eof}")),
            (shown(Local, 1006, Some(1000), Some(Error::Eof)), format!("we closed the connection; then {eof}; sent close 1000")),
            (shown(Local, 1006, None, reset()), "we closed the connection; then the transport failed: connection reset".to_owned()),
            (shown(Remote, 1006, None, reset()), "ended by the peer: the transport failed: connection reset".to_owned()),
            (
                shown(Remote, 1001, None, reset()),
                "the peer closed the connection: 1001 going away; then the transport failed: connection reset".to_owned(),
            ),
            (
                shown(Remote, 1001, Some(1001), late()),
                "the peer closed the connection: 1001 going away; then the closing handshake took too long; sent close 1001".to_owned(),
            ),
            (shown(Local, 1006, Some(1000), late()), "ended by us: the closing handshake took too long; sent close 1000".to_owned()),
        ] {
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn an_event_is_cheap_to_move() {
        assert!(size_of::<Event<'_>>() <= 40, "{} bytes", size_of::<Event<'_>>());
    }
}
