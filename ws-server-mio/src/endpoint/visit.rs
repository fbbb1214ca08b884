//! Reading: a visit to each connection that may be read.
//!
//! A connection keeps the bytes being fed to it if a handler panics.

use crate::connection::Connections;
use crate::connection::io::write;
use crate::connection::lists::{Leftover, attach_buffer, detach_buffer, expire, mark_dirty, queue_read};
use crate::connection::slots::{flag, mark};
use crate::endpoint::turn::TurnRun;
use crate::endpoint::work::Work;
use crate::event::Event;
use std::io;

/// With this much queued, a connection is written to as soon as its visit ends, while the bytes are warm and
/// their memory is available for the next one.
const WRITE_EARLY: usize = 8 << 10;
/// How much more is read from one connection to finish a message, if the turn has no time limit: the memory of
/// the message is warm, and freed when it is sent.
const FINISH_MESSAGE: usize = 4 << 20;

/// How much is inflated in a round for connections that need more than one share.
const ROUND: u64 = 1 << 20;

impl<H: FnMut(&mut Connections, Event<'_>)> TurnRun<'_, H> {
    pub(crate) fn visit(&mut self, slot: u32) {
        let Some(live) = self.connections.slots.at(slot) else { return };
        let mut flights = None;
        if live.stream.is_none() && self.connections.sockets.is_handshaking(slot) {
            if self.handshakes == 0 {
                return self.connections.readable.push_handshaking(slot);
            }
            flights = self.connections.sockets.flights(slot);
        }
        let Connections { slots, pool, .. } = &mut *self.connections;
        let Some(live) = slots.at_mut(slot) else { return };
        live.clear(flag::QUEUED);
        self.current = Some(slot);
        // The buffer receives the output that its messages cause.
        attach_buffer(live, pool);
        if !live.has(flag::LEFTOVER) || self.visit_leftover(slot) {
            self.visit_socket(slot);
        }
        // Answering a TLS handshake is expensive: beyond the budget, further handshakes wait for the next turn.
        if flights.is_some() && self.connections.sockets.flights(slot) != flights {
            self.handshakes = self.handshakes.saturating_sub(1);
        }
        let (limit, has_time) = (self.write_limit(), !self.is_over());
        let Connections { slots, sockets, pool, dirty, readable, deadlines, now, .. } =
            &mut *self.connections;
        let Some(live) = slots.at_mut(slot) else { return };
        if live.is_marked(mark::OVERDUE) {
            live.unmark(mark::OVERDUE);
            expire(slot, live, sockets, deadlines, *now, limit);
        }
        mark_dirty(slot, live, dirty);
        let early = live.connection.queued() >= WRITE_EARLY && live.has(flag::WRITABLE) && has_time;
        if early {
            write(slot, live, sockets, *now, limit);
            detach_buffer(live, pool);
        }
        queue_read(slot, live, readable);
        if early {
            self.check_clock();
        }
    }

    /// Resumes with bytes that were read before; returns whether they are used up.
    fn visit_leftover(&mut self, slot: u32) -> bool {
        if let Some(live) = self.connections.slots.at_mut(slot) {
            live.clear(flag::LEFTOVER);
        }
        let Some(mut left_over) = self.connections.leftovers.remove(&slot) else { return true };
        let left = self.feed(slot, &mut left_over.buffer[left_over.at..]);
        if left == 0 {
            self.connections.pool.return_buffer(left_over.buffer);
            return true;
        }
        left_over.at = left_over.buffer.len() - left;
        self.connections.keep_leftover(slot, left_over);
        false
    }

    fn visit_socket(&mut self, slot: u32) {
        let mut left = self.budget.bytes_per_visit;
        let mut more = if self.end.is_none() { FINISH_MESSAGE } else { 0 };
        let rx = std::mem::take(&mut self.rx);
        while !self.is_over() {
            let now = self.connections.now;
            let Some(live) = self.connections.slots.at_mut(slot) else { break };
            // What a finished message has caused is written before the next one.
            if left == 0 && live.connection.is_receiving_message() && live.connection.queued() < WRITE_EARLY {
                left = more.min(rx.len());
                more -= left;
            }
            if left == 0 || !live.has(flag::READABLE) || live.connection.is_paused() {
                break;
            }
            let room = rx.len().min(left);
            let socket = self.connections.sockets.socket(slot, &live.stream);
            let n = match socket.read(&mut rx[..room]) {
                Ok(0) => {
                    live.clear(flag::READABLE);
                    live.connection.handle_eof(now);
                    break;
                }
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    live.clear(flag::READABLE);
                    break;
                }
                // TLS records without plaintext, say. It may still be readable, and others come first.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    if socket.is_drained(room, room) && !live.has(flag::READ_CLOSED) {
                        live.clear(flag::READABLE);
                    }
                    if live.stream.is_none() && live.connection.bytes_received() == 0 {
                        self.connections.note_client(slot);
                    }
                    self.check_clock();
                    break;
                }
                Err(error) => {
                    live.clear(flag::READABLE);
                    live.connection.abort(now, error.into());
                    self.check_clock();
                    break;
                }
            };
            // Read on to EOF: edge-triggered pollers do not signal it twice.
            let drained = socket.is_drained(n, room) && !live.has(flag::READ_CLOSED);
            if drained {
                live.clear(flag::READABLE);
            }
            if live.stream.is_none() && live.connection.bytes_received() == 0 {
                self.connections.note_tls(slot);
            }
            left -= n;
            let left_over = self.feed(slot, &mut rx[..n]);
            if left_over > 0 {
                let buffer = self.connections.pool.buffer_with(&rx[n - left_over..n]);
                self.connections.keep_leftover(slot, Leftover { buffer, at: 0 });
                self.check_clock();
                break;
            }
            self.check_clock();
            if drained {
                break;
            }
        }
        self.rx = rx;
    }

    /// Feeds a connection its bytes, and the handler the resulting events. Returns how many bytes are left: if the
    /// connection is paused, or the time is over.
    #[inline]
    fn feed(&mut self, slot: u32, bytes: &mut [u8]) -> usize {
        let mut fed = FeedGuard { turn: self, slot, input: bytes };
        while !fed.turn.is_over() {
            let now = fed.turn.connections.now;
            let Some(live) = fed.turn.connections.slots.at_mut(slot) else { break };
            let Some(event) = live.connection.handle_input(now, &mut fed.input) else { break };
            let (id, is_rare) = (live.id(slot), live.is_marked(mark::COUPLED | mark::CLIENT));
            fed.turn.dispatch(id, event, is_rare);
        }
        std::mem::take(&mut fed.input).len()
    }
}

