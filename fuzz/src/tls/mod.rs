//! `tls`: our layer over any bytes, and two of our ends over a pipe that somebody tampers with.
//!
//! ```text
//!   0 or 1: to a server or to a client | setup (1) | sizes of the parts (1 + n) | the bytes …
//!   2: two ends | setup (1) | what happens (2 each): kind and side, amount …
//! ```

mod end;
pub(crate) mod provider;

use crate::input::{Input, Script};
use crate::seen::Seen;
use end::pattern;
pub(crate) use end::{End, Setup, roots};
use provider::Side;
use ws_host::tls::TlsError;

/// The most that the application of an end sends.
const MOST_SENT: usize = 40_000;
/// The most that a run allocates at once, besides what was sent.
const MOST_MEMORY: u64 = 2 << 20;

/// Whatever arrives, and however it is cut, a session makes progress or fails for one reason; its memory is bounded; and
/// what it returns as plaintext is what its peer has sent, in order.
pub fn tls(data: &[u8]) -> Seen {
    let mut input = Input::new(data);
    let (which, setup) = (input.byte(), Setup::of(input.byte()));
    let mut memory = 0;
    let counted = allocation_counter::measure(|| {
        memory = match which % 3 {
            0 => bytes(Side::Server, setup, input),
            1 => bytes(Side::Client, setup, input),
            _ => joined(setup, input),
        }
    });
    assert!(counted.bytes_max <= MOST_MEMORY + memory, "{} bytes of memory", counted.bytes_max);
    Seen::default()
}

/// What came of the bytes: the plaintext, the error, whether the end was read, and the output.
type Outcome = (Vec<u8>, Option<TlsError>, bool, Vec<u8>);

fn bytes(side: Side, setup: Setup, mut input: Input<'_>) -> u64 {
    let script = input.script();
    let wire = input.rest();
    let whole = outcome(side, setup, wire, None);
    let parts = outcome(side, setup, wire, Some(script));
    assert!(whole == parts, "{:?} or, in parts, {:?}", (&whole.1, whole.2), (&parts.1, parts.2));
    8 * wire.len() as u64
}

/// How much plaintext is in these bytes.
pub(crate) fn received(side: Side, setup: Setup, wire: &[u8]) -> usize {
    outcome(side, setup, wire, None).0.len()
}

fn outcome(side: Side, setup: Setup, mut wire: &[u8], mut script: Option<Script<'_>>) -> Outcome {
    provider::reset();
    let mut end = End::new(side, setup);
    end.write();
    while !wire.is_empty() {
        let n = script.as_mut().map_or(wire.len(), |script| usize::from(script.next()).max(1));
        let (part, rest) = wire.split_at(n.min(wire.len()));
        wire = rest;
        end.socket.input.extend(part);
        end.read();
        end.write();
    }
    over(&mut end);
    (end.received, end.error, end.has_ended, end.socket.output)
}

/// The stream of this end is over: it must say so, or has failed before.
fn over(end: &mut End) {
    end.socket.is_over = true;
    end.read();
    assert!(end.error.is_some() || end.has_ended, "it does not end");
    end.read();
    end.write();
}

/// The bytes between two ends, and whether both sides still are what they seem.
struct Pipe {
    ends: [End; 2],
    is_intact: bool,
}

fn joined(setup: Setup, mut input: Input<'_>) -> u64 {
    provider::reset();
    let ends = [Side::Client, Side::Server].map(|side| End::new(side, setup));
    let mut pipe = Pipe { ends, is_intact: true };
    pipe.ends[0].write();
    while !input.is_empty() {
        let (kind, amount) = (input.byte(), usize::from(input.byte()));
        pipe.act(kind >> 1 & 7, usize::from(kind & 1), amount);
    }
    let memory = pipe.settle();
    pipe.check();
    memory
}

impl Pipe {
    /// Something happens at one end, or to what it has sent.
    fn act(&mut self, kind: u8, who: usize, amount: usize) {
        let end = &mut self.ends[who];
        let wire = &mut end.socket.output;
        let at = amount.min(wire.len());
        match kind {
            0 => _ = self.deliver(who, amount),
            1 => _ = self.deliver(who, usize::MAX),
            2 => {
                if !end.has_closed {
                    end.offered = (end.offered + amount * amount).min(MOST_SENT);
                }
                end.write();
            }
            3 => {
                end.socket.room = if amount == 0xff { usize::MAX } else { amount * 16 };
                end.socket.sip = if amount & 1 == 0 { usize::MAX } else { amount };
                end.write();
            }
            4 => end.close(),
            5 if at < wire.len() => {
                wire[at] ^= 1 << (amount % 8);
                self.is_intact = false;
            }
            6 if at > 0 => {
                wire.drain(..at);
                self.is_intact = false;
            }
            7 if at > 0 => {
                let again = wire[..at].to_vec();
                wire.splice(..0, again);
                self.is_intact = false;
            }
            _ => {}
        }
    }

    /// Moves what an end has sent to the other.
    fn deliver(&mut self, from: usize, amount: usize) -> bool {
        let wire = &mut self.ends[from].socket.output;
        let part: Vec<u8> = wire.drain(..amount.min(wire.len())).collect();
        let to = &mut self.ends[1 - from];
        to.socket.input.extend(&part);
        to.read();
        to.write();
        !part.is_empty()
    }

    /// Everything that was sent arrives, and then both streams end.
    fn settle(&mut self) -> u64 {
        for end in &mut self.ends {
            (end.socket.room, end.socket.sip) = (usize::MAX, usize::MAX);
            end.write();
        }
        let mut moved = 0;
        loop {
            let is_quiet = ![0, 1].map(|from| self.deliver(from, usize::MAX)).contains(&true);
            if is_quiet {
                break;
            }
            moved += 1;
            assert!(moved < 100, "they never come to rest");
        }
        if self.is_intact {
            for end in &self.ends {
                assert!(end.error.is_none() && !end.is_handshaking(), "{:?}", end.error);
                assert_eq!(end.held(), 0, "an idle end holds no buffers");
            }
        }
        self.ends.iter_mut().for_each(over);
        8 * self.ends.iter().map(|end| end.offered as u64).sum::<u64>()
    }

    fn check(&self) {
        let [client, server] = &self.ends;
        for (from, side, to) in [(client, Side::Client, server), (server, Side::Server, client)] {
            if to.is_plain() {
                continue; // The first byte was changed, and the mode allows it.
            }
            assert!(to.received.len() <= from.offered);
            let is_sent = to.received.iter().enumerate().all(|(at, byte)| *byte == pattern(side, at));
            assert!(is_sent, "plaintext that was not sent");
            if self.is_intact && !from.has_closed {
                assert_eq!(to.received.len(), from.offered, "not all arrived");
            }
        }
    }
}
