//! The fuzz targets: plain functions of bytes that panic if the engine breaks a promise.
//!
//! ```text
//!  fuzz_targets/*.rs   libFuzzer's programs: one call each
//!  tests/              the same functions over the seeds and random inputs, on stable Rust
//!  seeds.rs            builds the committed seeds
//!
//!  bytes.rs   server_bytes, client_bytes: arbitrary bytes from a peer
//!  split.rs   split: the same bytes, cut arbitrarily
//!  pair.rs, end.rs   pair: two ends over an arbitrary pipe
//!  head.rs    http_head: heads and bodies, compared with httparse
//!  proxy.rs   proxy: answers of a proxy
//!  tls/       tls: sessions over any bytes, and two ends over a pipe that is tampered with
//!  trusted.rs trusted: claims of trusted proxies
//!  compressed.rs   deflate, extensions: compressed messages, and their negotiation
//!
//!  watch.rs   the promises of one connection (`ws_kit::oracle`), and its memory
//!  output.rs  the promises about its output
//!  taken.rs   the messages accepted for sending
//!  setup.rs, input.rs, seen.rs   configurations and choices from bytes, and the resulting events
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a target fails

mod bytes;
mod compressed;
mod end;
mod head;
mod input;

mod output;
mod pair;
mod proxy;
pub mod seeds;
mod seen;
mod setup;
mod split;
mod taken;
mod tls;
mod trusted;
mod watch;

pub use crate::bytes::{client_bytes, server_bytes};
pub use compressed::{deflate, extensions};
pub use head::http_head;
pub use pair::pair;
pub use proxy::proxy;
pub use seen::Seen;
pub use split::split;
pub use tls::tls;
pub use trusted::trusted;

/// The type of a target.
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
    ("proxy", proxy),
    ("tls", tls),
    ("trusted", trusted),
];

/// Runs a target over the files given as arguments, without libFuzzer.
///
/// # Errors
/// An I/O error from reading them.
pub fn replay(target: Target) -> std::io::Result<()> {
    for file in std::env::args_os().skip(1) {
        let seen = target(&std::fs::read(&file)?);
        println!("{}: {seen:?}", file.display());
    }
    Ok(())
}
