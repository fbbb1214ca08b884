//! A client that knows just enough of RFC 6455 to load a server: separate code, because the code under test must not
//! check itself.

use mio::net::TcpStream;
use rustls::{ClientConfig, ClientConnection};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use ws_bench::system::connect;

pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;
/// Any non-zero key will do.
pub const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// One non-blocking connection.
pub struct Peer {
    pub stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    /// Received bytes that do not form a whole frame yet.
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    /// The 101 response has arrived.
    pub open: bool,
}

impl Peer {
    /// The `index`th connection to this server.
    pub fn connect(server: SocketAddr, index: usize, tls: Option<&Arc<ClientConfig>>) -> io::Result<Self> {
        let session = |tls: &Arc<ClientConfig>| {
            let name = "localhost".try_into().map_err(io::Error::other)?;
            ClientConnection::new(tls.clone(), name).map(Box::new).map_err(io::Error::other)
        };
        let tls = tls.map(session).transpose()?;
        Ok(Self { stream: connect(server, index)?, tls, inbox: Vec::new(), outbox: Vec::new(), open: false })
    }

    /// Requests a WebSocket.
    pub fn send_handshake(&mut self, server: SocketAddr) -> io::Result<()> {
        self.outbox.extend_from_slice(
            format!(
                "GET / HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            .as_bytes(),
        );
        self.flush()
    }

    /// The pending output, to append to.
    pub fn outbox(&mut self) -> &mut Vec<u8> {
        &mut self.outbox
    }

    /// Writes what the socket accepts.
    pub fn flush(&mut self) -> io::Result<()> {
        let mut sent = 0;
        while sent < self.outbox.len() || self.tls.as_ref().is_some_and(|tls| tls.wants_write()) {
            match self.write(sent) {
                Ok(n) => sent += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.outbox.drain(..sent);
        if self.outbox.is_empty() && self.outbox.capacity() > 0 && sent < 4096 {
            self.outbox = Vec::new();
        }
        Ok(())
    }

    /// Writes the outbox from this offset; with TLS, what is encrypted already precedes it. Returns how much was taken.
    fn write(&mut self, from: usize) -> io::Result<usize> {
        match &mut self.tls {
            None => self.stream.write(&self.outbox[from..]),
            Some(tls) if tls.wants_write() => tls.write_tls(&mut self.stream).map(|_| 0),
            Some(tls) if tls.is_handshaking() => Err(ErrorKind::WouldBlock.into()),
            Some(tls) => tls.writer().write(&self.outbox[from..]),
        }
    }

    /// Reads what is available, decrypted.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.stream.read(buffer) };
        loop {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return result,
            }
            let was_handshaking = tls.is_handshaking();
            if tls.read_tls(&mut self.stream)? == 0 {
                return Ok(0);
            }
            tls.process_new_packets().map_err(io::Error::other)?;
            if was_handshaking {
                // Its answer, and what waits for it.
                self.flush()?;
                return self.receive(buffer);
            }
        }
    }

    /// Reads available input, into `buffer` first, and passes on each frame: its first byte and its payload.
    pub fn read(&mut self, buffer: &mut [u8], mut frame: impl FnMut(u8, &[u8])) -> io::Result<()> {
        loop {
            let n = match self.receive(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            if self.inbox.is_empty() {
                let used = self.take(&buffer[..n], &mut frame)?;
                self.inbox.extend_from_slice(&buffer[used..n]);
            } else {
                let mut inbox = std::mem::take(&mut self.inbox);
                inbox.extend_from_slice(&buffer[..n]);
                let used = self.take(&inbox, &mut frame)?;
                inbox.drain(..used);
                if !inbox.is_empty() {
                    self.inbox = inbox;
                }
            }
        }
    }

    /// Reads available input from a server without frames; returns how many bytes.
    pub fn read_raw(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => read += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(read),
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns how many bytes formed whole frames.
    fn take(&mut self, bytes: &[u8], frame: &mut impl FnMut(u8, &[u8])) -> io::Result<usize> {
        let mut used = 0;
        if !self.open {
            let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(0) };
            if !bytes.starts_with(b"HTTP/1.1 101 ") {
                return Err(io::Error::other(String::from_utf8_lossy(&bytes[..end]).into_owned()));
            }
            self.open = true;
            used = end + 4;
        }
        while let Some((first, at, len)) = header(&bytes[used..])
            && let Some(payload) = bytes[used..].get(at..at + len)
        {
            if first == PING {
                let payload = payload.to_vec();
                append(&mut self.outbox, PONG, &payload);
                self.flush()?;
            } else {
                frame(first, payload);
            }
            used += at + len;
        }
        Ok(used)
    }
}

/// For a frame from a server: its first byte, the offset of the payload, and its length.
fn header(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    Some(match second {
        126 => (first, 4, u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into()),
        127 => (first, 10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize),
        len => (first, 2, len.into()),
    })
}

/// Appends a masked frame of up to 64 KiB.
pub fn append(out: &mut Vec<u8>, first: u8, payload: &[u8]) {
    match payload.len() {
        len @ 0..=125 => out.extend_from_slice(&[first, 0x80 | len as u8]),
        len => {
            let [a, b] = (len as u16).to_be_bytes();
            out.extend_from_slice(&[first, 0x80 | 126, a, b]);
        }
    }
    out.extend_from_slice(&KEY);
    out.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
}
