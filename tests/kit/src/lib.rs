//! Shared test code. It is not published, and unit tests must not use it: like an integration test, it links the
//! engine from outside.
//!
//! ```text
//!  frames.rs      frames built and read independently of the engine; open connections, and their events
//!  oracle/        what a connection promises: the grammar of its events, and the engine after each call
//!  pair.rs        two ends, a pipe each way, and a manual clock
//!  pipes.rs       two ends with applications, and pipes with a size and a rate
//!  trace.rs       a recorded connection, and its application
//!  names.rs       a resolver that answers on demand
//!  peer.rs        a scripted remote peer for a server's sockets; ports.rs: exclusive ports
//!  proxy.rs       a scripted proxy for a client's sockets
//!  claims.rs      what proxies before a server say of their clients
//!  random.rs      reproducible randomness; seeds.rs: which seeds run
//!  modules.rs     which modules of a crate use which
//!  table.rs       the README's table; each adapter verifies its column
//!  chat/          the room and the page of both chat examples
//!  drop/          the page of both drop examples, and its messages
//!  deflate/       compressing peers; from_bytes.rs: tests driven entirely by input bytes
//!  tls/           certificates; a peer that speaks TLS, independently of our own layer; the orders of its ends
//! ```
#![allow(missing_docs, missing_debug_implementations)] // the names suffice
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

#[cfg(feature = "chat")]
pub mod chat;
pub mod claims;
#[cfg(feature = "deflate")]
pub mod deflate;
#[cfg(feature = "chat")]
pub mod drop;
pub mod frames;
pub mod modules;
pub mod names;
pub mod oracle;
pub mod pair;
pub mod peer;
pub mod pipes;
pub mod ports;
pub mod proxy;
pub mod random;
pub mod seeds;
pub mod table;
#[cfg(feature = "tls")]
pub mod tls;
pub mod trace;
