use std::error::Error;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};
use ws_server_smol::{HttpConnection, ServerConfig, WebSocketError};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = Arc::new(ServerConfig::new().connection_config());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("ws://{}/", listener.local_addr()?);
    loop {
        let (stream, peer) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let http = HttpConnection::new(stream.compat(), config.clone());
        tokio::spawn(async move {
            if let Err(error) = echo(http).await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

async fn echo(http: HttpConnection<Compat<TcpStream>>) -> Result<(), WebSocketError> {
    let Some(mut ws) = http.upgrade().await else { return Ok(()) };
    while let Some(message) = ws.next().await {
        ws.send(message?).await?;
    }
    Ok(())
}
