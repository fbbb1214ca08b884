//! Text that arrives in parts (RFC 6455 §8.1): each byte is checked once, and the first bad one fails.

use alloc::borrow::Cow;
use alloc::string::String;

/// The bytes so far are not UTF-8, and no further byte can change that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotUtf8 {
    /// How many bytes of the given part are good and end a character.
    pub(crate) good: usize,
}

/// Checks a whole text.
#[inline]
pub(crate) fn check(bytes: &[u8]) -> Result<&str, NotUtf8> {
    // Under one SIMD block the general check walks byte by byte; short texts are mostly ASCII.
    if bytes.len() < 64
        && let Ok(text) = ascii::AsciiStr::from_ascii(bytes)
    {
        return Ok(text.as_str());
    }
    simdutf8::basic::from_utf8(bytes).map_err(|_| NotUtf8 { good: 0 })
}

/// What a part adds to the text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Added<'a> {
    /// The character that an earlier part began and this one completed.
    pub(crate) ended: Option<char>,
    /// The whole characters after it.
    pub(crate) text: &'a str,
}

/// A check in progress: the first bytes of an incomplete character.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Utf8 {
    begun: [u8; 3],
    len: u8,
}

impl Utf8 {
    /// Checks the next part.
    pub(crate) fn feed<'a>(&mut self, part: &'a [u8]) -> Result<Added<'a>, NotUtf8> {
        let mut rest = part;
        let mut ended = None;
        if self.len > 0 {
            let had = usize::from(self.len);
            let take = (width(self.begun[0]) - had).min(part.len());
            let mut bytes = [0; 4];
            bytes[..had].copy_from_slice(&self.begun[..had]);
            bytes[had..had + take].copy_from_slice(&part[..take]);
            let bytes = &bytes[..had + take];
            if bytes.len() < width(bytes[0]) {
                self.begin(bytes)?;
                return Ok(Added { ended: None, text: "" });
            }
            let text = core::str::from_utf8(bytes).map_err(|_| NotUtf8 { good: 0 })?;
            ended = text.chars().next();
            self.len = 0;
            rest = &part[take..];
        }
        let (whole, begun) = rest.split_at(rest.len() - unfinished(rest));
        let Ok(text) = simdutf8::basic::from_utf8(whole) else {
            let good = simdutf8::compat::from_utf8(whole).err().map_or(0, |e| e.valid_up_to());
            return Err(NotUtf8 { good: part.len() - rest.len() + good });
        };
        self.begin(begun).map_err(|_| NotUtf8 { good: part.len() - begun.len() })?;
        Ok(Added { ended, text })
    }

    /// Checks the next part: returns its good text, and whether a bad byte follows it.
    pub(crate) fn feed_good<'a>(&mut self, part: &'a [u8]) -> (Cow<'a, str>, bool) {
        let before = *self;
        let (added, fault) = match self.feed(part) {
            Ok(added) => (added, false),
            Err(NotUtf8 { good }) => {
                *self = before;
                (self.feed(&part[..good]).unwrap_or(Added { ended: None, text: "" }), true)
            }
        };
        match added.ended {
            None => (Cow::Borrowed(added.text), fault),
            Some(ended) => {
                let mut text = String::with_capacity(ended.len_utf8() + added.text.len());
                text.push(ended);
                text.push_str(added.text);
                (Cow::Owned(text), fault)
            }
        }
    }

    /// Whether the text may end here.
    pub(crate) fn is_complete(&self) -> bool {
        self.len == 0
    }

    fn begin(&mut self, bytes: &[u8]) -> Result<(), NotUtf8> {
        if !can_begin(bytes) {
            return Err(NotUtf8 { good: 0 });
        }
        self.begun[..bytes.len()].copy_from_slice(bytes);
        self.len = bytes.len() as u8;
        Ok(())
    }
}

/// The length of the character that this byte starts; 1 for bytes that start none.
const fn width(lead: u8) -> usize {
    match lead {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    }
}

/// How many bytes at the end belong to an incomplete character.
fn unfinished(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let byte = bytes[bytes.len() - back];
        if byte & 0xc0 != 0x80 {
            return if width(byte) > back { back } else { 0 };
        }
    }
    0
}

/// Whether a character can begin with these bytes (Unicode, table 3-7): a bad one fails at once.
fn can_begin(bytes: &[u8]) -> bool {
    let second = match bytes.first() {
        Some(0xe0) => 0xa0..=0xbf,
        Some(0xed) => 0x80..=0x9f,
        Some(0xf0) => 0x90..=0xbf,
        Some(0xf4) => 0x80..=0x8f,
        _ => 0x80..=0xbf,
    };
    bytes.get(1).is_none_or(|byte| second.contains(byte))
        && bytes.get(2).is_none_or(|byte| (0x80..=0xbf).contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text so far, and the offset of the first bad byte in the joined `parts`.
    fn feed(parts: &[&[u8]]) -> Result<String, usize> {
        let mut check = Utf8::default();
        let mut text = String::new();
        let mut seen = 0;
        for part in parts {
            seen += part.len();
            let added = check.feed(part).map_err(|_| seen)?;
            text.extend(added.ended);
            text.push_str(added.text);
        }
        if check.is_complete() { Ok(text) } else { Err(seen) }
    }

    #[test]
    fn characters_may_be_cut_anywhere() {
        let text = "aß水𝄞\u{10ffff}z";
        for a in 0..=text.len() {
            for b in a..=text.len() {
                let bytes = text.as_bytes();
                assert_eq!(feed(&[&bytes[..a], &bytes[a..b], &bytes[b..]]).as_deref(), Ok(text), "{a} {b}");
            }
        }
    }

    #[test]
    fn first_bad_byte_fails_at_once() {
        // bytes, and the count of them after which no continuation could be good
        let cases: &[(&[u8], usize)] = &[
            (b"\xff", 1),
            (b"\x80", 1),
            (b"\xc0\x80", 1),
            (b"\xc3a", 2),
            (b"\xe0\x80\x80", 2),
            (b"\xed\xa0\x80", 2),
            (b"\xf0\x80\x80\x80", 2),
            (b"\xf4\x90\x80\x80", 2),
            (b"\xf5\x80\x80\x80", 1),
            (b"\xe6\xb0a", 3),
            (b"ab\xf0\x9f\x98a", 6),
        ];
        for (bytes, fails_at) in cases {
            let parts: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(feed(&parts), Err(*fails_at), "{bytes:x?}");
            assert!(feed(&[bytes]).is_err(), "{bytes:x?}");
        }
    }

    #[test]
    fn text_may_not_end_inside_a_character() {
        assert!(feed(&["水".as_bytes(), &[0xe6, 0xb0]]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_std_at_every_cut(bytes: Vec<u8>, cut: proptest::sample::Index) {
            let cut = cut.index(bytes.len() + 1);
            let ours = feed(&[&bytes[..cut], &bytes[cut..]]);
            proptest::prop_assert_eq!(ours.ok(), String::from_utf8(bytes).ok());
        }
    }
}
