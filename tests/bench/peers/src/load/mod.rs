//! The load: one thread that opens connections to a server, and keeps messages in flight on them.
//!
//! It shares no code with the servers, and compares each byte that they send.

mod channel;
mod connection;

pub use channel::Trust;

use connection::{Connection, Wire};
use mio::{Events, Interest, Poll, Token};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Connections in flight at a time: a listener's backlog is short.
const AT_A_TIME: usize = 16;
/// Only a hang takes this long.
const HANG: Duration = Duration::from_secs(60);

/// Connections to one server.
pub struct Crowd {
    server: SocketAddr,
    /// Present if they speak TLS.
    trust: Option<Trust>,
    path: &'static str,
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
    wire: Wire,
    /// How many messages may still be sent.
    budget: u64,
    received: u64,
}

impl Crowd {
    /// No connections yet: they will be to this path, and the messages of this size.
    pub fn new(
        server: SocketAddr,
        trust: Option<Trust>,
        path: &'static str,
        size: usize,
    ) -> io::Result<Self> {
        Ok(Self {
            server,
            trust,
            path,
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            connections: Vec::new(),
            buffer: vec![0; 256 << 10],
            wire: Wire::new(size),
            budget: 0,
            received: 0,
        })
    }

    /// Opens connections until there are so many.
    pub fn open(&mut self, count: usize) -> io::Result<()> {
        while self.connections.len() < count {
            let from = self.connections.len();
            for index in from..count.min(from + AT_A_TIME) {
                let mut connection = Connection::connect(self.server, index, self.trust.as_ref(), self.path)?;
                let both = Interest::READABLE | Interest::WRITABLE;
                self.poll.registry().register(connection.source(), Token(index), both)?;
                self.connections.push(connection);
            }
            self.until("connections", |crowd| crowd.connections[from..].iter().all(Connection::is_open))?;
        }
        Ok(())
    }

    /// Sends so many messages on each connection, and another for each echo, up to `budget` in all.
    pub fn start_echoes(&mut self, in_flight: usize, budget: u64) -> io::Result<()> {
        self.budget += budget;
        for connection in &mut self.connections {
            let n = self.budget.min(in_flight as u64);
            self.budget -= n;
            connection.send(&self.wire, n as usize)?;
        }
        Ok(())
    }

    /// Waits until so many messages have been received since the start.
    pub fn until_received(&mut self, count: u64) -> io::Result<()> {
        self.until("echoes", |crowd| crowd.received >= count)
    }

    /// Goes on for this long.
    pub fn run_for(&mut self, time: Duration) -> io::Result<()> {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.turn(left)?;
        }
        Ok(())
    }

    /// The first connection sends a message, and each receives it; so many times.
    pub fn broadcast(&mut self, times: u64) -> io::Result<()> {
        for _ in 0..times {
            let count = self.received + self.connections.len() as u64;
            self.connections[0].send(&self.wire, 1)?;
            self.until("a broadcast", |crowd| crowd.received >= count)?;
        }
        Ok(())
    }

    /// How many messages were received.
    pub fn received(&self) -> u64 {
        self.received
    }

    fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) -> io::Result<()> {
        let start = Instant::now();
        while !done(self) {
            if start.elapsed() > HANG {
                return Err(io::Error::other(format!("timed out waiting for {what}")));
            }
            self.turn(Duration::from_secs(1))?;
        }
        Ok(())
    }

    fn turn(&mut self, wait: Duration) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        for event in &self.events {
            let Some(connection) = self.connections.get_mut(event.token().0) else { continue };
            let n = connection.visit(&mut self.buffer, &self.wire)? as u64;
            self.received += n;
            let n = n.min(self.budget);
            self.budget -= n;
            if n > 0 {
                connection.send(&self.wire, n as usize)?;
            }
        }
        Ok(())
    }
}
