#![doc = include_str!("../README.md")]
//!
//! `ws-proto` implements the protocol; this crate does the I/O.
//!
//! # Overview
//!
//! ```text
//!   Server ──accept──▶ HttpConnection ──upgrade──▶ WebSocket ◀── connect, Client
//!   (a listener)       (HTTP requests)             (messages, frames)
//!      │                   ▲ Responder                 ▲ Sender
//!      └────── by id: send, close, broadcast, topics, stop ──────┘   from any task and thread
//! ```
//!
//! Polling a connection drives it: [`HttpConnection::next`] and [`WebSocket::next`] read, answer pings, keep
//! deadlines and the heartbeat, and write what any task has queued. Nothing is spawned, and nothing happens without
//! polling: a handler that must also wait for something else (a database, say) does so in a separate task with a
//! [`Sender`], and goes on polling `next`. Output queued by [`Sender`], [`Responder`] and the methods of [`Server`]
//! wakes the task that waits in `next`, which writes it.
//!
//! | | where connections run | handlers | use it for |
//! |---|---|---|---|
//! | [`Server::serve`] | in its one future | may borrow from the caller, need not be `Send` or `'static` | one thread; state in a `RefCell` or `Cell` |
//! | [`Server::accept`] | in tasks that you spawn | as your executor requires | cancelling single tasks; several threads; [`UiDriver::ticking`] |
//!
//! A handler calls [`HttpConnection::upgrade`], or [`upgrade_or`](HttpConnection::upgrade_or) with responses to plain
//! requests, or decides about each request and each upgrade itself, with [`next`](HttpConnection::next).
//!
//! Your own data for a connection are local variables of the code that handles it, so there is no `set_data` as in
//! `ws-server-mio`, where one handler serves all connections. Keep what other tasks need in a map by [`ConnectionId`],
//! which is never reused.
//!
//! # Names
//!
//! The adapters use the same names for the same things: `id`, `peer_addr`, `local_addr`, `terminate`, `stats`,
//! `topics`, `couple`. They differ where the design does: `ws-server-mio` calls this crate's [`Server`] `ServerHandle`,
//! so [`Server::local_addr`] is the server's address and [`Server::local_addr_of`] a connection's; its events
//! `AcceptFailed` and `Stopping` are hooks here, [`Server::on_accept_failed`] and [`Server::before_stop`], since no
//! task needs to wait for a server's events. [`Server::set_config`] takes effect at the next
//! [`listen`](Server::listen), which checks it; there it takes effect at the next accepted connection, and returns
//! `InvalidConfig`. [`Client::connect`] is `ClientHandle::reconnect` there, [`ClientEvent::Connected`] is `Open`, and
//! the `compression()` and `tls()` of a [`WebSocket`] are in `negotiated(id)`.
//!
//! What this crate re-exports is documented where it is defined: its examples name `ws_host` or `ws_proto`. Write
//! `ws_server_smol` instead, as in `use ws_server_smol::{Bind, ServerConfig}`.
//!
//! # Uploads
//!
//! On the paths of [`ServerConfig::stream_bodies`], a request comes before its body, which [`HttpConnection::body`] reads
//! as it arrives, of any size. The example `async_drop` receives files so, and sends them.
//!
//! # Closing
//!
//! [`WebSocket::next`] returns `None` after an ordinary end: the peer closed with 1000, with 1001 or without a code, or
//! answered our Close. Any other end is one error, the [`Closed`] that explains it: another code (1008, 1012, 4000), or
//! no closing handshake. [`next_event`](WebSocket::next_event) emits the end as an event in either case, once and last.
//! An [`Extension`] sees the end first, even if the handler has dropped the WebSocket.
//!
//! A dropped WebSocket sends 1001 to the peer, if that is possible without waiting; [`WebSocket::close`] does a full
//! closing handshake. [`Server::stop`] closes all connections with 1001 and waits until all are gone or its deadline
//! passes; [`Server::stop_with`] sets code and reason, and spreads the Closes over time, so that a thousand clients do
//! not reconnect within one second.
//!
//! An expired deadline takes effect after one more read and one more write: a task that was not polled for a while does
//! not declare a peer dead whose Pong is already in the kernel, and a stop without any grace still sends its Close.
//! After the machine has slept, every open WebSocket with a heartbeat sends one Ping.
//!
//! # Cancellation
//!
//! Every method is cancel-safe. Between two polls each byte is in the kernel, in the engine or in the connection, so
//! you may drop a future at any await (on a timeout, or as the loser of a race), and a later call continues from there.
//! Two caveats: what [`WebSocket::send`] and [`HttpConnection::respond`] have queued when they are dropped stays
//! queued; and [`HttpConnection::accept`] owns the connection, which is dropped with it.
//!
//! Any timer will do: your runtime's, or that of [`async-io`](https://docs.rs/async-io), which this crate uses itself.
//!
//! ```
//! use async_io::Timer;
//! use futures_lite::future;
//! use std::error::Error;
//! use std::time::Duration;
//! use ws_server_smol::{Message, WebSocket};
//!
//! /// If it is late, the message is not lost: the next call returns it.
//! async fn next_within(time: Duration, ws: &mut WebSocket) -> Result<Option<Message<'static>>, Box<dyn Error>> {
//!     let message = async { Ok(ws.next().await.transpose()?) };
//!     let late = async {
//!         Timer::after(time).await;
//!         Err("no message in time".into())
//!     };
//!     future::or(message, late).await
//! }
//! ```
//!
//! # Fairness
//!
//! A busy connection yields after 64 KiB or half a millisecond, between any two messages; accepting yields after
//! sixteen connections. A handler that computes for longer holds up its thread meanwhile.
//!
//! # Flow control
//!
//! Pending output for a slow peer does not stop the crate from reading it. Below half of [the
//! cap](ServerConfig::outbox) it never does; above, an event whose handler queued more delays the next one, until the
//! peer has taken as much, or for 100 ms, and longer while it takes nothing. Past the cap a send fails with
//! [`SendError::Full`], and [`Event::Drained`] says when to continue; [`Sender::send`] waits for that automatically,
//! from the high mark on. A peer that takes too little for [`ServerConfig::output_timeout`] is closed.
//! [`pause`](Sender::pause) and [`resume`](Sender::resume) control reading by hand, and [`couple`] relays between two
//! WebSockets, reading each only while the other accepts output.
//!
//! # Compression
//!
//! [`ServerConfig::deflate`] and [`ClientConfig::deflate`] compress messages with every peer that agrees; a broadcast
//! is compressed once. The module [`deflate`] documents the settings and their costs.
//!
//! # Threads
//!
//! Handlers, protocol and sockets stay on the threads that poll: on one thread, if you use one. Additional threads are
//!
//! - `async-io`, the helper thread of that crate, from the first socket or timer to the end of the process. It waits
//!   for the kernel while no thread is in `block_on`, and wakes tasks; it runs none.
//! - `blocking-…`, threads of that crate, for blocking calls: [`connect`] and [`Client`] look up names there, at most 8
//!   at a time, except addresses and `localhost`, and read the roots of the system for `wss://`; a [`Folder`] opens and
//!   reads its files there. They start with the first such call, and exit when idle.
//!
//! There are no others. If that is one too many, `ws-server-mio` spawns no thread unless you opt in.
//!
//! # In a window
//!
//! [`UiDriver`] runs futures inside an existing event loop: turns of a millisecond, and one notification for many
//! wake-ups. Do not pass an executor's `run` to the loop's own executor: it runs as long as there is work, and a flood
//! leaves no time to draw.
//!
//! # Other streams, other runtimes
//!
//! [`HttpConnection::new`], [`handshake()`] and [`WebSocket::upgraded`] take any `futures-io` stream: TLS, a pipe,
//! another runtime's socket through its adapter. Any executor will do; `async-io`'s thread drives the deadlines.
//! Closing a stream should shut down its write half, as [`Socket`] does and `Async<TcpStream>` does not.
//!
//! On unix, [`Bind::unix`] listens on a Unix socket, whose file exists as long as the server listens, and
//! [`ClientConfig::unix`] connects to one:
//!
//! ```
//! # #[cfg(unix)]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use ws_server_smol::{Bind, ClientConfig, Server, ServerConfig, block_on, connect};
//!
//! # let path = std::env::temp_dir().join(format!("ws-server-smol-doc-{}.sock", std::process::id()));
//! let server = Server::bind(Bind::unix(&path), ServerConfig::new())?;
//! let to = ClientConfig::new().unix(&path);
//! # let client = async { drop(connect("ws://localhost/", to).await) };
//! # let serving = server.serve(async |mut http| drop(http.next().await));
//! # block_on(futures_lite::future::or(serving, client));
//! # Ok(())
//! # }
//! # #[cfg(not(unix))]
//! # fn main() {}
//! ```
//!
//! # Deadlocks to avoid
//!
//! - A **blocking** request to your own server, from the thread that serves it, waits for a response that only this
//!   thread can send. Use [`connect`], or another thread. For the same reason, do not call `block_on` in a handler.
//! - [`Server::stop`] awaited **in a handler** waits for that handler's own connection, up to the deadline. Stop the
//!   server from another task; under [`Server::serve`], from a future beside it.
//! - If both ends wait in [`WebSocket::send`] and read nothing meanwhile, they deadlock once all buffers are full; the
//!   output deadline ends that, and [`Closed::reading_paused`] says why. Queue with [`WebSocket::try_send`] and keep
//!   reading, or send with a [`Sender`], which never waits for its own task: if no task polls the connection and no
//!   room becomes free, it fails with [`SendError::NotPolled`].
//! - A `RefCell` borrowed across an await is still borrowed when the next handler runs.
//!
//! # TLS
//!
//! With the feature `tls`, servers and clients speak `wss://` and `https://`, in TLS 1.3 and 1.2:
//!
#![cfg_attr(feature = "tls", doc = "```no_run")]
#![cfg_attr(not(feature = "tls"), doc = "```ignore")]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use ws_server_smol::tls::{TlsClient, TlsServer};
//! use ws_server_smol::{Bind, ClientConfig, Server, ServerConfig, connect};
//!
//! let config = ServerConfig::new().tls(TlsServer::from_files("chain.pem", "key.pem")?);
//! let server = Server::bind(Bind::lan().port(8700), config)?;
//! let config = ClientConfig::new().tls(TlsClient::system().add_roots(std::fs::read("company.pem")?)?);
//! let ws = connect("wss://app.example/live", config).await?;
//! # Ok(())
//! # }
//! ```
//!
//! A client trusts the roots of the system, which are read once for the process, on a thread of `blocking`. A server's
//! handshake runs in the task of its connection. Most errors name the remedy: `ConnectError::Tls` before a connection is
//! open, [`Error::Tls`] in its `Closed`.
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

