//! Which clients arrive, and what they do on their own.

use super::answers::{Kind, Spec};
use super::browser::Browser;
use super::content::Content;
use super::end::End;
use super::flow::{Flow, Shared};
use super::link::{CLIENT, Link, SERVER};
use super::manner::Manner;
use super::party::{Feed, Habit, Party};
use super::rng::Rng;
use super::server::Conn;
use super::setting::Rules;
use super::world::{Client, ClientKind, Health, Purpose, World};
use std::time::Duration;
use ws_proto::{ClientRequest, CloseCode, Config, Connection, Error, Moment, Role, State};

/// Input that always ends a connection.
const JUNK: [&[u8]; 5] =
    [b"\xff\xff\xff", b"\x81\x05hello", b"\x83\x80\0\0\0\0", b"\x80\x80\0\0\0\0", b"\x88\x81\0\0\0\0\0"];

impl World {
    /// Adds a client and the server's end of its connection.
    pub(super) fn add_client(&mut self) {
        let (id, now, is_hasty, purpose) = (self.clients.len(), self.now, self.is_hasty, self.purpose);
        let (is_slow, memory) = (self.is_slow, self.memory.clone());
        let rng = &mut self.rng;
        let is_steady = purpose == Purpose::Steady;
        let is_plain = purpose != Purpose::Any;
        let link = if is_plain { Link::steady(rng) } else { Link::new(rng) };
        let (up, down) = (Shared::<Flow>::default(), Shared::<Flow>::default());
        let rules_for = |base, rng: &mut Rng| match purpose {
            Purpose::Steady => Rules::steady(base, rng),
            _ => Rules::any(base, rng, is_hasty),
        };
        let manner_of = |rng: &mut Rng| {
            let mut manner = if is_plain { Manner::steady(rng) } else { Manner::any(rng) };
            if is_slow {
                manner.late = manner.late.max(Duration::from_millis(1));
            }
            manner
        };
        let rules = match purpose {
            Purpose::Memory => Rules::sharing(rng, &memory),
            _ => rules_for(Config::server(), rng),
        };
        let is_upgraded = rng.percent(15);
        let connection = if is_upgraded {
            Connection::upgraded(now, rules.config.clone(), Role::Server)
        } else {
            Connection::server(now, rules.config.clone(), Default::default())
        };
        let mut manner = manner_of(rng);
        if is_slow {
            manner.handling = Duration::from_millis(rng.pick(&[1, 30, 300]));
        }
        let most = link.fair_length().min(manner.fair_length());
        let mut end = End::new(connection, rules, SERVER, now, manner);
        end.name = self.is_verbose.then(|| format!("server {id}"));
        let manner = manner_of(rng);
        let most = most.min(manner.fair_length());
        let kind = match rng.below(if is_steady { 6 } else { 10 }) {
            6..9 if !is_upgraded => ClientKind::Http(Box::new(Browser::new(
                id,
                now,
                most,
                is_hasty || purpose == Purpose::Memory,
            ))),
            9 if !is_upgraded => ClientKind::Rude(rude(rng)),
            _ => {
                let rules = rules_for(Config::client(), rng);
                let config = rules.config.clone();
                let kind = if is_steady { Kind::Accept } else { upgrade(rng) };
                let spec = (!is_upgraded).then_some(Spec { kind, of: id, n: 0, len: 100 });
                let connection = match &spec {
                    None => Connection::upgraded(now, config, Role::Client { seed: rng.seed() }),
                    Some(spec) => {
                        let url = format!("ws://localhost{}", spec.path());
                        Connection::client(now, config, ClientRequest::new(&url).unwrap(), rng.seed())
                    }
                };
                let mut here = End::new(connection, rules, CLIENT, now, manner);
                here.name = self.is_verbose.then(|| format!("client {id}"));
                here.share_marks(&end);
                end.share_marks(&here);
                let mut party = Party::new(here, up.clone(), down.clone(), most);
                party.spec = spec;
                behave(&mut party, now, rng);
                ClientKind::WebSocket(Box::new(party))
            }
        };
        let health = if matches!(kind, ClientKind::Rude(_)) { Health::Broken } else { Health::Good };
        up.borrow_mut().is_spoiled = health == Health::Broken;
        end.is_unmarked = health == Health::Broken;
        let mut party = Party::new(end, down, up, most);
        behave(&mut party, now, rng);
        let mut kind = kind;
        let mut echoes = rng.pick(&[0, 50, 100]);
        let mut acts = rng.within(1, 15);
        if let (ClientKind::WebSocket(client), true) = (&mut kind, is_steady) {
            (echoes, acts) = (if party.repeats { 100 } else { 0 }, 0);
            talk(&mut party, client, &link, rng);
        } else if let (ClientKind::WebSocket(client), Purpose::Memory) = (&mut kind, purpose) {
            echoes = 0;
            hoard(&mut party, client, now, rng);
        } else if let ClientKind::WebSocket(client) = &mut kind {
            // Two ends that repeat everything never finish.
            client.repeats &= echoes == 0;
        }
        let next_act = now + rng.time(Duration::from_secs(1));
        self.log(|| format!("client {id} connects: {}", name(&kind)));
        self.server.conns.push(Conn::new(party, echoes));
        self.links.push(link);
        self.clients.push(Client { kind, health, acts, next_act, resets: false, resets_behind: None });
    }

