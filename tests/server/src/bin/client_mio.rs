//! The client of the tests, on `ws-server-mio`: it counts, and comes back until all is said.

use std::error::Error;
use test_server::options;
use test_server::talk::{Talk, reconnect};
use ws_proto::Event as Ws;
use ws_server_mio::{CloseCode, ConnectionId, Connections, Endpoint, Event, Options};

fn main() -> Result<(), Box<dyn Error>> {
    let (url, mut talk) = Talk::from_arguments()?;
    let config = options::client()?.reconnect(reconnect());
    let mut endpoint = Endpoint::new(Options::default())?;
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
        Event::Connection(id, Ws::Open(_)) => {
            talk.opened();
            send(talk, connections, id);
        }
        Event::Connection(id, Ws::Message(message)) => {
            if talk.heard(&message)? {
                println!("done");
                let _ = connections.close(id, CloseCode::NORMAL, "done");
                return Ok(());
            }
            send(talk, connections, id);
        }
        Event::Connection(_, Ws::Closed(closed)) => println!("{closed}"),
        Event::ConnectFailed { error, .. } => println!("failed: {error}"),
        _ => {}
    }
    Ok(())
}

fn send(talk: &mut Talk, connections: &mut Connections, id: ConnectionId) {
    while let Some(message) = talk.say() {
        // A connection that is lost meanwhile is told as such.
        let _ = connections.send_text(id, message);
    }
}
