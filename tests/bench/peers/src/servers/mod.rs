//! The servers in Rust. Each has one thread, echoes on any path, and on `/broadcast` sends each message to all
//! connections of that path.

mod mio;
mod smol;
mod tokio_tungstenite;

use std::error::Error;
use std::net::SocketAddr;

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
