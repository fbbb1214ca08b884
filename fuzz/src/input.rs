//! An input as a target reads it: a few bytes of choices, and the rest.

/// The rest of an input. Past its end it reads as zeros, so every input is valid.
#[derive(Clone, Debug)]
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// The next `n` bytes, or all that remain.
    pub(crate) fn take(&mut self, n: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A length byte, and a script of that length.
    pub(crate) fn script(&mut self) -> Script<'a> {
        let len = usize::from(self.byte() % 32);
        Script { bytes: self.take(len), at: 0 }
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        self.take(usize::MAX)
    }
}

/// Choices, one byte each, repeating cyclically. If there are none, each is 0.
#[derive(Clone, Debug)]
pub(crate) struct Script<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Script<'_> {
    pub(crate) fn next(&mut self) -> u8 {
        let choice = self.bytes.get(self.at).copied().unwrap_or(0);
        self.at = (self.at + 1) % self.bytes.len().max(1);
        choice
    }
}

/// One of four, chosen by two bits of a byte.
pub(crate) fn pick<T: Copy>(byte: u8, shift: u8, of: [T; 4]) -> T {
    of[usize::from(byte >> shift & 3)]
}
