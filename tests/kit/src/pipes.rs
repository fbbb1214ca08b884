//! Two ends with applications, a pipe of 64 KiB each way, and a clock that advances when nothing else moves. A
//! pipe may show its room in steps, as kernels do.

use crate::oracle::Engine;
use bytes::Buf;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use ws_proto::{ClientRequest, Closed, Config, Connection, Event, IoAction, Moment, Role};

const PIPE: usize = 64 * 1024;
const READ: usize = 16 * 1024;
/// The largest clock step while a slow pipe holds bytes.
const TICK: Duration = Duration::from_millis(10);

/// The application's handler for an event.
pub type App<'a> = Box<dyn FnMut(&mut Connection, Moment, Event<'_>) + 'a>;

pub struct Side<'a> {
    pub connection: Connection,
    oracle: Engine,
    app: App<'a>,
    /// The bytes in flight to this side.
    pipe: VecDeque<u8>,
    fin: bool,
    /// Input left by a paused connection.
    left: Vec<u8>,
    /// The pipe's rate in bytes a second.
    pub rate: Option<u64>,
    tokens: u64,
    /// The most bytes that the pipe holds.
    pub capacity: usize,
    /// The other end learns of new room once there is this much of it.
    pub step: usize,
    /// The room that the other end knows.
    room: usize,
    pub closed: Option<Closed>,
    pub most_queued: usize,
}

impl<'a> Side<'a> {
    fn new(connection: Connection, oracle: Engine, app: App<'a>) -> Self {
        Self {
            connection,
            oracle,
            app,
            pipe: VecDeque::new(),
            fin: false,
            left: Vec::new(),
            rate: None,
            tokens: 0,
            capacity: PIPE,
            step: 1,
            room: 0,
            closed: None,
            most_queued: 0,
        }
    }

    fn handle(&mut self, now: Moment, event: Event<'_>) {
        self.oracle.record(&event);
        self.check();
        match event {
            Event::Closed(closed) => self.closed = Some(*closed),
            Event::Upgrade(upgrade) => self.connection.accept(now, upgrade).unwrap(),
            event => (self.app)(&mut self.connection, now, event),
        }
        self.most_queued = self.most_queued.max(self.connection.queued());
        self.check();
    }

    fn check(&mut self) {
        self.oracle.check(&mut self.connection);
    }

    fn poll(&mut self, now: Moment) {
        while let Some(event) = self.connection.poll_event(now) {
            self.handle(now, event);
        }
        self.check();
    }

    fn read(&mut self, now: Moment) -> bool {
        let before = self.left.len();
        let mut taken = 0;
        if !self.connection.is_paused() && self.left.is_empty() {
            taken = self.pipe.len().min(READ);
            if self.rate.is_some() {
                taken = taken.min(usize::try_from(self.tokens).unwrap());
                self.tokens -= taken as u64;
            }
            self.left.extend(self.pipe.drain(..taken));
        }
        let mut bytes = core::mem::take(&mut self.left);
        let mut input = &mut bytes[..];
        loop {
            let len = input.len();
            let event = self.connection.handle_input(now, &mut input);
            self.oracle.handle_input(&self.connection, len, input.len(), event.is_some());
            let Some(event) = event else { break };
            self.handle(now, event);
        }
        self.left = input.to_vec();
        if self.fin && self.pipe.is_empty() && self.left.is_empty() {
            self.fin = false;
            self.connection.handle_eof(now);
        }
        self.poll(now);
        taken > 0 || self.left.len() < before
    }

    /// The room in the pipe, as far as the other end knows.
    fn room(&mut self) -> usize {
        let free = self.capacity.saturating_sub(self.pipe.len());
        if free >= self.room + self.step {
            self.room = free;
        }
        self.room
    }

