//! One run: all actors that can act do so, in random order; when none can, time passes.

use super::browser::Browser;
use super::end::{End, Op};
use super::link::{CLIENT, Link, Read, SERVER};
use super::manner::Manner;
use super::party::Party;
use super::rng::Rng;
use super::server::Server;
use super::setting::Rules;
use std::time::Duration;
use ws_proto::{CloseCode, Config, Connection, Event, Memory, Moment, Role};

/// The start of every run.
pub(crate) const BIRTH: Moment = Moment::from_nanos(1 << 60);
/// More steps than any run takes, and more than any takes at one time.
const MOST_STEPS: usize = 4_000_000;
const MOST_AT_ONCE: usize = 200_000;

/// The purpose of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Anything can happen.
    Any,
    /// All ends are honest, the network is merely slow, and the deadlines are the defaults: ends with much to send can
    /// send it, in both directions at once.
    Steady,
    /// Many clients do not read, and the server has limited memory for all of them.
    Memory,
}

/// A client's health; one that is not `Good` has broken its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Good,
    Broken,
}

pub(crate) struct Client {
    pub(crate) kind: ClientKind,
    pub(crate) health: Health,
    /// Its remaining spontaneous actions, and when the next one is due.
    pub(crate) acts: usize,
    pub(crate) next_act: Moment,
    /// It resets the connection once its Close has arrived.
    pub(crate) resets: bool,
    /// It did so, and the server could have received this code.
    pub(crate) resets_behind: Option<CloseCode>,
}

pub(crate) enum ClientKind {
    WebSocket(Box<Party>),
    Http(Box<Browser>),
    /// Bytes, with replies ignored.
    Rude(Vec<u8>),
    /// The client has left.
    Left,
}

/// An actor that can act now.
#[derive(Clone, Copy, Debug)]
enum Actor {
    Client(usize, Op),
    Server(usize, Op),
    /// The server performs a deferred action.
    Later(usize),
    ClientActs(usize),
    /// Its Close has arrived, and it waits no longer.
    ClientResets(usize),
    ServerActs,
    /// The deadline of a stopping server has passed.
    CutAll,
}

pub(crate) struct World {
    pub(crate) purpose: Purpose,
    /// Handlers take time.
    pub(crate) is_slow: bool,
    pub(crate) memory: Memory,
    /// Since when the held memory has exceeded the limit.
    pub(crate) over_since: Option<Moment>,
    pub(crate) rng: Rng,
    pub(crate) now: Moment,
    pub(crate) is_hasty: bool,
    pub(crate) server: Server,
    pub(crate) clients: Vec<Client>,
    pub(crate) links: Vec<Link>,
    pub(crate) server_acts: usize,
    next_server_act: Moment,
    can: Vec<Actor>,
    /// The connection that the last step changed; `None` if any may have changed.
    pub(crate) changed: Option<usize>,
    /// The server is stopping.
    pub(crate) has_stopped: bool,
    steps: usize,
    /// The number of steps when time last passed.
    steps_before: usize,
    pub(crate) is_verbose: bool,
}

impl Actor {
    /// The only connection that changes, if there is just one.
    fn id(self) -> Option<usize> {
        match self {
            Self::Client(id, _) | Self::Server(id, _) | Self::Later(id) => Some(id),
            Self::ClientActs(id) | Self::ClientResets(id) => Some(id),
            Self::ServerActs | Self::CutAll => None,
        }
    }
}

const OPS: [Op; 6] = [Op::Read, Op::Write, Op::Timer, Op::Poll, Op::Push, Op::Resume];

impl World {
    pub(crate) fn new(purpose: Purpose, seed: u64, is_verbose: bool) -> Self {
        let mut rng = Rng::new(seed);
        let now = BIRTH;
        let mut this = Self {
            purpose,
            is_slow: purpose == Purpose::Any && rng.percent(10),
            memory: Memory::new(rng.pick(&[0, 20_000, 100_000, 300_000])),
            over_since: None,
            now,
            is_hasty: purpose == Purpose::Any && rng.percent(25),
            server: Server::default(),
            clients: Vec::new(),
            links: Vec::new(),
            server_acts: if purpose == Purpose::Steady { 0 } else { rng.below(15) },
            next_server_act: now,
            can: Vec::new(),
            changed: None,
            has_stopped: false,
            steps: 0,
            steps_before: 0,
            is_verbose,
            rng,
        };
        let (least, most) = match purpose {
            Purpose::Any => (1, 4),
            Purpose::Steady => (1, 2),
            Purpose::Memory => (3, 8),
        };
        for _ in 0..this.rng.within(least, most) {
            this.add_client();
        }
        this
    }

    /// Runs to the end.
    pub(crate) fn run(mut self) {
        while self.has_acts() && self.step() {}
        self.settle();
        self.close_all();
    }

    pub(crate) fn log(&self, what: impl FnOnce() -> String) {
        if self.is_verbose {
            println!("{:?} {}", self.now - BIRTH, what());
        }
    }

