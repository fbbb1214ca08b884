//! The sockets that are not the system's: of TLS, of a proxy, of a test.

use crate::sys::socket::{NewSocket, Socket, SocketRef};
use mio::net::TcpStream;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use ws_host::layer::ConnectStep;
use ws_proto::{Config, TlsInfo};

/// The sockets that are not the system's, by slot. A slot has room for a descriptor only, and is empty if its
/// socket is stored here. An endpoint without such sockets holds nothing.
#[derive(Default)]
pub(crate) struct CustomSockets(Vec<Option<Box<dyn Socket>>>);

impl CustomSockets {
    #[inline]
    fn get(&self, slot: u32) -> Option<&dyn Socket> {
        self.0.get(slot as usize)?.as_deref()
    }

    fn put(&mut self, slot: u32, socket: Box<dyn Socket>) {
        let place = slot as usize;
        if place >= self.0.len() {
            self.0.resize_with(place + 1, || None);
        }
        self.0[place] = Some(socket);
    }

    fn take(&mut self, slot: u32) -> Option<Box<dyn Socket>> {
        self.0.get_mut(slot as usize)?.take()
    }

    /// Frees the places after the last socket.
    pub(crate) fn shrink(&mut self) {
        let used = self.0.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        self.0.truncate(used);
        self.0.shrink_to_fit();
    }

    /// Stores the socket of a slot, or returns the stream that the slot stores itself.
    pub(crate) fn keep(&mut self, slot: u32, socket: NewSocket) -> Option<TcpStream> {
        match socket {
            NewSocket::Tcp(stream) => Some(stream),
            NewSocket::Other(socket) => {
                self.put(slot, socket);
                None
            }
        }
    }

    /// Starts layers on the socket of a slot.
    pub(crate) fn wrap(
        &mut self,
        slot: u32,
        stream: &mut Option<TcpStream>,
        wrap: impl FnOnce(NewSocket) -> Box<dyn Socket>,
    ) {
        let inner = stream.take().map(NewSocket::Tcp).or_else(|| self.take(slot).map(NewSocket::Other));
        if let Some(inner) = inner {
            self.put(slot, wrap(inner));
        }
    }

    /// The result of the TLS handshake, for a socket that is stored here.
    #[cold]
    pub(crate) fn tls(&self, slot: u32) -> Option<Arc<TlsInfo>> {
        self.get(slot)?.tls()
    }

    /// The client's address that a trusted proxy has sent before the first byte, once.
    #[cold]
    pub(crate) fn take_client(&self, slot: u32) -> Option<SocketAddr> {
        self.get(slot)?.take_client()
    }

    /// The configuration that redirects the peer of a socket that is stored here.
    #[cold]
    pub(crate) fn redirect(&self, slot: u32) -> Option<Arc<Config>> {
        self.get(slot)?.redirect()
    }

    /// Writes what a socket that is stored here holds.
    #[cold]
    pub(crate) fn flush(&self, slot: u32) -> io::Result<()> {
        self.get(slot).map_or(Ok(()), |socket| socket.flush())
    }

    /// What a connection attempt over the socket of a slot waits for, once that is connected.
    #[cold]
    pub(crate) fn step(&self, slot: u32) -> ConnectStep {
        self.get(slot).map_or(ConnectStep::Handshake, |socket| socket.step())
    }

    /// Whether a socket that is stored here is in its TLS handshake, or its proxy has not opened the tunnel.
    #[cold]
    pub(crate) fn is_handshaking(&self, slot: u32) -> bool {
        self.get(slot).is_some_and(|socket| socket.is_handshaking())
    }

    /// How many times a socket that is stored here has answered its peer within the TLS handshake; `None` if there is
    /// none.
    #[cold]
    pub(crate) fn flights(&self, slot: u32) -> Option<u32> {
        self.get(slot).map(|socket| socket.flights())
    }

    #[cold]
    pub(crate) fn remove(&mut self, slot: u32) {
        self.take(slot);
    }

    /// The socket of a slot.
    #[inline]
    pub(crate) fn socket<'s>(&'s self, slot: u32, stream: &'s Option<TcpStream>) -> SocketRef<'s> {
        match stream {
            Some(stream) => SocketRef::Tcp(stream),
            None => self.find(slot),
        }
    }

    #[cold]
    fn find(&self, slot: u32) -> SocketRef<'_> {
        self.get(slot).map_or(SocketRef::Gone, SocketRef::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::socket::not_connected;
    use mio::Token;
    use std::io::IoSlice;

    struct Closed;

    impl Socket for Closed {
        fn register(&mut self, _: Token) -> io::Result<()> {
            not_connected()
        }

        fn read(&self, _: &mut [u8]) -> io::Result<usize> {
            not_connected()
        }

        fn write(&self, _: &[IoSlice<'_>]) -> io::Result<usize> {
            not_connected()
        }

        fn shutdown(&self) -> io::Result<()> {
            not_connected()
        }

        fn take_error(&self) -> io::Result<Option<io::Error>> {
            Ok(None)
        }
    }

    #[test]
    fn the_places_of_sockets_that_are_gone_are_freed() {
        let mut sockets = CustomSockets::default();
        for slot in [5, 0, 1000] {
            assert!(sockets.keep(slot, NewSocket::Other(Box::new(Closed))).is_none());
        }
        assert!(sockets.get(5).is_some() && sockets.get(4).is_none() && sockets.get(1001).is_none());
        for (gone, left) in [(1000, 6), (0, 6), (5, 0), (7, 0)] {
            sockets.remove(gone);
            sockets.shrink();
            assert_eq!(sockets.0.capacity(), left);
        }
    }
}
