use std::time::Duration;
use ws_server_mio::{Bind, Connections, Endpoint, Event, Frame, Heartbeat, ServerConfig, web};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut endpoint = Endpoint::new()?;
    let config = ServerConfig::new().upgrade_paths(["/ws"]).heartbeat(Heartbeat::frequent());
    let server = endpoint.connections().listen(Bind::localhost(), config)?;
    println!("{}", endpoint.connections().server(server).url("/ws").unwrap_or_default());
    endpoint.connections().after(Duration::from_secs(1), tick)?;
    endpoint.run(|connections, event| match event {
        Event::Request(id, request) if request.path() == "/" => {
            drop(connections.respond(id, request, web::html("<h1>hello</h1>")));
        }
        Event::Open(id, _) => drop(connections.send(id, "welcome")),
        Event::Message(_, message) => drop(connections.broadcast(&message.into())),
        Event::Closed(id, closed) if closed.was_open => eprintln!("{id}: {closed}"),
        _ => {}
    })?;
    Ok(())
}

fn tick(connections: &mut Connections) {
    connections.broadcast(&Frame::text("tick"));
    let _ = connections.after(Duration::from_secs(1), tick);
}
