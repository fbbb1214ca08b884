use ws_server_mio::{Bind, Endpoint, Event, Heartbeat, ServerConfig, Via};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = ServerConfig::new()
        .trust_proxy(["127.0.0.1", "::1"], Via::XForwarded) // or "10.0.0.0/8", or "unix" for a Unix socket
        .allow_host("app.example") // the name in the browser's address bar
        .heartbeat(Heartbeat::frequent()) // proxies cut what is silent for a minute
        .decide_upgrades(true);
    let mut endpoint = Endpoint::new()?;
    endpoint.connections().listen(Bind::localhost().port(8700), config)?;
    endpoint.run(|connections, event| {
        if let Event::Upgrade(id, upgrade) = event {
            println!("{:?} opens {:?}", upgrade.peer_addr(), upgrade.url());
            println!("through {:?}", connections.transport_addr(id));
            let _ = connections.accept(id, upgrade);
        }
    })?;
    Ok(())
}