    fn has_acts(&self) -> bool {
        self.server_acts > 0 || self.clients.iter().any(|client| client.acts > 0)
    }

    // --- one step

    /// One actor acts, now or after time has passed; `false` when none ever will.
    pub(crate) fn step(&mut self) -> bool {
        self.steps += 1;
        let is_endless = self.steps > MOST_STEPS || self.steps - self.steps_before > MOST_AT_ONCE;
        assert!(!is_endless, "it spins without progress");
        self.find_actors();
        if self.can.is_empty() {
            let Some(next) = self.next() else { return false };
            (self.now, self.steps_before) = (next, self.steps);
            self.check_time();
            return true;
        }
        let actor = self.rng.pick(&self.can);
        self.changed = actor.id();
        self.log(|| format!("{actor:?}"));
        let now = self.now;
        match actor {
            Actor::Client(id, op) => self.run_client(id, op),
            Actor::Server(id, op) => self.run_server(id, op),
            Actor::Later(id) => {
                self.server.run_deferred(id, now, &mut self.rng);
                self.server_settles(id);
            }
            Actor::ClientActs(id) => self.act_client(id),
            Actor::ClientResets(id) => self.reset_client(id),
            Actor::ServerActs => {
                self.server_acts -= 1;
                self.next_server_act = now + self.rng.time(Duration::from_secs(10));
                if self.rng.percent(1) && !self.has_stopped {
                    self.stop();
                } else {
                    self.server.act(now, &mut self.rng);
                }
            }
            Actor::CutAll => {
                self.server.stops = None;
                self.server.cut_all(now);
            }
        }
        true
    }

    /// Reuses the last result for connections that have not changed.
    fn find_actors(&mut self) {
        match self.changed.take() {
            Some(id) => {
                self.can.retain(|actor| actor.id() != Some(id));
                self.find_actors_of(id);
            }
            None => {
                self.can.clear();
                for id in 0..self.clients.len() {
                    self.find_actors_of(id);
                }
                if self.server_acts > 0 && self.next_server_act <= self.now {
                    self.can.push(Actor::ServerActs);
                }
                if self.server.stops.is_some_and(|at| at <= self.now) {
                    self.can.push(Actor::CutAll);
                }
            }
        }
    }

    fn find_actors_of(&mut self, id: usize) {
        let Self { now, server, clients, links, can, .. } = self;
        let (now, link, client) = (*now, &links[id], &mut clients[id]);
        match &mut client.kind {
            ClientKind::WebSocket(party) => {
                let ops = OPS.into_iter().filter(|op| party.end.can(*op, now, link) || party.can(*op, now));
                can.extend(ops.map(|op| Actor::Client(id, op)));
            }
            ClientKind::Http(browser) => {
                if browser.can_read(now, link) {
                    can.push(Actor::Client(id, Op::Read));
                }
                if browser.can_write(now, link) {
                    can.push(Actor::Client(id, Op::Write));
                }
            }
            ClientKind::Rude(bytes) => {
                if link.is_readable(CLIENT, now) {
                    can.push(Actor::Client(id, Op::Read));
                }
                if !bytes.is_empty() && (link.room(CLIENT) > 0 || link.is_reset(CLIENT, now)) {
                    can.push(Actor::Client(id, Op::Write));
                }
            }
            ClientKind::Left => {}
        }
        if let ClientKind::WebSocket(party) = &client.kind
            && client.resets
            && party.end.has_written_close()
            && link.has_arrived(CLIENT, now)
        {
            can.push(Actor::ClientResets(id));
        }
        if client.acts > 0 && client.next_act <= now {
            can.push(Actor::ClientActs(id));
        }
        server.conns[id].check_departure(now, link);
        let party = &mut server.conns[id].party;
        let ops = OPS.into_iter().filter(|op| party.end.can(*op, now, link) || party.can(*op, now));
        can.extend(ops.map(|op| Actor::Server(id, op)));
        if server.has_later(id, now) {
            can.push(Actor::Later(id));
        }
    }

    /// When an actor can next act that cannot now.
    fn next(&self) -> Option<Moment> {
        let now = self.now;
        let mut next: Option<Moment> = None;
        let mut at = |time: Option<Moment>| {
            if let Some(time) = time.filter(|time| *time > now) {
                next = Some(next.map_or(time, |next| next.min(time)));
            }
        };
        for (id, client) in self.clients.iter().enumerate() {
            let link = &self.links[id];
            let arrived = link.next_arrival(SERVER, now).filter(|_| client.resets);
            at(match &client.kind {
                ClientKind::WebSocket(party) => party.next(now, link).into_iter().chain(arrived).min(),
                ClientKind::Http(browser) => browser.next(now, link),
                ClientKind::Rude(_) => link.next_arrival(CLIENT, now),
                ClientKind::Left => None,
            });
            at(Some(client.next_act).filter(|_| client.acts > 0));
            at(self.server.conns[id].party.next(now, link));
            at(self.server.next_later(id, now));
        }
        at(Some(self.next_server_act).filter(|_| self.server_acts > 0));
        at(self.server.stops);
        next
    }

