//! A chat: a page and its socket on one port, on one thread. It is the example `chat` of `ws-server-mio`, for async
//! apps.
//!
//! ```text
//! cargo run --release -p ws-server-smol --example async_chat              # on a free port
//! cargo run --release -p ws-server-smol --example async_chat 8080         # on this one
//! cargo run --release -p ws-server-smol --example async_chat 8080 --lan   # and for the whole network
//! cargo run --release -p ws-server-smol --features tls --example async_chat 8080 --tls
//! cargo run --release -p ws-server-smol --features tls-self-signed --example async_chat 8080 --tls --lan
//! ```
//!
//! With `--tls` it serves https and wss, with a certificate that it makes for this run. Browsers warn about it; the
//! example `client` of `ws-server-mio` accepts it with `--pin`, followed by the printed hash of its key. With `--lan`
//! too, a local CA issues the certificate: scan the printed code with a phone, import the CA as the page says, once, and
//! no browser warns any more. The page is served without TLS, on the next port.
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
use ws_server_smol::http::Response;
use ws_server_smol::{
    Bind, Bytes, CloseCode, ConnectionId, Deflate, Frame, Heartbeat, HttpConnection, Message, Request,
    Server, ServerConfig, WebSocket, block_on,
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
    let mut port = 0; // the system chooses a free one
    let (mut is_lan, mut is_tls) = (false, false);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--lan" => is_lan = true,
            "--tls" => is_tls = true,
            number => port = number.parse().map_err(|_| "usage: async_chat [PORT] [--lan] [--tls]")?,
        }
    }

    // The longest message is 4,000 characters, in UTF-8 and JSON. `frequent` keeps connections alive through proxies,
    // and detects dead ones within a minute. Each message is compressed once for all peers.
    let config =
        ServerConfig::new().message_limit(64 << 10).heartbeat(Heartbeat::frequent()).deflate(Deflate::chat());
    let config = config.upgrade_paths(["/ws"]).subprotocols(["chat"]);
    let (server, trust) = if is_lan && is_tls {
        bind_with_local_ca(port, config)?
    } else {
        let bind = if is_lan { Bind::lan() } else { Bind::localhost() };
        let server = Server::bind(bind.port(port), if is_tls { with_tls(config)? } else { config })?;
        println!("chat: {}", server.http_url("/").unwrap_or_default());
        (server, None)
    };
    std::io::stdout().flush()?;

    let chat = Chat { server: server.clone(), room: RefCell::new(Room::new(milliseconds())) };
    // An error ends only its own connection.
    let chats = server.serve(async |http| chat.connection(http).await);
    block_on(async {
        match trust {
            None => chats.await,
            Some((server, respond)) => {
                let page = async |request: &Request| respond(request);
                let pages = server.serve(async |http| drop(http.upgrade_or(page).await));
                futures_lite::future::zip(chats, pages).await;
            }
        }
    });
    Ok(())
}

/// A server for plain requests, and its responses.
type Pages = (Server, Box<dyn Fn(&Request) -> Response<Bytes>>);

/// A server with a certificate of a local CA, and one without TLS on the next port, for the page that explains how to
/// trust the CA.
#[cfg(feature = "tls-self-signed")]
fn bind_with_local_ca(port: u16, config: ServerConfig) -> Result<(Server, Option<Pages>), Box<dyn Error>> {
    use ws_server_smol::tls::{SelfSigned, TlsServer, TrustPage};
    use ws_server_smol::web;
    let (tls, ca) = TlsServer::self_signed(&SelfSigned::new("ws chat").lan())?;
    let with_names = |config| ca.host_names().iter().fold(config, ServerConfig::allow_host);
    let chat = Server::bind(Bind::lan().port(port), with_names(config.tls(tls)))?;
    let next = if port == 0 { 0 } else { port.wrapping_add(1) };
    let no_sockets = with_names(ServerConfig::new().upgrade_paths(None::<String>));
    let trust = Server::bind(Bind::lan().port(next), no_sockets)?;
    // The certificate may not name the address of the server's own `lan_http_url`.
    let url = chat.local_addr().and_then(|address| ca.lan_http_url(address, "/"));
    let url = url.or_else(|| chat.http_url("/")).unwrap_or_default();
    let trust_url = trust.lan_http_url("/").or_else(|| trust.http_url("/")).unwrap_or_default();
    println!("chat: {url}\nto trust it, once on each device: {trust_url}\nSHA-256: {}", ca.fingerprint());
    println!("{}", ws_kit::chat::qr_code(&trust_url)?);

    let page = TrustPage::new(&ca).link(url);
    let respond = move |request: &Request| page.respond(request).unwrap_or_else(web::not_found);
    Ok((chat, Some((trust, Box::new(respond)))))
}

#[cfg(not(feature = "tls-self-signed"))]
fn bind_with_local_ca(_: u16, _: ServerConfig) -> Result<(Server, Option<Pages>), Box<dyn Error>> {
    Err("for TLS on the network, build it with --features tls-self-signed".into())
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
