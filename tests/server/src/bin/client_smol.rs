//! The test client on `ws-server-smol`: it counts, and reconnects until all messages are echoed.

use std::error::Error;
use test_server::options;
use test_server::talk::{Exchange, reconnect};
use ws_server_smol::{Client, ClientEvent, CloseCode, Message, Socket, WebSocket};

fn main() -> Result<(), Box<dyn Error>> {
    let (url, mut exchange) = Exchange::from_arguments()?;
    let config = options::client()?.reconnect(reconnect());
    let mut client = Client::new(url.as_str(), config)?;
    async_io::block_on(async {
        while let Some(event) = client.next_event().await {
            match event {
                ClientEvent::Connected(ws) => {
                    exchange.opened();
                    if run(&mut exchange, ws).await? {
                        println!("done");
                        println!("{}", ws.close(CloseCode::NORMAL, "done").await?);
                    } else if let Some(closed) = ws.closed() {
                        println!("{closed}");
                    }
                }
                ClientEvent::ConnectFailed(error) => println!("failed: {error}"),
                _ => {}
            }
        }
        Ok(())
    })
}

/// Returns whether all messages were echoed when the connection ended.
async fn run(exchange: &mut Exchange, ws: &mut WebSocket<Socket>) -> Result<bool, Box<dyn Error>> {
    loop {
        while let Some(message) = exchange.next_message() {
            // A lost connection is reported by its close.
            let _ = ws.try_send(Message::Text(message.into()));
        }
        let Some(Ok(message)) = ws.next().await else { return Ok(false) };
        if exchange.receive(&message)? {
            return Ok(true);
        }
    }
}
