//! An echo with given terms: `deflate_server PORT ADAPTER TERMS`. On the path `/room`, a message that begins with
//! `*` goes to all members, and any other is echoed.

#![allow(clippy::print_stdout)] // the address is for the caller

use async_executor::LocalExecutor;
use deflate_peers::{Failure, Side, argument, deflate};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use ws_server_mio::handshake::upgrade_required;
use ws_server_mio::{Endpoint, Event, Frame, ServerConfig};
use ws_server_smol::{HttpConnection, Incoming, Server, Socket};

const USAGE: &str = "usage: deflate_server PORT mio|smol TERMS";
const ROOM: &str = "/room";

fn main() -> Result<(), Failure> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, argument(1, USAGE)?.parse()?));
    let terms = argument(3, USAGE)?;
    let config = ServerConfig::new().outbox(64 << 10, 1 << 20, 80 << 20).frame_rate(None);
    let config = config.deflate(deflate(Side::Server, &terms)?);
    match argument(2, USAGE)?.as_str() {
        "mio" => mio(address, config),
        "smol" => smol(address, config),
        _ => Err(USAGE.into()),
    }
}

/// The frame for all members, if this message is one.
fn for_all(message: &ws_server_mio::Message<'_>) -> Option<Frame> {
    message.as_bytes().starts_with(b"*").then(|| match message {
        ws_server_mio::Message::Text(text) => Frame::text(text.clone().into_owned()),
        ws_server_mio::Message::Binary(data) => Frame::binary(data.to_vec()),
    })
}

fn mio(address: SocketAddr, config: ServerConfig) -> Result<(), Failure> {
    let mut endpoint = Endpoint::new()?;
    let server = endpoint.connections().listen(address, config)?;
    println!("{}", endpoint.connections().server(server).url("/").unwrap_or_default());
    let mut room = BTreeSet::new();
    endpoint.run(|connections, event| match event {
        Event::Open(id, _) if connections.path(id) == Some(ROOM) => drop(room.insert(id)),
        Event::Message(id, message) => {
            let frame = if room.contains(&id) { for_all(&message) } else { None };
            if let Some(frame) = frame {
                connections.topics().send_to(&frame, room.iter().copied());
            } else if connections.send(id, message).is_err() {
                connections.terminate(id);
            }
        }
        Event::Closed(id, _) => drop(room.remove(&id)),
        _ => {}
    })?;
    Ok(())
}

fn smol(address: SocketAddr, config: ServerConfig) -> Result<(), Failure> {
    let server = Server::bind(address, config)?;
    println!("{}", server.url("/").unwrap_or_default());
    let executor = LocalExecutor::new();
    async_io::block_on(executor.run(async {
        while let Some(http) = server.accept().await {
            let server = server.clone();
            executor.spawn(async move { drop(connection(&server, http).await) }).detach();
        }
    }));
    Ok(())
}

async fn connection(server: &Server, mut http: HttpConnection<Socket>) -> Result<(), Failure> {
    while let Some(incoming) = http.next().await {
        let upgrade = match incoming {
            Incoming::Request(request) => {
                http.respond(request, upgrade_required()).await?;
                continue;
            }
            Incoming::Upgrade(upgrade) => upgrade,
        };
        let in_room = upgrade.path() == ROOM;
        let mut ws = http.accept(upgrade).await?;
        if in_room {
            server.topics().subscribe(ws.id(), ROOM)?;
        }
        while let Some(message) = ws.next().await {
            let message = message?;
            match for_all(&message).filter(|_| in_room) {
                Some(frame) => drop(server.topics().publish(ROOM, &frame)),
                None => drop(ws.try_send(message)?),
            }
        }
        break;
    }
    Ok(())
}
