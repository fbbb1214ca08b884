//! A proxy on one endpoint between a scripted client and a scripted host.

use crate::common::*;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};
use ws_proto::handshake::accept_key;
use ws_server_mio::ServerConfig;
use ws_server_mio::{Bind, ClientConfig, ClientId, ConnectionId, Connections, Endpoint, Event, Upgrade};

const HANG: Duration = Duration::from_secs(30);

pub(crate) struct Proxy {
    pub(crate) endpoint: Endpoint,
    pub(crate) address: SocketAddr,
    pub(crate) host: TcpListener,
    pub(crate) app: App,
}

/// Couples each incoming connection with a client to the host.
pub(crate) struct App {
    pub(crate) upstream: String,
    pub(crate) config: ClientConfig,
    /// The reported events, in words.
    pub(crate) events: Vec<String>,
    /// The server's connections in order of arrival, and the clients' in order of opening.
    pub(crate) front: Vec<ConnectionId>,
    pub(crate) back: Vec<ConnectionId>,
    pub(crate) clients: Vec<ClientId>,
    /// Whether it couples, and forgets clients that have ended.
    pub(crate) couples: bool,
    pub(crate) forgets: bool,
    /// It holds upgrade requests.
    pub(crate) holds: bool,
    pub(crate) upgrades: Vec<(ConnectionId, Upgrade)>,
    /// At the next close these are coupled.
    pub(crate) next: Option<(ConnectionId, ClientId)>,
}

impl App {
    fn handle(&mut self, connections: &mut Connections, event: Event<'_>) {
        match event {
            Event::ConnectFailed { client, .. } => {
                self.events.push("failed".to_owned());
                if self.forgets {
                    connections.client(client).remove();
                }
                return;
            }
            Event::Reconnecting { .. } => return self.events.push("reconnecting".to_owned()),
            _ => {}
        }
        let Some(id) = event.connection() else { return };
        let client = connections.client_of(id);
        let side = if client.is_some() { "back" } else { "front" };
        let what = match event {
            Event::Upgrade(_, upgrade) if self.holds => return self.upgrades.push((id, upgrade)),
            Event::Upgrade(_, upgrade) => {
                connections.accept(id, upgrade).unwrap();
                self.front.push(id);
                if self.couples {
                    let client = connections.connect(self.upstream.as_str(), self.config.clone()).unwrap();
                    self.clients.push(client);
                    connections.couple(id, client).unwrap();
                }
                return;
            }
            Event::Open(..) => {
                if client.is_some() {
                    self.back.push(id);
                }
                "open".to_owned()
            }
            Event::Message(_, message) => format!("message {message:?}"),
            Event::Fragment(_, fragment) => format!("fragment {fragment:?}"),
            Event::Pong(..) => "pong".to_owned(),
            Event::Drained(_) => "drained".to_owned(),
            Event::Closed(_, closed) => {
                if let Some((front, client)) = self.next.take() {
                    connections.couple(front, client).unwrap();
                }
                if let Some(client) = client.filter(|_| self.forgets) {
                    connections.client(client).remove();
                }
                format!("closed {} {}", closed.code.get(), closed.reason).trim_end().to_owned()
            }
            event => format!("{event:?}"),
        };
        self.events.push(format!("{side} {what}"));
    }

    pub(crate) fn count(&self, what: &str) -> usize {
        self.events.iter().filter(|event| *event == what).count()
    }
}

impl Proxy {
    pub(crate) fn new() -> Self {
        Self::with(ServerConfig::new(), ClientConfig::default())
    }

    pub(crate) fn with(front: ServerConfig, back: ClientConfig) -> Self {
        let mut endpoint = Endpoint::new().unwrap();
        let server = endpoint.connections().listen(Bind::localhost(), front.decide_upgrades(true)).unwrap();
        let address = endpoint.connections().server(server).local_addr().unwrap();
        let host = TcpListener::bind("127.0.0.1:0").unwrap();
        host.set_nonblocking(true).unwrap();
        let app = App {
            upstream: format!("ws://{}/", host.local_addr().unwrap()),
            config: back,
            events: Vec::new(),
            front: Vec::new(),
            back: Vec::new(),
            clients: Vec::new(),
            couples: true,
            forgets: true,
            holds: false,
            upgrades: Vec::new(),
            next: None,
        };
        Self { endpoint, address, host, app }
    }

    pub(crate) fn connections(&mut self) -> &mut Connections {
        self.endpoint.connections()
    }

    pub(crate) fn turn(&mut self) {
        let Self { endpoint, app, .. } = self;
        let handler = |connections: &mut Connections, event: Event<'_>| app.handle(connections, event);
        endpoint.poll(Some(Duration::from_millis(1)), handler).unwrap();
    }

    pub(crate) fn turns(&mut self, turns: usize) {
        for _ in 0..turns {
            self.turn();
        }
    }

    pub(crate) fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < HANG, "timed out waiting for {what}; reported: {:?}", self.app.events);
            self.turn();
        }
    }

    /// A client that is accepted.
    pub(crate) fn client(&mut self) -> Peer {
        let mut peer = Peer::connect(self.address);
        peer.send(&handshake(self.address, "/"));
        self.until("the switch", |_| peer.take_head().is_some());
        peer
    }

    /// The proxy's connection at the host, its request still unanswered, and the key of that request.
    pub(crate) fn upstream_request(&mut self) -> (Peer, String) {
        let mut stream = None;
        self.until("a connection at the host", |proxy| {
            stream = proxy.host.accept().ok();
            stream.is_some()
        });
        let mut peer = Peer::new(stream.unwrap().0);
        let mut head = None;
        self.until("a request", |_| {
            head = peer.take_head();
            head.is_some()
        });
        let head = head.unwrap();
        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        (peer, key.to_owned())
    }

    /// The host accepts the proxy.
    pub(crate) fn answer(&mut self, host: &mut Peer, key: &str) {
        let open = self.app.back.len();
        host.send(switch(key).as_bytes());
        self.until("the switch", |proxy| proxy.app.back.len() > open);
    }

    /// A client, and its other end at the host.
    pub(crate) fn pair(&mut self) -> (Peer, Peer) {
        let client = self.client();
        let (mut host, key) = self.upstream_request();
        self.answer(&mut host, &key);
        (client, host)
    }

    pub(crate) fn end(&mut self, peer: &mut Peer) {
        self.until("the end", |_| {
            peer.read();
            peer.ended.is_some()
        });
    }

    pub(crate) fn frame(&mut self, peer: &mut Peer) -> (u8, Vec<u8>) {
        let mut frame = None;
        self.until("a frame", |_| {
            frame = peer.take_frame();
            frame.is_some()
        });
        frame.unwrap()
    }
}

pub(crate) fn switch(key: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        accept_key(key)
    )
}

/// A frame as a server sends it.
pub(crate) fn plain(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        n @ 0..=125 => out.push(n as u8),
        n @ 126..=0xffff => {
            out.push(126);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            out.push(127);
            out.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
    out
}
