use std::error::Error;
use std::time::Duration;
use ws_server_smol::{Bind, HttpConnection, Server, ServerConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::bind(Bind::localhost(), ServerConfig::new())?;
    println!("{}", server.url("/").unwrap_or_default());
    let accepting = server.clone();
    let accepts = tokio::spawn(async move {
        while let Some(http) = accepting.accept().await {
            tokio::spawn(room(http, accepting.clone()));
        }
    });
    tokio::signal::ctrl_c().await?;
    server.stop(Duration::from_secs(2)).await; // sends 1001 to every client
    accepts.await?;
    Ok(())
}

async fn room(http: HttpConnection, server: Server) {
    let Some(mut ws) = http.upgrade().await else { return };
    if server.topics().subscribe(ws.id(), "room").is_err() {
        return;
    }
    while let Some(Ok(message)) = ws.next().await {
        server.topics().publish("room", &message.into());
    }
}
