//! The PROXY header before what a socket reads.

use super::protocol::{ProxyHeader, Source};
use core::net::SocketAddr;
use std::io::{self, Read};
use std::vec::Vec;
use ws_proto::ProxyHeaderError;

/// The PROXY header of one connection, before the first byte of it, and of TLS. The socket must not block.
///
/// A failure is [`InvalidData`](io::ErrorKind::InvalidData) with the [`ProxyHeaderError`] inside, where
/// [`Error::from`](ws_proto::Error) finds it.
#[derive(Debug)]
pub struct ProxyHeaderLayer {
    /// `None` once it is whole.
    header: Option<ProxyHeader>,
    /// What was read behind it.
    rest: Vec<u8>,
    client: Option<SocketAddr>,
}

/// The most bytes of one read: few enough to be held, if they are not of the header.
const READ: usize = 536;

impl ProxyHeaderLayer {
    /// Before a connection from which nothing has been read yet. A header of version 2 may have this many bytes.
    pub fn new(limit: usize) -> Self {
        Self { header: Some(ProxyHeader::new(limit)), rest: Vec::new(), client: None }
    }

    /// Whether the header is not whole.
    pub fn is_awaiting(&self) -> bool {
        self.header.is_some()
    }

    /// Whether it holds bytes that were read behind the header.
    pub fn has_input(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Whether it has nothing more to say: the header is whole, what was read behind it is passed on, and the client was
    /// taken.
    pub fn is_done(&self) -> bool {
        !self.is_awaiting() && self.rest.is_empty() && self.client.is_none()
    }

    /// The client that the header names, once.
    pub fn take_client(&mut self) -> Option<SocketAddr> {
        self.client.take()
    }

    /// Reads what follows the header. It reads the socket at most once: for bytes of the header it returns
    /// [`Interrupted`](io::ErrorKind::Interrupted), also for the last of them. So the caller gets the
    /// [client](Self::take_client) before the first byte of the connection.
    ///
    /// # Errors
    /// The socket's, or what is wrong with the header.
    pub fn read(&mut self, socket: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(header) = &mut self.header else {
            if self.rest.is_empty() {
                return socket.read(buffer);
            }
            let n = self.rest.len().min(buffer.len());
            buffer[..n].copy_from_slice(&self.rest[..n]);
            self.rest.drain(..n);
            if self.rest.is_empty() {
                self.rest = Vec::new();
            }
            return Ok(n);
        };
        let mut bytes = [0; READ];
        let n = socket.read(&mut bytes)?;
        if n == 0 {
            // Checks whether the server is up may say nothing at all.
            return if header.is_empty() { Ok(0) } else { Err(failed(ProxyHeaderError::Truncated)) };
        }
        let mut input = &bytes[..n];
        if let Some(source) = header.receive(&mut input).map_err(failed)? {
            self.header = None;
            self.rest = input.to_vec();
            self.client = match source {
                Source::Client(client) => Some(client),
                Source::Proxy => None,
            };
        }
        Err(io::ErrorKind::Interrupted.into())
    }
}

fn failed(error: ProxyHeaderError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
