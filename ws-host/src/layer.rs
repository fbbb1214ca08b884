//! What is between a socket and its connection: a tunnel through a proxy, TLS, or TLS within a tunnel; for a server, the
//! header of a trusted proxy, TLS, or both.
//!
//! ```text
//!  client's Connection ◀──▶ TLS with the server ◀──▶ tunnel ◀──▶ TLS with the proxy ◀──▶ socket
//!  server's Connection ◀──▶ TLS with the client ◀──▶ PROXY header ◀──▶ socket
//! ```

use crate::proxy::ProxyLayer;
#[cfg(feature = "tls-no-provider")]
use crate::tls::TlsLayer;
use crate::trusted_proxy::ProxyHeaderLayer;
use core::fmt;
use core::net::SocketAddr;
use std::boxed::Box;
use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;
use ws_proto::{Config, TlsInfo};

/// The layers of one connection over a socket, which the caller passes to each call. The socket must not block; where
/// it returns [`WouldBlock`](io::ErrorKind::WouldBlock), so do these methods, and the caller waits for the socket as if
/// it had called it itself.
#[derive(Debug, Default)]
pub struct Layer {
    /// Before the connection of a trusted proxy.
    header: Option<Box<ProxyHeaderLayer>>,
    proxy: Option<Box<ProxyLayer>>,
    #[cfg(feature = "tls-no-provider")]
    tls: Option<TlsLayer>,
    is_closing: bool,
    /// The last read has read the socket, which had less than was asked for.
    is_short: bool,
}

/// What a connection attempt waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectStep {
    /// The connection to the server, or to its proxy.
    Connect,
    /// The proxy: TLS with it, or its tunnel.
    Proxy,
    /// The TLS handshake with the server.
    Tls,
    /// The server's answer to the opening handshake.
    Handshake,
    /// The rest of an answer that redirects.
    Redirect,
}

impl fmt::Display for ConnectStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "no address has accepted the connection",
            Self::Proxy => "the proxy has not opened the tunnel",
            Self::Tls => "the TLS handshake is not finished",
            Self::Handshake => "the server has not answered the handshake",
            Self::Redirect => "the server has not completed its redirect",
        })
    }
}

impl Layer {
    /// With a tunnel through a proxy beneath.
    #[must_use]
    pub fn through(mut self, proxy: ProxyLayer) -> Self {
        self.proxy = Some(Box::new(proxy));
        self
    }

    /// With the PROXY header of a trusted proxy before the first byte. A header of version 2 may have this many bytes.
    #[must_use]
    pub fn after_proxy_header(mut self, limit: usize) -> Self {
        self.header = Some(Box::new(ProxyHeaderLayer::new(limit)));
        self
    }

    /// The client that the PROXY header names, once: ask after each [read](Self::read) before the first byte of the
    /// connection. Nothing of the client itself is looked at before.
    pub fn take_client(&mut self) -> Option<SocketAddr> {
        let client = self.header.as_mut()?.take_client();
        self.header.take_if(|header| header.is_done());
        client
    }

    /// Reads what the peer sent, and writes our side of what the layers negotiate. Only `WouldBlock` means that neither
    /// the socket nor a layer has more; 0 is the end. It reads the socket at most once: for bytes of the layers
    /// themselves it returns [`Interrupted`](io::ErrorKind::Interrupted).
    ///
    /// # Errors
    /// The socket's, or a failure of a layer.
    pub fn read(&mut self, socket: &mut (impl Read + Write), buffer: &mut [u8]) -> io::Result<usize> {
        let mut header = self.header.take();
        let is_awaiting = header.as_ref().is_some_and(|header| header.is_awaiting());
        let mut beneath = Beneath { socket, header: header.as_deref_mut(), is_short: false };
        let read = if is_awaiting { beneath.read(buffer) } else { self.read_behind(&mut beneath, buffer) };
        self.is_short = beneath.is_short;
        self.header = header.filter(|header| !header.is_done());
        read
    }

