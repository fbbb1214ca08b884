//! A WebSocket engine without I/O: bytes and a clock go in, events and bytes come out.
//!
//! One TCP connection is one [`Connection`], server or client, from the first byte of HTTP to the FIN: RFC 6455 in both
//! roles, with as much of HTTP/1.1 as a program needs to serve its page and its socket on one port. The crate has no
//! socket, no thread, no clock, no global state and no `unsafe`; the owner of the sockets drives it. `ws-server-mio`
//! and `ws-server-smol` are two such owners; use this crate for another runtime, a game engine, a proxy or an embedded
//! host.
//!
//! ```text
//!                  ┌────────────────────────────────────────────────────────────────┐
//!  socket read ───▶│ handle_input(now, &mut input) ─▶ Event<'input>                 │──▶ application
//!  read() == 0 ───▶│ handle_eof(now)                                     Http       │
//!  clock       ───▶│ handle_timeout(now)                                 Open       │
//!  read error  ───▶│ abort(now, error)                                   Closing    │
//!  write error ───▶│ write_failed(now, error)                                       │
//!  what follows   ◀│ poll_event(now)             ─▶ Event<'static>                  │──▶ application
//!  timer       ◀───│ poll_timeout()                                      Done       │
//!  socket write◀──▶│ outbox(): impl Buf, handle_written(now, n)                     │◀── application: send, accept, …
//!  next step   ◀───│ poll_io(): Read | Write | Pause | Shutdown | Drop | Reset      │
//!                  └────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Five rules:
//!
//! 1. [`handle_input`](Connection::handle_input) consumes its input, one event at a time, unless the connection [is
//!    paused](Connection::is_paused); then the rest stays with the caller. All other events come from
//!    [`poll_event`](Connection::poll_event).
//! 2. No call fails because of the peer: a failure is the event [`Closed`]. Only misuse by the application returns an
//!    error: [`SendError`] or [`RespondError`].
//! 3. `Closed` is the last event, exactly once, for every connection that produced any event; one that produced no
//!    event ends silently ([`IoAction::Drop`]), unless the configuration reports [every
//!    close](Config::report_all_closes).
//! 4. Everything to be sent is already in the outbox; Pongs and Closes need no explicit flush.
//! 5. There is one deadline. Time is a [`Moment`]: nanoseconds since an origin that the owner chooses. Every call that
//!    may start or end a wait takes `now`: transport events, HTTP answers, Pings and the end. Sending messages and
//!    body chunks starts no wait, so these calls take no `now`.
//!
//! # Driving it
//!
//! Events borrow from the input, not from the connection, which stays free for answers. This echo copies only into the
//! outbox:
//!
//! ```
//! # use std::{io::{Read, Write}, time::Instant};
//! # use bytes::Buf;
//! # use ws_proto::{Clock, Connection, Event, IoAction};
//! fn turn(
//!     conn: &mut Connection,
//!     socket: &mut (impl Read + Write),
//!     rx: &mut [u8],
//!     clock: Clock, // Clock::new(Instant::now()), once: what `now` counts from
//! ) -> bool {
//!     let now = clock.moment(Instant::now());
//!     match conn.poll_io() {
//!         IoAction::Write => match socket.write(conn.outbox().chunk()) {
//!             Ok(n) => conn.handle_written(now, n),
//!             Err(error) => conn.write_failed(now, error.into()),
//!         },
//!         IoAction::Read => match socket.read(rx) {
//!             Ok(0) => conn.handle_eof(now),
//!             Ok(n) => {
//!                 let mut input = &mut rx[..n];
//!                 while let Some(event) = conn.handle_input(now, &mut input) {
//!                     if let Event::Message(message) = event {
//!                         conn.send(message).ok(); // a slow reader: see SendError
//!                     }
//!                 }
//!             }
//!             Err(error) => conn.abort(now, error.into()),
//!         },
//!         IoAction::Pause | IoAction::Shutdown => {} // see the example `by_hand`
//!         IoAction::Drop | IoAction::Reset => return false,
//!     }
//!     while let Some(event) = conn.poll_event(now) {
//!         println!("{event:?}");
//!     }
//!     true
//! }
//! # struct Empty;
//! # impl Read for Empty { fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> { Ok(0) } }
//! # impl Write for Empty {
//! #     fn write(&mut self, data: &[u8]) -> std::io::Result<usize> { Ok(data.len()) }
//! #     fn flush(&mut self) -> std::io::Result<()> { Ok(()) }
//! # }
//! # let config = std::sync::Arc::new(ws_proto::Config::server());
//! # let clock = Clock::new(Instant::now());
//! # let mut conn = Connection::server(clock.moment(Instant::now()), config, Default::default());
//! # let mut rounds = 0;
//! # while turn(&mut conn, &mut Empty, &mut [0; 64], clock) { rounds += 1; }
//! # assert!(rounds <= 2);
//! ```
//!
//! When a socket would block, report it with `handle_written(now, 0)`: the time limit for a peer that does not read
//! starts then. A failed write or half-close does not end the loop either: report it with
//! [`write_failed`](Connection::write_failed), and `Closed` follows, with the peer's Close if that was still unread. Only
//! a failed read is an [`abort`](Connection::abort). The example `by_hand` is a whole server and client over two blocking
//! sockets, deadlines included.
//!
//! An async owner takes the pending output as an [`Unsent`] that lives across an await: [`Connection::unsent`] shows
//! such a loop. [`handshake::answer`] answers handshakes that hyper or axum has read, and [`Access::admits`] checks
//! `Host` and `Origin` alone.
//!
//! # Plain HTTP
//!
//! A request without an upgrade is an [`Event::Request`]; answer it now, later or as a [streaming
//! response](PlainHttp::respond_streaming). Its body is in it, or follows as [`Event::Body`] where the server's [rule for
//! heads](HeadRule::stream_body) says so. Routes, files and event streams are in the crate `ws-host`.
//!
//! # Flow
//!
//! Output waits in an outbox, up to a cap. Pending output alone does not stop reading from a peer, so two ends that
//! both send do not deadlock; only an application that answers more than its peer takes is slowed. Below half the
//! cap, output never holds messages back. Above it, an event whose handling grew the outbox delays the next event until
//! the peer has taken as much as was added, or for 100 ms, doubled each time in a row that the peer takes nothing. An
//! event that added nothing delays nothing. HTTP requests wait as soon as the outbox is over its high mark.
//!
//! [`Sent::Congested`] and [`Event::Drained`] show an application when to pause and resume sending;
//! [`Connection::pause`] stops reading one connection because another is full; [`Connection::relay`] is for proxies.
//! Pings and Pongs overtake pending output. A peer that takes less than [`Config::min_output_rate`] is closed, and all
//! connections of a server share one [`Memory`].
//!
//! # Compression
//!
//! [`Config::deflate`] compresses messages with every peer that agrees (permessage-deflate, RFC 7692). Nothing else
//! changes: messages arrive as they were sent. The module `deflate` documents the costs. The feature of that name is on
//! by default.
//!
//! # Limits
//!
//! Every length, count and wait of a connection has a limit that is on by default; [`Config`] lists them with their
//! defaults. Only the [rate of messages](Config::message_rate) and the [memory](Config::memory) of all connections
//! together have none until you set it. A declared length alone allocates nothing. An open, idle connection holds no
//! heap at all once its outbox buffer is [detached](Outbox::detach_buffer).
//!
//! # Randomness
//!
//! A client masks (RFC 6455 §5.3) with keys from a cryptographic stream whose seed you provide; the engine draws no
//! randomness itself. Take 32 fresh bytes from the system for each connection.
//!
//! # Features
//!
//! | feature | by default | what |
//! |---|---|---|
//! | `deflate` | yes | permessage-deflate (RFC 7692), off until a configuration enables it; brings `zlib-rs` |
#![cfg_attr(docsrs, feature(doc_cfg))] // which feature and system an item needs

