use ws_server_smol::{ClientConfig, CloseCode, block_on, connect};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("usage: client URL")?;
    block_on(async {
        let mut ws = connect(url.as_str(), ClientConfig::new()).await?;
        ws.send("hello").await?;
        if let Some(message) = ws.next().await {
            println!("{}", message?.as_text().unwrap_or("bytes"));
        }
        ws.close(CloseCode::NORMAL, "").await?; // until the peer has answered
        Ok(())
    })
}
