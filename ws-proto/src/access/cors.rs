//! CORS of the Fetch standard, opt-in: pages of other origins that may read responses.
//!
//! ```text
//!  head ─▶ Host rule ─▶ preflight? ─▶ 204, from the engine
//!             │            └─ no ─▶ head rule, application ─▶ answer ─┐
//!             └─ fault ───────────▶ the engine's own answer ──────────┴─▶ Grant::apply ─▶ out
//! ```
use crate::access::invalid::InvalidAccess;
use crate::access::origin::Origin;
use crate::error::RequestError;
use crate::fields::{has_element, is_token, single};
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};

const REQUEST_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// Lets pages of other origins read answers: those of a development server on another port, for example.
///
/// Without it, no other origin can read anything. Set with [`Config::cors`](crate::Config::cors) or
/// `ServerConfig::cors`, it applies to every answer on the connection, including the engine's own (413, 503 and so on,
/// and the 401 where a token is required):
///
/// - The connection answers a preflight, a browser's request for permission, after the rule for `Host` and before
///   any [`HeadRule`](crate::HeadRule), such as one for a token, since browsers send neither cookies nor
///   `Authorization` with it; one with a body, which no browser sends, needs permission like any other request. The
///   application never sees it. A preflight is an OPTIONS with one `Origin` and one `Access-Control-Request-Method`; any
///   other OPTIONS is an ordinary request.
/// - Every answer to an allowed origin gets the fields, unless the application has set `Access-Control-Allow-Origin`
///   itself. Only 403 for a foreign origin, 421 for a foreign host, and 101 carry none.
/// - A listed [origin](Self::origin) may also open WebSockets and use every method, as if [`Access`](crate::Access)
///   allowed it. [`any_origin`](Self::any_origin) never implies that: for a foreign page that `Access` does not allow,
///   WebSockets and all methods but GET, HEAD and OPTIONS stay forbidden (403).
///
/// ```
/// use ws_proto::{Config, Cors};
///
/// let config = Config::server().cors(Cors::new().origin("http://localhost:5173"));
/// ```
///
/// To open only some paths, leave the setting alone and call [`preflight`](Self::preflight) and [`allow`](Self::allow)
/// for those:
///
/// ```
/// use http::{Request, Response};
/// use ws_proto::Cors;
///
/// let cors = Cors::new().origin("http://localhost:5173");
/// let request = Request::get("/api/state").header("Origin", "http://localhost:5173").body(()).unwrap();
/// if let Some(answer) = cors.preflight(&request) {
///     // a preflight: respond with this
/// #   unreachable!("{answer:?}");
/// }
/// let response = cors.allow(&request, Response::new("{}"));
/// assert_eq!(response.headers()["access-control-allow-origin"], "http://localhost:5173");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Cors {
    origins: Vec<Origin>,
    any: bool,
    /// The first invalid rule.
    invalid: Option<InvalidAccess>,
}

impl Cors {
    /// Allows no origin.
    pub fn new() -> Self {
        Self::default()
    }

    /// Allows pages of this origin, with their cookies: scheme, host and, unless it is the scheme's default, port. An
    /// invalid origin is [`InvalidAccess::CorsOrigin`] when the server starts.
    #[must_use]
    pub fn origin(mut self, origin: &str) -> Self {
        match Origin::listed(origin) {
            Some(origin) => self.origins.push(origin),
            None => _ = self.invalid.get_or_insert(InvalidAccess::CorsOrigin(origin.to_owned())),
        }
        self
    }

    /// Allows pages of every origin, without cookies. Only for public content: any page on the web that a user of this
    /// server opens can then read it.
    #[must_use]
    pub fn any_origin(mut self) -> Self {
        self.any = true;
        self
    }

    /// Checks that all rules are valid.
    ///
    /// # Errors
    /// [`InvalidAccess`]: the first invalid rule.
    pub fn check(&self) -> Result<(), InvalidAccess> {
        self.invalid.clone().map_or(Ok(()), Err)
    }

