//! The list of clients, and their phases.
//!
//! ```text
//!  Idle ──▶ Resolving ──▶ Connecting ──▶ Open ──▶ Waiting ──▶ Resolving …
//!           a name         a race of      one
//!                          addresses      connection
//! ```

use crate::ids::ClientId;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use ws_host::client::Backoff;
use ws_host::client::{ClientConfig, ConnectError};
use ws_host::proxy::ProxyServer;
use ws_proto::Moment;
use ws_proto::{ClientRequest, Config};

/// A client's phase.
pub(crate) enum Phase {
    Idle,
    /// A name is being looked up.
    Resolving(Attempt),
    Connecting(Race),
    /// A connection, open or closing.
    Open {
        slot: u32,
        since: Moment,
    },
    /// `None`: `Reconnecting` is not emitted yet, so the application may still change the request; or the delay
    /// exceeds the clock's range.
    Waiting {
        until: Option<Moment>,
    },
}

/// An attempt, with the request as it began: later settings apply to the next
/// attempt, and a new token never goes to an old address.
#[derive(Clone)]
pub(crate) struct Attempt {
    pub(crate) since: Moment,
    pub(crate) request: ClientRequest,
    pub(crate) rules: Arc<Config>,
    pub(crate) config: Arc<ClientConfig>,
}

impl Attempt {
    pub(crate) fn proxy(&self) -> Option<&ProxyServer> {
        self.config.proxy_for(&self.request)
    }

    /// A failure of this attempt, with its proxy and its redirects.
    pub(crate) fn failure(&self, error: ConnectError) -> ConnectError {
        error.in_attempt(&self.request, self.proxy())
    }

    /// What is connected to: the proxy, or the server of the request.
    pub(crate) fn address(&self) -> &ClientRequest {
        self.proxy().map_or(&self.request, ProxyServer::address)
    }
}

/// A race of several addresses in parallel; the first to accept wins.
pub(crate) struct Race {
    pub(crate) attempt: Attempt,
    pub(crate) untried: VecDeque<SocketAddr>,
    pub(crate) tried: Vec<SocketAddr>,
    /// The running connections.
    pub(crate) slots: Vec<u32>,
    /// The error of the last one that failed.
    pub(crate) error: Option<io::Error>,
}

impl Race {
    pub(crate) fn new(attempt: Attempt, untried: VecDeque<SocketAddr>) -> Self {
        Self { attempt, untried, tried: Vec::new(), slots: Vec::new(), error: None }
    }
}

/// What the application wants after the current attempt or connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    Policy,
    /// Another connection.
    Again,
    /// No connection.
    Stop,
}

pub(crate) struct Client {
    generation: u32,
    pub(crate) request: ClientRequest,
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) rules: Arc<Config>,
    pub(crate) backoff: Backoff,
    pub(crate) phase: Phase,
    pub(crate) intent: Intent,
    /// How many attempts it has begun: a resolver's answer, or a pending notice, may belong to an earlier
    /// one.
    pub(crate) attempts: u32,
    /// How many of its notices are pending.
    unreported: u32,
    /// When it needs a turn.
    due: Option<Moment>,
}

impl Client {
    pub(crate) fn new(request: ClientRequest, config: ClientConfig) -> Self {
        Self {
            generation: 0,
            request,
            rules: Arc::new(config.connection_config()),
            config: Arc::new(config),
            backoff: Backoff::default(),
            phase: Phase::Idle,
            intent: Intent::Policy,
            attempts: 0,
            unreported: 0,
            due: None,
        }
    }

    /// The slots of its connections.
    pub(crate) fn slots(&self) -> Vec<u32> {
        match &self.phase {
            Phase::Connecting(race) => race.slots.clone(),
            Phase::Open { slot, .. } => vec![*slot],
            Phase::Idle | Phase::Resolving(_) | Phase::Waiting { .. } => Vec::new(),
        }
    }

    fn deadline(&self) -> Option<Moment> {
        match &self.phase {
            Phase::Resolving(attempt) => attempt.since.checked_add(attempt.rules.get_handshake_timeout()),
            // No attempt begins before the end of the last one is reported.
            Phase::Waiting { until } => until.filter(|_| self.unreported == 0),
            // The engine keeps a connection's time.
            Phase::Idle | Phase::Connecting(_) | Phase::Open { .. } => None,
        }
    }
}

