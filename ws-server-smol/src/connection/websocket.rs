//! An open WebSocket: a stream and a sink of messages.

mod sink;

use crate::clock;
use crate::driver::Driver;
use crate::driver::shared::Holder;
use crate::driver::sleep::Sleep;
use crate::handles::sender::{self, Sender};
use crate::ids::ConnectionId;
use crate::server::membership::Membership;
use crate::sys::socket::Socket;
use futures_io::{AsyncRead, AsyncWrite};
use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime};
use ws_proto::{
    CloseCode, Closed, Config, Connection, Event, Initiator, Message, Outgoing, Role, SendError, Sent, State,
};

/// An open WebSocket, of a server or of a client.
///
/// Polling [`next`](Self::next) drives it: reading alone answers pings, keeps the heartbeat, and writes what
/// [`Sender`]s have queued. Nothing is spawned, and nothing goes on without polling.
///
/// Every method is cancel-safe: dropped at any await, its future loses no byte and breaks no state, and a later
/// call goes on from there.
///
/// Dropped while it is open, it closes with 1001 as far as that goes without waiting. To close properly, use
/// [`close`](Self::close).
///
/// ```
/// use ws_server_smol::{WebSocket, WebSocketError};
///
/// async fn echo(mut ws: WebSocket) -> Result<(), WebSocketError> {
///     while let Some(message) = ws.next().await {
///         ws.send(message?).await?;
///     }
///     Ok(())
/// }
/// ```
///
/// Its methods give the error that fits: [`Closed`], or [`SendError`]. As a [`Stream`](futures_core::Stream) and a [`Sink`](futures_sink::Sink) it has one type of
/// message and one of error, which is either, so that one WebSocket can be forwarded into another, or into itself:
///
/// ```
/// # use ws_server_smol::{WebSocket, WebSocketError};
/// use futures_util::StreamExt;
///
/// async fn echo(ws: WebSocket) -> Result<(), WebSocketError> {
///     let (sink, stream) = ws.split();
///     stream.forward(sink).await
/// }
/// ```
pub struct WebSocket<S: AsyncRead + AsyncWrite + Unpin = Socket> {
    pub(crate) driver: Driver<S>,
    head: Box<http::Response<()>>,
    /// Where it was accepted; `None` is `/`, which takes no memory, and empty is none.
    path: Option<Box<str>>,
    /// Delivery of a message that are joined for [`next`](Self::next).
    joining: Option<Message<'static>>,
    /// What the sink has taken, for which there is no room yet.
    waiting: Option<Box<Message<'static>>>,
    /// The sink knows of the end: it began here, or a message came too late.
    knows_end: bool,
    closed: Option<Box<Closed>>,
    membership: Option<Membership>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    pub(crate) fn new(
        driver: Driver<S>,
        head: Box<http::Response<()>>,
        membership: Option<Membership>,
    ) -> Self {
        let path = Some(Box::default());
        Self { driver, head, path, joining: None, waiting: None, knows_end: false, closed: None, membership }
    }

    pub(crate) fn at(mut self, path: Option<Box<str>>) -> Self {
        self.path = path;
        self
    }

    /// A WebSocket whose opening handshake was done elsewhere, by an HTTP server or client of another kind.
    pub fn upgraded(stream: S, config: Arc<Config>, role: Role) -> Self {
        let driver = Driver::new(stream, Connection::upgraded(clock::now(), config, role));
        Self::new(driver, Box::default(), None)
    }

    /// Replaces both clocks that are compared to find out whether the machine slept, where it is of no server: for tests.
    #[doc(hidden)]
    pub fn set_clocks(&mut self, clocks: impl Fn() -> (Instant, SystemTime) + Send + Sync + 'static) {
        self.driver.set_sleep(Sleep::new(Some(Arc::new(clocks))));
    }

