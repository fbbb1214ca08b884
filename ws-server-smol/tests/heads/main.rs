//! Heads on the wire: dates, spelling, keys, and requests behind a rejected upgrade.

#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

#[path = "../common/mod.rs"]
mod common;
mod dates;
mod upgrades;
use bytes::Bytes;
use common::peer::*;
use common::{listener, run};
use futures_lite::{FutureExt, future};
use std::net::SocketAddr;
use std::time::Duration;
use ws_server_smol::ClientRequest;
use ws_server_smol::Reconnect;
use ws_server_smol::handshake::accept_key;
use ws_server_smol::web::sse;
use ws_server_smol::{
    Bind, Client, ClientConfig, ClientEvent, Config, HttpConnection, Incoming, Server, ServerConfig, Socket,
    connect,
};

const HOUR: Duration = Duration::from_secs(3600);

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn ok(body: &'static str) -> http::Response<Bytes> {
    http::Response::new(Bytes::from_static(body.as_bytes()))
}

/// A peer that has sent a request.
fn sent(server: &Server, request: impl FnOnce(SocketAddr) -> Vec<u8>) -> Peer {
    let address = server.local_addr().unwrap();
    let mut peer = Peer::connect(address);
    peer.send(&request(address));
    peer
}

/// Greets every request.
async fn hello(mut http: HttpConnection<Socket>) {
    while let Some(incoming) = http.next().await {
        match incoming {
            Incoming::Request(request) => http.respond(request, ok("hello")).await.unwrap(),
            Incoming::Upgrade(upgrade) => return drop(http.accept(upgrade).await),
        }
    }
}

/// Runs a script beside a server.
async fn beside<T>(
    server: &Server,
    handler: impl AsyncFn(HttpConnection<Socket>),
    script: impl Future<Output = T>,
) -> T {
    let serving = async {
        server.serve(handler).await;
        future::pending().await
    };
    serving.or(script).await
}

#[test]
fn header_names_are_spelled_as_in_rfc_6455() {
    let server = Server::bind(Bind::localhost(), ServerConfig::new()).unwrap();
    let accept = async |mut http: HttpConnection<Socket>| {
        let Some(Incoming::Upgrade(mut upgrade)) = http.next().await else { panic!("no upgrade") };
        upgrade.select_subprotocol("chat").unwrap();
        upgrade.set_header("set-cookie", "a=b").unwrap();
        http.accept(upgrade).await.unwrap();
    };
    let ask = |address| with_fields(handshake(address, "/"), "Sec-WebSocket-Protocol: chat\r\n");
    let head = run(beside(&server, accept, async { sent(&server, ask).head().await }));
    assert_eq!(
        head,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\
         Set-Cookie: a=b\r\n\r\n"
    );
}

#[test]
fn a_client_uses_that_spelling_too() {
    run(async {
        let (listener, address) = listener();
        let request = ClientRequest::new(&format!("ws://{address}/")).unwrap();
        let request = request.origin("http://a.example").unwrap().subprotocol("chat").unwrap();
        let request = request.header("x-request-id", "7").unwrap();
        let asking = async {
            let _ = connect(request, ClientConfig::new()).await;
            future::pending().await
        };
        let reading = async {
            let stream = listener.accept().await.unwrap().0.into_inner().unwrap();
            Peer::new(stream).head().await
        };
        let head = asking.or(reading).await;
        for name in [
            "Host",
            "Upgrade",
            "Connection",
            "Sec-WebSocket-Key",
            "Sec-WebSocket-Version",
            "Sec-WebSocket-Protocol",
            "Origin",
            "X-Request-ID",
        ] {
            assert_eq!(head.matches(&format!("\r\n{name}: ")).count(), 1, "{name}: {head}");
        }
        assert_eq!(field(&head, "Connection"), Some("Upgrade"));
    });
}

