//! A client that connects, parts and connects again.

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
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use ws_host::client::Backoff;
use ws_host::client::{ClientConfig, ClientState, ConnectError, InvalidTarget};
use ws_proto::{ClientRequest, CloseCode, Closed, State};

/// A client that connects, parts and connects again: at once, or as a [`Reconnect`](crate::Reconnect) policy
/// says.
///
/// One connection at a time is lent to the application, which drives it until it is over, and asks for the next:
///
/// ```no_run
/// use ws_server_smol::{Client, ClientConfig, Reconnect};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let config = ClientConfig::new().reconnect(Reconnect::default());
/// let mut client = Client::new("ws://127.0.0.1:8700/chat", config)?;
/// while let Some(ws) = client.next_connection().await {
///     // Each time: the place to set things up again.
///     ws.try_send("hello")?;
///     while let Some(Ok(message)) = ws.next().await {
///         println!("{message:?}");
///     }
/// }
/// // The policy has nothing more to try.
/// if let Some(failure) = client.failure() {
///     println!("{failure}");
/// }
/// # Ok(())
/// # }
/// ```
///
/// How a connection ended decides what comes next: see [`Reconnect::is_final`](crate::Reconnect::is_final). A
/// connection that is still open when the next is asked for is closed first, with 1000, and the policy is asked as
/// if it had been lost. Without a policy there is one connection.
///
/// [`next_event`](Self::next_event) tells of attempts and waits too. Every method is cancel-safe: an attempt or a
/// wait that has begun stays with the client, and the next call goes on with it. Nothing is spawned, and nothing
/// goes on without polling. Dropped, it leaves nothing behind.
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

/// Begins an attempt.
type Dial<S> = Box<dyn FnMut(ClientRequest, &ClientConfig) -> Attempting<S> + Send>;

type Attempting<S> = Pin<Box<dyn Future<Output = Result<Opened<S>, Failed>> + Send>>;

enum Phase<S: AsyncRead + AsyncWrite + Unpin> {
    /// At rest.
    Idle,
    /// The next attempt is to begin.
    Due {
        reported: bool,
    },
    Connecting(Attempting<S>),
    Open {
        websocket: Box<WebSocket<S>>,
        /// How long the attempt took.
        after: Duration,
        /// The application asked for another while it was open.
        left: bool,
    },
    Waiting {
        timer: Timer,
        delay: Duration,
        reported: bool,
    },
}

