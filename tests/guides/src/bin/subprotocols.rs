use ws_server_mio::{Bind, Endpoint, Event, ServerConfig, handshake};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut endpoint = Endpoint::new()?;
    let config = ServerConfig::new().subprotocols(["chat.v2", "chat.v1"]); // the preferred one first
    let server = endpoint.connections().listen(Bind::localhost(), config)?;
    println!("{}", endpoint.connections().server(server).url("/").unwrap_or_default());
    endpoint.run(|connections, event| match event {
        Event::Open(id, response) => {
            let selected = handshake::subprotocol(&response).unwrap_or("none");
            let _ = connections.send(id, format!("subprotocol: {selected}"));
        }
        Event::Closed(id, closed) => println!("{id}: {closed}"),
        _ => {}
    })?;
    Ok(())
}
