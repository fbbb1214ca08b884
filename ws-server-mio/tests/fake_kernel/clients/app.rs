//! The clients' application: it sends messages, and records what was reported.

use super::model::{Known, pool};
use crate::app::content;
use crate::checks::record_event;
use crate::kernel::Kernel;
use crate::layer::Layers;
use crate::rng::Rng;
use mio::Token;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;
use ws_kit::oracle::Events;
use ws_proto::{Error, ResponseError, TlsError};
use ws_server_mio::inspect;
use ws_server_mio::{
    ClientId, ClientState, Closed, ConnectError, ConnectionId, Connections, Event, Message, State,
};

/// A message from a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Echo(usize),
    News(usize),
}

/// The record of one connection.
pub(super) struct Record {
    /// The events that were reported of it.
    pub(super) events: Events,
    pub(super) id: Option<ConnectionId>,
    pub(super) client: Option<ClientId>,
    /// The lengths of the messages that the client sent.
    pub(super) lengths: Vec<usize>,
    /// How many of them the host received.
    pub(super) received: usize,
    pub(super) said: Vec<Said>,
    /// How much of that the client received.
    pub(super) got: usize,
    /// Which request the host received.
    request_number: Option<usize>,
    fragment: Vec<u8>,
}

pub(super) struct App {
    pub(super) rng: Rng,
    pub(super) kernel: Kernel,
    pub(super) clients: BTreeMap<ClientId, Known>,
    /// By socket.
    pub(super) records: BTreeMap<usize, Record>,
    pub(super) ids: BTreeMap<ConnectionId, usize>,
    /// The addresses that each of the requests may lead to.
    pub(super) leads: Vec<Vec<SocketAddr>>,
    pub(super) events: u64,
    /// How often it acts on a report, in percent.
    pub(super) wild: usize,
    pub(super) hasty: bool,
    /// Whether to print a trace.
    pub(super) trace: bool,
    pub(super) layers: Option<Layers>,
    /// The totals of all clients.
    pub(super) opens: usize,
    pub(super) failures: usize,
    pub(super) reconnects: usize,
}

impl App {
    pub(super) fn new(rng: Rng, kernel: Kernel, hasty: bool, trace: bool, layers: Option<Layers>) -> Self {
        let mut app = Self {
            rng,
            kernel,
            clients: BTreeMap::new(),
            records: BTreeMap::new(),
            ids: BTreeMap::new(),
            leads: Vec::new(),
            events: 0,
            wild: 0,
            hasty,
            trace,
            layers,
            opens: 0,
            failures: 0,
            reconnects: 0,
        };
        app.wild = app.rng.pick(&[0, 5, 30]);
        app
    }

    pub(super) fn trace(&self, text: impl FnOnce() -> String) {
        if self.trace {
            println!("    {}", text());
        }
    }

    pub(super) fn record(&mut self, socket: usize) -> &mut Record {
        self.records.entry(socket).or_insert_with(Record::new)
    }

    /// A host received `/n`, the nth of the requests.
    pub(super) fn request_received(&mut self, socket: usize, path: &str) {
        let number: usize = path.strip_prefix('/').unwrap().parse().unwrap();
        if let Some(Some(address)) = self.kernel.lock().sockets[socket].target {
            assert!(self.leads[number].contains(&address), "{address} is none of request {number}");
        }
        self.record(socket).request_number = Some(number);
    }

    pub(super) fn handle(&mut self, connections: &mut Connections, event: Event<'_>) {
        self.events += 1;
        match event {
            Event::ConnectFailed { client, error } => self.failed(connections, client, &error),
            Event::Reconnecting { client, attempt, delay } => {
                self.reconnecting(connections, client, attempt, delay);
            }
            Event::Resumed { slept } => {
                assert!(slept > Duration::from_secs(1000));
            }
            event => match event.connection() {
                Some(id) => self.on_event(connections, id, event),
                None => panic!("{event:?}"),
            },
        }
        if self.rng.percent(self.wild) {
            self.act(connections);
        }
    }

