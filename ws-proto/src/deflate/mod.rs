//! permessage-deflate (RFC 7692): compressed messages, in both roles.
//!
//! Off until [`Config::deflate`](crate::Config::deflate) turns it on. Then a client offers it and a server accepts it;
//! peers without it work as before.
//!
//! ```
//! # #[cfg(feature = "deflate")] {
//! use ws_proto::{Config, Deflate};
//!
//! let config = Config::server().deflate(Deflate::chat());
//! # }
//! ```
//!
//! # What is compressed
//!
//! A message of at least [`threshold`](Deflate::threshold) bytes, and every message in fragments, unless its frame
//! overrides that. With context takeover a message may refer to earlier messages, so small, similar messages shrink
//! most. A message [sent to many](crate::Connection::send_shared) is compressed once, independently, for all
//! connections with the same window; their contexts then restart.
//!
//! Incompressible data grows: at level 1 by up to a ninth, otherwise by a few thousandths, or a twenty-fifth at the
//! lowest memory level. The outbox's [cap](crate::Config::outbox) counts messages before compression.
//!
//! An unoptimized build compresses some twenty times more slowly, and a thread that compresses does nothing else.
//! During development, this in the `Cargo.toml` of your program helps:
//!
//! ```toml
//! [profile.dev.package.zlib-rs]
//! opt-level = 2
//! ```
//!
//! # What a peer can cost
//!
//! [`message_limit`](crate::Config::message_limit) applies to the inflated message, to the byte, and is checked during
//! inflation. By default nothing limits how much a message grows: a blank canvas grows 700-fold, and deflate
//! reaches 1,032. [`ratio_limit`](Deflate::ratio_limit) limits it for messages over 1 MiB. A peer whose messages exceed
//! [`inflate_rate`](Deflate::inflate_rate) in a second is not read until the next; this is checked after each message,
//! each read and each share.
//!
//! Connections of one loop [take turns](crate::Shares::begin) at inflating; the adapters arrange it. Input beyond a
//! share of 16 KiB is inflated after the shares of all other connections with something to read, and at once if there
//! are none. It is an order, not a limit.
//!
//! # Memory
//!
//! Contexts are large, so they are created on first use, and released [some time](Deflate::release_after) after the
//! last compressed message. Of the peer's, only the window's bytes stay, since its next message may refer to them: as
//! much as it sent, at most 32 KiB; nothing without its context takeover. Without takeover, contexts return after each
//! message to a pool that all connections of a configuration share.
//!
//! Heap bytes for one connection that has sent and received messages of 90 bytes (of 90 KB in parentheses); `cargo test
//! -p ws-proto --test deflate_memory -- --nocapture` prints them:
//!
//! | | agreed on, unused | active | within a message of the peer | released | in the pool, for all |
//! |---|---|---|---|---|---|
//! | [`new`](Deflate::new) | 80 | 350,434 (399,368) | 351,129 (514,571) | 170 (32,848) | 1.4 MB (1.6 MB) |
//! | [`chat`](Deflate::chat) | 80 | 230,626 (238,600) | 231,321 (353,803) | 170 (8,272) | 0.9 MB (1.0 MB) |
//! | [`large_json`](Deflate::large_json) | 80 | 80 (80) | 351,129 (514,571) | 80 (80) | 0.4 MB (0.4 MB) |
//! | [`many_idle`](Deflate::many_idle) | 80 | 80 (80) | 351,129 (514,571) | 80 (80) | 0.4 MB (0.4 MB) |
//!
//! Released memory returns to the allocator, and not all of it to the system: after 4,000 connections with context
//! takeover had each sent 64 bytes at once, and then nothing for a minute, glibc kept 28 KB of the 311 KB resident for
//! each. Where that matters, [`many_idle`](Deflate::many_idle) has no such peak.

// Without the feature the compiler sees that no code can start it, and none of it is public.
#![cfg_attr(not(feature = "deflate"), allow(unused, unreachable_pub))]

mod codec;
mod negotiation;
mod per_message;
mod pool;
mod settings;
mod share;

pub(crate) use negotiation::{agree, is_offered};
pub(crate) use per_message::{CompressionHint, PerMessage, Shared};
pub use settings::{Deflate, Direction, Terms};

#[cfg(test)]
#[cfg(feature = "deflate")]
mod tests_negotiation;
#[cfg(test)]
#[cfg(feature = "deflate")]
mod tests_settings;