/// What a [`Client`] is at.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientEvent<'a, S: AsyncRead + AsyncWrite + Unpin = Socket> {
    /// It is about to connect. What it asks for can be renewed now: [`Client::set_request`].
    Connecting,
    /// It is connected: drive this until it is over, then ask for the next event.
    Connected(&'a mut WebSocket<S>),
    /// The attempt came to nothing.
    ConnectFailed(&'a ConnectError),
    /// It waits before the next attempt.
    Reconnecting {
        /// How many attempts there will have been since the last success.
        attempt: u32,
        /// How long.
        delay: Duration,
    },
}

/// [`ClientEvent`] without what is lent.
enum Step {
    Connecting,
    Connected,
    Failed,
    Waiting { attempt: u32, delay: Duration },
}

impl Client {
    /// A client that has not connected yet.
    ///
    /// # Errors
    /// [`InvalidTarget`]: what cannot even be tried.
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
    /// A client over streams that the application makes: through a proxy, with TLS, in memory. For each attempt the
    /// connector is asked for one that leads to the request's host and port; everything else is as of
    /// [`Client::new`], the policy for connecting again included.
    ///
    /// `wss://` addresses are welcome: that the stream is one of TLS, to that host, is the connector's to see to. The
    /// time for connecting covers the connector, and the Unix socket of the configuration means nothing to it. A stream
    /// that is not `Send` is for [`handshake`](crate::handshake()).
    ///
    /// # Errors
    /// [`InvalidTarget::Request`]: the request is malformed. What the connector fails with is
    /// [`ConnectError::Unreachable`], and tried again as the policy says.
    ///
    /// ```no_run
    /// use async_io::Async;
    /// use std::net::TcpStream;
    /// use ws_server_smol::{Client, ClientConfig, ClientRequest, Socket};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let connector = async |request: ClientRequest| {
    ///     println!("to {}:{}", request.host(), request.port());
    ///     let proxy = Async::<TcpStream>::connect(([127, 0, 0, 1], 1080)).await?;
    ///     // Here the proxy is asked for that host, and TLS begins.
    ///     Ok(Socket::from(proxy))
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

    /// The next connection: the first at once, each further one as the policy says; `None` when it has nothing more
    /// to try. [`closed`](Self::closed) and [`failure`](Self::failure) say why.
    ///
    /// Cancel-safe.
    pub async fn next_connection(&mut self) -> Option<&mut WebSocket<S>> {
        while !matches!(self.step().await?, Step::Connected) {}
        self.websocket()
    }

    /// What happens next, one thing after the other: the events of [`ClientEvent`]. `None` when the policy has
    /// nothing more to try.
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
    ///         ClientEvent::ConnectFailed(failure) => println!("{failure}"),
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

    /// Connects now, whatever the policy says. A connection that is open is closed first, with 1000; an attempt that
    /// is under way is gone on with. Whichever way it comes out, [`next_connection`](Self::next_connection) goes on
    /// from there.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(&mut self) -> Result<&mut WebSocket<S>, ConnectError> {
        self.backoff.reset();
        if !matches!(self.phase, Phase::Connecting(_)) {
            self.part().await;
            self.phase = Phase::Due { reported: true };
        }
        self.step().await;
        let Self { phase, failure, .. } = self;
        match phase {
            Phase::Open { websocket, .. } => Ok(websocket),
            _ => Err(failure.take().unwrap_or(ConnectError::Cancelled)),
        }
    }

    /// Parts: closes the connection with 1000, or stops trying to get one, and rests.
    /// [`connect`](Self::connect) starts again. To close with another code, close the
    /// [`WebSocket`](Self::websocket) itself.
    ///
    /// Cancel-safe; dropped before it is done, the connection may be closing.
    pub async fn disconnect(&mut self) {
        self.part().await;
        self.phase = Phase::Idle;
    }

    /// Sets what is asked for from the next attempt on: another address, or a token that was renewed.
    ///
    /// # Errors
    /// As [`Client::new`]; what was asked for so far stays.
    pub fn set_request<R>(&mut self, request: R) -> Result<(), InvalidTarget>
    where
        R: TryInto<ClientRequest>,
        R::Error: Into<InvalidTarget>,
    {
        self.request = (self.check)(request.try_into().map_err(Into::into)?)?;
        Ok(())
    }

    /// Sets how the client behaves from the next attempt on; the policy for connecting again, from now on.
    pub fn set_config(&mut self, config: ClientConfig) {
        self.config = config;
    }

    /// The connection, while it is open or closing, and until the next is asked for.
    pub fn websocket(&mut self) -> Option<&mut WebSocket<S>> {
        match &mut self.phase {
            Phase::Open { websocket, .. } => Some(websocket),
            _ => None,
        }
    }

    /// How the last connection ended that was open.
    pub fn closed(&self) -> Option<&Closed> {
        match &self.phase {
            Phase::Open { websocket, .. } => websocket.closed(),
            _ => self.closed.as_deref(),
        }
    }

    /// Why the last attempt came to nothing; `None` once one has succeeded since.
    pub fn failure(&self) -> Option<&ConnectError> {
        self.failure.as_ref()
    }

    /// Where it stands.
    pub fn state(&self) -> ClientState {
        match &self.phase {
            Phase::Idle => ClientState::Idle,
            Phase::Due { .. } | Phase::Connecting(_) => ClientState::Connecting,
            Phase::Waiting { .. } => ClientState::Waiting,
            Phase::Open { websocket, .. } => match websocket.state() {
                State::Open => ClientState::Open,
                _ => ClientState::Closing,
            },
        }
    }

    /// Continues to the next event. Whatever it waits for is kept in the phase.
    async fn step(&mut self) -> Option<Step> {
        loop {
            match &mut self.phase {
                Phase::Idle => return None,
                Phase::Due { reported: reported @ false } => {
                    *reported = true;
                    return Some(Step::Connecting);
                }
                Phase::Due { reported: true } => {
                    self.phase = Phase::Connecting((self.dial)(self.request.clone(), &self.config));
                }
                Phase::Connecting(attempt) => match attempt.await {
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
                    let left = self.part().await;
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

    /// Ends a connection in order, and notes how; says whether the application had left it open. The phase is to be
    /// set anew then.
    async fn part(&mut self) -> bool {
        let Phase::Open { websocket, after, left } = &mut self.phase else { return false };
        if websocket.closed().is_none() {
            *left |= websocket.state() == State::Open;
            // Refused is only what is malformed.
            let _ = websocket.close(CloseCode::NORMAL, "").await;
        }
        self.closed = websocket.closed().cloned().map(Box::new);
        if let (Some(closed), Some(policy)) = (&self.closed, self.config.get_reconnect()) {
            self.backoff.lived(policy, closed.age.saturating_sub(*after));
        }
        *left
    }

    /// An attempt or a connection has ended: what comes next.
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
        // Where the system has no random number, all wait the longest.
        let random = || getrandom::u32().unwrap_or(u32::MAX);
        self.backoff.schedule_next(self.config.get_reconnect(), closed, random)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> fmt::Debug for Client<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("state", &self.state()).finish_non_exhaustive()
    }
}
