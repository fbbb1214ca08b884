//! `fastwebsockets`, on tokio and hyper.

use crate::{Command, DONE, FRAGMENTS, Outcome, SUBPROTOCOL, ended, hello};
use fastwebsockets::{
    FragmentCollector, Frame, OpCode, Payload, WebSocket, WebSocketError, handshake, upgrade,
};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderValue, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

type Socket = WebSocket<TokioIo<Upgraded>>;

pub(crate) fn run(urls: &[String]) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        if urls.is_empty() {
            return serve().await;
        }
        let mut last = String::new();
        for url in urls {
            // Until no client is left.
            while let Ok((socket, subprotocol)) = connect(url).await {
                if matches!(follow(socket, &subprotocol, &mut last).await, None | Some(DONE)) {
                    break;
                }
            }
        }
        Ok(())
    })
}

async fn serve() -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("ws://{}/", listener.local_addr()?);
    // How the last connection ended, for the next one: only one runs at a time.
    let last = Arc::new(Mutex::new(String::new()));
    loop {
        let (stream, _) = listener.accept().await?;
        let last = last.clone();
        let service = service_fn(move |request| answer(request, last.clone()));
        let connection =
            http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades();
        tokio::spawn(async move { drop(connection.await) });
    }
}

async fn answer(
    mut request: Request<Incoming>,
    last: Arc<Mutex<String>>,
) -> Result<Response<Empty<Bytes>>, WebSocketError> {
    let (mut response, upgraded) = upgrade::upgrade(&mut request)?;
    let subprotocol = if subprotocol(request.headers()) == SUBPROTOCOL { SUBPROTOCOL } else { "" };
    if !subprotocol.is_empty() {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    }
    tokio::spawn(async move {
        let mut last = last.lock().await;
        if let Ok(socket) = upgraded.await {
            follow(socket, subprotocol, &mut last).await;
        }
    });
    Ok(response)
}

fn subprotocol(headers: &HeaderMap) -> String {
    let value = headers.get(SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

async fn connect(url: &str) -> Outcome<(Socket, String)> {
    let url: hyper::Uri = url.parse()?;
    let authority = url.authority().ok_or("no address")?.as_str();
    let stream = TcpStream::connect(authority).await?;
    let request = Request::get(url.path())
        .header(HOST, authority)
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "Upgrade")
        .header("Sec-WebSocket-Key", handshake::generate_key())
        .header("Sec-WebSocket-Version", "13")
        .header(SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL)
        .body(Empty::<Bytes>::new())?;
    let (socket, response) = handshake::client(&Spawn, request, stream).await?;
    Ok((socket, subprotocol(response.headers())))
}

struct Spawn;

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Spawn {
    fn execute(&self, future: F) {
        tokio::spawn(future);
    }
}

fn payload(data: impl Into<Vec<u8>>) -> Payload<'static> {
    Payload::Owned(data.into())
}

/// Reads until the end; returns its code.
async fn follow(socket: Socket, subprotocol: &str, last: &mut String) -> Option<u16> {
    let mut socket = FragmentCollector::new(socket);
    let hello = hello("fastwebsockets", subprotocol, last);
    socket.write_frame(Frame::text(payload(hello))).await.ok()?;
    loop {
        let frame = socket.read_frame().await.ok()?;
        match frame.opcode {
            OpCode::Close => {
                let code = frame.payload.get(..2).map_or(1005, |code| u16::from_be_bytes([code[0], code[1]]));
                let reason = String::from_utf8_lossy(frame.payload.get(2..).unwrap_or_default());
                *last = ended(code, &reason);
                return Some(code);
            }
            OpCode::Pong => {
                let answer = format!("/pong {}", String::from_utf8_lossy(&frame.payload));
                socket.write_frame(Frame::text(payload(answer))).await.ok()?;
            }
            OpCode::Text | OpCode::Binary => execute(&mut socket, frame).await.ok()?,
            OpCode::Ping | OpCode::Continuation => {}
        }
    }
}

async fn execute(
    socket: &mut FragmentCollector<TokioIo<Upgraded>>,
    frame: Frame<'_>,
) -> Result<(), WebSocketError> {
    let text = (frame.opcode == OpCode::Text).then(|| String::from_utf8_lossy(&frame.payload));
    match Command::of(text.as_deref()) {
        Command::Close(code, reason) => socket.write_frame(Frame::close(code, reason.as_bytes())).await,
        Command::Ping(data) => socket.write_frame(Frame::new(true, OpCode::Ping, None, payload(data))).await,
        Command::Fragments => {
            for (at, fragment) in FRAGMENTS.iter().enumerate() {
                let opcode = if at == 0 { OpCode::Text } else { OpCode::Continuation };
                let last = at + 1 == FRAGMENTS.len();
                socket.write_frame(Frame::new(last, opcode, None, payload(*fragment))).await?;
            }
            Ok(())
        }
        Command::Ticks(count) => {
            for _ in 0..count {
                socket.write_frame(Frame::new(false, OpCode::Text, None, payload(*b"tick"))).await?;
                socket.write_frame(Frame::new(true, OpCode::Continuation, None, payload(*b""))).await?;
            }
            Ok(())
        }
        Command::Echo => socket.write_frame(frame).await,
    }
}
