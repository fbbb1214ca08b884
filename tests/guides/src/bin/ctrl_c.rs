use std::time::Duration;
use ws_server_mio::{Bind, Endpoint, Event, ServerConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut endpoint = Endpoint::new()?;
    let server = endpoint.connections().listen(Bind::localhost(), ServerConfig::new())?;
    println!("{}", endpoint.connections().server(server).url("/").unwrap_or_default());
    let remote = endpoint.remote();
    ctrlc::set_handler(move || {
        let _ = remote.run(move |connections| connections.server(server).stop(Duration::from_secs(2)));
    })?;
    endpoint.run(|connections, event| {
        if let Event::Message(id, message) = event {
            let _ = connections.send(id, message);
        }
    })?; // returns when the last connection has closed
    println!("stopped");
    Ok(())
}
