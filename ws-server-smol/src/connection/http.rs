//! The HTTP phase of a connection: requests, until one of them becomes a WebSocket.

use crate::clock;
use crate::connection::streaming::Streaming;
use crate::connection::websocket::WebSocket;
use crate::driver::Driver;
use crate::driver::shared::Shared;
use crate::error::WebSocketError;
use crate::handles::responder::{Body, Responder};
use crate::ids::ConnectionId;
use crate::server::membership::Membership;
use crate::sys::socket::Socket;
use bytes::Bytes;
use futures_io::{AsyncRead, AsyncWrite};
use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use ws_host::server::{PATH_LIMIT, UpgradeRule, too_many_connections};
use ws_proto::{
    CloseCode, Closed, Config, Connection, Event, Request, RespondError, TlsInfo, Transport, Upgrade,
};

/// A request from a client.
#[derive(Debug)]
pub enum Incoming {
    /// A request without an upgrade. Answer it, now or later, with [`HttpConnection::respond`]; if dropped, it gets
    /// 503, also on the path of a WebSocket. If its body is [streaming](Request::is_streaming), [`HttpConnection::body`]
    /// reads it first.
    Request(Request),
    /// A valid opening handshake. [`HttpConnection::accept`] opens the WebSocket; [`HttpConnection::respond`] rejects
    /// it, and ends the connection.
    Upgrade(Upgrade),
}

