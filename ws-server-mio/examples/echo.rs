//! Echoes every message; on the path `/broadcast`, each message goes to everyone on that path.
//!
//! `cargo run --release -p ws-server-mio --example echo -- 8700`, or `-- 8700 deflate` to compress

#![allow(clippy::print_stdout)] // a program for the terminal

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use ws_server_mio::Message::{Binary, Text};
use ws_server_mio::ws_proto::Event::{Closed, Message, Request, Upgrade};
use ws_server_mio::ws_proto::handshake::upgrade_required;
use ws_server_mio::{Deflate, Endpoint, Event, Frame, Options, ServerConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).map_or(Ok(8700), |port| port.parse())?;
    let mut config =
        ServerConfig::new().message_limit(64 << 20).outbox(64 << 10, 1 << 20, 80 << 20).frame_rate(None);
    if std::env::args().nth(2).is_some_and(|word| word == "deflate") {
        // It is flooded by benchmarks and judged by suites, for which no rate is right.
        config = config.deflate(Deflate::new().inflate_rate(None));
    }
    let config = config.max_connections(20_000);

    let mut endpoint = Endpoint::new(Options::default())?;
    let server = endpoint.connections().listen(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), config)?;
    println!("echo: {}", endpoint.connections().server(server).url("/").unwrap_or_default());
    let mut room = BTreeSet::new();
    endpoint.run(|connections, event| {
        let Event::Connection(id, event) = event else { return };
        match event {
            Request(request) => drop(connections.respond(id, request, upgrade_required())),
            Upgrade(upgrade) => {
                if upgrade.path() == "/broadcast" {
                    room.insert(id);
                }
                let _ = connections.accept(id, upgrade);
            }
            Message(message) if room.contains(&id) => {
                let frame = match message {
                    Text(text) => Frame::text(text),
                    Binary(data) => Frame::binary(data.into_owned()),
                };
                connections.topics().send_to(&frame, room.iter().copied());
            }
            Message(message) => {
                if let Err(_full) = connections.send_message(id, message) {
                    connections.terminate(id); // it asks for more than it reads
                }
            }
            Closed(_) => drop(room.remove(&id)),
            _ => {}
        }
    })?;
    Ok(())
}
