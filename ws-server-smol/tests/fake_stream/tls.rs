//! The same runs over TLS. The server's socket speaks it by our own layer; a client's WebSocket too, and what sends bytes
//! of its own by rustls' buffered connection.

use crate::common::Random;
use crate::common::pipe::End;
use crate::sides::{ClientSide, ServerSide};
use crate::unruly::{Fate, Unruly};
use crate::{Run, Total, asking, bulk, leaving, noise, runs, streams, talking, with_users};
use futures_lite::{AsyncRead, AsyncWrite};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::net::{Shutdown, UdpSocket};
use std::pin::Pin;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use ws_kit::tls::{Authority, Peer, VERSIONS, client_config, server_config};
use ws_server_smol::sys::{Accept, FakeSocket, fake_socket};
use ws_server_smol::tls::{Identity, TlsClient, TlsMode, TlsServer};
use ws_server_smol::{
    ClientConfig, ClientRequest, Config, ConnectError, HttpConnection, Server, ServerConfig, Socket,
    WebSocket, connect_over_fake, listen_on_fakes,
};

/// The root, and the certificate of the server with its key.
struct Certificates {
    root: String,
    server: [String; 2],
}

static CERTIFICATES: LazyLock<Certificates> = LazyLock::new(|| {
    // Of a fixed length: then so is all that a seed causes.
    let authority = Authority::of_fixed_length("test root");
    Certificates { root: authority.pem(), server: authority.issue(&["localhost"], |_| {}) }
});

/// A stream that can do what a socket can.
pub(crate) trait Raw: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    fn fin(&mut self) -> io::Result<()>;
    fn reset_on_close(&mut self);
    /// A socket has no buffer that is to be flushed.
    fn direct(self) -> Self;
}

impl Raw for End {
    fn fin(&mut self) -> io::Result<()> {
        Self::fin(self);
        Ok(())
    }

    fn reset_on_close(&mut self) {
        self.reset_on_drop();
    }

    fn direct(self) -> Self {
        Self::direct(self)
    }
}

struct Faked<S>(Mutex<S>);

/// This stream in place of a socket.
fn faked(stream: impl Raw) -> Socket {
    fake_socket(Faked(Mutex::new(stream.direct())))
}

impl<S: Raw> Faked<S> {
    fn stream(&self) -> MutexGuard<'_, S> {
        // A failed test drops it, too.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> fmt::Debug for Faked<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faked")
    }
}

impl<S: Raw> FakeSocket for Faked<S> {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream()).poll_read(cx, buffer)
    }

    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream()).poll_write_vectored(cx, slices)
    }

    fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        self.stream().fin()
    }

    fn reset_on_close(&self) {
        self.stream().reset_on_close();
    }

    fn options(&self) -> &UdpSocket {
        static SOCKET: LazyLock<UdpSocket> = LazyLock::new(|| UdpSocket::bind("127.0.0.1:0").unwrap());
        &SOCKET
    }
}

/// A server on this stream.
pub(crate) struct SecureServer {
    stream: Unruly,
    mode: TlsMode,
}

/// A listener with one connection.
struct Once(Mutex<Option<Socket>>);

impl Accept for Once {
    fn accept(&self) -> io::Result<Socket> {
        self.0.lock().unwrap().take().ok_or(io::ErrorKind::WouldBlock.into())
    }
}

impl SecureServer {
    pub(crate) fn new(stream: Unruly, mode: TlsMode) -> Self {
        Self { stream, mode }
    }

    /// The server, where the connection waits.
    pub(crate) fn serve(self, config: Config) -> Server {
        let [chain, key] = &CERTIFICATES.server;
        let tls = TlsServer::new(Identity::from_pem(chain, key).unwrap()).unwrap();
        let server = Server::new(ServerConfig::new().connection(config).tls(tls).tls_mode(self.mode));
        let once = Once(Mutex::new(Some(faked(self.stream))));
        listen_on_fakes(&server, vec![Box::new(once)]).unwrap();
        server
    }
}

impl ServerSide for SecureServer {
    type Stream = Socket;

    async fn http(self, config: Config) -> HttpConnection {
        self.serve(config).accept().await.unwrap()
    }
}

/// A client on this end.
pub(crate) struct SecureClient {
    end: End,
    peer: Peer,
    /// Ciphertext to write, and plaintext to read.
    output: VecDeque<u8>,
    input: VecDeque<u8>,
    is_over: bool,
    /// It leaves the close_notify out, as many do.
    is_curt: bool,
}

impl SecureClient {
    pub(crate) fn new(end: End, random: &mut Random) -> Self {
        let config = client_config(&CERTIFICATES.root, random.pick(&VERSIONS));
        Self::of(end, Peer::client(config), random)
    }

    /// A server in its place.
    pub(crate) fn serving(end: End, random: &mut Random) -> Self {
        let config = server_config(&CERTIFICATES.server, random.pick(&VERSIONS));
        Self::of(end, Peer::server(config), random)
    }

    fn of(end: End, peer: Peer, random: &mut Random) -> Self {
        let is_curt = random.below(3) == 0;
        let (output, input) = (VecDeque::new(), VecDeque::new());
        Self { end: end.direct(), peer, output, input, is_over: false, is_curt }
    }

    /// What its side of TLS writes, without the rest.
    pub(crate) fn into_parts(self) -> (End, Peer) {
        (self.end, self.peer)
    }