/// A server's end of a connection, from its first byte: plain HTTP with keep-alive and pipelining, until an upgrade
/// turns it into a [`WebSocket`].
///
/// It takes any `futures-io` stream: TCP, a Unix socket, TLS, an in-memory pipe. For a socket of `async-io` use
/// [`Socket`](crate::Socket), which shuts down its write half on close.
///
/// [`upgrade`](Self::upgrade) returns the WebSocket; [`next`](Self::next) returns each request and each upgrade:
///
/// ```
/// use ws_server_smol::{HttpConnection, Incoming, WebSocket, web};
///
/// async fn decide(mut http: HttpConnection) -> Result<Option<WebSocket>, Box<dyn std::error::Error>> {
///     while let Some(incoming) = http.next().await {
///         match incoming {
///             Incoming::Request(request) => http.respond(request, web::html("<h1>hello</h1>")).await?,
///             Incoming::Upgrade(upgrade) if upgrade.query() == Some("room=1") => {
///                 return Ok(Some(http.accept(upgrade).await?));
///             }
///             Incoming::Upgrade(upgrade) => http.respond(upgrade, web::not_found()).await?,
///         }
///     }
///     Ok(None)
/// }
/// ```
pub struct HttpConnection<S: AsyncRead + AsyncWrite + Unpin = Socket> {
    /// `None` once the connection is over, or has become a WebSocket.
    pub(crate) driver: Option<Driver<S>>,
    shared: Arc<Shared>,
    rule: UpgradeRule,
    closed: Option<Box<Closed>>,
    membership: Option<Membership<S>>,
    /// The last request whose body is or was streaming.
    pub(crate) streaming: Option<Box<Streaming>>,
    /// The last request whose body was collected and is read in pieces.
    pub(crate) collected: Option<Box<Streaming>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> HttpConnection<S> {
    /// Creates the server's end of a stream from which nothing was read yet. The time for the first request runs from
    /// now.
    ///
    /// The configuration of each such connection comes from
    /// [`ServerConfig::connection_config`](crate::ServerConfig::connection_config). Responses have a `Date` if it has a
    /// [`wall_clock`](Config::wall_clock), which is kept set.
    ///
    /// The stream is assumed to be TCP without TLS; see [`with_transport`](Self::with_transport). A
    /// [`Server`](crate::Server) rejects an invalid configuration; here, call [`Config::check_access`].
    pub fn new(stream: S, config: Arc<Config>) -> Self {
        Self::with_transport(stream, config, Transport::default())
    }

    /// As [`new`](Self::new), for a Unix socket, say, or a TLS stream.
    pub fn with_transport(stream: S, config: Arc<Config>, transport: Transport) -> Self {
        Self::of(
            Driver::new(stream, Connection::server(clock::now(), config, transport)),
            None,
            UpgradeRule::default(),
        )
    }

    pub(crate) fn of(driver: Driver<S>, membership: Option<Membership<S>>, rule: UpgradeRule) -> Self {
        let shared = driver.shared.clone();
        Self {
            driver: Some(driver),
            shared,
            rule,
            closed: None,
            membership,
            streaming: None,
            collected: None,
        }
    }

    /// Returns what the client requests next; `None` when the connection has ended. Malformed requests are answered
    /// automatically and never returned.
    ///
    /// It drives the connection: queued responses are written while it waits. Cancel-safe.
    pub async fn next(&mut self) -> Option<Incoming> {
        loop {
            let driver = self.driver.as_mut()?;
            let event = match poll_fn(|cx| driver.poll_event(cx)).await? {
                Event::Closed(closed) => {
                    self.end(Some(closed));
                    return None;
                }
                Event::Body(part) => {
                    if let Some(streaming) = &mut self.streaming {
                        streaming.discard(part);
                    }
                    continue;
                }
                event => event,
            };
            if let Some(membership) = &self.membership {
                membership.request_received(matches!(event, Event::Upgrade(_)));
            }
            let Some(event) = self.admit(event) else { continue };
            match event {
                Event::Request(request) => {
                    self.streaming = request.is_streaming().then(|| Box::new(Streaming::new(&request)));
                    return Some(Incoming::Request(request));
                }
                Event::Upgrade(mut upgrade) => {
                    if let Some(membership) = &self.membership {
                        membership.note_token(&upgrade);
                    }
                    // The caller decides whether to accept it; this only selects the subprotocol.
                    let _ = self.rule.decide(&mut upgrade);
                    return Some(Incoming::Upgrade(upgrade));
                }
                _ => {}
            }
        }
    }

    /// Counts the connection for the client of its latest request, as a trusted proxy says; returns the request, unless
    /// that client has too many connections.
    fn admit(&mut self, event: Event<'static>) -> Option<Event<'static>> {
        let client = match &event {
            Event::Request(request) => request.peer_addr(),
            Event::Upgrade(upgrade) => upgrade.peer_addr(),
            _ => return Some(event),
        };
        if client == self.shared.peer.address() {
            return Some(event);
        }
        let admission = self.membership.as_ref().map(Membership::admission);
        if self.shared.peer.readmit(admission.as_deref(), client) {
            return Some(event);
        }
        let request = match event {
            Event::Request(request) => request,
            Event::Upgrade(upgrade) => upgrade.into(),
            _ => return None,
        };
        // It has just arrived, so it can be answered.
        let _ = self.queue(request, too_many_connections());
        None
    }

    /// The connection is over.
    pub(crate) fn end(&mut self, closed: Option<Box<Closed>>) {
        self.closed = closed.or(self.closed.take());
        self.driver = None;
        self.membership = None;
    }

    /// Answers a request, or rejects an upgrade, and waits until the response is written. A rejection is the last
    /// response of the connection: [`next`](Self::next) then returns `None`.
    ///
    /// Cancel-safe, except that the response may already be queued when it is dropped.
    ///
    /// # Errors
    /// [`RespondError::NotOpen`], [`RespondError::WrongRequest`], [`RespondError::Header`], [`RespondError::Status`];
    /// also [`RespondError::NotOpen`] if the connection ended before all of it was written.
    pub async fn respond(
        &mut self,
        request: impl Into<Request>,
        response: http::Response<Bytes>,
    ) -> Result<(), RespondError> {
        self.queue(request.into(), response)?;
        self.flush().await
    }

    fn queue(&mut self, request: Request, response: http::Response<Bytes>) -> Result<(), RespondError> {
        self.driver.as_ref().ok_or(RespondError::NotOpen)?.shared.respond(request, response)
    }

    /// Waits until all queued output is written.
    async fn flush(&mut self) -> Result<(), RespondError> {
        let driver = self.driver.as_mut().ok_or(RespondError::NotOpen)?;
        let end = driver.shared.end_of_output();
        let flushed = poll_fn(|cx| driver.poll_flush(cx)).await;
        flushed.or_else(|_| driver.shared.has_written(end).then_some(()).ok_or(RespondError::NotOpen))
    }

    /// Begins a streaming response. Its body is written while [`next`](Self::next) is polled.
    ///
    /// # Errors
    /// As [`respond`](Self::respond).
    pub fn respond_streaming(
        &mut self,
        request: impl Into<Request>,
        head: http::Response<()>,
        length: Option<u64>,
    ) -> Result<Body, RespondError> {
        self.responder().respond_streaming(request, head, length)
    }

    /// Returns a handle that answers requests from other tasks and threads, while this one waits in
    /// [`next`](Self::next).
    pub fn responder(&self) -> Responder {
        Responder { shared: self.driver.as_ref().map(|driver| driver.shared.clone()) }
    }

    /// Opens the WebSocket: answers its handshake with 101, and waits until that is written. If dropped before, the
    /// connection is dropped with it.
    ///
    /// # Errors
    /// [`WebSocketError`]: the upgrade belongs to another connection, or the peer is gone.
    #[expect(clippy::manual_async_fn, reason = "an async fn holds its arguments twice")]
    pub fn accept(mut self, upgrade: Upgrade) -> impl Future<Output = Result<WebSocket<S>, WebSocketError>> {
        async move { self.accept_inner(upgrade).await }
    }

    async fn accept_inner(&mut self, upgrade: Upgrade) -> Result<WebSocket<S>, WebSocketError> {
        let path = match upgrade.path() {
            "/" => None,
            path if path.len() > PATH_LIMIT => Some(Box::default()),
            path => Some(path.into()),
        };
        let driver = self.driver.as_mut().ok_or(RespondError::NotOpen)?;
        driver.shared.connection().accept(clock::now(), upgrade)?;
        let head = loop {
            match poll_fn(|cx| driver.poll_event(cx)).await {
                Some(Event::Open(head)) => break head,
                Some(Event::Closed(closed)) => {
                    self.closed = Some(closed.clone());
                    return Err(closed.into());
                }
                Some(_) => {}
                None => return Err(RespondError::NotOpen.into()),
            }
        };
        // If the peer is gone by now, the WebSocket reports it as its end.
        let _ = poll_fn(|cx| driver.poll_flush(cx)).await;
        let websocket = self.open(head).ok_or(RespondError::NotOpen)?;
        Ok(websocket.at(path))
    }

    fn open(&mut self, head: Box<http::Response<()>>) -> Option<WebSocket<S>> {
        let driver = self.driver.take()?;
        if let Some(membership) = &self.membership {
            membership.opened();
        }
        Some(WebSocket::new(driver, head, self.membership.take()))
    }

    /// Waits for the first valid upgrade on a path that has a WebSocket
    /// ([`ServerConfig::upgrade_paths`](crate::ServerConfig::upgrade_paths); by default every path), and accepts it,
    /// with the best of the [subprotocols](crate::ServerConfig::subprotocols). An upgrade on another path gets 404; a
    /// plain request gets 404, or 426 on the path of a WebSocket.
    ///
    /// `None` if the connection ended before: a client need not request a WebSocket.
    ///
    /// If dropped before it completes, the connection is dropped with it.
    ///
    /// ```no_run
    /// # use ws_server_smol::HttpConnection;
    /// async fn echo(http: HttpConnection) {
    ///     let Some(mut ws) = http.upgrade().await else { return };
    ///     while let Some(Ok(message)) = ws.next().await {
    ///         let _ = ws.send(message).await;
    ///     }
    /// }
    /// ```
    #[expect(clippy::manual_async_fn, reason = "an async fn holds its arguments twice")]
    pub fn upgrade(mut self) -> impl Future<Output = Option<WebSocket<S>>> {
        async move {
            let upgrade = self.next_upgrade().await?;
            self.accept_inner(upgrade).await.ok()
        }
    }

    /// The first half of [`upgrade`](Self::upgrade): returns the upgrade, to inspect its path, query and headers before
    /// you [accept](Self::accept) or [reject](Self::respond) it. `None` if the connection ended before. Cancel-safe.
    ///
    /// ```no_run
    /// # use ws_server_smol::{HttpConnection, WebSocket, WebSocketError};
    /// # async fn room(ws: WebSocket, name: String) {}
    /// async fn join(mut http: HttpConnection) -> Result<(), WebSocketError> {
    ///     let Some(upgrade) = http.next_upgrade().await else { return Ok(()) };
    ///     let name = upgrade.path().to_owned();
    ///     room(http.accept(upgrade).await?, name).await;
    ///     Ok(())
    /// }
    /// ```
    pub async fn next_upgrade(&mut self) -> Option<Upgrade> {
        self.next_upgrade_or(async |_: &Request| None).await
    }

    async fn next_upgrade_or<R>(&mut self, mut answer: impl AsyncFnMut(&Request) -> R) -> Option<Upgrade>
    where
        R: Into<Option<http::Response<Bytes>>>,
    {
        loop {
            match self.next().await? {
                Incoming::Upgrade(upgrade) => return Some(upgrade),
                Incoming::Request(request) => {
                    let response = answer(&request).await.into();
                    let response =
                        response.unwrap_or_else(|| self.rule.unanswered(request.path()).response());
                    // An invalid response becomes 503, and a peer that is gone ends the loop.
                    let _ = self.queue(request, response);
                    let _ = self.flush().await;
                }
            }
        }
    }

    /// As [`upgrade`](Self::upgrade), with responses to plain requests: `None` is 404, or 426 on the path of a
    /// WebSocket. Nothing is read or written while it awaits a response.
    ///
    /// If the future must be `Send`, for a multi-threaded executor, have the closure own what it uses: `async move`.
    /// The compiler does not see that a borrowing closure is `Send` as well.
    ///
    /// To decide about upgrades too, or to answer with streams, files or later, use [`next`](Self::next).
    ///
    /// ```no_run
    /// # use ws_server_smol::{HttpConnection, Request, web};
    /// async fn page_and_echo(http: HttpConnection) {
    ///     let page = async |request: &Request| (request.path() == "/").then(|| web::html("<h1>hello</h1>"));
    ///     let Some(mut ws) = http.upgrade_or(page).await else { return };
    ///     while let Some(Ok(message)) = ws.next().await {
    ///         let _ = ws.send(message).await;
    ///     }
    /// }
    /// ```
    #[expect(clippy::manual_async_fn, reason = "an async fn holds its arguments twice")]
    pub fn upgrade_or<R>(
        mut self,
        answer: impl AsyncFnMut(&Request) -> R,
    ) -> impl Future<Output = Option<WebSocket<S>>>
    where
        R: Into<Option<http::Response<Bytes>>>,
    {
        async move {
            let upgrade = self.next_upgrade_or(answer).await?;
            self.accept_inner(upgrade).await.ok()
        }
    }

    /// Returns what explains the end, once the connection is over; `None` also if it never sent a request, unless
    /// [`report_all_closes`](crate::ServerConfig::report_all_closes) is set.
    pub fn closed(&self) -> Option<&Closed> {
        self.closed.as_deref()
    }

    /// Returns the id of the connection, which its [`WebSocket`] keeps.
    pub fn id(&self) -> ConnectionId {
        self.shared.id
    }

    /// Returns the peer's address. An IPv4 peer has an IPv4 address, even on dual-stack servers. `None` over a Unix
    /// socket, and for a stream passed to [`new`](Self::new), whose address the caller knows. Behind a [trusted
    /// proxy](crate::ServerConfig::trust_proxy) it is the client's, as of the last request, and the proxy's before the
    /// first.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.shared.peer.address()
    }

    /// Returns the address at the other end of the socket: behind a [trusted
    /// proxy](crate::ServerConfig::trust_proxy) that of the proxy, otherwise [`peer_addr`](Self::peer_addr). `None`
    /// whenever that is, and once the connection is over.
    pub fn transport_addr(&self) -> Option<SocketAddr> {
        self.shared.transport_addr()
    }

    /// Returns the result of the TLS handshake; `None` without TLS of this crate, and once the connection is over.
    pub fn tls(&self) -> Option<Arc<TlsInfo>> {
        self.shared.tls_info()
    }

    /// Returns the local address; `None` whenever [`peer_addr`](Self::peer_addr) is, and once the connection is over.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.shared.local_addr()
    }

    /// Returns the underlying stream; `None` once the connection is over.
    pub fn get_ref(&self) -> Option<&S> {
        self.driver.as_ref()?.stream()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> fmt::Debug for HttpConnection<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConnection").field("closed", &self.closed).finish_non_exhaustive()
    }
}

/// Flushes responses as far as that is possible without waiting.
impl<S: AsyncRead + AsyncWrite + Unpin> Drop for HttpConnection<S> {
    fn drop(&mut self) {
        if let Some(driver) = &mut self.driver {
            driver.end_now_with_report(CloseCode::GOING_AWAY);
        }
    }
}
