//! Two ends, a pipe each way, and a manual clock. The oracle watches both.

use crate::oracle::Engine;
use bytes::Buf;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use ws_proto::{ClientRequest, Closed, Config, Connection, Event, IoAction, Message, Moment, Role};

/// One end: a connection, its events, and the bytes in flight to it.
pub struct End {
    pub connection: Connection,
    pub events: Vec<Event<'static>>,
    oracle: Engine,
    incoming: VecDeque<u8>,
    /// The peer has half-closed, but this end has not read to EOF yet.
    fin_coming: bool,
    pub dropped: bool,
}

impl End {
    fn new(connection: Connection, oracle: Engine) -> Self {
        Self {
            connection,
            events: Vec::new(),
            oracle,
            incoming: VecDeque::new(),
            fin_coming: false,
            dropped: false,
        }
    }

    /// The whole messages that this end received, as text.
    pub fn texts(&self) -> Vec<String> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Message(message) => Some(String::from_utf8_lossy(message.as_bytes()).into_owned()),
                _ => None,
            })
            .collect()
    }

    /// The `Closed` event, which is the last one.
    pub fn closed(&self) -> &Closed {
        match self.events.last() {
            Some(Event::Closed(closed)) => closed,
            other => panic!("{other:?} is not the end"),
        }
    }

    pub fn has_half_closed(&self) -> bool {
        self.oracle.has_half_closed()
    }

    pub fn is_closed(&self) -> bool {
        matches!(self.events.last(), Some(Event::Closed(_)))
    }

    /// Reads up to `chunk` of the bytes in flight. Returns whether there were any.
    fn read(&mut self, now: Moment, chunk: usize, accept: bool) -> bool {
        if self.dropped {
            self.incoming.clear();
            return false;
        }
        let n = self.incoming.len().min(chunk);
        let mut bytes: Vec<u8> = self.incoming.drain(..n).collect();
        let mut input = &mut bytes[..];
        while let Some(event) = self.handle_input(now, &mut input) {
            self.handle(now, event.into_owned(), accept);
        }
        // Input left by a paused connection precedes newer input.
        let left = input.len();
        input.iter().rev().for_each(|byte| self.incoming.push_front(*byte));
        if self.incoming.is_empty() && self.fin_coming {
            self.fin_coming = false;
            self.connection.handle_eof(now);
            self.check();
            return true;
        }
        n > left
    }

    fn handle(&mut self, now: Moment, event: Event<'static>, accept: bool) {
        match event {
            Event::Upgrade(upgrade) if accept => self.connection.accept(now, upgrade).unwrap(),
            event => self.events.push(event),
        }
    }

    fn poll(&mut self, now: Moment, accept: bool) {
        while let Some(event) = self.poll_event(now) {
            self.handle(now, event, accept);
        }
    }

    /// Passes input to the connection, from the peer or from anywhere else.
    pub fn handle_input<'a>(&mut self, now: Moment, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
        let len = input.len();
        let event = self.connection.handle_input(now, input);
        self.oracle.handle_input(&self.connection, len, input.len(), event.is_some());
        event.iter().for_each(|event| self.oracle.record(event));
        self.check();
        event
    }

    pub fn poll_event(&mut self, now: Moment) -> Option<Event<'static>> {
        let event = self.connection.poll_event(now);
        event.iter().for_each(|event| self.oracle.record(event));
        self.check();
        event
    }

    fn written(&mut self, now: Moment, n: usize) {
        self.connection.handle_written(now, n);
        self.oracle.handle_written(n);
        self.check();
    }

    fn check(&mut self) {
        self.oracle.check(&mut self.connection);
    }
}

/// A client and a server.
pub struct Pair {
    pub now: Moment,
    pub client: End,
    pub server: End,
    /// The most bytes per read.
    pub chunk: usize,
    /// Nothing reaches the other end, as when a cable is unplugged.
    pub cut: bool,
    /// The server accepts upgrades automatically.
    pub accept: bool,
}

