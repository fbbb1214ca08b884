//! The peers at the other end of the fake sockets: WebSocket clients, HTTP clients, and peers that only send bytes.

use super::app::{App, content};
use super::kernel::Kernel;
use super::remote_peer::Received;
use super::replies::Replies;
use super::rng::Rng;
use super::streams::Reader;
use super::web_socket::WebSocket;
use std::time::Duration;
use ws_proto::{CloseCode, Frame, IoAction, Moment, Opcode, State};

/// How a peer behaves; a peer that is not `Good` breaks its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Good,
    /// It has violated the protocol, which ends its connection.
    Broken,
    /// Nothing more arrives from it, not even EOF.
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
    /// It reads a tenth of that each tenth of a second, starting at this time.
    pub(super) rate: Option<usize>,
    reads_at: Option<Moment>,
    /// It sent a Close: the offset in its output where that ends.
    pub(super) farewell: Option<u64>,
    /// It requested that the application stop: the offset in its output where that ends, and when it had arrived.
    pub(super) asks_to_stop: Option<(u64, Option<Moment>)>,
    /// How much of its output was read, and when it was last alive, read or was paused.
    pub(super) last_read: Option<u64>,
    pub(super) silent: Option<Moment>,
    /// Since when its reset is noticeable.
    pub(super) reset_at: Option<Moment>,
}

/// What a slow reader reads in a second.
pub(super) const SLOW: usize = 40_000;

/// The code and the reason of a peer that sends a Close and vanishes.
pub(super) const FAREWELL: (u16, &str) = (4005, "gone");

pub(super) enum Kind {
    WebSocket(Box<WebSocket>),
    Http(Replies),
    Stream(Reader),
    /// It sends bytes, and ignores what it gets.
    Raw(Vec<u8>),
}

impl Peer {
    pub(super) fn new(number: usize, socket: usize, rng: &mut Rng, kind: Kind) -> Self {
        let health = if matches!(kind, Kind::Raw(_)) { Health::Broken } else { Health::Good };
        let pace = rng.pick(&[3, 100, 5000, 1 << 20]);
        Self {
            number,
            socket,
            health,
            reads: true,
            pace,
            left: false,
            ended: false,
            kind,
            rate: None,
            reads_at: None,
            farewell: None,
            asks_to_stop: None,
            last_read: None,
            silent: None,
            reset_at: None,
        }
    }

