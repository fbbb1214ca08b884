//! Fakes of the kernel and of the system's resolver do what the real ones may: see `ws_server_smol::sys`.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod listeners;
mod names;
