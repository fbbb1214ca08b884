//! The header of the PROXY protocol, as haproxy's `proxy-protocol.txt` defines it.
//!
//! ```text
//!  version 1   PROXY TCP4 192.0.2.1 10.0.0.1 56324 443 CR LF              a line of at most 107 bytes
//!  version 2   signature, version and command, family, length ── addresses ── TLVs, skipped
//! ```

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::vec::Vec;
use ws_proto::ProxyHeaderError;

/// The longest line of version 1, its end included.
const LINE: usize = 107;
const PREFIX: &[u8] = b"PROXY ";

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2 up to its length.
const FIXED: usize = 16;
/// Both addresses and ports of IPv6. What follows is skipped.
const ADDRESSES: usize = 36;

/// The default limit of a header of version 2, in bytes: what the protocol's text advises receivers to take.
pub const HEADER_LIMIT: usize = 536;

/// Reads the header before a connection, byte by byte if need be. It holds 107 bytes at most, whatever length is declared.
///
/// ```
/// use ws_host::trusted_proxy::{HEADER_LIMIT, ProxyHeader, Source};
///
/// let mut header = ProxyHeader::new(HEADER_LIMIT);
/// let mut input = &b"PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\nGET / HTTP/1.1\r\n"[..];
/// assert_eq!(header.receive(&mut input), Ok(Some(Source::Client("192.0.2.1:56324".parse().unwrap()))));
/// assert_eq!(input, b"GET / HTTP/1.1\r\n");
/// ```
#[derive(Debug)]
pub struct ProxyHeader {
    limit: usize,
    bytes: Vec<u8>,
    /// The rest of version 2 that is skipped, and what it said.
    skipping: Option<(usize, Source)>,
}

/// Whose connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// That of the client at this address.
    Client(SocketAddr),
    /// The proxy's own, such as a check whether the server is up, or that of a client without an IP address.
    Proxy,
}

impl ProxyHeader {
    /// Before the first byte. A header of version 2 may have this many bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, bytes: Vec::new(), skipping: None }
    }

    /// Whether nothing was received.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes bytes up to the end of the header, and returns whose connection it is once it is whole.
    ///
    /// # Errors
    /// [`ProxyHeaderError`], with the first byte that shows it.
    pub fn receive(&mut self, input: &mut &[u8]) -> Result<Option<Source>, ProxyHeaderError> {
        while let Some((first, rest)) = input.split_first() {
            if let Some((left, source)) = &mut self.skipping {
                let n = input.len().min(*left);
                *input = &input[n..];
                *left -= n;
                return Ok((*left == 0).then_some(*source));
            }
            self.bytes.push(*first);
            *input = rest;
            let source = match self.bytes[0] {
                b'P' => self.line()?,
                _ => self.binary()?,
            };
            if source.is_some() {
                return Ok(source);
            }
        }
        Ok(None)
    }

    /// Version 1, after a further byte.
    fn line(&mut self) -> Result<Option<Source>, ProxyHeaderError> {
        let n = self.bytes.len();
        if n <= PREFIX.len() {
            return if PREFIX.starts_with(&self.bytes) { Ok(None) } else { Err(ProxyHeaderError::Missing) };
        }
        match self.bytes[n - 2..] {
            [b'\r', b'\n'] => parse_line(&self.bytes[PREFIX.len()..n - 2]).map(Some),
            [b'\r', _] | [_, b'\n'] => Err(ProxyHeaderError::Malformed("its line does not end with CR LF")),
            _ if n == LINE => Err(ProxyHeaderError::TooLong { length: None, limit: LINE }),
            _ => Ok(None),
        }
    }

    /// Version 2, after a further byte.
    fn binary(&mut self) -> Result<Option<Source>, ProxyHeaderError> {
        let n = self.bytes.len();
        if n <= SIGNATURE.len() {
            return if SIGNATURE.starts_with(&self.bytes) {
                Ok(None)
            } else {
                Err(ProxyHeaderError::Missing)
            };
        }
        if n < FIXED {
            return Ok(None);
        }
        let length = usize::from(u16::from_be_bytes([self.bytes[14], self.bytes[15]]));
        if n == FIXED && FIXED + length > self.limit {
            return Err(ProxyHeaderError::TooLong { length: Some(FIXED + length), limit: self.limit });
        }
        let needed = needed(self.bytes[12], self.bytes[13], length)?;
        if n < FIXED + needed {
            return Ok(None);
        }
        let addresses = &self.bytes[FIXED..];
        let source = match needed {
            12 => Source::Client(source_of::<4>(addresses, |ip| Ipv4Addr::from(ip).into())),
            ADDRESSES => Source::Client(source_of::<16>(addresses, |ip| Ipv6Addr::from(ip).into())),
            _ => Source::Proxy,
        };
        if length == needed {
            return Ok(Some(source));
        }
        self.skipping = Some((length - needed, source));
        Ok(None)
    }
}

/// How many bytes of the addresses are read.
fn needed(command: u8, family: u8, length: usize) -> Result<usize, ProxyHeaderError> {
    let needed = match (command, family) {
        // LOCAL: whatever else it says is ignored.
        (0x20, _) => 0,
        // PROXY, for a client of unknown family, or of a Unix socket.
        (0x21, 0x00 | 0x31) => 0,
        (0x21, 0x11) => 12,
        (0x21, 0x21) => ADDRESSES,
        (0x21, _) => return Err(ProxyHeaderError::Malformed("its family is not that of a stream")),
        (0x22..=0x2f, _) => return Err(ProxyHeaderError::Malformed("its command")),
        _ => return Err(ProxyHeaderError::Malformed("its version")),
    };
    match needed <= length {
        true => Ok(needed),
        false => Err(ProxyHeaderError::Malformed("it is too short for its addresses")),
    }
}

/// The source of both addresses, which precede both ports.
fn source_of<const N: usize>(addresses: &[u8], ip: impl Fn([u8; N]) -> IpAddr) -> SocketAddr {
    let address = addresses.first_chunk().copied().unwrap_or([0; N]);
    let port = u16::from_be_bytes([addresses[2 * N], addresses[2 * N + 1]]);
    SocketAddr::new(ip(address).to_canonical(), port)
}

/// What follows `PROXY `.
fn parse_line(line: &[u8]) -> Result<Source, ProxyHeaderError> {
    let mut parts = line.split(|b| *b == b' ');
    let family = parts.next().unwrap_or_default();
    // The rest of such a line is ignored.
    if family == b"UNKNOWN" {
        return Ok(Source::Proxy);
    }
    let (Some(source), Some(target), Some(port), Some(target_port), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(ProxyHeaderError::Malformed(
            "it needs two addresses and two ports, separated by one space",
        ));
    };
    let (Some(source), Some(_)) = (address(family, source), address(family, target)) else {
        return Err(ProxyHeaderError::Malformed("its family, or an address that is not of it"));
    };
    let (Some(port), Some(_)) = (number(port), number(target_port)) else {
        return Err(ProxyHeaderError::Malformed("a port"));
    };
    Ok(Source::Client(SocketAddr::new(source.to_canonical(), port)))
}

fn address(family: &[u8], text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?;
    match family {
        b"TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::from),
        b"TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        _ => None,
    }
}

fn number(text: &[u8]) -> Option<u16> {
    let is_port = (1..=5).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    str::from_utf8(text).ok().filter(|_| is_port)?.parse().ok()
}
