//! HTTP/1.1 around the WebSocket (RFC 9112): strict in what it takes, since two readers that disagree about
//! where a message ends are how requests get smuggled.
//!
//! ```text
//!  head.rs      bytes → lines → header fields; each byte is looked at once
//!  request.rs   request line, Host, Origin, framing, handshake: all checks of a request
//!  body.rs      bodies by length, in chunks, until the end
//!  answer.rs    a request that waits for its answer
//!  response.rs  responses → bytes
//!  server.rs    the server's states: keep-alive, pipelining, deadlines
//!  client.rs    the client's request and the server's answer
//! ```

mod answer;
mod body;
mod client;
mod head;
mod request;
mod response;
mod server;

#[cfg(test)]
mod tests_cuts;
#[cfg(test)]
mod tests_grammar;
#[cfg(test)]
mod tests_handshake;
#[cfg(test)]
mod tests_server;

pub(crate) use client::ClientHttp;
pub(crate) use server::{Incoming, ServerHttp};

use ::http::HeaderMap;
use ::http::header::{self, HeaderName};

/// `token` (RFC 9110 §5.6.2).
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

/// The elements of a list over all its lines, without the empty ones (RFC 9110 §5.6.1).
pub(crate) fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|element| element.trim_matches([' ', '\t']))
        .filter(|element| !element.is_empty())
}

/// Whether a list has this element, whatever its case.
fn has_element(headers: &HeaderMap, name: &HeaderName, element: &str) -> bool {
    list(headers, name).any(|e| e.eq_ignore_ascii_case(element))
}

/// The one value of a field; `Err` where the field is repeated.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, ()> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    if values.next().is_some() { Err(()) } else { Ok(value.map(|value| value.as_bytes())) }
}

/// Fields that speak about the connection or make the handshake, which the engine alone writes.
pub(crate) fn is_connection_header(name: &HeaderName) -> bool {
    [header::CONNECTION, header::UPGRADE, header::TRANSFER_ENCODING, header::TE, header::TRAILER]
        .contains(name)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
        || name.as_str().starts_with("sec-websocket-")
}
