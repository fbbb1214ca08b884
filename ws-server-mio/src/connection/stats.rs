//! What has come and gone.

use std::time::Duration;
use ws_proto::Frame;

/// What an endpoint has done since it began, all servers together.
///
/// ```
/// # use ws_server_mio::{Endpoint};
/// # let mut endpoint = Endpoint::new()?;
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
    /// The longest turn since [`Endpoint::take_worst_turn`](crate::Endpoint::take_worst_turn). Zero without
    /// [`Budget::time`](crate::Budget::time): no clock is read then.
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
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) worst_turn: Duration,
}

/// How many messages end with this frame: one or none.
#[inline]
pub(crate) fn ends_message(frame: &Frame) -> u64 {
    u64::from(frame.fin() && !frame.opcode().is_control())
}
