//! Rejections: the engine's own answers.

use crate::error::{Error, RequestError};
use ::http::header::{self, HeaderValue};
use ::http::{HeaderMap, Response, StatusCode};
use bytes::Bytes;

/// The answer to a plain request where only a WebSocket is served: 426, which names the protocol in `Upgrade` (RFC 9110
/// §15.5.22), and so `Upgrade` in `Connection` (§7.8).
pub fn upgrade_required() -> Response<Bytes> {
    let mut response =
        Response::new(Bytes::from_static(b"this is a WebSocket; connect with ws:// or wss://\n"));
    *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
    let headers = response.headers_mut();
    name_protocol(headers);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The engine's own answer to a fault. It does not repeat what the peer sent.
pub(crate) fn error(fault: &RequestError) -> Response<Bytes> {
    let text = match fault {
        RequestError::HostNotAllowed(_) => {
            "this server does not answer for that host; allow_host adds one".into()
        }
        RequestError::OriginNotAllowed(_) => "pages of that origin may not use this server".into(),
        RequestError::Unauthorized => "open this with the link that has its token".into(),
        RequestError::TooManyTokens { .. } => {
            "too many wrong tokens; open this with the link that has the right one".into()
        }
        RequestError::UpgradePath(_) => "there is no WebSocket at this address".into(),
        fault => fault.to_string(),
    };
    let mut response = plain(fault.status(), text);
    let headers = response.headers_mut();
    match fault {
        RequestError::Unauthorized => {
            // A 401 must name an accepted scheme (RFC 9110 §15.5.2).
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        RequestError::TlsRequired { location: Some(location) } => {
            if let Ok(location) = HeaderValue::try_from(location) {
                headers.insert(header::LOCATION, location);
            }
        }
        RequestError::TooManyTokens { retry_after } => {
            // A delay of zero would be no delay (RFC 9110 §10.2.3).
            let seconds = retry_after.as_nanos().div_ceil(1_000_000_000).clamp(1, u32::MAX.into()) as u32;
            headers.insert(header::RETRY_AFTER, seconds.into());
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        RequestError::UpgradeNotGet => {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET"));
        }
        RequestError::WebSocketVersion => {
            name_protocol(headers);
        }
        _ => {}
    }
    response
}

/// Names the protocol to upgrade to. A sender of `Upgrade` must name it in `Connection` (RFC 9110 §7.8).
fn name_protocol(headers: &mut HeaderMap) {
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
}

/// Ends an HTTP/1 connection with this answer: what follows a rejected handshake may not be a request.
pub(crate) fn close(headers: &mut HeaderMap) {
    let names_protocol = headers.contains_key(header::UPGRADE);
    let options = if names_protocol { "Upgrade, close" } else { "close" };
    headers.insert(header::CONNECTION, HeaderValue::from_static(options));
}

/// The answer to a request that the application did not answer.
pub(crate) fn unanswered() -> Response<Bytes> {
    plain(StatusCode::SERVICE_UNAVAILABLE, Error::Unanswered.to_string())
}

/// The answer to a handshake on a stopping server.
pub(crate) fn stopping() -> Response<Bytes> {
    plain(StatusCode::SERVICE_UNAVAILABLE, "this server is stopping".into())
}

fn plain(status: StatusCode, text: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(text + "\n"));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
