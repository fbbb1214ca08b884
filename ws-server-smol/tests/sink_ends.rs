//! What the sink of a WebSocket returns after each kind of end.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;

use common::pipe::{End, pipe};
use common::{once, run, websockets};
use futures_lite::{AsyncReadExt, future};
use futures_util::{SinkExt, StreamExt, stream};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use ws_server_smol::{CloseCode, Config, Message, Role, SendError, WebSocket, WebSocketError};

type Pair = (WebSocket<End>, WebSocket<End>);

fn pair(capacity: usize) -> Pair {
    let (client, server) = pipe(capacity, 1);
    websockets(client.straight(), server.straight(), Config::client(), Config::server())
}

/// A server whose peer is the raw other end of the pipe.
fn server_over(stream: End, config: Config) -> WebSocket<End> {
    WebSocket::upgraded(stream.straight(), Arc::new(config), Role::Server)
}

/// Reads until the end.
async fn drain(ws: &mut WebSocket<End>) {
    while ws.next().await.is_some() {}
}

/// Whether closing, flushing, and sending nothing through the sink succeed, each of them twice.
async fn results(ws: &mut WebSocket<End>) -> Vec<Result<(), WebSocketError>> {
    let (mut sink, _stream) = ws.split();
    let mut results = Vec::new();
    for _ in 0..2 {
        results.push(sink.flush().await);
        results.push(sink.send_all(&mut stream::empty()).await);
        results.push(stream::empty().forward(&mut sink).await);
        results.push(sink.close().await);
    }
    results
}

#[derive(Clone, Copy, Debug)]
enum Way {
    PeerCloses(CloseCode),
    WeClose(CloseCode),
    TheSinkCloses,
    BothClose,
}

const ORDERLY: [Way; 7] = [
    Way::PeerCloses(CloseCode::NORMAL),
    Way::PeerCloses(CloseCode::GOING_AWAY),
    Way::PeerCloses(CloseCode::NO_STATUS),
    Way::WeClose(CloseCode::NORMAL),
    Way::WeClose(CloseCode::POLICY),
    Way::TheSinkCloses,
    Way::BothClose,
];

impl Way {
    /// Ends a WebSocket this way, of which `peer` is the other end; `reads` says whether its reading half has seen the
    /// end.
    async fn end(self, ws: &mut WebSocket<End>, peer: &mut WebSocket<End>, reads: bool) {
        match self {
            Self::PeerCloses(code) => peer.start_close(code, "").unwrap(),
            Self::WeClose(code) => ws.start_close(code, "").unwrap(),
            Self::TheSinkCloses => SinkExt::close(ws).await.unwrap(),
            Self::BothClose => {
                peer.start_close(CloseCode::NORMAL, "").unwrap();
                ws.start_close(CloseCode::GOING_AWAY, "").unwrap();
            }
        }
        if reads {
            future::zip(drain(ws), drain(peer)).await;
            assert!(ws.closed().unwrap().clean, "{self:?}");
        } else {
            // The peer reads and writes what it can, and this side has read nothing.
            let _ = once(pin!(drain(peer))).await;
        }
    }
}

#[test]
fn after_an_orderly_end_flush_and_close_succeed() {
    run(async {
        for way in ORDERLY {
            for client in [true, false] {
                for reads in [true, false] {
                    let (mut ws, mut peer) = pair(64 << 10);
                    if client {
                        (ws, peer) = (peer, ws);
                    }
                    ws.try_send("queued").unwrap();
                    way.end(&mut ws, &mut peer, reads).await;
                    for (n, result) in results(&mut ws).await.into_iter().enumerate() {
                        assert!(result.is_ok(), "{way:?} {client} {reads} {n}: {result:?}");
                    }
                }
            }
        }
    });
}

#[test]
fn flush_succeeds_between_an_orderly_end_and_its_report() {
    run(async {
        // The server ends TCP first, so its connection is over as soon as its Close and the client's end are there.
        let (mut client, mut server) = pair(64 << 10);
        let (mut sink, mut stream) = (&mut server).split();
        client.try_send("hello").unwrap();
        client.start_close(CloseCode::NORMAL, "").unwrap();
        assert!(once(pin!(drain(&mut client))).await.is_pending());
        stream.next().await.unwrap().unwrap();
        for _ in 0..3 {
            // Nothing reads in between.
            sink.flush().await.unwrap();
        }
        drain_both(&mut client, &mut stream).await;
        sink.flush().await.unwrap();
    });
}

