//! Servers that answer wrongly, endlessly, or byte by byte; and which random bytes a client reveals.

#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::pipe::{End, pipe};
use common::run;
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use ws_server_smol::handshake::{accept_key, is_valid_key};
use ws_server_smol::{Config, ResponseError};
use ws_server_smol::{ConnectError, handshake};

/// The head of the request.
async fn read_head(stream: &mut End) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

async fn handshake_error(stream: End, config: Config) -> Option<ConnectError> {
    handshake(stream, "ws://localhost/", Arc::new(config)).await.err()
}

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";

#[test]
fn nothing_follows_the_request_before_a_valid_response() {
    for answer in [
        &format!("{SWITCH}Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello"),
        &format!("{SWITCH}\r\nhello"),
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nhello",
        "HTTP/1.1 301 Moved Permanently\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    ] {
        run(async {
            let (client, mut server) = pipe(1000, 1);
            let serves = async {
                read_head(&mut server).await;
                server.write_all(answer.as_bytes()).await.unwrap();
                let mut after = Vec::new();
                server.read_to_end(&mut after).await.unwrap();
                after
            };
            let (failure, after) = future::zip(handshake_error(client, Config::client()), serves).await;
            assert!(
                matches!(
                    failure,
                    Some(ConnectError::Handshake(
                        ResponseError::AcceptInvalid(_) | ResponseError::Rejected(_)
                    ))
                ),
                "{failure:?}"
            );
            assert!(after.is_empty(), "{after:?}");
        });
    }
}

#[test]
fn an_endless_answer_ends_at_a_limit() {
    for (head, chunk) in [
        (SWITCH, "X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"),
        ("HTTP/1.1 ", "1"),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ("", "HTTP/1.1 100 Continue\r\n\r\n"),
    ] {
        run(async {
            let (client, mut server) = pipe(1000, 1);
            let serves = async {
                read_head(&mut server).await;
                let _ = server.write_all(head.as_bytes()).await;
                let mut said = 0;
                while server.write_all(chunk.as_bytes()).await.is_ok() {
                    said += chunk.len();
                }
                said
            };
            let (failure, said) = future::zip(handshake_error(client, Config::client()), serves).await;
            match failure {
                Some(ConnectError::Handshake(ResponseError::Rejected(response))) => {
                    assert!(response.body().len() <= 16 << 10);
                }
                Some(ConnectError::Handshake(ResponseError::HeadTooLarge | ResponseError::Malformed(_))) => {}
                other => panic!("{other:?}"),
            }
            assert!(said < 64 << 10, "it read {said} bytes");
        });
    }
}

/// Each byte shows activity, but is not an answer.
#[test]
fn a_dripping_answer_ends_at_the_deadline() {
    run(async {
        let (client, mut server) = pipe(1000, 1);
        let drips = async {
            read_head(&mut server).await;
            let mut sent = server.write_all(b"HTTP/1.1 10").await;
            while sent.is_ok() {
                async_io::Timer::after(Duration::from_millis(1)).await;
                sent = server.write_all(b"1").await;
            }
        };
        let config = Config::client().handshake_timeout(Duration::from_millis(30));
        let (failure, ()) = future::zip(handshake_error(client, config), drips).await;
        assert!(matches!(failure, Some(ConnectError::TimedOut { .. })), "{failure:?}");
    });
}

/// Both come from the system, fresh for each connection (RFC 6455 §10.3).
#[test]
fn no_two_clients_share_a_key_or_a_mask() {
    let (mut keys, mut masks) = (HashSet::new(), HashSet::new());
    for _ in 0..100 {
        run(async {
            let (client, mut server) = pipe(1000, 1);
            let config = Arc::new(Config::client());
            let sending = async {
                let mut ws = handshake(client, "ws://localhost/", config).await.unwrap();
                ws.send("hello").await.unwrap();
            };
            let receiving = async {
                let head = read_head(&mut server).await;
                let key = head.split("Sec-WebSocket-Key: ").nth(1).unwrap().split("\r\n").next().unwrap();
                assert!(is_valid_key(key), "{key}");
                let answer = format!("{SWITCH}Sec-WebSocket-Accept: {}\r\n\r\n", accept_key(key));
                server.write_all(answer.as_bytes()).await.unwrap();
                let mut frame = [0; 11];
                server.read_exact(&mut frame).await.unwrap();
                assert_eq!(frame[..2], [0x81, 0x85]);
                (key.to_owned(), frame[2..6].to_vec())
            };
            let ((), (key, mask)) = future::zip(sending, receiving).await;
            assert!(keys.insert(key) && masks.insert(mask));
        });
    }
}
