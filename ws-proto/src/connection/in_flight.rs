//! State that only a connection with something unfinished needs.

use super::backpressure::Flow;
use super::memory::Counted;
use super::{Connection, Moment};
use crate::frame::Frame;
use crate::frame::utf8::Utf8;
use alloc::collections::VecDeque;
use bytes::{Bytes, BytesMut};

#[derive(Debug, Default)]
pub(super) struct InFlight {
    /// The ping that awaits its pong.
    pub(super) ping: Option<Ping>,
    /// A message of ours that is being sent in fragments.
    pub(super) outgoing: Option<Outgoing>,
    /// Whole messages that wait for its end.
    pub(super) waiting: VecDeque<Frame>,
    pub(super) waiting_len: usize,
    /// The newest Ping's payload, when enough Pongs are queued already.
    pub(super) pong: Option<Bytes>,
    /// Bytes kept from before the WebSocket was open, or an empty message that waits for the next second: they
    /// precede anything newer.
    pub(super) ahead: BytesMut,
    /// The peer ended its stream after these bytes.
    pub(super) ends_behind: bool,
    /// The socket took less than all, and the deadline runs.
    pub(super) stall: Option<Stall>,
    pub(super) flow: Flow,
    /// Bytes left with the caller.
    pub(super) kept: usize,
    pub(super) counted: Option<Counted>,
}

/// A period in which the peer must take enough of the pending output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stall {
    pub(super) since: Moment,
    pub(super) sent: u64,
    /// When it last took something, or when the period began.
    pub(super) last: Moment,
}

#[derive(Debug)]
pub(super) struct Ping {
    pub(super) at: Moment,
    pub(super) payload: Bytes,
    /// When the wait for a sign of life began, without which the connection ends; a newer Ping does not restart it.
    pub(super) awaited: Option<Moment>,
    /// How many bytes will have been sent once the socket has taken the Ping.
    pub(super) sent_at: u64,
}

/// A message of ours in fragments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outgoing {
    /// The start of its last character, if it is text.
    pub(super) text: Option<Utf8>,
    pub(super) compressed: bool,
}

impl Connection {
    pub(super) fn in_flight(&mut self) -> &mut InFlight {
        self.in_flight.get_or_insert_default()
    }

    /// Whether the socket took less than all.
    pub(super) fn is_stalled(&self) -> bool {
        self.in_flight.as_ref().is_some_and(|in_flight| in_flight.stall.is_some())
    }

    pub(super) fn drop_in_flight_if_idle(&mut self) {
        if self.in_flight.as_ref().is_some_and(|in_flight| {
            in_flight.ping.is_none()
                && in_flight.outgoing.is_none()
                && in_flight.waiting.is_empty()
                && in_flight.pong.is_none()
                && in_flight.ahead.is_empty()
                && !in_flight.ends_behind
                && in_flight.stall.is_none()
                && in_flight.kept == 0
                && in_flight.counted.is_none()
                && in_flight.flow.is_idle()
        }) {
            self.in_flight = None;
        }
    }
}
