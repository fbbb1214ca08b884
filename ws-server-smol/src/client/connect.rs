//! Opens a client's connection: name lookup, address race, handshake.

use crate::client::race::Sockets;
use crate::clock;
use crate::connection::websocket::WebSocket;
use crate::driver::{Driver, DriverOptions};
use crate::sys::layered::Layers;
use crate::sys::names::Resolver;
use crate::sys::socket::Socket;
use async_io::Timer;
use futures_io::{AsyncRead, AsyncWrite};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use ws_host::client::{ClientConfig, ConnectError, ConnectStep, InvalidTarget, Race, addresses, interleaved};
use ws_host::proxy::ProxyServer;
use ws_proto::{ClientRequest, Closed, Config, Connection, Error, Event};

/// Connects once.
///
/// An address literal and `localhost` need no lookup. The system's resolver looks up any other name, and blocks for
/// seconds if no name server answers, so each name is looked up on a helper thread of the crate `blocking`, which exits
/// when idle. At most 8 lookups run at a time, for all clients of the process together, and clients of the same name
/// share one. A ninth name waits until one of the eight completes. A lookup that times out is [`ConnectError::Name`].
///
/// Each address of a name, or of `localhost`, has a quarter of a second before the next is tried in parallel (RFC
/// 8305); the first that accepts the connection is used. [`ClientConfig::handshake_timeout`] covers the lookup, the
/// connection and the handshake together. A reconnect policy applies only to [`Client`](crate::Client), and is ignored
/// here.
///
/// Cancel-safe: dropping the future aborts the attempt, and leaves no socket behind. A name that waits for a thread is
/// dropped with its last client; a running lookup keeps its thread until it completes.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use ws_server_smol::{ClientConfig, connect};
///
/// let mut ws = connect("ws://127.0.0.1:8700/chat", ClientConfig::new()).await?;
/// ws.send("hello").await?;
/// while let Some(message) = ws.next().await {
///     println!("{:?}", message?);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ConnectError`]. If a server rejects the handshake, [`ConnectError::response`] has its response. An invalid target
/// is [`ConnectError::Invalid`], and so is a `wss://` address without the feature `tls`; for other TLS, [`handshake()`]
/// takes any stream.
pub async fn connect<R>(request: R, config: ClientConfig) -> Result<WebSocket<Socket>, ConnectError>
where
    R: TryInto<ClientRequest>,
    R::Error: Into<InvalidTarget>,
{
    let request = checked(request)?;
    let opened = Attempt::new(request, &config).run().await;
    opened.map(|opened| opened.websocket).map_err(|failed| failed.failure)
}

/// As [`connect`], with another resolver, for tests.
///
/// # Errors
/// As [`connect`].
pub async fn connect_with_names(
    request: ClientRequest,
    config: ClientConfig,
    names: Arc<Resolver>,
) -> Result<WebSocket<Socket>, ConnectError> {
    let attempt = Attempt { names, ..Attempt::new(checked(request)?, &config) };
    attempt.run().await.map(|opened| opened.websocket).map_err(|failed| failed.failure)
}

/// As [`connect`], over a socket that is connected, for tests.
///
/// # Errors
/// As [`connect`].
pub async fn connect_over_fake(
    request: ClientRequest,
    config: ClientConfig,
    socket: Socket,
) -> Result<WebSocket<Socket>, ConnectError> {
    let attempt = Attempt::new(checked(request)?, &config);
    attempt.open(socket, Vec::new()).await.map(|opened| opened.websocket).map_err(|failed| failed.failure)
}

/// Does the client's opening handshake over a connected stream: TLS, a pipe, another executor's socket.
///
/// `wss://` addresses are allowed here: the caller must ensure that the stream is TLS to that host.
/// [`ClientConfig::handshake_timeout`] runs from the call.
///
/// Cancel-safe: if dropped, the stream is dropped with it.
///
/// ```
/// # use futures_io::{AsyncRead, AsyncWrite};
/// # async fn example(tls: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
/// use ws_server_smol::ClientConfig;
///
/// let config = Arc::new(ClientConfig::new().connection_config());
/// let mut ws = ws_server_smol::handshake(tls, "wss://app.example/live", config).await?;
/// ws.send("hello").await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`connect`].
pub async fn handshake<S, R>(stream: S, request: R, config: Arc<Config>) -> Result<WebSocket<S>, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    R: TryInto<ClientRequest>,
    R::Error: Into<InvalidTarget>,
{
    let request = request.try_into().map_err(Into::into)?;
    let seed = seed().map_err(|error| unreachable(Vec::new(), error))?;
    let connection = Connection::client(clock::now(), config, request, seed);
    open(Driver::new(stream, connection), Vec::new()).await.map_err(|failed| failed.failure)
}