    fn failed(&mut self, connections: &mut Connections, client: ClientId, error: &ConnectError) {
        assert!(!error.to_string().is_empty());
        self.failures += 1;
        let known = self.clients.get_mut(&client).expect("reported a removed client");
        known.failures += 1;
        if let ConnectError::Cancelled = error {
            assert!(known.cancelled > 0, "no attempt was abandoned");
            known.cancelled -= 1;
        }
        if let ConnectError::Unreachable { tried, error } = error {
            assert!(tried.len() <= pool().len() && error.kind() != ErrorKind::NotConnected);
        }
        known.retry_after = Duration::ZERO;
        let mut is_final = false;
        if let Some(response) = error.response() {
            let status = response.status().as_u16();
            is_final = matches!(status, 300..=499) && !matches!(status, 302 | 303 | 307 | 408 | 425 | 429);
            let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
            known.retry_after = Duration::from_secs(after.and_then(|text| text.parse().ok()).unwrap_or(0));
        }
        // A server without TLS will not learn it by itself, nor one with TLS stop it.
        is_final |= matches!(
            error,
            ConnectError::Tls(TlsError::PlainHttp) | ConnectError::Handshake(ResponseError::TlsRequired)
        );
        let all_reported = unreported(connections, client) == 0;
        known.by_policy = std::mem::replace(&mut known.quiet, all_reported);
        if !known.by_policy {
            return;
        }
        let state = connections.client(client).state();
        self.check_next(client, state, is_final);
    }

    /// The application has called nothing since: the policy decides.
    fn check_next(&self, client: ClientId, state: ClientState, is_final: bool) {
        let known = &self.clients[&client];
        match &known.policy {
            None => assert_eq!(state, ClientState::Idle),
            Some(_) if is_final => assert_eq!(state, ClientState::Idle),
            Some(policy) if policy.get_attempts().is_none() => assert_eq!(state, ClientState::Waiting),
            Some(_) => assert!(matches!(state, ClientState::Idle | ClientState::Waiting)),
        }
    }

    fn reconnecting(
        &mut self,
        connections: &mut Connections,
        client: ClientId,
        attempt: u32,
        delay: Duration,
    ) {
        self.reconnects += 1;
        let known = self.clients.get_mut(&client).expect("reported a removed client");
        assert_eq!(connections.client(client).state(), ClientState::Waiting);
        let attempts = inspect::client(connections, client).unwrap().attempts;
        assert!(attempt > 0 && known.permits == attempts, "reported an attempt twice");
        assert_eq!(known.ended(), attempts, "reported before the end of the previous attempt");
        known.permits += 1;
        assert!(!std::mem::take(&mut known.fresh) || attempt == 1);
        assert!(delay >= known.retry_after);
        if let (true, true, Some(policy)) = (known.quiet, known.by_policy, &known.policy) {
            assert!(policy.get_attempts().is_none_or(|most| attempt <= most));
            let (min, max) = policy.get_wait();
            assert!(delay <= max.max(Duration::from_millis(1)).max(known.retry_after));
            assert!(delay >= min / 2);
        }
        known.retry_after = Duration::ZERO;
    }

    fn on_event(&mut self, connections: &mut Connections, id: ConnectionId, event: Event<'_>) {
        if let Event::Open(..) = event {
            return self.opened(connections, id, &event);
        }
        let socket = *self.ids.get(&id).expect("reported a connection that did not open");
        let record = self.records.get_mut(&socket).unwrap();
        record_event(&mut record.events, &event);
        match event {
            Event::Message(_, message) => record.message(&message, socket),
            Event::Fragment(_, fragment) => {
                assert!(fragment.first || !fragment.data.as_bytes().is_empty());
                record.fragment.extend_from_slice(fragment.data.as_bytes());
                if fragment.last {
                    let whole = std::mem::take(&mut record.fragment);
                    let message = match String::from_utf8(whole) {
                        Ok(text) => Message::Text(text.into()),
                        Err(other) => Message::Binary(other.into_bytes().into()),
                    };
                    record.message(&message, socket);
                }
            }
            Event::Closed(_, closed) => self.closed(connections, id, socket, &closed),
            Event::Drained(_) | Event::Pong(..) => {}
            event => panic!("{event:?}"),
        }
    }