/// A pending notice.
pub(crate) enum Notice {
    Failed {
        client: ClientId,
        error: ConnectError,
    },
    /// What follows this attempt.
    Reconnecting {
        client: ClientId,
        attempts: u32,
        attempt: u32,
        delay: Duration,
        until: Option<Moment>,
    },
}

impl Notice {
    fn client(&self) -> ClientId {
        match self {
            Self::Failed { client, .. } | Self::Reconnecting { client, .. } => *client,
        }
    }
}

/// The most stale entries in the heap before it is cleaned, however few clients there are.
const STALE: usize = 64;

/// The clients of an endpoint.
#[derive(Default)]
pub(crate) struct Clients {
    list: Vec<Option<Client>>,
    free: Vec<u32>,
    generation: u32,
    by_slot: HashMap<u32, ClientId>,
    /// Clients that need a turn at a time; an entry is stale if the client has another time.
    due: BinaryHeap<Reverse<(Moment, u32)>>,
    pub(crate) notices: VecDeque<Notice>,
    /// A client, or the connection of a removed one, has ended since this was last taken.
    became_idle: bool,
}

impl Clients {
    pub(crate) fn add(&mut self, mut client: Client) -> ClientId {
        self.generation = self.generation.wrapping_add(1);
        client.generation = self.generation;
        let index = match self.free.pop() {
            Some(index) => {
                self.list[index as usize] = Some(client);
                index
            }
            None => {
                self.list.push(Some(client));
                self.list.len() as u32 - 1
            }
        };
        ClientId { index, generation: self.generation }
    }

    pub(crate) fn remove(&mut self, id: ClientId) {
        if self.get(id).is_some() {
            self.list[id.index as usize] = None;
            self.free.push(id.index);
            self.became_idle = true;
        }
    }

    /// Removes a client that is to be forgotten, once it is idle and has no pending notice.
    pub(crate) fn forget_idle(&mut self, id: ClientId) {
        let is_done = self.get(id).is_some_and(|client| {
            client.config.get_forget_when_closed() && matches!(client.phase, Phase::Idle)
        });
        if is_done && !self.has_notice(id) {
            self.remove(id);
        }
    }

    /// Whether any client, even a removed one, has a socket.
    #[inline]
    pub(crate) fn has_connections(&self) -> bool {
        !self.by_slot.is_empty()
    }

    pub(crate) fn get(&self, id: ClientId) -> Option<&Client> {
        self.list.get(id.index as usize)?.as_ref().filter(|client| client.generation == id.generation)
    }

    pub(crate) fn get_mut(&mut self, id: ClientId) -> Option<&mut Client> {
        self.list.get_mut(id.index as usize)?.as_mut().filter(|client| client.generation == id.generation)
    }

    pub(crate) fn at_mut(&mut self, index: u32) -> Option<&mut Client> {
        self.list.get_mut(index as usize)?.as_mut()
    }

