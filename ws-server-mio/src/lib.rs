//! WebSocket and plain HTTP for native apps: one thread, inside your loop, never blocking a frame.
//!
//! ```no_run
//! use ws_server_mio::{Bind, Endpoint, Event, ServerConfig};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut endpoint = Endpoint::new()?;
//!     endpoint.connections().listen(Bind::localhost().port(8700), ServerConfig::new())?;
//!     Ok(endpoint.run(|connections, event| match event {
//!         Event::Message(id, message) => drop(connections.send(id, message)),
//!         _ => {}
//!     })?)
//! }
//! ```
//!
//! That is a complete echo server. It accepts every valid upgrade, on every path or on those that
//! [`ServerConfig::upgrade_paths`] names; with [`ServerConfig::decide_upgrades`] the application decides. A page and
//! its socket:
//!
//! ```no_run
//! use ws_server_mio::{Bind, Endpoint, Event, ServerConfig, web};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut endpoint = Endpoint::new()?;
//!     let config = ServerConfig::new().upgrade_paths(["/ws"]);
//!     endpoint.connections().listen(Bind::localhost().port(8700), config)?;
//!     Ok(endpoint.run(|connections, event| match event {
//!         Event::Request(id, request) if request.path() == "/" => {
//!             drop(connections.respond(id, request, web::html("<h1>hello</h1>")));
//!         }
//!         Event::Message(id, message) => drop(connections.send(id, message)),
//!         _ => {} // other requests get 404, or 426 on the path of the socket
//!     })?)
//! }
//! ```
//!
//! # In your app
//!
//! You keep your loop; it calls [`Endpoint::poll`] instead of `run`, with [`Options::ui`]:
//!
//! | your loop | calls `endpoint.poll(Some(Duration::ZERO), …)` |
//! |---|---|
//! | draws all the time (games) | once a frame; or [`Endpoint::poll_until`] the next one |
//! | polls descriptors (GTK, calloop, Qt on unix) | when the endpoint's is readable, and at [`Endpoint::next_timeout`] |
//! | anything else (winit, egui, Win32, Slint, Tauri) | when [`Endpoint::watch`] wakes it |
//!
//! The guide [`embedding`] has a sketch for each toolkit, its pitfalls, and troubleshooting.
//!
//! # A turn
//!
//! ```text
//!            ┌──────────────────────────── Endpoint::poll ────────────────────────────┐
//!   kernel ──▶ wait ─▶ jobs ─▶ accept ─▶ read ─▶ timers ─▶ emit what is due ─▶ write  │
//!            │                             │                      │                   │
//!            │         one rx buffer ──────┤                      │                   │
//!            │                             ▼                      ▼                   │
//!            │                   handler(&mut Connections, Event)  ◀──── yours        │
//!            └────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! - Events borrow from the receive buffer, and the handler has access to all [`Connections`]: an echo is
//!   copied into the outbox and nowhere else.
//! - Methods of [`Connections`] queue output. The turn writes once to each connection that has some, at its end, or, if
//!   there is much of it, at the end of the visit to that connection.
//! - With a [time budget](Budget::time), a turn ends when the time is over, and [`Turn::more`] says that work is left.
//!   Bytes that were read and not processed wait in order; nothing is lost. One [`Options::ui`] turn per frame keeps a
//!   window at its frame rate while peers flood.
//! - Past the high mark a send returns [`Sent::Congested`], past the cap [`SendError::Full`], and
//!   [`Drained`](Event::Drained) reports that there is room again. Meanwhile the peer is still read; only input that
//!   makes the outbox grow beyond half the cap is throttled. A peer that reads too slowly for
//!   [`ServerConfig::output_timeout`] is closed.
//! - [`Connections::pause`] stops reading one connection, and [`Connections::couple`] reads only what the partner can
//!   send.
//! - An idle connection holds no memory on the heap, and a busy loop allocates nothing. On Windows, mio itself holds
//!   about 400 bytes for each socket.
//!
//! # Plain HTTP
//!
//! A request without an upgrade is [`Event::Request`]; a dropped request gets 404, or 426 on a path that accepts
//! upgrades. Answer it with [`Connections::respond`], now or later; with a streaming response,
//! [`Connections::respond_streaming`]; with a file of a [`Folder`], [`Connections::respond_file`]. Routes, embedded
//! files and event streams are in [`web`]. The example `http` has one of each.
//!
//! On the paths of [`ServerConfig::stream_bodies`], the body of a request follows as it arrives, of any size:
//! [`Event::Body`]. The example `drop` receives files so, and sends them.
//!
//! # Compression
//!
//! [`ServerConfig::deflate`] and [`ClientConfig::deflate`] compress messages with every peer that agrees; a broadcast
//! is compressed once. The module [`deflate`] explains the settings and what they cost.
//!
//! # Clients
//!
//! [`Connections::connect`] creates a client on the same endpoint and the same thread. It never blocks and reports its
//! outcome as events; a [`Reconnect`] policy connects again.
//!
//! ```no_run
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut endpoint = ws_server_mio::Endpoint::new()?;
//!     endpoint.connections().connect("ws://127.0.0.1:8700/", Default::default())?;
//!     Ok(endpoint.run(|connections, event| match event {
//!         ws_server_mio::Event::Open(id, _) => drop(connections.send(id, "hello")),
//!         event => println!("{event:?}"),
//!     })?)
//! }
//! ```
//!
//! # Timers
//!
//! [`Connections::after`] runs a closure once, later, with access to all connections. It runs within the budget of its
//! turn.
//!
//! # Threads
//!
//! Handlers, protocol and sockets run on the thread that calls [`Endpoint::poll`]. The endpoint spawns no thread unless
//! you opt in: [`Endpoint::watch`] spawns one that waits, and [`Options::resolve_names`] one for each name lookup, 8 at
//! most.
//!
//! # The deadlock everyone hits once
//!
//! A blocking HTTP request from this thread to its own server waits for a response that only this thread can
//! send. Make such requests on another thread. The symptoms, variants and workarounds are in
//! [`embedding`].
//!
//! # Names
//!
//! What this crate re-exports is documented where it is defined: its examples name `ws_host` or `ws_proto`. Write
//! `ws_server_mio` instead, as in `use ws_server_mio::{Bind, ServerConfig}`.
//!
//! # TLS
//!
//! With the feature `tls`, servers and clients speak `wss://` and `https://`, in TLS 1.3 and 1.2:
//!
#![cfg_attr(feature = "tls", doc = "```no_run")]
#![cfg_attr(not(feature = "tls"), doc = "```ignore")]
//! use ws_server_mio::tls::{TlsClient, TlsServer};
//! use ws_server_mio::{Bind, ClientConfig, Endpoint, ServerConfig};
//!
//! let mut endpoint = Endpoint::new()?;
//! let server = ServerConfig::new().tls(TlsServer::from_files("chain.pem", "key.pem")?);
//! endpoint.connections().listen(Bind::lan().port(8700), server)?;
//! let client = ClientConfig::new().tls(TlsClient::system().add_roots(std::fs::read("company.pem")?)?);
//! endpoint.connections().connect("wss://app.example/live", client)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A client trusts the roots of the system, which are read once for the process: with [`Options::resolve_names`] on a
//! lookup thread, otherwise on the thread of the loop, when the first such client connects. To read them before the loop,
//! call `TlsClient::prepare`. A handshake takes a few tenths of a millisecond with a P-256 key, and
//! [`Budget::handshakes`] limits how many are answered in a turn. Most errors name the remedy: `ConnectError::Tls` before
//! a connection is open, [`Error::Tls`] in its `Closed`.
//!
//! # Features
//!
//! | feature | by default | what |
//! |---|---|---|
//! | `deflate` | yes | permessage-deflate (RFC 7692), off until a configuration asks for it; brings `zlib-rs` |
//! | `tls` | no | `wss://` and `https://`: rustls with ring, which needs a C compiler |
//! | `tls-self-signed` | no | `tls`, with certificates for this machine and its network from a local CA |
//! | `tls-aws-lc-rs` | no | rustls with AWS-LC in place of ring, or beside it |
//! | `tls-no-provider` | no | rustls with a crypto provider that the application passes |
#![cfg_attr(docsrs, feature(doc_cfg))] // which feature and system an item needs

