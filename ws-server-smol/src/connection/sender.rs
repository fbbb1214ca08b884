//! A handle for other tasks and threads.

use crate::connection::pool;
use crate::connection::shared::{ConnectionId, Holder, Shared};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use ws_proto::{CloseCode, Frame, Message, SendError, Sent, State};

/// Sends to a WebSocket from other tasks and other threads. Clones speak to the same connection.
///
/// What it queues goes out when the owner's [`next`](crate::WebSocket::next) is polled, which it wakes for that:
/// a task that waits for messages is all it takes.
///
/// ```
/// # use ws_server_smol::{Sender, ws_proto::{Frame, SendError}};
/// async fn tell(sender: &Sender) -> Result<(), SendError> {
///     sender.send(Frame::text("hello")).await
/// }
/// ```
#[derive(Clone)]
pub struct Sender {
    pub(crate) shared: Arc<Shared>,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("state", &self.state()).field("queued", &self.queued()).finish()
    }
}

impl Sender {
    /// Queues a message or a frame at once, whether or not there is room below the high mark; the answer says
    /// which.
    ///
    /// # Errors
    /// As [`ws_proto::Connection::send`]; nothing was queued then.
    pub fn try_send(&self, frame: impl Into<Outgoing>) -> Result<Sent, SendError> {
        let sent = frame.into().send(&self.shared)?;
        self.shared.wakers.driver.wake();
        Ok(sent)
    }

    /// Waits until the outbox is below its high mark, and queues a message or a frame.
    ///
    /// While it waits it writes by itself, where the stream is a [`Socket`](crate::Socket) of a
    /// [`Server`](crate::Server), of [`connect`](crate::connect) or of a [`Client`](crate::Client): so the very task
    /// that polls the WebSocket may send, and two of them may pass on what they receive to each other. Over other
    /// streams the WebSocket must be polled beside it, in another task, in `join!`, in `select!`.
    ///
    /// Cancel-safe: dropped before it is done, nothing was queued.
    ///
    /// # Errors
    /// As [`ws_proto::Connection::send`], but that it waits where there is no room; and [`SendError::NotPolled`], where
    /// in [`Config::output_timeout`](ws_proto::Config::output_timeout) there was no room, and nobody polled the
    /// WebSocket. Nothing was queued then.
    pub async fn send(&self, frame: impl Into<Outgoing>) -> Result<(), SendError> {
        let frame = frame.into();
        self.shared.send_when_room(|| self.try_send(frame.clone())).await
    }

    /// Sends a Ping. Its answer is seen in [`latency`](Self::latency).
    ///
    /// # Errors
    /// [`SendError::NotOpen`], [`SendError::ControlTooLong`].
    pub fn send_ping(&self, payload: &[u8]) -> Result<Sent, SendError> {
        let sent = self.shared.connection().send_ping(Instant::now(), payload)?;
        self.shared.wakers.driver.wake();
        Ok(sent)
    }

    /// Stops reading: what the peer sends waits in the kernel, on both sides, until [`resume`](Self::resume). Sending
    /// goes on, as does the heartbeat, of which no answer is expected meanwhile. That the peer has reset the connection
    /// is found by the next write; that it has ended it, once reading goes on.
    ///
    /// Closing the WebSocket resumes it. Pausing twice is pausing.
    pub fn pause(&self) {
        self.shared.pause(Holder::Application);
    }

    /// Reads on; wakes the task that polls the WebSocket. Harmless where nothing is paused.
    pub fn resume(&self) {
        self.shared.resume(Holder::Application);
    }

    /// Begins the closing handshake. Its owner sees the end.
    ///
    /// # Errors
    /// As [`ws_proto::Connection::close`].
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.shared.connection().close(Instant::now(), code, reason)?;
        self.shared.wake();
        Ok(())
    }

    /// Ends the connection at once: no Close frame, and what was queued is lost.
    pub fn terminate(&self) {
        self.shared.connection().abort(Instant::now(), ws_proto::Cause::Terminated);
        self.shared.wake();
    }

    /// Which connection it sends to.
    pub fn id(&self) -> ConnectionId {
        self.shared.id
    }

    /// Where the connection stands.
    pub fn state(&self) -> State {
        self.shared.connection().state()
    }

    /// Whether messages may be sent.
    pub fn is_open(&self) -> bool {
        self.state() == State::Open
    }

    /// How many bytes wait to be written.
    pub fn queued(&self) -> usize {
        self.shared.connection().queued()
    }

    /// The time that the peer last took to answer a Ping.
    pub fn latency(&self) -> Option<Duration> {
        self.shared.connection().latency()
    }
}

/// A larger message moves into the outbox; to copy it would cost more than memory that is not warm.
const COPY_UP_TO: usize = 32 << 10;

/// What can be sent: a message, or a [`Frame`] that was made once and may go to many.
#[derive(Clone, Debug)]
pub struct Outgoing(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Frame(Frame),
    Message(Message<'static>),
}

impl Outgoing {
    pub(crate) fn send(self, shared: &Shared) -> Result<Sent, SendError> {
        let mut connection = shared.connection();
        pool::lend(&mut connection);
        match self.0 {
            Kind::Frame(frame) => connection.send(&frame),
            // Written into the memory of the connection's thread, which is warm; its own is free for the next one.
            Kind::Message(message) if message.as_bytes().len() <= COPY_UP_TO => match &message {
                Message::Text(text) => connection.send_text(text.as_ref()),
                Message::Binary(data) => connection.send_binary(data.as_ref()),
            },
            Kind::Message(message) => connection.send_message(message),
        }
    }
}

impl From<Frame> for Outgoing {
    fn from(frame: Frame) -> Self {
        Self(Kind::Frame(frame))
    }
}

impl From<&Frame> for Outgoing {
    fn from(frame: &Frame) -> Self {
        Self(Kind::Frame(frame.clone()))
    }
}

impl From<Message<'static>> for Outgoing {
    fn from(message: Message<'static>) -> Self {
        Self(Kind::Message(message))
    }
}

impl From<String> for Outgoing {
    fn from(text: String) -> Self {
        Message::Text(text.into()).into()
    }
}

impl From<&str> for Outgoing {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<Vec<u8>> for Outgoing {
    fn from(data: Vec<u8>) -> Self {
        Message::Binary(data.into()).into()
    }
}
