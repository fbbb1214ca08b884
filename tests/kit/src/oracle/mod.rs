//! What a connection promises, for any peer, application and transport. Seeds or the bytes of a fuzzer drive it:
//! nothing in it is random, and it allocates only for [`Events::closed`].
//!
//! ```text
//!   events:  (Request Body* | Upgrade | Drained)* [Open (Message | Fragment* | Pong | Drained)*] [Closed]
//!   states:  Connecting ─▶ Open ─▶ Closing ─▶ Closed      (some are skipped, none recurs)
//!
//!   Events   the grammar of what is reported; the events of an adapter are reported to it one by one
//!   Engine   the same with a `Connection`: its state, deadline, counts and output after each call
//! ```

mod engine;
mod events;

pub use engine::Engine;
pub use events::Events;
