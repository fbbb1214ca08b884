//! Echoes every message; on the path `/broadcast`, each message goes to everyone on that path.
//!
//! `cargo run --release -p ws-server-smol --example async_echo -- 8700`, or `-- 8700 deflate` to compress

#![allow(clippy::print_stdout)] // a program for the terminal

use async_executor::LocalExecutor;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use ws_server_smol::Message::{Binary, Text};
use ws_server_smol::ws_proto::handshake::upgrade_required;
use ws_server_smol::{Acceptor, Deflate, Frame, Incoming, Server, ServerConfig, Socket};

fn main() -> Result<(), Box<dyn Error>> {
    let port = std::env::args().nth(1).map_or(Ok(8700), |port| port.parse())?;
    let mut config =
        ServerConfig::new().message_limit(64 << 20).outbox(64 << 10, 1 << 20, 80 << 20).frame_rate(None);
    if std::env::args().nth(2).is_some_and(|word| word == "deflate") {
        // It is flooded by benchmarks and judged by suites, for which no rate is right.
        config = config.deflate(Deflate::new().inflate_rate(None));
    }
    let config = config.max_connections(20_000);

    let server = Server::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), config)?;
    println!("echo: {}", server.url("/").unwrap_or_default());
    let executor = LocalExecutor::new();
    async_io::block_on(executor.run(async {
        while let Some(http) = server.accept().await {
            let server = server.clone();
            // Who breaks off, or asks for more than it reads, ends its own task alone.
            executor.spawn(async move { drop(connection(&server, http).await) }).detach();
        }
    }));
    Ok(())
}

async fn connection(server: &Server, mut http: Acceptor<Socket>) -> Result<(), Box<dyn Error>> {
    while let Some(incoming) = http.next().await {
        let upgrade = match incoming {
            Incoming::Request(request) => {
                http.respond(request, upgrade_required()).await?;
                continue;
            }
            Incoming::Upgrade(upgrade) => upgrade,
        };
        let in_room = upgrade.path() == "/broadcast";
        let mut ws = http.accept(upgrade).await?;
        if in_room {
            server.subscribe(ws.id(), "room")?;
        }
        while let Some(message) = ws.next().await {
            match message? {
                message if !in_room => drop(ws.try_send(message)?),
                Text(text) => drop(server.publish("room", &Frame::text(text))),
                Binary(data) => drop(server.publish("room", &Frame::binary(data.into_owned()))),
            }
        }
        break;
    }
    Ok(())
}
