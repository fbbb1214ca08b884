#![doc = include_str!("../README.md")]
//!
//! The protocol is `ws-proto`'s; this crate moves the bytes.
//!
//! # What drives what
//!
//! ```text
//!   Server ──accept──▶ HttpConnection ──upgrade──▶ WebSocket ◀── connect, Client
//!   (a listener)       (HTTP requests)             (messages, frames)
//!      │                   ▲ Responder                 ▲ Sender
//!      └────── by id: send, close, broadcast, topics, stop ──────┘   from any task and thread
//! ```
//!
//! Polling a connection drives it: [`HttpConnection::next`] and [`WebSocket::next`] read, answer pings, keep
//! deadlines and the heartbeat, and write what was queued, by any task. Nothing is spawned, and nothing goes on without
//! polling: a handler that waits for something else for long (a database, say) does so beside `next`, in a task
//! of its own with a [`Sender`]. What [`Sender`], [`Responder`] and the verbs of [`Server`] queue wakes the task that
//! waits in `next`, and goes out there.
//!
//! | | where connections run | handlers | take it for |
//! |---|---|---|---|
//! | [`Server::serve`] | in its one future | borrow what is around the call, need not be `Send` or `'static` | one thread; state in a `RefCell` or `Cell` |
//! | [`Server::accept`] | in tasks that you spawn | as your executor asks for | cancelling single tasks; several threads; [`UiDriver::ticking`] |
//!
//! A handler calls [`HttpConnection::upgrade`], or [`upgrade_or`](HttpConnection::upgrade_or) with the answers to plain
//! requests, or decides about each request and each upgrade itself, with [`next`](HttpConnection::next).
//!
//! Data of your own with a connection are the variables of the code that handles it, so that there is no `set_data` as in
//! `ws-server-mio`, where one handler is called for all connections. What other tasks need stands in a map of yours under
//! its [`ConnectionId`], which is never used twice.
//!
//! # Names
//!
//! The adapters call the same thing by the same name: `id`, `peer_addr`, `local_addr`, `set_config`, `terminate`,
//! `stats`, `topics`, `couple`. They differ where the shape does: a [`Server`] of this crate is what `ws-server-mio`
//! calls `ServerHandle`, so that [`Server::local_addr`] is the server's and [`Server::local_addr_of`] a connection's;
//! and what is an event there, `AcceptFailed` and `Stopping`, is a hook here, [`Server::on_accept_failed`] and
//! [`Server::before_stop`], since no task need wait for a server's events.
//!
//! # How it ends
//!
//! [`WebSocket::next`] gives `None` after an ordinary end: the peer closed with 1000, with 1001 or without a code, or
//! answered our Close. Any other end is one error, the [`Closed`] that explains it: another code (1008, 1012, 4000), or
//! no closing handshake. [`next_event`](WebSocket::next_event) gives the end as an event in either case. It comes once,
//! and last. An [`Extension`] sees it before, also of a WebSocket that its handler has dropped.
//!
//! A WebSocket that is dropped tells the peer 1001, as far as that goes without waiting; [`WebSocket::close`] parts
//! in order. [`Server::stop`] closes all connections with 1001 and waits, to its deadline, until all are gone;
//! [`Server::stop_with`] sets code and reason, and spreads what it tells over time, so that a thousand clients do not
//! come back in one second.
//!
//! A deadline that has passed is judged after one more read: a task that was not polled for a while takes no peer
//! for dead whose answer has been there for long. After the machine has slept, every peer with a heartbeat is asked once.
//!
//! # Cancellation
//!
//! Every method is cancel-safe. Between two polls each byte is in the kernel, in the engine or in the connection, so
//! that a future may be dropped at any await (by a timeout, by the loser's side of a race), and a later call goes on
//! from there. Two remarks: what [`WebSocket::send`] and [`HttpConnection::respond`] have queued when they are dropped
//! stays queued; and [`HttpConnection::accept`] has the connection, which goes with it.
//!
//! # Fairness
//!
//! A connection that always has something to do lets others run after 64 KiB or half a millisecond, between any two
//! messages; so does accepting, after sixteen. A handler that computes for longer than that holds up its thread
//! for as long as it computes.
//!
//! # Flow
//!
//! Output that waits for a slow peer does not keep it from being read. Below half of [the cap](ServerConfig::outbox) it
//! never does; above, an event whose handler queued more delays the next one, until the peer has taken as much, or for
//! 100 ms, and longer while it takes nothing. Past the cap a send is [`SendError::Full`], and [`Event::Drained`]
//! says when to go on; [`Sender::send`] waits for that by itself, from the high mark on. A peer that takes too little for
//! [`ServerConfig::output_timeout`] is closed. [`pause`](Sender::pause) and [`resume`](Sender::resume) hold reading
//! back by hand, and [`couple`] makes two WebSockets one, each of which is read while the other takes.
//!
//! # Compression
//!
//! [`ServerConfig::deflate`] and [`ClientConfig::deflate`] compress messages with every peer that agrees; what is sent
//! to many is compressed once. The module [`deflate`] tells the settings and what they cost.
//!
//! # Threads
//!
//! Handlers, protocol and sockets stay on the threads that poll: on one, if you have one. Beside it there are
//!
//! - `async-io`, the helper thread of that crate, from the first socket or timer to the end of the process. It waits
//!   for the kernel where no thread is in `block_on`, and wakes tasks; it runs none.
//! - `blocking-…`, threads of that crate, for what no system does without waiting: [`connect`] and [`Client`] look up
//!   names there, 8 at a time at most, but neither addresses nor `localhost`, and a [`Folder`]'s files are opened and
//!   read there. They start with the first name or file, and end by themselves when nothing is left to do.
//!
//! There is no other. If that is one too many, `ws-server-mio` spawns no thread unless you opt in.
//!
//! # In a window
//!
//! [`UiDriver`] runs futures in a loop that is not theirs: turns of a millisecond, and one notice for many wake-ups.
//! Do not give an executor's `run` to the loop's own executor: it runs for as long as there is work, and a flood
//! leaves no time to draw.
//!
//! # Other streams, other runtimes
//!
//! [`HttpConnection::new`], [`handshake()`] and [`WebSocket::upgraded`] take any stream of `futures-io`: TLS, a pipe,
//! another runtime's socket through its adapter. Any executor will do; deadlines come from `async-io`, whose thread keeps
//! them. A stream that is closed should shut its half down, as [`Socket`] does and `Async<TcpStream>` does not.
//!
//! On unix, [`Bind::unix`] listens on a Unix socket, whose file comes and goes with the server, and
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
//! - A **blocking** request to one's own server, from the thread that serves it, waits for an answer that this very
//!   thread would have to give. Ask with [`connect`], or on another thread. Nor does `block_on` belong into a handler.
//! - [`Server::stop`] awaited **in a handler** waits for that handler's own connection, to the deadline. Have another
//!   task stop the server; under [`Server::serve`], one beside it.
//! - Two ends that both wait in [`WebSocket::send`], and read nothing meanwhile, wait for each other once all buffers
//!   are full; the output deadline ends that, and [`Closed::reading_paused`] says why. Queue with
//!   [`WebSocket::try_send`] and go on reading, or send with a [`Sender`], which never waits for its own task: where
//!   no task polls the connection it fails with [`SendError::NotPolled`].
//! - A `RefCell` that is borrowed across an await is found borrowed by the next handler.
//!
//! # Features
//!
//! | feature | by default | what |
//! |---|---|---|
//! | `deflate` | yes | permessage-deflate (RFC 7692), off until a configuration asks for it; brings `zlib-rs` |
#![cfg_attr(docsrs, feature(doc_cfg))] // which feature and system an item needs

