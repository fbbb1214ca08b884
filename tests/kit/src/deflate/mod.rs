//! Compression (RFC 7692): connections with any terms, compressing peers, and data.

pub mod from_bytes;

use crate::frames::*;
use crate::random::Lcg;
use std::sync::Arc;
use ws_proto::deflate::{Deflate, Direction, Terms};
use ws_proto::{Config, Connection, Error, Event, Moment, ProtocolError, Role};
use zlib_rs::DeflateFlush;

/// Marks a compressed message (RFC 7692 §6).
pub const RSV1: u8 = 0x40;
pub const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
pub const FULL: Direction = Direction { context_takeover: true, window_bits: 15 };
pub const ALONE: Direction = Direction { context_takeover: false, window_bits: 15 };
pub const ROLES: [Role; 2] = [Role::Server, CLIENT];

pub fn direction(takeover: bool, window_bits: u8) -> Direction {
    Direction { context_takeover: takeover, window_bits }
}

/// The defaults, compressing everything.
pub fn deflate() -> Deflate {
    Deflate::new().threshold(0)
}

pub fn config(deflate: Deflate) -> Config {
    Config::server().deflate(deflate)
}

/// An open connection that compresses with these terms.
pub fn open_by(role: Role, config: Config, ours: Direction, theirs: Direction) -> (Connection, Moment) {
    let now = Moment::from_nanos(1 << 60);
    let mut connection = Connection::upgraded(now, Arc::new(config), role);
    connection.compress_by(Terms { ours, theirs });
    (connection, now)
}

/// An open connection with the most permissive terms.
pub fn open_full(role: Role) -> (Connection, Moment) {
    open_by(role, config(deflate()), FULL, FULL)
}

/// The peer's compressor.
pub struct Zip {
    deflate: zlib_rs::Deflate,
    takeover: bool,
}

impl Zip {
    pub fn new(direction: Direction) -> Self {
        Self::with_level(direction, 6)
    }

    pub fn with_level(direction: Direction, level: i32) -> Self {
        let deflate = zlib_rs::Deflate::new(level, false, direction.window_bits);
        Self { deflate, takeover: direction.context_takeover }
    }

    /// Compresses data with this flush.
    pub fn part(&mut self, data: &[u8], flush: DeflateFlush) -> Vec<u8> {
        let before = self.deflate.total_out();
        let mut out = vec![0; data.len() + data.len() / 4 + 1024];
        self.deflate.compress(data, &mut out, flush).unwrap();
        out.truncate((self.deflate.total_out() - before) as usize);
        out
    }

    /// A message as its frames carry it.
    pub fn message(&mut self, data: &[u8]) -> Vec<u8> {
        if data.is_empty() {
            return vec![0];
        }
        let mut out = self.part(data, DeflateFlush::SyncFlush);
        assert_eq!(out.split_off(out.len() - TAIL.len()), TAIL);
        if !self.takeover {
            self.deflate.reset();
        }
        out
    }

    /// The fragments of a message as their frames carry them.
    pub fn fragments(&mut self, parts: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut out: Vec<_> = parts.iter().map(|part| self.part(part, DeflateFlush::SyncFlush)).collect();
        let last = out.last_mut().unwrap();
        if last.is_empty() {
            // The compressor has nothing to flush twice.
            last.push(0);
        } else {
            assert_eq!(last.split_off(last.len() - TAIL.len()), TAIL);
        }
        if !self.takeover {
            self.deflate.reset();
        }
        out
    }
}

/// A compressed message of `millions` MiB of zeros. Each MiB after the first compresses to the same bytes.
pub fn zeros(millions: usize) -> Vec<u8> {
    let million = vec![0; 1 << 20];
    let mut zip = Zip::with_level(FULL, 9);
    let first = zip.part(&million, DeflateFlush::SyncFlush);
    let next = zip.part(&million, DeflateFlush::SyncFlush);
    let mut out = first;
    (1..millions).for_each(|_| out.extend(&next));
    out.truncate(out.len() - TAIL.len());
    out
}

/// Incompressible bytes, the same for each seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut random = Lcg(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d);
    (0..len).map(|_| random.next() as u8).collect()
}

/// A message in frames: `first`, then continuations.
pub fn in_frames<P: AsRef<[u8]>>(role: Role, first: u8, parts: &[P]) -> Vec<u8> {
    let mut out = Vec::new();
    for (n, part) in parts.iter().enumerate() {
        let fin = if n + 1 == parts.len() { FIN } else { 0 };
        out.extend(frame_to(role, fin | if n == 0 { first } else { CONTINUATION }, part.as_ref()));
    }
    out
}

/// A compressed message in one frame.
pub fn compressed(role: Role, opcode: u8, payload: &[u8]) -> Vec<u8> {
    frame_to(role, FIN | RSV1 | opcode, payload)
}

/// The messages among the events; other events as their `Debug` text.
pub fn messages(events: &[Event<'_>]) -> Vec<Vec<u8>> {
    events
        .iter()
        .map(|event| match event {
            Event::Message(message) => message.as_bytes().to_vec(),
            other => format!("{other:?}").into_bytes(),
        })
        .collect()
}

/// The protocol error among the events of an end.
pub fn fault(events: &[Event<'_>]) -> Option<ProtocolError> {
    match events {
        [Event::Closed(closed)] => match closed.error {
            Some(Error::Protocol(error)) => Some(error),
            _ => None,
        },
        other => panic!("{other:?}"),
    }
}
