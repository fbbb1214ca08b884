//! A server: who comes, who is there, how it stops.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails
