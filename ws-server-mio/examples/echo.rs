//! Echoes every message; on the path `/broadcast`, each message goes to all connections on that path.
//!
//! `cargo run --release -p ws-server-mio --example echo -- 8700`, or `-- 8700 deflate` to compress, and with
//! `--features tls`, `-- 8700 --tls` for `wss://`, with a certificate that it makes for this run

#![allow(clippy::print_stdout)] // a program for the terminal

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use ws_server_mio::Message::{Binary, Text};
use ws_server_mio::{Deflate, Endpoint, Event, Frame, ServerConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).map_or(Ok(8700), |port| port.parse())?;
    let mut config = ServerConfig::new()
        .max_connections(20_000)
        .message_limit(64 << 20)
        .outbox(64 << 10, 1 << 20, 80 << 20)
        .frame_rate(None);
    for word in std::env::args().skip(2) {
        match &*word {
            // Benchmarks flood it, and conformance suites test it, so no rate limit fits.
            "deflate" => config = config.deflate(Deflate::new().inflate_rate(None)),
            #[cfg(feature = "tls")]
            "--tls" => {
                use ws_server_mio::tls::{Identity, TlsServer};
                let [chain, key] = ws_kit::chat::certificate()?;
                config = config.tls(TlsServer::new(Identity::from_pem(chain, key)?)?);
            }
            _ => return Err(format!("unknown argument {word}").into()),
        }
    }

    let mut endpoint = Endpoint::new()?;
    let server = endpoint.connections().listen(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), config)?;
    println!("echo: {}", endpoint.connections().server(server).url("/").unwrap_or_default());
    let mut room = BTreeSet::new();
    endpoint.run(|connections, event| match event {
        Event::Open(id, _) if connections.path(id) == Some("/broadcast") => drop(room.insert(id)),
        Event::Message(id, message) if room.contains(&id) => {
            let frame = match message {
                Text(text) => Frame::text(text),
                Binary(data) => Frame::binary(data.into_owned()),
            };
            connections.topics().send_to(&frame, room.iter().copied());
        }
        Event::Message(id, message) => {
            if let Err(_full) = connections.send(id, message) {
                connections.terminate(id); // it sends more than it reads
            }
        }
        Event::Closed(id, _) => drop(room.remove(&id)),
        _ => {}
    })?;
    Ok(())
}
