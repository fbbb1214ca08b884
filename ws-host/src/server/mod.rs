//! A server's limits and admission, its counts, and how it stops.

mod admission;
mod behind_proxy;
mod config;
mod head_rule;
mod invalid;
mod stats;
mod stop;
mod streaming;
mod tokens;
mod upgrades;

pub use admission::{Admission, too_many_connections};
pub use config::ServerConfig;
pub use invalid::InvalidConfig;
pub use stats::Stats;
pub use stop::Stop;
pub use upgrades::{Decision, PATH_LIMIT, Unanswered, UpgradeRule};
