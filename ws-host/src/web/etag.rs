//! Entity tags (RFC 9110 §8.8.3).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use core::fmt;
use http::HeaderValue;
use sha1::{Digest, Sha1};
use std::time::{SystemTime, UNIX_EPOCH};

/// A strong entity tag: different content has a different one.
///
/// ```
/// use ws_host::web::ETag;
///
/// assert_eq!(ETag::of(b"hello"), ETag::of(b"hello"));
/// assert_ne!(ETag::of(b"hello"), ETag::of(b"Hello"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ETag(String);

impl ETag {
    /// The tag of content, by its hash.
    pub fn of(content: &[u8]) -> Self {
        let hash: [u8; 20] = Sha1::digest(content).into();
        Self(format!("\"{}\"", URL_SAFE_NO_PAD.encode(&hash[..15])))
    }

    /// The tag of a file without reading it, by its length and modification time, to the nanosecond if the
    /// file system has that.
    pub fn of_file(len: u64, modified: SystemTime) -> Self {
        let (sign, since) = match modified.duration_since(UNIX_EPOCH) {
            Ok(since) => ("", since),
            Err(before) => ("-", before.duration()),
        };
        Self(format!("\"{sign}{:x}-{len:x}\"", since.as_nanos()))
    }

    /// The tag of the same file with this coding: other bytes, although length and time may be the same.
    pub(super) fn encoded(self, coding: &str) -> Self {
        Self(format!("{}-{coding}\"", self.0.trim_end_matches('"')))
    }

    /// As written in a field, with its quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn to_value(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }

    /// Whether a list of tags, or `*`, contains this one. Tags may contain commas, so it is read tag by tag.
    pub(super) fn is_in(&self, list: &str, weakly: bool) -> bool {
        let mut rest = list.trim_matches([' ', '\t', ',']);
        if rest == "*" {
            return true;
        }
        while !rest.is_empty() {
            let (is_weak, tag) = match rest.strip_prefix("W/") {
                Some(tag) => (true, tag),
                None => (false, rest),
            };
            let Some(end) = tag.strip_prefix('"').and_then(|inner| inner.find('"')) else { return false };
            if tag[..end + 2] == self.0 && (weakly || !is_weak) {
                return true;
            }
            rest = tag[end + 2..].trim_start_matches([' ', '\t', ',']);
        }
        false
    }
}

impl fmt::Debug for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ETag({})", self.0)
    }
}
