//! The keys that pair request and response (RFC 6455 §4.1, §4.2.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// Makes the `Sec-WebSocket-Key` of a client from 16 random bytes (§4.1).
///
/// ```
/// assert_eq!(ws_proto::handshake::key(*b"the sample nonce"), "dGhlIHNhbXBsZSBub25jZQ==");
/// ```
pub fn key(seed: [u8; 16]) -> String {
    STANDARD.encode(seed)
}

/// The `Sec-WebSocket-Accept` that answers a key (§4.2.2).
///
/// ```
/// // The example of §1.3.
/// let accept = ws_proto::handshake::accept_key("dGhlIHNhbXBsZSBub25jZQ==");
/// assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
pub fn accept_key(key: &str) -> String {
    let mut sha1 = Sha1::new();
    sha1.update(key.as_bytes());
    sha1.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(sha1.finalize())
}

/// Whether `accept` answers `key`.
///
/// ```
/// use ws_proto::handshake::verify;
/// assert!(verify("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
/// assert!(!verify("dGhlIHNhbXBsZSBub25jZQ==", "S3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
/// ```
pub fn verify(key: &str, accept: &str) -> bool {
    accept_key(key) == accept
}

/// Whether this is the Base64 of 16 bytes, as a key must be (§4.1).
///
/// The four bits of the last character beyond the 16 bytes may be anything: the RFC's own example sets them. The
/// [answer](accept_key) to a key hashes its characters, not its bytes.
///
/// ```
/// use ws_proto::handshake::is_valid_key;
/// assert!(is_valid_key("dGhlIHNhbXBsZSBub25jZQ=="));
/// assert!(is_valid_key("AQIDBAUGBwgJCgsMDQ4PEC==")); // of §4.1
/// assert!(!is_valid_key("dGhlIHNhbXBsZQ=="));
/// ```
pub fn is_valid_key(key: &str) -> bool {
    let is_base64 = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'));
    key.len() == 24 && key.strip_suffix("==").is_some_and(is_base64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_key_of_16_bytes_is_valid() {
        for bad in [
            "",
            "==",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZQ===",
            "dGhlIHNhbXBsZSBub25jZQ==dGhl",
            "dGhlIHNhbXBsZSBub25jZ!==",
            "dGhlIHNhbXBsZSBub25jZXgg",
            "dGhlIHNhbXBsZSBub25jZXg=",
            "dGhlIHNhbXBsZSBub25jZ===",
            "dGhlIHNhbXBsZ=Bub25jZQ==",
            "dGhlIHNhbXBsZSBub25jZQ= =",
            "dGhlIHNhbXBs SBub25jZQ==",
            " dGhlIHNhbXBsZSBub25jZ==",
            "-_hlIHNhbXBsZSBub25jZQ==",
            "\u{e9}hlIHNhbXBsZSBub25jZ==",
        ] {
            assert!(!is_valid_key(bad), "{bad}");
        }
        assert!(is_valid_key(&key([0xff; 16])) && is_valid_key("+/hlIHNhbXBsZSBub25jZQ=="));
    }

    #[test]
    fn key_pad_bits_are_free_and_affect_the_answer() {
        for last in 'A'..='Z' {
            assert!(is_valid_key(&format!("AQIDBAUGBwgJCgsMDQ4PE{last}==")), "{last}");
        }
        assert_eq!(accept_key("AQIDBAUGBwgJCgsMDQ4PEC=="), "OfS0wDaT5NoxF2gqm7Zj2YtetzM=");
        assert!(!verify("AQIDBAUGBwgJCgsMDQ4PEC==", &accept_key("AQIDBAUGBwgJCgsMDQ4PEA==")));
    }

    #[test]
    fn only_the_answer_to_a_key_verifies() {
        let key = key([7; 16]);
        assert!(verify(&key, &accept_key(&key)));
        for bad in [String::new(), key.clone(), accept_key(""), accept_key(&key).to_lowercase()] {
            assert!(!verify(&key, &bad), "{bad}");
        }
    }
}
