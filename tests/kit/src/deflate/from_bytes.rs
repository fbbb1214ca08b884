//! Tests driven entirely by input bytes, for both a fuzzer and proptest.

use super::*;
use crate::frames::*;
use crate::pair::{End, Pair};
use std::sync::Arc;
use std::time::Duration;
use ws_proto::deflate::{Deflate, Direction, Terms};
use ws_proto::{Config, Connection, Delivery, Event, Frame, Heartbeat, Moment, Opcode, Role};

/// Successive decisions, taken from bytes. Past the last byte, each is the first choice.
pub struct Dice<'a>(pub(crate) &'a [u8]);

impl Dice<'_> {
    pub fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// A choice below `n`.
    pub fn below(&mut self, n: u8) -> u8 {
        self.byte() % n
    }

    pub fn bool(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::from(self.byte()) % all.len()]
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn direction(&mut self) -> Direction {
        direction(self.bool(), self.of(&[15, 8, 9, 10, 11, 12, 13, 14]))
    }

    fn settings(&mut self) -> Deflate {
        let deflate = Deflate::new().level(self.below(10)).memory_level(self.below(10));
        let deflate = deflate.threshold(self.of(&[0, 64, 300])).inflate_rate(self.of(&[None, Some(3000)]));
        deflate.release_after(Duration::from_millis(self.of(&[30_000, 0, 1, 1000])))
    }

    /// Data that partly repeats earlier data.
    fn data(&mut self) -> Vec<u8> {
        let mut data = Vec::new();
        for _ in 0..self.below(4) {
            match self.below(3) {
                0 => data.extend(noise(u64::from(self.below(3)), 4 * usize::from(self.byte()))),
                1 => data.resize(data.len() + 60 * usize::from(self.byte()), b'z'),
                _ => data.extend("some text, 水 and 𝄞; ".repeat(usize::from(self.below(20))).bytes()),
            }
        }
        data
    }
}

/// What one end has sent, and the message in progress.
#[derive(Default)]
struct Sent {
    messages: Vec<Vec<u8>>,
    begun: Option<Vec<u8>>,
    waiting: Vec<Vec<u8>>,
}

impl Sent {
    fn whole(&mut self, data: Vec<u8>) {
        match self.begun {
            Some(_) => self.waiting.push(data),
            None => self.messages.push(data),
        }
    }

    fn act(&mut self, dice: &mut Dice<'_>, end: &mut End, now: Moment) {
        let (data, connection) = (dice.data(), &mut end.connection);
        let frame = Frame::binary(data.clone());
        match dice.below(8) {
            0 => drop(connection.send_ping(now, b"?").unwrap()),
            1 => {
                connection.send(&data[..]).unwrap();
                self.whole(data);
            }
            2 => {
                let frame = if dice.bool() { frame.with_compression() } else { frame.without_compression() };
                connection.send(&frame).unwrap();
                self.whole(data);
            }
            3 => {
                connection.send_shared(&frame).unwrap();
                self.whole(data);
            }
            4 => {
                let text = String::from_utf8_lossy(&data).into_owned();
                connection.send(text.clone()).unwrap();
                self.whole(text.into_bytes());
            }
            _ => {
                let fin = self.begun.is_some() && dice.bool();
                let opcode = if self.begun.is_some() { Opcode::Continuation } else { Opcode::Binary };
                let frame = Frame::raw(opcode, fin, data.clone()).unwrap();
                connection
                    .send(&if dice.below(4) == 3 { frame.without_compression() } else { frame })
                    .unwrap();
                self.begun.get_or_insert_default().extend(data);
                if fin {
                    self.end();
                }
            }
        }
    }

    fn end(&mut self) {
        self.messages.extend(self.begun.take());
        self.messages.append(&mut self.waiting);
    }
}