    /// The next message; `None` when the connection was closed in order: by the peer with 1000, with 1001 or without a
    /// code, or by this side, whose Close was answered. Otherwise the last item is what explains the end.
    ///
    /// Where fragments are asked for, they are joined here; [`next_event`](Self::next_event) gives them as they come.
    ///
    /// # Errors
    /// [`Closed`], once, when it ended without a closing handshake, or when the peer closed it with another code: 1008,
    /// 1012 or 4000, say, which tell of a reason.
    pub async fn next(&mut self) -> Option<Result<Message<'static>, Box<Closed>>> {
        poll_fn(|cx| self.poll_message(cx)).await
    }

    /// The next event: messages, fragments, pongs, and when the outbox has drained; the last one is
    /// [`Event::Closed`], and then `None`.
    pub async fn next_event(&mut self) -> Option<Event<'static>> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Sends a message or a frame, and waits until everything is written. Many messages go out faster with
    /// [`try_send`](Self::try_send).
    ///
    /// Nothing is read while it waits. Two ends that both do so, each with more to say than all buffers hold, wait for
    /// each other, until the [output deadline](Config::output_timeout) ends one of them; [`Closed::reading_paused`] then
    /// says why. To send much and receive much at once, use [`Sender::send`], or [`try_send`](Self::try_send) and
    /// [`next_event`](Self::next_event) with its [`Event::Drained`].
    ///
    /// Cancel-safe, but that a message may have been queued when it is dropped.
    ///
    /// # Errors
    /// [`SendError::NotOpen`], [`SendError::Full`]; of fragments [`SendError::FragmentOrder`], [`SendError::NotUtf8`].
    pub async fn send<'m>(&mut self, outgoing: impl Into<Outgoing<'m>>) -> Result<(), SendError> {
        if self.waiting.is_some() {
            self.flush().await?;
        }
        self.try_send(outgoing)?;
        self.flush().await
    }

    /// Queues a message or a frame. It goes out when this is polled next, be it by [`next`](Self::next) or by
    /// [`flush`](Self::flush); many go out together.
    ///
    /// # Errors
    /// [`SendError::NotOpen`], [`SendError::Full`]; of fragments [`SendError::FragmentOrder`], [`SendError::NotUtf8`];
    /// nothing was queued then.
    pub fn try_send<'m>(&mut self, outgoing: impl Into<Outgoing<'m>>) -> Result<Sent, SendError> {
        sender::queue(&self.driver.shared, outgoing.into())
    }

    /// Waits until everything that was queued is written. Nothing is read meanwhile, and so no heartbeat is judged;
    /// that the peer takes output is.
    ///
    /// # Errors
    /// [`SendError::NotOpen`] when the connection has ended, or the time for its closing handshake is over.
    pub async fn flush(&mut self) -> Result<(), SendError> {
        poll_fn(|cx| self.poll_flush_all(cx)).await
    }

    /// Closes the connection, and waits for its end: what explains it. Messages that still come are dropped; to
    /// see them, use [`start_close`](Self::start_close) and [`next`](Self::next).
    ///
    /// # Errors
    /// [`SendError::CloseCodeInvalid`], [`SendError::CloseReasonTooLong`]: the connection goes on.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<&Closed, SendError> {
        match self.start_close(code, reason) {
            Ok(()) | Err(SendError::NotOpen) => {}
            Err(error) => return Err(error),
        }
        while self.next_event().await.is_some() {}
        self.closed().ok_or(SendError::NotOpen)
    }

    /// Begins the closing handshake; [`next`](Self::next) gives what still comes, and then the end.
    ///
    /// # Errors
    /// [`SendError::CloseCodeInvalid`], [`SendError::CloseReasonTooLong`]; [`SendError::NotOpen`] where it is closing
    /// already.
    pub fn start_close(&mut self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.driver.shared.connection().close(clock::now(), code, reason)?;
        self.knows_end = true;
        Ok(())
    }

    /// Stops reading, as [`Sender::pause`] does: [`next`](Self::next) then waits, and writes, and keeps deadlines.
    pub fn pause(&mut self) {
        self.driver.shared.pause(Holder::Application);
    }

    /// Reads on. Harmless where nothing is paused.
    pub fn resume(&mut self) {
        self.driver.shared.resume(Holder::Application);
    }

    /// Which connection it is.
    pub fn id(&self) -> ConnectionId {
        self.driver.shared.id
    }

    /// The address at the other end. An IPv4 peer has an IPv4 address, on dual-stack servers too. `None` over a Unix
    /// socket, and of a stream that was handed in, which the caller knows better.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.driver.shared.peer
    }

    /// The address at this end; `None` where [`peer_addr`](Self::peer_addr) is, and once the connection is over.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.driver.shared.local_addr()
    }

    /// A handle for other tasks and threads.
    pub fn sender(&self) -> Sender {
        Sender { shared: self.driver.shared.clone() }
    }

    /// The 101 that opened it: of a client the server's, of a server the one that was sent.
    pub fn response(&self) -> &http::Response<()> {
        &self.head
    }

    /// The path at which a server accepted it, as it was sent: without query, not decoded. `None` for that of a client,
    /// and for paths of more than 256 bytes. Those other than `/` take memory while the WebSocket lasts.
    pub fn path(&self) -> Option<&str> {
        let path = self.path.as_deref().unwrap_or("/");
        (!path.is_empty()).then_some(path)
    }

    /// The subprotocol that was agreed on.
    pub fn subprotocol(&self) -> Option<&str> {
        self.head.headers().get(http::header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()
    }

    /// What was agreed on with the peer about compression; `None` where messages stay plain.
    #[cfg(feature = "deflate")]
    pub fn compression(&self) -> Option<ws_proto::deflate::Terms> {
        self.driver.shared.connection().compression()
    }

    /// What explains the end, once it is over.
    pub fn closed(&self) -> Option<&Closed> {
        self.closed.as_deref()
    }

    /// Where the connection stands.
    pub fn state(&self) -> State {
        self.driver.shared.connection().state()
    }

    /// How many bytes wait to be written.
    pub fn queued(&self) -> usize {
        self.driver.shared.connection().queued()
    }

    /// The time that the peer last took to answer a Ping.
    pub fn latency(&self) -> Option<Duration> {
        self.driver.shared.connection().latency()
    }

    /// The stream below; `None` once the connection is over.
    pub fn get_ref(&self) -> Option<&S> {
        self.driver.stream()
    }

    pub(crate) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event<'static>>> {
        if self.closed.is_some() {
            return Poll::Ready(None);
        }
        loop {
            let Some(event) = ready!(self.driver.poll_event(cx)) else { return Poll::Ready(None) };
            if let Event::Closed(closed) = &event {
                self.closed = Some(closed.clone());
                self.driver.end(false);
                if let Some(membership) = &self.membership {
                    membership.closed(closed);
                }
                return Poll::Ready(Some(event));
            }
            let event = match &self.membership {
                Some(membership) if membership.is_extended() => {
                    let filtering = Filtering(&mut self.driver);
                    let event = membership.filter(event);
                    std::mem::forget(filtering);
                    event
                }
                Some(membership) => membership.filter(event),
                None => Some(event),
            };
            if event.is_some() {
                return Poll::Ready(event);
            }
        }
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message<'static>, Box<Closed>>>> {
        loop {
            match ready!(self.poll_event(cx)) {
                Some(Event::Message(message)) => return Poll::Ready(Some(Ok(message))),
                Some(Event::Fragment(fragment)) => {
                    let joined = match self.joining.take() {
                        Some(begun) if !fragment.first => join(begun, fragment.data),
                        _ => fragment.data,
                    };
                    if fragment.last {
                        return Poll::Ready(Some(Ok(joined)));
                    }
                    self.joining = Some(joined);
                }
                Some(Event::Closed(closed)) if !is_ordinary(&closed) => {
                    return Poll::Ready(Some(Err(closed)));
                }
                Some(_) => {}
                None => return Poll::Ready(None),
            }
        }
    }
}

