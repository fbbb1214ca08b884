//! The grammar of header fields (RFC 9110 §5.6).

pub(crate) mod extensions;
pub(crate) mod location;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use core::time::Duration;
use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};

/// `1*DIGIT`, below 2^63.
pub(crate) fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length: u64 = str::from_utf8(value).ok()?.parse().ok()?;
    (length < 1 << 63).then_some(length)
}

/// `token` (RFC 9110 §5.6.2).
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

/// The elements of a list over all its lines, without the empty ones (RFC 9110 §5.6.1). An element that is not text is
/// skipped, and does not hide others.
pub fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .filter_map(|element| str::from_utf8(element.trim_ascii()).ok())
        .filter(|element| !element.is_empty())
}

/// The names and values of all cookies, over all lines, as bytes (RFC 6265 §5.4). A pair without `=` is skipped, and
/// does not hide others.
pub fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    let lines = headers.get_all(header::COOKIE).iter();
    lines.flat_map(|line| line.as_bytes().split(|b| *b == b';')).filter_map(|pair| {
        let pair = pair.trim_ascii();
        let at = memchr::memchr(b'=', pair)?;
        Some((&pair[..at], &pair[at + 1..]))
    })
}

/// Whether a list has this element, ignoring case.
pub fn has_element(headers: &HeaderMap, name: &HeaderName, element: &str) -> bool {
    list(headers, name).any(|e| e.eq_ignore_ascii_case(element))
}

/// The one value of a field; `Err` where the field is repeated.
#[expect(clippy::result_unit_err, reason = "there is only one error")]
pub fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, ()> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    if values.next().is_some() { Err(()) } else { Ok(value.map(|value| value.as_bytes())) }
}

/// How the names of fields with credentials end, beside those of the standards: `X-Api-Key`, `X-Auth-Token`.
const SECRETS: [&str; 7] = ["key", "token", "secret", "password", "auth", "session", "assertion"];

/// The delay that `Retry-After` requests (RFC 9110 §10.2.3).
///
/// A date counts from the `Date` of the same answer, since clocks of two machines differ. Without a `Date`, or when the
/// date is not later than that, there is no delay: `None`.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok();
    let value = text(header::RETRY_AFTER)?;
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // An overflowing number of seconds still counts.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = |text| httpdate::parse_http_date(text).ok();
    let wait = date(value)?.duration_since(date(text(header::DATE)?)?).ok()?;
    (!wait.is_zero()).then_some(wait)
}

/// Hides secrets from `Debug`: credentials, cookies, and the queries of URLs, which may have a token, whatever field
/// has them (`Referer`, `Location`, `Link`, a proxy's `X-Forwarded-Uri`).
pub fn hide_secret(name: &HeaderName, value: &mut HeaderValue) {
    let is_named_secret =
        |name: &str| SECRETS.iter().any(|end| name.ends_with(end)) && !name.starts_with("sec-");
    let is_secret = [header::AUTHORIZATION, header::COOKIE, header::SET_COOKIE, header::PROXY_AUTHORIZATION]
        .contains(name)
        || is_named_secret(name.as_str());
    let has_query = |value: &[u8]| {
        let query = memchr::memchr(b'?', value);
        query.is_some_and(|query| value[..query].contains(&b'/'))
    };
    if is_secret || has_query(value.as_bytes()) {
        value.set_sensitive(true);
    }
}

/// The credentials of the scheme Basic, in UTF-8 (RFC 7617 §2), as a value that `Debug` hides.
///
/// # Errors
/// What is wrong: the user name may have no colon, and neither may have control characters.
///
/// ```
/// use ws_proto::fields::basic_credentials;
///
/// let value = basic_credentials("Aladdin", "open sesame")?;
/// assert_eq!(value, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
/// # Ok::<(), &'static str>(())
/// ```
pub fn basic_credentials(user: &str, password: &str) -> Result<HeaderValue, &'static str> {
    if user.contains(':') {
        return Err("the user name has a colon, which Basic authentication cannot send");
    }
    if user.chars().chain(password.chars()).any(char::is_control) {
        return Err("the user name or the password has a control character");
    }
    let text = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    let mut value = HeaderValue::try_from(text).map_err(|_| "they are too long")?;
    value.set_sensitive(true);
    Ok(value)
}

/// Fields about the connection or the handshake, which only the engine writes.
pub(crate) fn is_connection_header(name: &HeaderName) -> bool {
    [header::CONNECTION, header::UPGRADE, header::TRANSFER_ENCODING, header::TE, header::TRAILER]
        .contains(name)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
        || name.as_str().starts_with("sec-websocket-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn non_text_element_hides_no_other() {
        let mut headers = HeaderMap::new();
        for line in [&b"a, \xff ,B"[..], b"\xfe", b"Zo\xc3\xab,, c d\t,"] {
            headers.append(header::CONNECTION, HeaderValue::from_bytes(line).unwrap());
        }
        assert_eq!(list(&headers, &header::CONNECTION).collect::<Vec<_>>(), ["a", "B", "Zo\u{eb}", "c d"]);
        assert!(has_element(&headers, &header::CONNECTION, "b"));
        assert!(!has_element(&headers, &header::CONNECTION, "d"));
    }

    #[test]
    fn cookies_are_read_over_all_lines() {
        let mut headers = HeaderMap::new();
        for line in [&b"a=1; b=2;c"[..], b"=;d= \xff =x"] {
            headers.append(header::COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        let expected: [(&[u8], &[u8]); 4] = [(b"a", b"1"), (b"b", b"2"), (b"", b""), (b"d", b" \xff =x")];
        assert!(cookies(&headers).eq(expected));
        assert_eq!(cookies(&HeaderMap::new()).count(), 0);
    }

    #[test]
    fn credentials_and_the_queries_of_urls_are_hidden() {
        for (name, value, is_hidden) in [
            (header::AUTHORIZATION, "a", true),
            (header::PROXY_AUTHORIZATION, "a", true),
            (header::COOKIE, "a", true),
            (header::SET_COOKIE, "a", true),
            (header::REFERER, "http://localhost/?a", true),
            (header::REFERER, "http://localhost/", false),
            (header::LOCATION, "/?a", true),
            (header::CONTENT_LOCATION, "page/?a", true),
            (header::LINK, "</next?a>; rel=next", true),
            (header::REFRESH, "0; url=/?a", true),
            (HeaderName::from_static("x-forwarded-uri"), "/?a", true),
            (HeaderName::from_static("x-original-url"), "http://localhost/?a", true),
            (HeaderName::from_static("x-api-key"), "a", true),
            (HeaderName::from_static("apikey"), "a", true),
            (HeaderName::from_static("x-auth-token"), "a", true),
            (HeaderName::from_static("cf-access-jwt-assertion"), "a", true),
            (header::SEC_WEBSOCKET_KEY, "a", false),
            (header::USER_AGENT, "a/1 (b)", false),
            (HeaderName::from_static("sec-ch-ua-mobile"), "?0", false),
            (HeaderName::from_static("x-fraction"), "?1/2", false),
            (header::HOST, "localhost", false),
            (header::ACCEPT, "a?b", false),
        ] {
            let mut shown = HeaderValue::from_static(value);
            hide_secret(&name, &mut shown);
            let headers = HeaderMap::from_iter([(name.clone(), shown)]);
            assert_eq!(!format!("{:?}", headers[&name]).contains(value), is_hidden, "{name}: {value}");
            assert_eq!(headers[&name], value, "it is all there");
        }
    }
}
