use std::time::Duration;
use ws_server_mio::{Bind, Connections, Endpoint, Event, ServerConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut endpoint = Endpoint::new()?;
    let server = endpoint.connections().listen(Bind::localhost(), ServerConfig::new())?;
    println!("{}", endpoint.connections().server(server).url("/").unwrap_or_default());
    endpoint.connections().after(Duration::from_secs(1), ping)?;
    endpoint.run(|_connections, event| {
        if let Event::Pong(id, pong) = event {
            println!("{id}: {:?}", pong.latency);
        }
    })?;
    Ok(())
}

fn ping(connections: &mut Connections) {
    for id in connections.ids().collect::<Vec<_>>() {
        let _ = connections.send_ping(id, b"");
    }
    let _ = connections.after(Duration::from_secs(1), ping);
}
