//! Shared by these programs: terms in the syntax of RFC 7692, and messages that must be echoed unchanged.

mod exchange;
mod terms;

pub use exchange::{Exchange, Payload};
pub use terms::{Side, deflate};

/// Any error that ends a program.
pub type Failure = Box<dyn std::error::Error>;

/// Returns one of the arguments.
///
/// # Errors
/// It is missing.
pub fn argument(index: usize, usage: &'static str) -> Result<String, Failure> {
    std::env::args().nth(index).ok_or_else(|| usage.into())
}
