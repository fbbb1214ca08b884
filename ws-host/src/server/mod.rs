//! What a server allows, counts and tells when it stops.

mod config;
mod stop;
mod upgrades;

pub use config::*;
pub use stop::Stop;
pub use upgrades::{Decision, Unanswered, UpgradeRule};
