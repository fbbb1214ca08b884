//! The peer of a connection, and the address for which its server counts it.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use ws_host::server::Admission;

/// The address of a peer. A trusted proxy may say another one, with each request.
///
/// Its lock is held while the admission's is taken, and no other lock while it is.
#[derive(Debug)]
pub(crate) struct Peer(Mutex<Counted>);

#[derive(Debug)]
struct Counted {
    address: Option<SocketAddr>,
    /// The server no longer counts it.
    is_released: bool,
}

impl Peer {
    pub(crate) fn new(address: Option<SocketAddr>) -> Self {
        Self(Mutex::new(Counted { address, is_released: false }))
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.lock().address
    }

    /// Counts the connection for the address of its client, if that has changed; returns whether that address has room.
    pub(crate) fn readmit(&self, admission: Option<&Mutex<Admission>>, client: Option<SocketAddr>) -> bool {
        let mut counted = self.lock();
        if counted.address == client {
            return true;
        }
        if let Some(admission) = admission
            && !counted.is_released
            && !lock(admission).readmit(counted.address, client)
        {
            return false;
        }
        counted.address = client;
        true
    }

    /// The connection has left its server.
    pub(crate) fn release(&self, admission: &Mutex<Admission>) {
        let mut counted = self.lock();
        counted.is_released = true;
        lock(admission).release(counted.address);
    }
}

/// Its methods do not panic; if one did, the counts would still be counts.
pub(crate) fn lock(admission: &Mutex<Admission>) -> MutexGuard<'_, Admission> {
    admission.lock().unwrap_or_else(PoisonError::into_inner)
}
