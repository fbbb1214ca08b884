//! One message to many: subscriptions by topic, and policies for slow peers.
//!
//! An id is any key by which the owner identifies a connection.
//!
//! ```
//! use ws_host::topics::Topics;
//!
//! let mut topics = Topics::new();
//! topics.subscribe(7, "prices")?;
//! topics.subscribe(9, "prices")?;
//! topics.forget(7); // the connection has ended
//! assert_eq!(topics.subscribers("prices").collect::<Vec<_>>(), [9]);
//! # Ok::<(), ws_host::topics::TopicError>(())
//! ```

mod latest;
mod slow_peers;
mod subscriptions;

pub use latest::LatestByKey;
pub use slow_peers::{Delivered, SlowPeer, close_slow, flush_latest};
pub use subscriptions::{TopicError, Topics};
