//! TLS in memory: both sides, every cut, bad certificates, and the ends.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod bad;
mod cuts;
mod ends;
mod flights;
mod kit;
mod layer;
mod protocol;
mod proxies;
mod trust;
