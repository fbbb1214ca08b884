//! A WebSocket connection that sends one message again and again, and expects it back.

use super::channel::{Channel, Trust};
use mio::net::TcpStream;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

/// Binary, not fragmented.
const BINARY: u8 = 0x82;
const MASK: u8 = 0x80;
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// As much as this is sent in one piece: messages that are sent at once share a record.
const AT_ONCE: usize = 16 << 10;

/// The bytes of the message.
pub(super) struct Wire {
    /// Masked, and repeated.
    sent: Vec<u8>,
    sent_len: usize,
    /// As it comes back.
    echoed: Vec<u8>,
}

impl Wire {
    pub(super) fn new(size: usize) -> Self {
        let payload: Vec<u8> = (0..size).map(|n| (n * 7 + n / 256) as u8).collect();
        let frame: Vec<u8> = header(size, MASK)
            .into_iter()
            .chain(KEY)
            .chain(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key))
            .collect();
        let sent = frame.repeat((AT_ONCE / frame.len()).max(1));
        Self { sent, sent_len: frame.len(), echoed: [header(size, 0), payload].concat() }
    }
}

/// The header of a binary message: its shortest form.
fn header(size: usize, mask: u8) -> Vec<u8> {
    match size {
        0..=125 => vec![BINARY, mask | size as u8],
        126..=0xffff => [&[BINARY, mask | 126][..], &(size as u16).to_be_bytes()].concat(),
        _ => [&[BINARY, mask | 127][..], &(size as u64).to_be_bytes()].concat(),
    }
}

pub(super) struct Connection {
    channel: Channel,
    state: State,
    /// Bytes to send yet, and where in the repeated message they begin.
    owed: usize,
    offset: usize,
}

enum State {
    /// What has arrived of the answer to the upgrade.
    Opening(Vec<u8>),
    /// Where in the echoed message the next byte belongs.
    Open(usize),
}

impl Connection {
    pub(super) fn connect(
        server: SocketAddr,
        index: usize,
        trust: Option<&Trust>,
        path: &str,
    ) -> io::Result<Self> {
        let mut channel = Channel::connect(server, index, trust)?;
        let port = server.port();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        // It fits into any socket, and TLS keeps it until the handshake is done.
        let n = channel.write(request.as_bytes())?;
        if n < request.len() {
            return Err(io::Error::other("a socket without room for the request"));
        }
        Ok(Self { channel, state: State::Opening(Vec::new()), owed: 0, offset: 0 })
    }

    pub(super) fn source(&mut self) -> &mut TcpStream {
        self.channel.source()
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Sends the message so many times more.
    pub(super) fn send(&mut self, wire: &Wire, times: usize) -> io::Result<()> {
        self.owed += times * wire.sent_len;
        self.flush(wire)
    }

    /// Reads and writes what the socket has and takes; returns how many whole messages were received.
    pub(super) fn visit(&mut self, buffer: &mut [u8], wire: &Wire) -> io::Result<usize> {
        let mut received = 0;
        let Self { channel, state, .. } = self;
        channel.read(buffer, |bytes| {
            received += state.take(bytes, &wire.echoed)?;
            Ok(())
        })?;
        self.flush(wire)?;
        Ok(received)
    }

    fn flush(&mut self, wire: &Wire) -> io::Result<()> {
        self.channel.flush()?;
        while self.owed > 0 {
            let end = wire.sent.len().min(self.offset + self.owed);
            let n = self.channel.write(&wire.sent[self.offset..end])?;
            if n == 0 {
                break;
            }
            self.offset = (self.offset + n) % wire.sent_len;
            self.owed -= n;
        }
        Ok(())
    }
}

impl State {
    /// Compares what was received; returns how many messages became whole.
    fn take(&mut self, mut bytes: &[u8], message: &[u8]) -> io::Result<usize> {
        let mut received = 0;
        if let Self::Opening(head) = self {
            let had = head.len();
            head.extend_from_slice(bytes);
            let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(0) };
            if !head.starts_with(b"HTTP/1.1 101 ") {
                return Err(io::Error::other(String::from_utf8_lossy(&head[..end]).into_owned()));
            }
            bytes = &bytes[end + 4 - had..];
            *self = Self::Open(0);
        }
        let Self::Open(at) = self else { return Ok(0) };
        while !bytes.is_empty() {
            let n = bytes.len().min(message.len() - *at);
            if bytes[..n] != message[*at..*at + n] {
                return Err(io::Error::new(ErrorKind::InvalidData, "a message came back changed"));
            }
            bytes = &bytes[n..];
            *at += n;
            if *at == message.len() {
                *at = 0;
                received += 1;
            }
        }
        Ok(received)
    }
}
