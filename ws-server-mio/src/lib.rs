//! WebSocket and plain HTTP for native apps: one thread, inside your loop, never blocking a frame.
//!
//! ```no_run
//! use ws_server_mio::ws_proto::Event::{Message, Upgrade};
//! use ws_server_mio::{Bind, Config, Endpoint, Event, Options};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut endpoint = Endpoint::new(Options::default())?;
//!     endpoint.connections().listen(Bind::localhost().port(8700), Config::server())?;
//!     endpoint.run(|connections, event| match event {
//!         Event::Connection(id, Upgrade(upgrade)) => drop(connections.accept(id, upgrade)),
//!         Event::Connection(id, Message(message)) => drop(connections.send_message(id, message)),
//!         _ => {}
//!     })?;
//!     Ok(())
//! }
//! ```
//!
//! That is a whole echo server. The protocol is [`ws_proto`]'s, whose events the handler gets; this crate
//! moves the bytes.
//!
//! # A turn
//!
//! ```text
//!            ┌──────────────────────────── Endpoint::poll ────────────────────────────┐
//!   kernel ──▶ wait ─▶ jobs ─▶ accept ─▶ read ─▶ timers ─▶ tell what is due ─▶ write  │
//!            │                             │                      │                   │
//!            │         one rx buffer ──────┤                      │                   │
//!            │                             ▼                      ▼                   │
//!            │                   handler(&mut Connections, Event)  ◀──── yours        │
//!            └────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! - Events are lent from the receive buffer, and the handler has all [`Connections`] at hand: an echo is
//!   copied into the outbox and nowhere else.
//! - Verbs queue. Each connection that was touched is written to once, at the end of the turn; one that has
//!   much to say, already at the end of its visit.
//! - With a [`Budget`] in time, a turn ends when the time is over, and [`Turn::more`] says that work is left.
//!   What was read and not used waits in order; nothing is lost. One [`Options::ui`] turn per frame keeps a
//!   window at its rate while peers flood.
//! - A peer that does not read is not read either, past the high mark; past the cap a send is
//!   [`SendError::Full`]; and without progress for [`Config::output_timeout`] it is closed.
//! - An idle connection holds no memory on the heap, and a busy loop allocates nothing.
//!
//! # Pages beside the socket
//!
//! A request that is no upgrade is [`Request`](ws_proto::Event::Request): answer it with
//! [`Connections::respond`], now or later; in pieces, with [`Connections::respond_streaming`]; with a file of a
//! [`Folder`], with [`Connections::respond_file`]. Routes, embedded files and event streams are in
//! [`ws_proto::web`]. The example `http` has one of each.
//!
//! # The deadlock everybody meets once
//!
//! A blocking HTTP request from this thread to its own server waits for an answer that this very thread would
//! have to give. Make such requests on another thread.

mod acceptor;
mod bind;
mod client;
mod clients;
mod connecting;
mod connections;
mod data;
mod endpoint;
mod event;
mod extension;
mod fanout;
mod folder;
mod guard;
mod limits;
mod options;
mod pool;
mod remote;
mod resolver;
mod resume;
mod server;
mod servers;
mod slots;
mod socket;
mod stream;
#[cfg(test)]
mod tests_faults;
mod timers;
mod turn;
#[cfg(unix)]
mod unix;
mod urls;

pub use acceptor::Listening;
pub use bind::{Bind, ListenError};
pub use client::{ClientConfig, ClientState, ConnectError, ConnectFailure};
pub use clients::ClientId;
pub use connections::Connections;
pub use endpoint::Endpoint;
pub use event::Event;
pub use extension::{AlreadyExtended, Extension};
pub use folder::Folder;
pub use limits::Stats;
pub use options::{Budget, Options, Turn};
pub use remote::{EndpointGone, Remote};
pub use server::ServerConfig;
pub use servers::ServerId;
pub use slots::ConnectionId;

pub use bytes::Bytes;
pub use http;
pub use ws_proto;
pub use ws_proto::token::Token;
pub use ws_proto::topics::{SlowPeer, TopicError};
pub use ws_proto::{
    ClientRequest, CloseCode, Closed, Config, Frame, Heartbeat, HeartbeatKind, Message, Opcode, Pieces,
    Reconnect, Request, ResponseBody, SendError, Sent, State, Upgrade,
};

// The README's example is compiled with the others.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
