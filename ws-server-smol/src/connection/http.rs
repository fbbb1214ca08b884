//! The HTTP phase of a connection: requests, until one of them becomes a WebSocket.

use crate::clock;
use crate::connection::responder::{Body, Responder};
use crate::connection::shared::ConnectionId;
use crate::connection::websocket::WebSocket;
use crate::driver::Driver;
use crate::server::Membership;
use bytes::Bytes;
use futures_io::{AsyncRead, AsyncWrite};
use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use ws_host::token::TokenRule;
use ws_proto::{CloseCode, Closed, Config, Connection, Event, Request, RespondError, Transport, Upgrade};

/// What a client asks for.
#[derive(Debug)]
pub enum Incoming {
    /// A request that asks for no upgrade. Answer it, now or later, with [`Acceptor::respond`]; dropped, it is
    /// answered 503.
    Request(Request),
    /// A valid opening handshake. [`Acceptor::accept`] opens the WebSocket; [`Acceptor::respond`] refuses, and ends the
    /// connection.
    Upgrade(Upgrade),
}

/// A server's end of a connection, from its first byte: plain HTTP with keep-alive and pipelining, until an upgrade
/// makes a [`WebSocket`] of it.
///
/// It takes any stream of `futures-io`: TCP, a Unix socket, TLS, a pipe in memory. For a socket of `async-io` use
/// [`Socket`](crate::Socket), which closes its half in order.
///
/// ```
/// # use ws_server_smol::{Acceptor, Incoming, ServerConfig, ws_proto::handshake::upgrade_required};
/// # use futures_io::{AsyncRead, AsyncWrite};
/// # use std::sync::Arc;
/// async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), Box<dyn std::error::Error>> {
///     let mut http = Acceptor::new(stream, Arc::new(ServerConfig::new().shared_config()));
///     while let Some(incoming) = http.next().await {
///         match incoming {
///             Incoming::Request(request) => http.respond(request, upgrade_required()).await?,
///             Incoming::Upgrade(upgrade) => {
///                 let mut ws = http.accept(upgrade).await?;
///                 ws.send("hello").await?;
///                 while let Some(message) = ws.next().await {
///                     ws.send(message?).await?;
///                 }
///                 break;
///             }
///         }
///     }
///     Ok(())
/// }
/// ```
pub struct Acceptor<S: AsyncRead + AsyncWrite + Unpin> {
    /// `None` once it has become a WebSocket.
    pub(crate) driver: Option<Driver<S>>,
    closed: Option<Box<Closed>>,
    membership: Option<Membership>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Acceptor<S> {
    /// The server's end of a stream from which nothing was read yet. The time for the first request runs from now.
    ///
    /// The configuration of each such connection comes from
    /// [`ServerConfig::shared_config`](crate::ServerConfig::shared_config). Answers have a `Date` where it has a
    /// [`wall_clock`](Config::wall_clock), which is kept set.
    ///
    /// It is taken for TCP without TLS; see [`with_transport`](Self::with_transport). A [`Server`](crate::Server) refuses a
    /// configuration that can allow nobody; here [`Config::check_access`] tells.
    pub fn new(stream: S, config: Arc<Config>) -> Self {
        Self::with_transport(stream, config, Transport::default())
    }

    /// As [`new`](Self::new), of a stream that is a Unix socket, say, or one of TLS.
    pub fn with_transport(stream: S, config: Arc<Config>, transport: Transport) -> Self {
        Self::of(Driver::new(stream, Connection::server(clock::now(), config, transport)), None)
    }

    pub(crate) fn of(driver: Driver<S>, membership: Option<Membership>) -> Self {
        Self { driver: Some(driver), closed: None, membership }
    }

    /// What the client asks for next; `None` when the connection has ended. Malformed requests are answered by
    /// themselves and never come here.
    ///
    /// It drives the connection: answers that were given go out while it waits. Cancel-safe.
    pub async fn next(&mut self) -> Option<Incoming> {
        loop {
            let driver = self.driver.as_mut()?;
            let event = match poll_fn(|cx| driver.poll_event(cx)).await? {
                Event::Closed(closed) => {
                    self.closed = Some(closed);
                    self.driver = None;
                    self.membership = None;
                    return None;
                }
                event => event,
            };
            let shared = &driver.shared;
            if let Some(membership) = &self.membership {
                membership.asked(matches!(event, Event::Upgrade(_)));
            }
            let let_in = match &shared.token {
                Some(rule) => rule.authenticate(event),
                None => Ok(event),
            };
            match let_in {
                Ok(Event::Request(request)) => return Some(Incoming::Request(request)),
                Ok(Event::Upgrade(upgrade)) => return Some(Incoming::Upgrade(upgrade)),
                Ok(_) => {}
                Err(request) => {
                    // It was asked just now, so that it can be answered.
                    let _ = shared.connection().respond(clock::now(), request, TokenRule::unauthorized());
                }
            }
        }
    }

    /// Answers a request, or refuses an upgrade, and waits until the answer is written. A refusal is the last answer of the
    /// connection: [`next`](Self::next) then gives `None`.
    ///
    /// Cancel-safe, but that the answer may have been queued when it is dropped.
    ///
    /// # Errors
    /// As [`ws_proto::Connection::respond`]; [`RespondError::NotOpen`] also when the connection ended before all of it was
    /// written.
    pub async fn respond(
        &mut self,
        request: impl Into<Request>,
        response: http::Response<Bytes>,
    ) -> Result<(), RespondError> {
        let driver = self.driver.as_mut().ok_or(RespondError::NotOpen)?;
        driver.shared.respond(request.into(), response)?;
        let end = driver.shared.end_of_output();
        let flushed = poll_fn(|cx| driver.poll_flush(cx)).await;
        flushed.or_else(|_| driver.shared.has_written(end).then_some(()).ok_or(RespondError::NotOpen))
    }

    /// Begins an answer whose body comes in pieces. They go out while [`next`](Self::next) is polled.
    ///
    /// # Errors
    /// As [`ws_proto::Connection::respond_streaming`].
    pub fn respond_streaming(
        &mut self,
        request: impl Into<Request>,
        head: http::Response<()>,
        length: Option<u64>,
    ) -> Result<Body, RespondError> {
        self.responder().respond_streaming(request, head, length)
    }

    /// A handle that answers requests from other tasks and threads, while this one waits in [`next`](Self::next).
    pub fn responder(&self) -> Responder {
        Responder { shared: self.driver.as_ref().map(|driver| driver.shared.clone()) }
    }

    /// Opens the WebSocket: answers its handshake with 101, and waits until that is written. Dropped before, the
    /// connection goes with it.
    ///
    /// # Errors
    /// [`AcceptError`]: the upgrade is another connection's, or the peer is gone.
    pub async fn accept(mut self, upgrade: Upgrade) -> Result<WebSocket<S>, AcceptError> {
        let Some(driver) = &mut self.driver else { return Err(AcceptError::Refused(RespondError::NotOpen)) };
        driver.shared.connection().accept(clock::now(), upgrade).map_err(AcceptError::Refused)?;
        loop {
            match poll_fn(|cx| driver.poll_event(cx)).await {
                Some(Event::Open(head)) => {
                    // A peer that is gone by now is told as the end of the WebSocket.
                    let _ = poll_fn(|cx| driver.poll_flush(cx)).await;
                    break self.open(head).ok_or(AcceptError::Refused(RespondError::NotOpen));
                }
                Some(Event::Closed(closed)) => {
                    self.closed = Some(closed.clone());
                    break Err(AcceptError::Closed(closed));
                }
                Some(_) => {}
                None => break Err(AcceptError::Refused(RespondError::NotOpen)),
            }
        }
    }

    fn open(&mut self, head: Box<http::Response<()>>) -> Option<WebSocket<S>> {
        let driver = self.driver.take()?;
        if let Some(membership) = &self.membership {
            membership.opened();
        }
        Some(WebSocket::new(driver, head, self.membership.take()))
    }

    /// What explains the end, once it is over; `None` also of a connection that never asked anything.
    pub fn closed(&self) -> Option<&Closed> {
        self.closed.as_deref()
    }

    /// Which connection it is, also once it is a WebSocket; `None` once it is over.
    pub fn id(&self) -> Option<ConnectionId> {
        Some(self.driver.as_ref()?.shared.id)
    }

    /// The stream below; `None` once the connection is over.
    pub fn get_ref(&self) -> Option<&S> {
        self.driver.as_ref()?.stream()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> fmt::Debug for Acceptor<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("closed", &self.closed).finish_non_exhaustive()
    }
}

/// What was being answered is flushed as far as that goes without waiting.
impl<S: AsyncRead + AsyncWrite + Unpin> Drop for Acceptor<S> {
    fn drop(&mut self) {
        if let Some(driver) = &mut self.driver {
            driver.part(CloseCode::GOING_AWAY);
        }
    }
}

/// Why a WebSocket did not open.
#[derive(Clone)]
#[non_exhaustive]
pub enum AcceptError {
    /// It cannot be accepted: the upgrade came by another connection, or was answered.
    Refused(RespondError),
    /// The connection ended before it was open.
    Closed(Box<Closed>),
}

ws_proto::debug_is_display!(AcceptError);

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Closed(closed) => closed.fmt(f),
        }
    }
}

impl Error for AcceptError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused(error) => Some(error),
            Self::Closed(_) => None,
        }
    }
}
