//! The remote hosts: WebSocket servers that accept at once, later or never, and servers that send what no server should
//! send.

use super::app::{App, Said};
use crate::app::content;
use crate::kernel::Kernel;
use crate::remote_peer::Received;
use crate::rng::Rng;
use crate::wire::Link;
use bytes::{Buf, Bytes};
use http::{Response, header};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use ws_kit::oracle::Events;
use ws_proto::{Access, Config, Connection, Error, Event, IoAction, Message, Moment, State};
use ws_server_mio::{CloseCode, Heartbeat, Upgrade};

pub(super) struct Host {
    pub(super) socket: usize,
    pub(super) reads: bool,
    pub(super) pace: usize,
    /// Nothing more arrives from it, not even EOF.
    pub(super) vanished: bool,
    /// Its socket is closed.
    pub(super) left: bool,
    ended: bool,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Server(Box<Server>),
    /// It sends bytes, and then nothing or EOF; an eager host sends them before the request.
    Raw {
        bytes: Vec<u8>,
        end: End,
        eager: bool,
    },
}

#[derive(Clone, Copy)]
pub(super) enum End {
    Stay,
    Fin,
    Leave,
    Reset,
}

pub(super) struct Server {
    connection: Connection,
    events: Events,
    upgrade: Option<Upgrade>,
    /// After how many more polls it answers.
    patience: usize,
    /// Its response in place of 101.
    rejection: Option<Response<Bytes>>,
    received_count: usize,
    news: usize,
}

const RAW: [&str; 8] = [
    "",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgr",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x02\x01!",
    "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhell",
    "HTTP/1.1 503 Busy\r\nRetry-After: 3\r\n\r\nnot now",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
    "SSH-2.0-dropbear\r\n",
    "\x16\x03\x01\0\x01",
];

impl Host {
    pub(super) fn new(socket: usize, now: Moment, rng: &mut Rng, storm: bool) -> Self {
        let kind = match rng.below(10) {
            0 | 1 if storm => {
                let mut bytes = rng.pick(&RAW).as_bytes().to_vec();
                if rng.percent(10) {
                    bytes = format!("HTTP/1.1 101 Yes\r\nX: {:>60000}", "!").into_bytes();
                }
                let end = rng.pick(&[End::Stay, End::Fin, End::Leave, End::Reset]);
                Kind::Raw { bytes, end, eager: rng.percent(30) }
            }
            _ => Kind::Server(Box::new(Server::new(now, rng, storm))),
        };
        let pace = if storm { rng.pick(&[3, 100, 5000, 1 << 20]) } else { 1 << 20 };
        Self { socket, reads: true, pace, vanished: false, left: false, ended: false, kind }
    }

    fn server(&mut self) -> Option<&mut Server> {
        match &mut self.kind {
            Kind::Server(server) => Some(server),
            Kind::Raw { .. } => None,
        }
    }

    pub(super) fn close(&mut self, now: Moment, code: u16) {
        if let Some(server) = self.server() {
            let _ = server.connection.close(now, CloseCode::from(code), "bye");
        }
    }

    pub(super) fn ping(&mut self, now: Moment) {
        if let Some(server) = self.server() {
            let _ = server.connection.send_ping(now, b"ping");
        }
    }

    pub(super) fn send_news(&mut self, app: &mut App) {
        let socket = self.socket;
        let Some(server) = self.server() else { return };
        let text = format!("news {}", server.news);
        if server.connection.state() == State::Open && server.connection.send(text).is_ok() {
            app.record(socket).said.push(Said::News(server.news));
            server.news += 1;
        }
    }

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

    /// Whether a connection exists, with this end alive.
    pub(super) fn is_there(&self, kernel: &Kernel) -> bool {
        let kernel = kernel.lock();
        let socket = &kernel.sockets[self.socket];
        !self.left && !self.vanished && socket.link == Link::Up && !socket.self_connected
    }

    pub(super) fn timeout(&self) -> Option<Moment> {
        match &self.kind {
            Kind::Server(server) if !self.left && !self.vanished => server.connection.poll_timeout(),
            _ => None,
        }
    }

