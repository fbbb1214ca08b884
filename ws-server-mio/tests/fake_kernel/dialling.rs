//! The fake kernel's outgoing connections.

use super::kernel::Inner;
use super::wire::{Fate, Link, Signal, Socket, Target};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

/// The outcome of a connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DialOutcome {
    Up,
    /// The outcome is known at once.
    Fails(ErrorKind),
    /// The outcome is known later.
    Refuses(ErrorKind),
    Silent,
    /// The target has no listener, and the system has given its port to the connecting socket itself.
    SelfConnect,
}

pub(super) const DIAL_OUTCOMES: [DialOutcome; 10] = [
    DialOutcome::Up,
    DialOutcome::Up,
    DialOutcome::Fails(ErrorKind::NetworkUnreachable),
    DialOutcome::Fails(ErrorKind::ConnectionRefused),
    DialOutcome::Fails(ErrorKind::AddrNotAvailable),
    DialOutcome::Refuses(ErrorKind::ConnectionRefused),
    DialOutcome::Refuses(ErrorKind::HostUnreachable),
    DialOutcome::Refuses(ErrorKind::TimedOut),
    DialOutcome::Silent,
    DialOutcome::SelfConnect,
];

/// The local address of a connecting socket.
const HERE: ([u8; 4], u16) = ([192, 0, 2, 200], 50_000);

/// The loop's calls.
impl Inner {
    pub(super) fn dial(&mut self, target: Target) -> io::Result<usize> {
        self.calls += 1;
        if self.no_descriptors {
            self.rejections += 1;
            // EMFILE and ENFILE.
            return Err(io::Error::from_raw_os_error(self.rng.pick(&[24, 23])));
        }
        let outcome = self.outcomes.get(&target).copied().unwrap_or(DialOutcome::Up);
        let link = match (outcome, target) {
            (DialOutcome::Fails(kind), _) => return Err(kind.into()),
            (DialOutcome::Up | DialOutcome::SelfConnect, None) => Link::Up,
            // The outcome on a Unix socket is known at once.
            (_, None) => return Err(self.rng.pick(&[ErrorKind::NotFound, ErrorKind::WouldBlock]).into()),
            (DialOutcome::Up | DialOutcome::SelfConnect, _) if self.rng.percent(20) => Link::Up,
            (DialOutcome::Up | DialOutcome::SelfConnect, _) => Link::Begun(Fate::Connects),
            (DialOutcome::Refuses(kind), _) => Link::Begun(Fate::Fails(kind)),
            (DialOutcome::Silent, _) => Link::Begun(Fate::Silence),
        };
        let mut socket = Socket::new(&mut self.rng);
        (socket.link, socket.target) = (link, Some(target));
        socket.self_connected = outcome == DialOutcome::SelfConnect && target.is_some();
        self.sockets.push(socket);
        Ok(self.sockets.len() - 1)
    }

    /// The system may lack the memory to watch it, and reports that.
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
        Ok(socket.target.flatten().filter(|_| socket.self_connected).unwrap_or(HERE.into()))
    }

    /// Every host is reachable.
    pub(super) fn be_reachable(&mut self) {
        self.outcomes.clear();
    }
}
