//! What tests see of the inside: every connection with the lists that it stands on, what servers and clients are at, and
//! whether anything is left.

use crate::client::list::{Client, Notice, Phase};
use crate::connection::Connections;
use crate::connection::timers::Timers;
use crate::ids::{ClientId, ConnectionId};
use mio::Token;
use std::time::Duration;
use ws_host::server::Admission;
use ws_proto::{Connection, Moment};

pub use crate::connection::slots::flag;

/// Whether anything is left to do, and how much there is of what should end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overview {
    /// A turn would have something to do that the kernel will not tell.
    pub has_work: bool,
    /// How many servers listen or are about to stop.
    pub servers: usize,
    /// How many slots are in use.
    pub slots: usize,
    /// How many connections have bytes that they did not take.
    pub leftovers: usize,
    /// Files are being sent.
    pub files: bool,
    /// Somebody is subscribed to something.
    pub topics: bool,
    /// No client has a connection, or tries to get one.
    pub all_rest: bool,
    /// How many times clients want to act at, those that count no more included.
    pub due: usize,
}

/// An overview.
pub fn overview(connections: &Connections) -> Overview {
    Overview {
        has_work: connections.has_work(),
        servers: connections.servers().count(),
        slots: connections.slots.len(),
        leftovers: connections.leftovers.len(),
        files: !connections.files.is_empty(),
        topics: !connections.fanout.topics.is_empty(),
        all_rest: connections.clients.all_rest(),
        due: connections.clients.due_len(),
    }
}

/// The clients there are, at rest or not.
pub fn clients(connections: &Connections) -> impl Iterator<Item = ClientId> {
    connections.clients()
}

/// The token under which the kernel tells of a connection.
pub fn token(id: ConnectionId) -> Token {
    Token(id.slot as usize)
}

/// Whether a frame is kept for a connection that was too slow for it.
pub fn is_kept_for(connections: &Connections, id: ConnectionId) -> bool {
    connections.fanout.newest.has(id)
}

/// What a long silence does: memory of a busy time is freed.
pub fn free_memory(connections: &mut Connections) {
    connections.free_memory();
}

/// A connection, and what the loop knows of it.
#[expect(missing_debug_implementations, reason = "what it shows has none")]
pub struct SlotView<'c> {
    /// Its slot.
    pub slot: u32,
    /// Its id.
    pub id: ConnectionId,
    /// The place of its server, as in [`servers`].
    pub server: usize,
    /// Whose connection it is.
    pub client: Option<ClientId>,
    /// The engine's part.
    pub connection: &'c mut Connection,
    /// Which of the lists have it: bytes that it did not take, what may be read, what is dirty.
    pub has_leftover: bool,
    /// It may be read.
    pub is_queued: bool,
    /// It may have something to tell or to write.
    pub is_dirty: bool,
    flags: u16,
    armed: Option<u64>,
    timers: &'c Timers,
}

impl SlotView<'_> {
    /// Whether one of these [`flag`]s is set.
    pub fn has(&self, flags: u16) -> bool {
        self.flags & flags != 0
    }

    /// Whether a timer fires at this time, or before.
    pub fn has_timer_by(&self, deadline: Moment) -> bool {
        self.armed.is_some_and(|tick| tick <= self.timers.tick_of(deadline))
    }
}

/// Shows every connection.
pub fn each_slot(connections: &mut Connections, mut look: impl FnMut(SlotView<'_>)) {
    let Connections { slots, clients, timers, readable, dirty, leftovers, .. } = connections;
    for (slot, live) in slots.iter_mut() {
        look(SlotView {
            slot,
            id: live.id(slot),
            server: usize::from(live.server),
            client: clients.of_slot(slot),
            has_leftover: leftovers.contains_key(&slot),
            is_queued: readable.contains(slot),
            is_dirty: dirty.contains(&slot),
            flags: live.flags(),
            armed: live.is_armed().then(|| live.armed()),
            connection: &mut live.connection,
            timers,
        });
    }
}

/// A server.
#[derive(Debug)]
pub struct ServerView<'c> {
    /// What it allows and counts.
    pub admission: &'c Admission,
    /// How many connections are plain HTTP.
    pub http: usize,
    /// How many are WebSockets.
    pub websockets: usize,
    /// Of each listener, whether somebody may wait there.
    pub ready: Vec<bool>,
}

/// The servers; `None` where there is none at that place.
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
    /// How many of them came to nothing, and that is yet to be told.
    pub untold: u32,
    /// After which attempts it is yet to be told what comes next.
    pub waits_told: Vec<u32>,
    /// What it is at.
    pub phase: PhaseView,
}

/// What a client is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhaseView {
    /// Nothing.
    Idle,
    /// A name is being looked up, until then at most.
    Resolving {
        /// The end of the attempt.
        end: Moment,
    },
    /// Addresses are tried beside each other.
    Connecting {
        /// The end of the attempt.
        end: Moment,
        /// The connections that run.
        slots: Vec<u32>,
        /// How many addresses were not tried yet.
        untried: usize,
    },
    /// It has a connection.
    Open {
        /// Where.
        slot: u32,
    },
    /// It waits for its next attempt.
    Waiting {
        /// Until then; `None` before it was told how long.
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
        untold: clients.notices.iter().filter(failed).count() as u32,
        waits_told: clients.notices.iter().filter_map(waits).collect(),
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

/// The time from now until a client may want to act by itself.
pub fn client_wait(connections: &Connections, now: Moment) -> Option<Duration> {
    connections.clients.wait_from(now)
}
