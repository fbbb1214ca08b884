//! Internals for tests: every connection with the lists it is on, the phases of servers and clients, and
//! what is left.

use crate::client::list::{Client, Notice, Phase};
use crate::connection::Connections;
use crate::connection::deadlines::Deadlines;
use crate::connection::slots::mark;
use crate::ids::{ClientId, ConnectionId};
use mio::Token;
use std::time::Duration;
use ws_host::server::Admission;
use ws_proto::{Connection, Moment};

pub use crate::connection::slots::flag;

/// Remaining work, and counts of what should end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overview {
    /// Work is left that the kernel will not signal.
    pub has_work: bool,
    /// How many servers listen or are stopping.
    pub servers: usize,
    /// How many slots are in use.
    pub slots: usize,
    /// How many connections have leftover bytes.
    pub leftovers: usize,
    /// Files are being sent.
    pub files: bool,
    /// There are subscriptions.
    pub topics: bool,
    /// All clients are idle.
    pub all_idle: bool,
    /// How many entries the clients' schedule has, stale ones included.
    pub due: usize,
}

/// An overview.
pub fn overview(connections: &Connections) -> Overview {
    Overview {
        has_work: connections.has_work() || connections.deadlines.has_work(),
        servers: connections.servers().count(),
        slots: connections.slots.len(),
        leftovers: connections.leftovers.len(),
        files: !connections.files.is_empty(),
        topics: !connections.fanout.topics.is_empty(),
        all_idle: connections.clients.all_idle(),
        due: connections.clients.due_len(),
    }
}

/// All clients, idle or not.
pub fn clients(connections: &Connections) -> impl Iterator<Item = ClientId> {
    connections.clients()
}

/// The token under which the kernel reports a connection.
pub fn token(id: ConnectionId) -> Token {
    Token(id.slot as usize)
}

/// Whether a frame is kept for a slow connection.
pub fn is_kept_for(connections: &Connections, id: ConnectionId) -> bool {
    connections.fanout.latest.has(id)
}

/// Frees the memory of a busy time, as a long silence does.
pub fn free_memory(connections: &mut Connections) {
    connections.free_memory();
}

/// A connection, and the loop's state of it.
#[expect(missing_debug_implementations, reason = "not all of its parts have it")]
pub struct SlotView<'c> {
    /// Its slot.
    pub slot: u32,
    /// Its id.
    pub id: ConnectionId,
    /// The index of its server, as in [`servers`].
    pub server: usize,
    /// Its client, if it has one.
    pub client: Option<ClientId>,
    /// It is, or was, a client's.
    pub is_client: bool,
    /// The engine's part.
    pub connection: &'c mut Connection,
    /// A TLS handshake is not finished.
    pub is_handshaking: bool,
    /// It has leftover bytes.
    pub has_leftover: bool,
    /// It is queued to be read.
    pub is_queued: bool,
    /// It is on the dirty list.
    pub is_dirty: bool,
    flags: u16,
    armed: Option<u64>,
    deadlines: &'c Deadlines,
}

impl SlotView<'_> {
    /// Whether one of these [`flag`]s is set.
    pub fn has(&self, flags: u16) -> bool {
        self.flags & flags != 0
    }

    /// Whether a timer fires at this time, or before.
    pub fn has_timer_by(&self, deadline: Moment) -> bool {
        self.armed.is_some_and(|tick| tick <= self.deadlines.tick_of(deadline))
    }
}

/// Visits every connection.
pub fn each_slot(connections: &mut Connections, mut visit: impl FnMut(SlotView<'_>)) {
    let Connections { slots, clients, deadlines, readable, dirty, leftovers, sockets, .. } = connections;
    for (slot, live) in slots.iter_mut() {
        visit(SlotView {
            slot,
            id: live.id(slot),
            server: usize::from(live.server),
            client: clients.of_slot(slot),
            is_client: live.is_marked(mark::CLIENT),
            is_handshaking: sockets.is_handshaking(slot),
            has_leftover: leftovers.contains_key(&slot),
            is_queued: readable.contains(slot),
            is_dirty: dirty.contains(&slot),
            flags: live.flags(),
            armed: live.is_armed().then(|| live.armed()),
            connection: &mut live.connection,
            deadlines,
        });
    }
}

/// A server.
#[derive(Debug)]
pub struct ServerView<'c> {
    /// Its limits and counts.
    pub admission: &'c Admission,
    /// How many connections are plain HTTP.
    pub http: usize,
    /// How many are WebSockets.
    pub websockets: usize,
    /// For each listener, whether connections may wait there.
    pub ready: Vec<bool>,
}

/// The servers, by index; `None` for an unused index.
pub fn servers(connections: &Connections) -> Vec<Option<ServerView<'_>>> {
    let servers = (0..connections.servers.end()).map(|index| connections.servers.at(index));
    servers
        .map(|server| {
            server.map(|server| ServerView {
                admission: &server.admission,
                http: server.http,
                websockets: server.websockets,
                ready: server.listeners.iter().map(|listener| listener.ready).collect(),
            })
        })
        .collect()
}

/// A client.
#[derive(Clone, Debug)]
pub struct ClientView {
    /// How many attempts it has begun.
    pub attempts: u32,
    /// How many of its failures are not reported yet.
    pub unreported: u32,
    /// The attempts whose next step is not reported yet.
    pub pending_reconnects: Vec<u32>,
    /// Its phase.
    pub phase: PhaseView,
}

/// A client's phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhaseView {
    /// It has no connection, and does not try.
    Idle,
    /// A name is being looked up, until `end` at most.
    Resolving {
        /// The end of the attempt.
        end: Moment,
    },
    /// A race of addresses.
    Connecting {
        /// The end of the attempt.
        end: Moment,
        /// The running connections.
        slots: Vec<u32>,
        /// How many addresses are not tried yet.
        untried: usize,
    },
    /// It has a connection.
    Open {
        /// Its slot.
        slot: u32,
    },
    /// It waits for its next attempt.
    Waiting {
        /// The end of the wait; `None` until the wait is reported.
        until: Option<Moment>,
    },
}

/// A client, unless it was removed.
pub fn client(connections: &Connections, id: ClientId) -> Option<ClientView> {
    let clients = &connections.clients;
    let client = clients.get(id)?;
    let failed = |notice: &&Notice| matches!(notice, Notice::Failed { client, .. } if *client == id);
    let waits = |notice: &Notice| match notice {
        Notice::Reconnecting { client, attempts, .. } if *client == id => Some(*attempts),
        _ => None,
    };
    Some(ClientView {
        attempts: client.attempts,
        unreported: clients.notices.iter().filter(failed).count() as u32,
        pending_reconnects: clients.notices.iter().filter_map(waits).collect(),
        phase: phase(client),
    })
}

fn phase(client: &Client) -> PhaseView {
    match &client.phase {
        Phase::Idle => PhaseView::Idle,
        Phase::Resolving(attempt) => {
            PhaseView::Resolving { end: attempt.since + attempt.rules.get_handshake_timeout() }
        }
        Phase::Connecting(race) => PhaseView::Connecting {
            end: race.attempt.since + race.attempt.rules.get_handshake_timeout(),
            slots: race.slots.clone(),
            untried: race.untried.len(),
        },
        Phase::Open { slot, .. } => PhaseView::Open { slot: *slot },
        Phase::Waiting { until } => PhaseView::Waiting { until: *until },
    }
}

/// The time until a client may need a turn.
pub fn client_wait(connections: &Connections, now: Moment) -> Option<Duration> {
    connections.clients.wait_from(now)
}
