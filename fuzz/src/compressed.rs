//! `deflate`: two ends with any terms exchange compressed messages, and arbitrary bytes arrive as such; `extensions`:
//! arbitrary `Sec-WebSocket-Extensions`, offered and answered.
//!
//! ```text
//!   deflate      which (1) | the decisions of the engine's own deflate test …
//!   extensions   settings (2) | fields, one per line …
//! ```

use crate::input::Input;
use crate::seen::Seen;
use http::HeaderMap;
use http::header::{HeaderValue, SEC_WEBSOCKET_EXTENSIONS};
use ws_kit::deflate::from_bytes;
use ws_proto::Deflate;

/// Compressed messages: one end receives what the other sent, and no bytes cost more than they may.
/// The engine's own tests run the same over random bytes.
pub fn deflate(data: &[u8]) -> Seen {
    match data.split_first() {
        Some((which, rest)) if which & 1 == 0 => from_bytes::exchange(rest),
        Some((_, rest)) => from_bytes::garbage(rest),
        None => {}
    }
    Seen::default()
}

/// Every offer gets an answer that respects the settings, or none; every answer is accepted or rejected.
pub fn extensions(data: &[u8]) -> Seen {
    let mut input = Input::new(data);
    let (ours, theirs) = (input.byte(), input.byte());
    let deflate = Deflate::new()
        .window_bits(ours & 15)
        .peer_window_bits(theirs & 15)
        .context_takeover(ours & 16 != 0)
        .peer_context_takeover(theirs & 16 != 0);
    let mut fields = HeaderMap::new();
    for line in input.rest().split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            fields.append(SEC_WEBSOCKET_EXTENSIONS, value);
        }
    }
    if let Some((terms, answer)) = deflate.accept(&fields) {
        assert!((9..=(ours & 15).max(9)).contains(&terms.ours.window_bits), "{terms:?}");
        assert!((8..=(theirs & 15).max(8)).contains(&terms.theirs.window_bits), "{terms:?}");
        assert!(ours & 16 != 0 || !terms.ours.context_takeover, "{terms:?}");
        assert!(theirs & 16 != 0 || !terms.theirs.context_takeover, "{terms:?}");
        assert!(answer.as_bytes().starts_with(b"permessage-deflate"), "{answer:?}");
    }
    if let Ok(Some(terms)) = deflate.agree(&fields) {
        assert!(terms.ours.window_bits <= (ours & 15).max(9), "{terms:?}");
        assert!(ours & 16 != 0 || !terms.ours.context_takeover, "{terms:?}");
    }
    Seen::default()
}