    /// The answer to a preflight; `None` for all other requests. Allowed origins may use any method and fields that
    /// they name; for all others the answer has no CORS field. Listed origins may also reach a
    /// server in a private network from a public page.
    pub fn preflight<B>(&self, request: &Request<B>) -> Option<Response<Bytes>> {
        let requested = request.headers();
        let has_one = |name| matches!(single(requested, name), Ok(Some(_)));
        let method = requested.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
        if *request.method() != Method::OPTIONS
            || !has_one(&header::ORIGIN)
            || !has_one(&header::ACCESS_CONTROL_REQUEST_METHOD)
            || !is_token(method.as_bytes())
        {
            return None;
        }
        let grant = self.grant(requested);
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        grant.apply(headers);
        if !matches!(grant, Grant::Everyone { .. } | Grant::One(_)) {
            return Some(response);
        }
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, method.clone());
        for fields in requested.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.append(header::ACCESS_CONTROL_ALLOW_HEADERS, fields.clone());
        }
        let is_private = requested.get(REQUEST_PRIVATE_NETWORK).is_some_and(|value| value == "true");
        if is_private && matches!(grant, Grant::One(_)) {
            headers.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
        }
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        Some(response)
    }

    /// Lets a page of an allowed origin read this answer. An answer that has an `Access-Control-Allow-Origin` stays
    /// unchanged.
    pub fn allow<B, T>(&self, request: &Request<B>, mut response: Response<T>) -> Response<T> {
        self.grant(request.headers()).apply(response.headers_mut());
        response
    }

    /// Whether any origin is allowed. If not, the application handles OPTIONS.
    pub(crate) fn is_set(&self) -> bool {
        self.any || !self.origins.is_empty()
    }

    /// Whether this origin is listed individually.
    pub(crate) fn names(&self, origin: &str) -> bool {
        !self.origins.is_empty() && Origin::parse(origin).is_some_and(|origin| self.origins.contains(&origin))
    }

    /// The grant for a request with these fields.
    pub(crate) fn grant(&self, headers: &HeaderMap) -> Grant {
        if !self.is_set() {
            return Grant::Unset;
        }
        self.grant_to(single(headers, &header::ORIGIN).ok().flatten())
    }

    /// The grant for a request with this `Origin`, or without one.
    pub(crate) fn grant_to(&self, origin: Option<&[u8]>) -> Grant {
        let named = origin.filter(|origin| str::from_utf8(origin).is_ok_and(|origin| self.names(origin)));
        if let Some(named) = named.and_then(|origin| HeaderValue::from_bytes(origin).ok()) {
            return Grant::One(Box::new(named));
        }
        let varies = !self.origins.is_empty();
        match self.any {
            true => Grant::Everyone { varies },
            false if varies => Grant::NoOne,
            false => Grant::Unset,
        }
    }
}

/// Which pages may read an answer: the rule of [`Cors`] for the `Origin` of its request.
#[derive(Clone, Debug, Default)]
pub(crate) enum Grant {
    /// No rule is set, or none applies to this answer.
    #[default]
    Unset,
    /// No page of another origin; another origin may get different fields.
    NoOne,
    /// Every page, without its cookies.
    Everyone {
        /// Whether some origin gets different fields.
        varies: bool,
    },
    /// Pages of this origin, with their cookies.
    One(Box<HeaderValue>),
}

impl Grant {
    /// For the engine's own answer to a fault: a page that is rejected, or that addresses another server, may not
    /// read it.
    pub(crate) fn of_fault(self, fault: &RequestError) -> Self {
        match fault.status() {
            StatusCode::FORBIDDEN | StatusCode::MISDIRECTED_REQUEST => Self::Unset,
            _ => self,
        }
    }

    /// Writes the fields, unless the application has already done so.
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        if matches!(self, Self::Unset) || headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
            return;
        }
        match self {
            Self::Everyone { .. } => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            }
            Self::One(origin) => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::clone(origin));
                headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            }
            Self::Unset | Self::NoOne => {}
        }
        let varies = !matches!(self, Self::Everyone { varies: false });
        if varies && !["origin", "*"].iter().any(|element| has_element(headers, &header::VARY, element)) {
            headers.append(header::VARY, HeaderValue::from_static("origin"));
        }
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
    fn only_listed_origins_may_read_with_cookies() {
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
    fn any_origin_may_read_without_cookies() {
        let response = Cors::new().any_origin().allow(&ask("GET", "null", &[]), Response::new(()));
        assert_eq!(field(&response, "access-control-allow-origin"), Some("*"));
        assert_eq!(field(&response, "access-control-allow-credentials"), None);
    }

    #[test]
    fn preflight_is_answered_before_the_routes() {
        let cors = Cors::new().origin(DEV);
        let fields = [
            ("access-control-request-method", "DELETE"),
            ("access-control-request-headers", "content-type,x-mine"),
        ];
        let response = cors.preflight(&ask("OPTIONS", DEV, &fields)).unwrap();
        assert_eq!(response.status(), 204);
        assert_eq!(field(&response, "access-control-allow-methods"), Some("DELETE"));
        assert_eq!(field(&response, "access-control-allow-headers"), Some("content-type,x-mine"));
        let response = cors.preflight(&ask("OPTIONS", "http://evil.example", &fields)).unwrap();
        assert_eq!(field(&response, "access-control-allow-methods"), None);
        assert_eq!(field(&response, "access-control-allow-headers"), None);
        assert!(cors.preflight(&ask("OPTIONS", DEV, &[])).is_none(), "an ordinary OPTIONS");
        assert!(cors.preflight(&ask("DELETE", DEV, &fields)).is_none());
    }
}
