//! The opening handshake (RFC 6455 §4): the requests of servers and clients, and the keys that pair request and
//! response.
//!
//! [`Request`] and [`Upgrade`] cannot be cloned and the answer consumes them, so nothing is answered twice. Keep one to
//! answer later. The connection answers a dropped one with 503.

mod answer;
pub(crate) mod check;
mod client;
mod debug;
mod follow;
mod key;
pub(crate) mod redirect;
pub(crate) mod reject;
mod request;
#[cfg(test)]
mod tests_debug;
mod upgrade;

pub use crate::access::authority::Zone;
pub use answer::{Answer, Opening, Rejection, answer, answer_over};
pub use client::{ClientRequest, InvalidRequest};
pub use key::{accept_key, is_valid_key, key, verify};
pub use redirect::{Redirect, RedirectError, Redirects};
pub use reject::upgrade_required;
pub use request::Request;
pub(crate) use request::Token;
pub use upgrade::Upgrade;

use ::http::{Response, header};

/// The agreed subprotocol (§1.9), if any, from the 101 of [`Event::Open`](crate::Event::Open).
///
/// ```
/// use ws_proto::handshake::subprotocol;
///
/// let response = http::Response::builder().header("Sec-WebSocket-Protocol", "chat.v2").body(())?;
/// assert_eq!(subprotocol(&response), Some("chat.v2"));
/// assert_eq!(subprotocol(&http::Response::new(())), None);
/// # Ok::<(), http::Error>(())
/// ```
pub fn subprotocol<B>(response: &Response<B>) -> Option<&str> {
    response.headers().get(header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()
}
