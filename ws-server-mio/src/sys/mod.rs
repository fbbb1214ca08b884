//! The system, as an endpoint sees it: waiting, sockets, names, random numbers.
//!
//! ```text
//!   endpoint ──wait──▶ Selector ─────────┐
//!   slots ──read, write──▶ SocketRef ────┤──▶ mio and std, or a test's replacement
//!   servers ──accept──▶ Acceptor ────────┤
//!   clients ──connect, look_up──▶ Sys ───┘
//! ```
//!
//! A test replaces the system with [`System`], which [`Endpoint::with_system`](crate::Endpoint::with_system) takes, and
//! inspects the state with [`inspect`](crate::inspect). Semantic versioning covers neither. Time is replaced by
//! [`Options::clock`](crate::Options::clock).

pub(crate) mod custom;
pub(crate) mod layered;
pub(crate) mod listener;
pub(crate) mod names;
pub(crate) mod poller;
pub(crate) mod socket;

#[cfg(all(test, feature = "tls"))]
mod tests_tls;

pub use listener::{Accepted, Listener};
pub use names::Answer;
pub use poller::{Poller, Readiness, WAKER, Wake};
pub use socket::Socket;

use crate::sys::listener::NewListeners;
use crate::sys::names::Lookup;
use crate::sys::socket::{NewSocket, Target};
use mio::{Registry, Token};
use std::io;
use std::net::SocketAddr;
use ws_host::listen::{Bind, ListenError, open};

/// A replacement for the system.
pub trait System: Send {
    /// The poller, and the wake-up that ends its wait from another thread, with the token [`WAKER`].
    fn poller(&mut self) -> (Box<dyn Poller>, Wake);

    /// Opens listeners.
    ///
    /// # Errors
    /// When it cannot open them.
    fn listen(&mut self, bind: &Bind) -> Result<Vec<Box<dyn Listener>>, ListenError>;

    /// Begins to connect: to an address, or to a Unix socket.
    ///
    /// # Errors
    /// If it fails at once.
    fn connect(&mut self, address: Option<SocketAddr>) -> io::Result<Box<dyn Socket>>;

    /// Begins to look up a name; the answer may come at any time, from any thread.
    ///
    /// # Errors
    /// If it fails at once.
    fn look_up(&mut self, host: &str, answer: Answer) -> io::Result<()>;

    /// Fills this with unpredictable bytes.
    ///
    /// # Errors
    /// When it has none.
    fn random(&mut self, bytes: &mut [u8]) -> io::Result<()>;
}

/// The source of listeners, connections, names and random numbers.
pub(crate) struct Sys {
    pub(crate) registry: Registry,
    lookup: Lookup,
    other: Option<Box<dyn System>>,
}

impl Sys {
    pub(crate) fn new(registry: Registry, lookup: Lookup, other: Option<Box<dyn System>>) -> Self {
        Self { registry, lookup, other }
    }

    pub(crate) fn register(&self, socket: &mut NewSocket, slot: u32) -> io::Result<()> {
        socket.register(&self.registry, Token(slot as usize))
    }

    /// Opens the listeners: one or two.
    pub(crate) fn listen(&mut self, bind: &Bind) -> Result<NewListeners, ListenError> {
        match &mut self.other {
            None => open(bind).map(NewListeners::System),
            Some(system) => system.listen(bind).map(NewListeners::Other),
        }
    }

    pub(crate) fn connect(&mut self, target: &Target) -> io::Result<NewSocket> {
        match &mut self.other {
            None => target.connect().map(NewSocket::Tcp),
            Some(system) => system.connect(target.address()).map(NewSocket::Other),
        }
    }

    /// Looks up a name on its own thread.
    pub(crate) fn look_up(&mut self, host: &str, answer: Answer) -> io::Result<()> {
        match &mut self.other {
            None => self.lookup.start(host.to_owned(), answer),
            Some(system) => system.look_up(host, answer),
        }
    }

    pub(crate) fn random(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        match &mut self.other {
            None => getrandom::fill(bytes).map_err(io::Error::from),
            Some(system) => system.random(bytes),
        }
    }
}
