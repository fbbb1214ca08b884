//! The bytes of a connection, plain or over TLS.

use mio::net::TcpStream;
use rustls::client::Resumption;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::error::Error;
use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use ws_bench::system::connect;

/// How clients trust the servers: by one root, in TLS 1.3, each time by a full handshake.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    pub fn new(root: CertificateDer<'static>) -> Result<Self, Box<dyn Error>> {
        let mut roots = RootCertStore::empty();
        roots.add(root)?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Self(Arc::new(config)))
    }
}

pub(super) struct Channel {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Channel {
    /// The `index`th connection to this server.
    pub(super) fn connect(server: SocketAddr, index: usize, trust: Option<&Trust>) -> io::Result<Self> {
        let tls = trust.map(|Trust(config)| {
            let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
            ClientConnection::new(config.clone(), name).map(Box::new).map_err(io::Error::other)
        });
        Ok(Self { stream: connect(server, index)?, tls: tls.transpose()? })
    }

    pub(super) fn source(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Passes on what the socket has, read into the buffer first.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        mut each: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        loop {
            let n = match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let Some(tls) = &mut self.tls else {
                each(&buffer[..n])?;
                continue;
            };
            let mut cipher = &buffer[..n];
            while !cipher.is_empty() {
                tls.read_tls(&mut cipher)?;
                let state = tls.process_new_packets().map_err(io::Error::other)?;
                let mut left = state.plaintext_bytes_to_read();
                let mut reader = tls.reader();
                while left > 0 {
                    let plain = reader.fill_buf()?;
                    let n = plain.len();
                    each(plain)?;
                    reader.consume(n);
                    left -= n;
                }
            }
        }
    }

    /// Takes what it can, and returns how much.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return unless_blocked(self.stream.write(bytes)) };
        let n = tls.writer().write(bytes)?;
        self.flush()?;
        Ok(n)
    }

    /// Writes what waits encrypted.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() && unless_blocked(tls.write_tls(&mut self.stream))? > 0 {}
        Ok(())
    }
}

/// A socket that takes no more for now has taken nothing.
fn unless_blocked(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        result => result,
    }
}
