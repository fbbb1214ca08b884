//! The request that follows a redirect.

use super::client::{ClientRequest, InvalidRequest};
use super::redirect::{Redirect, RedirectError};
use ::http::StatusCode;
use ::http::header::{self, HeaderName};

/// The fields that are sent to another origin: they carry no credentials. Whatever else the application has set might
/// be one, such as `X-Api-Key`.
pub(super) const HARMLESS: [HeaderName; 5] =
    [header::ORIGIN, header::USER_AGENT, header::ACCEPT_LANGUAGE, header::CACHE_CONTROL, header::PRAGMA];

impl ClientRequest {
    /// The request that follows a redirect to this `Location`, relative or absolute (RFC 3986 §5.2). `http` and `https`
    /// stand for `ws` and `wss`.
    ///
    /// To another origin (scheme, host and port), only `Origin`, `User-Agent`, `Accept-Language`, `Cache-Control` and
    /// `Pragma` are sent again, of all header fields that were set: any other may be a credential, as `Authorization`
    /// and `Cookie` are. Subprotocols are offered again.
    ///
    /// # Errors
    /// [`RedirectError`].
    pub fn redirect(&self, status: StatusCode, location: &str) -> Result<Self, RedirectError> {
        let url = self.resolved(location)?;
        let next = Self::new(&url).map_err(|error| match error {
            InvalidRequest::Url(why) => RedirectError::Location(why),
            _ => RedirectError::Location("it is malformed"),
        })?;
        if self.is_tls() && !next.is_tls() {
            return Err(RedirectError::Insecure { location: without_query(&url).to_owned() });
        }
        let same_host = self.host() == next.host() && (next.zone().is_none() || self.zone() == next.zone());
        let same_origin = same_host && (self.is_tls(), self.port()) == (next.is_tls(), next.port());
        let mut redirects = self.redirects().to_vec();
        redirects.push(Redirect::new(status, url));
        let mut next = self.clone().retarget(next, same_host, redirects);
        if !same_origin {
            next.keep_headers(|name, value| HARMLESS.contains(name) && !value.is_sensitive());
        }
        Ok(next)
    }

    /// The absolute URL of a reference.
    fn resolved(&self, location: &str) -> Result<String, RedirectError> {
        let location = location.split('#').next().unwrap_or_default();
        if !location.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(RedirectError::Location("it has characters that must be percent-encoded"));
        }
        let own_scheme = if self.is_tls() { "wss" } else { "ws" };
        if let Some((scheme, rest)) = split_scheme(location) {
            let scheme = match scheme.to_ascii_lowercase().as_str() {
                "ws" | "http" => "ws",
                "wss" | "https" => "wss",
                _ => return Err(RedirectError::Location("its scheme is not ws, wss, http or https")),
            };
            let rest = rest.strip_prefix("//").ok_or(RedirectError::Location("it has no host"))?;
            return Ok(format!("{scheme}://{rest}"));
        }
        if let Some(rest) = location.strip_prefix("//") {
            return Ok(format!("{own_scheme}://{rest}"));
        }
        let (path, query) = split_query(location);
        let (own_path, own_query) = split_query(self.target());
        let target = match path {
            "" if query.is_empty() => format!("{own_path}{own_query}"),
            "" => format!("{own_path}{query}"),
            _ if path.starts_with('/') => format!("{}{query}", without_dots(path)),
            _ => {
                let folder = &own_path[..=own_path.rfind('/').unwrap_or(0)];
                format!("{}{query}", without_dots(&format!("{folder}{path}")))
            }
        };
        Ok(format!("{own_scheme}://{}{target}", self.host_header()))
    }
}

fn without_query(url: &str) -> &str {
    split_query(url).0
}

/// The query begins with its question mark.
fn split_query(text: &str) -> (&str, &str) {
    text.split_at(text.find('?').unwrap_or(text.len()))
}

/// A scheme, and what follows its colon (RFC 3986 §3.1).
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    is_scheme.then_some((scheme, rest))
}