mod client;
mod clock;
mod connection;
mod driver;
mod error;
mod extension;
mod files;
mod handles;
mod ids;
mod serve;
mod server;
#[doc(hidden)]
pub mod sys;
mod ui;

pub use async_io::block_on;
pub use bytes::Bytes;
#[doc(hidden)]
pub use client::connect::connect_with_names;
pub use client::connect::{connect, handshake};
pub use client::{Client, ClientEvent};
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
pub use sys::socket::Socket;
pub use ui::{Turn, UiDriver};
pub use ws_host::client::{ClientConfig, ClientState, ConnectError, InvalidTarget, Reconnect};
pub use ws_host::listen::{Bind, ListenError, Listener};
pub use ws_host::server::{InvalidConfig, ServerConfig, Stats, Stop};
pub use ws_host::token::Token;
pub use ws_host::topics::{SlowPeer, TopicError};
pub use ws_host::web;
pub use ws_proto::handshake;
pub use ws_proto::{
    Access, ClientRequest, CloseCode, Closed, Config, Cors, Delivery, Error, Event, Fragment, Frame,
    Heartbeat, HeartbeatKind, Initiator, InvalidAccess, InvalidRequest, Memory, Message, Opcode, Outgoing,
    Pong, ProtocolError, Request, RequestError, RespondError, ResponseBody, ResponseError, Role, SendError,
    Sent, State, Timeout, Transport, Upgrade, WallClock,
};
#[cfg(feature = "deflate")]
pub use ws_proto::{Deflate, deflate};
