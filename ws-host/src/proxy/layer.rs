//! A tunnel through a proxy, over a socket that does not block.

use super::{ProxyServer, Tunnel};
#[cfg(feature = "tls-no-provider")]
use crate::tls::TlsLayer;
use std::boxed::Box;
use std::io::{self, IoSlice, Read, Write};
use ws_proto::{ClientRequest, Config, ProxyError, TlsError};

/// The tunnel of one connection: reads and writes through it over a socket, which the caller passes to each call. The
/// socket must not block; where it returns [`WouldBlock`](io::ErrorKind::WouldBlock), so do these methods.
///
/// A failure is [`InvalidData`](io::ErrorKind::InvalidData) with the [`ProxyError`] inside, where
/// [`Error::from`](ws_proto::Error) finds it.
#[derive(Debug)]
pub struct ProxyLayer {
    /// With the proxy itself.
    #[cfg(feature = "tls-no-provider")]
    tls: Option<TlsLayer>,
    /// `None` once it is open, and all of our side of it is written.
    tunnel: Option<Box<Tunnel>>,
}

impl ProxyLayer {
    /// A tunnel to the server of this request, over a connection to this proxy from which nothing has been read yet.
    ///
    /// # Errors
    /// [`ProxyError::Target`] and [`ProxyError::Tls`]: nothing was sent.
    pub fn new(proxy: &ProxyServer, request: &ClientRequest, config: &Config) -> Result<Self, ProxyError> {
        let tunnel = Some(Box::new(Tunnel::new(proxy, request, config)?));
        #[cfg(feature = "tls-no-provider")]
        if proxy.is_tls() {
            let tls = TlsLayer::client(proxy.tls(), proxy.address().host()).map_err(ProxyError::Tls)?;
            return Ok(Self { tls: Some(tls), tunnel });
        }
        Ok(Self {
            #[cfg(feature = "tls-no-provider")]
            tls: None,
            tunnel,
        })
    }

    /// Whether the tunnel is not open yet: nothing can be written.
    pub fn is_opening(&self) -> bool {
        self.tunnel.is_some()
    }

