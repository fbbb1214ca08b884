//! How streams end: each half separately, without losing the last bytes.

#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use bytes::Bytes;
use common::pipe::pipe;
use common::{once, pair, run};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, future};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use ws_kit::peer::frame as masked;
use ws_server_smol::{CloseCode, Config, Error, Initiator, Role, Timeout};
use ws_server_smol::{HttpConnection, Incoming, WebSocket};

fn server<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> WebSocket<S> {
    WebSocket::upgraded(stream, Arc::new(Config::server()), Role::Server)
}

fn client<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> WebSocket<S> {
    WebSocket::upgraded(stream, Arc::new(Config::client()), Role::Client { seed: [3; 32] })
}

/// Runs a test over TCP, over a Unix socket, and over pipes that split writes or hold them back.
macro_rules! over_all {
    ($test:ident) => {
        run(async {
            let (one, other) = pair().await;
            $test(one, other).await;
            #[cfg(unix)]
            {
                let (one, other) = async_io::Async::<std::os::unix::net::UnixStream>::pair().unwrap();
                $test(ws_server_smol::Socket::from(one), ws_server_smol::Socket::from(other)).await;
            }
            for seed in 0..20 {
                let (one, other) = pipe(1 + seed as usize * 7, seed);
                $test(one, other).await;
                let (one, other) = pipe(1 + seed as usize * 7, seed);
                $test(one.holding(), other.holding()).await;
            }
        })
    };
}

async fn the_server_ends_its_half_first<S: AsyncRead + AsyncWrite + Unpin>(mut raw: S, stream: S) {
    let mut ws = server(stream);
    let sending = async {
        // The server's Close, and EOF from it, while our half is open.
        let mut said = [0; 4];
        raw.read_exact(&mut said).await.unwrap();
        assert_eq!(said, [0x88, 2, 0x03, 0xe9]);
        // Messages in flight are delivered, and bytes after our Close are drained: no reset.
        raw.write_all(&masked(0x82, &[1; 6_000])).await.unwrap();
        raw.write_all(&masked(0x88, &[0x03, 0xe9])).await.unwrap();
        raw.flush().await.unwrap();
        assert_eq!(raw.read(&mut [0]).await.unwrap(), 0, "its half is closed");
        raw.write_all(&[9; 6_000]).await.unwrap();
        raw.close().await.unwrap();
    };
    let ends = async {
        ws.start_close(CloseCode::GOING_AWAY, "").unwrap();
        assert_eq!(ws.next().await.unwrap().unwrap().as_bytes(), [1; 6_000]);
        assert!(ws.next().await.is_none());
        let closed = ws.closed().unwrap();
        assert!(closed.clean && closed.initiator == Initiator::Local, "{closed}");
        assert!(ws.get_ref().is_none(), "the stream is closed, not only its half");
    };
    future::zip(sending, ends).await;
}

#[test]
fn a_server_half_closes_and_drains_the_other_half() {
    over_all!(the_server_ends_its_half_first);
}

async fn the_client_waits_for_the_server<S: AsyncRead + AsyncWrite + Unpin>(stream: S, mut raw: S) {
    let mut ws = client(stream);
    let ends = async {
        let closed = ws.close(CloseCode::NORMAL, "").await.unwrap();
        assert!(closed.clean && closed.initiator == Initiator::Local, "{closed}");
    };
    let mut ends = pin!(ends);
    let said = async {
        let mut said = [0; 8];
        raw.read_exact(&mut said).await.unwrap();
        raw.write_all(&[0x88, 2, 0x03, 0xe8]).await.unwrap();
        raw.flush().await.unwrap();
        said
    };
    let never = async {
        ends.as_mut().await;
        panic!("the server has not ended yet")
    };
    assert_eq!(future::or(said, never).await[..2], [0x88, 0x82]);
    for _ in 0..20 {
        // RFC 6455 §7.1.1: the server ends first.
        assert!(once(ends.as_mut()).await.is_pending());
        assert!(once(pin!(raw.read(&mut [0]))).await.is_pending());
    }
    let ended = async {
        raw.close().await.unwrap();
        assert_eq!(raw.read(&mut [0]).await.unwrap(), 0);
    };
    future::zip(ended, ends).await;
}

