//! What the system has, and where tests put something else in its place. Outside the promise of semver.

pub(crate) mod socket;

pub use crate::client::names::Resolver;

use crate::client::connect::{Attempt, checked};
use crate::connection::websocket::WebSocket;
use crate::driver::sleep::Sleep;
use crate::server::Server;
use crate::server::listener::AsyncListener;
use crate::sys::socket::Socket;
use futures_io::{AsyncRead, AsyncWrite};
use std::io;
use std::sync::Arc;
use std::time::{Instant, SystemTime};
use ws_host::client::{ClientConfig, ConnectError};
use ws_host::listen::ListenError;
use ws_host::server::ServerConfig;
use ws_proto::{ClientRequest, Transport};

/// A server with both clocks that are compared to find out whether the machine slept; the `Date` of answers follows them.
pub fn server_with_clocks(
    config: ServerConfig,
    clocks: impl Fn() -> (Instant, SystemTime) + Send + Sync + 'static,
) -> Server {
    Server::with(config, Sleep::new(Some(Arc::new(clocks))))
}

/// Replaces both clocks of a WebSocket that is of no server.
pub fn set_clocks<S: AsyncRead + AsyncWrite + Unpin>(
    ws: &mut WebSocket<S>,
    clocks: impl Fn() -> (Instant, SystemTime) + Send + Sync + 'static,
) {
    ws.driver.set_sleep(Sleep::new(Some(Arc::new(clocks))));
}

/// What connections come from, in place of a socket that listens.
pub trait Accept: Send {
    /// The next connection. Nothing wakes the caller after [`WouldBlock`](io::ErrorKind::WouldBlock).
    ///
    /// # Errors
    /// What the kernel would say.
    fn accept(&self) -> io::Result<Socket>;
}

/// As [`Server::listen_on`], on several that accept as they like.
///
/// # Errors
/// As [`Server::listen_on`].
pub fn listen_on(server: &Server, listeners: Vec<Box<dyn Accept>>) -> Result<(), ListenError> {
    let listeners = listeners.into_iter().map(AsyncListener::Other).collect();
    server.start_on(listeners, Transport::tcp([]))
}

/// As [`connect`](crate::connect), with names that are looked up by this one.
///
/// # Errors
/// As [`connect`](crate::connect).
pub async fn connect(
    request: ClientRequest,
    config: ClientConfig,
    names: Arc<Resolver>,
) -> Result<WebSocket, ConnectError> {
    let attempt = Attempt::new(checked(request)?, &config).with_names(names);
    attempt.run().await.map(|opened| opened.websocket).map_err(|failed| failed.failure)
}