/// An absolute path without `.` and `..` (RFC 3986 §5.2.4).
fn without_dots(path: &str) -> String {
    let mut segments = Vec::new();
    let mut ends_in_folder = false;
    for segment in path.split('/').skip(1) {
        ends_in_folder = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    let end = if ends_in_folder && !segments.is_empty() { "/" } else { "" };
    format!("/{}{end}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followed(url: &str, location: &str) -> Result<String, RedirectError> {
        let request = ClientRequest::new(url).unwrap().redirect(StatusCode::FOUND, location)?;
        let scheme = if request.is_tls() { "wss" } else { "ws" };
        Ok(format!("{scheme}://{}{}", request.host_header(), request.target()))
    }

    #[test]
    fn locations_are_resolved_as_references() {
        let base = "ws://a.example/b/c/d?q";
        for (location, expected) in [
            ("wss://b.example/x", "wss://b.example/x"),
            ("https://b.example:9/x?y", "wss://b.example:9/x?y"),
            ("HTTP://B.example", "ws://b.example/"),
            ("//b.example/x", "ws://b.example/x"),
            ("/x", "ws://a.example/x"),
            ("/x?y#z", "ws://a.example/x?y"),
            ("g", "ws://a.example/b/c/g"),
            ("./g/.", "ws://a.example/b/c/g/"),
            ("../g", "ws://a.example/b/g"),
            ("../../../../g", "ws://a.example/g"),
            ("..", "ws://a.example/b/"),
            ("../..", "ws://a.example/"),
            ("/./g/../h", "ws://a.example/h"),
            ("?y", "ws://a.example/b/c/d?y"),
            ("?y=/../z", "ws://a.example/b/c/d?y=/../z"),
            ("", "ws://a.example/b/c/d?q"),
            ("#z", "ws://a.example/b/c/d?q"),
            ("g?y=a:b", "ws://a.example/b/c/g?y=a:b"),
            ("a//b", "ws://a.example/b/c/a//b"),
        ] {
            assert_eq!(followed(base, location).as_deref(), Ok(expected), "{location:?}");
        }
        assert_eq!(followed("ws://[::1]:9/a", "b").as_deref(), Ok("ws://[::1]:9/b"));
        assert_eq!(followed("ws://a.example:9", "b").as_deref(), Ok("ws://a.example:9/b"));
    }

    #[test]
    fn invalid_locations_are_errors() {
        for location in [
            "ftp://b.example/",
            "mailto:a@b.example",
            "http:b.example",
            "ws://user:secret@b.example/",
            "ws://b.example:99999/",
            "ws:///x",
            "/a b",
            "/\u{fc}",
            "/a\r\nX: y",
        ] {
            let error = followed("ws://a.example/", location).unwrap_err();
            assert!(matches!(error, RedirectError::Location(_)), "{location:?}: {error}");
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn tls_is_never_left() {
        for location in ["ws://a.example/?secret", "http://a.example/?secret", "ws://b.example/?secret"] {
            let error = followed("wss://a.example/", location).unwrap_err();
            assert!(matches!(error, RedirectError::Insecure { .. }), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        assert!(followed("wss://a.example/", "//b.example/").unwrap().starts_with("wss:"));
        assert!(followed("ws://a.example/", "https://a.example/").unwrap().starts_with("wss:"));
    }

    #[test]
    fn credentials_stay_with_their_origin() {
        let request = ClientRequest::new("ws://a.example:80/").unwrap();
        let request = request.basic_auth("a", "b").unwrap().header("Cookie", "c=d").unwrap();
        let request = request.header("X-Api-Key", "e").unwrap().header("User-Agent", "f").unwrap();
        let request = request.header("Proxy-Authorization", "g").unwrap().subprotocol("chat").unwrap();
        for (location, keeps) in [
            ("/x", true),
            ("ws://A.example/x", true),
            ("http://a.example:80/x", true),
            ("wss://a.example/x", false),
            ("ws://a.example:81/x", false),
            ("ws://www.a.example/x", false),
            ("//b.example/x", false),
        ] {
            let next = request.redirect(StatusCode::FOUND, location).unwrap();
            let names: Vec<_> = next.headers().keys().map(HeaderName::as_str).collect();
            assert_eq!(names.len(), if keeps { 5 } else { 1 }, "{location}: {names:?}");
            assert!(next.headers().contains_key("user-agent"));
            assert_eq!(next.subprotocols().collect::<Vec<_>>(), ["chat"]);
            // Coming back does not bring them back.
            let back = next.redirect(StatusCode::FOUND, "ws://a.example/");
            if let Ok(back) = back {
                assert_eq!(back.headers().len(), names.len());
                assert_eq!(back.redirects().len(), 2);
            }
        }
    }

    #[test]
    fn the_zone_of_an_address_stays_on_its_host() {
        let request = ClientRequest::new("ws://[fe80::1%25eth0]:9/").unwrap();
        for location in ["/x", "ws://[fe80::1]:10/"] {
            assert_eq!(request.redirect(StatusCode::FOUND, location).unwrap().zone(), request.zone());
        }
        assert!(request.redirect(StatusCode::FOUND, "ws://[fe80::2]:9/").unwrap().zone().is_none());
    }

    #[test]
    fn debug_shows_no_query() {
        let request = ClientRequest::new("ws://a.example/").unwrap();
        let next = request.redirect(StatusCode::TEMPORARY_REDIRECT, "/x?secret").unwrap();
        assert_eq!(next.redirects()[0].location(), "ws://a.example/x?secret");
        assert_eq!(format!("{:?}", next.redirects()), "[307 ws://a.example/x]");
        assert!(!format!("{next:?}").contains("secret"));
    }
}
