//! Zones of link-local addresses: the numbers of network interfaces.

use super::ConnectError;
use std::io;

/// The number of the network interface of this name, from the kernel, without waiting.
pub(crate) fn index(name: &str) -> Result<u32, ConnectError> {
    look_up(name).map_err(|error| ConnectError::Zone { zone: name.to_owned(), error })
}

#[cfg(unix)]
fn look_up(name: &str) -> io::Result<u32> {
    Ok(nix::net::if_::if_nametoindex(name)?)
}

#[cfg(not(unix))]
fn look_up(_: &str) -> io::Result<u32> {
    Err(io::ErrorKind::Unsupported.into())
}
