//! What several trees of tests share. It is published with nobody, and no unit test may use it: it links the engine
//! from outside, as an integration test does.
//!
//! ```text
//!  frames.rs      frames, built and read by other code than the engine's; connections that are open, and what they say
//!  pair.rs        two ends, a pipe each way, and a clock that moves when it is told to
//!  pipes.rs       two ends with applications, and pipes of a size and a speed
//!  trace.rs       a recorded connection, and the application that it had
//!  names.rs       a resolver that answers when it is told to
//!  peer.rs        the other end of a server's sockets, by hand; ports.rs: ports that nobody else has
//!  random.rs      reproducible randomness; seeds.rs: which seeds are run
//!  modules.rs     which modules of a crate use which
//!  table.rs       the README's table, of which each adapter proves its side
//!  chat/          the room and the page of both examples of a chat
//!  deflate/       peers that compress; from_bytes.rs: tests whose every decision comes from bytes
//! ```
#![allow(missing_docs, missing_debug_implementations)] // what a name says, no line repeats
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

#[cfg(feature = "chat")]
pub mod chat;
#[cfg(feature = "deflate")]
pub mod deflate;
pub mod frames;
pub mod modules;
pub mod names;
pub mod pair;
pub mod peer;
pub mod pipes;
pub mod ports;
pub mod random;
pub mod seeds;
pub mod table;
pub mod trace;
