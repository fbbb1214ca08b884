//! What only a connection with something unfinished needs.

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
    /// Whole messages that wait behind it.
    pub(super) waiting: VecDeque<Frame>,
    pub(super) waiting_len: usize,
    /// The newest ping's payload, where enough pongs are queued already.
    pub(super) pong: Option<Bytes>,
    /// What was kept since it came before the WebSocket was open, or is an empty message that waits for the next second:
    /// it goes before anything newer.
    pub(super) ahead: BytesMut,
    /// The peer ended its stream behind that.
    pub(super) ends_behind: bool,
    /// Since when output waits, and how much was sent by then.
    pub(super) stall: Option<Stall>,
    pub(super) flow: Flow,
    /// Bytes that were left with the caller.
    pub(super) kept: usize,
    pub(super) counted: Option<Counted>,
}

/// A time in which the peer must take so much of what waits for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stall {
    pub(super) since: Moment,
    pub(super) sent: u64,
    /// When it last took something, or when it began.
    pub(super) last: Moment,
}

#[derive(Debug)]
pub(super) struct Ping {
    pub(super) at: Moment,
    pub(super) payload: Bytes,
    /// Since when a sign of life is awaited, without which the connection ends; it outlasts a newer ping.
    pub(super) awaited: Option<Moment>,
    /// How many bytes have been sent once the socket has taken the ping that is awaited.
    pub(super) sent_at: u64,
}

/// A message of ours in fragments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outgoing {
    /// What came of its last character, where it is text.
    pub(super) text: Option<Utf8>,
    pub(super) compressed: bool,
}

impl Connection {
    pub(super) fn in_flight(&mut self) -> &mut InFlight {
        self.in_flight.get_or_insert_default()
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
