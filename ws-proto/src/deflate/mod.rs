//! permessage-deflate (RFC 7692): messages compressed, in both roles.
//!
//! Off until [`Config::deflate`](crate::Config::deflate) asks for it.
//!
//! ```
//! use ws_proto::{Config, Deflate};
//!
//! let config = Config::server().deflate(Deflate::chat());
//! ```

mod deflater;
mod inflater;
mod negotiation;
mod per_message;
mod pool;
mod settings;

pub(crate) use negotiation::{accept, agree, offer};
pub(crate) use per_message::{PerMessage, Shared};
pub use settings::{Deflate, Direction, Terms};

#[cfg(test)]
mod tests_codec;
#[cfg(test)]
mod tests_negotiation;
