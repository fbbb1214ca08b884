//! Accepted content codings (RFC 9110 §12.5.3).

use http::HeaderMap;
use http::header;
use ws_proto::fields::list;

/// The content codings of precompressed files: extension and name, the better one first.
pub const CODINGS: [(&str, &str); 2] = [(".br", "br"), (".gz", "gzip")];

/// Whether a client accepts a content coding: `Accept-Encoding` names it, or `*`, with a weight other than 0.
///
/// ```
/// let request = http::Request::get("/").header("Accept-Encoding", "gzip, br;q=0").body(()).unwrap();
/// assert!(ws_host::web::accepts_coding(request.headers(), "gzip"));
/// assert!(!ws_host::web::accepts_coding(request.headers(), "br"));
/// ```
pub fn accepts_coding(headers: &HeaderMap, coding: &str) -> bool {
    let mut any = false;
    for element in list(headers, &header::ACCEPT_ENCODING) {
        let mut parts = element.split(';').map(|part| part.trim_matches([' ', '\t']));
        let name = parts.next().unwrap_or_default();
        let rejected = parts.any(is_zero);
        if name.eq_ignore_ascii_case(coding) {
            return !rejected;
        }
        any |= name == "*" && !rejected;
    }
    any
}

/// `q=0`, `q=0.000`.
pub(super) fn is_zero(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    name.eq_ignore_ascii_case("q")
        && value.starts_with('0')
        && value.bytes().all(|b| matches!(b, b'0' | b'.'))
}
