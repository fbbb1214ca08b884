//! A handle for other tasks and threads.

use crate::clock;
use crate::driver::pool;
use crate::driver::shared::{Holder, Shared};
use crate::ids::ConnectionId;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use ws_proto::{CloseCode, Outgoing, SendError, Sent, State};

/// Sends to a WebSocket from other tasks and other threads. Clones speak to the same connection.
///
/// What it queues goes out when the owner's [`next`](crate::WebSocket::next) is polled, which it wakes for that:
/// a task that waits for messages is all it takes.
///
/// ```
/// # use ws_server_smol::{SendError, Sender};
/// async fn tell(sender: &Sender) -> Result<(), SendError> {
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
    /// Queues a message or a frame at once, whether or not there is room below the high mark; the answer says
    /// which.
    ///
    /// # Errors
    /// [`SendError::NotOpen`], [`SendError::Full`]; of fragments [`SendError::FragmentOrder`], [`SendError::NotUtf8`];
    /// nothing was queued then.
    pub fn try_send<'m>(&self, outgoing: impl Into<Outgoing<'m>>) -> Result<Sent, SendError> {
        let sent = queue(&self.shared, outgoing.into())?;
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
    /// [`SendError::NotOpen`], [`SendError::Full`]; of fragments [`SendError::FragmentOrder`], [`SendError::NotUtf8`],
    /// but that it waits where there is no room; and [`SendError::NotPolled`], where in
    /// [`Config::output_timeout`](crate::Config::output_timeout) there was no room, and no task polled the WebSocket.
    /// Nothing was queued then.
    pub async fn send<'m>(&self, outgoing: impl Into<Outgoing<'m>>) -> Result<(), SendError> {
        // Each attempt may move it.
        let outgoing = outgoing.into().into_owned();
        self.shared
            .send_when_room((SendError::Full, SendError::NotPolled), || self.try_send(outgoing.clone()))
            .await
    }

    /// Sends a Ping. Its answer is seen in [`latency`](Self::latency).
    ///
    /// # Errors
    /// [`SendError::NotOpen`], [`SendError::ControlTooLong`].
    pub fn send_ping(&self, payload: &[u8]) -> Result<Sent, SendError> {
        let sent = self.shared.connection().send_ping(clock::now(), payload)?;
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
    /// [`SendError::CloseCodeInvalid`], [`SendError::CloseReasonTooLong`]; [`SendError::NotOpen`] where it is closing
    /// already.
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.shared.connection().close(clock::now(), code, reason)?;
        self.shared.wake();
        Ok(())
    }

    /// Ends the connection at once: no Close frame, and what was queued is lost.
    pub fn terminate(&self) {
        self.shared.connection().abort(clock::now(), ws_proto::Error::Aborted);
        self.shared.wake();
    }

    /// Which connection it sends to.
    pub fn id(&self) -> ConnectionId {
        self.shared.id
    }

    /// As [`WebSocket::peer_addr`](crate::WebSocket::peer_addr).
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.shared.peer
    }

    /// As [`WebSocket::local_addr`](crate::WebSocket::local_addr).
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.shared.local_addr()
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

/// Queues for a connection, without waking its driver.
#[inline]
pub(crate) fn queue(shared: &Shared, outgoing: Outgoing<'_>) -> Result<Sent, SendError> {
    let mut connection = shared.connection();
    pool::attach_buffer(&mut connection);
    let ends_message = outgoing.ends_message();
    // Written into the memory of the connection's thread, which is warm; its own is free for the next one.
    let is_small = outgoing.len() <= COPY_UP_TO;
    let sent = connection.send(if is_small { outgoing.by_ref() } else { outgoing })?;
    if ends_message {
        shared.count_sent();
    }
    Ok(sent)
}
