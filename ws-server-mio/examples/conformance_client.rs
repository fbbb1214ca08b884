//! A client for conformance suites that listen, such as Autobahn's: it requests the number of cases, connects for
//! each and echoes messages until the suite ends the connection, and finally requests the reports.
//!
//! `cargo run --release -p ws-server-mio --example conformance_client -- ws://127.0.0.1:9001`, followed by `deflate` to
//! compress; with `--features tls`, `wss://…` followed by `--ca=FILE`

use std::error::Error;
use ws_server_mio::{ClientConfig, ConnectionId, Connections, Deflate, Endpoint, Event, Message, Options};

const AGENT: &str = "ws-server-mio";

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("usage: conformance_client URL [deflate] [--ca=FILE]")?;
    // The cases include messages of 16 MiB, and floods of pings.
    let mut config = ClientConfig::new()
        .message_limit(64 << 20)
        .outbox(64 << 10, 1 << 20, 80 << 20)
        .frame_rate(None)
        .forget_when_closed(true);
    for word in std::env::args().skip(2) {
        match word.split_once('=').unwrap_or((&word, "")) {
            ("deflate", _) => config = config.deflate(Deflate::new().inflate_rate(None)),
            #[cfg(feature = "tls")]
            ("--ca", file) => {
                config = config.tls(ws_server_mio::tls::TlsClient::roots_only(std::fs::read(file)?)?);
            }
            _ => return Err(format!("unknown argument {word}").into()),
        }
    }
    let mut suite = Suite { url, config, endpoint: Endpoint::with(Options::default().resolve_names())? };

    let mut count = None::<u32>;
    suite.visit("/getCaseCount", |_, _, message| {
        count = message.as_text().and_then(|count| count.parse().ok());
    })?;
    for case in 1..=count.ok_or("the suite did not report how many cases it has")? {
        suite.visit(&format!("/runCase?case={case}&agent={AGENT}"), |connections, id, message| {
            if connections.send(id, message).is_err() {
                connections.terminate(id); // it sends more than it reads
            }
        })?;
    }
    suite.visit(&format!("/updateReports?agent={AGENT}"), |_, _, _| {})
}

struct Suite {
    url: String,
    config: ClientConfig,
    endpoint: Endpoint,
}

impl Suite {
    /// Runs one connection, and passes its messages on.
    fn visit(
        &mut self,
        path: &str,
        mut received: impl FnMut(&mut Connections, ConnectionId, Message<'_>),
    ) -> Result<(), Box<dyn Error>> {
        let url = format!("{}{path}", self.url);
        self.endpoint.connections().connect(url.as_str(), self.config.clone())?;
        let mut end = None;
        while end.is_none() {
            self.endpoint.poll(None, |connections, event| match event {
                Event::Message(id, message) => received(connections, id, message),
                Event::Closed(..) => end = Some(Ok(())),
                Event::ConnectFailed { error, .. } => end = Some(Err(error)),
                _ => {}
            })?;
        }
        Ok(end.transpose().map(drop)?)
    }
}
