use std::io;
use std::time::{Duration, Instant};
use ws_server_mio::{Bind, Connections, Endpoint, Event, Options, ServerConfig};

/// The application's handler, as in every turn.
fn handle(_: &mut Connections, _: Event<'_>) {}

/// Takes as long as the slowest peer, and at most `grace`, or as long as a stop that is spread: hide the window first.
fn leave(endpoint: &mut Endpoint, grace: Duration) -> io::Result<()> {
    for client in endpoint.clients().collect::<Vec<_>>() {
        endpoint.connections().client(client).disconnect();
    }
    for server in endpoint.servers().collect::<Vec<_>>() {
        endpoint.connections().server(server).stop(grace); // `Stopped` follows, at the latest then
    }
    let end = Instant::now() + grace;
    loop {
        let is_stopped = endpoint.servers().next().is_none();
        let is_over = endpoint.connections().all().connections().next().is_none(); // of clients, too
        if is_stopped && (is_over || Instant::now() >= end) {
            return Ok(());
        }
        let wait = end.checked_duration_since(Instant::now()); // after it, the stops have their own deadlines
        endpoint.poll(wait, handle)?;
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut endpoint = Endpoint::with(Options::ui())?;
    endpoint.connections().listen(Bind::localhost(), ServerConfig::new())?;
    leave(&mut endpoint, Duration::from_millis(500))?;
    Ok(())
}
