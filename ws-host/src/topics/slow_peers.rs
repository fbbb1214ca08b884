//! Sending to many, and policies for slow peers.

use super::LatestByKey;
use core::hash::Hash;
use ws_proto::{CloseCode, Connection, Frame, Moment, SendError, State};

/// The policy for a peer that does not keep up with messages sent to many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlowPeer<'k> {
    /// Queue up to the cap of its outbox, then close it with 1013: it may reconnect. For messages that must not have
    /// gaps. If peers cause the messages, as in a chat, one that floods slows all others: limit each peer's messages
    /// with [`ServerConfig::message_rate`](crate::server::ServerConfig::message_rate).
    #[default]
    Close,
    /// Over the high mark of its outbox, skip it until it has drained. For messages that the next one makes obsolete
    /// anyway. Lower the mark as for [`Latest`](Self::Latest).
    Skip,
    /// Over the high mark of its outbox, keep only the latest message of each key, and send it once the peer has
    /// drained. For the state of many things: a cursor for each user, a price for each product.
    ///
    /// Below the high mark everything is queued, however old, and what the systems of both ends have taken cannot be
    /// recalled. On this side that is at most 64 KiB of unsent output on Linux and Android, and elsewhere the send
    /// buffer, often some megabytes; on the peer's it is the receive buffer, which fills up to some megabytes if the
    /// program does not read. A slow peer sees a value late by the high mark and those buffers, divided by its rate.
    ///
    /// So for messages that are sent many times a second, lower the marks to a few messages with
    /// [`ServerConfig::outbox`](crate::server::ServerConfig::outbox), such as `outbox(4 << 10, 16 << 10, 1 << 20)`: the
    /// default of 1 MiB holds minutes of small ones.
    ///
    /// Messages are kept for 4,096 keys of a peer at most, or as many as the adapter's `Topics::set_key_limit` says; one
    /// more closes the peer with 1013. Each takes about 100 bytes and its key. The messages themselves are shared by all
    /// peers for which they are kept.
    Latest(&'k str),
}

/// The outcome for one peer's copy of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// Queued.
    Queued,
    /// Kept until the peer has drained.
    Kept,
    /// Dropped: the peer is skipped.
    Skipped,
    /// Dropped: the peer is too slow, and its connection closes.
    Closed,
    /// Dropped: the connection is not open.
    NotOpen,
}

impl Delivered {
    /// Whether the peer gets the message, now or later.
    pub fn reaches(self) -> bool {
        matches!(self, Self::Queued | Self::Kept)
    }
}

impl SlowPeer<'_> {
    /// Sends a frame to one of many peers, or applies the policy where that peer is too slow. [`flush_latest`] sends the
    /// frames that are kept in `latest`, once the connection has drained.
    pub fn deliver<Id: Copy + Eq + Hash>(
        self,
        now: Moment,
        id: Id,
        connection: &mut Connection,
        frame: &Frame,
        latest: &mut LatestByKey<Id, Frame>,
    ) -> Delivered {
        let behind = connection.is_congested();
        match self {
            Self::Skip if behind => return Delivered::Skipped,
            // Frames that were kept before are sent first.
            Self::Latest(key) if behind || latest.has(id) => {
                return keep(now, id, connection, frame, key, latest);
            }
            _ => {}
        }
        match (connection.send_shared(frame), self) {
            (Ok(_), _) => Delivered::Queued,
            // The frame exceeds the remaining room, though the mark was not reached. A refused sender counts
            // as congested, and receives `Drained` later.
            (Err(SendError::Full), Self::Skip) => Delivered::Skipped,
            (Err(SendError::Full), Self::Latest(key)) if connection.is_congested() => {
                keep(now, id, connection, frame, key, latest)
            }
            (Err(SendError::Full), _) => close_slow(now, connection),
            (Err(_), _) => Delivered::NotOpen,
        }
    }
}

/// Sends the frames kept for a connection, once it has drained; those it does not accept yet stay kept. `report` is
/// called with each other frame and its outcome.
pub fn flush_latest<Id: Copy + Eq + Hash>(
    now: Moment,
    id: Id,
    connection: &mut Connection,
    latest: &mut LatestByKey<Id, Frame>,
    mut report: impl FnMut(&Frame, Delivered),
) {
    latest.flush(id, |frame| {
        if connection.state() == State::Open && connection.is_congested() {
            return false;
        }
        let delivered = match connection.send_shared(frame) {
            Ok(_) => Delivered::Queued,
            Err(SendError::Full) if connection.is_congested() => return false,
            Err(SendError::Full) => close_slow(now, connection),
            Err(_) => Delivered::NotOpen,
        };
        report(frame, delivered);
        true
    });
}

fn keep<Id: Copy + Eq + Hash>(
    now: Moment,
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

/// Closes a connection with 1013 because it is too slow: its outbox was [`Full`](SendError::Full).
pub fn close_slow(now: Moment, connection: &mut Connection) -> Delivered {
    // It is open, and the Close frame is exempt from the cap.
    let _ = connection.close(now, CloseCode::TRY_AGAIN_LATER, "too slow");
    Delivered::Closed
}