    fn write(&mut self, now: Moment, to: &mut Self) -> bool {
        let mut moved = false;
        while self.connection.outbox().has_remaining() {
            let outbox = self.connection.outbox();
            let chunk = outbox.chunk();
            let n = chunk.len().min(to.room());
            to.pipe.extend(&chunk[..n]);
            to.room -= n;
            self.connection.handle_written(now, n);
            self.oracle.handle_written(n);
            self.check();
            if n == 0 {
                return moved;
            }
            moved = true;
        }
        match self.oracle.poll_io(&mut self.connection) {
            IoAction::Shutdown | IoAction::Drop | IoAction::Reset => to.fin |= self.closed.is_none(),
            _ => {}
        }
        moved
    }

    fn move_clock(&mut self, time: Duration) {
        if let Some(rate) = self.rate {
            let add =
                |time: Duration| u64::try_from(u128::from(rate) * time.as_micros() / 1_000_000).unwrap();
            // Unused tokens do not accumulate into a burst.
            self.tokens = (self.tokens + add(time)).min(add(2 * TICK));
        }
    }
}

/// Two ends: a client and a server.
pub struct World<'a> {
    pub birth: Moment,
    pub now: Moment,
    pub client: Side<'a>,
    pub server: Side<'a>,
}

impl<'a> World<'a> {
    /// Starts with both ends open.
    pub fn open(client: Config, server: Config, apps: [App<'a>; 2]) -> Self {
        let now = Moment::from_nanos(1 << 60);
        let role = Role::Client { seed: [1; 32] };
        let client = Connection::upgraded(now, Arc::new(client), role);
        let server = Connection::upgraded(now, Arc::new(server), Role::Server);
        Self::of(now, client, server, apps)
    }

    /// Starts both ends with the handshake.
    pub fn new(client: Config, server: Config, apps: [App<'a>; 2]) -> Self {
        let now = Moment::from_nanos(1 << 60);
        let request = ClientRequest::new("ws://localhost/").unwrap();
        let client = Connection::client(now, Arc::new(client), request, [1; 32]);
        let server = Connection::server(now, Arc::new(server), Default::default());
        Self::of(now, client, server, apps)
    }

    fn of(now: Moment, client: Connection, server: Connection, apps: [App<'a>; 2]) -> Self {
        let [one, other] = apps;
        let (of_client, of_server) = (Engine::client(&client), Engine::server(&server));
        let (client, server) = (Side::new(client, of_client, one), Side::new(server, of_server, other));
        Self { birth: now, now, client, server }
    }

    pub fn age(&self) -> Duration {
        self.now - self.birth
    }

    /// Runs until the condition holds, or for `time`. Returns whether it held.
    pub fn run_until(&mut self, time: Duration, mut condition: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + time;
        loop {
            while self.step() {
                if condition(self) {
                    return true;
                }
            }
            if condition(self) {
                return true;
            }
            let Some(next) = self.next().filter(|next| *next <= end) else {
                return false;
            };
            let passed = next - self.now;
            self.now = next;
            for side in [&mut self.client, &mut self.server] {
                side.move_clock(passed);
                if side.connection.poll_timeout().is_some_and(|due| due <= next) {
                    side.connection.handle_timeout(next);
                    side.oracle.handle_timeout(&mut side.connection);
                    side.poll(next);
                }
            }
        }
    }

    fn next(&self) -> Option<Moment> {
        let sides = [&self.client, &self.server];
        let is_slow = sides.iter().any(|side| {
            side.rate.is_some_and(|rate| rate > 0) && !side.pipe.is_empty() && side.left.is_empty()
        });
        let deadlines = sides.iter().filter_map(|side| side.connection.poll_timeout());
        deadlines.chain(is_slow.then(|| self.now + TICK)).min().map(|next| next.max(self.now + TICK / 100))
    }

    fn step(&mut self) -> bool {
        let Self { now, client, server, .. } = self;
        client.poll(*now);
        server.poll(*now);
        let mut moved = client.write(*now, server);
        moved |= server.write(*now, client);
        moved |= client.read(*now);
        moved | server.read(*now)
    }
}