    pub(crate) fn id_at(&self, index: u32) -> Option<ClientId> {
        let client = self.list.get(index as usize)?.as_ref()?;
        Some(ClientId { index, generation: client.generation })
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = ClientId> {
        (0..self.list.len() as u32).filter_map(|index| self.id_at(index))
    }

    pub(crate) fn set_idle(&mut self, index: u32) {
        if let Some(client) = self.at_mut(index) {
            client.phase = Phase::Idle;
            client.due = None;
            self.became_idle = true;
        }
    }

    /// Whether a client has become idle since this was last taken.
    pub(crate) fn take_became_idle(&mut self) -> bool {
        std::mem::take(&mut self.became_idle)
    }

    /// Whether all clients, removed ones included, are idle, and no notice is
    /// pending.
    pub(crate) fn all_idle(&self) -> bool {
        self.notices.is_empty()
            && self.by_slot.is_empty()
            && self.list.iter().flatten().all(|client| matches!(client.phase, Phase::Idle))
    }

    /// Whether a client has a pending notice.
    pub(crate) fn has_notice(&self, client: ClientId) -> bool {
        self.get(client).is_some_and(|client| client.unreported > 0)
    }

    pub(crate) fn push_notice(&mut self, notice: Notice) {
        if let Some(client) = self.get_mut(notice.client()) {
            client.unreported += 1;
        }
        self.notices.push_back(notice);
    }

    /// Takes the oldest notice.
    pub(crate) fn take_notice(&mut self) -> Option<Notice> {
        let notice = self.notices.pop_front()?;
        let id = notice.client();
        if let Some(client) = self.get_mut(id) {
            client.unreported -= 1;
            if client.unreported == 0 && matches!(client.phase, Phase::Waiting { .. }) {
                self.arm(id.index, None);
            }
        }
        Some(notice)
    }

    pub(crate) fn bind(&mut self, slot: u32, id: ClientId) {
        self.by_slot.insert(slot, id);
    }

    pub(crate) fn unbind(&mut self, slot: u32) {
        self.by_slot.remove(&slot);
        self.became_idle = true;
    }

    /// The client of a connection, unless it was removed.
    pub(crate) fn of_slot(&self, slot: u32) -> Option<ClientId> {
        self.by_slot.get(&slot).copied().filter(|id| self.get(*id).is_some())
    }

    /// Schedules a client after its phase has changed, or if it also needs a turn at this time.
    pub(crate) fn arm(&mut self, index: u32, also: Option<Moment>) {
        let Some(client) = self.list.get_mut(index as usize).and_then(Option::as_mut) else { return };
        let due = client.deadline().into_iter().chain(also).min();
        let before = std::mem::replace(&mut client.due, due);
        if let Some(due) = due.filter(|_| due != before) {
            self.due.push(Reverse((due, index)));
        }
        // A client has one current time, however often it changes.
        if self.due.len() > 2 * self.list.len() + STALE {
            let Self { due, list, .. } = self;
            due.retain(|Reverse((at, index))| {
                let client = list.get(*index as usize).and_then(Option::as_ref);
                client.is_some_and(|client| client.due == Some(*at))
            });
        }
    }

    /// Takes a client that is due.
    pub(crate) fn take_due(&mut self, now: Moment) -> Option<u32> {
        while let Some(&Reverse((at, index))) = self.due.peek() {
            let client = self.list.get_mut(index as usize).and_then(Option::as_mut);
            let client = client.filter(|client| client.due == Some(at));
            if client.is_some() && at > now {
                return None;
            }
            self.due.pop();
            if let Some(client) = client {
                client.due = None;
                return Some(index);
            }
        }
        None
    }

    /// Whether no client has an event, or waits for a time.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        self.notices.is_empty() && self.due.is_empty()
    }

    /// An upper bound on the clients that are due now.
    #[inline]
    pub(crate) fn due_len(&self) -> usize {
        self.due.len()
    }

    /// Whether any client needs work now.
    #[inline]
    pub(crate) fn has_work(&self, now: Moment) -> bool {
        !self.notices.is_empty() || self.due.peek().is_some_and(|Reverse((at, _))| *at <= now)
    }

    /// The time until a client may need a turn.
    #[inline]
    pub(crate) fn wait_from(&self, now: Moment) -> Option<Duration> {
        Some(self.due.peek()?.0.0.since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_deadlines_are_cleaned() {
        let mut clients = Clients::default();
        let request = ClientRequest::new("ws://localhost/").unwrap();
        let id = clients.add(Client::new(request, ClientConfig::default()));
        let start = Moment::default();
        let mut wait = |seconds| {
            let until = Some(start + Duration::from_secs(seconds));
            clients.get_mut(id).unwrap().phase = Phase::Waiting { until };
            clients.arm(id.index, None);
        };
        (0..1000).for_each(&mut wait);
        (0..1000).for_each(|_| wait(500));
        assert!(clients.due.len() <= STALE + 3, "{}", clients.due.len());
        assert_eq!(clients.take_due(start + Duration::from_secs(499)), None);
        assert_eq!(clients.take_due(start + Duration::from_secs(500)), Some(id.index));
        assert_eq!(clients.take_due(start + Duration::from_secs(5000)), None);
        assert!(clients.due.is_empty());
    }
}
