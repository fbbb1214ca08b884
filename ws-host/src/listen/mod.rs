//! Where a server listens, and what it is called: addresses, ports, the file of a Unix socket, URLs.
//!
//! ```text
//!  Bind ──open──▶ Listener, one or two ──▶ the adapter's poller ──accept──▶ AcceptFailures, where that fails
//!                    │
//!                    ├─ transport: what counts as this machine's Host and Origin
//!                    └─ local_addr ──▶ url, lan_url, urls
//! ```

mod accept;
mod bind;
mod lan;
mod listener;
#[cfg(unix)]
mod socket_file;
mod url;

pub use accept::{ACCEPT_RETRY, AcceptFailures, AfterFailure, is_transient};
pub use bind::{BACKLOG, Bind, ListenError};
pub use lan::{lan_address, own_ip};
pub use listener::{Listener, open, transport};
#[cfg(unix)]
pub use socket_file::{SocketFile, open as open_unix};
pub use url::{Scheme, lan_url, url, urls};
