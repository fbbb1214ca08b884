//! How a server with TLS treats clients that do not speak it.

use super::TlsServer;
use http::header;
use http::{HeaderMap, Method};
use std::sync::Arc;
use ws_proto::{Config, HeadRule, RequestError, RequestHead};

/// How a server with TLS treats a client whose first byte does not begin a TLS handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsMode {
    /// The connection is closed at once.
    #[default]
    Only,
    /// GET and HEAD requests are redirected to `https://`, to the same host and target (308). Any other request has
    /// crossed the network in the clear and is rejected (403), and so is an upgrade: a client must not get used to
    /// sending its credentials in the clear first.
    OrRedirect,
    /// The client is served as by a server without TLS. Its pages have another origin than those over TLS.
    OrPlain,
}

/// The first byte of a TLS handshake (RFC 8446 §5.1).
const HANDSHAKE: u8 = 0x16;

/// The TLS configuration of a server and its mode, for new connections. A clone is cheap.
#[derive(Clone, Debug)]
pub struct ServerTls {
    pub(super) server: TlsServer,
    mode: TlsMode,
    redirect: Option<Arc<Config>>,
}

/// How a connection continues, by its first byte.
pub(super) enum Route {
    /// The client speaks TLS.
    Tls,
    /// It does not speak TLS, and is served.
    Plain,
    /// It does not speak TLS, and is redirected: its engine is replaced by one with this configuration.
    Redirect(Arc<Config>),
    /// It does not speak TLS, and is closed.
    Close,
}

impl ServerTls {
    /// The TLS of a server whose connections have this configuration.
    pub fn new(server: TlsServer, mode: TlsMode, connection: &Config) -> Self {
        let redirect = || Arc::new(connection.clone().head_rule(Arc::new(Redirect)));
        let redirect = (mode == TlsMode::OrRedirect).then(redirect);
        Self { server, mode, redirect }
    }

    /// How a connection with this first byte continues.
    pub(super) fn route(&self, first: u8) -> Route {
        match (&self.redirect, self.mode) {
            _ if first == HANDSHAKE => Route::Tls,
            (Some(config), _) => Route::Redirect(config.clone()),
            (None, TlsMode::OrPlain) => Route::Plain,
            (None, _) => Route::Close,
        }
    }
}

/// Redirects plain requests to `https://`.
#[derive(Debug)]
struct Redirect;

impl HeadRule for Redirect {
    fn check(&self, head: &RequestHead<'_>) -> Result<(), RequestError> {
        let is_read = [Method::GET, Method::HEAD].contains(head.method()) && !head.is_upgrade();
        let location = host(head.headers()).filter(|_| is_read).map(|host| {
            let query = head.query().map(|query| ["?", query].concat()).unwrap_or_default();
            ["https://", host, head.path(), &query].concat()
        });
        Err(RequestError::TlsRequired { location })
    }
}

fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST)?.to_str().ok().filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    #[test]
    fn get_and_head_are_redirected_and_all_else_is_rejected() {
        let location = |method: &str, is_upgrade: bool| {
            let request = Request::builder().method(method).uri("/a?b=c").header("host", "192.168.1.7:8700");
            match Redirect.check(&RequestHead::new(&request.body(()).unwrap(), is_upgrade)) {
                Err(RequestError::TlsRequired { location }) => location,
                other => panic!("{other:?}"),
            }
        };
        for method in ["GET", "HEAD"] {
            assert_eq!(location(method, false).as_deref(), Some("https://192.168.1.7:8700/a?b=c"));
        }
        assert_eq!(location("POST", false), None);
        assert_eq!(location("GET", true), None, "an upgrade");
        let without_host = Redirect.check(&RequestHead::new(&Request::new(()), false));
        assert_eq!(without_host, Err(RequestError::TlsRequired { location: None }));
    }
}
