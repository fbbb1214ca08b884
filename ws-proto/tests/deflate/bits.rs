//! Hand-built deflate streams (RFC 1951), block by block, as no compressor would write them.

/// The symbols of a block with fixed codes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Token {
    Byte(u8),
    /// A length of 3 to 257 bytes, and a distance.
    Match(u16, u16),
}

/// A stream under construction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stream {
    bytes: Vec<u8>,
    /// Used bits of the last byte; 0 for all.
    used: u32,
}

impl Stream {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Appends bits, least significant first.
    pub(crate) fn bits(mut self, value: u32, n: u32) -> Self {
        for at in 0..n {
            if self.used == 0 {
                self.bytes.push(0);
            }
            if value >> at & 1 != 0 {
                *self.bytes.last_mut().unwrap() |= 1 << self.used;
            }
            self.used = (self.used + 1) % 8;
        }
        self
    }

    /// Appends a code, most significant bit first (§3.1.1).
    pub(crate) fn code(self, value: u32, n: u32) -> Self {
        self.bits(value.reverse_bits() >> (32 - n), n)
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.used = 0;
        self.bytes.extend(bytes);
        self
    }

    /// Appends stored blocks (§3.2.4); `last` marks the final one as the last.
    pub(crate) fn stored(mut self, last: bool, data: &[u8]) -> Self {
        let mut parts = data.chunks(0xffff).peekable();
        loop {
            let part = parts.next().unwrap_or_default();
            let len = part.len() as u16;
            let is_last = last && parts.peek().is_none();
            self = self.bits(u32::from(is_last), 3);
            self = self.bytes(&len.to_le_bytes()).bytes(&(!len).to_le_bytes()).bytes(part);
            if parts.peek().is_none() {
                return self;
            }
        }
    }

    /// Appends a block with fixed codes (§3.2.6). A last block is padded to a byte, as in RFC 7692 §7.2.3.4.
    pub(crate) fn fixed(mut self, last: bool, tokens: &[Token]) -> Self {
        self = self.bits(u32::from(last) | 1 << 1, 3);
        for token in tokens {
            self = match *token {
                Token::Byte(byte) => self.symbol(u32::from(byte)),
                Token::Match(len, distance) => self.length(u32::from(len)).distance(u32::from(distance)),
            };
        }
        self = self.symbol(256);
        if last {
            self.used = 0;
        }
        self
    }

    pub(crate) fn text(self, last: bool, text: &str) -> Self {
        let tokens: Vec<Token> = text.bytes().map(Token::Byte).collect();
        self.fixed(last, &tokens)
    }

    pub(crate) fn symbol(self, symbol: u32) -> Self {
        match symbol {
            0..144 => self.code(0x30 + symbol, 8),
            144..256 => self.code(0x190 + symbol - 144, 9),
            256..280 => self.code(symbol - 256, 7),
            _ => self.code(0xc0 + symbol - 280, 8),
        }
    }

    fn length(self, len: u32) -> Self {
        let (symbol, extra, bits) = ranges(len - 3, 4);
        self.symbol(257 + symbol).bits(extra, bits)
    }

    fn distance(self, distance: u32) -> Self {
        let (code, extra, bits) = ranges(distance - 1, 2);
        self.code(code, 5).bits(extra, bits)
    }

    /// As the payload of a message: followed by an empty stored block, without that block's last four bytes (RFC 7692
    /// §7.2.1).
    pub(crate) fn message(self) -> Vec<u8> {
        self.bits(0, 3).bytes
    }

    /// The stream without a tail.
    pub(crate) fn cut_here(self) -> Vec<u8> {
        self.bytes
    }
}

/// Ranges that double in size after every `step` (§3.2.5): the range's number, and the offset in it.
fn ranges(value: u32, step: u32) -> (u32, u32, u32) {
    let (mut number, mut from, mut bits) = (0, 0, 0);
    loop {
        if value < from + (1 << bits) {
            return (number, value - from, bits);
        }
        from += 1 << bits;
        number += 1;
        if number >= 2 * step && number.is_multiple_of(step) {
            bits += 1;
        }
    }
}
