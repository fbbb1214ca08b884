//! The fake kernel, where the loop connects.

use super::kernel::Inner;
use super::wire::{Fate, Link, Signal, Socket, Target};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

/// The outcome of a connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Up,
    /// Known at once.
    Fails(ErrorKind),
    /// Known later.
    Refuses(ErrorKind),
    Silent,
    /// No listener, and the port is the one that the system gave to the connecting socket.
    Mirror,
}

pub(super) const MOODS: [Mood; 10] = [
    Mood::Up,
    Mood::Up,
    Mood::Fails(ErrorKind::NetworkUnreachable),
    Mood::Fails(ErrorKind::ConnectionRefused),
    Mood::Fails(ErrorKind::AddrNotAvailable),
    Mood::Refuses(ErrorKind::ConnectionRefused),
    Mood::Refuses(ErrorKind::HostUnreachable),
    Mood::Refuses(ErrorKind::TimedOut),
    Mood::Silent,
    Mood::Mirror,
];

/// The local address of a connecting socket.
const HERE: ([u8; 4], u16) = ([192, 0, 2, 200], 50_000);

/// What the loop calls.
impl Inner {
    pub(super) fn dial(&mut self, target: Target) -> io::Result<usize> {
        self.calls += 1;
        if self.no_descriptors {
            self.refusals += 1;
            // EMFILE and ENFILE.
            return Err(io::Error::from_raw_os_error(self.rng.pick(&[24, 23])));
        }
        let mood = self.moods.get(&target).copied().unwrap_or(Mood::Up);
        let link = match (mood, target) {
            (Mood::Fails(kind), _) => return Err(kind.into()),
            (Mood::Up | Mood::Mirror, None) => Link::Up,
            // The outcome on a Unix socket is known at once.
            (_, None) => return Err(self.rng.pick(&[ErrorKind::NotFound, ErrorKind::WouldBlock]).into()),
            (Mood::Up | Mood::Mirror, _) if self.rng.percent(20) => Link::Up,
            (Mood::Up | Mood::Mirror, _) => Link::Begun(Fate::Connects),
            (Mood::Refuses(kind), _) => Link::Begun(Fate::Fails(kind)),
            (Mood::Silent, _) => Link::Begun(Fate::Silence),
        };
        let mut socket = Socket::new(&mut self.rng);
        (socket.link, socket.target) = (link, Some(target));
        socket.mirror = mood == Mood::Mirror && target.is_some();
        self.sockets.push(socket);
        Ok(self.sockets.len() - 1)
    }

    /// The system may have no memory to watch it, and reports that.
    pub(super) fn may_watch(&mut self, id: usize) -> io::Result<()> {
        let refused = self.sockets[id].target.is_some() && self.rng.percent(self.faults / 10);
        if refused { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    /// The outcome may become known while the loop checks it.
    pub(super) fn advance_connect(&mut self, id: usize) {
        if self.sockets[id].target.is_some() && self.rng.percent(self.faults) {
            self.progress(id, false);
        }
    }

    fn is_connected(&mut self, id: usize) -> io::Result<&Socket> {
        self.calls += 1;
        self.advance_connect(id);
        let socket = &self.sockets[id];
        let connected = socket.link == Link::Up && socket.reset != Signal::Arrived;
        if connected { Ok(socket) } else { Err(ErrorKind::NotConnected.into()) }
    }

    pub(super) fn peer_addr(&mut self, id: usize) -> io::Result<SocketAddr> {
        let socket = self.is_connected(id)?;
        socket.target.flatten().ok_or(ErrorKind::Unsupported.into())
    }

    pub(super) fn local_addr(&mut self, id: usize) -> io::Result<SocketAddr> {
        self.calls += 1;
        let socket = &self.sockets[id];
        Ok(socket.target.flatten().filter(|_| socket.mirror).unwrap_or(HERE.into()))
    }

    /// Every host is reachable.
    pub(super) fn be_reachable(&mut self) {
        self.moods.clear();
    }
}
