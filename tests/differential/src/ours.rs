//! How `ws-proto` reads a stream of bytes, cut anywhere.

use crate::rng::Rng;
use crate::{MESSAGE_LIMIT, Outcome, Role};
use bytes::Buf;
use std::error::Error;
use std::sync::Arc;
use ws_proto::{Config, Connection, Event, ProtocolError};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ours {
    pub(crate) outcome: Outcome,
    /// The fault of the stream.
    pub(crate) error: Option<ProtocolError>,
}

pub(crate) fn read(role: Role, bytes: &[u8], rng: &mut Rng) -> Result<Ours, Box<dyn Error>> {
    let now = ws_proto::Moment::default();
    let (config, role) = match role {
        Role::Server => (Config::server(), ws_proto::Role::Server),
        Role::Client => (Config::client(), ws_proto::Role::Client { seed: [1; 32] }),
    };
    let config = config.message_limit(MESSAGE_LIMIT as u64).frame_rate(None);
    let mut connection = Connection::upgraded(now, Arc::new(config), role);
    let mut output = Vec::new();
    let mut messages = Vec::new();
    let mut bytes = bytes.to_vec();
    let mut rest = &mut bytes[..];
    let most = rng.pick(&[1, 3, 20, 1000, usize::MAX]);
    while !rest.is_empty() {
        let n = 1 + rng.below(most.min(rest.len()));
        let (mut input, after) = rest.split_at_mut(n);
        while let Some(event) = connection.handle_input(now, &mut input) {
            match event {
                Event::Message(message) => messages.push((message.is_text(), message.as_bytes().to_vec())),
                event => return Err(format!("unexpected event {event:?}").into()),
            }
        }
        rest = after;
        while connection.outbox().has_remaining() {
            let chunk = connection.outbox().chunk().to_vec();
            connection.handle_written(now, chunk.len());
            output.extend(chunk);
        }
    }
    connection.abort(now, ws_proto::Error::Aborted);
    let Some(Event::Closed(closed)) = connection.poll_event(now) else {
        return Err("the close was not reported".into());
    };
    let error = match &closed.error {
        Some(ws_proto::Error::Protocol(error)) => Some(*error),
        _ => None,
    };
    let (pongs, close) = sent(&output);
    if close != closed.sent.map(|code| code.get()) {
        return Err(format!("{closed}, and on the wire {close:?}").into());
    }
    Ok(Ours { outcome: Outcome { messages, pongs, close }, error })
}

/// Returns the pongs in an output, and the code of its Close.
pub(crate) fn sent(mut output: &[u8]) -> (Vec<Vec<u8>>, Option<u16>) {
    let mut pongs = Vec::new();
    while output.has_remaining() {
        let (first, second) = (output.get_u8(), output.get_u8());
        let key = if second & 0x80 != 0 { output.get_u32().to_be_bytes() } else { [0; 4] };
        let payload = output.copy_to_bytes(usize::from(second & 0x7f));
        let payload = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key);
        let payload: Vec<u8> = payload.collect();
        match (first, &payload[..]) {
            (0x8a, _) => pongs.push(payload),
            (0x88, [high, low, ..]) => return (pongs, Some(u16::from_be_bytes([*high, *low]))),
            _ => return (pongs, Some(1005)),
        }
    }
    (pongs, None)
}
