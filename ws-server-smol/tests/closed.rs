//! What is reported at the end of a connection, and what is read before: codes, expired deadlines, and failed writes.

#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::pipe::pipe;
use common::{listener, once, open_pair, pair, run, websockets};
use futures_lite::{AsyncReadExt, AsyncWriteExt as _, FutureExt, StreamExt as _, future};
use futures_util::SinkExt as _;
use socket2::SockRef;
use std::io::Write as _;
use std::net::TcpStream;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::Duration;
use ws_server_smol::{CloseCode, Config, Heartbeat, HttpConnection, Incoming, Message, Socket, WebSocket};
use ws_server_smol::{Error, Event, Role, Timeout};

const MILLI: Duration = Duration::from_millis(1);

fn server(stream: Socket, config: Config) -> WebSocket<Socket> {
    WebSocket::upgraded(stream, Arc::new(config), Role::Server)
}

/// The code of the error with which the stream of messages ends: for the end that closes, and for the other.
async fn ends(code: CloseCode, client_closes: bool) -> (Option<CloseCode>, Option<CloseCode>) {
    let (mut client, mut server) = open_pair().await;
    let (closer, other) = if client_closes { (&mut client, &mut server) } else { (&mut server, &mut client) };
    closer.start_close(code, "").unwrap();
    let end = async |ws: &mut WebSocket<Socket>| match ws.next().await {
        None => None,
        Some(Err(closed)) => {
            assert!(closed.clean && ws.next().await.is_none(), "once");
            Some(closed.code)
        }
        Some(Ok(message)) => panic!("{message:?}"),
    };
    future::zip(end(closer), end(other)).await
}

#[test]
fn closes_with_1000_1001_or_no_code_end_the_stream_and_others_are_errors() {
    run(async {
        for client_closes in [true, false] {
            for code in [1005, 1000, 1001] {
                assert_eq!(ends(CloseCode::from(code), client_closes).await, (None, None), "{code}");
            }
            for code in [1002, 1003, 1007, 1008, 1009, 1011, 1012, 1013, 1014, 3000, 4000, 4999] {
                let code = CloseCode::from(code);
                assert_eq!(
                    ends(code, client_closes).await,
                    (None, Some(code)),
                    "only the other end gets an error"
                );
            }
        }
    });
}

/// A server's end whose heartbeat Ping is sent, and the socket of its peer.
async fn pinged() -> (WebSocket<Socket>, Socket) {
    let (mut peer, stream) = pair().await;
    let heartbeat = Heartbeat::frequent().idle(20 * MILLI).pong_timeout(50 * MILLI);
    let mut ws = server(stream, Config::server().heartbeat(heartbeat));
    let mut ping = [0; 2];
    let ping_is_out = async {
        peer.read_exact(&mut ping).await.unwrap();
        assert_eq!(ping, [0x89, 0]);
    };
    let driving = async {
        ws.next_event().await;
        panic!("nothing was sent");
    };
    ping_is_out.or(driving).await;
    (ws, peer)
}

#[test]
fn a_pong_in_time_counts_however_late_it_is_read() {
    run(async {
        let (mut ws, mut peer) = pinged().await;
        peer.write_all(&[0x8a, 0x80, 0, 0, 0, 0]).await.unwrap();
        // The thread is busy until after the deadline.
        thread::sleep(100 * MILLI);
        assert!(matches!(ws.next_event().await, Some(Event::Pong(_))));
    });
}

#[test]
fn a_silent_peer_is_dead_however_late_that_is_checked() {
    run(async {
        let (mut ws, _peer) = pinged().await;
        thread::sleep(100 * MILLI);
        let closed = ws.next().await.unwrap().unwrap_err();
        assert!(matches!(closed.error, Some(Error::Timeout(Timeout::Heartbeat))), "{closed}");
    });
}

#[test]
fn a_close_answered_in_time_is_clean_however_late_it_is_read() {
    run(async {
        let (mut peer, stream) = pair().await;
        let mut ws = server(stream, Config::server().close_timeout(50 * MILLI));
        ws.start_close(CloseCode::NORMAL, "").unwrap();
        assert!(once(pin!(ws.next())).await.is_pending());
        // The bytes in flight, and then the answer.
        peer.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).await.unwrap();
        peer.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]).await.unwrap();
        thread::sleep(100 * MILLI);
        assert_eq!(ws.next().await.unwrap().unwrap().as_text(), Some("hi"));
        assert!(ws.next().await.is_none());
        assert!(ws.closed().unwrap().clean, "{}", ws.closed().unwrap());
    });
}

