//! The chat's responses to plain HTTP.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use std::error::Error;
use ws_proto::handshake;

const PAGE: &str = include_str!("page.html");

/// The response to a plain request. HEAD is answered like GET; the connection omits the body.
pub fn answer(method: &Method, path: &str) -> Response<Bytes> {
    match path {
        "/" | "/ws" if !matches!(*method, Method::GET | Method::HEAD) => {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            response
        }
        "/" => page().unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR)),
        "/ws" => handshake::upgrade_required(),
        _ => plain(StatusCode::NOT_FOUND),
    }
}

/// The page may run its own script, use its own style and call this server, and nothing else. A fresh nonce marks
/// its script and style.
fn page() -> Result<Response<Bytes>, Box<dyn Error>> {
    let nonce = format!("{:016x}{:016x}", getrandom::u64()?, getrandom::u64()?);
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let response = Response::builder()
        .header(header::CONTENT_TYPE, "text/html; charset=utf-8")
        .header(header::CONTENT_SECURITY_POLICY, policy)
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(header::REFERRER_POLICY, "no-referrer")
        .header(header::CACHE_CONTROL, "no-store")
        .body(PAGE.replace("{nonce}", &nonce).into())?;
    Ok(response)
}

/// A response with a status and its name.
pub fn plain(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(format!("{status}\n")));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
