use std::error::Error;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_util::compat::TokioAsyncReadCompatExt;
use ws_server_smol::{ClientConfig, CloseCode, handshake};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("usage: tokio_client ws://ADDRESS:PORT/")?;
    let address = url.trim_start_matches("ws://").trim_end_matches('/');
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let config = Arc::new(ClientConfig::new().connection_config());
    let mut ws = handshake(stream.compat(), url.as_str(), config).await?;
    ws.send("hello").await?;
    if let Some(message) = ws.next().await {
        println!("{:?}", message?);
    }
    println!("{}", ws.close(CloseCode::NORMAL, "").await?);
    Ok(())
}
