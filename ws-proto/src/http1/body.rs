//! Bodies: with a length, chunked, or until the end of the connection (RFC 9112 §6 and §7).

use super::head::{Head, Limits};
use crate::error::RequestError::{self, BodyTooLarge, Malformed};
use bytes::Bytes;
use core::mem;

/// The most digits of a chunk's size, zeros at its beginning included: as many as a number of 64 bits has.
const DIGITS: u8 = 16;
/// The most bytes of chunk extensions, and of whitespace before them, in a whole body, which no client uses.
const EXTENSION_LIMIT: usize = 4096;
/// The most bytes and fields of trailers, which are read and discarded.
const TRAILERS: Limits = Limits { bytes: 8192, fields: 64, first_line: 0, reads_on: false, allows_lf: false };

/// A body in progress that is collected. It grows with what arrives, never with what is only declared.
#[derive(Debug)]
pub(super) struct Body {
    data: Vec<u8>,
    deframer: Deframer,
}

/// Finds the end of a body, and its bytes in the input.
#[derive(Debug)]
pub(super) enum Deframer {
    /// Bytes left.
    Length(u64),
    Chunked {
        step: Chunk,
        extensions: usize,
    },
    UntilEnd,
}

/// What the next bytes of the input are.
#[derive(Debug)]
pub(super) enum Part<'i> {
    /// Bytes of the body.
    Data(&'i mut [u8]),
    /// The body is whole.
    End,
    /// The input is used up.
    Pending,
}

/// The position of the next byte in the chunked framing (RFC 9112 §7.1).
#[derive(Debug)]
pub(super) enum Chunk {
    Size {
        value: u64,
        digits: u8,
    },
    /// "Bad" whitespace before an extension.
    Space {
        size: u64,
    },
    Extension {
        size: u64,
    },
    SizeLf {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    Trailers(Box<Head>),
}

const SIZE: Chunk = Chunk::Size { value: 0, digits: 0 };

impl Deframer {
    pub(super) fn chunked() -> Self {
        Self::Chunked { step: SIZE, extensions: 0 }
    }

    /// Whether the body is whole, whatever the input.
    pub(super) fn is_at_end(&self) -> bool {
        matches!(self, Self::Length(0))
    }

    /// How many bytes of the body are missing, if that is known.
    pub(super) fn left(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Chunked { .. } | Self::UntilEnd => None,
        }
    }

    /// Consumes input up to the end of the next bytes of the body. It may have `room` more bytes.
    pub(super) fn next<'i>(&mut self, room: u64, input: &mut &'i mut [u8]) -> Result<Part<'i>, RequestError> {
        match self {
            Self::Length(0) => Ok(Part::End),
            Self::Length(_) if room == 0 => Err(BodyTooLarge),
            Self::Length(left) => {
                let data = take(input, room.min(*left));
                *left -= data.len() as u64;
                Ok(part(data))
            }
            Self::UntilEnd if room == 0 && !input.is_empty() => Err(BodyTooLarge),
            Self::UntilEnd => Ok(part(take(input, room))),
            Self::Chunked { step, extensions } => next_of_chunks(step, extensions, room, input),
        }
    }
}

impl Body {
    pub(super) fn new(deframer: Deframer) -> Self {
        Self { data: Vec::new(), deframer }
    }

    /// Bytes received.
    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    /// The received body.
    pub(super) fn take(&mut self) -> Bytes {
        Bytes::from(mem::take(&mut self.data))
    }

    /// Consumes input up to the end of the body; `true` when it is whole.
    pub(super) fn receive(&mut self, limit: usize, input: &mut &mut [u8]) -> Result<bool, RequestError> {
        loop {
            let room = limit.saturating_sub(self.data.len());
            match self.deframer.next(room as u64, input)? {
                Part::Data(data) => self.data.extend_from_slice(data),
                Part::End => return Ok(true),
                Part::Pending => return Ok(false),
            }
        }
    }
}

/// Takes up to `most` bytes of the input.
fn take<'i>(input: &mut &'i mut [u8], most: u64) -> &'i mut [u8] {
    let n = usize::try_from(most).map_or(input.len(), |most| input.len().min(most));
    let (taken, rest) = mem::take(input).split_at_mut(n);
    *input = rest;
    taken
}

