//! Futures dropped at any await: no byte is lost, the order stays, and work in progress continues.

#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use bytes::Bytes;
use common::pipe::{End, pipe};
use common::strict::Strict;
use common::{Random, at_most, websockets};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::sync::Arc;
use ws_server_smol::{ClientRequest, CloseCode, Config, Delivery, Event, Frame, Message, Opcode, SendError};
use ws_server_smol::{HttpConnection, Incoming, WebSocket, handshake};

/// How many orders each test runs.
const SEEDS: u64 = 200;
/// A future is polled at most this often before it is dropped; likewise each number below.
const POLLS: usize = 5;

fn ends(seed: u64) -> (End, End) {
    let (client, server) = pipe(1 + Random::new(seed).below(64), seed);
    if seed.is_multiple_of(3) { (client.holding(), server.holding()) } else { (client, server) }
}

fn pair(seed: u64) -> (WebSocket<End>, WebSocket<End>) {
    let (client, server) = ends(seed);
    let config = |config: Config| config.outbox(10, 100, 400);
    websockets(client, server, config(Config::client()), config(Config::server()))
}

fn text(k: usize) -> String {
    format!("{k} {}", "x".repeat(k * 13 % 150))
}

/// Restarts the future after each drop, until it completes.
macro_rules! insist {
    ($random:expr, $future:expr) => {
        loop {
            let polls = $random.below(POLLS + 1);
            if let Some(value) = at_most(polls, $future).await {
                break value;
            }
            // A dropped future gets no wake-up: the task polls again without one.
            futures_lite::future::yield_now().await;
        }
    };
}

#[test]
fn next_send_flush_and_close_survive_drops() {
    for seed in 0..SEEDS {
        let (mut client, mut server) = pair(seed);
        let mut random = Random::new(seed);
        let mut tasks = Strict::new(seed);
        tasks.spawn("client", async move {
            for k in 0..20 {
                // After one poll the message is queued, and flushing continues elsewhere.
                let polls = 1 + random.below(POLLS);
                match at_most(polls, client.send(text(k))).await {
                    None => insist!(random, client.flush()).unwrap(),
                    Some(sent) => sent.unwrap(),
                }
                let echo = insist!(random, client.next()).unwrap().unwrap();
                assert_eq!(echo.as_text(), Some(&*text(k)), "seed {seed}");
            }
            let closed = loop {
                let polls = random.below(POLLS + 1);
                if let Some(closed) = at_most(polls, client.close(CloseCode::NORMAL, "done")).await {
                    break closed.unwrap().clone();
                }
                futures_lite::future::yield_now().await;
            };
            assert!(closed.clean, "seed {seed}: {closed}");
        });
        let mut random = Random::new(seed + SEEDS);
        tasks.spawn("server", async move {
            while let Some(message) = insist!(random, server.next()) {
                server.try_send(message.unwrap()).unwrap();
                at_most(random.below(POLLS), server.flush()).await;
            }
            assert_eq!(server.closed().unwrap().reason, "done");
        });
        tasks.run();
    }
}

#[test]
fn many_messages_and_fragments_survive_drops() {
    for seed in 0..SEEDS {
        let (client, server) = ends(seed);
        let chunked = Config::server().delivery(Delivery::Chunked { whole: 40 });
        let (mut client, mut server) = websockets(client, server, Config::client(), chunked);
        let mut random = Random::new(seed);
        let mut tasks = Strict::new(seed);
        tasks.spawn("client", async move {
            for k in 0..20 {
                client.try_send(text(k)).unwrap();
            }
            insist!(random, client.flush()).unwrap();
            client.start_close(CloseCode::NORMAL, "").unwrap();
            assert!(insist!(random, client.next()).is_none());
        });
        let mut random = Random::new(seed + SEEDS);
        tasks.spawn("server", async move {
            // Whole or chunked; within a message, only as it began.
            for k in 0..20 {
                if k % 2 == 0 {
                    let message = insist!(random, server.next()).unwrap().unwrap();
                    assert_eq!(message.as_text(), Some(&*text(k)), "seed {seed}");
                    continue;
                }
                let mut joined = String::new();
                loop {
                    match insist!(random, server.next_event()).unwrap() {
                        Event::Message(message) => {
                            joined = message.as_text().unwrap().to_owned();
                            break;
                        }
                        Event::Fragment(fragment) => {
                            joined.push_str(fragment.data.as_text().unwrap());
                            if fragment.last {
                                break;
                            }
                        }
                        other => panic!("{other:?}"),
                    }
                }
                assert_eq!(joined, text(k), "seed {seed}");
            }
            assert!(insist!(random, server.next()).is_none());
        });
        tasks.run();
    }
}

#[test]
fn a_dropped_send_has_sent_nothing() {
    for seed in 0..SEEDS {
        let (mut client, mut server) = pair(seed);
        let sender = client.sender();
        let mut random = Random::new(seed);
        let mut tasks = Strict::new(seed);
        tasks.spawn("sends", async move {
            for k in 0..20 {
                insist!(random, sender.send(text(k))).unwrap();
            }
            sender.close(CloseCode::NORMAL, "").unwrap();
        });
        tasks.spawn("owns", async move { assert!(client.next().await.is_none()) });
        tasks.spawn("reads", async move {
            for k in 0..20 {
                let message = server.next().await.unwrap().unwrap();
                assert_eq!(message.as_text(), Some(&*text(k)), "seed {seed}");
            }
            assert!(server.next().await.is_none());
        });
        tasks.run();
    }
}

