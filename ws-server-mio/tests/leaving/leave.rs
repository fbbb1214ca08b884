use std::io;
use std::time::{Duration, Instant};
use ws_server_mio::{Bind, Endpoint, Event, Options, ServerConfig};

/// Takes as long as the slowest peer, and at most `grace`: hide the window first.
fn leave(endpoint: &mut Endpoint, grace: Duration) -> io::Result<()> {
    let (mut servers, mut clients) = (0, 0);
    for client in endpoint.clients().collect::<Vec<_>>() {
        let mut client = endpoint.connections().client(client);
        client.disconnect();
        clients += usize::from(client.connection().is_some()); // its `Closed` follows
    }
    for server in endpoint.servers().collect::<Vec<_>>() {
        endpoint.connections().server(server).stop(grace); // `Stopped` follows, at the latest then
        servers += 1;
    }
    let end = Instant::now() + grace;
    while servers > 0 || (clients > 0 && Instant::now() < end) {
        let wait = end.saturating_duration_since(Instant::now());
        endpoint.poll(Some(wait), |connections, event| match event {
            Event::Stopped(_) => servers -= 1,
            Event::Closed(id, _) if connections.client_of(id).is_some() => clients -= 1,
            _ => {} // as usual
        })?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut endpoint = Endpoint::with(Options::ui())?;
    endpoint.connections().listen(Bind::localhost(), ServerConfig::new())?;
    leave(&mut endpoint, Duration::from_millis(500))?;
    Ok(())
}
