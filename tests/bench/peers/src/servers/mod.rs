//! The servers in Rust. Each has one thread, echoes on any path, and on `/broadcast` sends each message to all
//! connections of that path.

mod mio;
mod smol;
mod tokio_tungstenite;

use std::error::Error;
use std::net::SocketAddr;
use ws_server_mio::ServerConfig;
use ws_server_mio::tls::TlsServer;

/// The files of a chain and of its key, for a server with TLS.
type Certificate<'a> = Option<(&'a str, &'a str)>;

/// Serves until the process is killed.
pub fn serve(name: &str, certificate: Certificate<'_>) -> Result<(), Box<dyn Error>> {
    ws_bench::system::raise_descriptors();
    match name {
        "mio" => mio::serve(certificate),
        "smol" => smol::serve(certificate),
        "tokio-tungstenite" => tokio_tungstenite::serve(certificate),
        _ => Err(format!("no server {name}").into()),
    }
}

/// Says to the load where it listens.
fn announce(address: Option<SocketAddr>) -> Result<(), Box<dyn Error>> {
    println!("{}", address.ok_or("the server has no address")?);
    Ok(())
}

/// The configuration of both our servers: for so many connections and such messages, without a limit for floods.
fn config(certificate: Certificate<'_>) -> Result<ServerConfig, Box<dyn Error>> {
    let config = ServerConfig::new()
        .max_connections(20_000)
        .message_limit(64 << 20)
        .outbox(64 << 10, 1 << 20, 80 << 20)
        .frame_rate(None);
    Ok(match certificate {
        None => config,
        Some((chain, key)) => config.tls(TlsServer::from_files(chain, key)?),
    })
}
