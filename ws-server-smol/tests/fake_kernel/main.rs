//! What the kernel and the system's resolver may do, done by a fake in their place: see `ws_server_smol::sys`.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod listeners;
mod names;
