//! Streaming request bodies: read as they arrive, or not at all.

#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::peer::*;
use common::run;
use futures_lite::{AsyncReadExt, StreamExt, future};
use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::time::Duration;
use ws_server_smol::{
    Bind, Bytes, Error, HttpConnection, Incoming, Request, Server, ServerConfig, http::Response,
};

fn server() -> Server {
    Server::bind(Bind::localhost(), ServerConfig::new().stream_bodies("/files/", 1 << 40)).unwrap()
}

fn put(length: u64, fields: &str) -> Vec<u8> {
    format!("PUT /files/film HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {length}\r\n\r\n").into()
}

async fn request(http: &mut HttpConnection) -> Request {
    match http.next().await {
        Some(Incoming::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn ok(text: &'static str) -> Response<Bytes> {
    Response::new(Bytes::from_static(text.as_bytes()))
}

/// The server's side of one connection, and its peer's.
fn with<T>(serve: impl AsyncFn(&mut HttpConnection, Request) -> T, script: impl AsyncFn(&mut Peer)) -> T {
    let server = server();
    let result = RefCell::new(None);
    run(async {
        let serving = async {
            let mut http = server.accept().await.unwrap();
            let request = request(&mut http).await;
            let value = serve(&mut http, request).await;
            while http.next().await.is_some() {}
            *result.borrow_mut() = Some(value);
        };
        let asking = async {
            let mut peer = Peer::connect(server.local_addr().unwrap());
            script(&mut peer).await;
        };
        future::zip(serving, asking).await;
    });
    result.into_inner().unwrap()
}

#[test]
fn a_body_is_a_stream_of_chunks_and_the_connection_continues() {
    let body: Vec<u8> = (0..3_000_000).map(|k| (k % 251) as u8).collect();
    let received = with(
        async |http, first| {
            assert_eq!(first.body_len(), Some(3_000_000));
            let mut received = Vec::new();
            let mut reader = http.body(&first);
            while let Some(chunk) = StreamExt::next(&mut reader).await {
                let chunk = chunk.unwrap();
                assert!(!chunk.is_empty() && chunk.len() <= 64 << 10, "{}", chunk.len());
                received.extend_from_slice(&chunk);
            }
            assert!(reader.next().await.is_none());
            assert!(http.body(&first).next().await.is_none(), "it stays at its end");
            http.respond(first, ok("stored")).await.unwrap();
            let second = request(http).await;
            http.respond(second, ok("next")).await.unwrap();
            received
        },
        async |peer| {
            peer.send(&put(3_000_000, ""));
            peer.send(&body);
            assert_eq!(peer.response().await, (200, "stored".to_owned()));
            peer.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            assert_eq!(peer.response().await, (200, "next".to_owned()));
            peer.end().await;
        },
    );
    assert!(received == body);
}

#[test]
fn a_body_is_an_async_read_for_any_buffer() {
    let text = with(
        async |http, request| {
            let mut text = String::new();
            // A new reader each time loses nothing.
            let mut buffer = [0; 3];
            assert_eq!(http.body(&request).read(&mut []).await.unwrap(), 0);
            while let n @ 1.. = http.body(&request).read(&mut buffer).await.unwrap() {
                text.push_str(str::from_utf8(&buffer[..n]).unwrap());
            }
            http.respond(request, ok("stored")).await.unwrap();
            text
        },
        async |peer| {
            let head = "PUT /files/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
            peer.send(
                format!("{head}Transfer-Encoding: chunked\r\n\r\n6\r\nhello,\r\n6\r\n world\r\n0\r\n\r\n")
                    .as_bytes(),
            );
            assert_eq!(peer.response().await, (200, "stored".to_owned()));
        },
    );
    assert_eq!(text, "hello, world");
}

#[test]
fn a_body_that_was_collected_is_read_in_the_same_way() {
    let text = with(
        async |http, request| {
            assert!(!request.is_streaming());
            let mut text = String::new();
            // A new reader each time begins nothing again.
            let mut buffer = [0; 3];
            while let n @ 1.. = http.body(&request).read(&mut buffer).await.unwrap() {
                text.push_str(str::from_utf8(&buffer[..n]).unwrap());
            }
            assert!(http.body(&request).next().await.is_none());
            assert_eq!(request.body(), "hello");
            http.respond(request, ok("stored")).await.unwrap();
            text
        },
        async |peer| {
            peer.send(
                b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
            );
            assert_eq!(peer.response().await, (200, "stored".to_owned()));
        },
    );
    assert_eq!(text, "hello");
}

#[test]
fn continue_is_sent_when_the_body_is_first_polled() {
    with(
        async |http, request| {
            assert_eq!(http.body(&request).next().await.unwrap().unwrap(), "hello");
            assert!(http.body(&request).next().await.is_none());
            http.respond(request, ok("stored")).await.unwrap();
        },
        async |peer| {
            peer.send(&put(5, "Connection: close\r\nExpect: 100-continue\r\n"));
            assert_eq!(peer.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
            peer.send(b"hello");
            assert_eq!(peer.response().await, (200, "stored".to_owned()));
        },
    );
}

#[test]
fn an_answer_without_reading_rejects_the_body() {
    for expect in ["", "Expect: 100-continue\r\n"] {
        with(
            async |http, request| http.respond(request, ok("no")).await.unwrap(),
            async |peer| {
                peer.send(&put(1 << 39, expect));
                if expect.is_empty() {
                    peer.send(&vec![7; 5_000_000]);
                }
                let head = peer.head().await;
                assert!(head.starts_with("HTTP/1.1 200") && head.contains("Connection: close"), "{head}");
                peer.end().await;
                assert_eq!((peer.ended, &peer.got[..]), (Some(Ok(())), &b"no"[..]));
            },
        );
    }
}

#[test]
fn nothing_is_read_unless_the_body_is_polled() {
    let may_read = Cell::new(false);
    with(
        async |http, request| {
            until(|| may_read.get()).await;
            let mut len = 0;
            while let Some(chunk) = http.body(&request).next().await {
                len += chunk.unwrap().len();
            }
            assert_eq!(len, 100_000_000);
            http.respond(request, ok("stored")).await.unwrap();
        },
        async |peer| {
            peer.send(&put(100_000_000, "Connection: close\r\n"));
            peer.send(&vec![7; 100_000_000]);
            for _ in 0..100 {
                future::yield_now().await;
                peer.flush();
            }
            assert!(peer.unsent.len() > 50_000_000, "the kernel holds little: {}", peer.unsent.len());
            may_read.set(true);
            assert_eq!(peer.response().await, (200, "stored".to_owned()));
        },
    );
}

#[test]
fn a_cut_body_is_an_error_and_the_connection_is_over() {
    for by_read in [false, true] {
        with(
            async |http, request| {
                let mut reader = http.body(&request);
                let mut text = String::new();
                if by_read {
                    let error = reader.read_to_string(&mut text).await.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
                    assert!(reader.read(&mut [0; 9]).await.is_err(), "it is no end of a file");
                } else {
                    assert_eq!(reader.next().await.unwrap().unwrap(), "hello");
                    let error = reader.next().await.unwrap().unwrap_err();
                    assert!(matches!(error, Error::RequestCutOff), "{error}");
                    assert!(reader.next().await.is_none());
                }
                assert!(
                    matches!(http.body(&request).next().await, Some(Err(Error::RequestCutOff))),
                    "told again"
                );
                assert!(http.respond(request, ok("late")).await.is_err());
                assert!(http.next().await.is_none());
                assert!(matches!(http.closed().unwrap().error, Some(Error::RequestCutOff)));
            },
            async |peer| {
                peer.send(&put(10, ""));
                peer.send(b"hello");
                peer.stream.shutdown(std::net::Shutdown::Write).unwrap();
                peer.end().await;
            },
        );
    }
}

#[test]
fn the_next_request_discards_an_unread_body() {
    with(
        async |http, first| {
            let second = request(http).await;
            let skipped = http.body(&first).next().await;
            assert!(matches!(skipped, Some(Err(Error::Aborted))), "{skipped:?}");
            http.respond(first, ok("one")).await.unwrap();
            http.respond(second, ok("two")).await.unwrap();
        },
        async |peer| {
            peer.send(&put(5, ""));
            peer.send(b"helloGET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            assert_eq!(peer.response().await, (200, "one".to_owned()));
            assert_eq!(peer.response().await, (200, "two".to_owned()));
        },
    );
}

#[test]
fn a_stop_waits_for_an_upload_until_its_deadline() {
    for is_cut in [false, true] {
        let server = server();
        let has_begun = Cell::new(false);
        run(async {
            let serving = server.serve(async |mut http| {
                let first = request(&mut http).await;
                let mut reader = http.body(&first);
                assert_eq!(reader.next().await.unwrap().unwrap(), "hello");
                has_begun.set(true);
                match reader.next().await {
                    Some(Err(error)) => assert!(is_cut && matches!(error, Error::Stopped), "{error}"),
                    Some(Ok(chunk)) => {
                        assert_eq!(chunk, "world");
                        assert!(!is_cut && reader.next().await.is_none());
                        http.respond(first, ok("stored")).await.unwrap();
                        assert!(http.next().await.is_none());
                    }
                    None => panic!("it is not whole"),
                }
            });
            let script = async {
                let mut peer = Peer::connect(server.local_addr().unwrap());
                peer.send(&put(10, ""));
                peer.send(b"hello");
                until(|| has_begun.get()).await;
                let time = if is_cut { Duration::from_millis(20) } else { Duration::from_secs(50) };
                let rest = async {
                    if is_cut {
                        return peer.end().await;
                    }
                    until(|| !server.is_running()).await;
                    peer.send(b"world");
                    let head = peer.head().await;
                    assert!(head.contains("200 OK") && head.contains("Connection: close"), "{head}");
                    // The server half-closes first.
                    peer.end().await;
                    drop(peer);
                };
                future::zip(server.stop(time), rest).await;
            };
            future::zip(serving, script).await;
        });
    }
}
