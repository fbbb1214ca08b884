//! A scripted peer of a server's connections: the bytes of requests and frames, and a nonblocking socket.

use crate::frames;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use ws_proto::handshake::accept_key;

pub fn handshake(address: SocketAddr, path: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

/// The response of a server that accepts this handshake.
pub fn accepting(head: &str) -> String {
    let key = head.split("Sec-WebSocket-Key: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap();
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        accept_key(key)
    )
}

/// The same request with more header fields, as whole lines.
pub fn with_fields(mut request: Vec<u8>, fields: &str) -> Vec<u8> {
    request.truncate(request.len() - 2);
    request.extend_from_slice(fields.as_bytes());
    request.extend_from_slice(b"\r\n");
    request
}

pub fn get(address: SocketAddr, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").into_bytes()
}

pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;

/// A masked frame, as a client sends it.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    frames::frame(true, first, payload)
}

/// A layer between a peer and its socket: TLS, say.
pub trait Layer: Send {
    /// Reads content. The error is `Interrupted` if what was read has none.
    fn read(&mut self, stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize>;

    /// Returns how much was written; the caller passes the rest again, first and unchanged. The error is `WouldBlock`
    /// also while it waits for a read.
    fn write(&mut self, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize>;

    /// Whether content may pass: the handshake is done, or there is none.
    fn is_ready(&self) -> bool {
        true
    }
}

/// No layer: the bytes are those of the socket.
struct Plain;

impl Layer for Plain {
    fn read(&mut self, stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        stream.read(buffer)
    }

    fn write(&mut self, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
        stream.write(bytes)
    }
}

/// The peer: a nonblocking socket, and all that was read from it.
pub struct Peer {
    pub stream: TcpStream,
    layer: Box<dyn Layer>,
    pub got: Vec<u8>,
    /// Output pending until the server reads.
    pub unsent: Vec<u8>,
    /// How the server's stream ended: cleanly, or with an error.
    pub ended: Option<Result<(), ErrorKind>>,
}

impl Peer {
    pub fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).unwrap())
    }

    pub fn new(stream: TcpStream) -> Self {
        Self::of(stream, Box::new(Plain))
    }

    /// A peer that speaks through this layer, which may have something to write first.
    pub fn over(stream: TcpStream, layer: impl Layer + 'static) -> Self {
        let mut peer = Self::of(stream, Box::new(layer));
        peer.read();
        peer
    }

    fn of(stream: TcpStream, layer: Box<dyn Layer>) -> Self {
        stream.set_nonblocking(true).unwrap();
        // A Unix socket has no such option.
        let _ = stream.set_nodelay(true);
        Self { stream, layer, got: Vec::new(), unsent: Vec::new(), ended: None }
    }

    /// Whether content may pass, after the handshake of its layer.
    pub fn is_ready(&self) -> bool {
        self.layer.is_ready()
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
        self.flush();
    }

    /// Writes what the socket takes. Returns whether nothing is pending.
    pub fn flush(&mut self) -> bool {
        while !self.unsent.is_empty() {
            match self.layer.write(&mut self.stream, &self.unsent) {
                Ok(n) => drop(self.unsent.drain(..n)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                // The server takes no more; the read reports why.
                Err(_) => self.unsent.clear(),
            }
        }
        true
    }

    pub fn read(&mut self) {
        self.flush();
        let mut buffer = vec![0; 64 << 10];
        while self.ended.is_none() {
            match self.layer.read(&mut self.stream, &mut buffer) {
                Ok(0) => self.ended = Some(Ok(())),
                Ok(n) => self.got.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => drop(self.flush()),
                Err(error) => self.ended = Some(Err(error.kind())),
            }
        }
    }

    pub fn take_head(&mut self) -> Option<String> {
        self.read();
        let end = self.got.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        Some(String::from_utf8(self.got.drain(..end).collect()).unwrap())
    }

    pub fn take_response(&mut self) -> Option<(u16, String)> {
        self.read();
        let end = self.got.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&self.got[..end]).to_lowercase();
        let length = head.split("content-length:").nth(1).and_then(|rest| rest.split("\r\n").next());
        let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
        let body = self.got.get(end..end + length)?;
        let body = String::from_utf8(body.to_vec()).unwrap();
        self.got.drain(..end + length);
        Some((head[9..12].parse().unwrap(), body))
    }

    /// Takes the next frame, from a server or masked like a client's: its first byte and its payload.
    pub fn take_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        self.read();
        let (first, second) = (*self.got.first()?, *self.got.get(1)?);
        let masked = second & 0x80 != 0;
        let (len, mut at) = match second & 0x7f {
            126 => (usize::from(u16::from_be_bytes(self.got.get(2..4)?.try_into().unwrap())), 4),
            127 => (u64::from_be_bytes(self.got.get(2..10)?.try_into().unwrap()) as usize, 10),
            len => (usize::from(len), 2),
        };
        let mut key = [0; 4];
        if masked {
            key.copy_from_slice(self.got.get(at..at + 4)?);
            at += 4;
        }
        let masked = self.got.get(at..at + len)?;
        let payload = masked.iter().enumerate().map(|(k, byte)| byte ^ key[k % 4]).collect();
        self.got.drain(..at + len);
        Some((first, payload))
    }
}

/// The code in a Close payload.
pub fn close_code(payload: &[u8]) -> u16 {
    u16::from_be_bytes([payload[0], payload[1]])
}
