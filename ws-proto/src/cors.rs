//! Pages of other origins that may read what is answered: CORS of the Fetch standard, only where it is asked for.

use crate::access::InvalidAccess;
use crate::fields::single;
use crate::origin::Origin;
use crate::web::status;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};

/// Lets pages of other origins read answers: those of a development server on another port, say.
///
/// Without it no other origin reads anything. What a foreign page may *do* is the matter of
/// [`Access`](crate::Access), which must allow its origin too for WebSockets and for every method but GET, HEAD
/// and OPTIONS.
///
/// ```
/// use http::{Request, Response};
/// use ws_proto::Cors;
///
/// let cors = Cors::new().origin("http://localhost:5173");
/// let request = Request::get("/api/state").header("Origin", "http://localhost:5173").body(()).unwrap();
/// if let Some(answer) = cors.preflight(&request) {
///     // the browser asks whether it may ask: respond with this
/// #   unreachable!("{answer:?}");
/// }
/// let response = cors.allow(&request, Response::new("{}"));
/// assert_eq!(response.headers()["access-control-allow-origin"], "http://localhost:5173");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Cors {
    origins: Vec<Origin>,
    any: bool,
    /// The first mistake.
    pub(crate) invalid: Option<InvalidAccess>,
}

impl Cors {
    /// Nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Pages of this origin too, with their cookies: scheme, host and, where it is not the scheme's own, port. What
    /// is no origin is [`InvalidAccess::CorsOrigin`] when the server starts.
    #[must_use]
    pub fn origin(mut self, origin: &str) -> Self {
        match Origin::listed(origin) {
            Some(origin) => self.origins.push(origin),
            None => _ = self.invalid.get_or_insert(InvalidAccess::CorsOrigin(origin.to_owned())),
        }
        self
    }

    /// Pages of every origin, without cookies. Only for what is public: any page on the web that a user of this
    /// server opens can read it then.
    #[must_use]
    pub fn any_origin(mut self) -> Self {
        self.any = true;
        self
    }

    /// The answer to a browser that asks whether a page may make a request; `None` for all other requests.
    /// Whatever method and fields it names are allowed to the origins that are.
    pub fn preflight<B>(&self, request: &Request<B>) -> Option<Response<Bytes>> {
        let asked = request.headers();
        let method = asked.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
        if *request.method() != Method::OPTIONS || !asked.contains_key(header::ORIGIN) {
            return None;
        }
        let mut response = self.allow(request, status(StatusCode::NO_CONTENT));
        let headers = response.headers_mut();
        if headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, method.clone());
            if let Some(fields) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
                headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, fields.clone());
            }
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        }
        Some(response)
    }

    /// The same answer, which a page of an allowed origin may read.
    pub fn allow<B, T>(&self, request: &Request<B>, mut response: Response<T>) -> Response<T> {
        let headers = response.headers_mut();
        if let Some(origin) = self.allowed(request.headers()) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        } else if self.any {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
        // To another origin the same answer looks different.
        if !self.origins.is_empty() {
            headers.append(header::VARY, HeaderValue::from_static("origin"));
        }
        response
    }

    fn allowed<'h>(&self, headers: &'h HeaderMap) -> Option<&'h HeaderValue> {
        single(headers, &header::ORIGIN).ok()??;
        let value = headers.get(header::ORIGIN)?;
        let origin = Origin::parse(value.to_str().ok()?)?;
        self.origins.contains(&origin).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEV: &str = "http://localhost:5173";

    fn ask(method: &str, origin: &str, fields: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().method(method).uri("/").header("origin", origin);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    fn field<'r, T>(response: &'r Response<T>, name: &str) -> Option<&'r str> {
        response.headers().get(name).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn a_listed_origin_may_read_with_its_cookies_and_no_other_may_at_all() {
        let cors = Cors::new().origin("HTTP://LocalHost:5173/").origin("https://app.example:443");
        for origin in [DEV, "https://app.example"] {
            let response = cors.allow(&ask("GET", origin, &[]), Response::new(()));
            assert_eq!(field(&response, "access-control-allow-origin"), Some(origin));
            assert_eq!(field(&response, "access-control-allow-credentials"), Some("true"));
            assert_eq!(field(&response, "vary"), Some("origin"));
        }
        for origin in [
            "http://localhost",
            "http://localhost:51731",
            "https://localhost:5173",
            "null",
            "",
            "*",
            "http://evil.example",
        ] {
            let response = cors.allow(&ask("GET", origin, &[]), Response::new(()));
            assert_eq!(field(&response, "access-control-allow-origin"), None, "{origin}");
            assert_eq!(field(&response, "access-control-allow-credentials"), None, "{origin}");
            assert_eq!(field(&response, "vary"), Some("origin"));
        }
        let twice = ask("GET", DEV, &[("origin", "http://evil.example")]);
        assert_eq!(field(&cors.allow(&twice, Response::new(())), "access-control-allow-origin"), None);
    }

    #[test]
    fn everybody_may_read_what_is_public_without_cookies() {
        let response = Cors::new().any_origin().allow(&ask("GET", "null", &[]), Response::new(()));
        assert_eq!(field(&response, "access-control-allow-origin"), Some("*"));
        assert_eq!(field(&response, "access-control-allow-credentials"), None);
    }

    #[test]
    fn a_browser_that_asks_first_is_answered_before_the_routes() {
        let cors = Cors::new().origin(DEV);
        let wish = [
            ("access-control-request-method", "DELETE"),
            ("access-control-request-headers", "content-type,x-mine"),
        ];
        let response = cors.preflight(&ask("OPTIONS", DEV, &wish)).unwrap();
        assert_eq!(response.status(), 204);
        assert_eq!(field(&response, "access-control-allow-methods"), Some("DELETE"));
        assert_eq!(field(&response, "access-control-allow-headers"), Some("content-type,x-mine"));
        let response = cors.preflight(&ask("OPTIONS", "http://evil.example", &wish)).unwrap();
        assert_eq!(field(&response, "access-control-allow-methods"), None);
        assert_eq!(field(&response, "access-control-allow-headers"), None);
        assert!(cors.preflight(&ask("OPTIONS", DEV, &[])).is_none(), "an ordinary OPTIONS");
        assert!(cors.preflight(&ask("DELETE", DEV, &wish)).is_none());
    }
}
