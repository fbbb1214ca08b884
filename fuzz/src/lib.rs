//! The targets of the fuzzer: plain functions of bytes, that panic where the engine breaks a promise.
//!
//! ```text
//!  fuzz_targets/*.rs   libFuzzer's programs: one call each
//!  tests/              the same functions over the seeds and over random inputs, on stable Rust
//!  seeds.rs            what the committed seeds are made of
//!
//!  bytes.rs   server_bytes, client_bytes: whatever a peer sends
//!  split.rs   split: however that is cut
//!  pair.rs, end.rs   pair: two ends, whatever the pipe does
//!  head.rs    http_head: heads and bodies, beside httparse
//!  compressed.rs   deflate, extensions: compressed messages, and what is agreed on them
//!
//!  watch.rs   the promises of one connection
//!  judge.rs   the promises of what it writes
//!  taken.rs   what was taken to be sent
//!  setup.rs, input.rs, seen.rs   configurations and choices from bytes, and what came of them
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a target fails

mod bytes;
mod compressed;
mod end;
mod head;
mod input;
mod judge;
mod pair;
pub mod seeds;
mod seen;
mod setup;
mod split;
mod taken;
mod watch;

pub use crate::bytes::{client_bytes, server_bytes};
pub use compressed::{deflate, extensions};
pub use head::http_head;
pub use pair::pair;
pub use seen::Seen;
pub use split::split;

/// What a target is.
pub type Target = fn(&[u8]) -> Seen;

/// All targets, by the names of their programs.
pub const TARGETS: &[(&str, Target)] = &[
    ("server_bytes", server_bytes),
    ("client_bytes", client_bytes),
    ("split", split),
    ("pair", pair),
    ("http_head", http_head),
    ("deflate", deflate),
    ("extensions", extensions),
];

/// A target's program without libFuzzer: runs it over the files that are its arguments.
///
/// # Errors
/// What reading them gives.
pub fn replay(target: Target) -> std::io::Result<()> {
    for file in std::env::args_os().skip(1) {
        let seen = target(&std::fs::read(&file)?);
        println!("{}: {seen:?}", file.display());
    }
    Ok(())
}
