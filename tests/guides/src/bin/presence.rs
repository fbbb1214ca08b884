use ws_server_mio::{Bind, Connections, Endpoint, Event, Frame, Heartbeat, ServerConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut endpoint = Endpoint::new()?;
    let config = ServerConfig::new().heartbeat(Heartbeat::frequent());
    let server = endpoint.connections().listen(Bind::localhost(), config)?;
    println!("{}", endpoint.connections().server(server).url("/").unwrap_or_default());
    endpoint.run(|connections, event| match event {
        Event::Open(id, _) => {
            let _ = connections.topics().subscribe(id, "room");
            announce(connections, format!("{id} is here"));
        }
        Event::Message(_, message) => drop(connections.topics().publish("room", &message.into())),
        Event::Closed(id, closed) if closed.was_open => announce(connections, format!("{id} has left")),
        _ => {}
    })?;
    Ok(())
}

fn announce(connections: &mut Connections, change: String) {
    let count = connections.topics().subscribers("room").len();
    connections.topics().publish("room", &Frame::text(format!("{change}, {count} in the room")));
}
