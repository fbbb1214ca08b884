//! A handle for other tasks and threads.

use crate::clock;
use crate::driver::pool;
use crate::driver::shared::{PauseOwner, Shared};
use crate::ids::ConnectionId;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use ws_proto::{CloseCode, Message, Outgoing, SendError, Sent, State};

/// Sends to a WebSocket from other tasks and threads. Clones send to the same connection.
///
/// It wakes the task that polls the owner's [`next`](crate::WebSocket::next), which writes what is queued: a task that
/// waits for messages is enough.
///
/// ```
/// # use ws_server_smol::{SendError, Sender};
/// async fn greet(sender: &Sender) -> Result<(), SendError> {
///     sender.send("hello").await
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
    /// Queues a message or a frame at once, whether or not there is room below the high mark; the result says which.
    ///
    /// # Errors
    /// [`SendError::NotOpen`], [`SendError::Full`]; for fragments also [`SendError::FragmentOrder`],
    /// [`SendError::NotUtf8`]; nothing is queued then.
    pub fn try_send<'m>(&self, outgoing: impl Into<Outgoing<'m>>) -> Result<Sent, SendError> {
        let sent = queue(&self.shared, outgoing.into())?;
        self.shared.wakers.wake_driver();
        Ok(sent)
    }

    /// Waits until the outbox is below its high mark, and queues a message or a frame.
    ///
    /// If the stream is a [`Socket`](crate::Socket) of a [`Server`](crate::Server), of [`connect`](crate::connect) or
    /// of a [`Client`](crate::Client), it writes pending output itself while it waits: the task that polls the
    /// WebSocket may call it, and two such tasks may forward to each other. Over other streams, something else must
    /// poll the WebSocket meanwhile: another task, `join!` or `select!`.
    ///
    /// Cancel-safe: if dropped before it completes, nothing is queued.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send), except that it waits for room; and [`SendError::NotPolled`] if there is no room
    /// within [`Config::output_timeout`](crate::Config::output_timeout), and no task polls the WebSocket: its peer has
    /// stopped reading, or, over other streams, nothing writes. Nothing is queued then.
    pub async fn send<'m>(&self, outgoing: impl Into<Outgoing<'m>>) -> Result<(), SendError> {
        // Each attempt moves a clone.
        let outgoing = outgoing.into().into_owned();
        self.shared
            .send_when_room((SendError::Full, SendError::NotPolled), || self.try_send(outgoing.clone()))
            .await
    }

    /// Sends a Ping. Its Pong updates [`latency`](Self::latency).
    ///
    /// # Errors
    /// [`SendError::NotOpen`], [`SendError::ControlTooLong`].
    pub fn send_ping(&self, payload: &[u8]) -> Result<Sent, SendError> {
        let sent = self.shared.connection().send_ping(clock::now(), payload)?;
        self.shared.wakers.wake_driver();
        Ok(sent)
    }

    /// Stops reading: what the peer sends waits in the kernel, on both sides, until [`resume`](Self::resume). Sending
    /// continues, and so does the heartbeat, which expects no answer meanwhile. The next write detects a reset by the
    /// peer; an end of the stream is detected once reading resumes.
    ///
    /// Closing the WebSocket resumes it. Pausing twice is the same as pausing once.
    pub fn pause(&self) {
        self.shared.pause(PauseOwner::Application);
    }

    /// Resumes reading, and wakes the task that polls the WebSocket. Does nothing if reading is not paused.
    pub fn resume(&self) {
        self.shared.resume(PauseOwner::Application);
    }

    /// Begins the closing handshake; the task that polls the WebSocket gets the end.
    /// [`Config::close_timeout`](ws_proto::Config::close_timeout) says how long a slow peer may delay that;
    /// [`terminate`](Self::terminate) ends it earlier.
    ///
    /// # Errors
    /// [`SendError::CloseCodeInvalid`], [`SendError::CloseReasonTooLong`]; [`SendError::NotOpen`] if it is already
    /// closing.
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.shared.connection().close(clock::now(), code, reason)?;
        self.shared.wake();
        Ok(())
    }

    /// Aborts the connection: it sends no Close frame, and queued output is lost.
    pub fn terminate(&self) {
        self.shared.connection().abort(clock::now(), ws_proto::Error::Aborted);
        self.shared.wake();
    }

    /// Returns the id of the connection.
    pub fn id(&self) -> ConnectionId {
        self.shared.id
    }

    /// As [`WebSocket::peer_addr`](crate::WebSocket::peer_addr).
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.shared.peer.address()
    }

    /// As [`WebSocket::transport_addr`](crate::WebSocket::transport_addr).
    pub fn transport_addr(&self) -> Option<SocketAddr> {
        self.shared.transport_addr()
    }

    /// As [`WebSocket::local_addr`](crate::WebSocket::local_addr).
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.shared.local_addr()
    }

    /// Returns the state of the connection.
    pub fn state(&self) -> State {
        self.shared.connection().state()
    }

    /// Whether messages can be sent.
    pub fn is_open(&self) -> bool {
        self.state() == State::Open
    }

    /// Returns how many bytes of output are queued.
    pub fn queued(&self) -> usize {
        self.shared.connection().queued()
    }

    /// Returns how long the peer took to answer the last Ping.
    pub fn latency(&self) -> Option<Duration> {
        self.shared.connection().latency()
    }
}

/// Larger messages move into the outbox: copying them costs more than using cold memory.
const COPY_UP_TO: usize = 32 << 10;

/// Queues for a connection, without waking its driver.
#[inline]
pub(crate) fn queue(shared: &Shared, outgoing: Outgoing<'_>) -> Result<Sent, SendError> {
    let mut connection = shared.connection();
    pool::attach_buffer(&mut connection);
    let ends_message = outgoing.ends_message();
    // Copies into the thread's warm buffer, which frees the message's own memory for reuse.
    let sent = match outgoing.as_message().filter(|message| message.as_bytes().len() <= COPY_UP_TO) {
        Some(message) => connection.send(message)?,
        None => connection.send(outgoing)?,
    };
    if ends_message {
        shared.count_sent();
    }
    Ok(sent)
}

/// Queues a message for which there was room below the high mark, regardless of the cap: another task's sender may have
/// used that room since.
pub(crate) fn queue_past_cap(shared: &Shared, message: Message<'static>) -> Result<(), SendError> {
    let mut connection = shared.connection();
    pool::attach_buffer(&mut connection);
    // Copied where `queue` copies.
    let sent = match &message {
        Message::Text(text) if text.len() <= COPY_UP_TO => connection.relay(Message::from(&**text)),
        Message::Binary(data) if data.len() <= COPY_UP_TO => connection.relay(Message::from(&**data)),
        _ => connection.relay(message),
    };
    match sent {
        Ok(_) => shared.count_sent(),
        // Too much waits behind an unfinished message.
        Err(SendError::FragmentOrder) => return Err(SendError::Full),
        Err(error) => return Err(error),
    }
    Ok(())
}
