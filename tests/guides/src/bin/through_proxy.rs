use ws_server_mio::{ClientConfig, Endpoint, Event, Proxy};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let proxy = match std::env::args().nth(1) {
        Some(url) => Proxy::new(&url)?, // http://user:password@proxy.example:3128, https://…, socks5h://…
        None => Proxy::from_env()?,
    };
    let mut endpoint = Endpoint::new()?;
    endpoint.connections().connect("ws://127.0.0.1:8700/", ClientConfig::new().proxy(proxy))?;
    endpoint.run(|connections, event| match event {
        Event::Open(id, _) => drop(connections.send(id, "hello")),
        Event::ConnectFailed { error, .. } => println!("{error}"),
        event => println!("{event:?}"),
    })?;
    Ok(())
}
