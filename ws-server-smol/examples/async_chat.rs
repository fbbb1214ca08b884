//! A chat: a page and its socket on one port, on one thread. It is the example `chat` of `ws-server-mio`, for async
//! apps.
//!
//! ```text
//! cargo run --release -p ws-server-smol --example async_chat              # on a free port
//! cargo run --release -p ws-server-smol --example async_chat 8080         # on this one
//! cargo run --release -p ws-server-smol --example async_chat 8080 --lan   # and for the whole network
//! cargo run --release -p ws-server-smol --features tls --example async_chat 8080 --tls
//! ```
//!
//! With `--tls` it serves https and wss, with a certificate that it makes for this run. Browsers warn about it; the
//! example `client` of `ws-server-mio` accepts it with `--pin`, followed by the printed hash of its key.
//!
//! The room and the page are shared with that example. Here each connection is a future that borrows the room, and all
//! of them run within [`Server::serve`]: no task is spawned, and nothing is locked.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a program for the terminal

use std::cell::RefCell;
use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::time::SystemTime;
use ws_kit::chat::{Reply, Room, pages};
use ws_server_smol::{
    Bind, CloseCode, ConnectionId, Deflate, Frame, Heartbeat, HttpConnection, Message, Request, Server,
    ServerConfig, WebSocket, block_on,
};

/// The page and the server speak different protocols; the page does not retry.
const NOT_UNDERSTOOD: u16 = 4000;

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("async_chat: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), Box<dyn Error>> {
    let mut bind = Bind::localhost();
    let mut port = 0; // the system chooses a free one
    let mut is_tls = false;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--lan" => bind = Bind::lan(),
            "--tls" => is_tls = true,
            number => port = number.parse().map_err(|_| "usage: async_chat [PORT] [--lan] [--tls]")?,
        }
    }

    // The longest message is 4,000 characters, in UTF-8 and JSON. `frequent` keeps connections alive through proxies,
    // and detects dead ones within a minute. Each message is compressed once for all peers.
    let config =
        ServerConfig::new().message_limit(64 << 10).heartbeat(Heartbeat::frequent()).deflate(Deflate::chat());
    let config = if is_tls { with_tls(config)? } else { config };
    let server = Server::bind(bind.port(port), config.upgrade_paths(["/ws"]).subprotocols(["chat"]))?;
    if let Some(url) = server.http_url("/") {
        println!("chat: {url}");
        std::io::stdout().flush()?;
    }

    let chat = Chat { server: server.clone(), room: RefCell::new(Room::new(milliseconds())) };
    // An error ends only its own connection.
    block_on(server.serve(async |http| chat.connection(http).await));
    Ok(())
}

/// Makes a certificate for this run.
#[cfg(feature = "tls")]
fn with_tls(config: ServerConfig) -> Result<ServerConfig, Box<dyn Error>> {
    use ws_server_smol::tls::{Identity, TlsServer};
    let [chain, key] = ws_kit::chat::certificate()?;
    let identity = Identity::from_pem(chain, key)?;
    let pin: String = identity.key_sha256()?.iter().map(|byte| format!("{byte:02x}")).collect();
    println!("key: {pin}");
    Ok(config.tls(TlsServer::new(identity)?))
}

#[cfg(not(feature = "tls"))]
fn with_tls(_: ServerConfig) -> Result<ServerConfig, Box<dyn Error>> {
    Err("for TLS, build it with --features tls".into())
}

struct Chat {
    server: Server,
    room: RefCell<Room<ConnectionId>>,
}

impl Chat {
    /// Serves pages, until one of them opens the socket.
    async fn connection(&self, http: HttpConnection) -> Result<(), Box<dyn Error>> {
        let page = async |request: &Request| pages::answer(request.method(), request.uri().path());
        let Some(mut ws) = http.upgrade_or(page).await else { return Ok(()) };
        let result = self.member(&mut ws).await;
        let reply = self.room.borrow_mut().leave(ws.id());
        self.send_reply(&mut ws, reply)?;
        result
    }

    async fn member(&self, ws: &mut WebSocket) -> Result<(), Box<dyn Error>> {
        while let Some(message) = ws.next().await {
            let Message::Text(text) = message? else {
                ws.start_close(CloseCode::UNSUPPORTED, "this chat accepts text only")?;
                continue;
            };
            let reply = self.room.borrow_mut().receive(ws.id(), &text, milliseconds());
            match reply {
                Ok(reply) => self.send_reply(ws, reply)?,
                Err(wrong) => ws.start_close(CloseCode::from(NOT_UNDERSTOOD), wrong)?,
            }
        }
        Ok(())
    }

    fn send_reply(&self, ws: &mut WebSocket, reply: Reply) -> Result<(), Box<dyn Error>> {
        if let Some(json) = reply.one {
            ws.try_send(Frame::text(json))?;
        }
        if let Some(json) = reply.all {
            self.server.broadcast_where(&Frame::text(json), |id| self.room.borrow().contains(id));
        }
        Ok(())
    }
}

/// Milliseconds since 1970, as in JavaScript.
fn milliseconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
