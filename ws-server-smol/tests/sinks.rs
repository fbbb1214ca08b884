//! A WebSocket as a sink, as `futures-util` uses it.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;

use common::pipe::{End, pipe};
use common::{open_pair, run, websockets};
use futures_lite::future;
use futures_util::{Sink, SinkExt, StreamExt};
use std::future::poll_fn;
use std::pin::Pin;
use ws_server_smol::{CloseCode, Config, Frame, Message, Opcode, SendError, WebSocket, WebSocketError};

#[test]
fn a_message_larger_than_the_outbox_waits_until_it_is_empty() {
    run(async {
        let (client, server) = pipe(4 << 10, 1);
        let small = Config::client().outbox(1 << 10, 8 << 10, 16 << 10);
        let (mut client, mut server) =
            websockets(client.straight(), server.straight(), small, Config::server());
        let sizes = [100, 20 << 10, 40 << 10, 100, 15 << 10, 40 << 10];
        let sends = async {
            for size in sizes {
                client.feed(Message::Binary(vec![0; size].into())).await.unwrap();
            }
            SinkExt::close(&mut client).await.unwrap();
            while client.next().await.is_some() {}
        };
        let receives = async {
            for size in sizes {
                assert_eq!(server.next().await.unwrap().unwrap().as_bytes().len(), size);
            }
            assert!(server.next().await.is_none());
        };
        future::zip(sends, receives).await;
    });
}

#[test]
fn a_message_of_any_size_around_the_remaining_room_is_accepted() {
    run(async {
        // The pipe takes 4 KiB of the first message, and the rest of it waits.
        let (first, cap) = (6 << 10, 16 << 10);
        let left = cap - (first - (4 << 10));
        for second in left - 64..left + 64 {
            let (client, server) = pipe(4 << 10, 1);
            let small = Config::client().outbox(1 << 10, 8 << 10, cap);
            let (mut client, mut server) =
                websockets(client.straight(), server.straight(), small, Config::server());
            let sends = async {
                for size in [first, second] {
                    client.feed(Message::Binary(vec![0; size].into())).await.unwrap();
                }
                SinkExt::close(&mut client).await.unwrap();
            };
            let receives = async {
                for size in [first, second] {
                    assert_eq!(server.next().await.unwrap().unwrap().as_bytes().len(), size);
                }
            };
            future::zip(sends, receives).await;
        }
    });
}

/// A client whose outbox holds 16 KiB, and has 3 KiB queued in front of a message of 20 KiB, and its server.
async fn fed() -> (WebSocket<End>, WebSocket<End>) {
    let (client, server) = pipe(4 << 10, 1);
    let small = Config::client().outbox(1 << 10, 8 << 10, CAP);
    let (mut client, server) = websockets(client.straight(), server.straight(), small, Config::server());
    for size in FED {
        client.feed(Message::Binary(vec![0; size].into())).await.unwrap();
    }
    (client, server)
}

const CAP: usize = 16 << 10;
const FED: [usize; 2] = [7 << 10, 20 << 10];

/// The sizes of all messages until a normal end.
async fn sizes(ws: &mut WebSocket<End>) -> Vec<usize> {
    let mut sizes = Vec::new();
    while let Some(message) = ws.next().await {
        sizes.push(message.unwrap().as_bytes().len());
    }
    sizes
}

#[test]
fn messages_accepted_by_the_sink_precede_later_sends() {
    run(async {
        let (mut client, mut server) = fed().await;
        let sends = async {
            client.send("last").await.unwrap();
            client.close(CloseCode::NORMAL, "").await.unwrap();
        };
        let (_, received) = future::zip(sends, sizes(&mut server)).await;
        assert_eq!(received, [FED[0], FED[1], 4]);
    });
}

#[test]
fn messages_accepted_by_the_sink_count_as_queued_for_later_sends() {
    run(async {
        let (mut client, mut server) = fed().await;
        assert!(client.queued() > CAP);
        // The promise of other sends still holds: they queue nothing past the cap.
        assert_eq!(client.try_send("early"), Err(SendError::Full));
        assert_eq!(client.sender().try_send("early"), Err(SendError::Full));
        let sends = async {
            client.flush().await.unwrap();
            client.try_send("later").unwrap();
            client.close(CloseCode::NORMAL, "").await.unwrap();
        };
        let (_, received) = future::zip(sends, sizes(&mut server)).await;
        assert_eq!(received, [FED[0], FED[1], 5]);
    });
}

#[test]
fn a_message_accepted_by_the_sink_precedes_a_close() {
    run(async {
        for way in 0..4 {
            let (mut client, mut server) = fed().await;
            let closes = async {
                match way {
                    0 => assert!(client.close(CloseCode::NORMAL, "").await.is_ok()),
                    1 => client.start_close(CloseCode::NORMAL, "").unwrap(),
                    2 => client.sender().close(CloseCode::NORMAL, "").unwrap(),
                    _ => SinkExt::close(&mut client).await.unwrap(),
                }
                while client.next().await.is_some() {}
                assert!(client.closed().unwrap().clean);
            };
            let (_, received) = future::zip(closes, sizes(&mut server)).await;
            assert_eq!(received, FED, "{way}");
        }
    });
}

