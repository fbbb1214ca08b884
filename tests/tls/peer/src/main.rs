//! `tokio-tungstenite` over TLS by rustls: a client that checks an echo server, or a server that checks its clients.
//!
//! ```text
//! tls-peer 1.2|1.3 client URL [ROOT]     runs its checks, and reports the first failure
//! tls-peer 1.2|1.3 server CHAIN KEY      prints its URL, and the outcome of each connection
//! ```
//!
//! The server talks as conformance suites do: on `/getCaseCount` it sends the number of its cases; on
//! `/runCase?case=N` it sends messages, which the client must echo, and closes. On any other path it echoes until the
//! client closes.

use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use std::error::Error;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{Connector, WebSocketStream, accept_hdr_async, client_async_tls_with_config};

/// The sizes where the length of a frame or a record changes its form, and a message of many records.
const SIZES: [usize; 9] = [0, 1, 125, 126, 16_384, 65_535, 65_536, 65_537, 1 << 20];

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let version = match arguments.first() {
        Some(&"1.2") => &version::TLS12,
        Some(&"1.3") => &version::TLS13,
        _ => return Err("tls-peer 1.2|1.3 client|server ...".into()),
    };
    match arguments[1..] {
        ["client", url] => runtime.block_on(client(url, None)),
        ["client", url, root] => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(root)?)?;
            let config = ClientConfig::builder_with_protocol_versions(&[version]);
            let config = config.with_root_certificates(roots).with_no_client_auth();
            runtime.block_on(client(url, Some(Connector::Rustls(Arc::new(config)))))
        }
        ["server", chain, key] => runtime.block_on(serve(version, chain, key)),
        _ => Err("tls-peer VERSION client URL [ROOT], or VERSION server CHAIN KEY".into()),
    }
}

/// A text of this many bytes, and a binary message.
fn messages(size: usize) -> [Message; 2] {
    let text = "\u{20ac}".repeat(size / 3) + &"x".repeat(size % 3);
    let bytes: Vec<u8> = (0..size).map(|k| (k * 31) as u8).collect();
    [Message::text(text), Message::binary(bytes)]
}

/// Sends it, and gets it back.
async fn echoed<S>(socket: &mut WebSocketStream<S>, message: Message) -> Outcome<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    socket.send(message.clone()).await?;
    let answer = socket.next().await.ok_or("it has ended")??;
    if answer != message {
        let (got, wanted) = (answer.len(), message.len());
        return Err(format!("another message came back: {got} instead of {wanted} bytes").into());
    }
    Ok(())
}

/// Reads the peer's Close with this code, and then the end of the stream.
async fn closed<S>(socket: &mut WebSocketStream<S>, code: u16) -> Outcome<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match socket.next().await.ok_or("it ended without a Close")?? {
        Message::Close(Some(frame)) if u16::from(frame.code) == code => {}
        other => return Err(format!("{other:?} instead of a Close with {code}").into()),
    }
    match socket.next().await {
        None => Ok(()),
        Some(after) => Err(format!("{after:?} after the Close").into()),
    }
}

fn frame(code: u16, reason: &str) -> Option<CloseFrame> {
    Some(CloseFrame { code: code.into(), reason: reason.into() })
}

/// Without a connector it trusts the system's roots, as it does by default.
async fn client(url: &str, connector: Option<Connector>) -> Outcome<()> {
    let address = url.strip_prefix("wss://").and_then(|rest| rest.split('/').next()).ok_or("no wss://")?;
    let connect = async || {
        let stream = TcpStream::connect(address).await?;
        client_async_tls_with_config(url, stream, None, connector.clone()).await
    };
    let (mut socket, _) = connect().await?;
    for message in SIZES.into_iter().flat_map(messages) {
        echoed(&mut socket, message).await?;
    }
    socket.send(Message::Ping(Bytes::from_static(b"are you there"))).await?;
    match socket.next().await.ok_or("it has ended")?? {
        Message::Pong(payload) if &payload[..] == b"are you there" => {}
        other => return Err(format!("{other:?} instead of a Pong").into()),
    }
    socket.close(frame(4001, "done")).await?;
    closed(&mut socket, 4001).await?;

    // The server closes first: no text is this byte.
    let (mut socket, _) = connect().await?;
    let invalid = Frame::message(&b"\xff"[..], OpCode::Data(Data::Text), true);
    socket.send(Message::Frame(invalid)).await?;
    closed(&mut socket, 1007).await
}

async fn serve(version: &'static SupportedProtocolVersion, chain: &str, key: &str) -> Outcome<()> {
    let chain = CertificateDer::pem_file_iter(chain)?.collect::<Result<_, _>>()?;
    let config = ServerConfig::builder_with_protocol_versions(&[version]).with_no_client_auth();
    let config = config.with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("wss://localhost:{}/", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        match connection(&acceptor, stream).await {
            Ok(outcome) => println!("{outcome}"),
            Err(error) => println!("failed: {error}"),
        }
    }
}

async fn connection(acceptor: &TlsAcceptor, stream: TcpStream) -> Outcome<String> {
    let stream = acceptor.accept(stream).await?;
    let mut target = String::new();
    #[allow(clippy::result_large_err)] // tungstenite's signature
    let mut socket = accept_hdr_async(stream, |request: &http::Request, response| {
        target = request.uri().to_string();
        Ok(response)
    })
    .await?;
    let case = target.strip_prefix("/runCase?case=").and_then(|rest| rest.split('&').next());
    if let Some(case) = case {
        let case: usize = case.parse()?;
        for message in messages(SIZES[case - 1]) {
            echoed(&mut socket, message).await?;
        }
        let code = 4000 + case as u16;
        socket.close(frame(code, "next")).await?;
        closed(&mut socket, code).await?;
        return Ok(format!("case {case}: echoed, and closed"));
    }
    if target == "/getCaseCount" {
        socket.send(Message::text(SIZES.len().to_string())).await?;
    }
    if target == "/getCaseCount" || target.starts_with("/updateReports") {
        socket.close(frame(1000, "")).await?;
        closed(&mut socket, 1000).await?;
        return Ok(target);
    }
    let mut count = 0;
    loop {
        match socket.next().await.ok_or("it ended without a Close")?? {
            Message::Close(Some(frame)) => {
                let outcome =
                    format!("echoed {count}, closed by the client: {} {}", frame.code, frame.reason);
                return match socket.next().await {
                    None => Ok(outcome),
                    Some(after) => Err(format!("{after:?} after the Close").into()),
                };
            }
            Message::Close(None) => return Err("a Close without a code".into()),
            message if message.is_text() || message.is_binary() => {
                count += 1;
                socket.send(message).await?;
            }
            _ => {}
        }
    }
}

mod http {
    pub(crate) use tokio_tungstenite::tungstenite::handshake::server::Request;
}