    /// Reads, writes, and checks what arrived; returns whether anything moved.
    pub(super) fn pump(&mut self, kernel: &Kernel, now: Moment, app: &mut App) -> bool {
        if !self.is_there(kernel) {
            return false;
        }
        let mut received = Received::Nothing;
        if self.reads {
            received = kernel.lock().receive(self.socket, self.pace);
        }
        let mut moved = matches!(received, Received::Bytes(_));
        let server = match &mut self.kind {
            Kind::Server(server) => server,
            Kind::Raw { bytes, end, eager } => {
                let end = match received {
                    Received::End | Received::Reset => End::Leave,
                    Received::Nothing if bytes.is_empty() || !*eager => return false,
                    _ => *end,
                };
                let bytes = std::mem::take(bytes);
                self.send_raw(kernel, &bytes);
                match end {
                    End::Stay => {}
                    End::Fin => self.half_close(kernel),
                    End::Leave => self.leave(kernel),
                    End::Reset => self.reset(kernel),
                }
                return true;
            }
        };
        server.receive(now, received, self.socket, app);
        moved |= server.answer(now);
        let connection = &mut server.connection;
        if connection.poll_timeout().is_some_and(|at| at <= now) {
            connection.handle_timeout(now);
        }
        while !self.ended && !connection.outbox().is_empty() && kernel.lock().takes(self.socket) {
            let n = kernel.lock().send(self.socket, connection.outbox().chunk());
            connection.handle_written(now, n);
            if n == 0 {
                break;
            }
            moved = true;
        }
        while let Some(event) = connection.poll_event(now) {
            server.events.record(&event);
        }
        match connection.poll_io() {
            IoAction::Shutdown => self.half_close(kernel),
            IoAction::Drop | IoAction::Reset => {
                self.leave(kernel);
                moved = true;
            }
            _ => {}
        }
        moved
    }
}

impl Server {
    fn new(now: Moment, rng: &mut Rng, storm: bool) -> Self {
        let hour = Duration::from_secs(3600);
        let config = Config::server()
            .access(Access::default().allow_any_host())
            .heartbeat(Heartbeat::off())
            .handshake_timeout(hour)
            .close_timeout(hour)
            .answer_timeout(hour)
            .outbox(8 << 20, 16 << 20, 64 << 20);
        let (mut patience, mut rejection) = (0, None);
        if storm && rng.percent(30) {
            patience = rng.within(1, 30);
        }
        if storm && rng.percent(20) {
            let status = rng.pick(&[301_u16, 403, 404, 429, 500, 503]);
            let body = vec![b'x'; rng.pick(&[0, 10, 30_000])];
            let mut response = Response::builder().status(status);
            if rng.percent(50) {
                response = response.header(header::RETRY_AFTER, rng.pick(&["0", "2", "soon"]));
            }
            rejection = Some(response.body(body.into()).unwrap());
        }
        let connection = Connection::server(now, Arc::new(config), Default::default());
        let events = Events::server().within(connection.config());
        Self { connection, events, upgrade: None, patience, rejection, received_count: 0, news: 0 }
    }

    fn receive(&mut self, now: Moment, received: Received, socket: usize, app: &mut App) {
        let mut bytes = match received {
            Received::Bytes(bytes) => bytes,
            Received::Nothing => return,
            Received::End => return self.connection.handle_eof(now),
            Received::Reset => return self.connection.abort(now, Error::Io(ErrorKind::ConnectionReset)),
        };
        let mut input = &mut bytes[..];
        while let Some(event) = self.connection.handle_input(now, &mut input) {
            self.events.record(&event);
            match event {
                Event::Upgrade(upgrade) => {
                    app.request_received(socket, upgrade.path());
                    self.upgrade = Some(upgrade);
                }
                Event::Message(message) => {
                    let message = message.into_owned();
                    self.message(message, socket, app);
                }
                Event::Open(_) | Event::Pong(_) | Event::Drained | Event::Closed(_) => {}
                event => panic!("{event:?}"),
            }
        }
        assert!(input.is_empty(), "a client sends data before the response");
    }

    fn message(&mut self, message: Message<'static>, socket: usize, app: &mut App) {
        let n = self.received_count;
        self.received_count += 1;
        let record = app.record(socket);
        assert!(message.as_bytes() == content(socket, n, record.lengths[n]), "message {n} at {socket}");
        record.received = self.received_count;
        if self.connection.send(message).is_ok() {
            record.said.push(Said::Echo(n));
        }
    }

    /// Answers an upgrade, now or later; returns whether there is one to answer.
    fn answer(&mut self, now: Moment) -> bool {
        let Some(upgrade) = self.upgrade.take() else { return false };
        if self.patience > 0 {
            self.patience -= 1;
            self.upgrade = Some(upgrade);
            return true;
        }
        // The client may be gone by now.
        let _ = match self.rejection.take() {
            None => self.connection.accept(now, upgrade),
            Some(response) => self.connection.respond(now, upgrade, response),
        };
        true
    }
}