#[test]
fn a_client_waits_until_the_server_has_ended() {
    over_all!(the_client_waits_for_the_server);
}

async fn the_peer_ends_without_a_close<S: AsyncRead + AsyncWrite + Unpin>(mut raw: S, stream: S) {
    let mut ws = server(stream);
    let sending = async {
        raw.write_all(&masked(0x81, b"last words")).await.unwrap();
        raw.close().await.unwrap();
        // The other half is open, and receives nothing more.
        let mut rest = Vec::new();
        let _ = raw.read_to_end(&mut rest).await;
        rest
    };
    let receiving = async {
        assert_eq!(ws.next().await.unwrap().unwrap().as_text(), Some("last words"));
        let closed = ws.next().await.unwrap().unwrap_err();
        assert!(matches!(closed.error, Some(Error::Eof)), "{closed}");
        assert!(ws.next().await.is_none());
        assert!(ws.send("late").await.is_err());
    };
    future::zip(sending, receiving).await;
}

#[test]
fn input_before_an_eof_without_a_close_is_received() {
    over_all!(the_peer_ends_without_a_close);
}

async fn the_last_answer_arrives<S: AsyncRead + AsyncWrite + Unpin>(mut raw: S, stream: S) {
    let serves = async {
        let mut http = HttpConnection::new(stream, Arc::new(Config::server()));
        let Some(Incoming::Request(request)) = http.next().await else { panic!("no request") };
        http.respond(request, http::Response::new(Bytes::from(vec![b'x'; 5_000]))).await.unwrap();
        assert!(http.next().await.is_none());
        assert!(http.get_ref().is_none());
    };
    let asks = async {
        raw.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
        raw.flush().await.unwrap();
        let (mut reads, mut writes) = futures_lite::io::split(raw);
        // Unexpected bytes follow: they are drained, because a reset would destroy the response.
        let chatter = async {
            writes.write_all(&[b'y'; 1000]).await.unwrap();
            writes.flush().await.unwrap();
        };
        let answer = async {
            let mut answer = Vec::new();
            reads.read_to_end(&mut answer).await.unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(&[b'x'; 5_000]));
        };
        future::zip(chatter, answer).await;
        writes.close().await.unwrap();
    };
    future::zip(serves, asks).await;
}

#[test]
fn the_last_response_of_an_http_connection_arrives_whole() {
    over_all!(the_last_answer_arrives);
}

/// After that response nothing more is expected of the connection, and the stream may still hold the last write.
async fn the_peer_has_ended_its_half<S: AsyncRead + AsyncWrite + Unpin>(raw: S, stream: S) {
    let serves = async {
        let mut http = HttpConnection::new(stream, Arc::new(Config::server()));
        let Some(Incoming::Request(request)) = http.next().await else { panic!("no request") };
        let Some(Incoming::Upgrade(upgrade)) = http.next().await else { panic!("no upgrade") };
        http.responder().respond(request, http::Response::new(Bytes::from(vec![b'x'; 500]))).unwrap();
        let mut ws = http.accept(upgrade).await.unwrap();
        assert_eq!(ws.next().await.unwrap().unwrap().as_bytes(), b"last");
        ws.try_send("heard").unwrap();
        assert!(ws.next().await.is_none());
        assert!(ws.get_ref().is_none());
    };
    let sending = async {
        let request = "GET / HTTP/1.1\r\nHost: localhost\r\n";
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let mut said = format!("{request}\r\n{request}{upgrade}").into_bytes();
        said.extend(masked(0x82, b"last"));
        said.extend(masked(0x88, &[0x03, 0xe8]));
        let (mut reads, mut writes) = futures_lite::io::split(raw);
        let write = async {
            writes.write_all(&said).await.unwrap();
            writes.close().await.unwrap();
        };
        let mut received = Vec::new();
        future::zip(write, reads.read_to_end(&mut received)).await.1.unwrap();
        assert!(received.ends_with(b"\x81\x05heard\x88\x02\x03\xe8"), "{}", received.escape_ascii());
    };
    future::zip(serves, sending).await;
}

#[test]
fn the_last_bytes_reach_a_half_closed_peer() {
    over_all!(the_peer_has_ended_its_half);
}