#[test]
fn requests_streaming_responses_and_the_upgrade_survive_drops() {
    for seed in 0..SEEDS {
        let (mut client, server) = ends(seed);
        let mut random = Random::new(seed);
        let mut tasks = Strict::new(seed);
        tasks.spawn("server", async move {
            let mut http = HttpConnection::new(server, Arc::new(Config::server().outbox(10, 100, 400)));
            loop {
                match insist!(random, http.next()).unwrap() {
                    Incoming::Request(request) if request.path() == "/stream" => {
                        let head = http::Response::new(());
                        let body = http.respond_streaming(request, head, Some(2000)).unwrap();
                        // One task does both, in turns.
                        let (mut sent, mut body) = (0, Some(body));
                        while let Some(open) = &body {
                            if sent == 20 {
                                body.take().unwrap().finish().unwrap();
                            } else if let Some(done) =
                                at_most(random.below(2), open.send(vec![b'a' + sent as u8; 100])).await
                            {
                                done.unwrap();
                                sent += 1;
                            }
                            if at_most(random.below(2), http.next()).await.is_some() {
                                panic!("nothing is read behind a streaming response");
                            }
                            futures_lite::future::yield_now().await;
                        }
                    }
                    Incoming::Request(request) => {
                        let answer = http::Response::new(Bytes::from(request.path().to_owned()));
                        // After one poll the answer is queued.
                        if let Some(done) =
                            at_most(1 + random.below(POLLS), http.respond(request, answer)).await
                        {
                            done.unwrap();
                        }
                    }
                    Incoming::Upgrade(upgrade) => {
                        let mut ws = http.accept(upgrade).await.unwrap();
                        ws.send("hello").await.unwrap();
                        assert!(insist!(random, ws.next()).is_none());
                        break;
                    }
                }
            }
        });
        tasks.spawn("client", async move {
            for path in ["/1", "/2", "/stream", "/3"] {
                let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
                client.write_all(request.as_bytes()).await.unwrap();
                client.flush().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    client.read_exact(&mut byte).await.unwrap();
                    head.push(byte[0]);
                }
                assert!(head.starts_with(b"HTTP/1.1 200"), "seed {seed}: {}", head.escape_ascii());
                let mut body = vec![0; if path == "/stream" { 2000 } else { 2 }];
                client.read_exact(&mut body).await.unwrap();
                match path {
                    "/stream" => assert!(body.iter().enumerate().all(|(k, b)| *b == b'a' + (k / 100) as u8)),
                    path => assert_eq!(body, path.as_bytes()),
                }
            }
            let request = ClientRequest::new("ws://localhost/chat").unwrap();
            let mut ws = handshake(client, request, Arc::new(Config::client())).await.unwrap();
            assert_eq!(ws.next().await.unwrap().unwrap(), Message::Text("hello".into()));
            ws.close(CloseCode::NORMAL, "").await.unwrap();
        });
        tasks.run();
    }
}

#[test]
fn a_handshake_dropped_on_either_side_ends_the_stream() {
    for seed in 0..SEEDS {
        for polls in 0..12 {
            let (client, server) = ends(seed);
            let mut tasks = Strict::new(seed);
            // Either side may give up.
            let (of_client, of_server) =
                if seed % 2 == 0 { (polls, usize::MAX) } else { (usize::MAX, polls) };
            tasks.spawn("client", async move {
                let shaken = handshake(client, "ws://localhost/", Arc::new(Config::client()));
                if let Some(Ok(mut ws)) = at_most(of_client, shaken).await {
                    while ws.next().await.is_some() {}
                }
            });
            tasks.spawn("server", async move {
                let mut http = HttpConnection::new(server, Arc::new(Config::server()));
                match http.next().await {
                    Some(Incoming::Upgrade(upgrade)) => {
                        if let Some(Ok(mut ws)) = at_most(of_server, http.accept(upgrade)).await {
                            drop(ws.send("hello").await);
                        }
                    }
                    other => assert!(other.is_none(), "{other:?}"),
                }
            });
            tasks.run();
        }
    }
}

#[test]
fn a_flush_does_not_wait_for_output_behind_an_unfinished_message() {
    let (client, server) = pipe(1000, 1);
    let (mut client, mut server) = websockets(client, server, Config::client(), Config::server());
    let mut tasks = Strict::new(1);
    tasks.spawn("client", async move {
        client.send(Frame::raw(Opcode::Text, false, "begun").unwrap()).await.unwrap();
        // It waits behind the unfinished message.
        client.send("behind").await.unwrap();
        assert!(client.queued() > 0);
        client.send(Frame::raw(Opcode::Continuation, true, " done").unwrap()).await.unwrap();
        assert_eq!(client.queued(), 0);
        assert!(client.next().await.is_none());
    });
    tasks.spawn("server", async move {
        for expected in ["begun done", "behind"] {
            assert_eq!(server.next().await.unwrap().unwrap().as_text(), Some(expected));
        }
        server.close(CloseCode::NORMAL, "").await.unwrap();
    });
    tasks.run();
}

#[test]
fn a_failed_write_is_reported_as_the_close() {
    for seed in 0..SEEDS {
        let (mut client, server) = pair(seed);
        let mut tasks = Strict::new(seed);
        tasks.spawn("client", async move {
            client.try_send(text(19)).unwrap();
            let end = client.next().await.unwrap().unwrap_err();
            // The peer's last message may have arrived before.
            assert!(matches!(end.code, CloseCode::ABNORMAL | CloseCode::GOING_AWAY), "seed {seed}: {end}");
            assert!(end.error.is_some() && !end.clean, "seed {seed}: {end}");
            assert!(client.next().await.is_none());
            assert_eq!(client.flush().await, Err(SendError::NotOpen));
            assert_eq!(client.send("late").await, Err(SendError::NotOpen));
        });
        tasks.spawn("server", async move { drop(server) });
        tasks.run();
    }
}
