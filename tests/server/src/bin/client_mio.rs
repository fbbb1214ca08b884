//! The test client on `ws-server-mio`: it counts, and reconnects until all messages are echoed.

use std::error::Error;
use test_server::options;
use test_server::talk::{Exchange, reconnect};
use ws_server_mio::{CloseCode, ConnectionId, Connections, Endpoint, Event};

fn main() -> Result<(), Box<dyn Error>> {
    let (url, mut exchange) = Exchange::from_arguments()?;
    let config = options::client()?.reconnect(reconnect());
    let mut endpoint = Endpoint::new()?;
    endpoint.connections().connect(url.as_str(), config)?;
    let mut fault = None;
    endpoint.run(|connections, event| {
        if let Err(error) = handle(&mut exchange, connections, event) {
            fault = Some(error);
            connections.exit();
        }
    })?;
    fault.map_or(Ok(()), |fault| Err(fault.into()))
}

fn handle(exchange: &mut Exchange, connections: &mut Connections, event: Event<'_>) -> Result<(), String> {
    match event {
        Event::Open(id, _) => {
            exchange.opened();
            send(exchange, connections, id);
        }
        Event::Message(id, message) => {
            if exchange.receive(&message)? {
                println!("done");
                let _ = connections.close(id, CloseCode::NORMAL, "done");
                return Ok(());
            }
            send(exchange, connections, id);
        }
        Event::Closed(_, closed) => println!("{closed}"),
        Event::ConnectFailed { error, .. } => println!("failed: {error}"),
        _ => {}
    }
    Ok(())
}

fn send(exchange: &mut Exchange, connections: &mut Connections, id: ConnectionId) {
    while let Some(message) = exchange.next_message() {
        // A lost connection is reported by its close.
        let _ = connections.send(id, message);
    }
}
