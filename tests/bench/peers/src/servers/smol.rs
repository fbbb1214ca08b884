//! ws-server-smol, as its example `async_echo`.

use super::{Certificate, announce, config};
use async_executor::LocalExecutor;
use std::error::Error;
use ws_server_smol::Message::{Binary, Text};
use ws_server_smol::{Bind, Frame, HttpConnection, Server, block_on};

pub fn serve(certificate: Certificate<'_>) -> Result<(), Box<dyn Error>> {
    let server = Server::bind(Bind::localhost(), config(certificate)?)?;
    announce(server.local_addr())?;
    let executor = LocalExecutor::new();
    block_on(executor.run(async {
        while let Some(http) = server.accept().await {
            let server = server.clone();
            executor.spawn(async move { drop(connection(&server, http).await) }).detach();
        }
    }));
    Ok(())
}

async fn connection(server: &Server, http: HttpConnection) -> Result<(), Box<dyn Error>> {
    let Some(mut ws) = http.upgrade().await else { return Ok(()) };
    let in_room = ws.path() == Some("/broadcast");
    if in_room {
        server.topics().subscribe(ws.id(), "room")?;
    }
    while let Some(message) = ws.next().await {
        match message? {
            message if !in_room => drop(ws.try_send(message)?),
            Text(text) => drop(server.topics().publish("room", &Frame::text(text))),
            Binary(data) => drop(server.topics().publish("room", &Frame::binary(data.into_owned()))),
        }
    }
    Ok(())
}
