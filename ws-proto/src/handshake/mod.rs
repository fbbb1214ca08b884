//! The opening handshake (RFC 6455 §4): what a server is asked, what a client asks, and the keys that pair
//! question and answer.
//!
//! [`Request`] and [`Upgrade`] cannot be cloned and are used up by the answer, so nothing is answered twice.
//! Keep one to answer later. One that is dropped is answered 503 by the connection.

mod answer;
pub(crate) mod check;
mod client;
mod debug;
mod key;
pub(crate) mod refuse;
mod request;
#[cfg(test)]
mod tests_debug;
mod upgrade;

pub use crate::access::authority::Zone;
pub use answer::{Answer, Opening, Refusal, answer, answer_over};
pub use client::{ClientRequest, InvalidRequest};
pub use key::{accept_key, is_valid_key, key, verify};
pub use refuse::upgrade_required;
pub use request::Request;
pub(crate) use request::Token;
pub use upgrade::Upgrade;

use ::http::{Response, header};

/// The subprotocol that was agreed on (§1.9), if one was: of the 101 that [`Event::Open`](crate::Event::Open) has.
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
