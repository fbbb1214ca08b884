//! An open WebSocket: a stream and a sink of messages.

mod sink;

use crate::clock;
use crate::driver::Driver;
use crate::driver::shared::PauseOwner;
use crate::driver::sleep::Sleep;
use crate::handles::sender::{self, Sender};
use crate::ids::ConnectionId;
use crate::server::membership::{Membership, Nested};
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
    TlsInfo,
};

/// An open WebSocket, of a server or of a client.
///
/// Polling [`next`](Self::next) drives it: reading alone answers pings, keeps the heartbeat, and writes what
/// [`Sender`]s have queued. Nothing is spawned, and nothing happens without polling.
///
/// Every method is cancel-safe: a future dropped at any await loses no byte and breaks no state, and a later call
/// continues from there.
///
/// If dropped while open, it closes with 1001, as far as that is possible without waiting. To close properly, use
/// [`close`](Self::close). A server's WebSocket that is dropped during a closing handshake is left to
/// [`Server::serve`](crate::Server::serve) or [`Server::stop`](crate::Server::stop), which write what is queued; if
/// neither runs, what the socket does not take at once is lost.
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
/// This echo reads nothing while it awaits [`send`](Self::send), which says what to use instead for a peer that sends a
/// lot before it reads.
///
/// Its methods return the specific error: [`Closed`], or [`SendError`]. As a [`Stream`](futures_core::Stream) and a
/// [`Sink`](futures_sink::Sink) it has one message type and one error type that covers both, so you can forward one
/// WebSocket into another, or into itself, with `futures-util = { version = "0.3", features = ["sink"] }`:
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
    /// The path that accepted it: `None` is `/`, which takes no memory; an empty one means no path.
    path: Option<Box<str>>,
    /// Fragments of a message being joined for [`next`](Self::next).
    joining: Option<Message<'static>>,
    /// The sink has learned of the end: this side closed, or one message came too late.
    knows_end: bool,
    closed: Option<Box<Closed>>,
    membership: Option<Membership<S>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    pub(crate) fn new(
        driver: Driver<S>,
        head: Box<http::Response<()>>,
        membership: Option<Membership<S>>,
    ) -> Self {
        let path = Some(Box::default());
        Self { driver, head, path, joining: None, knows_end: false, closed: None, membership }
    }

    pub(crate) fn at(mut self, path: Option<Box<str>>) -> Self {
        self.path = path;
        self
    }

    /// Creates a WebSocket whose opening handshake was done elsewhere, by another HTTP server or client.
    pub fn upgraded(stream: S, config: Arc<Config>, role: Role) -> Self {
        let driver = Driver::new(stream, Connection::upgraded(clock::now(), config, role));
        Self::new(driver, Box::default(), None)
    }

    /// Replaces the two clocks that detect system sleep, if it belongs to no server; for tests.
    #[doc(hidden)]
    pub fn set_clocks(&mut self, clocks: impl Fn() -> (Instant, SystemTime) + Send + Sync + 'static) {
        self.driver.set_sleep(Sleep::new(Some(Arc::new(clocks))));
    }

    /// Returns the next message; `None` when the connection was closed normally: by the peer with 1000, with 1001 or
    /// without a code, or by this side, if the peer answered our Close. Otherwise the last item explains the end.
    ///
    /// Messages that were read before a reset are still returned, although sends already fail with
    /// [`SendError::NotOpen`].
    ///
    /// If the configuration asks for fragments, this joins them; [`next_event`](Self::next_event) returns them
    /// individually.
    ///
    /// # Errors
    /// [`Closed`], once, if it ended without a closing handshake, or if the peer closed it with another code, such as
    /// 1008, 1012 or 4000.
    pub async fn next(&mut self) -> Option<Result<Message<'static>, Box<Closed>>> {
        poll_fn(|cx| self.poll_message(cx)).await
    }

    /// Returns the next event: messages, fragments, pongs, and when the outbox has drained; the last one is
    /// [`Event::Closed`], and then `None`.
    pub async fn next_event(&mut self) -> Option<Event<'static>> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Sends a message or a frame, and waits until all output is written. For many messages,
    /// [`try_send`](Self::try_send) is faster.
    ///
    /// Nothing is read while it waits. If both ends do so, each with more output than all buffers hold, they deadlock
    /// until the [output deadline](Config::output_timeout) ends one of them; [`Closed::reading_paused`] then says why.
    /// To send and receive a lot at once, use [`Sender::send`], or [`try_send`](Self::try_send) and
    /// [`next_event`](Self::next_event) with its [`Event::Drained`].
    ///
    /// Cancel-safe, except that a message may already be queued when it is dropped.
    ///
    /// # Errors
    /// [`SendError::NotOpen`], [`SendError::Full`]; for fragments also [`SendError::FragmentOrder`],
    /// [`SendError::NotUtf8`].
    pub async fn send<'m>(&mut self, outgoing: impl Into<Outgoing<'m>>) -> Result<(), SendError> {
        if self.is_past_cap() {
            self.flush().await?;
        }
        self.try_send(outgoing)?;
        self.flush().await
    }

    /// Queues a message or a frame. It is written when this is polled next, by [`next`](Self::next) or by
    /// [`flush`](Self::flush); many are written together.
    ///
    /// # Errors
    /// [`SendError::NotOpen`], [`SendError::Full`]; for fragments also [`SendError::FragmentOrder`],
    /// [`SendError::NotUtf8`]; nothing is queued then.
    pub fn try_send<'m>(&mut self, outgoing: impl Into<Outgoing<'m>>) -> Result<Sent, SendError> {
        sender::queue(&self.driver.shared, outgoing.into())
    }

    /// Waits until all queued output is written. Nothing is read meanwhile, so no heartbeat can fail; the output
    /// deadline still applies.
    ///
    /// # Errors
    /// [`SendError::NotOpen`] if the connection has ended, even normally, or if it has failed or its closing handshake
    /// has timed out.
    pub async fn flush(&mut self) -> Result<(), SendError> {
        poll_fn(|cx| self.driver.poll_flush(cx)).await
    }

    /// Closes the connection, waits for its end, and returns what explains it. Messages that still arrive are dropped;
    /// to see them, use [`start_close`](Self::start_close) and [`next`](Self::next).
    ///
    /// A peer that reads pending output slowly may delay this for hours:
    /// [`Config::close_timeout`](ws_proto::Config::close_timeout). For a deadline of your own, put a timeout around it,
    /// and drop the WebSocket or [`terminate`](Sender::terminate) it when that has passed.
    ///
    /// # Errors
    /// [`SendError::CloseCodeInvalid`], [`SendError::CloseReasonTooLong`]: the connection stays open.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<&Closed, SendError> {
        match self.start_close(code, reason) {
            Ok(()) | Err(SendError::NotOpen) => {}
            Err(error) => return Err(error),
        }
        while self.next_event().await.is_some() {}
        self.closed().ok_or(SendError::NotOpen)
    }

    /// Begins the closing handshake; [`next`](Self::next) returns what still arrives, and then the end.
    ///
    /// # Errors
    /// [`SendError::CloseCodeInvalid`], [`SendError::CloseReasonTooLong`]; [`SendError::NotOpen`] if it is already
    /// closing.
    pub fn start_close(&mut self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.driver.shared.connection().close(clock::now(), code, reason)?;
        self.knows_end = true;
        Ok(())
    }

    /// Stops reading, like [`Sender::pause`]: [`next`](Self::next) then waits, and still writes and keeps deadlines.
    pub fn pause(&mut self) {
        self.driver.shared.pause(PauseOwner::Application);
    }

    /// Resumes reading. Does nothing if it is not paused.
    pub fn resume(&mut self) {
        self.driver.shared.resume(PauseOwner::Application);
    }

    /// Returns the id of the connection.
    pub fn id(&self) -> ConnectionId {
        self.driver.shared.id
    }

    /// Returns the peer's address. An IPv4 peer has an IPv4 address, even on dual-stack servers. `None` over a Unix
    /// socket, and for a stream that the caller passed in, whose address the caller knows. Behind a [trusted
    /// proxy](crate::ServerConfig::trust_proxy) it is the client's.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.driver.shared.peer.address()
    }

    /// Returns the address at the other end of the socket: behind a [trusted
    /// proxy](crate::ServerConfig::trust_proxy) that of the proxy, otherwise [`peer_addr`](Self::peer_addr). `None`
    /// whenever that is, and once the connection is over.
    pub fn transport_addr(&self) -> Option<SocketAddr> {
        self.driver.shared.transport_addr()
    }

    /// Returns the result of the TLS handshake; `None` without TLS of this crate, and once the connection is over.
    pub fn tls(&self) -> Option<Arc<TlsInfo>> {
        self.driver.shared.tls_info()
    }

    /// Returns the local address; `None` whenever [`peer_addr`](Self::peer_addr) is, and once the connection is over.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.driver.shared.local_addr()
    }

    /// Returns a handle for other tasks and threads.
    pub fn sender(&self) -> Sender {
        Sender { shared: self.driver.shared.clone() }
    }

    /// Returns the 101 that opened it: on a client the one received, on a server the one sent.
    pub fn response(&self) -> &http::Response<()> {
        &self.head
    }

    /// Returns the path at which a server accepted it, as sent: without query, not decoded. `None` on a client, and for
    /// paths of more than 256 bytes. Paths other than `/` take memory while the WebSocket lasts.
    pub fn path(&self) -> Option<&str> {
        let path = self.path.as_deref().unwrap_or("/");
        (!path.is_empty()).then_some(path)
    }

    /// Returns the negotiated subprotocol.
    pub fn subprotocol(&self) -> Option<&str> {
        self.head.headers().get(http::header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()
    }

    /// Returns the negotiated compression terms; `None` if messages are not compressed.
    #[cfg(feature = "deflate")]
    pub fn compression(&self) -> Option<ws_proto::deflate::Terms> {
        self.driver.shared.connection().compression()
    }

    /// Returns what explains the end, once it is over.
    pub fn closed(&self) -> Option<&Closed> {
        self.closed.as_deref()
    }

    /// Returns the state of the connection.
    pub fn state(&self) -> State {
        self.driver.shared.connection().state()
    }

    /// Returns how many bytes of output are queued.
    pub fn queued(&self) -> usize {
        self.driver.shared.connection().queued()
    }

    /// Returns how long the peer took to answer the last Ping.
    pub fn latency(&self) -> Option<Duration> {
        self.driver.shared.connection().latency()
    }

    /// Returns the underlying stream; `None` once the connection is over.
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
                    membership.closed(closed.clone());
                }
                return Poll::Ready(Some(event));
            }
            let Some(membership) = &self.membership else { return Poll::Ready(Some(event)) };
            membership.observe(&event);
            if !membership.is_extended() {
                return Poll::Ready(Some(event));
            }
            let guard = FilterGuard(&mut self.driver);
            match membership.filter(event) {
                Ok(event) => {
                    std::mem::forget(guard);
                    if event.is_some() {
                        return Poll::Ready(event);
                    }
                }
                Err(Nested) => drop(guard),
            }
        }
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message<'static>, Box<Closed>>>> {
        loop {
            match ready!(self.poll_event(cx)) {
                Some(Event::Message(message)) => return Poll::Ready(Some(Ok(message))),
                Some(Event::Fragment(fragment)) => {
                    let joined = match self.joining.take() {
                        Some(partial) if !fragment.first => join(partial, fragment.data),
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

/// Whether the end is a normal one, which needs no explanation.
fn is_ordinary(closed: &Closed) -> bool {
    let has_normal_code =
        matches!(closed.code, CloseCode::NORMAL | CloseCode::GOING_AWAY | CloseCode::NO_STATUS);
    // If we closed, the peer only answers.
    closed.clean && (has_normal_code || closed.initiator == Initiator::Local)
}

fn join(partial: Message<'static>, next: Message<'static>) -> Message<'static> {
    match (partial, next) {
        (Message::Text(text), Message::Text(more)) => Message::Text((text.into_owned() + &more).into()),
        (partial, next) => {
            let mut data = match partial {
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
        if self.closed.is_none() {
            Membership::dropped(&mut self.driver, &mut self.membership);
        }
    }
}

/// If an extension panics while filtering an event, or is busy because it polls this WebSocket itself, the WebSocket
/// ends with the next event: the application might otherwise take the rest of a message for the whole, or get what the
/// extension has not seen.
struct FilterGuard<'d, S: AsyncRead + AsyncWrite + Unpin>(&'d mut Driver<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Drop for FilterGuard<'_, S> {
    fn drop(&mut self) {
        self.0.end_now(CloseCode::INTERNAL_ERROR);
    }
}
