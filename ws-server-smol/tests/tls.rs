//! `wss://` between the crate's own client and server.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use futures_lite::future::{or, yield_now, zip};
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::thread;
use std::time::Duration;
use ws_server_smol::tls::{
    CertificateFault as Fault, Identity, Opened, TlsClient, TlsError, TlsLayer, TlsMode, TlsServer,
    TlsStream, TlsVersion,
};
use ws_server_smol::{
    Bind, ClientConfig, CloseCode, ConnectError, HttpConnection, Server, ServerConfig, Stats, Token,
    WebSocket, block_on, connect,
};

struct Tls {
    pem: String,
    identity: Identity,
}

impl Tls {
    fn new() -> Self {
        let [pem, key] = ws_kit::chat::certificate().unwrap();
        let identity = Identity::from_pem(&pem, key).unwrap();
        Self { pem, identity }
    }

    fn server(&self) -> ServerConfig {
        ServerConfig::new().tls(TlsServer::new(self.identity.clone()).unwrap())
    }

    fn client(&self) -> ClientConfig {
        ClientConfig::new().tls(TlsClient::roots_only(&self.pem).unwrap())
    }
}

async fn echo(http: HttpConnection) {
    let Some(mut ws) = http.upgrade().await else { return };
    while let Some(Ok(message)) = ws.next().await {
        if ws.send(message).await.is_err() {
            return;
        }
    }
}

/// Serves while the client's future runs.
fn serve<T>(config: ServerConfig, client: impl AsyncFnOnce(&Server) -> T) -> T {
    let server = Server::bind(Bind::localhost(), config).unwrap();
    let serving = async {
        server.serve(echo).await;
        unreachable!("it serves until dropped")
    };
    block_on(or(async { client(&server).await }, serving))
}

async fn exchange(ws: &mut WebSocket, len: usize) {
    let sent = vec![len as u8; len];
    let (sent_all, back) = zip(ws.sender().send(sent.clone()), async { ws.next().await }).await;
    sent_all.unwrap();
    assert_eq!(back.unwrap().unwrap().as_bytes(), sent);
}

#[test]
fn messages_of_every_size_are_echoed_and_the_end_is_clean() {
    let tls = Tls::new();
    serve(tls.server(), async |server| {
        let url = server.url("/").unwrap();
        assert!(url.starts_with("wss://127.0.0.1:"), "{url}");
        assert!(server.http_url("/").unwrap().starts_with("https://"));
        let mut ws = connect(&*url, tls.client()).await.unwrap();
        for len in [0, 1, 125, 16_383, 16_384, 16_385, 65_536, 1 << 20, 5 << 20] {
            exchange(&mut ws, len).await;
        }
        let closed = ws.close(CloseCode::NORMAL, "done").await.unwrap();
        assert!(closed.clean, "{closed}");
    });
}

#[test]
fn a_request_shows_the_result_of_the_tls_handshake() {
    let tls = Tls::new();
    let server = Server::bind(Bind::localhost(), tls.server()).unwrap();
    let serving = async {
        let mut http = server.accept().await.unwrap();
        let upgrade = http.next_upgrade().await.unwrap();
        let info = upgrade.tls().unwrap();
        assert_eq!((info.version, info.server_name.as_deref()), (TlsVersion::Tls13, Some("localhost")));
        assert!(upgrade.is_tls() && info.peer_certificates.is_empty());
        let ws = http.accept(upgrade).await.unwrap();
        assert!(ws.tls().is_some());
    };
    let port = server.local_addr().unwrap().port();
    let client = async { connect(&*format!("wss://localhost:{port}/"), tls.client()).await.unwrap() };
    let (ws, ()) = block_on(zip(client, serving));
    assert_eq!(ws.tls().unwrap().peer_certificates.len(), 1);
}

#[test]
fn a_client_says_why_it_does_not_trust_a_server() {
    let (tls, other) = (Tls::new(), Tls::new());
    serve(tls.server(), async |server| {
        let url = server.url("/").unwrap();
        let failure = |config: ClientConfig| async { connect(&*url, config).await.map(drop).unwrap_err() };
        let error = failure(other.client()).await;
        assert!(
            matches!(error, ConnectError::Tls(TlsError::ServerCertificate(Fault::SelfSigned))),
            "{error}"
        );
        assert!(error.to_string().contains("add_roots"));
        let pinned = ClientConfig::new().tls(TlsClient::system().pin([0; 32]));
        let error = failure(pinned).await;
        assert!(matches!(error, ConnectError::Tls(TlsError::ServerCertificate(Fault::NotPinned))), "{error}");
        let right = TlsClient::system().pin(tls.identity.key_sha256().unwrap());
        assert!(connect(&*url, ClientConfig::new().tls(right)).await.is_ok());
        let named = TlsClient::roots_only(&tls.pem).unwrap().server_name("example.com").unwrap();
        let error = failure(ClientConfig::new().tls(named)).await;
        assert!(
            matches!(error, ConnectError::Tls(TlsError::ServerCertificate(Fault::WrongName(_)))),
            "{error}"
        );
    });
}

