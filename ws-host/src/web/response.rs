//! Common answers.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use ws_proto::fields::list;

/// A page.
pub fn html(page: impl Into<Bytes>) -> Response<Bytes> {
    typed(StatusCode::OK, "text/html; charset=utf-8", page)
}

/// Plain text.
pub fn text(text: impl Into<Bytes>) -> Response<Bytes> {
    typed(StatusCode::OK, "text/plain; charset=utf-8", text)
}

/// JSON written by the application; browsers do not keep it.
///
/// ```
/// use ws_host::web;
///
/// let response = web::json(http::StatusCode::CREATED, r#"{"id":7}"#);
/// assert_eq!(response.headers()["content-type"], "application/json");
/// assert_eq!(response.status(), 201);
/// ```
pub fn json(status: StatusCode, json: impl Into<Bytes>) -> Response<Bytes> {
    no_store(typed(status, "application/json", json))
}

/// A status and nothing else, such as 204.
pub fn status(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    no_sniff(&mut response);
    response
}

/// An error page. The message is escaped; an empty one is left out.
///
/// ```
/// let response = ws_host::web::error_page(http::StatusCode::NOT_FOUND, "No <such> page.");
/// assert!(std::str::from_utf8(response.body()).unwrap().contains("No &lt;such&gt; page."));
/// ```
pub fn error_page(status: StatusCode, message: &str) -> Response<Bytes> {
    let reason = status.canonical_reason().unwrap_or("Error");
    let title = format!("{} {reason}", status.as_str());
    let message = match message {
        "" => String::new(),
        message => format!("<p>{}</p>", escape(message)),
    };
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <h1>{title}</h1>{message}</html>\n"
    );
    no_store(typed(status, "text/html; charset=utf-8", page))
}

/// 404. It does not repeat the path.
pub fn not_found() -> Response<Bytes> {
    error_page(StatusCode::NOT_FOUND, "There is nothing at this address.")
}

/// 405, with the allowed methods (RFC 9110 §15.5.6).
pub fn method_not_allowed(allowed: &[Method]) -> Response<Bytes> {
    let mut response = error_page(StatusCode::METHOD_NOT_ALLOWED, "");
    allow(&mut response, allowed);
    response
}

/// 415, with the accepted type (RFC 9110 §15.5.16). The connection itself answers a body that is too large, with 413:
/// see [`ServerConfig::body_limit`](crate::server::ServerConfig::body_limit).
///
/// ```
/// let response = ws_host::web::unsupported_media_type("application/json");
/// assert_eq!(response.headers()["accept"], "application/json");
/// ```
pub fn unsupported_media_type(accepted: &str) -> Response<Bytes> {
    let mut response = error_page(StatusCode::UNSUPPORTED_MEDIA_TYPE, "");
    if let Ok(accepted) = HeaderValue::from_str(accepted) {
        response.headers_mut().insert(header::ACCEPT, accepted);
    }
    response
}

/// Redirects the browser: 303 makes it GET the location, 307 and 308 repeat the request there.
/// Characters that a field cannot contain are percent-encoded.
///
/// ```
/// let response = ws_host::web::redirect(http::StatusCode::SEE_OTHER, "/done?a=ü\r\nX: y");
/// assert_eq!(response.headers()["location"], "/done?a=%C3%BC%0D%0AX:%20y");
/// ```
pub fn redirect(status: StatusCode, location: &str) -> Response<Bytes> {
    const NO_URI: &AsciiSet =
        &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`');
    let mut response = self::status(status);
    let location = utf8_percent_encode(location, NO_URI).to_string();
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Redirects the browser from a folder's path to the same path with a trailing slash, without which the links of its
/// page would resolve elsewhere.
///
/// ```
/// let request = http::Request::get("/docs?page=2").body(()).unwrap();
/// assert_eq!(ws_host::web::add_slash(&request).headers()["location"], "./docs/?page=2");
/// ```
pub fn add_slash<B>(request: &Request<B>) -> Response<Bytes> {
    // Relative, since a path may begin with two slashes, which would be another host.
    let name = request.uri().path().rsplit('/').next().unwrap_or_default();
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    redirect(StatusCode::PERMANENT_REDIRECT, &format!("./{name}/{query}"))
}

/// The same answer, not to be cached by browsers or caches.
pub fn no_store<T>(mut response: Response<T>) -> Response<T> {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Escapes text for HTML.
///
/// ```
/// assert_eq!(ws_host::web::escape("<a href='x'>&\""), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;");
/// ```
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

pub(super) fn no_sniff<T>(response: &mut Response<T>) {
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// Adds names to `Vary` (§12.5.5), after the existing ones.
pub(super) fn vary(headers: &mut HeaderMap, names: &'static str) {
    let mut all: Vec<_> = list(headers, &header::VARY).collect();
    all.push(names);
    if let Ok(value) = HeaderValue::from_str(&all.join(", ")) {
        headers.insert(header::VARY, value);
    }
}

/// Sets `Allow` (§10.2.1).
pub(super) fn allow(response: &mut Response<Bytes>, methods: &[Method]) {
    let methods: Vec<_> = methods.iter().map(Method::as_str).collect();
    if let Ok(value) = HeaderValue::from_str(&methods.join(", ")) {
        response.headers_mut().insert(header::ALLOW, value);
    }
}

fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = self::status(status);
    *response.body_mut() = body.into();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
