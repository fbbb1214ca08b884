//! Where a client connects, in which order, why that failed, and when it tries again.

mod addresses;
mod config;
mod names;
mod reconnect;
mod zones;

pub use addresses::*;
pub use config::*;
pub use names::*;
pub use reconnect::*;
