//! Where an answer redirects to, as sentences show it.

use ::http::{Response, header};
use core::fmt;

/// The longest part of a URL, in characters, that a sentence shows.
const LONGEST: usize = 200;

/// A URL, fit for a log: without user name, query and fragment, which may be secret, and cut.
pub(crate) struct Location<'a>(pub(crate) &'a str);

impl fmt::Display for Location<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.0.split(['?', '#']).next().unwrap_or_default();
        let absolute = url.split_once("//").filter(|(scheme, _)| scheme.is_empty() || scheme.ends_with(':'));
        let (scheme, rest) = absolute.map_or(("", url), |(scheme, rest)| (&url[..scheme.len() + 2], rest));
        let authority = absolute.map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
        let user = authority.rfind('@').map_or(0, |at| at + 1);
        let mut rest = scheme.chars().chain(rest[user..].chars());
        let shown: String = rest.by_ref().take(LONGEST).collect();
        f.write_str(&shown)?;
        f.write_str(if rest.next().is_some() { "…" } else { "" })
    }
}

/// Where the answer redirects to, if a client can be allowed to follow (RFC 9110 §15.4).
pub(crate) fn location<B>(response: &Response<B>) -> Option<Location<'_>> {
    let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
    let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let is_shown = !location.is_empty() && !location.starts_with(['?', '#']);
    let is_url = location.bytes().all(|b| b.is_ascii_graphic());
    (is_redirect && is_shown && is_url).then_some(Location(location))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_shown_without_secrets_and_cut() {
        let answer = |status: u16, url: &str| {
            let response = Response::builder().status(status).header("Location", url).body(()).unwrap();
            location(&response).map(|location| location.to_string())
        };
        for (url, shown) in [
            ("wss://a.example/b/c", "wss://a.example/b/c"),
            ("/login?token=secret", "/login"),
            ("//b.example?secret#secret", "//b.example"),
            ("https://ann:secret@b.example:9/x@y?z", "https://b.example:9/x@y"),
            ("HTTPS://ann:secret@b.example", "HTTPS://b.example"),
            ("/a//b@c", "/a//b@c"),
        ] {
            assert_eq!(answer(302, url).as_deref(), Some(shown), "{url}");
        }
        let long = answer(301, &format!("/{}", "a".repeat(9000))).unwrap();
        assert_eq!(long, format!("/{}…", "a".repeat(LONGEST - 1)));
        assert_eq!((answer(300, "/x"), answer(302, "/a b"), answer(302, "?secret")), (None, None, None));
    }
}
