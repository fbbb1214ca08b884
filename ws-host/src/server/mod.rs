//! What a server allows, counts and tells when it stops.

mod config;

pub use config::*;
