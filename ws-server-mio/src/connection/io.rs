//! Writing to a socket, and detecting a reset.

use crate::connection::slots::{Slot, flag, mark};
use crate::sys::custom::CustomSockets;
use crate::sys::socket::SocketRef;
use bytes::Buf;
use std::io::{self, IoSlice};
use ws_proto::{Connection, Moment};

/// The most slices of one write.
const SLICES: usize = 64;

/// A kernel with room takes at least this much of what is offered: no less than a TLS record, or than [`SLICES`] of
/// shared payloads.
const MUCH: u64 = 16 << 10;

/// Writes once, if possible; returns whether it tried.
pub(crate) fn write(slot: u32, live: &mut Slot, sockets: &CustomSockets, now: Moment, limit: usize) -> bool {
    if !live.has(flag::WRITABLE) {
        if live.is_marked(mark::REFUSED) && !live.connection.outbox().is_empty() {
            note_refused(slot, live, sockets, now);
        }
        return false;
    }
    // Queued bytes may belong to a body whose turn has not come, and a TLS handshake precedes them.
    if live.connection.outbox().is_empty() || live.stream.is_none() && sockets.is_handshaking(slot) {
        return live.stream.is_none() && flush(slot, live, sockets, now);
    }
    let mut left = limit;
    loop {
        let socket = sockets.socket(slot, &live.stream);
        let holds_output = socket.holds_output();
        match write_once(&mut live.connection, socket, left) {
            Ok((offered, n)) => {
                if n < offered && socket.short_transfer_is_last() {
                    live.clear(flag::WRITABLE);
                }
                live.connection.handle_written(now, n);
                left = left.saturating_sub(n);
                // TLS encrypts no more at once than it buffers.
                if holds_output && left > 0 && !live.connection.outbox().is_empty() {
                    continue;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                live.clear(flag::WRITABLE);
                if left == limit {
                    // Nothing was sent: the output timeout begins.
                    live.connection.handle_written(now, 0);
                }
            }
            Err(error) => write_failed(live, error, now),
        }
        return true;
    }
}

/// There is output behind what TLS has to write by itself, and the kernel takes neither: the output timeout begins.
#[cold]
fn note_refused(slot: u32, live: &mut Slot, sockets: &CustomSockets, now: Moment) {
    if !sockets.is_handshaking(slot) {
        live.unmark(mark::REFUSED);
        live.connection.handle_written(now, 0);
    }
}

/// Writes what a socket with a buffer of its own holds; returns whether some is left, or writing failed.
#[cold]
pub(crate) fn flush(slot: u32, live: &mut Slot, sockets: &CustomSockets, now: Moment) -> bool {
    live.unmark(mark::REFUSED);
    match sockets.flush(slot) {
        Ok(()) => return false,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            live.clear(flag::WRITABLE);
            live.mark(mark::REFUSED);
        }
        Err(error) => write_failed(live, error, now),
    }
    true
}

/// Writes a last time, without waiting, before a connection is aborted or dropped. Returns whether the kernel took so much that it
/// may take more.
pub(crate) fn write_last(
    slot: u32,
    live: &mut Slot,
    sockets: &CustomSockets,
    now: Moment,
    limit: usize,
) -> bool {
    let before = live.connection.bytes_sent();
    let mut sent = 0;
    loop {
        write(slot, live, sockets, now, limit);
        let now_sent = live.connection.bytes_sent() - before;
        if live.connection.outbox().is_empty() {
            break;
        }
        // A record that left in part does not show yet that the kernel is full.
        if now_sent >= MUCH || now_sent == sent || !live.has(flag::WRITABLE) {
            return now_sent >= MUCH;
        }
        sent = now_sent;
    }
    if live.stream.is_none() && live.connection.closing_initiator().is_some() {
        // TLS sends close_notify.
        let _ = sockets.socket(slot, &live.stream).shutdown();
    }
    false
}

fn write_failed(live: &mut Slot, error: io::Error, now: Moment) {
    live.connection.write_failed(now, error.into());
    // What the peer sent before that may be unread, whether or not an edge has signalled it.
    live.set(flag::READABLE);
}

/// Checks whether the peer has reset a connection that is not being read, where no read would report it.
pub(crate) fn find_reset(slot: u32, live: &mut Slot, sockets: &CustomSockets, now: Moment) {
    if let Some(error) = sockets.socket(slot, &live.stream).reset() {
        if live.is_marked(mark::PAUSED) {
            return live.connection.abort(now, error.into());
        }
        // Otherwise only pending output pauses reading, briefly: what the peer sent before the reset may be unread.
        live.connection.write_failed(now, error.into());
        live.set(flag::READABLE);
    }
}

/// How many bytes were offered, and how many the socket accepted.
#[inline]
fn write_once(
    connection: &mut Connection,
    socket: SocketRef<'_>,
    limit: usize,
) -> io::Result<(usize, usize)> {
    if socket.holds_output() {
        return write_held(connection, socket);
    }
    let outbox = connection.outbox();
    let chunk = outbox.chunk();
    if chunk.len() == outbox.remaining() || chunk.len() >= limit {
        let chunk = &chunk[..chunk.len().min(limit)];
        return Ok((chunk.len(), socket.write(chunk)?));
    }
    let mut slices = [IoSlice::new(&[]); SLICES];
    let mut count = outbox.chunks_vectored(&mut slices);
    let mut offered = 0;
    for (k, slice) in slices[..count].iter().enumerate() {
        offered += slice.len();
        if offered >= limit {
            count = k + 1;
            break;
        }
    }
    Ok((offered, socket.write_vectored(&slices[..count])?))
}

/// The same for a socket that may hold a copy of what it did not take. It limits itself.
#[cold]
fn write_held(connection: &mut Connection, socket: SocketRef<'_>) -> io::Result<(usize, usize)> {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let count = connection.hand_on(&mut slices);
    let offered = slices[..count].iter().map(|slice| slice.len()).sum();
    Ok((offered, socket.write_vectored(&slices[..count])?))
}
