use std::io;
use std::time::{Duration, Instant};
use ws_server_mio::{Bind, Connections, Endpoint, Event, Options, ServerConfig};

/// The application's handler, as in every turn.
fn handle(_: &mut Connections, _: Event<'_>) {}

/// Returns when the slowest peer has gone, after `grace` at the latest, or after a spread stop if one is under way.
/// Hide the window first.
fn leave(endpoint: &mut Endpoint, grace: Duration) -> io::Result<()> {
    for client in endpoint.clients().collect::<Vec<_>>() {
        endpoint.connections().client(client).disconnect();
    }
    for server in endpoint.servers().collect::<Vec<_>>() {
        endpoint.connections().server(server).stop(grace); // `Stopped` follows within `grace`
    }
    let end = Instant::now() + grace;
    endpoint.poll(Some(Duration::ZERO), handle)?; // even without any grace, what can be sent at once is
    loop {
        let is_stopped = endpoint.servers().next().is_none();
        let is_over = endpoint.connections().all().connections().next().is_none(); // of clients, too
        if is_stopped && (is_over || Instant::now() >= end) {
            return Ok(());
        }
        // Afterwards only the deadlines of the stops wake the loop.
        let wait = end.checked_duration_since(Instant::now());
        endpoint.poll(wait, handle)?;
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut endpoint = Endpoint::with(Options::ui())?;
    endpoint.connections().listen(Bind::localhost(), ServerConfig::new())?;
    leave(&mut endpoint, Duration::from_millis(500))?;
    Ok(())
}