impl Pair {
    /// Starts with HTTP, from the first byte.
    pub fn new(client: Config, server: Config) -> Self {
        let now = Moment::from_nanos(1 << 60);
        let request = ClientRequest::new("ws://localhost/chat").unwrap();
        let client = Connection::client(now, Arc::new(client), request, [1; 32]);
        let server = Connection::server(now, Arc::new(server), Default::default());
        Self::of(now, client, server)
    }

    pub fn of(now: Moment, client: Connection, server: Connection) -> Self {
        let (of_client, of_server) = (Engine::client(&client), Engine::server(&server));
        let (client, server) = (End::new(client, of_client), End::new(server, of_server));
        Self { now, client, server, chunk: usize::MAX, cut: false, accept: true }
    }

    /// A pair that is open after its handshake, with the events of that discarded.
    pub fn open_with(client: Config, server: Config) -> Self {
        let mut pair = Self::new(client, server);
        pair.drive();
        assert!(matches!(pair.client.events[..], [Event::Open(_)]), "{:?}", pair.client.events);
        assert!(matches!(pair.server.events[..], [Event::Open(_)]), "{:?}", pair.server.events);
        pair.client.events.clear();
        pair.server.events.clear();
        pair
    }

    pub fn open() -> Self {
        Self::open_with(Config::client(), Config::server())
    }

    /// Moves bytes until nothing moves.
    pub fn drive(&mut self) {
        while self.step() {}
    }

    /// Lets each end act once. Returns whether anything moved.
    pub fn step(&mut self) -> bool {
        let Self { now, client, server, chunk, cut, accept } = self;
        let mut moved = false;
        for _ in 0..2 {
            client.poll(*now, *accept);
            server.poll(*now, *accept);
            moved |= write(*now, client, server, *cut);
            moved |= write(*now, server, client, *cut);
            moved |= client.read(*now, *chunk, *accept);
            moved |= server.read(*now, *chunk, *accept);
            client.poll(*now, *accept);
            server.poll(*now, *accept);
        }
        moved
    }

    /// Advances the clock, stopping at each deadline on the way.
    pub fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.drive();
            let deadlines = [self.client.connection.poll_timeout(), self.server.connection.poll_timeout()];
            let next = deadlines.into_iter().flatten().min().filter(|next| *next <= end);
            let Some(next) = next else { break };
            assert!(next >= self.now, "a deadline in the past");
            self.now = next;
            for side in [&mut self.client, &mut self.server] {
                side.connection.handle_timeout(next);
                side.oracle.handle_timeout(&mut side.connection);
                side.oracle.must_be_handled(next, &side.connection);
            }
        }
        self.now = end;
        self.drive();
    }
}

/// Performs one end's I/O. Returns whether anything moved.
fn write(now: Moment, from: &mut End, to: &mut End, cut: bool) -> bool {
    if from.dropped {
        return false;
    }
    let mut moved = false;
    while from.connection.outbox().has_remaining() && !cut {
        let chunk = from.connection.outbox().chunk().to_vec();
        from.written(now, chunk.len());
        to.incoming.extend(chunk);
        moved = true;
    }
    if from.connection.outbox().has_remaining() {
        from.written(now, 0);
        return moved;
    }
    match from.oracle.poll_io(&mut from.connection) {
        IoAction::Shutdown => {
            to.fin_coming = !cut;
            true
        }
        IoAction::Drop | IoAction::Reset => {
            from.dropped = true;
            to.fin_coming |= !cut && !from.has_half_closed() && !to.dropped;
            true
        }
        _ => moved,
    }
}

/// An open connection of a server, for a scripted peer.
pub fn server(config: Config) -> (Connection, Moment) {
    let now = Moment::from_nanos(1 << 60);
    (Connection::upgraded(now, Arc::new(config), Role::Server), now)
}

pub fn is_text(event: &Event<'_>, expected: &str) -> bool {
    matches!(event, Event::Message(Message::Text(text)) if text == expected)
}
