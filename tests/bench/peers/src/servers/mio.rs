//! ws-server-mio, as its example `echo`.

use super::{Certificate, announce};
use std::collections::BTreeSet;
use std::error::Error;
use ws_server_mio::Message::{Binary, Text};
use ws_server_mio::tls::TlsServer;
use ws_server_mio::{Bind, Endpoint, Event, Frame, ServerConfig};

pub fn serve(certificate: Certificate<'_>) -> Result<(), Box<dyn Error>> {
    let mut config = ServerConfig::new()
        .max_connections(20_000)
        .message_limit(64 << 20)
        .outbox(64 << 10, 1 << 20, 80 << 20)
        .frame_rate(None);
    if let Some((chain, key)) = certificate {
        config = config.tls(TlsServer::from_files(chain, key)?);
    }
    let mut endpoint = Endpoint::new()?;
    let server = endpoint.connections().listen(Bind::localhost(), config)?;
    announce(endpoint.connections().server(server).local_addr())?;
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
                connections.terminate(id);
            }
        }
        Event::Closed(id, _) => drop(room.remove(&id)),
        _ => {}
    })?;
    Ok(())
}
