//! One connection: the HTTP connection, the WebSocket, its senders.

#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use async_executor::LocalExecutor;
use async_io::{Async, block_on};
use futures_lite::{FutureExt, StreamExt, future};
use futures_util::SinkExt;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use ws_server_smol::{ClientRequest, CloseCode, Config, Message, Role, State, handshake::upgrade_required};
use ws_server_smol::{HttpConnection, Incoming, Socket, WebSocket};

type Error = Box<dyn std::error::Error>;

/// A pair of connected sockets.
async fn pair() -> (Socket, Socket) {
    let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
    let address = listener.get_ref().local_addr().unwrap();
    let (client, server) = future::zip(Async::<TcpStream>::connect(address), listener.accept()).await;
    (client.unwrap().into(), server.unwrap().0.into())
}

async fn open_pair() -> (WebSocket<Socket>, WebSocket<Socket>) {
    let (client, server) = pair().await;
    let client = WebSocket::upgraded(client, Arc::new(Config::client()), Role::Client { seed: [7; 32] });
    (client, WebSocket::upgraded(server, Arc::new(Config::server()), Role::Server))
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let hang = async {
        async_io::Timer::after(Duration::from_secs(20)).await;
        panic!("it hangs")
    };
    block_on(future.or(hang))
}

#[test]
fn a_message_is_echoed_and_the_close_is_clean() {
    run(async {
        let (mut client, mut server) = open_pair().await;
        let served = async {
            while let Some(message) = server.next().await {
                server.send(message.unwrap()).await.unwrap();
            }
            server.closed().unwrap().clone()
        };
        let requesting = async {
            for size in [0, 5, 70_000, 3 << 20] {
                client.try_send(vec![7; size]).unwrap();
                match client.next().await.unwrap().unwrap() {
                    Message::Binary(data) => assert!(data.len() == size && data.iter().all(|b| *b == 7)),
                    other => panic!("{other:?}"),
                }
            }
            let closed = client.close(CloseCode::NORMAL, "done").await.unwrap();
            assert!(closed.clean);
        };
        let (closed, ()) = future::zip(served, requesting).await;
        assert_eq!((closed.code, closed.reason.as_str()), (CloseCode::NORMAL, "done"));
    });
}

#[test]
fn two_tasks_send_and_receive_without_deadlock() {
    let executor = LocalExecutor::new();
    run(executor.run(async {
        let (client, mut server) = open_pair().await;
        let echo = executor.spawn(async move {
            while let Some(message) = server.next().await {
                server.try_send(message.unwrap()).unwrap();
            }
        });
        let (mut sink, mut stream) = futures_util::StreamExt::split(client);
        let sends = executor.spawn(async move {
            for k in 0..20_000 {
                sink.feed(Message::Text(format!("{k} {}", "x".repeat(k % 300)).into())).await.unwrap();
            }
            sink.flush().await.unwrap();
            sink
        });
        for k in 0..20_000 {
            let message = stream.next().await.unwrap().unwrap();
            assert!(message.as_text().unwrap().starts_with(&format!("{k} ")));
        }
        let mut client = sends.await.reunite(stream).unwrap();
        client.close(CloseCode::NORMAL, "").await.unwrap();
        echo.await;
    }));
}

#[test]
fn a_websocket_is_forwarded_into_itself() {
    run(async {
        let (mut client, server) = open_pair().await;
        let (sink, stream) = futures_util::StreamExt::split(server);
        let echo = futures_util::StreamExt::forward(stream, sink);
        let asks = async {
            for text in ["one", "two"] {
                client.send(text).await.unwrap();
                assert_eq!(client.next().await.unwrap().unwrap().as_text(), Some(text));
            }
            client.close(CloseCode::NORMAL, "").await.unwrap().clean
        };
        let (echo, clean) = future::zip(echo, asks).await;
        assert!(echo.is_ok() && clean);
    });
}