/// Whether an end is that of a conversation, which needs no explanation.
fn is_ordinary(closed: &Closed) -> bool {
    let says_nothing =
        matches!(closed.code, CloseCode::NORMAL | CloseCode::GOING_AWAY | CloseCode::NO_STATUS);
    // Where we closed, the peer only answers.
    closed.clean && (says_nothing || closed.initiator == Initiator::Local)
}

fn join(begun: Message<'static>, next: Message<'static>) -> Message<'static> {
    match (begun, next) {
        (Message::Text(text), Message::Text(more)) => Message::Text((text.into_owned() + &more).into()),
        (begun, next) => {
            let mut data = match begun {
                Message::Text(text) => text.into_owned().into_bytes(),
                Message::Binary(data) => data.into_owned(),
            };
            data.extend_from_slice(next.as_bytes());
            Message::Binary(data.into())
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("state", &self.state()).finish_non_exhaustive()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Drop for WebSocket<S> {
    fn drop(&mut self) {
        if self.closed.is_some() {
            return;
        }
        let closed = self.driver.part(CloseCode::GOING_AWAY);
        if let (Some(membership), Some(closed)) = (&self.membership, closed) {
            membership.closed(&closed);
        }
    }
}

/// An extension that panics over an event costs its WebSocket, since the application might take the rest of a message for
/// the whole: the next event is its end.
struct Filtering<'d, S: AsyncRead + AsyncWrite + Unpin>(&'d mut Driver<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Drop for Filtering<'_, S> {
    fn drop(&mut self) {
        self.0.give_up(CloseCode::INTERNAL_ERROR);
    }
}
