//! A recorded connection: its events and their times, in lines of text, and its application.
//!
//! ```text
//! # a comment
//! server                          which end was recorded; for a client: client URL
//! 0 < 474554202f…                 nanoseconds since the start, and the event:
//! 81344 > 485454502f…             < from the peer, > taken by the socket, both in hexadecimal;
//! 250000000 timeout               the deadline; end and reset of the peer's stream; shut and drop of ours
//! ```
//!
//! The example `record` writes traces; the test `replay` replays them on another connection. Both use [`Driven`], so
//! the application behaves identically.

use bytes::{Buf, Bytes};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use ws_proto::{
    ClientRequest, CloseCode, Config, Connection, Error, Event, Heartbeat, IoAction, Message, Moment,
    Request, RespondError,
};

/// A recorded event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Received(Vec<u8>),
    Wrote(Vec<u8>),
    Timeout,
    End,
    Reset,
    Shut,
    Drop,
}

/// The recorded end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    Server,
    Client(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Time since the connection began.
    pub at: Duration,
    pub action: Action,
}

impl Record {
    pub fn line(&self) -> String {
        let mut line = format!("{} ", self.at.as_nanos());
        let mut hex = |sign, bytes: &[u8]| {
            line.push_str(sign);
            for byte in bytes {
                let _ = write!(line, "{byte:02x}");
            }
        };
        match &self.action {
            Action::Received(bytes) => hex("< ", bytes),
            Action::Wrote(bytes) => hex("> ", bytes),
            Action::Timeout => line.push_str("timeout"),
            Action::End => line.push_str("end"),
            Action::Reset => line.push_str("reset"),
            Action::Shut => line.push_str("shut"),
            Action::Drop => line.push_str("drop"),
        }
        line
    }

    fn parse(line: &str) -> Option<Self> {
        let (at, action) = line.split_once(' ')?;
        let action = match action.split_once(' ') {
            Some(("<", hex)) => Action::Received(bytes(hex)?),
            Some((">", hex)) => Action::Wrote(bytes(hex)?),
            Some(_) => return None,
            None => match action {
                "timeout" => Action::Timeout,
                "end" => Action::End,
                "reset" => Action::Reset,
                "shut" => Action::Shut,
                "drop" => Action::Drop,
                _ => return None,
            },
        };
        Some(Self { at: Duration::from_nanos(at.parse().ok()?), action })
    }
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let pairs = (0..hex.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect()
}

/// Reads a trace. The error is the malformed line.
pub fn parse(text: &str) -> Result<(Role, Vec<Record>), String> {
    let mut lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let role = match lines.next().unwrap_or_default().split_once(' ') {
        None => Role::Server,
        Some(("client", url)) => Role::Client(url.to_owned()),
        Some((other, _)) => return Err(other.to_owned()),
    };
    let records = lines.map(|line| Record::parse(line).ok_or_else(|| line.to_owned()));
    Ok((role, records.collect::<Result<_, _>>()?))
}

/// A connection with its application. Every call takes the time explicitly.
pub struct Driven {
    pub connection: Connection,
    /// Input left by a paused connection.
    unread: Vec<u8>,
    is_client: bool,
    /// The number of messages received.
    received: usize,
    /// How the connection ended, in a sentence.
    pub ended: Option<String>,
}

/// The recorded server's page: a browser that opens it holds a conversation.
pub const PAGE: &str = r#"<!doctype html><title>open</title><script>
const socket = new WebSocket(`ws://${location.host}/chat`);
socket.binaryType = 'arraybuffer';
const said = ['hello', new Uint8Array(300).fill(165), 'gr\u00fc\u00df dich \ud83d\ude00', ''];
socket.onopen = () => socket.send(said[0]);
let heard = 0;
socket.onmessage = () => {
  heard += 1;
  // The server's heartbeat comes while the page is quiet.
  if (heard < said.length) setTimeout(() => socket.send(said[heard]), 300);
  else socket.close(4000, 'that was all');
};
socket.onclose = (event) => { document.title = `closed ${event.code} ${event.wasClean}`; };
</script>
"#;

impl Driven {
    /// Uses fixed settings rather than the current defaults, so that a trace keeps its meaning.
    pub fn new(now: Moment, role: &Role) -> Self {
        let heartbeat = Heartbeat::frequent().idle(Duration::from_millis(250)).payload("there?");
        let connection = match role {
            Role::Server => {
                let config = Config::server().heartbeat(heartbeat).keep_alive(Duration::from_secs(2));
                Connection::server(now, Arc::new(config), Default::default())
            }
            Role::Client(url) => {
                let request = ClientRequest::new(url).and_then(|request| request.subprotocol("chat"));
                let request = request.unwrap_or_else(|error| panic!("{url}: {error}"));
                // A recorded key is not secret anyway.
                Connection::client(now, Arc::new(Config::client().heartbeat(heartbeat)), request, [7; 32])
            }
        };
        let is_client = *role != Role::Server;
        Self { connection, unread: Vec::new(), is_client, received: 0, ended: None }
    }