extern crate alloc;

pub use bytes;
pub use http;

mod access;
mod close_code;
mod config;
mod connection;
#[cfg(feature = "deflate")]
pub mod deflate;
#[cfg(not(feature = "deflate"))]
mod deflate;
mod error;
mod event;
pub mod fields;
mod frame;
pub mod handshake;
mod http1;
mod memory;
mod moment;
mod outbox;

pub use access::cors::Cors;
pub use access::forwarded::Forwarded;
pub use access::head_rule::{HeadRule, RequestHead};
pub use access::tls::{TlsInfo, TlsVersion};
pub use access::transport::{ListenAddress, Transport};
pub use access::{Access, InvalidAccess};
pub use close_code::CloseCode;
pub use config::heartbeat::{Heartbeat, HeartbeatKind};
pub use config::wall_clock::WallClock;
pub use config::{Config, Delivery};
pub use connection::outgoing::Outgoing;
pub use connection::{Connection, IoAction, PlainHttp, Role, Sent, Shares, State};
#[cfg(feature = "deflate")]
pub use deflate::Deflate;
pub use error::{
    CertificateFault, Error, NameMismatch, ProtocolError, ProxyError, ProxyHeaderError, RequestError,
    RespondError, ResponseError, SendError, SocksReply, Timeout, TlsAlert, TlsError,
};
pub use event::{Closed, Event, Fragment, Initiator, Message, Pong, RequestBody};
pub use frame::{Frame, Opcode};
pub use handshake::{ClientRequest, InvalidRequest, Redirect, RedirectError, Redirects, Request, Upgrade};
pub use http1::ResponseBody;
#[doc(hidden)]
pub use http1::tunnel::ConnectAnswer;
pub use memory::Memory;
pub use moment::{Clock, Moment};
pub use outbox::{Outbox, OutboxBuffer, Unsent};