    // --- actions

    fn run_server(&mut self, id: usize, op: Op) {
        let Self { now, server, links, rng, .. } = self;
        let (mut at, link) = (*now, &mut links[id]);
        let (now, handling) = (*now, server.conns[id].party.end.manner.handling);
        let end = &mut server.conns[id].party.end;
        match op {
            Op::Read => {
                let mut bytes = end.input(now, link, rng);
                let mut input = &mut bytes[..];
                while let Some(event) = server.conns[id].party.end.handle_input(at, &mut input) {
                    server.handle(id, at, event, rng);
                    at += rng.time(handling);
                }
                server.conns[id].party.end.keep(at, input);
            }
            Op::Write => end.write(now, link, rng),
            Op::Timer => end.time_out(now),
            Op::Poll => {}
            Op::Push => server.conns[id].party.push(now, rng),
            Op::Resume => end.read_on(now),
        }
        if op == Op::Poll || !server.conns[id].party.end.manner.is_lazy || rng.percent(50) {
            while let Some(event) = server.conns[id].party.end.poll(at) {
                server.handle(id, at, event, rng);
                at += rng.time(handling);
            }
        }
        if at > now {
            (self.now, self.changed) = (at, None);
        }
        self.server_settles(id);
    }

    fn server_settles(&mut self, id: usize) {
        self.server.conns[id].party.end.settle(self.now, &mut self.links[id]);
    }

    fn run_client(&mut self, id: usize, op: Op) {
        let Self { now, server, clients, links, rng, .. } = self;
        let (now, link, client) = (*now, &mut links[id], &mut clients[id]);
        match &mut client.kind {
            ClientKind::WebSocket(party) => {
                match op {
                    Op::Read => {
                        let mut bytes = party.end.input(now, link, rng);
                        let mut input = &mut bytes[..];
                        while let Some(event) = party.end.handle_input(now, &mut input) {
                            receive(party, now, &event, rng);
                        }
                        party.end.keep(now, input);
                    }
                    Op::Write => party.end.write(now, link, rng),
                    Op::Timer => party.end.time_out(now),
                    Op::Poll => {}
                    Op::Push => party.push(now, rng),
                    Op::Resume => party.end.read_on(now),
                }
                if op == Op::Poll || !party.end.manner.is_lazy || rng.percent(50) {
                    while let Some(event) = party.end.poll(now) {
                        receive(party, now, &event, rng);
                    }
                }
                party.end.settle(now, link);
            }
            ClientKind::Http(browser) => {
                browser.is_forced |= server.conns[id].is_cut || client.health == Health::Broken;
                if op == Op::Read {
                    browser.read(now, link, rng)
                } else {
                    browser.write(now, link, rng)
                }
                if let Some(rest) = browser.switched.take() {
                    self.switch(id, rest);
                }
            }
            ClientKind::Rude(bytes) => {
                let mut read = Vec::new();
                let is_over = match op {
                    Op::Read => matches!(link.read(CLIENT, now, 1000, &mut read), Read::End | Read::Reset),
                    _ => match link.write(CLIENT, now, bytes, rng) {
                        Ok(n) => {
                            bytes.drain(..n);
                            false
                        }
                        Err(_) => true,
                    },
                };
                if is_over {
                    link.close(CLIENT, now);
                    client.kind = ClientKind::Left;
                }
            }
            ClientKind::Left => {}
        }
    }

    /// A connection opened by hand-written bytes is a WebSocket now.
    fn switch(&mut self, id: usize, rest: Vec<u8>) {
        let Self { now, server, clients, links, rng, is_hasty, is_slow, .. } = self;
        let conn = &server.conns[id].party;
        let rules = Rules::any(Config::client(), rng, *is_hasty);
        let connection = Connection::upgraded(*now, rules.config.clone(), Role::Client { seed: rng.seed() });
        let mut manner = Manner::any(rng);
        if *is_slow {
            manner.late = manner.late.max(Duration::from_millis(1));
        }
        let most = conn.most.min(manner.fair_length());
        let mut end = End::new(connection, rules, CLIENT, *now, manner);
        end.name = self.is_verbose.then(|| format!("client {id}"));
        end.give_first(rest);
        end.continue_after(links[id].written(CLIENT));
        let party = Party::new(end, conn.incoming.clone(), conn.outgoing.clone(), most);
        server.conns[id].party.end.share_marks(&party.end);
        clients[id].kind = ClientKind::WebSocket(Box::new(party));
    }
}

/// A client handles events like any application.
fn receive(party: &mut Party, now: Moment, event: &Event<'_>, rng: &mut Rng) {
    assert!(!matches!(event, Event::Request(_) | Event::Upgrade(_)), "a client received a request");
    let received = party.receive(now, event, rng);
    if let Some(content) = received.filter(|_| party.repeats) {
        party.reply(now, content, rng);
    }
}