fn part(data: &mut [u8]) -> Part<'_> {
    if data.is_empty() { Part::Pending } else { Part::Data(data) }
}

fn next_of_chunks<'i>(
    step: &mut Chunk,
    extensions: &mut usize,
    room: u64,
    input: &mut &'i mut [u8],
) -> Result<Part<'i>, RequestError> {
    loop {
        match step {
            Chunk::Data { left } => {
                let data = take(input, *left);
                *left -= data.len() as u64;
                if *left == 0 {
                    *step = Chunk::DataCr;
                }
                return Ok(part(data));
            }
            Chunk::Trailers(head) => {
                let is_whole = head.receive(TRAILERS, input, |_| Ok(()))?.is_some();
                return Ok(if is_whole { Part::End } else { Part::Pending });
            }
            _ => {
                let Some((byte, rest)) = mem::take(input).split_first_mut() else { return Ok(Part::Pending) };
                *input = rest;
                *step = next(step, *byte, extensions)?;
                if let Chunk::Data { left } = step
                    && *left > room
                {
                    return Err(BodyTooLarge);
                }
            }
        }
    }
}

/// The state after one byte of a chunk's framing.
fn next(step: &Chunk, byte: u8, extensions: &mut usize) -> Result<Chunk, RequestError> {
    Ok(match (step, byte) {
        (&Chunk::Size { value, digits: digits @ 0..DIGITS }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                _ => (byte | 0x20) - b'a' + 10,
            };
            Chunk::Size { value: value << 4 | u64::from(digit), digits: digits + 1 }
        }
        (&Chunk::Size { value: size, digits: 1.. } | &Chunk::Space { size }, b';') => {
            Chunk::Extension { size }
        }
        // A recipient must parse and remove it (§7.1.1, RFC 9110 §5.6.3), but the grammar has none before CR LF.
        (&Chunk::Size { value: size, digits: 1.. } | &Chunk::Space { size }, b' ' | b'\t')
            if *extensions < EXTENSION_LIMIT =>
        {
            *extensions += 1;
            Chunk::Space { size }
        }
        (&Chunk::Size { value: size, digits: 1.. } | &Chunk::Extension { size }, b'\r') => {
            Chunk::SizeLf { size }
        }
        (Chunk::Size { .. } | Chunk::Space { .. }, _) => return Err(Malformed("a chunk size")),
        (&Chunk::Extension { size }, b'\t' | b' '..=b'~' | 0x80..) if *extensions < EXTENSION_LIMIT => {
            *extensions += 1;
            Chunk::Extension { size }
        }
        (Chunk::Extension { .. }, _) => return Err(Malformed("a chunk extension")),
        (Chunk::SizeLf { size: 0 }, b'\n') => Chunk::Trailers(Box::new(Head::trailers())),
        (&Chunk::SizeLf { size }, b'\n') => Chunk::Data { left: size },
        (Chunk::DataCr, b'\r') => Chunk::DataLf,
        (Chunk::DataLf, b'\n') => SIZE,
        _ => return Err(Malformed("a chunk does not end with CR LF")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses these bytes as a chunked body; returns it and the rest of the bytes.
    fn chunked(bytes: &[u8], limit: usize) -> Result<Option<(Bytes, Vec<u8>)>, RequestError> {
        let mut body = Body::new(Deframer::chunked());
        let mut bytes = bytes.to_vec();
        let mut input = &mut bytes[..];
        let done = body.receive(limit, &mut input)?;
        Ok(done.then(|| (body.take(), input.to_vec())))
    }

    #[test]
    fn chunks_are_joined() {
        for bytes in [
            "5\r\nhello\r\n0\r\n\r\nGET",
            "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\nGET",
            "00000005\r\nhello\r\n000\r\n\r\nGET",
            "0000000000000005\r\nhello\r\n0000000000000000\r\n\r\nGET",
            "5;name=value; other=\"x\"\r\nhello\r\n0;last\r\n\r\nGET",
            "5 ;a=b\r\nhello\r\n0\t \t;last\r\n\r\nGET",
            "5 ; a = b ; c\t=\td \r\nhello\r\n0\r\n\r\nGET",
            "5\r\nhello\r\n0\r\nContent-Length: 7\r\nX: y\r\n\r\nGET",
        ] {
            let (body, rest) = chunked(bytes.as_bytes(), 5).unwrap().unwrap();
            assert_eq!((&body[..], &rest[..]), (&b"hello"[..], &b"GET"[..]), "{bytes:?}");
        }
        let (body, _) = chunked(b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", 20).unwrap().unwrap();
        assert_eq!(body.len(), 20);
    }

    #[test]
    fn chunk_grammar_is_strict() {
        for bytes in [
            "\r\n",
            ";x\r\n",
            "+5\r\n",
            "-5\r\n",
            "0x5\r\n",
            " 5\r\n",
            "5 \r\n",
            "5\t\r\n",
            "5 6\r\n",
            "5 \n",
            "5 ;x\n",
            "5 ;x\rh",
            " ;x\r\n",
            "5\r ;x\r\n",
            "5\x0b;x\r\n",
            "5_0\r\n",
            "g\r\n",
            "00000000000000005\r\n",
            "10000000000000000\r\n",
            "10000000000000005\r\nhello\r\n",
            "fffffffffffffffff\r\n",
            "5\n",
            "5\r5",
            "5;\n",
            "5;a\0\r\n",
            "5;a\rb",
            "5\r\nhello0\r\n",
            "5\r\nhello\n0",
            "5\r\nhello\rx",
            "5\r\nhello!\r\n",
            "0\r\n X: y\r\n\r\n",
            "0\r\nX : y\r\n\r\n",
            "0\r\nX: y\n\r\n",
            "0\r\nno colon\r\n\r\n",
            "0\r\n\n",
        ] {
            assert!(matches!(chunked(bytes.as_bytes(), 100), Err(Malformed(_))), "{bytes:?}");
        }
    }

    #[test]
    fn chunked_bodies_are_capped() {
        for size in ["ffffffff", "100000000", "ffffffffffffffff"] {
            assert!(matches!(chunked(format!("{size}\r\n").as_bytes(), 100), Err(BodyTooLarge)), "{size}");
        }
        assert!(matches!(chunked(b"5\r\nhello\r\n5\r\n", 9), Err(BodyTooLarge)));
        let extension = |n| format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(n));
        assert!(chunked(extension(EXTENSION_LIMIT).as_bytes(), 1).is_ok());
        assert!(chunked(extension(EXTENSION_LIMIT + 1).as_bytes(), 1).is_err());
        let many = format!("{}0\r\n\r\n", "1;e\r\nx\r\n".repeat(EXTENSION_LIMIT + 1));
        assert!(chunked(many.as_bytes(), 1 << 20).is_err());
        let space = |n| format!("1{};\r\nx\r\n0\r\n\r\n", " ".repeat(n));
        assert!(chunked(space(EXTENSION_LIMIT).as_bytes(), 1).is_ok());
        assert!(chunked(space(EXTENSION_LIMIT + 1).as_bytes(), 1).is_err());
        let trailers = format!("0\r\n{}\r\n", "X: y\r\n".repeat(TRAILERS.fields + 1));
        assert!(chunked(trailers.as_bytes(), 1).is_err());
        let trailer = format!("0\r\nX: {}\r\n\r\n", "y".repeat(TRAILERS.bytes));
        assert!(chunked(trailer.as_bytes(), 1).is_err());
    }

    #[test]
    fn a_chunk_may_have_more_than_four_gibibytes() {
        let (mut deframer, mut room) = (Deframer::chunked(), u64::MAX);
        let mut receive = |mut input: &mut [u8]| {
            loop {
                match deframer.next(room, &mut input).unwrap() {
                    Part::Data(data) => room -= data.len() as u64,
                    Part::End => return (true, u64::MAX - room),
                    Part::Pending => return (false, u64::MAX - room),
                }
            }
        };
        assert_eq!(receive(&mut b"100000001\r\n".to_owned()), (false, 0));
        let mut block = vec![0; 1 << 24];
        (1..=256).for_each(|n| assert_eq!(receive(&mut block), (false, n << 24)));
        assert_eq!(receive(&mut b"x\r\n0\r\n\r\n".to_owned()), (true, (1 << 32) + 1));
    }

    #[test]
    fn a_declared_length_allocates_nothing() {
        let mut body = Body::new(Deframer::Length(1 << 20));
        assert!(!body.receive(1 << 20, &mut &mut b"0123456789".to_vec()[..]).unwrap());
        assert!(body.data.capacity() < 64);
    }
}