/// Returns the request, if it can be tried.
pub(crate) fn checked<R>(request: R) -> Result<ClientRequest, InvalidTarget>
where
    R: TryInto<ClientRequest>,
    R::Error: Into<InvalidTarget>,
{
    let request = request.try_into().map_err(Into::into)?;
    let is_unsupported = request.is_tls() && cfg!(not(feature = "tls-no-provider"));
    if is_unsupported { Err(InvalidTarget::TlsUnsupported) } else { Ok(request) }
}

pub(crate) struct Opened<S: AsyncRead + AsyncWrite + Unpin> {
    pub(crate) websocket: WebSocket<S>,
    /// How long the attempt took.
    pub(crate) after: Duration,
}

pub(crate) struct Failed {
    pub(crate) failure: ConnectError,
    /// The end of the connection, if there was one.
    pub(crate) closed: Option<Box<Closed>>,
}

impl From<ConnectError> for Failed {
    fn from(failure: ConnectError) -> Self {
        Self { failure, closed: None }
    }
}

/// One attempt, with the settings from when it began.
pub(crate) struct Attempt {
    request: ClientRequest,
    rules: Arc<Config>,
    config: ClientConfig,
    names: Arc<Resolver>,
    since: Instant,
}

impl Attempt {
    pub(crate) fn new(request: ClientRequest, config: &ClientConfig) -> Self {
        Self {
            request,
            rules: Arc::new(config.connection_config()),
            config: config.clone(),
            names: Resolver::system(),
            since: Instant::now(),
        }
    }

    /// Connects, and follows redirects, within one deadline.
    pub(crate) async fn run(mut self) -> Result<Opened<Socket>, Failed> {
        loop {
            let mut failed = match self.connect().await {
                Ok(opened) => return Ok(opened),
                Err(failed) => failed,
            };
            let next = failed.closed.as_ref();
            match next.and_then(|closed| self.config.redirected(&self.request, closed, checked)) {
                None => {
                    failed.failure = failed.failure.in_attempt(&self.request, self.proxy());
                    return Err(failed);
                }
                Some(Ok(request)) => self.request = request,
                Some(Err(failure)) => {
                    let closed = failed.closed.filter(|_| !failure.is_timed_out());
                    return Err(Failed { failure, closed });
                }
            }
        }
    }

    async fn connect(&self) -> Result<Opened<Socket>, Failed> {
        #[cfg(feature = "tls-no-provider")]
        self.prepare_tls().await?;
        let addresses = self.addresses().await?;
        let mut race = Race::new(addresses);
        let Some(connected) = within(self.deadline(), self.connected(&mut race)).await else {
            return Err(timed_out(race.take_tried()).into());
        };
        self.open(connected?, race.take_tried()).await
    }

    /// Opens the layers and the WebSocket over a connected socket.
    async fn open(&self, stream: Socket, tried: Vec<SocketAddr>) -> Result<Opened<Socket>, Failed> {
        let seed = match seed() {
            Ok(seed) => seed,
            Err(error) => return Err(unreachable(tried, error).into()),
        };
        let stream = match self.config.layer(&self.request, &self.rules) {
            Ok(Some(layer)) => stream.with_layers(Layers::new(layer)),
            Ok(None) => stream,
            Err(error) => return Err(rejected(error)),
        };
        // The connection enforces the remaining time itself.
        let (rules, request) = (self.rules.clone(), self.request.clone());
        let connection = Connection::client(clock::moment(self.since), rules, request, seed);
        let (socket, peer) = (Some(stream.handle()), stream.peer_addr());
        let driver =
            Driver::with(stream, connection, DriverOptions { socket, peer, ..DriverOptions::default() });
        let websocket = open(driver, tried).await?;
        Ok(Opened { websocket, after: self.since.elapsed() })
    }

