//! Echoes every message; on the path `/broadcast`, each message goes to all connections on that path.
//!
//! `cargo run --release -p ws-server-smol --example async_echo -- 8700`, or `-- 8700 deflate` to compress, and with
//! `--features tls`, `-- 8700 --tls` for `wss://`, with a certificate that it makes for this run

#![allow(clippy::print_stdout)] // a program for the terminal

use async_executor::LocalExecutor;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use ws_server_smol::Message::{Binary, Text};
use ws_server_smol::{Deflate, Frame, HttpConnection, Server, ServerConfig, block_on};

fn main() -> Result<(), Box<dyn Error>> {
    let port = std::env::args().nth(1).map_or(Ok(8700), |port| port.parse())?;
    let mut config = ServerConfig::new()
        .message_limit(64 << 20)
        .outbox(64 << 10, 1 << 20, 80 << 20)
        .frame_rate(None)
        .max_connections(20_000);
    for word in std::env::args().skip(2) {
        match &*word {
            // Benchmarks flood it, and conformance suites test it, so no rate limit fits.
            "deflate" => config = config.deflate(Deflate::new().inflate_rate(None)),
            #[cfg(feature = "tls")]
            "--tls" => {
                use ws_server_smol::tls::{Identity, TlsServer};
                let [chain, key] = ws_kit::chat::certificate()?;
                config = config.tls(TlsServer::new(Identity::from_pem(chain, key)?)?);
            }
            _ => return Err(format!("unknown argument {word}").into()),
        }
    }

    let server = Server::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), config)?;
    println!("echo: {}", server.url("/").unwrap_or_default());
    let executor = LocalExecutor::new();
    block_on(executor.run(async {
        while let Some(http) = server.accept().await {
            let server = server.clone();
            // An error ends only its own task.
            executor.spawn(async move { drop(connection(&server, http).await) }).detach();
        }
    }));
    Ok(())
}

async fn connection(server: &Server, http: HttpConnection) -> Result<(), Box<dyn Error>> {
    let Some(mut ws) = http.upgrade().await else { return Ok(()) };
    let in_room = ws.path() == Some("/broadcast");
    if in_room {
        server.topics().subscribe(ws.id(), "room")?;
    }
    while let Some(message) = ws.next().await {
        match message? {
            message if !in_room => drop(ws.try_send(message)?),
            Text(text) => drop(server.topics().publish("room", &Frame::text(text))),
            Binary(data) => drop(server.topics().publish("room", &Frame::binary(data.into_owned()))),
        }
    }
    Ok(())
}
