//! A server and its peers in one thread: turns of the endpoint, and sockets that never block.
#![allow(dead_code, unreachable_pub)] // each test uses a part
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

pub mod clients;
pub mod files;
pub mod watched;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, UNIX_EPOCH};
pub use ws_kit::peer::*;
use ws_server_mio::{
    Bind, Closed, ConnectionId, Connections, Endpoint, Event, Message, Options, Request, ServerConfig,
    ServerId, Turn, Upgrade, http,
};

/// A clock that only the test moves.
#[derive(Clone, Default)]
pub struct Clock(Arc<(OnceLock<Instant>, AtomicU64)>);

impl Clock {
    pub fn now(&self) -> Instant {
        *self.0.0.get_or_init(Instant::now) + Duration::from_nanos(self.0.1.load(Ordering::Relaxed))
    }

    pub fn pass(&self, time: Duration) {
        self.0.1.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }

    /// These options with this clock. The time of day stands still: if it went on alone while a test takes long, the
    /// machine would seem to have slept.
    pub fn on(&self, options: Options) -> Options {
        let clock = self.clone();
        options.clock(move || clock.now()).wall_clock(|| UNIX_EPOCH)
    }
}

/// The events reported to the application.
#[derive(Debug)]
pub enum Seen {
    Request(ConnectionId, String),
    Upgrade(ConnectionId, String),
    Open(ConnectionId),
    Text(ConnectionId, String),
    Binary(ConnectionId, Vec<u8>),
    /// A fragment of text: whether it is the first, and whether it is the last.
    Fragment(ConnectionId, String, bool, bool),
    Pong(ConnectionId),
    Drained(ConnectionId),
    Closed(ConnectionId, Box<Closed>),
    Stopping(ServerId),
    Stopped(ServerId),
    AcceptFailed(ServerId),
}