    /// Returns the addresses to connect to; none for a Unix socket.
    async fn addresses(&self) -> Result<VecDeque<SocketAddr>, ConnectError> {
        #[cfg(unix)]
        if self.config.get_unix().is_some() {
            return Ok(VecDeque::new());
        }
        let address = self.address();
        if let Some(addresses) = addresses(address)? {
            return Ok(addresses);
        }
        let host = address.host();
        let answer = within(self.deadline(), self.names.clone().look_up(host)).await;
        let addresses = answer.unwrap_or_else(|| Err(ConnectError::name_timed_out(host)))?;
        Ok(interleaved(addresses, address.port()))
    }

    /// Reads the roots of the system on a thread that may wait, once for the process.
    #[cfg(feature = "tls-no-provider")]
    async fn prepare_tls(&self) -> Result<(), ConnectError> {
        for tls in self.config.unprepared(&self.request) {
            let Some(prepared) = within(self.deadline(), blocking::unblock(move || tls.prepare())).await
            else {
                return Err(ConnectError::TimedOut { tried: Vec::new(), step: ConnectStep::Tls });
            };
            prepared.map_err(|error| ConnectError::Tls(error.into()))?;
        }
        Ok(())
    }

    fn proxy(&self) -> Option<&ProxyServer> {
        self.config.proxy_for(&self.request)
    }

    /// What is connected to: the proxy, or the server of the request.
    fn address(&self) -> &ClientRequest {
        self.proxy().map_or(&self.request, ProxyServer::address)
    }

    fn deadline(&self) -> Timer {
        deadline(self.since, &self.rules)
    }

    async fn connected(&self, race: &mut Race) -> Result<Socket, ConnectError> {
        #[cfg(unix)]
        if let Some(path) = self.config.get_unix() {
            let stream = async_io::Async::<UnixStream>::connect(path).await;
            return stream
                .map(Socket::from)
                .map_err(|error| ConnectError::Unix { path: path.to_owned(), error });
        }
        let mut sockets = Sockets::new();
        poll_fn(|cx| sockets.poll(race, cx)).await
    }
}

fn unreachable(tried: Vec<SocketAddr>, error: io::Error) -> ConnectError {
    ConnectError::Unreachable { tried, error }
}

fn timed_out(tried: Vec<SocketAddr>) -> ConnectError {
    ConnectError::TimedOut { tried, step: ConnectStep::Connect }
}

/// The end of a connection that cannot begin.
fn rejected(error: Error) -> Failed {
    let mut closed = Closed::default();
    closed.error = Some(error);
    let failure = ConnectError::of(&closed, Vec::new(), ConnectStep::Connect);
    Failed { failure, closed: Some(Box::new(closed)) }
}

/// Makes one attempt, over a stream from the application.
pub(crate) async fn connect_over<S>(
    request: ClientRequest,
    rules: Arc<Config>,
    stream: impl Future<Output = io::Result<S>>,
) -> Result<Opened<S>, Failed>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let since = Instant::now();
    let unreachable = |error| unreachable(Vec::new(), error);
    let Some(stream) = within(deadline(since, &rules), stream).await else {
        return Err(timed_out(Vec::new()).into());
    };
    let stream = stream.map_err(unreachable)?;
    let connection = Connection::client(clock::moment(since), rules, request, seed().map_err(unreachable)?);
    let websocket = open(Driver::new(stream, connection), Vec::new()).await?;
    Ok(Opened { websocket, after: since.elapsed() })
}

fn deadline(since: Instant, rules: &Config) -> Timer {
    since.checked_add(rules.get_handshake_timeout()).map_or_else(Timer::never, Timer::at)
}

/// Drives the handshake to completion.
async fn open<S>(mut driver: Driver<S>, tried: Vec<SocketAddr>) -> Result<WebSocket<S>, Failed>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let layers = driver.shared.layers();
    loop {
        match poll_fn(|cx| driver.poll_event(cx)).await {
            Some(Event::Open(head)) => return Ok(WebSocket::new(driver, head, None)),
            Some(Event::Closed(closed)) => {
                let failure = ConnectError::of(
                    &closed,
                    tried,
                    layers.map_or(ConnectStep::Handshake, |layers| layers.step()),
                );
                return Err(Failed { failure, closed: Some(closed) });
            }
            Some(_) => {}
            None => return Err(ConnectError::Lost(Error::Aborted).into()),
        }
    }
}

/// Returns `None` if the time was over before the future completed.
async fn within<T>(mut time: Timer, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Pin::new(&mut time).poll(cx).map(|_| None),
    })
    .await
}

fn seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::from)?;
    Ok(seed)
}
