//! Who comes, and what he does by himself.

use super::answers::{Asked, Kind};
use super::browser::Browser;
use super::content::Said;
use super::end::{End, Manner};
use super::flow::{Flow, Shared};
use super::link::{CLIENT, Link, SERVER};
use super::party::Party;
use super::rng::Rng;
use super::server::Conn;
use super::setting::Rules;
use super::world::{Client, ClientKind, Health, World};
use std::time::Duration;
use ws_proto::{ClientRequest, CloseCode, Config, Connection, Role};

/// What ends a connection however it is understood.
const JUNK: [&[u8]; 5] =
    [b"\xff\xff\xff", b"\x81\x05hello", b"\x83\x80\0\0\0\0", b"\x80\x80\0\0\0\0", b"\x88\x81\0\0\0\0\0"];

impl World {
    /// A client and the server's end of its connection.
    pub(super) fn come(&mut self) {
        let (id, now, is_hasty) = (self.clients.len(), self.now, self.is_hasty);
        let rng = &mut self.rng;
        let link = Link::new(rng);
        let (up, down) = (Shared::<Flow>::default(), Shared::<Flow>::default());
        // Of two that have much to say at once, one must read all the same.
        let client_reads_on = rng.percent(70);
        let rules = Rules::any(Config::server(), rng, is_hasty, now);
        let is_upgraded = rng.percent(15);
        let connection = if is_upgraded {
            Connection::upgraded(now, rules.config.clone(), Role::Server)
        } else {
            Connection::server(now, rules.config.clone())
        };
        let manner = Manner::any(rng, !client_reads_on);
        let most = link.fair_length().min(manner.fair_length());
        let mut end = End::new(connection, rules, SERVER, now, manner);
        end.name = self.is_told.then(|| format!("server {id}"));
        let manner = Manner::any(rng, client_reads_on);
        let most = most.min(manner.fair_length());
        let kind = match rng.below(10) {
            6..9 if !is_upgraded => ClientKind::Http(Box::new(Browser::new(id, now, most, is_hasty))),
            9 if !is_upgraded => ClientKind::Rude(rude(rng)),
            _ => {
                let rules = Rules::any(Config::client(), rng, is_hasty, now);
                let config = rules.config.clone();
                let asked = (!is_upgraded).then(|| Asked { kind: upgrade(rng), of: id, n: 0, len: 100 });
                let connection = match &asked {
                    None => Connection::upgraded(now, config, Role::Client { seed: rng.seed() }),
                    Some(asked) => {
                        let url = format!("ws://localhost{}", asked.path());
                        Connection::client(now, config, ClientRequest::new(&url).unwrap(), rng.seed())
                    }
                };
                let mut end = End::new(connection, rules, CLIENT, now, manner);
                end.name = self.is_told.then(|| format!("client {id}"));
                let mut party = Party::new(end, up.clone(), down.clone(), most);
                party.asked = asked;
                ClientKind::WebSocket(Box::new(party))
            }
        };
        let health = if matches!(kind, ClientKind::Rude(_)) { Health::Broken } else { Health::Good };
        up.borrow_mut().is_spoiled = health == Health::Broken;
        let party = Party::new(end, down, up, most);
        let echoes = rng.pick(&[0, 50, 100]);
        let acts = rng.within(1, 15);
        let next_act = now + rng.time(Duration::from_secs(1));
        self.tell(|| format!("client {id} comes: {}", name(&kind)));
        self.server.conns.push(Conn::new(party, echoes));
        self.links.push(link);
        self.clients.push(Client { kind, health, acts, next_act });
    }

    /// A client does something by itself.
    pub(super) fn client_acts(&mut self, id: usize) {
        let most_wait = if self.is_hasty { 1 } else { 10 };
        let Self { now, clients, links, rng, .. } = self;
        let (now, link, client) = (*now, &mut links[id], &mut clients[id]);
        client.acts -= 1;
        client.next_act = now + rng.time(Duration::from_secs(most_wait));
        let slow = now + rng.time(Duration::from_secs(60));
        match (&mut client.kind, rng.below(100)) {
            (ClientKind::Gone, _) => {}
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
            (ClientKind::WebSocket(party), 9..16) => party.end.reads_from = slow,
            (ClientKind::WebSocket(party), 16) => party.end.resume(now),
            (ClientKind::WebSocket(party), 17) => {
                client.health = Health::Broken;
                party.hears.borrow_mut().is_spoiled |= party.end.is_open;
                party.end.terminate(now);
            }
            (ClientKind::WebSocket(party), 18) if party.end.is_open => {
                client.health = Health::Broken;
                party.says.borrow_mut().is_spoiled = true;
                drop(link.write(CLIENT, now, rng.pick(&JUNK), rng));
            }
            (ClientKind::WebSocket(party), 19) if party.end.is_open => {
                party.close(now, CloseCode::from(4000), "I have had enough");
            }
            (ClientKind::WebSocket(party), 20..36) if party.end.is_open => party.say_part(now, rng),
            (ClientKind::WebSocket(party), 36..44) if party.end.is_open => party.say_much(rng),
            (ClientKind::WebSocket(party), 44..54) if party.end.is_open => party.ping(now, rng),
            (ClientKind::WebSocket(party), _) if party.end.is_open => {
                for _ in 0..rng.pick(&[1, 1, 1, 5]) {
                    let said = Said::any(rng, party.most);
                    let _ = party.say(now, said, rng);
                }
            }
            (ClientKind::Http(browser), 9..16) => browser.reads_from = slow,
            (ClientKind::Http(browser), 16..19) => browser.half_close(),
            (ClientKind::Http(browser), 19..30) => browser.ask_upgrade(upgrade(rng)),
            (ClientKind::Http(browser), _) => {
                for _ in 0..rng.pick(&[1, 1, 2, 5]) {
                    browser.ask(now, rng);
                }
            }
            _ => {}
        }
    }

    /// A client ends its connection without a word.
    pub(super) fn break_off(&mut self, id: usize) {
        let Self { now, clients, links, rng, .. } = self;
        let (now, link, client) = (*now, &mut links[id], &mut clients[id]);
        client.health = Health::Broken;
        match rng.below(4) {
            // It stays, and reads nothing.
            0 => link.shut(CLIENT, now),
            1 => link.close(CLIENT, now),
            2 => link.reset(CLIENT, now),
            _ => link.is_cut = true,
        }
        client.kind = ClientKind::Gone;
    }
}

/// What becomes of a WebSocket: mostly it opens.
fn upgrade(rng: &mut Rng) -> Kind {
    match rng.below(10) {
        0..6 => Kind::Accept,
        6..8 => Kind::AcceptLater,
        8 => Kind::Refuse,
        _ => Kind::Drop,
    }
}

/// Bytes of somebody who means another protocol, or no good.
fn rude(rng: &mut Rng) -> Vec<u8> {
    let heads: [&[u8]; 5] = [
        b"",
        b"GET / HT",
        b"\x16\x03\x01 what?\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /8/0/0/10 HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
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
        ClientKind::Rude(_) => "somebody rude",
        ClientKind::Gone => "nobody",
    }
}
