use std::time::Duration;
use ws_server_smol::{Bind, Server, ServerConfig, block_on};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::bind(Bind::localhost(), ServerConfig::new())?;
    println!("{}", server.url("/").unwrap_or_default());
    let stopping = server.clone();
    ctrlc::set_handler(move || block_on(stopping.stop(Duration::from_secs(2))))?;
    block_on(server.serve(async |http| {
        let Some(mut ws) = http.upgrade().await else { return };
        while let Some(Ok(message)) = ws.next().await {
            let _ = ws.send(message).await;
        }
    })); // returns when the server has stopped, and everything is written
    println!("stopped");
    Ok(())
}
