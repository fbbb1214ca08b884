//! What an end writes, judged by other code than the engine's: are these frames as RFC 6455 §5 wants them?

use super::flow::Shared;
use super::link::{CLIENT, Side};
use std::collections::VecDeque;

/// What stands in the bytes that one side wrote, for the judge of the other.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// Where each Ping ends that is still to be read, counted from the first byte.
    pub(crate) pings: VecDeque<u64>,
    /// Where the first Close ends, and its code.
    pub(crate) close: Option<(u64, u16)>,
}

/// A reader of one direction that looks at headers only.
#[derive(Debug)]
pub(crate) struct Wire {
    side: Side,
    reading: Reading,
    /// Bytes of a head or a header that came so far.
    begun: Vec<u8>,
    /// A message has begun and not ended.
    in_message: bool,
    may_compress: bool,
    /// How many bytes and Pings were written.
    written: u64,
    pub(crate) pings: u64,
    /// How many frames of messages have begun since a Ping was read that is unanswered.
    behind: Option<u32>,
    pub(crate) marks: Shared<Marks>,
}

/// So many frames of messages may begin between a Ping and its Pong: the one that is partly written.
const BEFORE_PONG: u32 = 1;

#[derive(Debug)]
enum Reading {
    /// The head of the handshake.
    Head,
    Header,
    /// So much of a payload is to come, and whose.
    Payload(u64, Kind),
    /// The Close is out: nothing may follow.
    Closed,
    /// Other HTTP than one handshake, of which nothing is known here.
    Other,
}

/// Whose payload it is.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Message,
    Ping,
    Pong,
    /// With its masking key.
    Close([u8; 4]),
}

impl Wire {
    /// Of a connection that is open already, or whose handshake is still to come.
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

    /// What is written comes behind so many bytes that somebody else wrote.
    pub(crate) fn goes_on_behind(&mut self, written: u64) {
        self.written = written;
    }

    /// A Ping was read: its Pong is due next.
    pub(crate) fn owe_pong(&mut self) {
        self.behind.get_or_insert(0);
    }

    pub(crate) fn written(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match &mut self.reading {
                Reading::Other => return,
                Reading::Closed => panic!("{bytes:?} behind the Close"),
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
                        let kind = self.judge(len);
                        self.begun.clear();
                        self.behind_header(len, kind);
                    }
                }
            }
        }
    }

    /// A header is whole.
    fn judge(&mut self, len: u64) -> Kind {
        let (first, second) = (self.begun[0], self.begun[1]);
        let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
        let is_compressed = first & 0x40 != 0;
        assert!(!is_compressed || self.may_compress && matches!(opcode, 1 | 2), "RSV1 of opcode {opcode}");
        assert_eq!(first & 0x30, 0, "a reserved bit");
        assert_eq!(second & 0x80 != 0, self.side == CLIENT, "a client masks, and nobody else");
        let is_short = match second & 0x7f {
            126 => len > 125,
            127 => len > 0xffff,
            _ => true,
        };
        assert!(is_short, "the length {len} is not in its shortest form");
        match opcode {
            8..=10 => assert!(fin && len <= 125, "a control frame of {len} bytes"),
            0 => assert!(self.in_message, "the continuation of nothing"),
            1 | 2 => assert!(!self.in_message, "a message within another"),
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

    /// So much of a payload is left.
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

/// The length that a header says, once it is whole.
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
