use ws_server_mio::{Bind, Endpoint, Event, Heartbeat, ServerConfig, Via};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).map_or(Ok(8700), |port| port.parse())?;
    let config = ServerConfig::new()
        .trust_proxy(["127.0.0.1", "::1"], Via::XForwarded) // or "10.0.0.0/8", or "unix" for a Unix socket
        .allow_host("app.example") // the name in the browser's address bar
        .heartbeat(Heartbeat::frequent()) // proxies cut what is silent for a minute
        .decide_upgrades(true);
    let mut endpoint = Endpoint::new()?;
    let server = endpoint.connections().listen(Bind::localhost().port(port), config)?;
    println!("{}", endpoint.connections().server(server).url("/").unwrap_or_default());
    endpoint.run(|connections, event| {
        if let Event::Upgrade(id, upgrade) = event {
            println!("{:?} opens {:?}", upgrade.peer_addr(), upgrade.url());
            println!("through {:?}", connections.transport_addr(id));
            let _ = connections.accept(id, upgrade);
        }
    })?;
    Ok(())
}
