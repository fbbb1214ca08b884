//! A watched connection: the engine's promises for every connection, for any peer, and the memory that it holds.

use crate::seen::Seen;
use bytes::Buf;
use ws_kit::oracle::Engine;
use ws_proto::{Closed, Config, Connection, Error, Event, IoAction, Message, Moment, State};

/// A connection, and what its owner knows of it.
#[derive(Debug)]
pub(crate) struct Watched {
    connection: Connection,
    oracle: Engine,
    memory: Memory,
    pub(crate) seen: Seen,
    /// The connection ended with unsent output.
    pub(crate) is_cut_off: bool,
    /// The output that was queued before it ended.
    queued: usize,
    /// The bytes that the application passed to it.
    pub(crate) given: u64,
}

impl Watched {
    pub(crate) fn server(connection: Connection) -> Self {
        let oracle = Engine::server(&connection);
        Self::new(connection, oracle)
    }

    pub(crate) fn client(connection: Connection) -> Self {
        let oracle = Engine::client(&connection);
        Self::new(connection, oracle)
    }

    fn new(connection: Connection, oracle: Engine) -> Self {
        let memory = Memory { held: 0, limit: memory_limit(connection.config()) };
        let queued = connection.queued();
        let seen = Seen::default();
        Self { connection, oracle, memory, seen, is_cut_off: false, queued, given: 0 }
    }

    /// For read-only queries.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn is_server(&self) -> bool {
        self.oracle.events.is_server()
    }

    pub(crate) fn has_half_closed(&self) -> bool {
        self.oracle.has_half_closed()
    }

    pub(crate) fn closed(&self) -> Option<&Closed> {
        self.oracle.events.closed()
    }

    // --- input and time

    pub(crate) fn handle_input<'a>(&mut self, now: Moment, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
        let before = input.len();
        let event = self.measured(|connection| connection.handle_input(now, input));
        self.oracle.handle_input(&self.connection, before, input.len(), event.is_some());
        self.record(event.as_ref());
        self.check();
        event
    }

    pub(crate) fn handle_eof(&mut self, now: Moment) {
        self.act(|connection| connection.handle_eof(now));
    }

    pub(crate) fn abort(&mut self, now: Moment, error: Error) {
        self.act(|connection| connection.abort(now, error));
        assert_eq!(self.connection.state(), State::Closed);
    }

    /// Takes up to `n` bytes of output, like a socket with room for that many.
    pub(crate) fn write(&mut self, now: Moment, n: usize, mut to: impl FnMut(&[u8])) {
        let mut left = n;
        while left > 0 && self.connection.outbox().has_remaining() {
            let outbox = self.connection.outbox();
            let n = outbox.chunk().len().min(left);
            assert!(n > 0, "pending bytes are not available");
            to(&outbox.chunk()[..n]);
            self.oracle.handle_written(n);
            left -= n;
            self.act(|connection| connection.handle_written(now, n));
        }
        if self.connection.outbox().has_remaining() {
            self.act(|connection| connection.handle_written(now, 0));
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Moment) {
        self.act(|connection| connection.handle_timeout(now));
        self.oracle.handle_timeout(&mut self.connection);
        self.oracle.must_be_handled(now, &self.connection);
    }

    /// Fires the owner's timer if it is due.
    pub(crate) fn pass(&mut self, now: Moment) {
        if self.oracle.timer().is_some_and(|at| at <= now) {
            self.handle_timeout(now);
        }
    }

    // --- application calls

    pub(crate) fn act<T>(&mut self, act: impl FnOnce(&mut Connection) -> T) -> T {
        let result = self.measured(act);
        self.check();
        result
    }

    /// Drops an event that the application has finished with.
    pub(crate) fn forget<T>(&mut self, event: T) {
        self.measured(|_| drop(event));
    }

    fn measured<T>(&mut self, act: impl FnOnce(&mut Connection) -> T) -> T {
        self.memory.measured(&mut self.connection, self.given, act)
    }

    // --- queries

    pub(crate) fn poll_event(&mut self, now: Moment) -> Option<Event<'static>> {
        let event = self.measured(|connection| connection.poll_event(now));
        self.record(event.as_ref());
        self.check();
        event
    }

    pub(crate) fn poll_io(&mut self) -> IoAction {
        self.oracle.poll_io(&mut self.connection)
    }

    /// It is over, and its owner does nothing more: every event sequence must be complete.
    pub(crate) fn must_be_over(&mut self, now: Moment) {
        let Self { connection, oracle, memory, given, .. } = self;
        memory.measured(connection, *given, |connection| oracle.must_be_over(now, connection));
    }

    fn record(&mut self, event: Option<&Event<'_>>) {
        if let Some(event) = event {
            self.seen.record(event);
            self.oracle.record(event);
        }
    }

    fn check(&mut self) {
        self.oracle.check(&mut self.connection);
        self.is_cut_off |= self.connection.state() == State::Closed && self.queued > 0;
        self.queued = self.connection.queued();
    }
}

/// The heap that a connection holds, including events still alive.
#[derive(Debug)]
struct Memory {
    held: i64,
    limit: i64,
}

impl Memory {
    /// Measures the heap: everything held is due to received bytes, to those that the application passed, and to the
    /// limits.
    fn measured<T>(
        &mut self,
        connection: &mut Connection,
        given: u64,
        act: impl FnOnce(&mut Connection) -> T,
    ) -> T {
        let mut result = None;
        let change = allocation_counter::measure(|| result = Some(act(connection)));
        let peak = self.held + change.bytes_max as i64;
        self.held += change.bytes_current;
        let arrived = (connection.bytes_received() + given) as i64;
        let fixed = FIXED + contexts(connection.config());
        let limit = self.limit.min(fixed + A_BYTE * arrived);
        assert!(peak <= limit, "{peak} bytes of memory for {arrived} received; the limit is {limit}");
        match result {
            Some(result) => result,
            None => unreachable!("the counter calls its closure"),
        }
    }
}

/// The memory that a connection may hold regardless of its limits, with an application of a few answers.
const FIXED: i64 = 32 * 1024;
/// The memory that a byte may cost: short header fields cost the most.
const A_BYTE: i64 = 100;

/// The size of a compressor and a decompressor, regardless of the data.
fn contexts(config: &Config) -> i64 {
    if config.get_deflate().is_some() { 1 << 20 } else { 0 }
}

/// The most memory that a connection may hold in any state: each limit with its overhead, and room for vectors
/// to double.
fn memory_limit(config: &Config) -> i64 {
    let frames = 2 * config.get_message_limit().min(1 << 40) + 2 * config.get_outbox_cap() as u64;
    let head = 4 * config.get_head_limit() + 500 * config.get_header_limit();
    let requests = (config.get_pipeline_limit().max(1) + 8) * (head + 2 * config.get_body_limit() + 4096);
    FIXED + contexts(config) + (frames + requests as u64) as i64
}

/// A comparable message: whether it is text, and its bytes.
pub(crate) type Sample = (bool, Vec<u8>);

pub(crate) fn sample(message: &Message<'_>) -> Sample {
    (message.is_text(), message.as_bytes().to_vec())
}