mod client;
mod clock;
mod connection;
mod driver;
mod error;
mod extension;
mod files;
mod gate;
mod handles;
mod ids;
mod serve;
mod server;
#[doc(hidden)]
pub mod sys;
mod ui;

pub use async_io::block_on;
pub use bytes::Bytes;
pub use client::connect::{connect, handshake};
#[doc(hidden)]
pub use client::connect::{connect_over_fake, connect_with_names};
pub use client::{Client, ClientEvent};
pub use connection::body::BodyReader;
pub use connection::couple::couple;
pub use connection::http::{HttpConnection, Incoming};
pub use connection::websocket::WebSocket;
pub use error::WebSocketError;
pub use extension::{AlreadyExtended, Extension};
pub use files::Folder;
pub use handles::responder::{Body, Responder};
pub use handles::sender::Sender;
pub use http;
pub use ids::ConnectionId;
pub use server::Server;
pub use server::topics::Topics;
#[doc(hidden)]
pub use server::{listen_on_fakes, server_with_clocks};
pub use sys::socket::Socket;
pub use ui::{Turn, UiDriver};
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
    Access, CertificateFault, ClientRequest, CloseCode, Closed, Config, Cors, Delivery, Error, Event,
    Forwarded, Fragment, Frame, HeadRule, Heartbeat, HeartbeatKind, Initiator, InvalidAccess, InvalidRequest,
    Memory, Message, NameMismatch, Opcode, Outgoing, Pong, ProtocolError, ProxyError, ProxyHeaderError,
    Redirect, RedirectError, Redirects, Request, RequestBody, RequestError, RequestHead, RespondError,
    ResponseBody, ResponseError, Role, SendError, Sent, SocksReply, State, Timeout, TlsAlert, TlsError,
    TlsInfo, TlsVersion, Transport, Upgrade, WallClock,
};
#[cfg(feature = "deflate")]
pub use ws_proto::{Deflate, deflate};
