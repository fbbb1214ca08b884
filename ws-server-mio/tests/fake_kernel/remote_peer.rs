//! The peers' side of the fake kernel.

use super::kernel::Inner;
use super::wire::{Signal, Socket};
use std::mem;

/// The peers' calls.
impl Inner {
    pub(super) fn connect(&mut self, place: usize) -> usize {
        let id = self.sockets.len();
        let mut socket = Socket::new(&mut self.rng);
        if self.linux {
            socket.on_linux(&mut self.rng);
        }
        self.sockets.push(socket);
        self.listeners[place].backlog.push_back(id);
        self.listeners[place].edge = true;
        id
    }

    /// How many bytes the peer's socket accepts now.
    pub(super) fn send(&mut self, id: usize, bytes: &[u8]) -> usize {
        let socket = &mut self.sockets[id];
        assert!(socket.fin == Signal::No && !socket.peer_closed, "the test sends after its end");
        if socket.reset != Signal::No {
            return bytes.len();
        }
        if socket.closed {
            socket.aborted |= !bytes.is_empty();
            return bytes.len();
        }
        if socket.layer.is_some() {
            return self.send_through(id, bytes);
        }
        let n = bytes.len().min(200_000usize.saturating_sub(socket.wire.len()));
        socket.wire.push(&bytes[..n]);
        socket.bytes_sent += n as u64;
        n
    }

    /// Sends what the layer of the peer has encoded, or nothing after its end.
    pub(super) fn transmit(&mut self, id: usize, bytes: &[u8]) {
        let socket = &mut self.sockets[id];
        if socket.fin == Signal::No && socket.reset == Signal::No && !socket.peer_closed {
            socket.aborted |= socket.closed && !bytes.is_empty();
            socket.wire.push(bytes);
            socket.bytes_sent += bytes.len() as u64;
        }
    }

    /// The peer half-closes.
    pub(super) fn fin(&mut self, id: usize) {
        self.announce(id);
        self.end(id);
    }

    /// The same without a word of its layer.
    pub(super) fn end(&mut self, id: usize) {
        let socket = &mut self.sockets[id];
        if socket.fin == Signal::No && socket.reset == Signal::No {
            socket.fin = Signal::OnItsWay;
        }
    }

    /// The peer closes its socket. Unread bytes make that a reset.
    pub(super) fn leave(&mut self, id: usize) {
        if !self.sockets[id].is_unread() {
            self.fin(id);
        } else {
            self.reset(id);
        }
        self.sockets[id].peer_closed = true;
    }

    /// The peer resets the connection; bytes in flight may be lost.
    pub(super) fn reset(&mut self, id: usize) {
        let Self { rng, sockets, .. } = self;
        let socket = &mut sockets[id];
        if socket.reset == Signal::No {
            socket.reset = Signal::OnItsWay;
            let keep = rng.within(0, socket.wire.len());
            socket.wire.truncate(keep);
        }
        socket.peer_closed = true;
        socket.outbox.clear();
    }

    /// The peer resets the connection once everything it sent had time to arrive.
    pub(super) fn reset_late(&mut self, id: usize) {
        self.progress(id, true);
        let socket = &mut self.sockets[id];
        if socket.reset == Signal::No {
            socket.reset = Signal::OnItsWay;
        }
        socket.peer_closed = true;
        socket.outbox.clear();
    }

    /// The peer reads.
    pub(super) fn receive(&mut self, id: usize, most: usize) -> Received {
        let received = self.receive_wire(id, most);
        self.receive_through(id, received)
    }

    fn receive_wire(&mut self, id: usize, most: usize) -> Received {
        let Self { rng, sockets, .. } = self;
        let socket = &mut sockets[id];
        if socket.closed && !socket.wire.is_empty() {
            // Bytes that arrive at a closed socket are answered with a reset.
            socket.aborted = true;
            socket.wire.clear();
        }
        if socket.aborted && !mem::replace(&mut socket.cut, true) {
            let keep = rng.within(0, socket.outbox.len());
            socket.outbox.truncate(keep);
        }
        let bytes = socket.take(most);
        if !bytes.is_empty() {
            return Received::Bytes(bytes.to_vec());
        }
        match () {
            () if socket.aborted || socket.reset != Signal::No => Received::Reset,
            () if socket.is_unread() => Received::Nothing,
            () if socket.shut || socket.closed => Received::End,
            () => Received::Nothing,
        }
    }
}

/// The result of a peer's read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    Bytes(Vec<u8>),
    Nothing,
    End,
    Reset,
}
