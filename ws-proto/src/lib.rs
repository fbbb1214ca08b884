//! A WebSocket engine without I/O: bytes and a clock go in, events and bytes come out.
//!
//! One TCP connection is one [`Connection`], server or client, from the first byte of HTTP to the FIN:
//! RFC 6455 in both roles, with as much of HTTP/1.1 around it as a program needs that serves its page and its
//! socket on one port. There is no socket in here, no thread, no clock, no global state and no `unsafe`; whoever
//! owns the sockets drives it. `ws-server-mio` and `ws-server-smol` are two such owners; this crate is for
//! another runtime, a game engine, a proxy, an embedded host.
//!
//! ```text
//!                  ┌────────────────────────────────────────────────────────────────┐
//!  socket read ───▶│ handle_input(now, &mut input) ─▶ Event<'input>                 │──▶ application
//!  read() == 0 ───▶│ handle_eof(now)                                     Http       │
//!  clock       ───▶│ handle_timeout(now)                                 Open       │
//!  I/O error   ───▶│ abort(now, error)                                   Closing    │
//!  what it caused ◀│ poll_event(now)             ─▶ Event<'static>                  │──▶ application
//!  timer       ◀───│ poll_timeout()                                      Done       │
//!  socket write◀──▶│ outbox(): impl Buf, handle_written(now, n)                     │◀── application: send, accept, …
//!  next step   ◀───│ poll_io(): Read | Write | Pause | Shutdown | Drop              │
//!                  └────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Five rules:
//!
//! 1. [`handle_input`](Connection::handle_input) uses up its input, one event at a time, unless the connection
//!    [is paused](Connection::is_paused); then the rest stays with the caller. What was caused otherwise comes out
//!    of [`poll_event`](Connection::poll_event).
//! 2. Nothing that a peer does makes a call fail: failure is the event [`Closed`]. Only what the application
//!    misuses returns [`SendError`].
//! 3. `Closed` is the last event, exactly once, for every connection that caused any event; one that never did is
//!    simply over ([`IoAction::Drop`]), unless the configuration asks for [every end](Config::report_all_closes).
//! 4. Whatever must go out is in the outbox already; nobody has to remember to flush a pong or a Close.
//! 5. There is one deadline. Time is a [`Moment`]: nanoseconds since an origin of the owner's choosing. Whatever may
//!    begin or end a wait takes `now`: what happens on the transport, answers to HTTP, Pings and the end. Messages and
//!    pieces of bodies wait for nothing, and take none.
//!
//! # Driving it
//!
//! Events are lent from the input, not from the connection, which stays free for answers. This echoes without a
//! copy but the one into the outbox:
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
//! ) -> std::io::Result<bool> {
//!     let now = clock.moment(Instant::now());
//!     match conn.poll_io() {
//!         IoAction::Write => {
//!             let n = socket.write(conn.outbox().chunk())?;
//!             conn.handle_written(now, n);
//!         }
//!         IoAction::Read => {
//!             let n = socket.read(rx)?;
//!             if n == 0 {
//!                 conn.handle_eof(now);
//!             }
//!             let mut input = &mut rx[..n];
//!             while let Some(event) = conn.handle_input(now, &mut input) {
//!                 if let Event::Message(message) = event {
//!                     conn.send(message).ok(); // a slow reader: see SendError
//!                 }
//!             }
//!         }
//!         IoAction::Pause | IoAction::Shutdown => {} // see the example `by_hand`
//!         IoAction::Drop | IoAction::Reset => return Ok(false),
//!     }
//!     while let Some(event) = conn.poll_event(now) {
//!         println!("{event:?}");
//!     }
//!     Ok(true)
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
//! # while turn(&mut conn, &mut Empty, &mut [0; 64], clock)? { rounds += 1; }
//! # assert!(rounds <= 2);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! A socket that would block has taken nothing: say so with `handle_written(now, 0)`, so that the time of a peer that
//! does not read begins. The example `by_hand` is a whole server and client over two blocking sockets, deadlines
//! included.
//!
//! An async owner takes what waits along, as an [`Unsent`] that lives across an await:
//! [`Connection::unsent`] has such a loop. Handshakes that hyper or axum has read are answered by
//! [`handshake::answer`], and [`Access::admits`] asks the rules for `Host` and `Origin` alone.
//!
//! # Pages beside the socket
//!
//! Requests that ask for no upgrade are [`Event::Request`], to be answered now, later or
//! [in pieces](PlainHttp::respond_streaming). Routes, files and event streams are in the crate `ws-host`.
//!
//! # Flow
//!
//! Output waits in an outbox, up to a cap. A peer that sends is read on however much waits for it, so that two ends that
//! both send do not wait for each other; only an application that answers more than its peer takes is slowed down. The
//! rule: below half the cap reading is never held back by output. Above it, an event during whose handling the outbox
//! grew delays the next event until the peer has taken as much as was added, or for 100 ms, doubled each time in a row
//! that nothing was taken. An event that added nothing delays nothing.
//!
//! [`Sent::Congested`] and [`Event::Drained`] tell an application when to pause its own production; [`Connection::pause`]
//! stops reading one connection because another is full; [`Connection::relay`] is for proxies. Pings and Pongs
//! overtake what waits. A peer that takes less than [`Config::min_output_rate`] is let go, and all connections of a
//! server share one [`Memory`].
//!
//! # Compression
//!
//! [`Config::deflate`] compresses messages with every peer that agrees (permessage-deflate, RFC 7692). Nothing else
//! changes: messages come out as they went in. `deflate` tells what it costs. The feature of that name is on by default.
//!
//! # Limits
//!
//! Every length, count, rate and wait has a limit that is on by default; [`Config`] names them all, with their
//! defaults. No allocation follows from a declared length. A connection that is open and idle holds no heap at
//! all, once its outbox's memory is [taken back](Outbox::detach_buffer).
//!
//! # Randomness
//!
//! A client masks (RFC 6455 §5.3) with keys from a cryptographic stream whose seed it is given; the engine draws
//! none itself. Take 32 bytes from the system, for each connection anew.
//!
//! # Features
//!
//! | feature | by default | what |
//! |---|---|---|
//! | `deflate` | yes | permessage-deflate (RFC 7692), off until a configuration asks for it; brings `zlib-rs` |
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
pub use error::{Error, ProtocolError, RequestError, RespondError, ResponseError, SendError, Timeout};
pub use event::{Closed, Event, Fragment, Initiator, Message, Pong};
pub use frame::{Frame, Opcode};
pub use handshake::{ClientRequest, InvalidRequest, Request, Upgrade};
pub use http1::ResponseBody;
pub use memory::Memory;
pub use moment::{Clock, Moment};
pub use outbox::{Outbox, OutboxBuffer, Unsent};