#[test]
fn any_key_of_16_bytes_in_24_characters_is_answered_as_sent() {
    let server = Server::bind(Bind::localhost(), ServerConfig::new()).unwrap();
    run(beside(&server, hello, async {
        let answer = async |key: &str| {
            let ask = |address| {
                let request = String::from_utf8(handshake(address, "/")).unwrap();
                request.replace("dGhlIHNhbXBsZSBub25jZQ==", key).into_bytes()
            };
            sent(&server, ask).head().await
        };
        for key in ["AQIDBAUGBwgJCgsMDQ4PEC==", "AQIDBAUGBwgJCgsMDQ4PEA==", "AQIDBAUGBwgJCgsMDQ4P//=="] {
            for sent in [key.to_owned(), format!("\t {key} \t")] {
                let head = answer(&sent).await;
                assert!(head.starts_with("HTTP/1.1 101 "), "{key}: {head}");
                assert_eq!(field(&head, "Sec-WebSocket-Accept"), Some(&*accept_key(key)));
            }
        }
        for key in [
            "AQIDBAUGBwgJCgsMDQ4PEC=",
            "AQIDBAUGBwgJCgsMDQ4PEC",
            "AQIDBAUGBwgJCgsMDQ4PECA=",
            "AQIDBAUGBwgJCgsMDQ4PECAA",
            "AQIDBAUGBwgJCgsMDQ4P-_==",
            "AQIDBAUGBwgJ CgsMDQ4PE==",
            "AQIDBAUGBwgJCgsMDQ4PEC= =",
        ] {
            assert!(answer(key).await.starts_with("HTTP/1.1 400 "), "{key}");
        }
    }));
}

#[test]
fn a_client_retries_at_the_retry_after_date_relative_to_the_answers_date() {
    for (status, fields, least) in [
        (503, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:51:37 GMT\r\n", 120),
        (429, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sunday, 06-Nov-94 08:50:37 GMT\r\n", 60),
        (503, "Date: Sun Nov  6 08:49:37 1994\r\nRetry-After: Tue, 06 Nov 2029 08:49:37 GMT\r\n", 3600),
        (503, "Retry-After: 90\r\n", 90),
        // Ordinary back-off: nothing to count from, or nothing left of it.
        (503, "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n", 0),
        (503, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 0),
        (503, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 0),
    ] {
        run(async {
            let (listener, address) = listener();
            let config = ClientConfig::default().reconnect(Reconnect::default());
            let mut client = Client::new(format!("ws://{address}/"), config).unwrap();
            let waiting = async {
                loop {
                    if let Some(ClientEvent::Reconnecting { delay, .. }) = client.next_event().await {
                        break delay;
                    }
                }
            };
            let answering = async {
                let mut peer = Peer::new(listener.accept().await.unwrap().0.into_inner().unwrap());
                peer.head().await;
                peer.send(format!("HTTP/1.1 {status} No\r\n{fields}Content-Length: 0\r\n\r\n").as_bytes());
                peer
            };
            let (delay, _peer) = future::zip(waiting, answering).await;
            let least = Duration::from_secs(least);
            assert!(delay >= least, "{fields}: {delay:?}");
            assert!(delay <= least.max(Duration::from_millis(500)), "{fields}: {delay:?}");
        });
    }
}

#[test]
fn an_event_stream_disables_proxy_buffering() {
    let server = Server::bind(Bind::localhost(), ServerConfig::new()).unwrap();
    let stream = async |mut http: HttpConnection<Socket>| {
        let Some(Incoming::Request(request)) = http.next().await else { panic!("no request") };
        let _body = http.respond_streaming(request, sse::head(), None).unwrap();
        http.next().await;
    };
    let asking = async { sent(&server, |address| get(address, "/events")).head().await };
    let head = run(beside(&server, stream, asking));
    assert_eq!(field(&head, "X-Accel-Buffering"), Some("no"), "{head}");
    assert_eq!(field(&head, "Content-Type"), Some("text/event-stream"), "{head}");
}
