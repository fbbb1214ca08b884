//! What happens to a peer that does not keep up with what is sent to many.

use super::LatestByKey;
use core::hash::Hash;
use std::time::Instant;
use ws_proto::{CloseCode, Connection, Frame, SendError, State};

/// What becomes of a peer that does not keep up with what is sent to many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlowPeer<'k> {
    /// What it does not read waits for it, and at the cap of its outbox it is closed with 1013: it may come
    /// again. For what must not have gaps. Where peers cause what is sent to many, as in a chat, one that floods makes
    /// all the others slow: bound what each may cause, with [`Config::message_rate`](ws_proto::Config::message_rate).
    #[default]
    Close,
    /// Over the high mark of its outbox it is passed over until it has drained. For what the next message makes
    /// obsolete anyhow. Lower the mark as for [`Latest`](Self::Latest).
    Skip,
    /// Over the high mark of its outbox only the newest message of each key is kept, and sent when it has
    /// drained. For the state of many things: a cursor for each user, a price for each product.
    ///
    /// Up to the high mark everything waits, however old, and what the kernel has taken (often some megabytes) is
    /// out of reach. For what is sent many times a second, lower the marks to a few messages, with
    /// [`Config::outbox`](ws_proto::Config::outbox): the default of 1 MiB is minutes of small ones.
    Latest(&'k str),
}

/// What became of a message for one of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// It is queued.
    Queued,
    /// It is kept until the peer has drained.
    Kept,
    /// The peer is passed over.
    Skipped,
    /// The peer is too slow, and its connection closes.
    Closed,
    /// The connection does not take messages.
    NotOpen,
}

impl Delivered {
    /// Whether the peer gets it, now or later.
    pub fn reaches(self) -> bool {
        matches!(self, Self::Queued | Self::Kept)
    }
}

impl SlowPeer<'_> {
    /// Sends a frame to one of many, or does what is to be done with a peer that is too slow. What is kept in
    /// `latest` is sent by [`flush_latest`] once the connection has drained.
    pub fn deliver<Id: Copy + Eq + Hash>(
        self,
        now: Instant,
        id: Id,
        connection: &mut Connection,
        frame: &Frame,
        latest: &mut LatestByKey<Id, Frame>,
    ) -> Delivered {
        let behind = connection.is_congested();
        match self {
            Self::Skip if behind => return Delivered::Skipped,
            // What was kept before is still to be sent first.
            Self::Latest(key) if behind || latest.has(id) => {
                return keep(now, id, connection, frame, key, latest);
            }
            _ => {}
        }
        match (connection.send_shared(frame), self) {
            (Ok(_), _) => Delivered::Queued,
            // Larger than what is left, though the mark was not reached. Refused, it counts as congested, so that
            // its draining will be told.
            (Err(SendError::Full), Self::Skip) => Delivered::Skipped,
            (Err(SendError::Full), Self::Latest(key)) if connection.is_congested() => {
                keep(now, id, connection, frame, key, latest)
            }
            (Err(SendError::Full), _) => close_slow(now, connection),
            (Err(_), _) => Delivered::NotOpen,
        }
    }
}

/// A connection has drained: it gets what was kept for it, as far as it takes it. `told` hears what becomes
/// of each.
pub fn flush_latest<Id: Copy + Eq + Hash>(
    now: Instant,
    id: Id,
    connection: &mut Connection,
    latest: &mut LatestByKey<Id, Frame>,
    mut told: impl FnMut(&Frame, Delivered),
) {
    if !latest.has(id) {
        return;
    }
    for (key, frame) in latest.take(id) {
        let delivered = SlowPeer::Latest(&key).deliver(now, id, connection, &frame, latest);
        told(&frame, delivered);
    }
}

fn keep<Id: Copy + Eq + Hash>(
    now: Instant,
    id: Id,
    connection: &mut Connection,
    frame: &Frame,
    key: &str,
    latest: &mut LatestByKey<Id, Frame>,
) -> Delivered {
    if connection.state() != State::Open {
        return Delivered::NotOpen;
    }
    if latest.keep(id, key, frame.clone()) { Delivered::Kept } else { close_slow(now, connection) }
}

/// Closes a connection that is too slow for what is sent to many, with 1013: an outbox was
/// [`Full`](SendError::Full).
pub fn close_slow(now: Instant, connection: &mut Connection) -> Delivered {
    // It is open; and the Close frame is exempt from the cap.
    let _ = connection.close(now, CloseCode::TRY_AGAIN_LATER, "too slow");
    Delivered::Closed
}