#[test]
fn a_message_accepted_by_the_sink_is_sent_while_only_next_is_polled() {
    run(async {
        let (mut client, mut server) = fed().await;
        let receives = async {
            for size in FED {
                assert_eq!(server.next().await.unwrap().unwrap().as_bytes().len(), size);
            }
            server.close(CloseCode::NORMAL, "").await.unwrap();
        };
        future::zip(receives, async { assert!(client.next().await.is_none()) }).await;
    });
}

#[test]
fn a_sink_that_is_ready_accepts_a_message_however_much_others_send_first() {
    run(async {
        for size in [0, 1, CAP, 2 * CAP] {
            let (client, server) = pipe(4 << 10, 1);
            let small = Config::client().outbox(1 << 10, 8 << 10, CAP);
            let (mut client, mut server) =
                websockets(client.straight(), server.straight(), small, Config::server());
            poll_fn(|cx| Pin::new(&mut client).poll_ready(cx)).await.unwrap();
            let sender = client.sender();
            let others = std::iter::from_fn(|| sender.try_send(vec![0; 1000]).ok()).count();
            assert_eq!(others, CAP / 1014);
            Pin::new(&mut client).start_send(Message::Binary(vec![0; size].into())).unwrap();
            let sends = async {
                SinkExt::flush(&mut client).await.unwrap();
                client.close(CloseCode::NORMAL, "").await.unwrap();
            };
            let (_, received) = future::zip(sends, sizes(&mut server)).await;
            assert_eq!(received, [vec![1000; others], vec![size]].concat());
        }
    });
}

#[test]
fn a_sink_reports_full_behind_an_unfinished_message() {
    run(async {
        let (client, server) = pipe(64 << 10, 1);
        let small = Config::client().outbox(1 << 10, 8 << 10, CAP);
        let (mut client, mut server) =
            websockets(client.straight(), server.straight(), small, Config::server());
        client.try_send(Frame::raw(Opcode::Text, false, "a").unwrap()).unwrap();
        // It accepts messages up to the high mark, and the one that exceeds it.
        for _ in 0..2 {
            client.feed(Message::Binary(vec![0; 4 << 10].into())).await.unwrap();
        }
        let full = client.feed("one more".into()).await;
        assert!(matches!(full, Err(WebSocketError::Send(SendError::Full))), "{full:?}");
        client.send(Frame::raw(Opcode::Continuation, true, "b").unwrap()).await.unwrap();
        client.feed("one more".into()).await.unwrap();
        client.start_close(CloseCode::NORMAL, "").unwrap();
        let closes = async { while client.next().await.is_some() {} };
        let (_, received) = future::zip(closes, sizes(&mut server)).await;
        assert_eq!(received, [2, 4 << 10, 4 << 10, 8]);
    });
}

#[test]
fn an_echo_whose_peer_closes_behind_its_last_message_ends_cleanly() {
    run(async {
        let (mut client, server) = open_pair().await;
        let (sink, stream) = server.split();
        let asks = async {
            client.try_send("hello").unwrap();
            client.close(CloseCode::NORMAL, "").await.unwrap().clean
        };
        let (echo, clean) = future::zip(stream.forward(sink), asks).await;
        assert!(clean);
        echo.unwrap();
    });
}

#[test]
fn a_closed_sink_returns_an_error() {
    run(async {
        let (mut client, mut server) = open_pair().await;
        let (mut sink, mut stream) = (&mut server).split();
        client.start_close(CloseCode::NORMAL, "").unwrap();
        future::zip(async { while client.next().await.is_some() {} }, async {
            assert!(stream.next().await.is_none());
        })
        .await;
        sink.feed("late".into()).await.unwrap();
        sink.feed("later".into()).await.unwrap();
        assert!(sink.flush().await.is_err());
        drop((sink, stream));

        let (mut client, _server) = open_pair().await;
        SinkExt::close(&mut client).await.unwrap();
        assert!(SinkExt::send(&mut client, "late".into()).await.is_err());
    });
}

#[test]
fn text_and_bytes_convert_into_sink_messages() {
    run(async {
        let (client, mut server) = open_pair().await;
        let (mut sink, _stream) = client.split();
        for message in ["text".into(), "text".to_owned().into(), b"data"[..].into(), b"data".to_vec().into()]
        {
            sink.send(message).await.unwrap();
            let received = server.next().await.unwrap().unwrap();
            assert_eq!(received.as_text().unwrap_or("data").as_bytes(), received.as_bytes());
        }
    });
}
