//! Where a server listens, and its URLs: addresses, ports, the file of a Unix socket.
//!
//! ```text
//!  Bind ──open──▶ Listener, one or two ──▶ the adapter's poller ──accept──▶ AcceptFailures, if that fails
//!                    │
//!                    ├─ transport: what counts as this machine's Host and Origin
//!                    └─ local_addr ──▶ url, lan_url, urls
//! ```

mod accept;
mod bind;
mod listener;
#[cfg(unix)]
mod socket_file;

pub use crate::url::{Scheme, lan_url, url, urls};
pub use accept::{AcceptFailures, AfterFailure};
pub use bind::{Bind, ListenError};
pub use listener::{Listener, open, transport};
#[cfg(unix)]
pub use socket_file::SocketFile;