    /// Announces its end, once it flushes.
    pub(crate) fn announce(&mut self) {
        self.peer.close();
    }

    pub(crate) fn fin(&mut self) {
        self.end.fin();
    }

    /// Whether the other side has read all that was written.
    pub(crate) fn is_taken(&self) -> bool {
        self.end.is_taken()
    }

    /// Whether the other side has announced its end.
    pub(crate) fn is_announced(&self) -> bool {
        self.peer.has_peer_closed()
    }

    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.extend(self.peer.take_output());
        while !self.output.is_empty() {
            let n = ready!(Pin::new(&mut self.end).poll_write(cx, self.output.as_slices().0))?;
            self.output.drain(..n);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads until there is plaintext, an end, or the handshake is done.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut part = [0; 700];
        let was_handshaking = self.peer.is_handshaking();
        while self.input.is_empty() && !self.is_over && (!was_handshaking || self.peer.is_handshaking()) {
            let _ = self.poll_output(cx)?;
            let n = ready!(Pin::new(&mut self.end).poll_read(cx, &mut part))?;
            let plain = self.peer.receive(&part[..n]).map_err(io::Error::other)?;
            self.input.extend(plain);
            self.is_over = n == 0 || self.peer.has_peer_closed();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for SecureClient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        while self.input.is_empty() && !self.is_over {
            ready!(self.poll_input(cx))?;
        }
        let _ = self.poll_output(cx)?;
        let n = self.input.len().min(buffer.len());
        buffer.iter_mut().zip(self.input.drain(..n)).for_each(|(to, byte)| *to = byte);
        Poll::Ready(Ok(n))
    }
}

impl AsyncWrite for SecureClient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_output(cx))?;
        self.peer.send(data);
        let _ = self.poll_output(cx)?;
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.peer.is_handshaking() && !self.is_over {
            ready!(self.poll_input(cx))?;
        }
        self.poll_output(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        if !self.is_curt {
            self.peer.close();
            self.is_curt = true;
        }
        ready!(self.poll_output(cx))?;
        Pin::new(&mut self.end).poll_close(cx)
    }
}

impl ClientSide for SecureClient {
    type Stream = Socket;

    fn sipping(self, most: usize) -> Self {
        Self { end: self.end.sipping(most), ..self }
    }

    fn reset(self) {
        self.end.reset();
    }

    async fn open(self, config: Config) -> Result<WebSocket, ConnectError> {
        let tls = TlsClient::roots_only(&CERTIFICATES.root).unwrap();
        let config = ClientConfig::new().connection(config).tls(tls);
        let request = ClientRequest::new("wss://localhost/").unwrap();
        connect_over_fake(request, config, faked(self.end)).await
    }
}

/// Both sides over TLS.
fn secured(seed: u64, client: End, server: Unruly) -> (SecureClient, SecureServer) {
    let mut random = Random::new(seed ^ 0x715);
    (SecureClient::new(client, &mut random), SecureServer { stream: server, mode: TlsMode::Only })
}

fn run(seed: u64, total: &Mutex<Total>) {
    let mut random = Random::new(seed ^ 0x115);
    let (client, server, fate, capacity) = streams(seed, &mut random, Fate::of);
    let run = Run { healthy: fate == Fate::Healthy, capacity, total };
    let kind = random.below(7);
    let mode = random.pick(&[TlsMode::Only, TlsMode::OrRedirect, TlsMode::OrPlain]);
    let seed = seed * 10;
    match kind {
        // One side without TLS.
        0 => return noise::run(seed, client, SecureServer { stream: server, mode }, &run),
        1 => return noise::run(seed, SecureClient::new(client, &mut random), server, &run),
        2 => {
            return talking::run(seed, client, SecureServer { stream: server, mode: TlsMode::OrPlain }, &run);
        }
        _ => {}
    }
    let (client, server) = secured(seed, client, server);
    match kind {
        3 => talking::run(seed, client, server, &run),
        4 | 5 => asking::run(seed, client, server, &run),
        _ => noise::run(seed, client, server, &run),
    }
}

#[test]
fn nothing_is_lost_forgotten_or_leaked_over_tls() {
    let total = Mutex::default();
    let seeds = runs(700, |seed| run(seed, &total));
    let total = total.into_inner().unwrap();
    if seeds > 1 {
        assert!(total.messages + total.answers > total.runs / 2, "{total:?}");
    }
}

#[test]
fn two_ends_that_both_send_over_tls_never_deadlock() {
    with_users(60, |seed, client, server, run| {
        let (client, server) = secured(seed, client, server);
        bulk::run(seed, client, server, run);
    });
}

#[test]
fn a_last_message_sent_over_tls_while_paused_is_received_before_the_close() {
    with_users(60, |seed, client, server, run| {
        let (client, server) = secured(seed, client, server);
        bulk::pausing(seed, client, server, run);
    });
}

#[test]
fn the_close_code_over_tls_is_the_peers_whatever_breaks_later() {
    with_users(100, |seed, client, server, run| {
        let (client, server) = secured(seed, client, server);
        leaving::with_a_close(seed, client, server, run);
    });
}

#[test]
fn a_peer_that_leaves_a_stream_over_tls_is_noticed() {
    with_users(100, |seed, client, server, run| {
        let (client, server) = secured(seed, client, server);
        leaving::a_stream(seed, client, server, run);
    });
}