/// The statistics once no connection is open.
async fn ended(server: &Server) -> Stats {
    loop {
        let stats = server.stats();
        if stats.open == 0 {
            return stats;
        }
        yield_now().await;
    }
}

#[test]
fn plain_and_tls_do_not_mix() {
    let tls = Tls::new();
    serve(tls.server(), async |server| {
        let plain = server.url("/").unwrap().replace("wss:", "ws:");
        let error = connect(&*plain, ClientConfig::new()).await.map(drop).unwrap_err();
        assert!(matches!(error, ConnectError::Handshake(_) | ConnectError::Lost(_)), "{error}");
        assert_eq!(ended(server).await.tls_failed, 1);
    });
    serve(ServerConfig::new(), async |server| {
        let secure = server.url("/").unwrap().replace("ws:", "wss:");
        let error = connect(&*secure, tls.client()).await.map(drop).unwrap_err();
        assert!(matches!(error, ConnectError::Tls(TlsError::Truncated) | ConnectError::Lost(_)), "{error}");
        assert_eq!(ended(server).await.tls_failed, 1);
    });
}

/// The response that a client gets for raw bytes.
fn raw(port: u16, request: &'static str) -> String {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = socket.read_to_string(&mut answer);
    answer
}

#[test]
fn the_mode_decides_whether_a_client_without_tls_is_served() {
    let tls = Tls::new();
    let get = "GET /a?b HTTP/1.1\r\nHost: localhost:1\r\nConnection: close\r\n\r\n";
    for (mode, expected) in
        [(TlsMode::Only, ""), (TlsMode::OrRedirect, "HTTP/1.1 308 "), (TlsMode::OrPlain, "HTTP/1.1 426 ")]
    {
        serve(tls.server().tls_mode(mode), async |server| {
            let port = server.local_addr().unwrap().port();
            let answer = blocking::unblock(move || raw(port, get)).await;
            assert!(
                if expected.is_empty() { answer.is_empty() } else { answer.starts_with(expected) },
                "{answer}"
            );
            let mut ws = connect(&*server.url("/").unwrap(), tls.client()).await.unwrap();
            exchange(&mut ws, 100).await;
        });
    }
}

#[test]
fn the_cookie_of_the_token_is_secure() {
    let tls = Tls::new();
    let token = Token::from_random([7; 16]);
    let query = format!("/?token={}", token.as_str());
    serve(tls.server().require_token(token), async |server| {
        let ws = connect(&*server.url(&query).unwrap(), tls.client()).await.unwrap();
        assert!(ws.response().headers()["set-cookie"].to_str().unwrap().ends_with("; Secure"));
    });
}