    /// Sends its next message in one, two or three fragments, if it has an open WebSocket.
    pub(super) fn say(&mut self, app: &mut App<'_>, len: usize, fragments: usize) {
        let Kind::WebSocket(socket) = &mut self.kind else { return };
        if !socket.events.is_open() || socket.closes || self.left {
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
        // A peer with a small outbox may be at its cap.
        if fragments == 1 || socket.connection.config().get_outbox_cap() < 64 << 20 {
            let frame = Frame::raw(opcode, true, data).unwrap();
            if socket.connection.send(&frame).is_err() {
                lengths.pop();
            }
            return;
        }
        for k in 0..fragments {
            let part = &data[len * k / fragments..len * (k + 1) / fragments];
            let opcode = if k == 0 { opcode } else { Opcode::Continuation };
            let frame = Frame::raw(opcode, k + 1 == fragments, part).unwrap();
            socket.connection.send(&frame).unwrap();
        }
    }

    pub(super) fn ping(&mut self, now: Moment) {
        if let Kind::WebSocket(socket) = &mut self.kind
            && socket.events.is_open()
        {
            let _ = socket.connection.send_ping(now, b"ping");
        }
    }

    pub(super) fn close(&mut self, now: Moment) {
        if let Kind::WebSocket(socket) = &mut self.kind
            && socket.events.is_open()
        {
            socket.closes = true;
            let _ = socket.connection.close(now, CloseCode::NORMAL, "bye");
        }
    }

    /// Sends a Close as soon as nothing else is in the way, and vanishes.
    pub(super) fn say_farewell(&mut self, kernel: &Kernel, now: Moment, by_reset: bool) {
        let Kind::WebSocket(socket) = &mut self.kind else { return };
        let connection = &mut socket.connection;
        let is_ready =
            socket.events.is_open() && connection.state() == State::Open && connection.outbox().is_empty();
        if !is_ready || self.health != Health::Good || self.left || self.ended {
            return;
        }
        let _ = connection.close(now, CloseCode::from(FAREWELL.0), FAREWELL.1);
        let n = kernel.lock().send(self.socket, bytes::Buf::chunk(connection.outbox()));
        let is_whole = n == connection.outbox().len();
        connection.handle_written(now, n);
        self.health = Health::Broken;
        if is_whole {
            self.farewell = Some(kernel.lock().sockets[self.socket].bytes_sent);
        }
        (self.left, self.ended) = (true, true);
        match by_reset {
            true => kernel.lock().reset_late(self.socket),
            false => kernel.lock().leave(self.socket),
        }
    }

    /// Leaves its stream.
    pub(super) fn leave_stream(&mut self, kernel: &Kernel, now: Moment, by_reset: bool) {
        let Kind::Stream(reader) = &mut self.kind else { return };
        if !reader.has_begun() || !reader.requests.is_empty() || reader.ended {
            return;
        }
        reader.left_at = Some((now, !by_reset));
        self.health = Health::Broken;
        match by_reset {
            true => self.reset(kernel),
            false => self.half_close(kernel),
        }
    }

    /// Requests that the application stop sending.
    pub(super) fn ask_to_stop(&mut self, kernel: &Kernel, now: Moment) {
        let Kind::WebSocket(socket) = &mut self.kind else { return };
        if !socket.events.is_open() || self.left || self.asks_to_stop.is_some() {
            return;
        }
        if socket.connection.send("stop").is_ok() {
            let n = kernel.lock().send(self.socket, bytes::Buf::chunk(socket.connection.outbox()));
            socket.connection.handle_written(now, n);
            self.asks_to_stop = Some((kernel.lock().sockets[self.socket].bytes_sent, None));
        }
    }

    /// Ends its stream in the middle of anything.
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
    pub(super) fn send_raw(&mut self, kernel: &Kernel, bytes: &[u8]) {
        if !self.ended {
            kernel.lock().send(self.socket, bytes);
        }
    }

    pub(super) fn timeout(&self) -> Option<Moment> {
        // A peer that broke its own stream has no timers.
        let is_broken = self.ended && self.health == Health::Broken;
        if self.left || is_broken || self.health == Health::Vanished {
            return None;
        }
        let timer = match &self.kind {
            Kind::WebSocket(socket) => socket.connection.poll_timeout(),
            _ => None,
        };
        timer.into_iter().chain(self.reads_at.filter(|_| self.reads)).min()
    }

    /// The next bytes from its socket.
    fn read(&mut self, kernel: &Kernel, now: Moment) -> Received {
        self.reads_at.take_if(|at| *at <= now);
        if self.reads_at.is_some() || matches!(&self.kind, Kind::WebSocket(socket) if !socket.reads()) {
            return Received::Nothing;
        }
        let most = self.rate.map_or(self.pace, |rate| rate / 10);
        let received = kernel.lock().receive(self.socket, most);
        let got_bytes = matches!(received, Received::Bytes(_));
        self.reads_at = (self.rate.is_some() && got_bytes).then(|| now + Duration::from_millis(100));
        received
    }

    /// Reads, writes, and checks what arrived; returns whether anything moved.
    pub(super) fn pump(&mut self, kernel: &Kernel, now: Moment, app: &mut App<'_>) -> bool {
        if self.left || self.health == Health::Vanished {
            return false;
        }
        let mut moved = false;
        if self.reads {
            let received = self.read(kernel, now);
            moved |= matches!(received, Received::Bytes(_));
            match &mut self.kind {
                Kind::WebSocket(socket) => {
                    let had_rest = socket.has_rest();
                    socket.receive(now, received, self.number, app);
                    moved |= had_rest && !socket.has_rest();
                }
                Kind::Stream(reader) => reader.receive(received),
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
                while !self.ended && !connection.outbox().is_empty() && kernel.lock().takes(self.socket) {
                    let n = kernel.lock().send(self.socket, bytes::Buf::chunk(connection.outbox()));
                    connection.handle_written(now, n);
                    if n == 0 {
                        break;
                    }
                    moved = true;
                }
                socket.poll(now, self.number, app);
                match socket.connection.poll_io() {
                    IoAction::Shutdown => self.half_close(kernel),
                    IoAction::Drop | IoAction::Reset => {
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
                let (over, is_closed) = (replies.ends(), replies.ended.is_some());
                if over {
                    self.half_close(kernel);
                }
                if is_closed {
                    self.leave(kernel);
                    moved = true;
                }
            }
            Kind::Stream(reader) => {
                if !self.ended {
                    let n = kernel.lock().send(self.socket, &reader.requests);
                    reader.requests.drain(..n);
                    moved |= n > 0;
                }
                if reader.ended {
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

    /// Whether it has all that it may expect while no end closes.
    pub(super) fn is_content(&self, app: &App<'_>) -> bool {
        let record = &app.records[self.number];
        match &self.kind {
            Kind::WebSocket(socket) => {
                self.left
                    || socket.events.is_open()
                        && record.received == record.lengths.len()
                        && socket.got == record.said.len()
                        && socket.latest >= record.latest
            }
            Kind::Http(replies) => self.left || replies.expected.is_empty(),
            Kind::Stream(reader) => self.left || reader.has_begun(),
            Kind::Raw(_) => true,
        }
    }
}