    /// Reads what follows the PROXY header, if there is one.
    fn read_behind(&mut self, socket: &mut (impl Read + Write), buffer: &mut [u8]) -> io::Result<usize> {
        #[cfg(feature = "tls-no-provider")]
        if let Some(tls) = &mut self.tls {
            return match &mut self.proxy {
                Some(proxy) => tls.read(&mut Over { proxy, socket }, buffer),
                None => tls.read(socket, buffer),
            };
        }
        match &mut self.proxy {
            Some(proxy) => proxy.read(socket, buffer),
            None => socket.read(buffer),
        }
    }

    /// Whether the last [`read`](Self::read) has read the socket, which had less than was asked for, and left nothing
    /// in the layers. Where a short read shows that the kernel has no more, another one would return `WouldBlock`.
    pub fn is_drained(&self) -> bool {
        self.is_short && !self.has_input()
    }

    fn has_input(&self) -> bool {
        let has_input = self.proxy.as_ref().is_some_and(|proxy| proxy.has_input())
            || self.header.as_ref().is_some_and(|header| header.has_input());
        #[cfg(feature = "tls-no-provider")]
        let has_input = has_input || self.tls.as_ref().is_some_and(TlsLayer::has_input);
        has_input
    }

    /// Writes, and returns how much the socket has taken. If it [holds output](Self::holds_output), pass the rest
    /// again, first and unchanged, with a further call, or [`flush`](Self::flush).
    ///
    /// # Errors
    /// The socket's, or a failure of a layer. While it [is opening](Self::is_handshaking) it returns `WouldBlock` too,
    /// until reading has completed that.
    pub fn write(&mut self, socket: &mut impl Write, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.awaits_header() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        #[cfg(feature = "tls-no-provider")]
        if let Some(tls) = &mut self.tls {
            return match &mut self.proxy {
                Some(proxy) => tls.write(&mut Over { proxy, socket }, slices),
                None => tls.write(socket, slices),
            };
        }
        match &mut self.proxy {
            Some(proxy) => proxy.write(socket, slices),
            None => socket.write_vectored(slices),
        }
    }

    /// Writes what the layers hold.
    ///
    /// # Errors
    /// The socket's, or a failure of a layer; `WouldBlock` only if the socket would block.
    pub fn flush(&mut self, socket: &mut impl Write) -> io::Result<()> {
        if let Some(proxy) = &mut self.proxy {
            proxy.flush(socket)?;
            if proxy.is_opening() {
                return Ok(());
            }
        }
        #[cfg(feature = "tls-no-provider")]
        if let Some(tls) = &mut self.tls {
            match &mut self.proxy {
                Some(proxy) => tls.flush(&mut Over { proxy, socket })?,
                None => tls.flush(socket)?,
            }
        }
        match &mut self.proxy {
            Some(proxy) if self.is_closing => {
                proxy.close();
                proxy.flush(socket)
            }
            _ => Ok(()),
        }
    }

    /// Whether to call [`flush`](Self::flush): encrypted output is not yet written, or a read failed to write it, which
    /// flushing reports.
    pub fn needs_flush(&self) -> bool {
        match &self.proxy {
            Some(proxy) if proxy.needs_flush() => return true,
            // What TLS with the server holds waits for the tunnel.
            Some(proxy) if proxy.is_opening() => return false,
            _ => {}
        }
        #[cfg(feature = "tls-no-provider")]
        let needs_flush = self.tls.as_ref().is_some_and(TlsLayer::needs_flush);
        #[cfg(not(feature = "tls-no-provider"))]
        let needs_flush = false;
        needs_flush
    }

    /// Queues the close_notify of each TLS: [flush](Self::flush) them before you shut the socket down.
    pub fn close(&mut self) {
        self.is_closing = true;
        #[cfg(feature = "tls-no-provider")]
        if let Some(tls) = &mut self.tls {
            tls.close();
        }
    }

