//! The peers at the other end of the fake sockets: WebSocket clients, HTTP clients, and those that only
//! send bytes.

use super::app::{App, Said, content};
use super::far_side::Received;
use super::kernel::Kernel;
use super::replies::Replies;
use super::rng::Rng;
use std::sync::Arc;
use std::time::{Duration, Instant};
use ws_proto::{
    Cause, ClientRequest, CloseCode, Closed, Config, Connection, Event, Frame, Heartbeat, Message, Next,
    Opcode, State,
};

/// How a peer behaves; whoever is not `Good` breaks its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Good,
    /// It did something that ends a connection.
    Broken,
    /// Nothing comes from it any more, not even an end.
    Vanished,
}

pub(super) struct Peer {
    pub(super) number: usize,
    pub(super) socket: usize,
    pub(super) health: Health,
    /// Whether it reads now, and how much at once.
    pub(super) reads: bool,
    pub(super) pace: usize,
    /// Its socket is closed.
    pub(super) left: bool,
    ended: bool,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    WebSocket(Box<WebSocket>),
    Http(Replies),
    /// Bytes, and no interest in what comes back.
    Raw(Vec<u8>),
}

pub(super) struct WebSocket {
    connection: Connection,
    pub(super) open: bool,
    /// How many of what the server said it has got.
    pub(super) got: usize,
    latest: usize,
    pub(super) closes: bool,
    pub(super) closed: Option<Box<Closed>>,
}

impl Peer {
    pub(super) fn new(number: usize, socket: usize, rng: &mut Rng, kind: Kind) -> Self {
        let health = if matches!(kind, Kind::Raw(_)) { Health::Broken } else { Health::Good };
        let pace = rng.pick(&[3, 100, 5000, 1 << 20]);
        Self { number, socket, health, reads: true, pace, left: false, ended: false, kind }
    }

    pub(super) fn web_socket(number: usize, now: Instant, rng: &mut Rng) -> Kind {
        let request = ClientRequest::new(&format!("ws://localhost/ws/{number}")).unwrap();
        let config = Config::client()
            .heartbeat(Heartbeat::off())
            .handshake_timeout(Duration::from_secs(3600))
            .close_timeout(Duration::from_secs(3600))
            .outbox(8 << 20, 16 << 20, 64 << 20);
        let connection = Connection::client(now, Arc::new(config), request, [rng.next() as u8; 32]);
        let (closes, closed) = (false, None);
        Kind::WebSocket(Box::new(WebSocket { connection, open: false, got: 0, latest: 0, closes, closed }))
    }

    /// Sends its next message, if it has a WebSocket that is open; of one, two or three fragments.
    pub(super) fn say(&mut self, app: &mut App<'_>, len: usize, fragments: usize) {
        let Kind::WebSocket(socket) = &mut self.kind else { return };
        if !socket.open || socket.closes || self.left {
            return;
        }
        if socket.connection.state() != State::Open {
            return;
        }
        let lengths = &mut app.records[self.number].lengths;
        let data = content(self.number, lengths.len(), len);
        lengths.push(len);
        let text = lengths.len().is_multiple_of(3);
        let opcode = if text { Opcode::Text } else { Opcode::Binary };
        if fragments == 1 {
            let frame = Frame::raw(opcode, true, data).unwrap();
            socket.connection.send(&frame).unwrap();
            return;
        }
        for k in 0..fragments {
            let part = &data[len * k / fragments..len * (k + 1) / fragments];
            let opcode = if k == 0 { opcode } else { Opcode::Continuation };
            let frame = Frame::raw(opcode, k + 1 == fragments, part).unwrap();
            socket.connection.send(&frame).unwrap();
        }
    }

    pub(super) fn ping(&mut self, now: Instant) {
        if let Kind::WebSocket(socket) = &mut self.kind
            && socket.open
        {
            let _ = socket.connection.send_ping(now, b"ping");
        }
    }

    pub(super) fn close(&mut self, now: Instant) {
        if let Kind::WebSocket(socket) = &mut self.kind
            && socket.open
        {
            socket.closes = true;
            let _ = socket.connection.close(now, CloseCode::NORMAL, "bye");
        }
    }

    /// It ends its stream in the middle of whatever there is.
    pub(super) fn half_close(&mut self, kernel: &Kernel) {
        if !self.ended {
            self.ended = true;
            kernel.lock().fin(self.socket);
        }
    }

    pub(super) fn leave(&mut self, kernel: &Kernel) {
        if !self.left {
            (self.left, self.ended) = (true, true);
            kernel.lock().leave(self.socket);
        }
    }

    pub(super) fn reset(&mut self, kernel: &Kernel) {
        if !self.left {
            (self.left, self.ended) = (true, true);
            kernel.lock().reset(self.socket);
        }
    }

