//! A socket with layers: TLS, a tunnel through a proxy, or both. To the loop, it reads and writes what is within.
//!
//! It is drained once the kernel is, and no layer has a whole record left. So ciphertext held by a session neither
//! stalls an edge-triggered loop nor makes it spin.
//!
//! A read may have output to write, but does not retry a write that the kernel has refused. On Windows, that would ask
//! for all readiness anew: EOF would be reported, read and reported again until the peer takes the output.

use crate::sys::socket::{NewSocket, Socket, SocketRef};
use mio::Token;
use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use ws_host::layer::{ConnectStep, Layer};
use ws_proto::{Config, TlsInfo};

pub(crate) struct LayeredSocket {
    inner: NewSocket,
    layer: RefCell<Layer>,
    /// The kernel takes no output until the loop writes or flushes, which it does when there is room.
    is_blocked: Cell<bool>,
    /// The sending half is to be shut down once the encrypted output is written.
    is_closing: Cell<bool>,
}

impl LayeredSocket {
    pub(crate) fn new(inner: NewSocket, layer: impl Into<Layer>) -> Self {
        Self {
            inner,
            layer: RefCell::new(layer.into()),
            is_blocked: Cell::new(false),
            is_closing: Cell::new(false),
        }
    }

    fn beneath(&self) -> Beneath<'_> {
        Beneath { socket: self.inner.as_ref(), is_blocked: &self.is_blocked }
    }
}

impl Socket for LayeredSocket {
    fn register(&mut self, _: Token) -> io::Result<()> {
        // The socket beneath is registered before the layers begin.
        Ok(())
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.layer.borrow_mut().read(&mut self.beneath(), buffer)
    }

    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.is_blocked.set(false);
        self.layer.borrow_mut().write(&mut self.beneath(), slices)
    }

    fn holds_output(&self) -> bool {
        self.layer.borrow().holds_output()
    }

    fn flush(&self) -> io::Result<()> {
        self.is_blocked.set(false);
        self.layer.borrow_mut().flush(&mut self.beneath())?;
        if self.is_closing.take() { self.inner.as_ref().shutdown() } else { Ok(()) }
    }

    /// Sends close_notify if it speaks TLS, then shuts down the sending half, now or once the kernel has taken the rest.
    fn shutdown(&self) -> io::Result<()> {
        self.layer.borrow_mut().close();
        self.is_closing.set(true);
        match self.flush() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            result => result,
        }
    }

    fn reset_on_close(&self) {
        self.inner.as_ref().reset_on_close();
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.inner.as_ref().take_error()
    }

    fn short_transfer_is_last(&self) -> bool {
        false
    }

    fn is_drained(&self, _: usize, _: usize) -> bool {
        self.inner.as_ref().short_transfer_is_last() && self.layer.borrow().is_drained()
    }

    fn is_handshaking(&self) -> bool {
        self.layer.borrow().is_handshaking()
    }

    fn step(&self) -> ConnectStep {
        self.layer.borrow().step()
    }

    fn flights(&self) -> u32 {
        self.layer.borrow().flights()
    }

    fn redirect(&self) -> Option<Arc<Config>> {
        self.layer.borrow().redirect().cloned()
    }

    fn take_client(&self) -> Option<SocketAddr> {
        self.layer.borrow_mut().take_client()
    }

    fn tls(&self) -> Option<Arc<TlsInfo>> {
        self.layer.borrow().info().cloned()
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.as_ref().local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.as_ref().peer_addr()
    }
}

/// The socket beneath.
struct Beneath<'s> {
    socket: SocketRef<'s>,
    is_blocked: &'s Cell<bool>,
}

impl Read for Beneath<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.read(buffer)
    }
}

impl Write for Beneath<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buffer)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.is_blocked.get() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let written = self.socket.write_vectored(slices);
        self.is_blocked.set(matches!(&written, Err(error) if error.kind() == io::ErrorKind::WouldBlock));
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
