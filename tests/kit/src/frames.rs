//! Frames built and parsed independently of the engine, to check what it reads and writes.

use bytes::Buf;
use std::sync::Arc;
use std::time::Duration;
use ws_proto::{Config, Connection, Event, IoAction, Moment, Role};

pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;
pub const FIN: u8 = 0x80;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame from `role`'s peer: masked if the peer is a client.
pub fn frame_to(role: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    frame(role == Role::Server, first, payload)
}

pub fn frame(masked: bool, first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = header(masked, first, payload.len() as u64);
    let key = if masked { KEY } else { [0; 4] };
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

/// A header without a payload.
pub fn header(masked: bool, first: u8, len: u64) -> Vec<u8> {
    let mask = if masked { 0x80 } else { 0 };
    let mut out = vec![first];
    match len {
        0..=125 => out.push(mask | len as u8),
        126..=0xffff => {
            out.push(mask | 126);
            out.extend((len as u16).to_be_bytes());
        }
        _ => {
            out.push(mask | 127);
            out.extend(len.to_be_bytes());
        }
    }
    if masked {
        out.extend(KEY);
    }
    out
}

/// One frame of the engine's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub first: u8,
    pub key: Option<[u8; 4]>,
    pub payload: Vec<u8>,
}

/// Splits output into frames. Panics unless it consists of whole frames with minimal lengths.
pub fn parse(mut bytes: &[u8]) -> Vec<Written> {
    let mut frames = Vec::new();
    while bytes.has_remaining() {
        let first = bytes.get_u8();
        let second = bytes.get_u8();
        let len = match second & 0x7f {
            126 => u64::from(bytes.get_u16()),
            127 => bytes.get_u64(),
            len => u64::from(len),
        };
        let short = second & 0x7f;
        assert!(short < 126 || len > 125 && (short == 126 || len > 0xffff), "{len} is not minimally encoded");
        let key = (second & 0x80 != 0).then(|| bytes.get_u32().to_be_bytes());
        let mut payload = vec![0; len as usize];
        bytes.copy_to_slice(&mut payload);
        if let Some(key) = key {
            payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
        }
        frames.push(Written { first, key, payload });
    }
    frames
}

/// An open connection, with the moment at which it began.
pub fn open(role: Role, config: Config) -> (Connection, Moment) {
    let now = Moment::from_nanos(1 << 60);
    (Connection::upgraded(now, Arc::new(config), role), now)
}

pub const CLIENT: Role = Role::Client { seed: [7; 32] };

/// Gives bytes to a connection in one read, and collects its events.
pub fn feed(connection: &mut Connection, now: Moment, bytes: &[u8]) -> Vec<Event<'static>> {
    let mut bytes = bytes.to_vec();
    let mut input = &mut bytes[..];
    let mut events = Vec::new();
    while let Some(event) = connection.handle_input(now, &mut input) {
        events.push(event.into_owned());
    }
    events.extend(poll(connection, now));
    events
}

pub fn poll(connection: &mut Connection, now: Moment) -> Vec<Event<'static>> {
    std::iter::from_fn(|| connection.poll_event(now)).collect()
}

/// Takes all output, like a socket with unlimited room.
pub fn take_output(connection: &mut Connection, now: Moment) -> Vec<u8> {
    let mut all = Vec::new();
    while connection.outbox().has_remaining() {
        let chunk = connection.outbox().chunk().to_vec();
        connection.handle_written(now, chunk.len());
        all.extend(chunk);
    }
    all
}

/// Takes up to `n` bytes of output, slice by slice.
pub fn take_some(connection: &mut Connection, now: Moment, n: usize) -> Vec<u8> {
    let mut taken = Vec::new();
    while taken.len() < n && connection.outbox().has_remaining() {
        let outbox = connection.outbox();
        let chunk = outbox.chunk();
        let step = chunk.len().min(n - taken.len());
        taken.extend_from_slice(&chunk[..step]);
        connection.handle_written(now, step);
    }
    taken
}

/// The code of the Close frame in the output, which must be the last frame. `None` if there is none.
pub fn close_code(output: &[u8]) -> Option<u16> {
    let frames = parse(output);
    let close = frames.iter().position(|frame| frame.first == FIN | CLOSE)?;
    assert_eq!(close + 1, frames.len(), "a frame after the Close");
    match frames[close].payload[..] {
        [] => Some(1005),
        [high, low, ..] => Some(u16::from_be_bytes([high, low])),
        [_] => panic!("a Close with one byte"),
    }
}

/// Ends the transport and returns the last events. The connection must then be closed.
pub fn end(connection: &mut Connection, now: Moment) -> Vec<Event<'static>> {
    take_output(connection, now);
    let _ = connection.poll_io();
    connection.handle_eof(now);
    let mut events = poll(connection, now);
    connection.handle_timeout(now + Duration::from_secs(3600));
    events.extend(poll(connection, now));
    assert_eq!(connection.poll_io(), IoAction::Drop);
    events
}