    /// Applies a recorded event, except for writes.
    pub fn apply(&mut self, now: Moment, action: &Action) {
        match action {
            Action::Received(bytes) => self.unread.extend_from_slice(bytes),
            Action::Wrote(bytes) => self.connection.handle_written(now, bytes.len()),
            Action::Timeout => self.connection.handle_timeout(now),
            Action::End => self.connection.handle_eof(now),
            Action::Reset => self.connection.abort(now, Error::Io(std::io::ErrorKind::ConnectionReset)),
            Action::Shut | Action::Drop => {}
        }
        self.react(now);
    }

    /// Whether the peer may be read: earlier input is used up.
    pub fn may_read(&self) -> bool {
        self.unread.is_empty()
    }

    fn react(&mut self, now: Moment) {
        let mut bytes = std::mem::take(&mut self.unread);
        let mut input = &mut bytes[..];
        while let Some(event) = self.connection.handle_input(now, &mut input) {
            self.handle(now, event);
        }
        self.unread = input.to_vec();
        while let Some(event) = self.connection.poll_event(now) {
            self.handle(now, event);
        }
    }

    /// A server echoes and has a page; a client sends a few messages and closes. A send rejected for lack of room or
    /// because the connection is closing is rejected again on replay.
    fn handle(&mut self, now: Moment, event: Event<'_>) {
        match event {
            Event::Request(request) => drop(self.answer(now, request)),
            Event::Upgrade(mut upgrade) => {
                let _ = upgrade.select_subprotocol("chat");
                let _ = self.connection.accept(now, upgrade);
            }
            Event::Open(_) if self.is_client => drop(self.connection.send("hello")),
            Event::Message(message) if self.is_client => {
                self.received += 1;
                let _ = match self.received {
                    1 => self.connection.send(vec![0xa5; 300]).map(drop),
                    2 => self.connection.send_ping(now, b"are you there").map(drop),
                    _ => Ok(()),
                };
                let _ = self.connection.send(message);
                if self.received == 4 {
                    let _ = self.connection.close(now, CloseCode::NORMAL, "that was all");
                }
            }
            Event::Message(Message::Text(text)) if text == "close" => {
                let _ = self.connection.close(now, CloseCode::NORMAL, "as you wish");
            }
            Event::Message(message) => drop(self.connection.send(message)),
            Event::Closed(closed) => self.ended = Some(closed.to_string()),
            _ => {}
        }
    }

    fn answer(&mut self, now: Moment, request: Request) -> Result<(), RespondError> {
        let mut response = http::Response::new(Bytes::new());
        match request.path() {
            "/" => {
                *response.body_mut() = Bytes::from_static(PAGE.as_bytes());
                let html = http::HeaderValue::from_static("text/html");
                response.headers_mut().insert(http::header::CONTENT_TYPE, html);
            }
            "/echo" => *response.body_mut() = request.http().body().clone(),
            "/stream" => {
                let body =
                    self.connection.http().respond_streaming(now, request, http::Response::new(()), None)?;
                for chunk in ["one\n", "two\n", "three\n"] {
                    self.connection.http().send_body(&body, chunk)?;
                }
                return self.connection.http().finish_body(now, body);
            }
            _ => *response.status_mut() = http::StatusCode::NOT_FOUND,
        }
        self.connection.respond(now, request, response)
    }

    /// The next output to write.
    pub fn output(&mut self) -> &[u8] {
        Buf::chunk(self.connection.outbox())
    }

    /// The next action on the socket itself.
    pub fn poll_io(&mut self) -> IoAction {
        self.connection.poll_io()
    }
}
