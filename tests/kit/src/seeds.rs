//! Which seeds run, and what a seed found.

use std::any::Any;

/// `SEED`, `SEEDS` and the like, from the environment.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// The message of a panic; empty if it is not text.
pub fn panic_message(cause: &(dyn Any + Send)) -> String {
    let fixed = cause.downcast_ref::<&str>().map(ToString::to_string);
    cause.downcast_ref::<String>().cloned().or(fixed).unwrap_or_default()
}
