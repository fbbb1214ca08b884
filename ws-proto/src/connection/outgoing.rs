//! What an application can send.

use crate::connection::{Connection, Sent};
use crate::error::SendError;
use crate::event::Message;
use crate::frame::{Frame, Opcode};
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// What can be sent: the argument of [`Connection::send`], converted automatically from these types.
///
/// | from | sends |
/// |---|---|
/// | `&str`, `String`, `&String`, `Cow<str>` | a text message |
/// | `&[u8]`, `&[u8; N]`, `Vec<u8>`, `&Vec<u8>`, `Cow<[u8]>`, [`Bytes`] | a binary message |
/// | [`Message`], `&Message` | a message as it was received |
/// | [`Frame`], `&Frame` | a message made once for many connections, a fragment, a Ping or a Pong |
///
/// Borrowed data is copied into the outbox; owned data moves there if it is large.
///
/// ```
/// use ws_proto::{Connection, Frame, Message, SendError};
///
/// fn greet(connection: &mut Connection, message: Message<'_>) -> Result<(), SendError> {
///     connection.send("hello")?;
///     connection.send(vec![1, 2, 3])?;
///     connection.send(message)?;
///     connection.send(&Frame::text("to many"))?;
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Outgoing<'a>(Kind<'a>);

#[derive(Clone, Debug)]
enum Kind<'a> {
    Message(Message<'a>),
    Bytes(Bytes),
    Frame(&'a Frame),
    OwnedFrame(Frame),
}

impl Outgoing<'_> {
    /// The length of the payload in bytes.
    pub fn len(&self) -> usize {
        match &self.0 {
            Kind::Message(message) => message.as_bytes().len(),
            Kind::Bytes(data) => data.len(),
            Kind::Frame(frame) => frame.payload.len(),
            Kind::OwnedFrame(frame) => frame.payload.len(),
        }
    }

    /// Whether the payload is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it ends a message: everything but Pings, Pongs and fragments before the last.
    #[inline]
    pub fn ends_message(&self) -> bool {
        match &self.0 {
            Kind::Message(_) | Kind::Bytes(_) => true,
            Kind::Frame(frame) => frame.ends_message(),
            Kind::OwnedFrame(frame) => frame.ends_message(),
        }
    }

    /// Borrows it: sending copies the data, except for [`Bytes`] and frames, which are shared.
    pub fn by_ref(&self) -> Outgoing<'_> {
        match &self.0 {
            Kind::Message(message) => message.into(),
            Kind::Bytes(data) => data.clone().into(),
            Kind::Frame(frame) => Outgoing(Kind::Frame(frame)),
            Kind::OwnedFrame(frame) => frame.into(),
        }
    }

    /// The same, owning its data.
    pub fn into_owned(self) -> Outgoing<'static> {
        match self.0 {
            Kind::Message(message) => message.into_owned().into(),
            Kind::Bytes(data) => data.into(),
            Kind::Frame(frame) => frame.clone().into(),
            Kind::OwnedFrame(frame) => frame.into(),
        }
    }
}

impl Connection {
    /// Sends a message, or a frame: a fragment, a Ping, a message made once for many. To send to many,
    /// [`send_shared`](Self::send_shared) is cheaper where messages are compressed.
    ///
    /// While a message is being sent in fragments, whole messages wait for its last one; control frames do not (RFC
    /// 6455 §5.4).
    ///
    /// # Errors
    /// [`SendError::NotOpen`], [`SendError::Full`], and for fragments [`SendError::FragmentOrder`] and
    /// [`SendError::NotUtf8`]. Nothing was queued then.
    #[inline]
    pub fn send<'m>(&mut self, outgoing: impl Into<Outgoing<'m>>) -> Result<Sent, SendError> {
        match outgoing.into().0 {
            Kind::Message(Message::Text(Cow::Borrowed(text))) => {
                self.send_copied(Opcode::Text, text.as_bytes())
            }
            Kind::Message(Message::Binary(Cow::Borrowed(data))) => self.send_copied(Opcode::Binary, data),
            Kind::Message(Message::Text(Cow::Owned(text))) => self.send_owned(Opcode::Text, text.into()),
            Kind::Message(Message::Binary(Cow::Owned(data))) => self.send_owned(Opcode::Binary, data.into()),
            Kind::Bytes(data) => self.send_owned(Opcode::Binary, data),
            Kind::Frame(frame) => self.send_frame(frame),
            Kind::OwnedFrame(frame) => self.send_frame(&frame),
        }
    }
}

impl<'a> From<Message<'a>> for Outgoing<'a> {
    #[inline]
    fn from(message: Message<'a>) -> Self {
        Self(Kind::Message(message))
    }
}

impl<'a> From<&'a Message<'_>> for Outgoing<'a> {
    #[inline]
    fn from(message: &'a Message<'_>) -> Self {
        match message {
            Message::Text(text) => text.as_ref().into(),
            Message::Binary(data) => data.as_ref().into(),
        }
    }
}

impl<'a> From<Cow<'a, str>> for Outgoing<'a> {
    #[inline]
    fn from(text: Cow<'a, str>) -> Self {
        Self(Kind::Message(Message::Text(text)))
    }
}

