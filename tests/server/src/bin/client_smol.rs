//! The client of the tests, on `ws-server-smol`: it counts, and reconnects until all is sent.

use std::error::Error;
use test_server::options;
use test_server::talk::{Talk, reconnect};
use ws_server_smol::{Client, ClientEvent, CloseCode, Message, Socket, WebSocket};

fn main() -> Result<(), Box<dyn Error>> {
    let (url, mut talk) = Talk::from_arguments()?;
    let config = options::client()?.reconnect(reconnect());
    let mut client = Client::new(url.as_str(), config)?;
    async_io::block_on(async {
        while let Some(event) = client.next_event().await {
            match event {
                ClientEvent::Connected(ws) => {
                    talk.opened();
                    if say(&mut talk, ws).await? {
                        println!("done");
                        println!("{}", ws.close(CloseCode::NORMAL, "done").await?);
                    } else if let Some(closed) = ws.closed() {
                        println!("{closed}");
                    }
                }
                ClientEvent::ConnectFailed(failure) => println!("failed: {failure}"),
                _ => {}
            }
        }
        Ok(())
    })
}

/// Whether all was sent when the connection ended.
async fn say(talk: &mut Talk, ws: &mut WebSocket<Socket>) -> Result<bool, Box<dyn Error>> {
    loop {
        while let Some(message) = talk.say() {
            // A connection lost meanwhile is reported as lost.
            let _ = ws.try_send(Message::Text(message.into()));
        }
        let Some(Ok(message)) = ws.next().await else { return Ok(false) };
        if talk.heard(&message)? {
            return Ok(true);
        }
    }
}
