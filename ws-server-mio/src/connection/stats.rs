//! What has come and gone.

use crate::connection::Connections;
use crate::connection::slots::flag;
use std::time::Duration;

/// What an endpoint has done since it began, all servers together.
///
/// ```
/// # use ws_server_mio::{Endpoint, Options};
/// # let mut endpoint = Endpoint::new(Options::default())?;
/// let stats = endpoint.connections().stats();
/// println!("{} open, {} turned away", stats.open, stats.turned_away);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Connections that were accepted, plain HTTP included.
    pub accepted: u64,
    /// Connections that were closed as they came, being over a limit.
    pub turned_away: u64,
    /// Sockets that are open now, plain HTTP and those that are about to end included.
    pub open: usize,
    /// Messages that were received, each of several pieces once.
    pub messages_in: u64,
    /// Messages that were sent; one to each of a hundred connections counts a hundred times.
    pub messages_out: u64,
    /// Bytes from peers, HTTP included.
    pub bytes_in: u64,
    /// Bytes that sockets took, HTTP included.
    pub bytes_out: u64,
    /// The longest turn since [`Connections::take_worst_turn`]. Zero without [`Budget::time`](crate::Budget::time): no clock is read then.
    pub worst_turn: Duration,
}

/// What is counted as it happens; the rest is known to the connections.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) accepted: u64,
    pub(crate) turned_away: u64,
    pub(crate) messages_in: u64,
    pub(crate) messages_out: u64,
    /// Of connections that are gone.
    bytes_in: u64,
    bytes_out: u64,
    pub(crate) worst_turn: Duration,
}

impl Connections {
    /// What the endpoint has done. It looks at every connection: ask once a second rather than once a message.
    pub fn stats(&self) -> Stats {
        let tally = &self.tally;
        let (mut bytes_in, mut bytes_out) = (tally.bytes_in, tally.bytes_out);
        for (_, live) in self.slots.iter() {
            bytes_in += live.connection.bytes_received();
            bytes_out += live.connection.bytes_sent();
        }
        Stats {
            accepted: tally.accepted,
            turned_away: tally.turned_away,
            open: self.slots.len(),
            messages_in: tally.messages_in,
            messages_out: tally.messages_out,
            bytes_in,
            bytes_out,
            worst_turn: tally.worst_turn,
        }
    }

    /// Begins to look for the [longest turn](Stats::worst_turn) anew, and answers what it was.
    pub fn take_worst_turn(&mut self) -> Duration {
        std::mem::take(&mut self.tally.worst_turn)
    }

    /// A connection has asked something: it is no handshake in progress any more.
    pub(crate) fn settle_handshake(&mut self, slot: u32) {
        let Some(live) = self.slots.at_mut(slot).filter(|live| live.has(flag::NEW)) else { return };
        live.clear(flag::NEW);
        if let Some(server) = self.servers.at_mut(live.server) {
            server.census.asked();
        }
    }

    /// A connection is about to go: what was counted for it.
    pub(crate) fn settle(&mut self, slot: u32) {
        self.settle_handshake(slot);
        let Some(live) = self.slots.at(slot) else { return };
        self.tally.bytes_in += live.connection.bytes_received();
        self.tally.bytes_out += live.connection.bytes_sent();
        if let Some(server) = self.servers.at_mut(live.server) {
            server.census.dismiss(self.slots.peer(live.id(slot)));
        }
    }
}
