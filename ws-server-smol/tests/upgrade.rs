//! `upgrade` and `upgrade_or`: a WebSocket, and the answers to plain requests before it.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;

use common::run;
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use ws_server_smol::{
    Bind, HttpConnection, Request, Server, ServerConfig, Socket, WebSocketError, connect, web,
};

type Error = Box<dyn std::error::Error>;

/// A server, and what its clients do.
fn serve<T>(handler: impl AsyncFn(HttpConnection) -> T, clients: impl AsyncFn(&Server)) {
    let server = Server::bind(Bind::localhost(), ServerConfig::default()).unwrap();
    run(async {
        let requesting = async {
            clients(&server).await;
            server.stop(Duration::from_secs(5)).await;
        };
        future::zip(server.serve(handler), requesting).await;
    });
}

async fn echo(http: HttpConnection) -> Result<(), WebSocketError> {
    let Some(mut ws) = http.upgrade().await else { return Ok(()) };
    while let Some(message) = ws.next().await {
        ws.send(message?).await?;
    }
    Ok(())
}

/// The answer to these bytes, to the end of the connection.
async fn raw(server: &Server, bytes: &str) -> String {
    let stream = async_io::Async::<std::net::TcpStream>::connect(server.local_addr().unwrap()).await.unwrap();
    let mut socket = Socket::from(stream);
    socket.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    match socket.read_to_end(&mut answer).await {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_websocket_opens_and_plain_requests_before_it_get_426() {
    serve(echo, async |server| {
        let get = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let answer = raw(server, get).await;
        assert_eq!(answer.matches("HTTP/1.1 426 ").count(), 2, "{answer}");
        let config = ws_server_smol::ClientConfig::default();
        let mut ws = connect(server.url("/any").unwrap().as_str(), config).await.unwrap();
        ws.send("hello").await.unwrap();
        assert_eq!(ws.next().await.unwrap().unwrap().as_text(), Some("hello"));
    });
}

#[test]
fn a_page_and_then_the_socket_share_one_connection() {
    let page_and_echo = async |http: HttpConnection| -> Result<(), Error> {
        let mut request_count = 0;
        let page = async |request: &Request| {
            request_count += 1;
            match request.path() {
                "/" => web::html("<h1>hello</h1>"),
                _ => web::not_found(),
            }
        };
        let Some(mut ws) = http.upgrade_or(page).await else { return Ok(()) };
        for _ in 0..3 {
            ws.send(request_count.to_string()).await?;
        }
        Ok(())
    };
    serve(page_and_echo, async |server| {
        let requests = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET /x HTTP/1.1\r\nHost: localhost\r\n\r\nGET /ws \
            HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let answer = raw(server, requests).await;
        let statuses: Vec<_> = answer.split("HTTP/1.1 ").skip(1).map(|part| &part[..3]).collect();
        assert_eq!(statuses, ["200", "404", "101"]);
        assert_eq!(answer.matches("\u{fffd}\u{1}2").count(), 3, "two were requested before");
    });
}

#[test]
fn a_peer_that_leaves_without_an_upgrade_is_none_and_affects_no_other() {
    let ended = std::cell::Cell::new(0);
    let handler = async |http: HttpConnection| {
        assert!(http.peer_addr().is_some_and(|peer| peer.ip().is_loopback()));
        if http.upgrade().await.is_none() {
            ended.set(ended.get() + 1);
        }
    };
    serve(handler, async |server| {
        let answer = raw(server, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    });
    assert_eq!(ended.get(), 1);
}

#[test]
fn id_and_addresses_are_the_same_in_both_phases() {
    let handler = async |http: HttpConnection| {
        let (id, peer, local) = (http.id(), http.peer_addr(), http.local_addr());
        let mut ws = http.upgrade().await.unwrap();
        assert_eq!(ws.path(), Some("/"));
        assert_eq!((ws.id(), ws.peer_addr(), ws.local_addr()), (id, peer, local));
        let sender = ws.sender();
        assert_eq!((sender.id(), sender.peer_addr(), sender.local_addr()), (id, peer, local));
        ws.send(format!("{} {}", peer.unwrap(), local.unwrap())).await.unwrap();
        assert!(ws.next().await.is_none());
        assert_eq!((ws.peer_addr(), ws.local_addr()), (peer, None), "the socket is gone");
    };
    serve(handler, async |server| {
        let config = ws_server_smol::ClientConfig::default();
        let mut ws = connect(server.url("/").unwrap().as_str(), config).await.unwrap();
        let theirs = format!("{} {}", ws.local_addr().unwrap(), ws.peer_addr().unwrap());
        assert_eq!(ws.next().await.unwrap().unwrap().as_text(), Some(&*theirs));
        ws.close(ws_server_smol::CloseCode::NORMAL, "").await.unwrap();
    });
}

#[test]
fn a_websocket_knows_the_path_at_which_it_was_accepted() {
    let long = format!("/{}", "x".repeat(256));
    let handler = async |http: HttpConnection| {
        let mut ws = http.upgrade().await.unwrap();
        let path = ws.path().unwrap_or("none").to_owned();
        ws.send(path).await.unwrap();
    };
    serve(handler, async |server| {
        for (path, expected) in
            [("/", "/"), ("/a/b?c=d", "/a/b"), (&long[..256], &long[..256]), (&long, "none")]
        {
            let mut ws =
                connect(server.url(path).unwrap(), ws_server_smol::ClientConfig::new()).await.unwrap();
            assert_eq!(ws.path(), None);
            assert_eq!(ws.next().await.unwrap().unwrap().as_text(), Some(expected));
        }
    });
}

#[test]
fn only_named_paths_have_a_websocket() {
    let config = ServerConfig::new().upgrade_paths(["/ws"]).subprotocols(["chat.v2", "chat.v1"]);
    let server = Server::bind(Bind::localhost(), config).unwrap();
    let upgrade = |path: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: chat.v1, chat.v2\r\n\r\n"
        )
    };
    let status = |answer: &str| answer.get(9..12).unwrap().to_owned();
    run(async {
        let requesting = async {
            for (path, expected) in [("/", "404"), ("/ws", "426"), ("/other", "404")] {
                let get = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
                assert_eq!(status(&raw(&server, &get).await), expected, "{path}");
            }
            for (path, expected) in [("/", "404"), ("/ws?a=1", "101"), ("/ws/", "404")] {
                let answer = raw(&server, &upgrade(path)).await;
                assert_eq!(status(&answer), expected, "{path}");
                assert_eq!(answer.contains("chat.v2"), expected == "101", "{answer}");
            }
            server.stop(Duration::from_secs(5)).await;
        };
        future::zip(server.serve(async |http| drop(http.upgrade().await)), requesting).await;
    });
}

#[test]
fn the_answers_of_an_owning_closure_are_send() {
    fn spawnable<F: Future + Send + 'static>(_: &impl Fn(HttpConnection) -> F) {}
    let request_count = Arc::new(AtomicUsize::new(0));
    spawnable(&move |http: HttpConnection| {
        let request_count = request_count.clone();
        http.upgrade_or(async move |request: &Request| {
            request_count.fetch_add(request.path().len(), Relaxed);
            web::not_found()
        })
    });
}
