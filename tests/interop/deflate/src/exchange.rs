//! Sends messages and checks their echoes.

use crate::Failure;
use fastrand::Rng;
use std::collections::VecDeque;
use std::time::Duration;

/// At most this many messages, and this many bytes, are in flight.
const MESSAGES_IN_FLIGHT: usize = 32;
const BYTES_IN_FLIGHT: usize = 256 * 1024;
/// How often to wait for all echoes, and the pause after that.
const PAUSE_EVERY: usize = 100;
const PAUSE: Duration = Duration::from_millis(2);
/// How many bytes of the last messages may be repeated.
const REMEMBERED: usize = 64 * 1024;

const WORDS: &[&str] = &[
    "alpha",
    "beta",
    "gamma",
    "delta",
    "{\"id\":",
    "\"name\":\"",
    "\",",
    "}",
    "true",
    "null",
    " ",
    "\n",
    "0",
    "17",
    "3.25",
    "é",
    "水",
    "😀",
    "the quick brown fox jumps over the lazy dog",
];

/// A message in one frame or in several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    Text(Vec<String>),
    Binary(Vec<Vec<u8>>),
}

impl Payload {
    fn joined(&self) -> (bool, Vec<u8>) {
        match self {
            Self::Text(fragments) => (true, fragments.concat().into_bytes()),
            Self::Binary(fragments) => (false, fragments.concat()),
        }
    }
}

/// Seeded messages: most are short, some have up to 64 KiB; text and bytes, of words, of noise, or of earlier messages.
pub struct Exchange {
    rng: Rng,
    seed: u64,
    count: usize,
    sent: usize,
    in_flight: VecDeque<(bool, Vec<u8>)>,
    bytes_in_flight: usize,
    remembered: Vec<u8>,
    /// Echoed bytes.
    pub bytes: usize,
}

impl Exchange {
    pub fn new(seed: u64, count: usize) -> Self {
        let rng = Rng::with_seed(seed);
        let (in_flight, remembered) = (VecDeque::new(), Vec::new());
        Self { rng, seed, count, sent: 0, in_flight, bytes_in_flight: 0, remembered, bytes: 0 }
    }

    /// Returns the next message; `None` while enough are in flight, and after the last.
    pub fn next_message(&mut self) -> Option<Payload> {
        let pauses = self.sent > 0 && self.sent.is_multiple_of(PAUSE_EVERY);
        let is_full = self.in_flight.len() >= MESSAGES_IN_FLIGHT || self.bytes_in_flight >= BYTES_IN_FLIGHT;
        if self.sent == self.count || is_full || pauses && !self.in_flight.is_empty() {
            return None;
        }
        if pauses {
            std::thread::sleep(PAUSE);
        }
        let message = self.generate();
        let joined = message.joined();
        self.sent += 1;
        self.bytes_in_flight += joined.1.len();
        self.in_flight.push_back(joined);
        Some(message)
    }

    /// Handles an echo.
    ///
    /// # Errors
    /// It is not the expected message.
    pub fn receive(&mut self, is_text: bool, data: &[u8]) -> Result<(), Failure> {
        let (wanted_text, wanted) = self.in_flight.pop_front().ok_or("a message that was never sent")?;
        if (wanted_text, &wanted[..]) != (is_text, data) {
            let index = self.sent - self.in_flight.len() - 1;
            let at = wanted.iter().zip(data).take_while(|(a, b)| a == b).count();
            let lengths = format!("{} bytes, not {}", data.len(), wanted.len());
            return Err(format!(
                "message {index} of seed {} differs from byte {at} on; {lengths}",
                self.seed
            )
            .into());
        }
        self.bytes += data.len();
        self.bytes_in_flight -= data.len();
        Ok(())
    }

    pub fn is_done(&self) -> bool {
        self.sent == self.count && self.in_flight.is_empty()
    }

    fn generate(&mut self) -> Payload {
        let size = self.size();
        let is_text = self.rng.bool();
        let data = match self.rng.u8(0..4) {
            0 if is_text => self.letters(size).into_bytes(),
            0 => std::iter::repeat_with(|| self.rng.u8(..)).take(size).collect(),
            1 if !is_text && !self.remembered.is_empty() => self.again(size),
            _ => self.words(size).into_bytes(),
        };
        self.remembered.extend_from_slice(&data);
        let excess = self.remembered.len().saturating_sub(REMEMBERED);
        self.remembered.drain(..excess);
        let fragments = self.fragments(&data, is_text);
        if is_text {
            let text = |fragment: Vec<u8>| String::from_utf8_lossy(&fragment).into_owned();
            Payload::Text(fragments.into_iter().map(text).collect())
        } else {
            Payload::Binary(fragments)
        }
    }

    fn size(&mut self) -> usize {
        match self.rng.u8(0..100) {
            0..75 => self.rng.usize(0..=200),
            75..95 => self.rng.usize(0..=4096),
            _ => self.rng.usize(0..=65536),
        }
    }

    fn words(&mut self, size: usize) -> String {
        let mut text = String::new();
        while text.len() < size {
            text += self.rng.choice(WORDS).unwrap_or(&"");
        }
        text
    }

    fn letters(&mut self, size: usize) -> String {
        std::iter::repeat_with(|| self.rng.alphanumeric()).take(size).collect()
    }

    /// Earlier bytes, from a random offset.
    fn again(&mut self, size: usize) -> Vec<u8> {
        let from = self.rng.usize(..self.remembered.len());
        self.remembered[from..].iter().copied().take(size).collect()
    }

    /// Cuts one in four messages into up to five fragments, some of which may be empty. A text is cut between
    /// characters.
    fn fragments(&mut self, data: &[u8], is_text: bool) -> Vec<Vec<u8>> {
        let cuts = if self.rng.u8(0..4) == 0 { self.rng.usize(1..5) } else { 0 };
        let mut ends: Vec<usize> = (0..cuts).map(|_| self.rng.usize(..=data.len())).collect();
        ends.push(data.len());
        ends.sort_unstable();
        let is_inside = |at: usize| is_text && data.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
        let mut from = 0;
        let mut fragments = Vec::new();
        for mut end in ends {
            while is_inside(end) {
                end += 1;
            }
            fragments.push(data[from.min(end)..end].to_vec());
            from = end;
        }
        fragments
    }
}