    /// A client acts on its own.
    pub(super) fn act_client(&mut self, id: usize) {
        let most_wait = if self.is_hasty { 1 } else { 10 };
        let Self { now, server, clients, links, rng, .. } = self;
        let (now, link, client) = (*now, &mut links[id], &mut clients[id]);
        client.acts -= 1;
        client.next_act = now + rng.time(Duration::from_secs(most_wait));
        let slow = now + rng.time(Duration::from_secs(60));
        match (&mut client.kind, rng.below(100)) {
            (ClientKind::Left, _) => {}
            (_, 0..6) => link.hold(rng.pick(&[CLIENT, SERVER]), slow),
            (_, 6) => {
                client.health = Health::Broken;
                link.break_off(now);
            }
            (_, 7) => {
                client.health = Health::Broken;
                link.is_cut = true;
            }
            (_, 8) => self.break_off(id),
            (ClientKind::WebSocket(party), 9..14) => party.end.reads_from = slow,
            (ClientKind::WebSocket(party), 14..16) => party.end.pause(now, slow),
            (ClientKind::WebSocket(party), 16) => party.end.resume(now),
            (ClientKind::WebSocket(party), 17) => {
                client.health = Health::Broken;
                party.incoming.borrow_mut().is_spoiled |= party.end.is_open();
                party.end.abort(now, Error::Aborted);
            }
            (ClientKind::WebSocket(party), 18) if party.end.is_open() => {
                client.health = Health::Broken;
                party.outgoing.borrow_mut().is_spoiled = true;
                server.conns[id].party.end.is_unmarked = true;
                drop(link.write(CLIENT, now, rng.pick(&JUNK), rng));
            }
            (ClientKind::WebSocket(party), 19) if party.end.is_open() => {
                party.close(now, CloseCode::from(4000), "I have had enough");
                client.resets = rng.percent(50);
            }
            (ClientKind::WebSocket(party), 20..36) if party.end.is_open() => party.send_part(now, rng),
            (ClientKind::WebSocket(party), 36..44) if party.end.is_open() => party.send_burst(rng),
            (ClientKind::WebSocket(party), 44..54) if party.end.is_open() => party.ping(now, rng),
            (ClientKind::WebSocket(party), _) if party.end.is_open() => {
                for _ in 0..rng.pick(&[1, 1, 1, 5]) {
                    let content = Content::any(rng, party.most);
                    let _ = party.send(now, content, rng);
                }
            }
            (ClientKind::Http(browser), 9..16) => browser.reads_from = slow,
            (ClientKind::Http(browser), 16..19) => {
                browser.half_close(server.conns[id].party.end.rules.config.get_half_close());
            }
            (ClientKind::Http(browser), 19..30) => browser.request_upgrade(upgrade(rng)),
            (ClientKind::Http(browser), _) => {
                for _ in 0..rng.pick(&[1, 1, 2, 5]) {
                    browser.request(now, rng);
                }
            }
            _ => {}
        }
    }

    /// A client that has closed resets without waiting for the answer.
    pub(super) fn reset_client(&mut self, id: usize) {
        let Self { now, server, clients, links, .. } = self;
        let (now, link, client) = (*now, &mut links[id], &mut clients[id]);
        let ClientKind::WebSocket(party) = &client.kind else { return };
        let end = &server.conns[id].party.end;
        let can_receive = end.connection.state() == State::Open
            && !end.connection.is_paused()
            && end.reads_from <= now
            && !end.is_unmarked
            && !link.is_held();
        let code = party.outgoing.borrow().closed.as_ref().map(|(code, _)| *code);
        client.resets_behind = code.filter(|_| can_receive);
        client.health = Health::Broken;
        link.reset(CLIENT, now);
        client.kind = ClientKind::Left;
    }

