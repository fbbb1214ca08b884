//! An independent check that an end's output consists of frames as RFC 6455 §5 requires.

use super::flow::Shared;
use super::link::{CLIENT, Side};
use std::collections::VecDeque;

/// Marks in the bytes that one side wrote, for the checks of the other.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// The end offset of each unread Ping.
    pub(crate) pings: VecDeque<u64>,
    /// The end offset of the first Close, and its code.
    pub(crate) close: Option<(u64, u16)>,
}

/// A reader of one direction that parses only headers.
#[derive(Debug)]
pub(crate) struct Wire {
    side: Side,
    reading: Reading,
    /// The received part of a head or a header.
    begun: Vec<u8>,
    /// A message is in progress.
    in_message: bool,
    may_compress: bool,
    /// The number of bytes and Pings written.
    written: u64,
    pub(crate) pings: u64,
    /// The number of data frames begun since an unanswered Ping was read.
    behind: Option<u32>,
    pub(crate) marks: Shared<Marks>,
}

/// Data frames that may begin between a Ping and its Pong: the partly written one.
const BEFORE_PONG: u32 = 1;

#[derive(Debug)]
enum Reading {
    /// The head of the handshake.
    Head,
    Header,
    /// The remaining bytes of a payload, and its kind.
    Payload(u64, Kind),
    /// The Close was sent: nothing may follow.
    Closed,
    /// HTTP other than a single handshake, which is not checked here.
    Other,
}

/// The kind of a payload.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Message,
    Ping,
    Pong,
    /// With its masking key.
    Close([u8; 4]),
}

impl Wire {
    /// For a connection that is already open, or whose handshake is still to come.
    pub(crate) fn new(side: Side, is_open: bool, may_compress: bool) -> Self {
        let reading = if is_open { Reading::Header } else { Reading::Head };
        Self {
            side,
            reading,
            begun: Vec::new(),
            in_message: false,
            may_compress,
            written: 0,
            pings: 0,
            behind: None,
            marks: Shared::default(),
        }
    }

    /// The output starts after bytes that others wrote.
    pub(crate) fn continue_after(&mut self, written: u64) {
        self.written = written;
    }

    /// A Ping was read: its Pong is due next.
    pub(crate) fn expect_pong(&mut self) {
        self.behind.get_or_insert(0);
    }

    pub(crate) fn written(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match &mut self.reading {
                Reading::Other => return,
                Reading::Closed => panic!("{bytes:?} after the Close"),
                Reading::Payload(left, kind) => {
                    let n = bytes.len().min(*left as usize);
                    if let Kind::Close(_) = kind {
                        self.begun.extend_from_slice(&bytes[..n]);
                    }
                    bytes = &bytes[n..];
                    self.written += n as u64;
                    let (left, kind) = (*left - n as u64, *kind);
                    self.behind_header(left, kind);
                }
                Reading::Head => {
                    self.begun.push(bytes[0]);
                    bytes = &bytes[1..];
                    self.written += 1;
                    if self.begun.ends_with(b"\r\n\r\n") {
                        let begin: &[u8] = if self.side == CLIENT { b"GET " } else { b"HTTP/1.1 101 " };
                        let is_handshake = self.begun.starts_with(begin);
                        self.reading = if is_handshake { Reading::Header } else { Reading::Other };
                        self.begun.clear();
                    }
                }
                Reading::Header => {
                    self.begun.push(bytes[0]);
                    bytes = &bytes[1..];
                    self.written += 1;
                    if let Some(len) = length(&self.begun) {
                        let kind = self.kind(len);
                        self.begun.clear();
                        self.behind_header(len, kind);
                    }
                }
            }
        }
    }

    /// A header is complete.
    fn kind(&mut self, len: u64) -> Kind {
        let (first, second) = (self.begun[0], self.begun[1]);
        let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
        let is_compressed = first & 0x40 != 0;
        assert!(!is_compressed || self.may_compress && matches!(opcode, 1 | 2), "RSV1 of opcode {opcode}");
        assert_eq!(first & 0x30, 0, "a reserved bit is set");
        assert_eq!(second & 0x80 != 0, self.side == CLIENT, "exactly clients mask");
        let is_short = match second & 0x7f {
            126 => len > 125,
            127 => len > 0xffff,
            _ => true,
        };
        assert!(is_short, "the length {len} is not minimally encoded");
        match opcode {
            8..=10 => assert!(fin && len <= 125, "a control frame of {len} bytes"),
            0 => assert!(self.in_message, "a continuation without a message"),
            1 | 2 => assert!(!self.in_message, "a message inside another"),
            _ => panic!("opcode {opcode}"),
        }
        if opcode < 8 {
            self.in_message = !fin;
            if let Some(behind) = &mut self.behind {
                *behind += 1;
                assert!(*behind <= BEFORE_PONG, "a Pong waits behind {behind} frames of messages");
            }
        }
        assert!((opcode, len) != (8, 1), "a Close with half a code");
        match opcode {
            8 if second & 0x80 != 0 => {
                let key = &self.begun[self.begun.len() - 4..];
                Kind::Close([key[0], key[1], key[2], key[3]])
            }
            8 => Kind::Close([0; 4]),
            9 => Kind::Ping,
            10 => Kind::Pong,
            _ => Kind::Message,
        }
    }

    /// This much of a payload is left.
    fn behind_header(&mut self, left: u64, kind: Kind) {
        if left > 0 {
            self.reading = Reading::Payload(left, kind);
            return;
        }
        self.reading = Reading::Header;
        match kind {
            Kind::Message => {}
            Kind::Ping => {
                self.pings += 1;
                self.marks.borrow_mut().pings.push_back(self.written);
            }
            Kind::Pong => self.behind = None,
            Kind::Close(key) => {
                let code = match self.begun[..] {
                    [high, low, ..] => u16::from_be_bytes([high ^ key[0], low ^ key[1]]),
                    _ => 1005,
                };
                self.begun.clear();
                self.marks.borrow_mut().close.get_or_insert((self.written, code));
                self.reading = Reading::Closed;
            }
        }
    }
}

/// The length in a header, once it is complete.
fn length(header: &[u8]) -> Option<u64> {
    let second = *header.get(1)?;
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let key = if second & 0x80 != 0 { 4 } else { 0 };
    if header.len() < 2 + extended + key {
        return None;
    }
    let bytes = &header[2..2 + extended];
    Some(match extended {
        0 => u64::from(second & 0x7f),
        _ => bytes.iter().fold(0, |len, byte| len << 8 | u64::from(*byte)),
    })
}
