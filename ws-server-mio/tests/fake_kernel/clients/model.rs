//! The application's model of its clients, and what it does with them.

use super::app::App;
use crate::app::content;
use crate::setting;
use std::net::SocketAddr;
use std::time::Duration;
use ws_proto::Config;
use ws_server_mio::inspect;
use ws_server_mio::{
    ClientConfig, ClientId, ClientState, CloseCode, ConnectionId, Connections, InvalidTarget, Reconnect,
};

/// One client.
#[derive(Default)]
pub(super) struct Known {
    /// Attempts that opened a connection, and those that did not.
    pub(super) opens: u32,
    pub(super) failures: u32,
    /// How many attempts it may have begun: reported, or requested.
    pub(super) permits: u32,
    pub(super) connection: Option<ConnectionId>,
    pub(super) policy: Option<Reconnect>,
    /// What follows the present connection: another one, or none.
    pub(super) again: Option<bool>,
    /// Attempts that it abandoned, and whose report is pending.
    pub(super) cancelled: usize,
    /// No event has followed the last report.
    pub(super) quiet: bool,
    /// That was so at the last report too: the present policy decided what followed.
    pub(super) by_policy: bool,
    /// Its request, and how many attempts had begun when that was set.
    pub(super) requests: Vec<(u32, usize)>,
    /// A reconnect was requested: the waits start over.
    pub(super) fresh: bool,
    /// The `Retry-After` that the server sent.
    pub(super) retry_after: Duration,
}

impl Known {
    pub(super) fn ended(&self) -> u32 {
        self.opens + self.failures
    }
}

/// The addresses of a name.
pub(super) fn named(name: &str) -> Vec<SocketAddr> {
    let mut addresses = pool();
    match name {
        "few.test" => addresses.truncate(1),
        name => assert_eq!(name, "many.test"),
    }
    addresses
}

pub(super) fn pool() -> Vec<SocketAddr> {
    let v4 = |k| SocketAddr::from(([192, 0, 2, k], 80));
    let v6 = |k| SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, k], 80));
    vec![v4(1), v4(2), v6(1), v6(2)]
}

pub(super) fn localhost() -> Vec<SocketAddr> {
    let ips = [[0, 0, 0, 0, 0, 0, 0, 1].into(), std::net::IpAddr::from([127, 0, 0, 1])];
    ips.into_iter().map(|ip| SocketAddr::new(ip, 80)).collect()
}

impl App {
    /// A new request whose possible addresses are known.
    fn request(&mut self) -> (usize, String) {
        let number = self.leads.len();
        let pool = pool();
        let (host, leads) = match self.rng.below(10) {
            0..4 => {
                let address = self.rng.pick(&pool);
                (address.to_string(), vec![address])
            }
            4..7 => ("localhost:80".to_owned(), localhost()),
            7..9 => ("many.test:80".to_owned(), named("many.test")),
            _ => ("few.test:80".to_owned(), named("few.test")),
        };
        self.leads.push(leads);
        let scheme = if self.layers.is_some() { "wss" } else { "ws" };
        (number, format!("{scheme}://{host}/{number}"))
    }

    fn config(&mut self) -> ClientConfig {
        let rng = &mut self.rng;
        let mut config = setting::config(Config::client(), rng, self.hasty);
        config = config.handshake_timeout(Duration::from_millis(rng.pick(&[50, 400, 2000, 10_000])));
        let mut config = ClientConfig::new().connection(config);
        if rng.percent(80) {
            let millis = |min, max| (Duration::from_millis(min), Duration::from_millis(max));
            let (min, max) = rng.pick(&[
                millis(0, 0),
                millis(1, 10),
                millis(20, 300),
                millis(500, if self.hasty { 3000 } else { 30_000 }),
            ]);
            let success = Duration::from_millis(rng.pick(&[0, 10, 10_000]));
            let mut policy = Reconnect::default().wait(min, max).reset_after(success);
            if rng.percent(30) {
                policy = policy.attempts(rng.within(0, 3) as u32);
            }
            config = config.reconnect(policy);
        }
        #[cfg(unix)]
        if rng.percent(10) {
            config = config.unix("/nowhere");
        }
        match &self.layers {
            Some(layers) => (layers.of_clients)(config),
            None => config,
        }
    }

    pub(super) fn connect(&mut self, connections: &mut Connections) {
        let before = inspect::clients(connections).count();
        let refused = connections.connect("http://192.0.2.1/", ClientConfig::new());
        assert!(matches!(refused, Err(InvalidTarget::Request(_))));
        let ((number, request), config) = (self.request(), self.config());
        let policy = config.get_reconnect().cloned();
        let id = connections.connect(request, config).unwrap();
        self.trace(|| format!("connect: {id:?}"));
        assert_eq!(inspect::clients(connections).count(), before + 1);
        let known =
            Known { permits: 1, policy, quiet: true, requests: vec![(0, number)], ..Known::default() };
        assert!(self.clients.insert(id, known).is_none(), "an id is used twice");
    }