    /// A client abandons its connection silently.
    pub(super) fn break_off(&mut self, id: usize) {
        let Self { now, clients, links, rng, .. } = self;
        let (now, link, client) = (*now, &mut links[id], &mut clients[id]);
        client.health = Health::Broken;
        match rng.below(4) {
            // It half-closes, and reads nothing.
            0 => link.shut(CLIENT, now),
            1 => link.close(CLIENT, now),
            2 => link.reset(CLIENT, now),
            _ => link.is_cut = true,
        }
        client.kind = ClientKind::Left;
    }
}

/// Chooses the application's behaviour.
fn behave(party: &mut Party, now: Moment, rng: &mut Rng) {
    party.habit = rng.pick(&[Habit::Waits, Habit::Fills, Habit::Refills, Habit::Ignores]);
    party.repeats = rng.percent(30);
    party.answers = rng.percent(20).then_some(100_000);
    if rng.percent(20) {
        let every = Duration::from_secs(rng.pick(&[1, 10, 50]));
        party.feed = Some(Feed { every, next: now + every, left: rng.pick(&[10, 1000]) });
    }
}

/// A server with more to send than it may hold, to a client that reads late or slowly.
fn hoard(server: &mut Party, client: &mut Party, now: Moment, rng: &mut Rng) {
    (server.most, client.most) = (HOARDED, HOARDED);
    (server.answers, client.repeats) = (None, false);
    (server.feed, client.feed) = (None, None);
    server.send_bulk(rng.within(10, 100), HOARDED, rng);
    client.end.reads_from = now + rng.time(Duration::from_secs(100));
    client.end.manner.read_rate = rng.pick(&[None, Some(2000), Some(10_000)]);
}

/// The longest message when memory is scarce.
const HOARDED: usize = 4096;

/// Two ends that both send much, or one requests and the other answers at length.
fn talk(server: &mut Party, client: &mut Party, link: &Link, rng: &mut Rng) {
    (server.feed, client.feed) = (None, None);
    client.repeats &= !server.repeats;
    if client.repeats {
        client.answers = None;
    }
    let cap = |party: &Party| party.end.rules.config.get_outbox_cap();
    let most = cap(server).min(cap(client)) / 2;
    (server.most, client.most) = (most, most);
    let has_long_answers =
        server.repeats && server.answers.is_some() || client.repeats && client.answers.is_some();
    for (party, side) in [(server, SERVER), (client, CLIENT)] {
        let len = rng.pick(&[20, 1000, 16_384, 65_536]).min(most);
        // Enough to fill its outbox several times, unless the link takes more than an hour for it.
        let rate = link.rate(side).unwrap_or(u32::MAX) as usize;
        let sum = cap(party).saturating_mul(rng.within(1, 3)).min(rate * 600).min(1 << 20);
        let is_brief = rng.percent(20) || has_long_answers;
        party.send_bulk(if is_brief { rng.within(1, 10) } else { (sum / len).clamp(1, 300) }, len, rng);
    }
}

/// The outcome of a WebSocket request; mostly it opens.
fn upgrade(rng: &mut Rng) -> Kind {
    match rng.below(10) {
        0..6 => Kind::Accept,
        6..8 => Kind::AcceptLater,
        8 => Kind::Refuse,
        _ => Kind::Drop,
    }
}

/// Bytes of a different protocol, or an attack.
fn rude(rng: &mut Rng) -> Vec<u8> {
    let heads: [&[u8]; 5] = [
        b"",
        b"GET / HT",
        b"\x16\x03\x01 what?\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /9/0/0/10 HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    ];
    let mut bytes = rng.pick(&heads).to_vec();
    for _ in 0..rng.below(4) {
        match rng.below(4) {
            0 => bytes.extend((0..rng.below(50)).map(|_| rng.next() as u8)),
            1 => bytes.extend_from_slice(rng.pick(&JUNK)),
            2 => bytes.extend_from_slice(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"),
            _ => {
                let at = rng.below(bytes.len() + 1);
                bytes.truncate(at);
            }
        }
    }
    bytes
}

fn name(kind: &ClientKind) -> &'static str {
    match kind {
        ClientKind::WebSocket(_) => "a WebSocket",
        ClientKind::Http(_) => "a browser",
        ClientKind::Rude(_) => "a rude client",
        ClientKind::Left => "gone",
    }
}
