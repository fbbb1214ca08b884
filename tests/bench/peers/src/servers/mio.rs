//! ws-server-mio, as its example `echo`.

use super::{Certificate, announce, config};
use std::collections::BTreeSet;
use std::error::Error;
use ws_server_mio::Message::{Binary, Text};
use ws_server_mio::{Bind, Endpoint, Event, Frame};

pub fn serve(certificate: Certificate<'_>) -> Result<(), Box<dyn Error>> {
    let mut endpoint = Endpoint::new()?;
    let server = endpoint.connections().listen(Bind::localhost(), config(certificate)?)?;
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
