use std::error::Error;
use std::time::Duration;
use ws_server_smol::http::StatusCode;
use ws_server_smol::{
    Bind, ClientConfig, ClientRequest, HttpConnection, Server, ServerConfig, block_on, connect, couple, web,
};

fn main() -> Result<(), Box<dyn Error>> {
    let upstream = std::env::args().nth(1).ok_or("usage: proxy ws://UPSTREAM/")?;
    let server = Server::bind(Bind::localhost(), ServerConfig::new())?;
    println!("{}", server.url("/").unwrap_or_default());
    block_on(server.serve(async |http| {
        if let Err(error) = proxy(http, &upstream).await {
            eprintln!("{error}");
        }
    }));
    Ok(())
}

async fn proxy(mut http: HttpConnection, upstream: &str) -> Result<(), Box<dyn Error>> {
    // Before the server's own deadline for the handshake, which would answer 503.
    let config = ClientConfig::new().handshake_timeout(Duration::from_secs(5));
    let Some(mut upgrade) = http.next_upgrade().await else { return Ok(()) };
    let mut request = ClientRequest::new(upstream)?;
    for name in upgrade.subprotocols() {
        request = request.subprotocol(name)?;
    }
    let mut upstream = match connect(request, config).await {
        Ok(upstream) => upstream,
        Err(error) => {
            http.respond(upgrade, web::status(StatusCode::BAD_GATEWAY)).await?;
            return Err(error.into());
        }
    };
    if let Some(name) = upstream.subprotocol() {
        upgrade.select_subprotocol(name)?;
    }
    let mut client = http.accept(upgrade).await?;
    let (client, upstream) = couple(&mut client, &mut upstream).await;
    for closed in [client, upstream].into_iter().flatten() {
        println!("{closed}");
    }
    Ok(())
}
