//! Where a server listens, and what it is called: addresses, ports, the file of a Unix socket, URLs.

mod bind;
#[cfg(unix)]
mod socket_file;
mod url;

pub use bind::*;
#[cfg(unix)]
pub use socket_file::{SocketFile, open as open_unix};
pub use url::*;