    pub(super) fn disconnect(&mut self, connections: &mut Connections, id: ClientId) {
        self.trace(|| format!("disconnect: {id:?}"));
        let Some(known) = self.clients.get_mut(&id) else { return };
        let before = connections.client(id).state();
        connections.client(id).disconnect();
        let after = connections.client(id).state();
        known.quiet = false;
        known.permits = inspect::client(connections, id).unwrap().attempts;
        match before {
            ClientState::Connecting => {
                known.cancelled += 1;
                assert_eq!(after, ClientState::Idle);
            }
            ClientState::Open | ClientState::Closing => {
                known.again = Some(false);
                assert_eq!(after, ClientState::Closing);
            }
            ClientState::Idle | ClientState::Waiting => assert_eq!(after, ClientState::Idle),
        }
    }

    fn reconnect(&mut self, connections: &mut Connections, id: ClientId) {
        self.trace(|| format!("reconnect: {id:?}"));
        let Some(known) = self.clients.get_mut(&id) else { return };
        let before = connections.client(id).state();
        let attempts = inspect::client(connections, id).unwrap().attempts;
        assert!(connections.client(id).reconnect());
        let after = connections.client(id).state();
        (known.quiet, known.fresh) = (false, true);
        match before {
            ClientState::Connecting => assert_eq!(after, before),
            ClientState::Open | ClientState::Closing => {
                known.again = Some(true);
                known.permits = attempts + 1;
                assert_eq!(after, ClientState::Closing);
            }
            ClientState::Idle | ClientState::Waiting => {
                assert_eq!(inspect::client(connections, id).unwrap().attempts, attempts + 1);
                known.permits = attempts + 1;
            }
        }
    }

    pub(super) fn remove(&mut self, connections: &mut Connections, id: ClientId) {
        self.trace(|| format!("remove: {id:?}"));
        self.clients.remove(&id);
        connections.client(id).remove();
        assert_eq!(connections.client(id).state(), ClientState::Idle);
        assert!(
            !connections.client(id).reconnect() && inspect::clients(connections).all(|other| other != id)
        );
        let refused = connections.client(id).set_request("ws://localhost/");
        assert_eq!(refused, Err(InvalidTarget::NoClient));
    }

    fn any(&mut self) -> Option<ClientId> {
        let ids: Vec<_> = self.clients.keys().copied().collect();
        (!ids.is_empty()).then(|| self.rng.pick(&ids))
    }

    /// Acts at random.
    pub(super) fn act(&mut self, connections: &mut Connections) {
        let Some(id) = self.any().filter(|_| self.clients.len() > 4 || !self.rng.percent(20)) else {
            return self.connect(connections);
        };
        match self.rng.below(100) {
            0..50 => self.say(connections, id),
            50..62 => self.reconnect(connections, id),
            62..72 => self.disconnect(connections, id),
            72..77 => self.remove(connections, id),
            77..87 => {
                let (number, request) = self.request();
                let attempts = inspect::client(connections, id).unwrap().attempts;
                self.clients.get_mut(&id).unwrap().requests.push((attempts, number));
                connections.client(id).set_request(request).unwrap();
            }
            87..93 => {
                let config = self.config();
                let known = self.clients.get_mut(&id).unwrap();
                (known.policy, known.quiet) = (config.get_reconnect().cloned(), false);
                connections.client(id).set_config(config).unwrap();
            }
            93..96 => {
                if let Some(at) = self.clients[&id].connection {
                    let _ = connections.close(at, CloseCode::NORMAL, "enough");
                }
            }
            96..98 => {
                if let Some(at) = self.clients[&id].connection {
                    connections.terminate(at);
                }
            }
            _ => {
                if let Some(at) = self.clients[&id].connection {
                    let _ = connections.send_ping(at, b"there?");
                }
            }
        }
    }

    fn say(&mut self, connections: &mut Connections, id: ClientId) {
        let Some(at) = self.clients[&id].connection else { return };
        let socket = self.ids[&at];
        let most = if self.rng.percent(80) { 200 } else { 20_000 };
        let len = self.rng.below(most);
        let record = self.records.get_mut(&socket).unwrap();
        let data = content(socket, record.lengths.len(), len);
        let sent = match record.lengths.len().is_multiple_of(2) {
            true => connections.send(at, data),
            false => connections.send(at, std::str::from_utf8(data).unwrap()),
        };
        if sent.is_ok() {
            record.lengths.push(len);
        }
    }
}