/// The messages that an end received, chunks joined.
fn received(end: &End) -> Vec<Vec<u8>> {
    let (mut received, mut is_whole) = (Vec::<Vec<u8>>::new(), true);
    for event in &end.events {
        match event {
            Event::Message(message) => received.push(message.as_bytes().to_vec()),
            Event::Fragment(fragment) => {
                if fragment.first {
                    received.push(Vec::new());
                }
                received.last_mut().unwrap().extend(fragment.data.as_bytes());
                is_whole = fragment.last;
            }
            Event::Drained | Event::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(is_whole, "unfinished message");
    received
}

/// Two ends with any terms and settings exchange anything in any form, over a pipe that cuts arbitrarily, while time
/// passes: each receives what the other sent.
pub fn exchange(bytes: &[u8]) {
    let dice = &mut Dice(bytes);
    let now = Moment::default();
    let (ours, theirs) = (dice.direction(), dice.direction());
    let mut end = |role, ours, theirs| {
        let delivery =
            dice.of(&[Delivery::Whole, Delivery::Chunked { whole: 0 }, Delivery::Chunked { whole: 200 }]);
        let config = Config::server().deflate(dice.settings()).delivery(delivery).heartbeat(Heartbeat::off());
        let mut connection = Connection::upgraded(now, Arc::new(config), role);
        connection.compress_by(Terms { ours, theirs });
        connection
    };
    let (client, server) = (end(CLIENT, ours, theirs), end(Role::Server, theirs, ours));
    let mut pair = Pair::of(now, client, server);
    let mut sent = [Sent::default(), Sent::default()];
    while !dice.is_empty() {
        let now = pair.now;
        match dice.below(6) {
            0 => {
                pair.chunk = usize::from(dice.byte()) * usize::from(dice.byte()) + 1;
                pair.step();
            }
            1 => pair.advance(Duration::from_millis(u64::from(dice.byte()) * 10)),
            n if n % 2 == 0 => sent[0].act(dice, &mut pair.client, now),
            _ => sent[1].act(dice, &mut pair.server, now),
        }
    }
    for (sent, end) in sent.iter_mut().zip([&mut pair.client, &mut pair.server]) {
        if sent.begun.is_some() {
            end.connection.send(Frame::raw(Opcode::Continuation, true, "").unwrap()).unwrap();
            sent.end();
        }
    }
    pair.chunk = usize::MAX;
    // A peer over the inflate rate is read again in the next second.
    for _ in 0..1000 {
        pair.advance(Duration::from_secs(1));
        if !pair.client.connection.is_paused() && !pair.server.connection.is_paused() {
            break;
        }
    }
    let [by_client, by_server] = sent;
    assert!(received(&pair.server) == by_client.messages, "messages from the client, {ours:?}");
    assert!(received(&pair.client) == by_server.messages, "messages from the server, {theirs:?}");
}

/// The successive messages of a connection, and its close code.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    messages: Vec<Vec<u8>>,
    /// The received part of an unfinished message.
    begun: Vec<u8>,
    code: Option<u16>,
    fault: Option<String>,
}

fn outcome(config: &Arc<Config>, role: Role, terms: Terms, reads: &[&[u8]]) -> Outcome {
    let now = Moment::default();
    let mut connection = Connection::upgraded(now, config.clone(), role);
    connection.compress_by(terms);
    let mut outcome = Outcome::default();
    for read in reads {
        for event in feed(&mut connection, now, read) {
            match event {
                Event::Message(message) => outcome.messages.push(message.as_bytes().to_vec()),
                Event::Fragment(fragment) => {
                    outcome.begun.extend(fragment.data.as_bytes());
                    assert!(outcome.begun.len() as u64 <= config.get_message_limit());
                    if fragment.last {
                        outcome.messages.push(std::mem::take(&mut outcome.begun));
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }
    outcome.code = close_code(&take_output(&mut connection, now));
    assert!(outcome.messages.iter().all(|message| message.len() as u64 <= config.get_message_limit()));
    assert!(matches!(outcome.code, None | Some(1007 | 1009)), "{:?}", outcome.code);
    if let Some(Event::Closed(closed)) = end(&mut connection, now).first() {
        outcome.fault = Some(format!("{:?}", closed.error));
    }
    outcome
}

/// Arbitrary bytes, or a corrupted compressed message, arrive as compressed messages: no message exceeds the limit, and
/// the result does not depend on the cuts.
pub fn garbage(bytes: &[u8]) {
    let dice = &mut Dice(bytes);
    let role = dice.of(&ROLES);
    let terms = Terms { ours: FULL, theirs: dice.direction() };
    let limit = dice.of(&[20_000, 0, 1, 100, 8192]);
    let settings = deflate().inflate_rate(None).ratio_limit(None);
    let joined = Arc::new(config(settings.clone()).message_limit(limit));
    let chunked = Arc::new(config(settings).message_limit(limit).delivery(Delivery::Chunked { whole: 0 }));
    let (mut wire, mut cuts) = (Vec::new(), vec![0]);
    for _ in 0..=dice.below(4) {
        let opcode = dice.of(&[BINARY, TEXT]);
        let mut payload = match dice.below(4) {
            0 => dice.0[..dice.0.len() / 2].to_vec(),
            _ => Zip::with_level(direction(true, terms.theirs.window_bits.max(9)), 6).message(&dice.data()),
        };
        for _ in 0..dice.below(5) {
            let at = usize::from(dice.byte()) % payload.len().max(1);
            match dice.below(4) {
                0 => payload.truncate(at),
                1 => payload.insert(at.min(payload.len()), dice.byte()),
                2 => payload.extend_from_within(at.min(payload.len())..),
                _ => payload.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << dice.below(8)),
            }
        }
        let parts: Vec<&[u8]> = payload.chunks(usize::from(dice.byte()) + 1).collect();
        let parts = if parts.is_empty() { vec![&[][..]] } else { parts };
        wire.extend(in_frames(role, RSV1 | opcode, &parts));
        cuts.push(wire.len() * usize::from(dice.byte()) / 256);
    }
    cuts.push(wire.len());
    cuts.sort_unstable();
    let reads: Vec<&[u8]> = cuts.windows(2).map(|ends| &wire[ends[0]..ends[1]]).collect();
    let in_one = outcome(&joined, role, terms, &[&wire]);
    for config in [&joined, &chunked] {
        let whole = outcome(config, role, terms, &[&wire]);
        assert_eq!(
            (&whole.messages, whole.code, &whole.fault),
            (&in_one.messages, in_one.code, &in_one.fault)
        );
        for reads in [reads.clone(), wire.chunks(1).collect()] {
            assert_eq!(outcome(config, role, terms, &reads), whole);
        }
    }
}
