//! A client that connects, disconnects and reconnects.

pub(crate) mod connect;
mod race;

use crate::client::connect::{Attempt, Failed, Opened, checked, connect_over};
use crate::connection::websocket::WebSocket;
use crate::sys::socket::Socket;
use async_io::Timer;
use futures_io::{AsyncRead, AsyncWrite};
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use ws_host::client::Backoff;
use ws_host::client::{ClientConfig, ClientState, ConnectError, InvalidTarget};
use ws_proto::{ClientRequest, CloseCode, Closed, State};

/// A client that connects, disconnects and reconnects: at once, or as a [`Reconnect`](crate::Reconnect) policy says.
///
/// The application borrows one connection at a time, drives it until it is over, and requests the next:
///
/// ```no_run
/// use ws_server_smol::{Client, ClientConfig, Reconnect};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let config = ClientConfig::new().reconnect(Reconnect::default());
/// let mut client = Client::new("ws://127.0.0.1:8700/chat", config)?;
/// while let Some(ws) = client.next_connection().await {
///     // Runs for each connection: set things up here.
///     ws.try_send("hello")?;
///     while let Some(Ok(message)) = ws.next().await {
///         println!("{message:?}");
///     }
/// }
/// // The policy has given up.
/// if let Some(error) = client.failure() {
///     println!("{error}");
/// }
/// # Ok(())
/// # }
/// ```
///
/// The end of a connection decides what happens next: see [`Reconnect::is_final`](crate::Reconnect::is_final). If a
/// connection is still open when the next is requested, it is closed first, with 1000, and the policy treats it as
/// lost. Without a policy there is one connection.
///
/// [`next_event`](Self::next_event) also reports attempts and waits. Every method is cancel-safe: an attempt or a wait
/// that has begun stays with the client, and the next call continues it. Nothing is spawned, and nothing happens
/// without polling. A dropped client leaves nothing behind.
pub struct Client<S: AsyncRead + AsyncWrite + Unpin = Socket> {
    request: ClientRequest,
    config: ClientConfig,
    check: fn(ClientRequest) -> Result<ClientRequest, InvalidTarget>,
    dial: Dial<S>,
    backoff: Backoff,
    phase: Phase<S>,
    closed: Option<Box<Closed>>,
    failure: Option<ConnectError>,
}

/// Starts an attempt.
type Dial<S> = Box<dyn FnMut(ClientRequest, &ClientConfig) -> Attempting<S> + Send>;

type Attempting<S> = Pin<Box<dyn Future<Output = Result<Opened<S>, Failed>> + Send>>;

enum Phase<S: AsyncRead + AsyncWrite + Unpin> {
    /// Not connected, and not trying.
    Idle,
    /// The next attempt is due.
    Due {
        reported: bool,
    },
    Connecting(Attempting<S>),
    Open {
        websocket: Box<WebSocket<S>>,
        /// How long the attempt took.
        after: Duration,
        /// The application requested another connection while this one was open.
        left: bool,
    },
    Waiting {
        timer: Timer,
        delay: Duration,
        reported: bool,
    },
}

