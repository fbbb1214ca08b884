//! A server and its clients on one endpoint, with a virtual clock.

use super::{Clock, ok};
use socket2::{Domain, Socket, Type};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};
use ws_server_mio::Message;
use ws_server_mio::{
    Bind, ClientId, Closed, ConnectError, ConnectionId, Connections, Endpoint, Event, Options, ServerConfig,
    ServerId, http, inspect,
};

/// A request that the server received.
pub struct UpgradeRequest {
    pub path_and_query: String,
    pub headers: http::HeaderMap,
}

/// Reports that the application has not looked at yet.
#[derive(Default)]
pub struct Events {
    pub upgrades: Vec<UpgradeRequest>,
    /// The server's connections, as they open.
    pub accepted: Vec<ConnectionId>,
    pub opened: Vec<(ClientId, ConnectionId)>,
    pub responses: Vec<http::Response<()>>,
    pub texts: VecDeque<(ConnectionId, String)>,
    pub client_closed: Vec<(ConnectionId, Box<Closed>)>,
    pub failed: Vec<(ClientId, ConnectError)>,
    pub reconnecting: Vec<(ClientId, u32, Duration)>,
}

pub struct Both {
    pub endpoint: Endpoint,
    pub server: ServerId,
    pub clock: Clock,
    pub events: Events,
    /// The server rejects upgrades with this status.
    pub refuse: Option<u16>,
    /// The subprotocol that the server chooses.
    pub choose: Option<&'static str>,
    /// The server does not echo.
    pub silent: bool,
    address: Option<SocketAddr>,
}

const HANG: Duration = Duration::from_secs(20);

impl Both {
    pub fn new() -> Self {
        Self::on(Bind::localhost(), Options::default())
    }

    pub fn on(bind: Bind, options: Options) -> Self {
        Self::with(bind, options, ServerConfig::new())
    }

    pub fn with(bind: Bind, options: Options, config: ServerConfig) -> Self {
        let clock = Clock::default();
        let mut endpoint = Endpoint::with(clock.on(options)).unwrap();
        let server = endpoint.connections().listen(bind, config.decide_upgrades(true)).unwrap();
        let address = endpoint.connections().server(server).local_addr();
        Self {
            endpoint,
            server,
            clock,
            events: Events::default(),
            refuse: None,
            choose: None,
            silent: false,
            address,
        }
    }

    /// How many sockets there are, of the server and of clients.
    pub fn sockets(&mut self) -> usize {
        inspect::overview(self.connections()).slots
    }

    /// A server on `[::1]`, and a socket that reserves its port on 127.0.0.1 without listening.
    pub fn on_v6_alone() -> (Self, Socket) {
        let try_one = |_| {
            let rig = Self::on(Bind::from(SocketAddr::from((Ipv6Addr::LOCALHOST, 0))), Options::default());
            let other = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            // Another program may hold it.
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, rig.server_address().port()));
            other.bind(&address.into()).is_ok().then_some((rig, other))
        };
        (0..100).find_map(try_one).unwrap()
    }

    pub fn connections(&mut self) -> &mut Connections {
        self.endpoint.connections()
    }

    pub fn server_address(&self) -> SocketAddr {
        self.address.unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.server_address())
    }

    pub fn stop_server(&mut self) {
        let server = self.server;
        self.connections().server(server).stop(Duration::from_secs(3600));
        self.until("the server's end", |rig| rig.connections().server(server).local_addr().is_none());
    }

    /// On the same port.
    pub fn start_server(&mut self) {
        let bind = Bind::localhost().port(self.server_address().port());
        self.server = self.connections().listen(bind, ServerConfig::new().decide_upgrades(true)).unwrap();
    }

    pub fn turn(&mut self) {
        let Self { endpoint, events, refuse, choose, silent, .. } = self;
        let handler = |connections: &mut Connections, event: Event<'_>| match event {
            Event::ConnectFailed { client, error } => events.failed.push((client, error)),
            Event::Reconnecting { client, attempt, delay } => {
                events.reconnecting.push((client, attempt, delay));
            }
            event => match event.connection().map(|id| (id, connections.client_of(id))) {
                Some((id, Some(client))) => events.of_client(client, id, event),
                Some((id, None)) if connections.server_of(id).is_none() => events.without_client(id, event),
                _ => match event {
                    Event::Upgrade(id, mut upgrade) => {
                        let path_and_query = upgrade.uri().to_string();
                        events
                            .upgrades
                            .push(UpgradeRequest { path_and_query, headers: upgrade.headers().clone() });
                        if let Some(status) = *refuse {
                            let mut answer = ok("not you");
                            *answer.status_mut() = http::StatusCode::from_u16(status).unwrap();
                            return connections.respond(id, upgrade, answer).unwrap();
                        }
                        if let Some(name) = *choose {
                            upgrade.select_subprotocol(name).unwrap();
                        }
                        connections.accept(id, upgrade).unwrap();
                    }
                    Event::Open(id, _) => events.accepted.push(id),
                    Event::Message(id, message) if !*silent => {
                        let _ = connections.send(id, message);
                    }
                    _ => {}
                },
            },
        };
        endpoint.poll(Some(Duration::from_millis(1)), handler).unwrap();
    }

    pub fn turns(&mut self, turns: usize) {
        for _ in 0..turns {
            self.turn();
        }
    }

    /// Runs turns until the condition holds.
    pub fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < HANG, "timed out waiting for {what}");
            self.turn();
        }
    }

    fn take<T>(&mut self, what: &str, take: impl Fn(&mut Events) -> Option<T>) -> T {
        let mut taken = None;
        self.until(what, |rig| {
            taken = take(&mut rig.events);
            taken.is_some()
        });
        taken.unwrap()
    }

    /// Runs turns until the client's connection opens.
    pub fn opened(&mut self, client: ClientId) -> ConnectionId {
        self.take("an open connection", |events| take(&mut events.opened, |(of, _)| *of == client)).1
    }

    pub fn failed(&mut self, client: ClientId) -> ConnectError {
        self.take("a failure", |events| take(&mut events.failed, |(of, _)| *of == client)).1
    }

    pub fn reconnecting(&mut self, client: ClientId) -> (u32, Duration) {
        let what = "a report of another attempt";
        let (_, attempt, delay) =
            self.take(what, |events| take(&mut events.reconnecting, |(of, ..)| *of == client));
        (attempt, delay)
    }

    pub fn closed(&mut self, id: ConnectionId) -> Box<Closed> {
        self.take("the end", |events| take(&mut events.client_closed, |(of, _)| *of == id)).1
    }

    /// The next text that the client's connection received.
    pub fn text(&mut self, id: ConnectionId) -> String {
        self.take("a text", |events| {
            let place = events.texts.iter().position(|(of, _)| *of == id)?;
            events.texts.remove(place)
        })
        .1
    }
}

fn take<T>(list: &mut Vec<T>, is: impl Fn(&T) -> bool) -> Option<T> {
    let place = list.iter().position(is)?;
    Some(list.remove(place))
}

impl Events {
    fn of_client(&mut self, client: ClientId, id: ConnectionId, event: Event<'_>) {
        match event {
            Event::Open(_, response) => {
                self.opened.push((client, id));
                self.responses.push(*response);
            }
            event => self.without_client(id, event),
        }
    }

    fn without_client(&mut self, id: ConnectionId, event: Event<'_>) {
        match event {
            Event::Message(_, Message::Text(text)) => self.texts.push_back((id, text.into_owned())),
            Event::Closed(_, closed) => self.client_closed.push((id, closed)),
            _ => {}
        }
    }
}