// Each layer depends only on the layers below it, except that an extension receives the connections that hold it:
//
//   endpoint: turns, and waiting              inspect
//   the methods: connection::*, client::*, server::*, topics
//   connection: the state of all  ⇄  extension
//   the state of each: connection::slots and lists, client::list, server::list, fanout, files
//   sys: waiting, sockets, names              ids, event

mod after;
mod all;
mod broadcast;
mod client;
mod connection;
mod endpoint;
mod event;
mod extension;
mod fanout;
mod files;
mod ids;
#[doc(hidden)]
pub mod inspect;
mod server;
#[doc(hidden)]
pub mod sys;
mod timers;
mod topics;

pub use all::All;
pub use client::handle::ClientHandle;
pub use connection::Connections;
pub use connection::couple::{CoupleError, Leg};
pub use connection::negotiated::Negotiated;
pub use endpoint::Endpoint;
pub use endpoint::options::{Budget, Options, Turn};
pub use endpoint::remote::{EndpointGone, Remote};
pub use endpoint::watch::Watch;
pub use event::Event;
pub use extension::{AlreadyExtended, Extension};
pub use files::Folder;
pub use ids::{ClientId, ConnectionId, ServerId};
pub use server::handle::ServerHandle;
pub use timers::{Timer, TooManyTimers};
pub use topics::Topics;

