//! HTTP/1.1 around the WebSocket (RFC 9112): strict in what it accepts, since request smuggling exploits two readers
//! that disagree on where a message ends.
//!
//! ```text
//!  head.rs      bytes → lines → header fields; each byte is examined once
//!  body.rs      bodies by length, in chunks, until the end
//!  answer.rs    a request that waits for its answer
//!  stream.rs    a streaming response
//!  streaming.rs a streaming request
//!  response.rs  responses → bytes
//!  server.rs    the server's states: keep-alive, pipelining, deadlines
//!  reading.rs   what is being read
//!  transport.rs what the owner of the socket learns of the client
//!  deadlines.rs the deadlines
//!  preflight.rs preflights of CORS
//!  ahead.rs     what is read during an answer without a length, and the end of the peer's stream
//!  stopping.rs  the server's last answers
//!  answering.rs the application's answers, and the order of the output
//!  client.rs    the client's request and the server's answer
//!  tunnel.rs    a proxy's answer to CONNECT
//! ```

mod ahead;
mod answer;
mod answering;
mod body;
mod client;
mod deadlines;
mod head;
mod preflight;
mod reading;
mod response;
mod server;
mod stopping;
mod stream;
mod streaming;
mod transport;
pub(crate) mod tunnel;

#[cfg(test)]
mod tests_ahead;
#[cfg(test)]
mod tests_body_rate;
#[cfg(test)]
mod tests_cors;
#[cfg(test)]
mod tests_cuts;
#[cfg(test)]
#[cfg(feature = "deflate")]
mod tests_deflate;
#[cfg(test)]
mod tests_elsewhere;
#[cfg(test)]
mod tests_endings;
#[cfg(test)]
mod tests_forwarded;
#[cfg(test)]
mod tests_go_away;
#[cfg(test)]
mod tests_grammar;
#[cfg(test)]
mod tests_handshake;
#[cfg(test)]
mod tests_head_rule;
#[cfg(test)]
mod tests_heads;
#[cfg(test)]
mod tests_preflight;
#[cfg(test)]
mod tests_server;
#[cfg(test)]
mod tests_stream;
#[cfg(test)]
mod tests_streaming;
#[cfg(test)]
mod tests_streaming_ends;
#[cfg(test)]
mod tests_turns;

use crate::config::Config;
use crate::deflate::Terms;
use crate::moment::Moment;
use crate::outbox::Outbox;
use ::http::Response;

pub(crate) use client::ClientHttp;
pub(crate) use server::{Incoming, ServerHttp};
pub use stream::ResponseBody;

/// The parts of a server's connection that HTTP borrows for a call.
pub(crate) struct Io<'a> {
    pub(crate) now: Moment,
    pub(crate) config: &'a Config,
    pub(crate) out: &'a mut Outbox,
}

/// The 101, and the agreed terms.
pub(crate) type Opened = (Response<()>, Option<Terms>);
