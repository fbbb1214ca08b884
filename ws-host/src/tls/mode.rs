//! What a server with TLS does with clients that speak without it.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};

/// What a server with TLS does with a client whose first byte begins no TLS handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsMode {
    /// It is closed at once.
    #[default]
    Only,
    /// Its plain requests are [redirected](redirect) to `https://`; an upgrade is rejected, since a client must not learn
    /// to send its credentials in the clear first.
    OrRedirect,
    /// It is served as by a server without TLS: another origin, by the scheme of its pages.
    OrPlain,
}

/// The first byte of a TLS handshake (RFC 8446 §5.1).
const HANDSHAKE: u8 = 0x16;

/// What becomes of a connection by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// It speaks TLS.
    Tls,
    /// It speaks without, which the [`TlsMode`] serves or redirects.
    Plain,
    /// It speaks without, and is closed.
    Close,
}

impl TlsMode {
    /// What becomes of a connection whose first byte is this.
    pub fn route(self, first: u8) -> Route {
        match self {
            _ if first == HANDSHAKE => Route::Tls,
            Self::Only => Route::Close,
            Self::OrRedirect | Self::OrPlain => Route::Plain,
        }
    }
}

/// The answer to a plain request where only TLS is spoken: to a GET or HEAD, 308 to the same host and target with
/// `https`; to any other method, whose body has crossed the network in the clear, 403. The connection ends with it.
pub fn redirect<B>(request: &Request<B>) -> Response<Bytes> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let location = host
        .filter(|host| !host.is_empty() && [Method::GET, Method::HEAD].contains(request.method()))
        .and_then(|host| HeaderValue::try_from(["https://", host, target].concat()).ok());
    let mut response = match location {
        Some(location) => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
            response.headers_mut().insert(header::LOCATION, location);
            response
        }
        None => reject(),
    };
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The answer to a plain upgrade where only TLS is spoken: 403.
pub fn reject() -> Response<Bytes> {
    let mut response =
        Response::new(Bytes::from_static(b"this server speaks TLS only: use https:// or wss://\n"));
    *response.status_mut() = StatusCode::FORBIDDEN;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_redirected_and_all_else_is_rejected() {
        let request = |method: Method, target: &str| {
            Request::builder().method(method).uri(target).header("host", "192.168.1.7:8700").body(()).unwrap()
        };
        for method in [Method::GET, Method::HEAD] {
            let response = redirect(&request(method, "/a?b=c"));
            assert_eq!(response.status(), 308);
            assert_eq!(response.headers()["location"], "https://192.168.1.7:8700/a?b=c");
        }
        assert_eq!(redirect(&request(Method::POST, "/a")).status(), 403);
        assert_eq!(redirect(&Request::new(())).status(), 403, "without a host");
        assert_eq!(reject().headers()["connection"], "close");
    }
}
