//! Shared by the programs here: terms as RFC 7692 writes them, and messages that must come back as they were sent.

mod exchange;
mod terms;

pub use exchange::{Exchange, Payload};
pub use terms::{Side, deflate};

/// Any error that ends a program, in words.
pub type Failure = Box<dyn std::error::Error>;

/// One of the arguments.
///
/// # Errors
/// It is missing.
pub fn argument(place: usize, usage: &'static str) -> Result<String, Failure> {
    std::env::args().nth(place).ok_or_else(|| usage.into())
}