    /// Reads from the tunnel, and writes our side of opening it. Only `WouldBlock` means that there is no more; 0 is the
    /// end.
    ///
    /// It reads the socket at most once: for bytes of the proxy itself it returns
    /// [`Interrupted`](io::ErrorKind::Interrupted), so that a proxy that sends nothing else does not occupy the thread.
    ///
    /// # Errors
    /// The socket's, or a failure of the proxy.
    pub fn read(&mut self, socket: &mut (impl Read + Write), buffer: &mut [u8]) -> io::Result<usize> {
        if self.tunnel.as_ref().is_none_or(|tunnel| tunnel.is_open()) {
            return self.read_below(socket, buffer).map_err(after_opening);
        }
        let written = self.flush(socket);
        let n = match self.read_below(socket, buffer) {
            Ok(0) => return Err(failed(ProxyError::Eof)),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(written.err().unwrap_or(error));
            }
            Err(error) => return Err(while_opening(error)),
        };
        let Some(tunnel) = &mut self.tunnel else { return Ok(n) };
        let mut input = &mut buffer[..n];
        let is_open = tunnel.receive(&mut input).map_err(failed)?;
        let left = input.len();
        // The next message to the proxy. If that fails, reading will report it.
        let _ = self.flush(socket);
        if !is_open || left == 0 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        buffer.copy_within(n - left..n, 0);
        Ok(left)
    }

    /// Writes into the tunnel, and returns how much the socket has taken. Where the proxy speaks TLS, more may be
    /// encrypted than that: pass the rest again, first and unchanged.
    ///
    /// # Errors
    /// The socket's, or a failure of the proxy. Until the tunnel is open it returns `WouldBlock` too.
    pub fn write(&mut self, socket: &mut impl Write, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.tunnel.is_some() {
            self.flush(socket)?;
        }
        match self.tunnel {
            Some(_) => Err(io::ErrorKind::WouldBlock.into()),
            None => self.write_below(socket, slices).map_err(after_opening),
        }
    }

    /// Writes what it holds: our side of opening the tunnel, or encrypted output.
    ///
    /// # Errors
    /// The socket's, or a failure of the proxy; `WouldBlock` only if the socket would block.
    pub fn flush(&mut self, socket: &mut impl Write) -> io::Result<()> {
        #[cfg(feature = "tls-no-provider")]
        if let Some(tls) = self.tls.as_mut() {
            tls.flush(socket).map_err(after_opening)?;
            // The handshake continues with the next read.
            if tls.is_handshaking() {
                return Ok(());
            }
        }
        while let Some(tunnel) = self.tunnel.take_if(|tunnel| !tunnel.output().is_empty()) {
            let written = self.write_below(socket, &[IoSlice::new(tunnel.output())]);
            let tunnel = self.tunnel.insert(tunnel);
            match written {
                Ok(0) => return Err(failed(ProxyError::Io(io::ErrorKind::WriteZero))),
                Ok(n) => tunnel.written(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                Err(error) => return Err(while_opening(error)),
            }
        }
        if self.tunnel.as_ref().is_some_and(|tunnel| tunnel.is_open()) {
            self.tunnel = None;
        }
        Ok(())
    }

    /// Queues the close_notify of the TLS with the proxy: [flush](Self::flush) it before you shut the socket down.
    pub fn close(&mut self) {
        #[cfg(feature = "tls-no-provider")]
        if let Some(tls) = &mut self.tls {
            tls.close();
        }
    }

    /// How many flights of its handshake TLS with the proxy has sent in answer to it.
    pub fn flights(&self) -> u32 {
        #[cfg(feature = "tls-no-provider")]
        if let Some(tls) = &self.tls {
            return tls.flights();
        }
        0
    }

    /// Whether TLS with the proxy has something to [`flush`](Self::flush).
    pub fn needs_flush(&self) -> bool {
        #[cfg(feature = "tls-no-provider")]
        let needs_flush = self.tls.as_ref().is_some_and(TlsLayer::needs_flush);
        #[cfg(not(feature = "tls-no-provider"))]
        let needs_flush = false;
        needs_flush
    }

    /// Whether TLS with the proxy has received what a [`read`](Self::read) returns without reading the socket.
    pub fn has_input(&self) -> bool {
        #[cfg(feature = "tls-no-provider")]
        let has_input = self.tls.as_ref().is_some_and(TlsLayer::has_input);
        #[cfg(not(feature = "tls-no-provider"))]
        let has_input = false;
        has_input
    }

    /// Whether it may hold encrypted output that [`write`](Self::write) has not yet counted as written.
    pub fn holds_output(&self) -> bool {
        #[cfg(feature = "tls-no-provider")]
        let holds_output = self.tls.is_some();
        #[cfg(not(feature = "tls-no-provider"))]
        let holds_output = false;
        holds_output
    }

    fn read_below(&mut self, socket: &mut (impl Read + Write), buffer: &mut [u8]) -> io::Result<usize> {
        #[cfg(feature = "tls-no-provider")]
        if let Some(tls) = &mut self.tls {
            return tls.read(socket, buffer);
        }
        socket.read(buffer)
    }

    fn write_below(&mut self, socket: &mut impl Write, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        #[cfg(feature = "tls-no-provider")]
        if let Some(tls) = &mut self.tls {
            return tls.write(socket, slices);
        }
        socket.write_vectored(slices)
    }
}

/// An error of the socket or of TLS before the tunnel is open.
fn while_opening(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::Interrupted => error,
        kind => match tls_error(&error) {
            Some(tls) => failed(ProxyError::Tls(tls)),
            None => failed(ProxyError::Io(kind)),
        },
    }
}

/// An error once it is open: only TLS is between the client and its proxy, not its server.
fn after_opening(error: io::Error) -> io::Error {
    tls_error(&error).map_or(error, |tls| failed(ProxyError::Tls(tls)))
}

fn tls_error(error: &io::Error) -> Option<TlsError> {
    error.get_ref()?.downcast_ref::<TlsError>().cloned()
}

fn failed(error: ProxyError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
