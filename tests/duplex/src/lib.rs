//! The messages that each end of these exchanges sends and receives, whichever library it uses.
//!
//! A program is started as `PROGRAM server SCENARIO COUNT LENGTH`, prints its URL, and serves until it is killed; or as
//! `PROGRAM client SCENARIO COUNT LENGTH URL`. LENGTH is that of each message in bytes; its first four are its number.
//!
//! When a WebSocket has ended, the program prints one line: `end`, how many messages it sent and received, the close
//! code, the reason, and the explanation of the close, with tabs between them.

#![allow(clippy::print_stdout)] // output for the parent program

pub mod ours;

use std::error::Error;
use std::fmt::Display;

/// How many bytes [`Scenario::Kept`] keeps queued.
pub const KEPT: usize = 512 << 10;
const ALL: &str = "all";

/// The behaviour of one end. Every setting has its default, except the heartbeats of `Give` and `Take`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Sends COUNT messages as soon as it is open, whatever a send returns, and receives as many.
    Burst,
    /// The same with back-pressure, as documented.
    Paced,
    /// Sends COUNT messages as soon as it is open, and receives their echoes.
    Upload,
    /// Echoes.
    Echo,
    /// Sends COUNT messages as soon as it is open, and waits for the close.
    Feed,
    /// Sends until `Full`, again at each `Drained`, until "stop" arrives.
    Full,
    /// Sends until `Congested`, again at each `Drained`, until "stop" arrives.
    Congested,
    /// Keeps [`KEPT`] bytes queued until "stop" arrives.
    Kept,
    /// Sends COUNT messages with a fast heartbeat.
    Give,
    /// Receives COUNT messages with a fast heartbeat.
    Take,
    /// An HTTP server of at most COUNT connections; `/events` is an idle stream.
    Events,
}

/// The action of an end after a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    Nothing,
    /// Sends this text.
    Send(&'static str),
    /// Echoes.
    Echo,
    /// Closes with 1000.
    Close,
}

/// The messages sent and received on one connection.
#[derive(Debug)]
pub struct Exchange {
    pub scenario: Scenario,
    count: u32,
    length: usize,
    client: bool,
    sent: u32,
    received: u32,
    stopped: bool,
    /// Whether the peer has received everything.
    peer_done: bool,
    fault: Option<String>,
}

impl Exchange {
    pub fn new(arguments: &Arguments) -> Self {
        Self {
            scenario: arguments.scenario,
            count: arguments.count,
            length: arguments.length,
            client: arguments.url.is_some(),
            sent: 0,
            received: 0,
            stopped: false,
            peer_done: false,
            fault: None,
        }
    }

    /// Returns the next message to send, its number first; `None` when all were accepted.
    pub fn next_message(&self) -> Option<Vec<u8>> {
        let continues = match self.scenario {
            Scenario::Burst | Scenario::Paced | Scenario::Upload | Scenario::Feed | Scenario::Give => {
                self.sent < self.count
            }
            Scenario::Full | Scenario::Congested | Scenario::Kept => !self.stopped,
            Scenario::Echo | Scenario::Take | Scenario::Events => false,
        };
        if !continues {
            return None;
        }
        let mut message = vec![0; self.length];
        message.first_chunk_mut::<4>()?.copy_from_slice(&self.sent.to_be_bytes());
        Some(message)
    }

    /// Counts a message that was accepted.
    pub fn record_sent(&mut self) {
        self.sent += 1;
    }

    /// Handles the bytes of a received text or binary message.
    pub fn receive(&mut self, message: &[u8]) -> Step {
        if message == ALL.as_bytes() {
            self.peer_done = true;
        } else if message == b"stop" {
            self.stopped = true;
            println!("stopped\t{}", self.sent);
        } else if self.scenario == Scenario::Echo {
            self.received += 1;
            self.sent += 1;
            return Step::Echo;
        } else {
            let number = message.first_chunk().map(|number| u32::from_be_bytes(*number));
            if number != Some(self.received) || message.len() != self.length {
                self.fail(format!("{} bytes, numbered {number:?}", message.len()));
                return Step::Close;
            }
            self.received += 1;
            if self.has_all() && self.scenario != Scenario::Upload {
                return if self.is_done() { Step::Close } else { Step::Send(ALL) };
            }
        }
        if self.is_done() { Step::Close } else { Step::Nothing }
    }

    /// Whether this end is a client.
    pub fn is_client(&self) -> bool {
        self.client
    }

    /// Records the first fault at this end.
    pub fn fail(&mut self, fault: impl Display) {
        self.fault.get_or_insert(fault.to_string());
    }

    fn has_all(&self) -> bool {
        self.received == self.count
    }

    /// Whether this end closes the connection, and may do so now.
    fn is_done(&self) -> bool {
        match self.scenario {
            // Both received everything; the client closes.
            Scenario::Burst | Scenario::Paced => self.client && self.has_all() && self.peer_done,
            Scenario::Upload => self.has_all(),
            Scenario::Give => self.peer_done,
            _ => false,
        }
    }

    pub fn end(&self, code: u16, reason: &str, what: impl Display) {
        let what = self.fault.clone().unwrap_or_else(|| what.to_string()).replace(['\n', '\t'], " ");
        println!("end\t{}\t{}\t{code}\t{reason}\t{what}", self.sent, self.received);
    }
}

/// How a program was started.
#[derive(Clone, Debug)]
pub struct Arguments {
    pub scenario: Scenario,
    pub count: u32,
    pub length: usize,
    /// For a client.
    pub url: Option<String>,
}

impl Arguments {
    pub fn read() -> Result<Self, Box<dyn Error>> {
        const USAGE: &str = "usage: server SCENARIO COUNT LENGTH, or client SCENARIO COUNT LENGTH URL";
        let arguments: Vec<_> = std::env::args().skip(1).collect();
        let (role, scenario, numbers, url) = match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..]
        {
            [role @ "server", scenario, count, length] => (*role, *scenario, (*count, *length), None),
            [role @ "client", scenario, count, length, url] => {
                (*role, *scenario, (*count, *length), Some((*url).to_owned()))
            }
            _ => return Err(USAGE.into()),
        };
        let scenario = match scenario {
            "burst" => Scenario::Burst,
            "paced" => Scenario::Paced,
            "upload" if role == "client" => Scenario::Upload,
            "echo" => Scenario::Echo,
            "feed" => Scenario::Feed,
            "full" => Scenario::Full,
            "congested" => Scenario::Congested,
            "kept" => Scenario::Kept,
            "give" => Scenario::Give,
            "take" => Scenario::Take,
            "events" if role == "server" => Scenario::Events,
            _ => return Err(USAGE.into()),
        };
        Ok(Self { scenario, count: numbers.0.parse()?, length: numbers.1.parse()?, url })
    }
}
