//! The loop's side of a socket of the fake kernel.

use super::kernel::Kernel;
use crate::sys::listener::Accept;
use crate::sys::socket::{Dial, FakeSocket, Stream};
use mio::Token;
use std::io::{self, IoSlice};
use std::net::SocketAddr;

struct Socket {
    kernel: Kernel,
    id: usize,
}

impl FakeSocket for Socket {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.kernel.lock().register(self.id, token)
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.kernel.lock().read(self.id, buffer)
    }

    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.kernel.lock().write(self.id, slices)
    }

    fn shutdown(&self) -> io::Result<()> {
        self.kernel.lock().shutdown(self.id)
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.kernel.lock().take_error(self.id)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.kernel.lock().local_addr(self.id)
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.kernel.lock().peer_addr(self.id)
    }

    fn short_says_all(&self) -> bool {
        !self.kernel.lock().armed_system
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.kernel.lock().close(self.id);
    }
}

/// The listener at this place.
pub(super) fn listener(kernel: &Kernel, place: usize) -> Accept {
    let kernel = kernel.clone();
    Box::new(move || {
        let (id, peer) = kernel.lock().accept(place)?;
        Ok((Stream::Fake(Box::new(Socket { kernel: kernel.clone(), id })), peer))
    })
}

/// Who connects.
pub(super) fn dial(kernel: &Kernel) -> Dial {
    let kernel = kernel.clone();
    Box::new(move |address| {
        let id = kernel.lock().dial(address)?;
        Ok(Stream::Fake(Box::new(Socket { kernel: kernel.clone(), id })))
    })
}
