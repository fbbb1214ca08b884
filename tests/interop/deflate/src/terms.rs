//! Parses terms.

use crate::Failure;
use std::time::Duration;
use ws_server_mio::Deflate;

/// The role that the settings are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Server,
    Client,
}

/// Returns the settings for terms in the syntax of `Sec-WebSocket-Extensions`: `server_max_window_bits=9;
/// client_no_context_takeover`. In addition, `release` frees contexts as soon as a connection is idle.
///
/// # Errors
/// An unknown term.
pub fn deflate(side: Side, terms: &str) -> Result<Deflate, Failure> {
    // Everything is compressed, however short, and without a rate limit.
    let mut deflate = Deflate::new().threshold(1).inflate_rate(None);
    for term in terms.split(';').map(str::trim).filter(|term| !term.is_empty()) {
        let (name, value) = term.split_once('=').unwrap_or((term, "15"));
        if term == "release" {
            deflate = deflate.release_after(Duration::from_millis(1));
            continue;
        }
        let (owner, name) = name.split_once('_').ok_or("a term names a side")?;
        let is_ours = owner == if side == Side::Server { "server" } else { "client" };
        deflate = match (name, is_ours) {
            ("no_context_takeover", true) => deflate.context_takeover(false),
            ("no_context_takeover", false) => deflate.peer_context_takeover(false),
            ("max_window_bits", true) => deflate.window_bits(value.parse()?),
            ("max_window_bits", false) => deflate.peer_window_bits(value.parse()?),
            _ => return Err(format!("unknown term {term}").into()),
        };
    }
    Ok(deflate)
}
