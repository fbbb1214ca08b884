use tungstenite::{Message, connect};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("usage: tungstenite_client URL")?;
    let (mut ws, _response) = connect(url)?;
    ws.send(Message::text("hello"))?;
    println!("{}", ws.read()?);
    ws.close(None)?;
    while ws.read().is_ok() {} // until the peer has answered
    Ok(())
}
