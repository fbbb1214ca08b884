//! A client for conformance suites that listen, such as Autobahn's: it requests the number of cases, connects for each
//! and echoes messages until the suite ends the connection, and finally requests the reports.
//!
//! `cargo run --release -p ws-server-smol --example async_conformance_client -- ws://127.0.0.1:9001`, followed by
//! `deflate` to compress; with `--features tls`, `wss://…` followed by `--ca=FILE`

use std::error::Error;
use ws_server_smol::{ClientConfig, Deflate, connect};

const AGENT: &str = "ws-server-smol";

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("usage: async_conformance_client URL [deflate] [--ca=FILE]")?;
    // The cases include messages of 16 MiB, and floods of pings.
    let mut config =
        ClientConfig::new().message_limit(64 << 20).outbox(64 << 10, 1 << 20, 80 << 20).frame_rate(None);
    for word in std::env::args().skip(2) {
        match word.split_once('=').unwrap_or((&word, "")) {
            ("deflate", _) => config = config.deflate(Deflate::new().inflate_rate(None)),
            #[cfg(feature = "tls")]
            ("--ca", file) => {
                config = config.tls(ws_server_smol::tls::TlsClient::roots_only(std::fs::read(file)?)?);
            }
            _ => return Err(format!("unknown argument {word}").into()),
        }
    }
    async_io::block_on(walk(&url, &config))
}

async fn walk(url: &str, config: &ClientConfig) -> Result<(), Box<dyn Error>> {
    let mut count = None::<u32>;
    let mut ws = connect(format!("{url}/getCaseCount").as_str(), config.clone()).await?;
    while let Some(Ok(message)) = ws.next().await {
        count = message.as_text().and_then(|count| count.parse().ok());
    }
    for case in 1..=count.ok_or("the suite did not report how many cases it has")? {
        let url = format!("{url}/runCase?case={case}&agent={AGENT}");
        let mut ws = connect(url.as_str(), config.clone()).await?;
        // Many cases violate the protocol, and end with an error here.
        while let Some(Ok(message)) = ws.next().await {
            if ws.try_send(message).is_err() {
                break; // the suite requests more than it reads
            }
        }
    }
    let mut ws = connect(format!("{url}/updateReports?agent={AGENT}").as_str(), config.clone()).await?;
    while let Some(Ok(_)) = ws.next().await {}
    Ok(())
}
