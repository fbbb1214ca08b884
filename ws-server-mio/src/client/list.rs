//! The list of clients, and what each of them is at.
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
use ws_proto::Moment;
use ws_proto::{ClientRequest, Config};

/// What a client is at.
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
    /// `None`: the application has not been told yet, and may want to change what will be asked for; or it is longer
    /// than any clock will show.
    Waiting {
        until: Option<Moment>,
    },
}

/// An attempt to connect, as it was asked for when it began: what the application sets meanwhile is for the next
/// one, and a new token never goes to an old address.
#[derive(Clone)]
pub(crate) struct Attempt {
    pub(crate) since: Moment,
    pub(crate) request: ClientRequest,
    pub(crate) rules: Arc<Config>,
}

/// An attempt at several addresses beside each other, until one takes it.
pub(crate) struct Race {
    pub(crate) attempt: Attempt,
    pub(crate) untried: VecDeque<SocketAddr>,
    pub(crate) tried: Vec<SocketAddr>,
    /// The connections that run.
    pub(crate) slots: Vec<u32>,
    /// What the last one that failed said.
    pub(crate) error: Option<io::Error>,
}

impl Race {
    pub(crate) fn new(attempt: Attempt, untried: VecDeque<SocketAddr>) -> Self {
        Self { attempt, untried, tried: Vec::new(), slots: Vec::new(), error: None }
    }
}

/// What comes after the present attempt or connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Policy,
    /// The application wants another connection.
    Again,
    /// The application wants none.
    Rest,
}

pub(crate) struct Client {
    generation: u32,
    pub(crate) request: ClientRequest,
    pub(crate) config: ClientConfig,
    pub(crate) rules: Arc<Config>,
    pub(crate) backoff: Backoff,
    pub(crate) phase: Phase,
    pub(crate) then: Then,
    /// How many attempts it has begun: the answer of a resolver, or what is yet to be told, may belong to an earlier
    /// one.
    pub(crate) attempts: u32,
    /// When it wants to act by itself.
    due: Option<Moment>,
}

impl Client {
    pub(crate) fn new(request: ClientRequest, config: ClientConfig) -> Self {
        Self {
            generation: 0,
            request,
            rules: Arc::new(config.connection_config()),
            config,
            backoff: Backoff::default(),
            phase: Phase::Idle,
            then: Then::Policy,
            attempts: 0,
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
            Phase::Waiting { until } => *until,
            // Of a connection the engine keeps the time.
            Phase::Idle | Phase::Connecting(_) | Phase::Open { .. } => None,
        }
    }
}

/// What is yet to be told.
pub(crate) enum Notice {
    Failed {
        client: ClientId,
        error: ConnectError,
    },
    /// What comes after so many attempts.
    Reconnecting {
        client: ClientId,
        attempts: u32,
        attempt: u32,
        delay: Duration,
        until: Option<Moment>,
    },
}

/// So many entries of the heap may be stale before it is cleaned, however few clients there are.
const STALE: usize = 64;

/// The clients of an endpoint.
#[derive(Default)]
pub(crate) struct Clients {
    list: Vec<Option<Client>>,
    free: Vec<u32>,
    generation: u32,
    by_slot: HashMap<u32, ClientId>,
    /// Those that want to act by themselves; stale where the client says another time.
    due: BinaryHeap<Reverse<(Moment, u32)>>,
    pub(crate) notices: VecDeque<Notice>,
    /// One of them, or a connection of one that was removed, has ended since that was last asked.
    rested: bool,
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
            self.rested = true;
        }
    }

    /// Removes a client that wants to be forgotten, and that has come to rest with nothing left to tell.
    pub(crate) fn forget_rested(&mut self, id: ClientId) {
        let is_done = self.get(id).is_some_and(|client| {
            client.config.get_forget_when_closed() && matches!(client.phase, Phase::Idle)
        });
        if is_done && !self.has_notice(id) {
            self.remove(id);
        }
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

    pub(crate) fn rest(&mut self, index: u32) {
        if let Some(client) = self.at_mut(index) {
            client.phase = Phase::Idle;
            client.due = None;
            self.rested = true;
        }
    }

    /// Whether one of them has come to rest since this was last asked.
    pub(crate) fn take_rested(&mut self) -> bool {
        std::mem::take(&mut self.rested)
    }

    /// Whether none of them has a connection or tries to get one, those that were removed included, and nothing is
    /// to be told of any.
    pub(crate) fn all_rest(&self) -> bool {
        self.notices.is_empty()
            && self.by_slot.is_empty()
            && self.list.iter().flatten().all(|client| matches!(client.phase, Phase::Idle))
    }

    /// Whether something is yet to be told of a client.
    pub(crate) fn has_notice(&self, client: ClientId) -> bool {
        self.notices.iter().any(|notice| match notice {
            Notice::Failed { client: of, .. } | Notice::Reconnecting { client: of, .. } => *of == client,
        })
    }

    pub(crate) fn bind(&mut self, slot: u32, id: ClientId) {
        self.by_slot.insert(slot, id);
    }

    pub(crate) fn unbind(&mut self, slot: u32) {
        self.by_slot.remove(&slot);
        self.rested = true;
    }

    /// The client of a connection, unless it was removed.
    pub(crate) fn of_slot(&self, slot: u32) -> Option<ClientId> {
        self.by_slot.get(&slot).copied().filter(|id| self.get(*id).is_some())
    }

    /// A client has come to another phase, or wants to act at this time too.
    pub(crate) fn arm(&mut self, index: u32, also: Option<Moment>) {
        let Some(client) = self.list.get_mut(index as usize).and_then(Option::as_mut) else { return };
        let due = client.deadline().into_iter().chain(also).min();
        let before = std::mem::replace(&mut client.due, due);
        if let Some(due) = due.filter(|_| due != before) {
            self.due.push(Reverse((due, index)));
        }
        // However often a client changes its mind, it has one time that counts.
        if self.due.len() > 2 * self.list.len() + STALE {
            let Self { due, list, .. } = self;
            due.retain(|Reverse((at, index))| {
                let client = list.get(*index as usize).and_then(Option::as_ref);
                client.is_some_and(|client| client.due == Some(*at))
            });
        }
    }

    /// A client whose time has come.
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

    /// How many at most want to act now.
    #[inline]
    pub(crate) fn due_len(&self) -> usize {
        self.due.len()
    }

    /// Whether there is something to do now.
    #[inline]
    pub(crate) fn has_work(&self, now: Moment) -> bool {
        !self.notices.is_empty() || self.due.peek().is_some_and(|Reverse((at, _))| *at <= now)
    }

    /// The time from now until one of them may want to act.
    #[inline]
    pub(crate) fn wait_from(&self, now: Moment) -> Option<Duration> {
        Some(self.due.peek()?.0.0.since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_changes_its_mind_a_thousand_times_has_one_time_that_counts() {
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
