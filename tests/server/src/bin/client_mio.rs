//! The client of the tests, on `ws-server-mio`: it counts, and reconnects until all is sent.

use std::error::Error;
use test_server::options;
use test_server::talk::{Talk, reconnect};
use ws_server_mio::{CloseCode, ConnectionId, Connections, Endpoint, Event};

fn main() -> Result<(), Box<dyn Error>> {
    let (url, mut talk) = Talk::from_arguments()?;
    let config = options::client()?.reconnect(reconnect());
    let mut endpoint = Endpoint::new()?;
    endpoint.connections().connect(url.as_str(), config)?;
    let mut fault = None;
    endpoint.run(|connections, event| {
        if let Err(error) = handle(&mut talk, connections, event) {
            fault = Some(error);
            connections.exit();
        }
    })?;
    fault.map_or(Ok(()), |fault| Err(fault.into()))
}

fn handle(talk: &mut Talk, connections: &mut Connections, event: Event<'_>) -> Result<(), String> {
    match event {
        Event::Open(id, _) => {
            talk.opened();
            send(talk, connections, id);
        }
        Event::Message(id, message) => {
            if talk.heard(&message)? {
                println!("done");
                let _ = connections.close(id, CloseCode::NORMAL, "done");
                return Ok(());
            }
            send(talk, connections, id);
        }
        Event::Closed(_, closed) => println!("{closed}"),
        Event::ConnectFailed { error, .. } => println!("failed: {error}"),
        _ => {}
    }
    Ok(())
}

fn send(talk: &mut Talk, connections: &mut Connections, id: ConnectionId) {
    while let Some(message) = talk.say() {
        // A connection lost meanwhile is reported as lost.
        let _ = connections.send(id, message);
    }
}