#[test]
fn a_flush_while_closing_does_not_time_out_unread_input() {
    run(async {
        let (peer, stream) = pipe(200, 1);
        let (mut peer, stream) = (peer.straight(), stream.straight());
        let config = Arc::new(Config::server().close_timeout(50 * MILLI).output_timeout(50 * MILLI));
        let mut ws = WebSocket::upgraded(stream, config, Role::Server);
        ws.try_send("x".repeat(1_000)).unwrap();
        ws.start_close(CloseCode::NORMAL, "").unwrap();
        assert!(once(pin!(ws.flush())).await.is_pending());
        peer.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).await.unwrap();
        peer.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x0f, 0xa0]).await.unwrap();
        thread::sleep(100 * MILLI);
        assert!(ws.flush().await.is_err());
        assert_eq!(ws.next().await.unwrap().unwrap().as_text(), Some("hi"));
        while let Some(Ok(_)) = ws.next().await {}
        assert_eq!(ws.closed().unwrap().code, CloseCode::from(4000), "as the peer sent");
    });
}

#[test]
fn a_request_in_time_is_answered_however_late_it_is_read() {
    run(async {
        let (mut peer, stream) = pair().await;
        let config = Config::server().handshake_timeout(50 * MILLI);
        let mut http = HttpConnection::new(stream, Arc::new(config));
        assert!(once(pin!(http.next())).await.is_pending());
        peer.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        thread::sleep(100 * MILLI);
        assert!(matches!(http.next().await, Some(Incoming::Request(_))));
    });
}

#[test]
fn a_flood_postpones_no_deadline() {
    run(async {
        let (client, server) = pipe(1 << 20, 1);
        let config = Config::server().close_timeout(50 * MILLI);
        let (mut client, mut ws) = websockets(client.straight(), server.straight(), Config::client(), config);
        ws.start_close(CloseCode::NORMAL, "").unwrap();
        let flooding = async {
            // The peer floods, and never answers.
            loop {
                if client.send(vec![7; 1_000]).await.is_err() {
                    return std::future::pending().await;
                }
            }
        };
        let reading = async {
            while let Some(next) = ws.next().await {
                if let Err(closed) = next {
                    return closed;
                }
            }
            panic!("it closed cleanly")
        };
        let closed = reading.or(flooding).await;
        assert!(matches!(closed.error, Some(Error::Timeout(Timeout::Close))), "{closed}");
    });
}

#[test]
fn the_peers_close_counts_even_if_a_write_meets_its_reset() {
    run(async {
        let (listener, address) = listener();
        let mut peer = TcpStream::connect(address).unwrap();
        let mut ws = server(listener.accept().await.unwrap().0.into(), Config::server());
        peer.write_all(&[0x88, 0x86, 0, 0, 0, 0, 0x0f, 0xa5, b'g', b'o', b'n', b'e']).unwrap();
        SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
        drop(peer);
        // The reset has arrived when a write fails; the Close is unread before it.
        for _ in 0..1_000 {
            ws.try_send(vec![7; 100_000]).unwrap();
            if ws.flush().await.is_err() {
                break;
            }
        }
        let closed = ws.next().await.unwrap().unwrap_err();
        assert_eq!((closed.code, closed.reason.as_str()), (CloseCode::from(4005), "gone"));
        assert!(!closed.clean && closed.error.is_some(), "{closed}");
    });
}

#[test]
fn a_failed_write_is_reported_by_a_flush() {
    run(async {
        let (client, server) = pipe(100, 1);
        let (mut client, server) = websockets(client, server, Config::client(), Config::server());
        drop(server);
        client.try_send("x".repeat(1_000)).unwrap();
        let mut flushing = pin!(client.flush());
        let flushed = loop {
            if let Poll::Ready(flushed) = once(flushing.as_mut()).await {
                break flushed;
            }
        };
        assert!(flushed.is_err(), "the output was lost");
    });
}

#[test]
fn with_split_halves_deadlines_apply_after_reading() {
    run(async {
        for finds in [Timeout::Heartbeat, Timeout::Output] {
            let (peer, stream) = pipe(1_000, 1);
            let _peer = peer.straight();
            let soon = |timeout| if finds == timeout { 50 * MILLI } else { 60_000 * MILLI };
            let heartbeat = Heartbeat::frequent().idle(MILLI).pong_timeout(soon(Timeout::Heartbeat));
            let config = Config::server().heartbeat(heartbeat).output_timeout(soon(Timeout::Output));
            let mut ws = WebSocket::upgraded(stream.straight(), Arc::new(config), Role::Server);
            if finds == Timeout::Heartbeat {
                // The kernel has the Ping before more is queued than it accepts.
                async_io::Timer::after(5 * MILLI).await;
                assert!(once(pin!(ws.next())).await.is_pending());
            }
            let (mut sink, mut stream) = futures_util::StreamExt::split(ws);
            let flushing = async {
                sink.feed(Message::Binary(vec![7; 10_000].into())).await.unwrap();
                sink.flush().await
            };
            // Either half may be woken first.
            let (flushed, end) = future::zip(flushing, stream.next()).await;
            assert!(flushed.is_err());
            let end = end.unwrap().unwrap_err();
            let closed = end.closed().unwrap();
            assert!(matches!(closed.error, Some(Error::Timeout(found)) if found == finds), "{closed}");
            assert!(!closed.reading_paused, "{closed}");
        }
    });
}
