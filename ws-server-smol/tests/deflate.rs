//! Compression between a server and its clients.
#![cfg(feature = "deflate")]
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::{ask, run, text};
use futures_lite::future;
use std::time::Duration;
use ws_server_smol::{
    Bind, ClientConfig, Deflate, Frame, HttpConnection, Incoming, Server, ServerConfig, Socket, WebSocket,
    connect,
};

/// It shrinks to a hundredth.
fn document() -> String {
    "{\"some\": \"json\", \"of\": \"many lines\"}\n".repeat(1000)
}

/// Echoes until the close. Messages are compressed when they go to the wire.
async fn echo(mut http: HttpConnection<Socket>) {
    let Some(Incoming::Upgrade(upgrade)) = http.next().await else { panic!("no upgrade") };
    let mut ws = http.accept(upgrade).await.unwrap();
    while let Some(Ok(message)) = ws.next().await {
        let len = message.as_bytes().len();
        ws.try_send(message).unwrap();
        assert_eq!(ws.queued() < len / 50, ws.compression().is_some(), "{} of {len} bytes", ws.queued());
    }
}

fn with_echo(deflate: Deflate, script: impl AsyncFn(&Server)) {
    let server = Server::bind(Bind::localhost(), ServerConfig::new().deflate(deflate)).unwrap();
    run(async {
        let scripted = async {
            script(&server).await;
            server.stop(Duration::ZERO).await;
        };
        future::zip(server.serve(echo), scripted).await;
    });
}

async fn client(server: &Server, config: ClientConfig) -> WebSocket<Socket> {
    connect(server.url("/").unwrap(), config).await.unwrap()
}

#[test]
fn both_ends_know_what_was_negotiated() {
    with_echo(Deflate::new().context_takeover(false).window_bits(12), async |server| {
        let ws = client(server, ClientConfig::new().deflate(Deflate::new())).await;
        let terms = ws.compression().unwrap();
        assert_eq!((terms.theirs.context_takeover, terms.theirs.window_bits), (false, 12));
        assert_eq!((terms.ours.context_takeover, terms.ours.window_bits), (true, 15));
    });
}

#[test]
fn compressed_messages_arrive_unchanged() {
    with_echo(Deflate::new(), async |server| {
        let mut ws = client(server, ClientConfig::new().deflate(Deflate::new())).await;
        for _ in 0..3 {
            assert_eq!(ask(&mut ws, &document()).await, document());
        }
    });
}

#[test]
fn a_broadcast_reaches_peers_with_and_without_compression() {
    with_echo(Deflate::new(), async |server| {
        let mut clients = Vec::new();
        for config in [
            ClientConfig::new().deflate(Deflate::new()),
            ClientConfig::new().deflate(Deflate::chat()),
            ClientConfig::new(),
        ] {
            let mut ws = client(server, config).await;
            // Something that a context remembers.
            assert_eq!(ask(&mut ws, &document()).await, document());
            clients.push(ws);
        }
        let document = document().replace("json", "xml");
        assert_eq!(server.broadcast(&Frame::text(document.as_str())), 3);
        for ws in &mut clients {
            assert_eq!(text(ws).await, document);
            assert_eq!(ask(ws, &document).await, document);
        }
    });
}

#[test]
fn a_client_that_does_not_offer_it_stays_uncompressed() {
    with_echo(Deflate::new(), async |server| {
        let mut ws = client(server, ClientConfig::new()).await;
        assert_eq!(ws.compression(), None);
        assert_eq!(ask(&mut ws, &document()).await, document());
    });
}