#[test]
fn senders_on_other_threads_and_the_reader_share_a_session() {
    let tls = Tls::new();
    serve(tls.server(), async |server| {
        let mut ws = connect(&*server.url("/").unwrap(), tls.client()).await.unwrap();
        let threads: Vec<_> = (0..4_u8)
            .map(|n| {
                let sender = ws.sender();
                thread::spawn(move || {
                    for k in 0..200_usize {
                        block_on(sender.send(vec![n; 1 + k * 97])).unwrap();
                    }
                })
            })
            .collect();
        let mut lengths = [0; 4];
        for _ in 0..800 {
            let message = ws.next().await.unwrap().unwrap();
            let bytes = message.as_bytes();
            assert!(bytes.iter().all(|byte| *byte == bytes[0]));
            let k = &mut lengths[usize::from(bytes[0])];
            assert_eq!(bytes.len(), 1 + *k * 97);
            *k += 1;
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(ws.close(CloseCode::NORMAL, "").await.unwrap().clean);
    });
}

const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// A peer that pauses for this long before it reads anything, then a little at a time until it has a Close.
fn slow_peer(address: SocketAddr, pem: String, pause: Duration) {
    let client = TlsClient::roots_only(pem).unwrap();
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&address.into()).unwrap();
    let mut socket = TcpStream::from(socket);
    let mut layer = TlsLayer::client(&client, "127.0.0.1").unwrap();
    layer.flush(&mut socket).unwrap();
    while layer.is_handshaking() {
        let error = layer.read(&mut socket, &mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
    }
    assert_eq!(layer.write(&mut socket, &[IoSlice::new(UPGRADE)]).unwrap(), UPGRADE.len());
    thread::sleep(pause);
    let (mut received, mut buffer) = (Vec::new(), vec![0; 20_000]);
    while !received.ends_with(b"\x88\x02\x03\xe8") {
        match layer.read(&mut socket, &mut buffer) {
            Ok(0) => panic!("it ends after {} bytes", received.len()),
            Ok(n) => received.extend_from_slice(&buffer[..n]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}"),
        }
    }
}

#[test]
fn a_close_waits_for_output_that_is_encrypted_and_not_yet_written() {
    let tls = Tls::new();
    let close_timeout = Duration::from_millis(50);
    let server = Server::bind(Bind::localhost(), tls.server().close_timeout(close_timeout)).unwrap();
    let address = server.local_addr().unwrap();
    for len in (60_000..400_000).step_by(20_000) {
        let pem = tls.pem.clone();
        let peer = thread::spawn(move || slow_peer(address, pem, close_timeout * 2));
        block_on(async {
            let mut ws = server.accept().await.unwrap().upgrade().await.unwrap();
            ws.try_send(vec![0; len]).unwrap();
            let closed = ws.close(CloseCode::NORMAL, "").await.unwrap();
            assert_eq!(closed.sent, Some(CloseCode::NORMAL), "{closed}");
        });
        peer.join().unwrap();
    }
}

/// A peer that opens a WebSocket, and then sends nothing. Returns what it received, and whether a close_notify came.
fn silent_peer(address: SocketAddr, pem: &str) -> (Vec<u8>, bool) {
    let mut received = Vec::new();
    let client = TlsClient::roots_only(pem).unwrap();
    let mut stream = TlsStream::client(&client, "127.0.0.1").unwrap();
    let mut socket = TcpStream::connect(address).unwrap();
    let mut has_requested = false;
    loop {
        socket.write_all(stream.output()).unwrap();
        stream.written(stream.output().len());
        match stream.open().unwrap() {
            Opened::Plaintext => {
                received.extend_from_slice(stream.plaintext());
                let n = stream.plaintext().len();
                stream.consume(n);
            }
            Opened::Closed => return (received, true),
            Opened::Starved if !stream.is_handshaking() && !has_requested => {
                has_requested = true;
                assert_eq!(stream.seal([UPGRADE]).unwrap(), UPGRADE.len());
            }
            Opened::Starved => match socket.read(stream.room()) {
                Ok(n) if n > 0 => stream.filled(n),
                _ => return (received, false),
            },
        }
    }
}

#[test]
fn a_stop_without_grace_sends_each_close_and_a_close_notify() {
    let tls = Tls::new();
    let server = Server::bind(Bind::localhost(), tls.server()).unwrap();
    let (address, pem) = (server.local_addr().unwrap(), tls.pem.clone());
    let peer = thread::spawn(move || silent_peer(address, &pem));
    let closed = block_on(async {
        // Nothing polls it.
        let mut ws = server.accept().await.unwrap().upgrade().await.unwrap();
        ws.try_send("the last message").unwrap();
        server.stop(Duration::ZERO).await;
        ws.next().await.unwrap().unwrap_err()
    });
    assert!(matches!(closed.error, Some(ws_server_smol::Error::Stopped)), "{closed}");
    assert_eq!(closed.sent, Some(CloseCode::GOING_AWAY));
    let (received, is_notified) = peer.join().unwrap();
    assert!(received.ends_with(b"\x81\x10the last message\x88\x02\x03\xe9") && is_notified);
}

#[test]
fn close_notify_is_sent_at_every_end_except_an_abort() {
    let tls = Tls::new();
    let config = || tls.server().close_timeout(Duration::from_millis(50));
    let is_notified = |handler: &dyn Fn(WebSocket) -> Pin<Box<dyn Future<Output = ()>>>| {
        let server = Server::bind(Bind::localhost(), config()).unwrap();
        let (address, pem) = (server.local_addr().unwrap(), tls.pem.clone());
        let peer = thread::spawn(move || silent_peer(address, &pem));
        block_on(async { handler(server.accept().await.unwrap().upgrade().await.unwrap()).await });
        peer.join().unwrap().1
    };
    assert!(is_notified(&|ws| Box::pin(async { drop(ws) })), "a drop");
    let unanswered = |mut ws: WebSocket| async move { drop(ws.close(CloseCode::NORMAL, "").await) };
    assert!(is_notified(&|ws| Box::pin(unanswered(ws))), "an unanswered Close");
    let aborted = |mut ws: WebSocket| async move {
        ws.sender().terminate();
        assert!(ws.next().await.is_some());
    };
    assert!(!is_notified(&|ws| Box::pin(aborted(ws))), "an abort");
}
