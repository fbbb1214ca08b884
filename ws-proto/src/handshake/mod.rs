//! The opening handshake (RFC 6455 §4): what a server is asked, what a client asks, and the keys that pair
//! question and answer.
//!
//! [`Request`] and [`Upgrade`] cannot be cloned and are used up by the answer, so nothing is answered twice.
//! Keep one to answer later. One that is dropped is answered 503 by the connection.

pub(crate) mod access;
mod client;
mod debug;
pub(crate) mod extensions;
mod key;
mod request;
#[cfg(test)]
mod tests_debug;
mod upgrade;

pub use crate::handshake::access::authority::Zone;
pub use crate::http1::{Answer, Opening, Refusal, answer, answer_over};
pub use client::{ClientRequest, InvalidRequest};
pub use key::{accept_key, is_valid_key, key, verify};
pub use request::Request;
pub(crate) use request::Token;
pub use upgrade::Upgrade;

use ::http::header::{self, HeaderValue};
use ::http::{Response, StatusCode};
use bytes::Bytes;

/// An answer for a plain request where only a WebSocket is served: 426, saying how to ask (RFC 9110
/// §15.5.22).
pub fn upgrade_required() -> Response<Bytes> {
    let mut response =
        Response::new(Bytes::from_static(b"this is a WebSocket; connect with ws:// or wss://\n"));
    *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

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
