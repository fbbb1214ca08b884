//! What an end writes, judged by other code than the engine's: are these frames as RFC 6455 §5 wants them?

use super::link::{CLIENT, Side};

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
}

#[derive(Debug)]
enum Reading {
    /// The head of the handshake.
    Head,
    Header,
    /// So much of a payload is to come; whether it is that of a Close.
    Payload(u64, bool),
    /// The Close is out: nothing may follow.
    Closed,
    /// Other HTTP than one handshake, of which nothing is known here.
    Other,
}

impl Wire {
    /// Of a connection that is open already, or whose handshake is still to come.
    pub(crate) fn new(side: Side, is_open: bool, may_compress: bool) -> Self {
        let reading = if is_open { Reading::Header } else { Reading::Head };
        Self { side, reading, begun: Vec::new(), in_message: false, may_compress }
    }

    pub(crate) fn written(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match &mut self.reading {
                Reading::Other => return,
                Reading::Closed => panic!("{} bytes behind the Close", bytes.len()),
                Reading::Payload(left, is_close) => {
                    let n = bytes.len().min(*left as usize);
                    bytes = &bytes[n..];
                    let (left, is_close) = (*left - n as u64, *is_close);
                    self.reading = Reading::behind_header(left, is_close);
                }
                Reading::Head => {
                    self.begun.push(bytes[0]);
                    bytes = &bytes[1..];
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
                    if let Some(len) = length(&self.begun) {
                        self.reading = self.judge(len);
                        self.begun.clear();
                    }
                }
            }
        }
    }

    /// A header is whole.
    fn judge(&mut self, len: u64) -> Reading {
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
        }
        assert!((opcode, len) != (8, 1), "a Close with half a code");
        Reading::behind_header(len, opcode == 8)
    }
}

impl Reading {
    fn behind_header(left: u64, is_close: bool) -> Self {
        match (left, is_close) {
            (0, false) => Self::Header,
            (0, true) => Self::Closed,
            _ => Self::Payload(left, is_close),
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