async fn drain_both(
    client: &mut WebSocket<End>,
    stream: &mut (impl futures_lite::Stream<Item = Result<Message<'static>, WebSocketError>> + Unpin),
) {
    future::zip(drain(client), async { assert!(stream.next().await.is_none()) }).await;
}

#[test]
fn after_a_normal_end_of_the_peer_one_message_is_dropped_and_the_next_is_the_end() {
    run(async {
        for client in [true, false] {
            let (mut ws, mut peer) = pair(64 << 10);
            if client {
                (ws, peer) = (peer, ws);
            }
            Way::PeerCloses(CloseCode::NORMAL).end(&mut ws, &mut peer, true).await;
            ws.feed("late".into()).await.unwrap();
            SinkExt::flush(&mut ws).await.unwrap();
            let error = SinkExt::send(&mut ws, "later".into()).await.unwrap_err();
            assert_eq!(error.closed().unwrap().code, CloseCode::NORMAL);
            SinkExt::flush(&mut ws).await.unwrap();
            SinkExt::close(&mut ws).await.unwrap();
        }
    });
}

#[test]
fn after_our_close_a_message_is_an_error_that_explains_the_end() {
    run(async {
        for way in [Way::WeClose(CloseCode::NORMAL), Way::TheSinkCloses, Way::BothClose] {
            let (mut ws, mut peer) = pair(64 << 10);
            way.end(&mut ws, &mut peer, true).await;
            let error = ws.feed("late".into()).await.unwrap_err();
            assert!(error.closed().unwrap().clean, "{way:?}: {error}");
        }
        // It is closing: no end explains the error yet.
        let (mut ws, _peer) = pair(64 << 10);
        SinkExt::close(&mut ws).await.unwrap();
        let error = ws.feed("late".into()).await.unwrap_err();
        assert!(matches!(error, WebSocketError::Send(SendError::NotOpen)), "{error}");
        assert!(error.closed().is_none());
        // The same holds if another task or the server closes.
        let (mut ws, mut peer) = pair(64 << 10);
        ws.sender().close(CloseCode::GOING_AWAY, "").unwrap();
        let error = ws.feed("late".into()).await.unwrap_err();
        assert!(matches!(error, WebSocketError::Send(SendError::NotOpen)), "{error}");
        future::zip(drain(&mut ws), drain(&mut peer)).await;
        let error = ws.feed("late".into()).await.unwrap_err();
        assert_eq!(error.closed().unwrap().sent, Some(CloseCode::GOING_AWAY));
    });
}

#[test]
fn after_a_close_with_an_error_code_every_call_fails_with_that_code() {
    run(async {
        for code in [CloseCode::POLICY, CloseCode::from(4000)] {
            let (mut ws, mut peer) = pair(64 << 10);
            Way::PeerCloses(code).end(&mut ws, &mut peer, true).await;
            for result in results(&mut ws).await {
                assert_eq!(result.unwrap_err().closed().unwrap().code, code);
            }
            assert_eq!(ws.feed("late".into()).await.unwrap_err().closed().unwrap().code, code);
        }
    });
}

#[test]
fn after_a_loss_every_call_fails_and_explains_it() {
    run(async {
        for (way, reads) in [(0, true), (0, false), (1, true), (1, false), (2, true)] {
            let (client, server) = pipe(4 << 10, 1);
            let mut ws = server_over(server, Config::server());
            // More than the pipe takes.
            ws.feed(Message::Binary(vec![0; 64 << 10].into())).await.unwrap();
            match way {
                0 => drop(client),
                1 => ws.sender().terminate(),
                _ => client.reset(),
            }
            if reads {
                drain(&mut ws).await;
                assert!(!ws.closed().unwrap().clean);
            }
            for (n, result) in results(&mut ws).await.into_iter().enumerate() {
                let error = result.unwrap_err();
                // Without reading, only the failure of the write is known, not yet what the peer sent last.
                assert_eq!(error.closed().is_some(), reads || way == 1, "{way} {reads} {n}: {error}");
            }
            let error = ws.feed("late".into()).await.unwrap_err();
            assert_eq!(error.closed().is_some(), reads || way == 1, "{way} {reads}: {error}");
        }
    });
}

#[test]
fn a_flush_whose_output_was_dropped_for_a_slow_peer_is_an_error() {
    run(async {
        let (mut peer, server) = pipe(4 << 10, 1);
        let impatient = Config::server().output_timeout(Duration::from_millis(100)).min_output_rate(u32::MAX);
        let mut ws = server_over(server, impatient);
        // The messages are sent frame by frame, so that most are not begun when the connection fails.
        for _ in 0..200 {
            ws.try_send(vec![0; 1 << 10]).unwrap();
        }
        let reads = async {
            let mut buffer = [0; 1 << 10];
            while peer.read(&mut buffer).await.is_ok_and(|n| n > 0) {
                async_io::Timer::after(Duration::from_millis(10)).await;
            }
        };
        let flushes = async { assert!(SinkExt::flush(&mut ws).await.is_err()) };
        future::or(flushes, reads).await;
        assert!(SinkExt::close(&mut ws).await.is_err());
    });
}
