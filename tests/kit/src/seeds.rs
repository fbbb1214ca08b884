//! Which seeds are run, and what one of them found.

use std::any::Any;

/// `SEED`, `SEEDS` and the like, as the environment has them.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// What a panic said; nothing where that is no text.
pub fn words(cause: &(dyn Any + Send)) -> String {
    let fixed = cause.downcast_ref::<&str>().map(ToString::to_string);
    cause.downcast_ref::<String>().cloned().or(fixed).unwrap_or_default()
}