impl<H: FnMut(&mut Connections, Event<'_>)> TurnRun<'_, H> {
    /// A round: visits each readable connection once; one that is readable again waits for the next round. Connections
    /// that used up their share of inflating resume after them.
    pub(crate) fn read(&mut self) {
        if self.connections.readable.has_deferred()
            && self.may(Work::Inflating)
            && let Some(slot) = self.connections.readable.first_deferred()
        {
            self.visit_deferred(slot);
        }
        let ready = self.connections.readable.ready();
        for place in 0..ready {
            if !self.may(Work::Reads) {
                break;
            }
            // The pass has begun.
            self.connections.readable.passes += u64::from(place == 0);
            let Some(slot) = self.connections.readable.next_ready() else { break };
            self.visit(slot);
        }
        let mut inflated = 0;
        while inflated < ROUND
            && self.connections.readable.has_deferred()
            && self.may(Work::Reads)
            && let Some(slot) = self.connections.readable.next_deferred()
        {
            inflated += self.visit_deferred(slot);
        }
        if self.connections.readable.oldest_first && self.may(Work::Reads) {
            // The round has ended in time.
            self.connections.readable.oldest_first = false;
        }
    }

    /// Resumes a connection that had used up its share; returns how much it inflated.
    #[cold]
    fn visit_deferred(&mut self, slot: u32) -> u64 {
        let Some(live) = self.connections.slots.at_mut(slot) else { return 0 };
        let before = live.connection.shares().recently_inflated();
        live.connection.shares().next(self.connections.now);
        self.visit(slot);
        self.check_clock();
        let after = self
            .connections
            .slots
            .at_mut(slot)
            .map_or(0, |live| live.connection.shares().recently_inflated());
        after.saturating_sub(before)
    }
}

/// Bytes being fed to a connection. If the handler panics, the rest stays with the connection.
pub(crate) struct FeedGuard<'f, 'e, H> {
    pub(crate) turn: &'f mut TurnRun<'e, H>,
    pub(crate) slot: u32,
    pub(crate) input: &'f mut [u8],
}

impl<H> Drop for FeedGuard<'_, '_, H> {
    #[inline]
    fn drop(&mut self) {
        if !self.input.is_empty() {
            self.keep();
        }
    }
}

impl<H> FeedGuard<'_, '_, H> {
    #[cold]
    fn keep(&mut self) {
        let connections = &mut *self.turn.connections;
        let buffer = connections.pool.buffer_with(self.input);
        connections.keep_leftover(self.slot, Leftover { buffer, at: 0 });
    }
}