/// A change of a [`Client`]'s state.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientEvent<'a, S: AsyncRead + AsyncWrite + Unpin = Socket> {
    /// It is about to connect. Update the request now if needed: [`Client::set_request`].
    Connecting,
    /// It is connected: drive this WebSocket until it is over, then await the next event.
    Connected(&'a mut WebSocket<S>),
    /// The attempt failed.
    ConnectFailed(&'a ConnectError),
    /// It waits before the next attempt.
    Reconnecting {
        /// The number of the next attempt since the last success.
        attempt: u32,
        /// The delay before it.
        delay: Duration,
    },
}

/// [`ClientEvent`] without the borrowed parts.
enum Step {
    Connecting,
    Connected,
    Failed,
    Waiting { attempt: u32, delay: Duration },
}

impl Client {
    /// Creates a client that has not connected yet.
    ///
    /// # Errors
    /// [`InvalidTarget`] if the request cannot be tried.
    pub fn new<R>(request: R, config: ClientConfig) -> Result<Self, InvalidTarget>
    where
        R: TryInto<ClientRequest>,
        R::Error: Into<InvalidTarget>,
    {
        let dial =
            |request, config: &ClientConfig| Box::pin(Attempt::new(request, config).run()) as Attempting<_>;
        Ok(Self::with(checked(request)?, config, checked, Box::new(dial)))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Creates a client over streams from the application: with other TLS, through other tunnels than those of
    /// [`ClientConfig::proxy`], in memory. For each attempt the
    /// connector returns a stream to the request's host and port; everything else is as with [`Client::new`], including
    /// the reconnect policy.
    ///
    /// `wss://` addresses are allowed: the connector must ensure that the stream is TLS to that host.
    /// [`ClientConfig::handshake_timeout`] covers the connector. The configuration's Unix socket and proxy are ignored, and
    /// no redirect is followed. For a stream that is not `Send`, use [`handshake`](crate::handshake()).
    ///
    /// # Errors
    /// [`InvalidTarget::Request`]: the request is malformed. An error of the connector is
    /// [`ConnectError::Unreachable`], and retried as the policy says; so is a panic that the caller catches.
    ///
    /// ```no_run
    /// use async_io::Async;
    /// use std::net::TcpStream;
    /// use ws_server_smol::{Client, ClientConfig, ClientRequest, Socket};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let connector = async |request: ClientRequest| {
    ///     println!("to {}:{}", request.host(), request.port());
    ///     let tunnel = Async::<TcpStream>::connect(([127, 0, 0, 1], 1080)).await?;
    ///     // Here, ask for that host, and start TLS.
    ///     Ok(Socket::from(tunnel))
    /// };
    /// let mut client = Client::with_connector("wss://app.example/live", ClientConfig::default(), connector)?;
    /// while let Some(ws) = client.next_connection().await {
    ///     while let Some(Ok(message)) = ws.next().await {
    ///         println!("{message:?}");
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_connector<R, F>(
        request: R,
        config: ClientConfig,
        mut connector: impl FnMut(ClientRequest) -> F + Send + 'static,
    ) -> Result<Self, InvalidTarget>
    where
        R: TryInto<ClientRequest>,
        R::Error: Into<InvalidTarget>,
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: Send + 'static,
    {
        let request = request.try_into().map_err(Into::into)?;
        let dial = move |request: ClientRequest, config: &ClientConfig| {
            let stream = connector(request.clone());
            Box::pin(connect_over(request, Arc::new(config.connection_config()), stream)) as Attempting<_>
        };
        Ok(Self::with(request, config, Ok, Box::new(dial)))
    }

    fn with(
        request: ClientRequest,
        config: ClientConfig,
        check: fn(ClientRequest) -> Result<ClientRequest, InvalidTarget>,
        dial: Dial<S>,
    ) -> Self {
        let phase = Phase::Due { reported: false };
        Self { request, config, check, dial, backoff: Backoff::default(), phase, closed: None, failure: None }
    }

    /// Returns the next connection: the first at once, each further one as the policy says; `None` when the policy
    /// gives up. [`closed`](Self::closed) and [`failure`](Self::failure) say why.
    ///
    /// Cancel-safe.
    pub async fn next_connection(&mut self) -> Option<&mut WebSocket<S>> {
        while !matches!(self.step().await?, Step::Connected) {}
        self.websocket()
    }

    /// Returns the next [`ClientEvent`]; `None` when the policy gives up.
    ///
    /// Cancel-safe.
    ///
    /// ```no_run
    /// # async fn new_token() -> String { String::new() }
    /// # async fn example(mut client: ws_server_smol::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use ws_server_smol::{ClientEvent, ClientRequest};
    ///
    /// while let Some(event) = client.next_event().await {
    ///     match event {
    ///         ClientEvent::Connecting => {
    ///             let token = new_token().await;
    ///             let request = ClientRequest::new("ws://127.0.0.1:8700/chat")?;
    ///             client.set_request(request.header("Authorization", &format!("Bearer {token}"))?)?;
    ///         }
    ///         ClientEvent::Connected(ws) => while ws.next().await.is_some() {},
    ///         ClientEvent::ConnectFailed(error) => println!("{error}"),
    ///         ClientEvent::Reconnecting { delay, .. } => println!("again in {delay:?}"),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn next_event(&mut self) -> Option<ClientEvent<'_, S>> {
        let step = self.step().await?;
        let Self { phase, failure, .. } = self;
        Some(match (step, phase, failure) {
            (Step::Connected, Phase::Open { websocket, .. }, _) => ClientEvent::Connected(websocket),
            (Step::Failed, _, Some(failure)) => ClientEvent::ConnectFailed(failure),
            (Step::Waiting { attempt, delay }, ..) => ClientEvent::Reconnecting { attempt, delay },
            _ => ClientEvent::Connecting,
        })
    }

    /// Connects now, regardless of the policy. An open connection is closed first, with 1000; an attempt in progress
    /// continues. Whatever the result, [`next_connection`](Self::next_connection) continues from there.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(&mut self) -> Result<&mut WebSocket<S>, ConnectError> {
        self.backoff.reset();
        if !matches!(self.phase, Phase::Connecting(_)) {
            self.close_current().await;
            self.phase = Phase::Due { reported: true };
        }
        self.step().await;
        let Self { phase, failure, .. } = self;
        match phase {
            Phase::Open { websocket, .. } => Ok(websocket),
            _ => Err(failure.take().unwrap_or(ConnectError::Cancelled)),
        }
    }

    /// Disconnects: closes the connection with 1000, or stops trying to open one, and stays idle.
    /// [`connect`](Self::connect) starts again. To close with another code, close the [`WebSocket`](Self::websocket)
    /// itself.
    ///
    /// A slow server may delay this for as long as it may delay [`WebSocket::close`]. For a deadline of your own, put a
    /// timeout around it, and drop the client or [`terminate`](crate::Sender::terminate) the connection when that has
    /// passed.
    ///
    /// Cancel-safe; if dropped before it completes, the connection may be closing.
    pub async fn disconnect(&mut self) {
        self.close_current().await;
        self.phase = Phase::Idle;
    }

    /// Sets the request from the next attempt on: another address, or a renewed token.
    ///
    /// # Errors
    /// As [`Client::new`]; the previous request stays.
    pub fn set_request<R>(&mut self, request: R) -> Result<(), InvalidTarget>
    where
        R: TryInto<ClientRequest>,
        R::Error: Into<InvalidTarget>,
    {
        self.request = (self.check)(request.try_into().map_err(Into::into)?)?;
        Ok(())
    }

    /// Sets the configuration from the next attempt on; the reconnect policy applies immediately.
    pub fn set_config(&mut self, config: ClientConfig) {
        self.config = config;
    }

    /// Returns the connection, while it is open or closing, and until the next is requested.
    pub fn websocket(&mut self) -> Option<&mut WebSocket<S>> {
        match &mut self.phase {
            Phase::Open { websocket, .. } => Some(websocket),
            _ => None,
        }
    }

    /// Returns how the last open connection ended, even while the next one is open; `None` if none has ended yet.
    pub fn closed(&self) -> Option<&Closed> {
        let current = match &self.phase {
            Phase::Open { websocket, .. } => websocket.closed(),
            _ => None,
        };
        current.or(self.closed.as_deref())
    }

    /// Returns the error of the last failed attempt; `None` once an attempt has succeeded since.
    pub fn failure(&self) -> Option<&ConnectError> {
        self.failure.as_ref()
    }

    /// Returns the state of the client: [`Idle`](ClientState::Idle) also before the first attempt, and when its
    /// connection has ended and the next is not requested yet; [`Connecting`](ClientState::Connecting) from
    /// [`ClientEvent::Connecting`] on.
    pub fn state(&self) -> ClientState {
        match &self.phase {
            Phase::Idle | Phase::Due { reported: false } => ClientState::Idle,
            Phase::Due { reported: true } | Phase::Connecting(_) => ClientState::Connecting,
            Phase::Waiting { .. } => ClientState::Waiting,
            Phase::Open { websocket, .. } => match websocket.state() {
                State::Open => ClientState::Open,
                _ if websocket.closed().is_some() => ClientState::Idle,
                _ => ClientState::Closing,
            },
        }
    }

    /// Continues to the next event. The phase holds whatever it waits for, which makes this cancel-safe.
    async fn step(&mut self) -> Option<Step> {
        loop {
            match &mut self.phase {
                Phase::Idle => return None,
                Phase::Due { reported: reported @ false } => {
                    *reported = true;
                    return Some(Step::Connecting);
                }
                Phase::Due { reported: true } => {
                    let mut guard = AttemptGuard(self);
                    let AttemptGuard(Self { dial, request, config, .. }) = &mut guard;
                    let attempt = dial(request.clone(), config);
                    mem::forget(guard);
                    self.phase = Phase::Connecting(attempt);
                }
                Phase::Connecting(_) => match poll_fn(|cx| self.poll_attempt(cx)).await {
                    Ok(Opened { websocket, after }) => {
                        self.failure = None;
                        self.phase = Phase::Open { websocket: Box::new(websocket), after, left: false };
                        return Some(Step::Connected);
                    }
                    Err(Failed { failure, closed }) => {
                        self.failure = Some(failure);
                        self.schedule_next(closed.as_deref());
                        return Some(Step::Failed);
                    }
                },
                Phase::Open { .. } => {
                    let left = self.close_current().await;
                    let closed = self.closed.clone();
                    self.schedule_next(closed.as_deref().filter(|_| !left));
                }
                Phase::Waiting { reported: reported @ false, delay, .. } => {
                    *reported = true;
                    return Some(Step::Waiting { attempt: self.backoff.attempt(), delay: *delay });
                }
                Phase::Waiting { timer, .. } => {
                    poll_fn(|cx| Pin::new(&mut *timer).poll(cx)).await;
                    self.phase = Phase::Due { reported: false };
                }
            }
        }
    }

    fn poll_attempt(&mut self, cx: &mut Context<'_>) -> Poll<Result<Opened<S>, Failed>> {
        let guard = AttemptGuard(self);
        let polled = match &mut guard.0.phase {
            Phase::Connecting(attempt) => attempt.as_mut().poll(cx),
            _ => Poll::Ready(Err(ConnectError::Cancelled.into())),
        };
        mem::forget(guard);
        polled
    }

    /// Closes a connection normally, and records how it ended; returns whether the application had left it open. The
    /// caller must then set the next phase.
    async fn close_current(&mut self) -> bool {
        let Phase::Open { websocket, after, left } = &mut self.phase else { return false };
        if websocket.closed().is_none() {
            *left |= websocket.state() == State::Open;
            // Only malformed codes and reasons are rejected.
            let _ = websocket.close(CloseCode::NORMAL, "").await;
        }
        self.closed = websocket.closed().cloned().map(Box::new);
        if let (Some(closed), Some(policy)) = (&self.closed, self.config.get_reconnect()) {
            self.backoff.connection_lasted(policy, closed.age.saturating_sub(*after));
        }
        *left
    }

    /// Decides what follows the end of an attempt or a connection.
    fn schedule_next(&mut self, closed: Option<&Closed>) {
        self.phase = match self.wait_after(closed) {
            Some(delay) => {
                let until = Instant::now().checked_add(delay);
                let timer = until.map_or_else(Timer::never, Timer::at);
                Phase::Waiting { timer, delay, reported: false }
            }
            None => Phase::Idle,
        };
    }

    fn wait_after(&mut self, closed: Option<&Closed>) -> Option<Duration> {
        // Without a random number from the system, wait the longest.
        let random = || getrandom::u32().unwrap_or(u32::MAX);
        self.backoff.schedule_next(self.config.get_reconnect(), closed, random)
    }
}

/// Guards an attempt while it runs application code. If that panics, the attempt fails.
struct AttemptGuard<'c, S: AsyncRead + AsyncWrite + Unpin>(&'c mut Client<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Drop for AttemptGuard<'_, S> {
    fn drop(&mut self) {
        let error = io::Error::other("the connector panicked");
        self.0.failure = Some(ConnectError::Unreachable { tried: Vec::new(), error });
        self.0.schedule_next(None);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> fmt::Debug for Client<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("state", &self.state()).finish_non_exhaustive()
    }
}
