//! A chat: a page and its socket on one port, on one thread.
//!
//! ```text
//! cargo run --release -p ws-server-mio --example chat              # on a free port
//! cargo run --release -p ws-server-mio --example chat 8080         # on this one
//! cargo run --release -p ws-server-mio --example chat 8080 --lan   # and for the whole network
//! cargo run --release -p ws-server-mio --features tls --example chat 8080 --tls
//! cargo run --release -p ws-server-mio --features tls-self-signed --example chat 8080 --tls --lan
//! ```
//!
//! With `--tls` it serves https and wss, with a certificate that it makes for this run. Browsers warn about it; the
//! example `client` of `ws-server-mio` accepts it with `--pin`, followed by the printed hash of its key. With `--lan`
//! too, a local CA issues the certificate: scan the printed code with a phone, import the CA as the page says, once, and
//! no browser warns any more. The page is served without TLS, on the next port.
//!
//! Open the printed address in two windows. It shows how one program answers plain HTTP and WebSocket
//! upgrades side by side, rejects what it does not serve, broadcasts messages, shows presence, and
//! keeps connections alive; and how a page reconnects automatically after a reload, a lost connection or a
//! restart of the server. It neither misses nor repeats messages sent meanwhile, as far as the server's
//! history reaches: the last 100 messages. The room, which does no I/O, the HTTP responses and the page
//! are in `tests/kit/src/chat`; the example `async_chat` of `ws-server-smol` shares them.
//!
//! Without `--lan` only this machine can connect. With it, everyone on the network can, by the machine's
//! address; to let them use its name as well, allow that name in the configuration:
//! `ServerConfig::new().allow_host("my-machine.local")`. Ctrl-C ends the program.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a program for the terminal

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::time::SystemTime;
use ws_kit::chat::{Room, pages};
use ws_server_mio::http::Response;
use ws_server_mio::{
    Bind, Bytes, CloseCode, ConnectionId, Connections, Deflate, Endpoint, Event, Frame, Heartbeat, Message,
    Request, ServerConfig,
};

/// Answers plain requests.
type Pages = Box<dyn Fn(&Request) -> Response<Bytes>>;

/// The page and the server speak different protocols; the page does not retry.
const NOT_UNDERSTOOD: u16 = 4000;

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat: {error}");
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
            number => port = number.parse().map_err(|_| "usage: chat [PORT] [--lan] [--tls]")?,
        }
    }

    // The longest message is 4,000 characters, in UTF-8 and JSON. `frequent` keeps connections alive through proxies,
    // and detects dead ones within a minute. Each message is compressed once for all peers.
    let config = ServerConfig::new()
        .upgrade_paths(["/ws"])
        .subprotocols(["chat"])
        .message_limit(64 << 10)
        .heartbeat(Heartbeat::frequent())
        .deflate(Deflate::chat());
    let mut endpoint = Endpoint::new()?;
    let connections = endpoint.connections();
    let pages = if is_lan && is_tls {
        listen_with_local_ca(connections, port, config)?
    } else {
        let bind = if is_lan { Bind::lan() } else { Bind::localhost() };
        let config = if is_tls { with_tls(config)? } else { config };
        let server = connections.listen(bind.port(port), config)?;
        println!("chat: {}", connections.server(server).http_url("/").unwrap_or_default());
        Box::new(|request: &Request| pages::answer(request.method(), request.path()))
    };
    std::io::stdout().flush()?;

    let mut room = Room::new(milliseconds());
    Ok(endpoint.run(|connections, event| handle(connections, &mut room, &pages, event))?)
}

/// Listens with a certificate of a local CA, and without TLS on the next port, for the page that explains how to trust
/// the CA.
#[cfg(feature = "tls-self-signed")]
fn listen_with_local_ca(
    connections: &mut Connections,
    port: u16,
    config: ServerConfig,
) -> Result<Pages, Box<dyn Error>> {
    use ws_server_mio::tls::{SelfSigned, TlsServer, TrustPage};
    use ws_server_mio::web;
    let (tls, ca) = TlsServer::self_signed(&SelfSigned::new("ws chat").lan())?;
    let with_names = |config| ca.host_names().iter().fold(config, ServerConfig::allow_host);
    let chat = connections.listen(Bind::lan().port(port), with_names(config.tls(tls)))?;
    let next = if port == 0 { 0 } else { port.wrapping_add(1) };
    let no_sockets = with_names(ServerConfig::new().upgrade_paths(None::<String>));
    let trust = connections.listen(Bind::lan().port(next), no_sockets)?;
    let server = connections.server(chat);
    // The certificate may not name the address of the server's own `lan_http_url`.
    let chat = server.local_addr().and_then(|address| ca.lan_http_url(address, "/"));
    let chat = chat.or_else(|| server.http_url("/")).unwrap_or_default();
    let server = connections.server(trust);
    let trust = server.lan_http_url("/").or_else(|| server.http_url("/")).unwrap_or_default();
    println!("chat: {chat}\nto trust it, once on each device: {trust}\nSHA-256: {}", ca.fingerprint());
    println!("{}", ws_kit::chat::qr_code(&trust)?);

    let page = TrustPage::new(&ca).link(chat);
    Ok(Box::new(move |request| match request.tls() {
        Some(_) => pages::answer(request.method(), request.path()),
        None => page.respond(request).unwrap_or_else(web::not_found),
    }))
}

#[cfg(not(feature = "tls-self-signed"))]
fn listen_with_local_ca(_: &mut Connections, _: u16, _: ServerConfig) -> Result<Pages, Box<dyn Error>> {
    Err("for TLS on the network, build it with --features tls-self-signed".into())
}

/// Makes a certificate for this run.
#[cfg(feature = "tls")]
fn with_tls(config: ServerConfig) -> Result<ServerConfig, Box<dyn Error>> {
    use ws_server_mio::tls::{Identity, TlsServer};
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

/// Handles every event. A failed send or response needs no handling: its connection is closing, and
/// `Closed` follows; a page without a response reconnects.
fn handle(connections: &mut Connections, room: &mut Room<ConnectionId>, pages: &Pages, event: Event<'_>) {
    let (id, reply) = match event {
        Event::Request(id, request) => {
            let response = pages(&request);
            let _ = connections.respond(id, request, response);
            return;
        }
        Event::Message(id, Message::Text(text)) => match room.receive(id, &text, milliseconds()) {
            Ok(reply) => (id, reply),
            Err(wrong) => {
                let _ = connections.close(id, CloseCode::from(NOT_UNDERSTOOD), wrong);
                return;
            }
        },
        Event::Message(id, Message::Binary(_)) => {
            let _ = connections.close(id, CloseCode::UNSUPPORTED, "this chat accepts text only");
            return;
        }
        Event::Closed(id, _) => (id, room.leave(id)),
        _ => return,
    };
    if let Some(json) = reply.one {
        let _ = connections.send(id, json);
    }
    if let Some(json) = reply.all {
        connections.broadcast_where(&Frame::text(json), |_, id| room.contains(id));
    }
}

/// Milliseconds since 1970, as in JavaScript.
fn milliseconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
