use ws_server_mio::{Bind, Endpoint, Event, ServerConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut endpoint = Endpoint::new()?;
    let server = endpoint.connections().listen(Bind::localhost(), ServerConfig::new())?;
    println!("{}", endpoint.connections().server(server).url("/").unwrap_or_default());
    endpoint.run(|connections, event| match event {
        Event::Message(id, message) => drop(connections.send(id, message)),
        Event::Closed(id, closed) => eprintln!("{id}: {closed}"),
        _ => {}
    })?;
    Ok(())
}
