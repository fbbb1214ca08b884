//! The grammar of header fields (RFC 9110 §5.6).

use http::HeaderMap;
use http::header::{self, HeaderName};

/// `token` (RFC 9110 §5.6.2).
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

/// The elements of a list over all its lines, without the empty ones (RFC 9110 §5.6.1).
pub(crate) fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|element| element.trim_matches([' ', '\t']))
        .filter(|element| !element.is_empty())
}

/// Whether a list has this element, whatever its case.
pub(crate) fn has_element(headers: &HeaderMap, name: &HeaderName, element: &str) -> bool {
    list(headers, name).any(|e| e.eq_ignore_ascii_case(element))
}

/// The one value of a field; `Err` where the field is repeated.
pub(crate) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, ()> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    if values.next().is_some() { Err(()) } else { Ok(value.map(|value| value.as_bytes())) }
}

/// Fields that speak about the connection or make the handshake, which the engine alone writes.
pub(crate) fn is_connection_header(name: &HeaderName) -> bool {
    [header::CONNECTION, header::UPGRADE, header::TRANSFER_ENCODING, header::TE, header::TRAILER]
        .contains(name)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
        || name.as_str().starts_with("sec-websocket-")
}
