//! permessage-deflate (RFC 7692): messages compressed, in both roles.
//!
//! It is off until [`Config::deflate`](crate::Config::deflate) asks for it. Then a client offers it and a server takes
//! it, and whoever does not speak it is served as before.
//!
//! ```
//! use ws_proto::{Config, Deflate};
//!
//! let config = Config::server().deflate(Deflate::chat());
//! ```
//!
//! # What is compressed
//!
//! A message of at least [`threshold`](Deflate::threshold) bytes, and every message in fragments; by its frame one can
//! say otherwise. With context takeover a message may refer to what was sent before it, so that small messages which
//! resemble each other shrink most. What is [sent to many](crate::Connection::send_shared) is compressed once, by
//! itself, and goes to all whose windows are alike; the contexts of those connections then begin anew.
//!
//! What cannot shrink grows: at level 1 by up to a ninth, else by a few thousandths, or a twenty-fifth at the lowest
//! memory level. The outbox's [cap](crate::Config::outbox) is for messages as they are given.
//!
//! A build without optimization compresses some twenty times more slowly, and a thread that compresses does nothing else.
//! In the `Cargo.toml` of your program this mends it, while you develop:
//!
//! ```toml
//! [profile.dev.package.zlib-rs]
//! opt-level = 2
//! ```
//!
//! # What a peer can cost
//!
//! [`message_limit`](crate::Config::message_limit) holds for what a message becomes, to the byte, and is found out
//! while it is inflated. How many times a message grows is not limited by default: a blank canvas grows 700 times, and
//! deflate no more than 1,032 times. A [limit](Deflate::ratio_limit) can be set for messages over 1 MiB.
//! Whoever makes us inflate too much in [a second](Deflate::inflate_rate) is not read until it is over; that is looked at
//! behind each message, each read and each share.
//!
//! Connections of one loop [take turns](crate::Connection::share_inflating) in what is inflated; the adapters see to it.
//! What exceeds a share of 16 KiB is inflated after the shares of all others that have something to read, and at once where
//! none has. It is an order and no limit.
//!
//! # Memory
//!
//! Contexts are large, so they are made when they are first needed, and let go after some [quiet
//! time](Deflate::release_after) without compressed messages. Of the peer's only the window's bytes are kept then, since
//! its next message may refer to them: as much as it sent, at most 32 KiB; nothing without its takeover. Without takeover
//! contexts return after each message to a pool that all connections of a configuration share.
//!
//! Measured in bytes of heap for one connection that has sent and received messages of 90 bytes (of 90 KB in parentheses);
//! `cargo test -p ws-proto --test deflate_memory -- --nocapture` prints it:
//!
//! | | agreed on, unused | active | within a message of the peer | after the quiet time | in the pool, for all |
//! |---|---|---|---|---|---|
//! | [`new`](Deflate::new) | 80 | 350,434 (399,368) | 351,113 (514,555) | 170 (32,848) | 1.4 MB (1.6 MB) |
//! | [`chat`](Deflate::chat) | 80 | 230,626 (238,600) | 231,305 (353,787) | 170 (8,272) | 0.9 MB (1.0 MB) |
//! | [`large_json`](Deflate::large_json) | 80 | 80 (80) | 351,113 (514,555) | 80 (80) | 0.4 MB (0.4 MB) |
//! | [`many_idle`](Deflate::many_idle) | 80 | 80 (80) | 351,113 (514,555) | 80 (80) | 0.4 MB (0.4 MB) |
//!
//! What is let go goes to the allocator, and not all of that to the system: after 4,000 connections with context
//! takeover had each said 64 bytes at once, and then nothing for a minute, glibc kept 28 KB of the 311 KB resident for
//! each. Where that matters, [`many_idle`](Deflate::many_idle) has no such peak.

// Without the feature nobody can set it in motion, as the compiler finds, and nothing of it is public.
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