/// A stream that has these bytes, accepts everything, and forwards nothing.
struct Keeps(Vec<u8>);

impl AsyncRead for Keeps {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        let n = self.0.len().min(to.len());
        to[..n].copy_from_slice(&self.0[..n]);
        self.0.drain(..n);
        Poll::Ready(Ok(n))
    }
}

impl AsyncWrite for Keeps {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

#[test]
fn a_stream_that_forwards_nothing_times_out() {
    run(async {
        let config = Arc::new(Config::server().close_timeout(Duration::from_millis(10)));
        for (said, is_clean) in
            [(masked(0x88, &[0x03, 0xe8]), true), (masked(0xf1, b""), false), (vec![], false)]
        {
            let mut ws = WebSocket::upgraded(Keeps(said), config.clone(), Role::Server);
            ws.try_send("word").unwrap();
            while ws.next().await.is_some() {}
            assert_eq!(ws.closed().unwrap().clean, is_clean);
            assert!(ws.get_ref().is_none());
        }
    });
}

async fn an_unanswered_close<S: AsyncRead + AsyncWrite + Unpin>(stream: S, raw: S) {
    let soon = Duration::from_millis(10);
    // The smallest pipe has no room for the Close.
    let config = Config::client().close_timeout(soon).output_timeout(soon);
    let mut ws = WebSocket::upgraded(stream, Arc::new(config), Role::Client { seed: [3; 32] });
    let closed = ws.close(CloseCode::NORMAL, "").await.unwrap();
    assert!(matches!(closed.error, Some(Error::Timeout(Timeout::Close))), "{closed}");
    assert!(ws.get_ref().is_none());
    drop(raw);
}

#[test]
fn an_unanswered_close_times_out() {
    over_all!(an_unanswered_close);
}

async fn a_drop_sends_1001<S: AsyncRead + AsyncWrite + Unpin>(stream: S, mut raw: S) {
    drop(server(stream));
    let mut said = Vec::new();
    let _ = raw.read_to_end(&mut said).await;
    // It is written as far as that is possible without waiting.
    assert!([0x88, 2, 0x03, 0xe9].starts_with(&said), "{said:?}");
}

#[test]
fn a_drop_while_open_sends_1001_without_waiting() {
    over_all!(a_drop_sends_1001);
    run(async {
        let (stream, mut raw) = pair().await;
        drop(server(stream));
        let mut said = Vec::new();
        raw.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, [0x88, 2, 0x03, 0xe9]);
    });
}

/// Output queued at the drop is written as far as possible without waiting.
#[test]
fn a_drop_while_closing_writes_the_last_bytes() {
    run(async {
        let (stream, mut raw) = pair().await;
        let mut http = HttpConnection::new(stream, Arc::new(Config::server()));
        raw.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
        let Some(Incoming::Request(request)) = http.next().await else { panic!("no request") };
        http.responder().respond(request, http::Response::new(Bytes::from("the last response"))).unwrap();
        drop(http);
        let mut said = Vec::new();
        raw.read_to_end(&mut said).await.unwrap();
        assert!(said.ends_with(b"the last response"), "{}", said.escape_ascii());

        let (stream, mut raw) = pair().await;
        let mut ws = server(stream);
        ws.try_send("word").unwrap();
        ws.start_close(CloseCode::from(4000), "").unwrap();
        drop(ws);
        let mut said = Vec::new();
        raw.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, b"\x81\x04word\x88\x02\x0f\xa0");
    });
}

async fn an_abort_ends_both<S: AsyncRead + AsyncWrite + Unpin>(stream: S, mut raw: S) {
    let mut ws = server(stream);
    let sender = ws.sender();
    ws.try_send(vec![7; 300_000]).unwrap();
    let terminates = async {
        future::yield_now().await;
        sender.terminate();
    };
    let _ = future::zip(ws.flush(), terminates).await;
    assert!(!sender.is_open());
    let end = ws.next().await.unwrap().unwrap_err();
    assert!(matches!(end.error, Some(Error::Aborted)), "{end}");
    // The output is truncated somewhere; a socket may report that as a reset.
    let _ = raw.read_to_end(&mut Vec::new()).await;
}

#[test]
fn an_abort_ends_at_once() {
    over_all!(an_abort_ends_both);
}
