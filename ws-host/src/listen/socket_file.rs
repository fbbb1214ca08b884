//! The file of a Unix socket: creating it, replacing a stale one, removing it.

use super::bind::BACKLOG;
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// Removes the file of a Unix socket when it is dropped, unless another program has replaced that file since.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn of(path: PathBuf) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(&path)?;
        Ok(Self { path, device: metadata.dev(), inode: metadata.ino() })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = |metadata: fs::Metadata| (metadata.dev(), metadata.ino()) == (self.device, self.inode);
        if fs::symlink_metadata(&self.path).is_ok_and(ours) {
            // A file that cannot be removed is found stale at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Listens at a path that only this user may use, without blocking.
///
/// # Errors
/// The system's error; [`AddrInUse`](io::ErrorKind::AddrInUse) if the path has a listener, or is not a socket.
pub(super) fn open(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    // The program may change its working directory before it stops.
    let path = std::path::absolute(path)?;
    let address = SockAddr::unix(&path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(&path, &address) => {
            fs::remove_file(&path)?;
            socket.bind(&address)?;
        }
        result => result?,
    }
    let file = SocketFile::of(path)?;
    // Connecting fails before `listen`, so no other user connects before this.
    fs::set_permissions(&file.path, Permissions::from_mode(0o600))?;
    socket.listen(BACKLOG)?;
    Ok((UnixListener::from(OwnedFd::from(socket)), file))
}

/// Whether the path leads to a socket without a listener: its program ended without removing it.
fn is_stale(path: &Path, address: &SockAddr) -> bool {
    if !fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket()) {
        return false;
    }
    let refused = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // A listener with a full queue is alive, and must not block us.
        socket.set_nonblocking(true)?;
        socket.connect(address)
    };
    refused().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}
