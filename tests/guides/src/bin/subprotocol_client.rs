use ws_server_smol::{ClientConfig, ClientRequest, CloseCode, block_on, connect};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("usage: subprotocol_client URL")?;
    let request = ClientRequest::new(&url)?.subprotocol("chat.v1")?.subprotocol("chat.v2")?;
    block_on(async {
        let mut ws = connect(request, ClientConfig::new()).await?;
        match ws.subprotocol() {
            Some(name) => println!("the server selected {name}"),
            None => drop(ws.close(CloseCode::POLICY, "chat.v1 or chat.v2, please").await?),
        }
        Ok(())
    })
}