pub use bytes::Bytes;
pub use http;
pub use ws_host::client::{ClientConfig, ClientState, ConnectError, ConnectStep, InvalidTarget, Reconnect};
pub use ws_host::listen::{Bind, ListenError, Listener};
pub use ws_host::proxy::{InvalidProxy, Proxy};
pub use ws_host::server::{InvalidConfig, ServerConfig, Stats, Stop};
#[cfg(feature = "tls-no-provider")]
#[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
pub use ws_host::tls;
pub use ws_host::token::{Token, TokenId, Tokens};
pub use ws_host::topics::{SlowPeer, TopicError};
pub use ws_host::trusted_proxy::{InvalidTrust, Via};
pub use ws_host::web;
pub use ws_proto::handshake;
pub use ws_proto::{
    Access, CertificateFault, ClientRequest, CloseCode, Closed, Config, Cors, Delivery, Error, Forwarded,
    Fragment, Frame, HeadRule, Heartbeat, HeartbeatKind, Initiator, InvalidAccess, InvalidRequest, Memory,
    Message, NameMismatch, Opcode, Outgoing, Pong, ProtocolError, ProxyError, ProxyHeaderError, Redirect,
    RedirectError, Redirects, Request, RequestBody, RequestError, RequestHead, RespondError, ResponseBody,
    ResponseError, SendError, Sent, SocksReply, State, Timeout, TlsAlert, TlsError, TlsInfo, TlsVersion,
    Transport, Upgrade, WallClock,
};
#[cfg(feature = "deflate")]
pub use ws_proto::{Deflate, deflate};

#[doc = include_str!("../docs/embedding.md")]
///
/// The names above: [`Endpoint`], [`Options`], [`Budget`], [`Turn`], [`Connections`], [`Remote`], [`Watch`], [`Event`],
/// [`Bind`], [`ListenError`], [`ServerConfig`], [`Heartbeat`], [`Folder`].
pub mod embedding {}

// The README's programs are compiled with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
