//! A WebSocket as a sink, as `futures-util` uses it.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;

use common::pipe::pipe;
use common::{open_pair, run, websockets};
use futures_lite::future;
use futures_util::{SinkExt, StreamExt};
use ws_server_smol::{CloseCode, Config, Message};

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
fn every_size_around_the_room_that_is_left_is_taken() {
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

#[test]
fn messages_accepted_by_the_sink_precede_later_sends() {
    run(async {
        let (client, server) = pipe(4 << 10, 1);
        let small = Config::client().outbox(1 << 10, 8 << 10, 16 << 10);
        let (mut client, mut server) =
            websockets(client.straight(), server.straight(), small, Config::server());
        let sends = async {
            for size in [7 << 10, 20 << 10] {
                client.feed(Message::Binary(vec![0; size].into())).await.unwrap();
            }
            client.send("last").await.unwrap();
            client.close(CloseCode::NORMAL, "").await.unwrap();
        };
        let receives = async {
            for size in [7 << 10, 20 << 10, 4] {
                assert_eq!(server.next().await.unwrap().unwrap().as_bytes().len(), size);
            }
            assert!(server.next().await.is_none());
        };
        future::zip(sends, receives).await;
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