    /// Whether the PROXY header is not whole, or the tunnel or a TLS handshake is in progress: until that is done, no byte
    /// of the connection is sent.
    pub fn is_handshaking(&self) -> bool {
        self.awaits_header() || self.step() != ConnectStep::Handshake
    }

    fn awaits_header(&self) -> bool {
        self.header.as_ref().is_some_and(|header| header.is_awaiting())
    }

    /// What a connection attempt over it waits for.
    pub fn step(&self) -> ConnectStep {
        match &self.proxy {
            Some(proxy) if proxy.is_opening() => return ConnectStep::Proxy,
            _ => {}
        }
        #[cfg(feature = "tls-no-provider")]
        if self.tls.as_ref().is_some_and(TlsLayer::is_handshaking) {
            return ConnectStep::Tls;
        }
        ConnectStep::Handshake
    }

    /// How many flights of TLS handshakes it has sent in answer to the peer. Each costs a signature or a key exchange;
    /// everything else is cheap.
    pub fn flights(&self) -> u32 {
        let flights = self.proxy.as_ref().map_or(0, |proxy| proxy.flights());
        #[cfg(feature = "tls-no-provider")]
        let flights = flights + self.tls.as_ref().map_or(0, TlsLayer::flights);
        flights
    }

    /// Whether it may hold encrypted output that [`write`](Self::write) has not yet counted as written.
    pub fn holds_output(&self) -> bool {
        let holds_output = self.proxy.as_ref().is_some_and(|proxy| proxy.holds_output());
        #[cfg(feature = "tls-no-provider")]
        let holds_output = holds_output || self.tls.is_some();
        holds_output
    }

    /// The result of the TLS handshake with the peer, once it is done.
    pub fn info(&self) -> Option<&Arc<TlsInfo>> {
        #[cfg(feature = "tls-no-provider")]
        let info = self.tls.as_ref().and_then(TlsLayer::info);
        #[cfg(not(feature = "tls-no-provider"))]
        let info = None;
        info
    }

    /// The configuration that redirects the peer, which does not speak TLS.
    pub fn redirect(&self) -> Option<&Arc<Config>> {
        #[cfg(feature = "tls-no-provider")]
        let redirect = self.tls.as_ref().and_then(TlsLayer::redirect);
        #[cfg(not(feature = "tls-no-provider"))]
        let redirect = None;
        redirect
    }
}

#[cfg(feature = "tls-no-provider")]
impl From<TlsLayer> for Layer {
    fn from(tls: TlsLayer) -> Self {
        Self { tls: Some(tls), ..Self::default() }
    }
}

/// The socket behind the PROXY header, and whether it had less than was asked for.
struct Beneath<'l, S> {
    socket: &'l mut S,
    header: Option<&'l mut ProxyHeaderLayer>,
    is_short: bool,
}

impl<S: Read> Read for Beneath<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut socket = Noted { socket: self.socket, is_short: &mut self.is_short };
        match &mut self.header {
            Some(header) => header.read(&mut socket, buffer),
            None => socket.read(buffer),
        }
    }
}

impl<S: Write> Write for Beneath<'_, S> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.socket.write(data)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

/// The socket, whose short reads are noted.
struct Noted<'l, S> {
    socket: &'l mut S,
    is_short: &'l mut bool,
}

impl<S: Read> Read for Noted<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.socket.read(buffer)?;
        *self.is_short = n < buffer.len();
        Ok(n)
    }
}

/// The tunnel, as TLS with the server sees it.
#[cfg(feature = "tls-no-provider")]
struct Over<'l, S> {
    proxy: &'l mut ProxyLayer,
    socket: &'l mut S,
}

#[cfg(feature = "tls-no-provider")]
impl<S: Read + Write> Read for Over<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.proxy.read(self.socket, buffer)
    }
}

#[cfg(feature = "tls-no-provider")]
impl<S: Write> Write for Over<'_, S> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.proxy.write(self.socket, &[IoSlice::new(data)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.proxy.write(self.socket, slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.proxy.flush(self.socket)
    }
}
