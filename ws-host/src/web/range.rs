//! Parts of a file (RFC 9110 §14).

use core::ops::Range;

/// The part that a `Range` field requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ranged {
    /// All of it: no range, several ranges, an unknown range unit, or a range from the first byte of empty content; a
    /// server may ignore each of these (§14.2).
    Whole,
    /// These bytes, at least one: 206.
    Part(Range<u64>),
    /// Bytes that do not exist: 416.
    Unsatisfiable,
}

/// Reads the value of a `Range` field for content of `len` bytes. A single range is served; several become the whole.
///
/// ```
/// use ws_host::web::{Ranged, range};
///
/// assert_eq!(range("bytes=0-99", 1000), Ranged::Part(0..100));
/// assert_eq!(range("bytes=-100", 1000), Ranged::Part(900..1000));
/// assert_eq!(range("bytes=1000-", 1000), Ranged::Unsatisfiable);
/// assert_eq!(range("bytes=0-1,5-6", 1000), Ranged::Whole);
/// ```
///
/// If `len` is 0, a range from the first byte (`bytes=0-`, `bytes=0-99`) and a suffix (`bytes=-5`) are ignored. A
/// suffix that is longer than the content means all of it (§14.1.2), yet a 206 cannot express that: its `Content-Range`
/// names a first and a last byte. Clients send such ranges before they know the length. `bytes=-0`
/// stays unsatisfiable, as does a range from a later byte: the 416 shows its client that its bytes no longer exist
/// (§15.5.17).
pub fn range(value: &str, len: u64) -> Ranged {
    parse(value, len).unwrap_or(Ranged::Whole)
}

fn parse(value: &str, len: u64) -> Option<Ranged> {
    let (unit, range) = value.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim_matches([' ', '\t']).split_once('-')?;
    let (first, last) = match (number(first)?, number(last)?) {
        (None, None) => return None,
        (Some(0), _) | (None, Some(1..)) if len == 0 => return Some(Ranged::Whole),
        (None, Some(suffix)) => (len.saturating_sub(suffix), len),
        (Some(first), None) => (first, len),
        (Some(first), Some(last)) if first > last => return None,
        (Some(first), Some(last)) => (first, last.saturating_add(1).min(len)),
    };
    Some(if first < last { Ranged::Part(first..last) } else { Ranged::Unsatisfiable })
}

/// `*DIGIT`. A number that overflows is larger than every file.
fn number(digits: &str) -> Option<Option<u64>> {
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((!digits.is_empty()).then(|| digits.parse().unwrap_or(u64::MAX)))
}
