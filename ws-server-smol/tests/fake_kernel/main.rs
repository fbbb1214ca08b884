//! A fake in place of the kernel and the system's resolver does what they may do: see `ws_server_smol::sys`.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod listeners;
mod names;
