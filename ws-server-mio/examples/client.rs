//! A WebSocket in the terminal: it sends each typed line as text, prints what it receives, and
//! reconnects when the connection ends.
//!
//! `cargo run -p ws-server-mio --example client -- ws://127.0.0.1:8700/`; with `--features tls` also `wss://`

#![allow(clippy::print_stderr)] // a program for the terminal

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use ws_server_mio::Initiator;
#[cfg(feature = "tls")]
use ws_server_mio::tls::TlsClient;
use ws_server_mio::{
    ClientConfig, ClientId, ClientRequest, ClientState, CloseCode, Connections, Endpoint, Event, Heartbeat,
    Message, Options, Proxy, Reconnect, Remote, Sent,
};

const USAGE: &str = "usage: client URL [--header 'Name: value']... [--subprotocol NAME]... [--origin ORIGIN] \
                     [--unix PATH] [--proxy URL|env] [--once] [--ca FILE | --pin HASH]";

fn arguments(
    mut args: impl Iterator<Item = String>,
) -> Result<(ClientRequest, ClientConfig), Box<dyn Error>> {
    // Lines wait in the outbox up to its high mark; a single line may be as long as a message.
    let rules = ClientConfig::new().heartbeat(Heartbeat::frequent()).outbox(64 << 10, 1 << 20, 32 << 20);
    let mut config = rules.reconnect(Reconnect::default());
    let mut request = ClientRequest::new(&args.next().ok_or("the URL is missing")?)?;
    while let Some(option) = args.next() {
        let mut value = || args.next().ok_or(format!("{option} needs a value"));
        match option.as_str() {
            "--header" => {
                let field = value()?;
                let (name, value) = field.split_once(':').ok_or("a header field is 'Name: value'")?;
                request = request.header(name, value.trim())?;
            }
            "--subprotocol" => request = request.subprotocol(&value()?)?,
            "--origin" => request = request.origin(&value()?)?,
            #[cfg(unix)]
            "--unix" => config = config.unix(value()?),
            "--proxy" => {
                let url = value()?;
                config = config.proxy(if url == "env" { Proxy::from_env()? } else { Proxy::new(&url)? });
            }
            "--once" => config = config.reconnect(None),
            #[cfg(feature = "tls")]
            "--ca" => config = config.tls(TlsClient::roots_only(std::fs::read(value()?)?)?),
            #[cfg(feature = "tls")]
            "--pin" => config = config.tls(TlsClient::system().pin(hash(&value()?)?)),
            _ => return Err(format!("unknown option {option}").into()),
        }
    }
    Ok((request, config))
}

/// 32 bytes in hexadecimal digits.
#[cfg(feature = "tls")]
fn hash(digits: &str) -> Result<[u8; 32], Box<dyn Error>> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(byte).collect();
    Ok(bytes.ok_or("a hash has hexadecimal digits")?.try_into().map_err(|_| "a hash has 64 digits")?)
}

/// Reads lines from the terminal. That blocks, so it has a thread of its own, which wakes the loop for each line and
/// waits while many lines are pending.
fn read_lines(remote: Remote) -> Receiver<String> {
    let (sender, lines) = sync_channel(64);
    std::thread::spawn(move || {
        for line in io::stdin().lock().split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
            if sender.send(line).is_err() || remote.run(|_| {}).is_err() {
                return;
            }
        }
        drop(sender);
        let _ = remote.run(|_| {});
    });
    lines
}

struct Client {
    id: ClientId,
    lines: Receiver<String>,
    /// The next line to send: it waits for a connection, or for room.
    next: Option<String>,
    congested: bool,
    /// The exit code, once the program is done.
    status: Option<ExitCode>,
}

impl Client {
    fn handle(&mut self, connections: &mut Connections, event: Event<'_>) {
        match event {
            Event::Open(_, response) => match response.headers().get("sec-websocket-protocol") {
                Some(name) => eprintln!("connected, subprotocol {name:?}"),
                None => eprintln!("connected"),
            },
            Event::Message(_, message) => self.print(&message),
            Event::Drained(_) => self.congested = false,
            Event::Closed(_, closed) => {
                eprintln!("{closed}");
                self.congested = false;
                let fine = closed.initiator == Initiator::Local || closed.code == CloseCode::NORMAL;
                self.exit_if_idle(connections, closed.clean && fine);
            }
            Event::ConnectFailed { error, .. } => {
                eprintln!("{error}");
                if let Some(response) = error.response() {
                    let body = harmless(&String::from_utf8_lossy(response.body()));
                    eprintln!("{:?}\n{body}", response.headers());
                }
                self.exit_if_idle(connections, false);
            }
            Event::Reconnecting { delay, .. } => eprintln!("again in {:.1} s", delay.as_secs_f32()),
            _ => {}
        }
    }

    fn print(&mut self, message: &Message<'_>) {
        let printed = match message {
            Message::Text(text) => writeln!(io::stdout(), "{}", harmless(text)),
            Message::Binary(data) => {
                writeln!(io::stdout(), "{} bytes {:02x?}", data.len(), &data[..data.len().min(16)])
            }
        };
        if printed.is_err() {
            self.status = Some(ExitCode::FAILURE); // the output is closed
        }
    }

    /// Ends the program when no attempt is pending.
    fn exit_if_idle(&mut self, connections: &mut Connections, fine: bool) {
        if connections.client(self.id).state() == ClientState::Idle {
            self.status = Some(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }

    /// Sends pending lines as far as they fit; after the last one it disconnects.
    fn send(&mut self, connections: &mut Connections) {
        let state = connections.client(self.id).state();
        while !self.congested {
            let line = match self.next.take().map_or_else(|| self.lines.try_recv(), Ok) {
                Ok(line) => line,
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    if matches!(state, ClientState::Open | ClientState::Waiting) {
                        connections.client(self.id).disconnect();
                        self.exit_if_idle(connections, false); // it had no connection to close
                    }
                    return;
                }
            };
            let connection = connections.client(self.id).connection().filter(|_| state == ClientState::Open);
            let Some(connection) = connection else { return self.next = Some(line) };
            match connections.send(connection, line) {
                Ok(sent) => self.congested = sent == Sent::Congested,
                Err(error) => eprintln!("not sent: {error}"),
            }
        }
    }
}

/// Text without terminal control characters.
fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut endpoint = Endpoint::with(Options::default().resolve_names())?;
    let connected = arguments(std::env::args().skip(1))
        .and_then(|(request, config)| Ok(endpoint.connections().connect(request, config)?));
    let id = match connected {
        Ok(id) => id,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return Ok(ExitCode::from(2));
        }
    };
    let lines = read_lines(endpoint.remote());
    let mut client = Client { id, lines, next: None, congested: false, status: None };
    loop {
        endpoint.poll(None, |connections, event| client.handle(connections, event))?;
        client.send(endpoint.connections());
        if let Some(status) = client.status {
            return Ok(status);
        }
    }
}