/// Sees each event before the application acts on it.
pub type Hook = Box<dyn FnMut(&mut Connections, &Event<'_>) + Send>;

/// An application that accepts, echoes and answers, or holds what it should decide.
#[derive(Default)]
pub struct App {
    pub seen: Vec<Seen>,
    pub hold: bool,
    pub silent: bool,
    pub requests: Vec<(ConnectionId, Request)>,
    pub upgrades: Vec<(ConnectionId, Upgrade)>,
    pub also: Option<Hook>,
}

pub fn ok(body: impl Into<ws_server_mio::Bytes>) -> http::Response<ws_server_mio::Bytes> {
    http::Response::new(body.into())
}

impl App {
    pub fn handle(&mut self, connections: &mut Connections, event: Event<'_>) {
        if let Some(also) = &mut self.also {
            also(connections, &event);
        }
        match event {
            Event::Stopping(server) => self.seen.push(Seen::Stopping(server)),
            Event::Stopped(server) => self.seen.push(Seen::Stopped(server)),
            Event::AcceptFailed { server, .. } => self.seen.push(Seen::AcceptFailed(server)),
            Event::Request(id, request) => {
                self.seen.push(Seen::Request(id, request.uri().path().to_owned()));
                if self.hold {
                    self.requests.push((id, request));
                } else {
                    connections.respond(id, request, ok("hello")).unwrap();
                }
            }
            Event::Upgrade(id, upgrade) => {
                self.seen.push(Seen::Upgrade(id, upgrade.path().to_owned()));
                if self.hold {
                    self.upgrades.push((id, upgrade));
                } else {
                    connections.accept(id, upgrade).unwrap();
                }
            }
            Event::Open(id, _) => self.seen.push(Seen::Open(id)),
            Event::Message(id, message) => {
                match &message {
                    Message::Text(text) => self.seen.push(Seen::Text(id, text.to_string())),
                    Message::Binary(data) => self.seen.push(Seen::Binary(id, data.to_vec())),
                }
                // Two of our ends must not echo each other.
                if !self.silent && connections.server_of(id).is_some() {
                    let _ = connections.send(id, message);
                }
            }
            Event::Fragment(id, chunk) => {
                let text = String::from_utf8_lossy(chunk.data.as_bytes()).into_owned();
                self.seen.push(Seen::Fragment(id, text, chunk.first, chunk.last));
            }
            Event::Pong(id, _) => self.seen.push(Seen::Pong(id)),
            Event::Drained(id) => self.seen.push(Seen::Drained(id)),
            Event::Closed(id, closed) => self.seen.push(Seen::Closed(id, closed)),
            _ => {}
        }
    }

    pub fn open_ids(&self) -> Vec<ConnectionId> {
        self.seen.iter().filter_map(|seen| if let Seen::Open(id) = seen { Some(*id) } else { None }).collect()
    }

    pub fn closed(&self) -> Vec<&Closed> {
        let closed = self.seen.iter();
        closed
            .filter_map(|seen| if let Seen::Closed(_, closed) = seen { Some(&**closed) } else { None })
            .collect()
    }

    pub fn count(&self, what: impl Fn(&Seen) -> bool) -> usize {
        self.seen.iter().filter(|seen| what(seen)).count()
    }
}

/// An endpoint with one server on this machine.
pub struct Rig {
    pub endpoint: Endpoint,
    pub server: ServerId,
    pub app: App,
}

/// Nothing here takes seconds; this only ends a hang.
const HANG: Duration = Duration::from_secs(20);

impl Rig {
    pub fn new(config: ServerConfig) -> Self {
        Self::with(Options::default(), config)
    }

    pub fn with(options: Options, config: ServerConfig) -> Self {
        let mut endpoint = Endpoint::with(options).unwrap();
        let config = config.decide_upgrades(true);
        let server = endpoint.connections().listen(Bind::localhost(), config).unwrap();
        Self { endpoint, server, app: App::default() }
    }

    pub fn address(&mut self) -> SocketAddr {
        self.endpoint.connections().server(self.server).local_addr().unwrap()
    }

    pub fn turn(&mut self) -> Turn {
        let Self { endpoint, app, .. } = self;
        endpoint
            .poll(Some(Duration::from_millis(1)), |connections, event| app.handle(connections, event))
            .unwrap()
    }

    /// Runs turns until the condition holds.
    pub fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < HANG, "timed out waiting for {what}; seen: {:?}", self.app.seen);
            self.turn();
        }
    }

    /// A connected peer, before any request.
    pub fn peer(&mut self) -> Peer {
        Peer::connect(self.address())
    }

    /// A peer with an open WebSocket, and its id.
    pub fn open(&mut self, path: &str) -> (Peer, ConnectionId) {
        let before = self.app.open_ids().len();
        let mut peer = self.peer();
        let address = self.address();
        peer.send(&handshake(address, path));
        self.until("an open connection", |rig| {
            peer.take_head().is_some() && rig.app.open_ids().len() > before
        });
        (peer, self.app.open_ids()[before])
    }

    /// Runs turns until a handshake is answered; returns the head of the answer.
    pub fn head(&mut self, peer: &mut Peer) -> String {
        let mut head = None;
        self.until("a head", |_| {
            head = head.take().or_else(|| peer.take_head());
            head.is_some()
        });
        head.unwrap()
    }

    /// Runs turns until the peer has a frame.
    pub fn frame(&mut self, peer: &mut Peer) -> (u8, Vec<u8>) {
        let mut frame = None;
        self.until("a frame", |_| {
            frame = frame.take().or_else(|| peer.take_frame());
            frame.is_some()
        });
        frame.unwrap()
    }

    /// Runs turns until the peer has a whole HTTP response with a `Content-Length`.
    pub fn response(&mut self, peer: &mut Peer) -> (u16, String) {
        let mut response = None;
        self.until("a response", |_| {
            response = response.take().or_else(|| peer.take_response());
            response.is_some()
        });
        response.unwrap()
    }

    /// Runs turns until the peer reads EOF or a reset.
    pub fn end(&mut self, peer: &mut Peer) {
        self.until("the end", |_| {
            peer.read();
            peer.ended.is_some()
        });
    }
}
