//! The project's promises, row by row: each function is named after a row of the table in the README, and proves it
//! over real sockets.
//!
//! Each is a script of what users do and see, run beside the server on one thread; the peers and their bytes are
//! those of the same rows of `ws-server-mio`. The clock cannot be replaced here: intervals and deadlines are short, and
//! the tests wait for their effects. The same rows of `ws-server-mio` and the tests of the engine prove their lengths,
//! with virtual clocks.
//!
//! With `OVER_TLS=1` and the feature `tls`, all of it runs over TLS: `transport.rs` makes the configurations and peers.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

#[path = "../common/mod.rs"]
mod common;

mod client;
mod ending;
mod heartbeat;
mod messages;
mod opening;
mod queries;
mod sending;
mod starting;
mod transport;

use bytes::Bytes;
use common::peer::{self, Peer, PeerExt, got, handshake, until};
use futures_lite::{FutureExt, future};
use std::cell::RefCell;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use transport::{peer_of, server_config};
use ws_server_smol::Event;
use ws_server_smol::{
    Bind, Closed, ConnectionId, Extension, HttpConnection, Incoming, Message, Server, ServerConfig, Socket,
    WebSocket,
};

/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);
/// A frequent heartbeat.
const SOON: Duration = Duration::from_millis(5);
/// For dead peers: long enough to check before that.
const DYING: Duration = Duration::from_millis(50);

fn local(config: ServerConfig) -> Server {
    Server::bind(Bind::localhost(), config).unwrap()
}

/// Runs a script beside a server, however often that stops and restarts.
async fn beside<T>(
    server: &Server,
    handler: impl AsyncFn(HttpConnection<Socket>),
    script: impl Future<Output = T>,
) -> T {
    let serving = async {
        loop {
            server.serve(&handler).await;
            future::yield_now().await;
        }
    };
    serving.or(script).await
}

/// The events reported to the application.
#[derive(Debug)]
enum Seen {
    Message(ConnectionId, Message<'static>),
    /// A fragment of text: whether it is the first, and whether it is the last.
    Fragment(String, bool, bool),
    Pong(ConnectionId),
    Drained,
    Closed(ConnectionId, Box<Closed>),
}

/// An application that echoes, and records reports.
#[derive(Default)]
struct App {
    seen: RefCell<Vec<Seen>>,
    log: Log,
}

impl App {
    async fn handle(&self, http: HttpConnection<Socket>) {
        let Some(mut ws) = opened(http).await else { return };
        let id = ws.id();
        while let Some(event) = ws.next_event().await {
            let seen = match event {
                Event::Message(message) => {
                    self.log.note("application: message");
                    // A closing peer gets no echo.
                    let _ = ws.try_send(message.clone());
                    Seen::Message(id, message)
                }
                Event::Fragment(fragment) => {
                    let text = String::from_utf8_lossy(fragment.data.as_bytes()).into_owned();
                    Seen::Fragment(text, fragment.first, fragment.last)
                }
                Event::Pong(_) => Seen::Pong(id),
                Event::Drained => Seen::Drained,
                Event::Closed(closed) => {
                    self.log.note("application: closed");
                    Seen::Closed(id, closed)
                }
                other => panic!("{other:?}"),
            };
            self.seen.borrow_mut().push(seen);
        }
        assert!(ws.next_event().await.is_none(), "nothing follows the close");
    }

    fn count(&self, what: impl Fn(&Seen) -> bool) -> usize {
        self.seen.borrow().iter().filter(|seen| what(seen)).count()
    }

    fn ends(&self) -> usize {
        self.count(|seen| matches!(seen, Seen::Closed(..)))
    }

    /// How a connection ended, once reported.
    async fn end_of(&self, id: ConnectionId) -> Closed {
        until(|| self.count(|seen| matches!(seen, Seen::Closed(of, _) if *of == id)) > 0).await;
        let seen = self.seen.borrow();
        let mut ends = seen.iter().filter_map(|seen| match seen {
            Seen::Closed(of, closed) if *of == id => Some(&**closed),
            _ => None,
        });
        let closed = ends.next().unwrap().clone();
        assert!(ends.next().is_none(), "reported twice: {seen:?}");
        closed
    }
}

/// Opens requested WebSockets, and answers other requests with a greeting.
async fn opened(mut http: HttpConnection<Socket>) -> Option<WebSocket<Socket>> {
    loop {
        match http.next().await? {
            Incoming::Upgrade(upgrade) => return http.accept(upgrade).await.ok(),
            Incoming::Request(request) => http.respond(request, ok("hello")).await.unwrap(),
        }
    }
}

async fn hello(http: HttpConnection<Socket>) {
    drop(opened(http).await);
}

fn ok(body: impl Into<Bytes>) -> http::Response<Bytes> {
    http::Response::new(body.into())
}

/// A peer with an open WebSocket, and its id.
async fn open(server: &Server, path: &str) -> (Peer, ConnectionId) {
    let before = server.ids();
    let mut peer = requesting_peer(server, path);
    assert!(peer.head().await.starts_with("HTTP/1.1 101 "));
    let id = got(|| server.ids().into_iter().find(|id| !before.contains(id))).await;
    (peer, id)
}

/// A peer that has requested a WebSocket.
fn requesting_peer(server: &Server, path: &str) -> Peer {
    let address = server.local_addr().unwrap();
    let mut peer = peer_of(address);
    peer.send(&handshake(address, path));
    peer
}

/// The request of this peer, a server's next connection; the connection is driven from here on.
async fn next_upgrade(server: &Server, peer: &mut Peer) -> (HttpConnection<Socket>, ws_server_smol::Upgrade) {
    let accepting = async {
        let mut http = server.accept().await.unwrap();
        match http.next().await {
            Some(Incoming::Upgrade(upgrade)) => (http, upgrade),
            other => panic!("{other:?}"),
        }
    };
    peer.beside(accepting).await
}

/// Reports in order, with their receivers.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, what: &str) {
        self.0.lock().unwrap().push(what.to_owned());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// An extension that records all that it sees, and consumes messages that begin with "!".
struct Witness(Log);

impl Extension for Witness {
    fn filter(&mut self, server: &Server, id: ConnectionId, event: Event<'static>) -> Option<Event<'static>> {
        match event {
            Event::Message(message) => {
                self.0.note("extension: message");
                if message.as_bytes().starts_with(b"!") {
                    server.send(id, "kept").unwrap();
                    return None;
                }
                Some(Event::Message(message))
            }
            event => Some(event),
        }
    }

    fn opened(&mut self, _: &Server, _: ConnectionId) {
        self.0.note("extension: open");
    }

    fn closed(&mut self, server: &Server, id: ConnectionId, _: &Closed) {
        assert!(!server.ids().contains(&id), "it is no longer counted");
        self.0.note("extension: closed");
    }

    fn stopping(&mut self, _: &Server) {
        self.0.note("extension: stopping");
    }
}

/// A frequent heartbeat, whose Pongs may take long.
fn beating() -> ws_server_smol::Heartbeat {
    ws_server_smol::Heartbeat::server().idle(SOON).pong_timeout(LONG)
}

fn with_heartbeat(heartbeat: ws_server_smol::Heartbeat) -> ServerConfig {
    server_config().heartbeat(heartbeat)
}