    /// Sends bytes past its own engine.
    pub(super) fn spoil(&mut self, kernel: &Kernel, bytes: &[u8]) {
        if !self.ended {
            kernel.lock().send(self.socket, bytes);
        }
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        match &self.kind {
            Kind::WebSocket(socket) if !self.left && self.health != Health::Vanished => {
                socket.connection.poll_timeout()
            }
            _ => None,
        }
    }

    /// Reads, writes, and checks what came; says whether anything moved.
    pub(super) fn pump(&mut self, kernel: &Kernel, now: Instant, app: &App<'_>) -> bool {
        if self.left || self.health == Health::Vanished {
            return false;
        }
        let mut moved = false;
        if self.reads {
            let received = kernel.lock().receive(self.socket, self.pace);
            moved |= matches!(received, Received::Bytes(_));
            match &mut self.kind {
                Kind::WebSocket(socket) => socket.receive(now, received, self.number, app),
                Kind::Http(replies) => replies.receive(received),
                Kind::Raw(_) => {
                    if matches!(received, Received::End | Received::Reset) {
                        self.leave(kernel);
                        return true;
                    }
                }
            }
        }
        match &mut self.kind {
            Kind::WebSocket(socket) => {
                let connection = &mut socket.connection;
                if connection.poll_timeout().is_some_and(|at| at <= now) {
                    connection.handle_timeout(now);
                }
                while !self.ended && !connection.outbox().is_empty() {
                    let n = kernel.lock().send(self.socket, bytes::Buf::chunk(connection.outbox()));
                    connection.wrote(now, n);
                    if n == 0 {
                        break;
                    }
                    moved = true;
                }
                socket.poll(now);
                match socket.connection.next_io() {
                    Next::Shutdown => self.half_close(kernel),
                    Next::Drop => {
                        self.leave(kernel);
                        moved = true;
                    }
                    _ => {}
                }
            }
            Kind::Http(replies) => {
                if !self.ended {
                    let n = kernel.lock().send(self.socket, &replies.requests);
                    replies.requests.drain(..n);
                    moved |= n > 0;
                }
                let (over, gone) =
                    (replies.requests.is_empty() && replies.half_closes, replies.ended.is_some());
                if over {
                    self.half_close(kernel);
                }
                if gone {
                    self.leave(kernel);
                    moved = true;
                }
            }
            Kind::Raw(bytes) => {
                if !self.ended {
                    let n = kernel.lock().send(self.socket, bytes);
                    bytes.drain(..n);
                }
            }
        }
        moved
    }

    /// Whether it has all that it may expect while nobody ends anything.
    pub(super) fn is_content(&self, app: &App<'_>) -> bool {
        let record = &app.records[self.number];
        match &self.kind {
            Kind::WebSocket(socket) => {
                self.left
                    || socket.open
                        && record.heard == record.lengths.len()
                        && socket.got == record.said.len()
                        && socket.latest >= record.latest
            }
            Kind::Http(replies) => self.left || replies.expected.is_empty(),
            Kind::Raw(_) => true,
        }
    }
}

impl WebSocket {
    fn receive(&mut self, now: Instant, received: Received, number: usize, app: &App<'_>) {
        let mut bytes = match received {
            Received::Bytes(bytes) => bytes,
            Received::Nothing => return,
            Received::End => return self.connection.receive_eof(now),
            Received::Reset => {
                return self.connection.abort(now, Cause::Io(std::io::ErrorKind::ConnectionReset));
            }
        };
        let mut input = &mut bytes[..];
        while let Some(event) = self.connection.receive(now, &mut input) {
            match event {
                Event::Open(_) => self.open = true,
                Event::Message(message) => self.check(&message, number, app),
                Event::Pong(_) => {}
                event => panic!("{event:?}"),
            }
        }
        assert!(input.is_empty());
    }

    fn check(&mut self, message: &Message<'_>, number: usize, app: &App<'_>) {
        let record = &app.records[number];
        if let Some(text) = message.as_text()
            && let Some(latest) = text.strip_prefix("latest ")
        {
            let latest = latest.trim().parse().unwrap();
            assert!(latest > self.latest, "peer {number} got {latest} after {}", self.latest);
            self.latest = latest;
            return;
        }
        let Some(said) = record.said.get(self.got) else { panic!("peer {number} got what nobody said") };
        match *said {
            Said::Echo(n) => {
                assert!(
                    message.as_bytes() == content(number, n, record.lengths[n]),
                    "echo {n} of peer {number}"
                );
            }
            Said::News(seq) => assert_eq!(message.as_text(), Some(&*format!("news {seq}"))),
        }
        self.got += 1;
    }

    fn poll(&mut self, now: Instant) {
        while let Some(event) = self.connection.poll_event(now) {
            match event {
                Event::Open(_) => self.open = true,
                Event::Closed(closed) => {
                    assert!(self.closed.is_none());
                    self.closed = Some(closed);
                }
                _ => {}
            }
        }
    }
}
