use std::time::Duration;
use ws_server_mio::{Bind, Endpoint, Event, Options, ServerConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut endpoint = Endpoint::with(Options::ui())?;
    let server = endpoint.connections().listen(Bind::localhost(), ServerConfig::new())?;
    println!("{}", endpoint.connections().server(server).url("/").unwrap_or_default());
    let remote = endpoint.remote();
    ctrlc::set_handler(move || {
        let _ = remote.run(move |connections| connections.server(server).stop(Duration::from_secs(2)));
    })?;
    let mut stopped = false;
    while !stopped {
        endpoint.poll(Some(Duration::from_millis(10)), |connections, event| match event {
            Event::Message(id, message) => drop(connections.send(id, message)),
            Event::Stopped(_) => stopped = true, // its last connection has closed
            _ => {}
        })?;
        // input, drawing
    }
    println!("stopped");
    Ok(())
}