    fn opened(&mut self, connections: &mut Connections, id: ConnectionId, event: &Event<'_>) {
        self.opens += 1;
        let socket =
            self.kernel.lock().tokens().find(|(token, _)| Token(*token) == inspect::token(id)).unwrap().1;
        let client = connections.client_of(id).expect("a removed client opens nothing");
        assert_eq!(connections.client(client).connection(), Some(id));
        assert_eq!(connections.client(client).state(), ClientState::Open);
        assert_eq!(connections.state(id), State::Open);
        assert!(self.ids.insert(id, socket).is_none(), "opened twice");
        let known = self.clients.get_mut(&client).unwrap();
        assert!(known.connection.replace(id).is_none(), "opened beside another connection");
        known.opens += 1;
        // Settings changed after the attempt began apply to the next.
        let attempts = inspect::client(connections, client).unwrap().attempts;
        let asks = known.requests.iter().rev().find(|(set, _)| *set < attempts).map(|(_, number)| *number);
        known.again = None;
        known.quiet = true;
        known.retry_after = Duration::ZERO;
        let record = self.record(socket);
        record_event(&mut record.events, event);
        assert_eq!(record.request_number, asks);
        assert!(record.id.replace(id).is_none() && record.client.replace(client).is_none());
    }

    fn closed(&mut self, connections: &mut Connections, id: ConnectionId, socket: usize, closed: &Closed) {
        let is_handshake = matches!(closed.error, Some(Error::Response(ResponseError::Rejected(_))));
        assert!(!is_handshake);
        let record = self.records.get_mut(&socket).unwrap();
        let client = record.client.unwrap();
        if closed.clean {
            assert!(record.got <= record.said.len());
        }
        let policy = self.clients.get(&client).and_then(|known| known.policy.clone());
        let is_final = policy.is_some_and(|policy| policy.is_final(closed));
        let Some(known) = self.clients.get_mut(&client) else {
            assert_eq!(connections.client_of(id), None);
            return;
        };
        assert_eq!(connections.client_of(id), Some(client));
        assert_eq!(known.connection.take(), Some(id));
        (known.quiet, known.by_policy) = (true, true);
        let state = connections.client(client).state();
        match known.again.take() {
            Some(true) => assert_eq!(state, ClientState::Waiting),
            Some(false) => assert_eq!(state, ClientState::Idle),
            None => self.check_next(client, state, is_final),
        }
    }
}

/// How many failures of a client are still to be reported.
pub(super) fn unreported(connections: &Connections, id: ClientId) -> u32 {
    inspect::client(connections, id).map_or(0, |client| client.unreported)
}

impl Record {
    fn new() -> Self {
        Self {
            events: Events::client(),
            id: None,
            client: None,
            lengths: Vec::new(),
            received: 0,
            said: Vec::new(),
            got: 0,
            request_number: None,
            fragment: Vec::new(),
        }
    }

    fn message(&mut self, message: &Message<'_>, socket: usize) {
        let Some(said) = self.said.get(self.got) else {
            panic!("received from {socket} what it did not send")
        };
        match *said {
            Said::Echo(n) => {
                assert!(message.as_bytes() == content(socket, n, self.lengths[n]), "echo {n} of {socket}");
            }
            Said::News(n) => assert_eq!(message.as_text(), Some(&*format!("news {n}"))),
        }
        self.got += 1;
    }
}
