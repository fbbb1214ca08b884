//! Message content, cut from two long texts, so that it is cheap to make and compare.

use super::rng::Rng;
use bytes::Bytes;
use std::sync::LazyLock;

/// The source of binary messages and bodies.
static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut rng = Rng::new(0);
    (0..300_000).map(|_| rng.next() as u8).collect()
});

/// The source of text messages, with characters of one to four bytes.
static TEXT: LazyLock<String> = LazyLock::new(|| {
    let mut rng = Rng::new(1);
    (0..180_000).map(|_| rng.pick(&['a', 'n', ' ', '0', '\u{e9}', '\u{20ac}', '\u{1f600}'])).collect()
});

/// The longest message.
pub(crate) const LONGEST: usize = 150_000;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) is_text: bool,
    pub(crate) data: Bytes,
}

impl Content {
    /// A message of any length up to about this.
    pub(crate) fn any(rng: &mut Rng, most: usize) -> Self {
        let len = length(rng, most);
        Self::of(rng, len)
    }

    /// A message of about this length.
    pub(crate) fn of(rng: &mut Rng, len: usize) -> Self {
        let from = rng.below(100_000);
        if rng.percent(50) {
            return Self { is_text: false, data: Bytes::from_static(&BYTES[from..from + len]) };
        }
        let (start, end) = (boundary(from), boundary(from + len));
        Self { is_text: true, data: Bytes::from_static(&TEXT.as_bytes()[start..end]) }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.data).unwrap()
    }
}

/// The next character boundary.
fn boundary(at: usize) -> usize {
    (at..).find(|at| TEXT.is_char_boundary(*at)).unwrap_or(0)
}

/// The body of a connection's nth answer or request.
pub(crate) fn body(of: usize, n: usize, len: usize) -> &'static [u8] {
    let from = (of * 7919 + n * 131) % 100_000;
    &BYTES[from..from + len]
}

/// A realistic length: mostly short, sometimes at a boundary of the frame format, rarely long.
fn length(rng: &mut Rng, most: usize) -> usize {
    let len = match rng.below(20) {
        0..12 => rng.below(200),
        12..16 => rng.pick(&[0, 125, 126, 127, 1000, 1024, 1025, 4096]),
        16..18 => rng.below(10_000),
        18 => rng.pick(&[65_535, 65_536]),
        _ => rng.below(LONGEST),
    };
    len.min(most)
}