impl<'a> From<&'a str> for Outgoing<'a> {
    #[inline]
    fn from(text: &'a str) -> Self {
        Cow::Borrowed(text).into()
    }
}

impl<'a> From<&'a String> for Outgoing<'a> {
    #[inline]
    fn from(text: &'a String) -> Self {
        text.as_str().into()
    }
}

impl From<String> for Outgoing<'_> {
    #[inline]
    fn from(text: String) -> Self {
        Self(Kind::Message(Message::Text(Cow::Owned(text))))
    }
}

impl<'a> From<Cow<'a, [u8]>> for Outgoing<'a> {
    #[inline]
    fn from(data: Cow<'a, [u8]>) -> Self {
        Self(Kind::Message(Message::Binary(data)))
    }
}

impl<'a> From<&'a [u8]> for Outgoing<'a> {
    #[inline]
    fn from(data: &'a [u8]) -> Self {
        Cow::Borrowed(data).into()
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Outgoing<'a> {
    #[inline]
    fn from(data: &'a [u8; N]) -> Self {
        data.as_slice().into()
    }
}

impl<'a> From<&'a Vec<u8>> for Outgoing<'a> {
    #[inline]
    fn from(data: &'a Vec<u8>) -> Self {
        data.as_slice().into()
    }
}

impl From<Vec<u8>> for Outgoing<'_> {
    #[inline]
    fn from(data: Vec<u8>) -> Self {
        Self(Kind::Message(Message::Binary(Cow::Owned(data))))
    }
}

impl From<Bytes> for Outgoing<'_> {
    #[inline]
    fn from(data: Bytes) -> Self {
        Self(Kind::Bytes(data))
    }
}

impl From<Frame> for Outgoing<'_> {
    #[inline]
    fn from(frame: Frame) -> Self {
        Self(Kind::OwnedFrame(frame))
    }
}

impl<'a> From<&'a Frame> for Outgoing<'a> {
    #[inline]
    fn from(frame: &'a Frame) -> Self {
        Self(Kind::Frame(frame))
    }
}

#[cfg(test)]
#[expect(clippy::needless_borrows_for_generic_args, reason = "borrowing is a separate case")]
mod tests {
    use super::*;
    use crate::{Config, Moment, Role};
    use alloc::sync::Arc;

    /// The bytes that a server writes for it; borrowed and owned give the same.
    fn written<'a>(outgoing: impl Into<Outgoing<'a>>) -> Vec<u8> {
        let outgoing = outgoing.into();
        let write = |outgoing: Outgoing<'_>| {
            let config = Arc::new(Config::server());
            let mut connection = Connection::upgraded(Moment::default(), config, Role::Server);
            connection.send(outgoing).unwrap();
            let mut out = Vec::new();
            while !connection.outbox().is_empty() {
                out.extend_from_slice(bytes::Buf::chunk(connection.outbox()));
                let len = bytes::Buf::chunk(connection.outbox()).len();
                connection.handle_written(Moment::default(), len);
            }
            out
        };
        let out = write(outgoing.by_ref());
        assert_eq!(out, write(outgoing.clone().into_owned()));
        assert_eq!(out, write(outgoing));
        out
    }

    #[test]
    fn every_outgoing_type_keeps_its_kind() {
        let text = [b"\x81\x02", &b"hi"[..]].concat();
        assert_eq!(written("hi"), text);
        assert_eq!(written(String::from("hi")), text);
        assert_eq!(written(&String::from("hi")), text);
        assert_eq!(written(Cow::Borrowed("hi")), text);
        assert_eq!(written(Message::Text("hi".into())), text);
        assert_eq!(written(&Message::Text("hi".into())), text);
        assert_eq!(written(Frame::text("hi")), text);
        assert_eq!(written(&Frame::text("hi")), text);
        let data = [b"\x82\x02", &b"hi"[..]].concat();
        assert_eq!(written(b"hi"), data);
        assert_eq!(written(&b"hi"[..]), data);
        assert_eq!(written(b"hi".to_vec()), data);
        assert_eq!(written(&b"hi".to_vec()), data);
        assert_eq!(written(Bytes::from_static(b"hi")), data);
        assert_eq!(written(Message::Binary(b"hi".into())), data);
        let ping = Frame::ping("hi").unwrap();
        assert_eq!(written(&ping), [b"\x89\x02", &b"hi"[..]].concat());
        let long = vec![7; 70_000];
        assert_eq!(written(long.clone())[10..], long);
        assert_eq!(written(Bytes::from(long.clone()))[10..], long);
    }

    #[test]
    fn outgoing_reports_length_and_message_end() {
        let fragment = Frame::raw(Opcode::Text, false, "abc").unwrap();
        for (outgoing, len, ends) in [
            (Outgoing::from("abcd"), 4, true),
            (Outgoing::from(&[]), 0, true),
            (Outgoing::from(Bytes::from_static(b"a")), 1, true),
            (Outgoing::from(&fragment), 3, false),
            (Outgoing::from(fragment.clone()), 3, false),
            (Outgoing::from(Frame::pong("ab").unwrap()), 2, false),
            (Outgoing::from(Frame::raw(Opcode::Continuation, true, "").unwrap()), 0, true),
        ] {
            assert_eq!((outgoing.len(), outgoing.is_empty(), outgoing.ends_message()), (len, len == 0, ends));
        }
    }
}