#[test]
fn forwarding_returns_the_error_of_an_unclean_close() {
    run(async {
        let (mut client, server) = open_pair().await;
        let (sink, stream) = futures_util::StreamExt::split(server);
        let echo = futures_util::StreamExt::forward(stream, sink);
        let (echo, _) = future::zip(echo, client.close(CloseCode::from(4000), "enough")).await;
        let error = echo.unwrap_err();
        let closed = error.closed().unwrap();
        assert_eq!((closed.code.get(), closed.reason.as_str()), (4000, "enough"));
        assert_eq!(format!("{error:?}"), closed.to_string());
    });
}

#[test]
fn a_sender_on_another_thread_wakes_the_owner_and_waits_for_room() {
    run(async {
        let (mut client, mut server) = open_pair().await;
        let sender = server.sender();
        let thread = std::thread::spawn(move || {
            block_on(async {
                for k in 0..1000_u32 {
                    sender.send(vec![k as u8; 10_000]).await.unwrap();
                    assert!(sender.queued() <= (1 << 20) + 20_000);
                }
                sender.close(CloseCode::NORMAL, "").unwrap();
            });
        });
        let reads = async {
            let mut got = 0_u32;
            while let Some(message) = client.next().await {
                assert_eq!(message.unwrap().as_bytes(), vec![got as u8; 10_000]);
                got += 1;
            }
            got
        };
        let owner = async {
            while let Some(message) = server.next().await {
                drop(message.unwrap())
            }
        };
        assert_eq!(future::zip(reads, owner).await.0, 1000);
        thread.join().unwrap();
    });
}

#[test]
fn pages_and_then_the_socket_share_one_connection() {
    run(async {
        let (client, server) = pair().await;
        let serve = async move {
            let mut http = HttpConnection::new(server, Arc::new(Config::server()));
            loop {
                match http.next().await.unwrap() {
                    Incoming::Request(request) => http.respond(request, upgrade_required()).await.unwrap(),
                    Incoming::Upgrade(upgrade) => {
                        assert_eq!(upgrade.path(), "/chat");
                        let mut ws = http.accept(upgrade).await.unwrap();
                        ws.send("hello").await.unwrap();
                        assert!(ws.next().await.is_none());
                        return ws.state();
                    }
                }
            }
        };
        let ask = async move {
            use futures_lite::{AsyncReadExt, AsyncWriteExt};
            let mut client = client;
            client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
            let mut head = [0; 12];
            client.read_exact(&mut head).await.unwrap();
            assert_eq!(&head, b"HTTP/1.1 426");
            let mut seen = Vec::new();
            while !seen.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                client.read_exact(&mut byte).await.unwrap();
                seen.push(byte[0]);
            }
            let length: usize = String::from_utf8_lossy(&seen)
                .to_lowercase()
                .split("content-length: ")
                .nth(1)
                .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
            client.read_exact(&mut vec![0; length]).await.unwrap();
            let _ = ClientRequest::new("ws://localhost/chat").unwrap();
            client
                .write_all(
                    b"GET /chat HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                )
                .await
                .unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"\x81\x05hello") {
                let mut byte = [0];
                client.read_exact(&mut byte).await.unwrap();
                seen.push(byte[0]);
            }
            // A masked Close with 1000.
            client.write_all(b"\x88\x82\0\0\0\0\x03\xe8").await.unwrap();
            let mut rest = Vec::new();
            client.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, b"\x88\x02\x03\xe8");
        };
        assert_eq!(future::zip(serve, ask).await.0, State::Closed);
    });
}

#[test]
fn an_end_without_a_close_is_an_error_once() -> Result<(), Error> {
    run(async {
        let (client, server) = pair().await;
        let mut server = WebSocket::upgraded(server, Arc::new(Config::server()), Role::Server);
        drop(client);
        let closed = server.next().await.unwrap().unwrap_err();
        assert_eq!(closed.code, CloseCode::ABNORMAL);
        assert!(server.next().await.is_none());
        assert!(server.send("x").await.is_err());
        Ok(())
    })
}
