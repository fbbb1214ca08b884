//! Shared test helpers: sockets, pipes in memory, and a strict executor.

#![allow(dead_code, unreachable_pub)] // each test takes what it needs
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

pub mod peer;
pub mod pipe;
pub mod strict;

use async_io::{Async, block_on};
use futures_lite::{FutureExt, future};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use ws_kit::random::Xorshift;
use ws_server_smol::{ClientConfig, HttpConnection, Incoming, Message, Server, Socket, WebSocket, connect};
use ws_server_smol::{Config, Role};

/// Reproducible randomness: the same numbers for the same seed.
#[derive(Clone, Debug)]
pub struct Random(Xorshift);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(Xorshift(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1))
    }

    /// Less than `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.0.next() >> 11) as usize % end
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// Runs the future to completion, which must come.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    let hang = async {
        async_io::Timer::after(Duration::from_secs(60)).await;
        panic!("it hangs")
    };
    block_on(future.or(hang))
}

/// Polls at most this often, and drops the future if it is still pending.
pub async fn at_most<F: Future>(mut polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    future::poll_fn(|cx| {
        if polls == 0 {
            return Poll::Ready(None);
        }
        polls -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if polls == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Whether a single poll completes it.
pub async fn once<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

pub fn listener() -> (Async<TcpListener>, SocketAddr) {
    let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
    let address = listener.get_ref().local_addr().unwrap();
    (listener, address)
}

/// A pair of connected sockets.
pub async fn pair() -> (Socket, Socket) {
    let (listener, address) = listener();
    let (client, server) = future::zip(Async::<TcpStream>::connect(address), listener.accept()).await;
    (client.unwrap().into(), server.unwrap().0.into())
}

/// A client and a server over such a pair.
pub async fn open_pair() -> (WebSocket<Socket>, WebSocket<Socket>) {
    let (client, server) = pair().await;
    websockets(client, server, Config::client(), Config::server())
}

/// A client and a server after their handshake.
pub fn websockets<S>(
    client: S,
    server: S,
    of_client: Config,
    of_server: Config,
) -> (WebSocket<S>, WebSocket<S>)
where
    S: futures_lite::AsyncRead + futures_lite::AsyncWrite + Unpin,
{
    let role = Role::Client { seed: [7; 32] };
    (
        WebSocket::upgraded(client, Arc::new(of_client), role),
        WebSocket::upgraded(server, Arc::new(of_server), Role::Server),
    )
}

/// Accepts the next WebSocket.
pub async fn accept(listener: &Async<TcpListener>) -> WebSocket<Socket> {
    let (stream, _) = listener.accept().await.unwrap();
    let mut http = HttpConnection::new(Socket::from(stream), Arc::new(Config::server()));
    match http.next().await.unwrap() {
        Incoming::Upgrade(upgrade) => http.accept(upgrade).await.unwrap(),
        Incoming::Request(request) => panic!("{request:?}"),
    }
}

/// The next message, as text.
pub async fn text(ws: &mut WebSocket<Socket>) -> String {
    match ws.next().await.unwrap().unwrap() {
        Message::Text(text) => text.into_owned(),
        other => panic!("{other:?}"),
    }
}

/// The answer to these bytes.
pub async fn ask(ws: &mut WebSocket<Socket>, question: &str) -> String {
    ws.try_send(question).unwrap();
    text(ws).await
}

/// The WebSocket that the next client of a server requests.
pub async fn upgraded(server: &Server) -> WebSocket<Socket> {
    let mut http = server.accept().await.unwrap();
    match http.next().await.unwrap() {
        Incoming::Upgrade(upgrade) => http.accept(upgrade).await.unwrap(),
        Incoming::Request(request) => panic!("{request:?}"),
    }
}

/// A client and the server's end of one connection, neither of them polled yet.
pub async fn connected(server: &Server, config: ClientConfig) -> (WebSocket<Socket>, WebSocket<Socket>) {
    let (client, server) = future::zip(connect(server.url("/").unwrap(), config), upgraded(server)).await;
    (client.unwrap(), server)
}
