//! `{:?}` of requests shows no secrets, since more people may read logs than may log in. It omits the query of a
//! target, which may have a token; fields with credentials hide their own values from the moment they are read.

use super::follow::HARMLESS;
use super::{ClientRequest, Request, Upgrade};
use ::http::{HeaderMap, Uri};
use core::fmt;

/// A target without the content of its query.
struct Target<'a> {
    path: &'a str,
    has_query: bool,
}

impl<'a> From<&'a Uri> for Target<'a> {
    fn from(uri: &'a Uri) -> Self {
        Self { path: uri.path(), has_query: uri.query().is_some() }
    }
}

impl fmt::Debug for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.path)?;
        f.write_str(if self.has_query { "?…" } else { "" })
    }
}

/// Omits the query, credentials, cookies and the body's content.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", self.method())
            .field("target", &Target::from(self.uri()))
            .field("version", &self.version())
            .field("headers", self.headers())
            .field("body", &format_args!("{} bytes", self.body().len()))
            .finish()
    }
}

/// Omits the query, credentials and cookies.
impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade")
            .field("target", &Target::from(self.uri()))
            .field("headers", self.headers())
            .field("subprotocol", &self.offer.subprotocol)
            .field("response", &self.offer.response)
            .finish_non_exhaustive()
    }
}

/// The fields that an application has set. Any may be a credential, as when a redirect leads to another origin, so all but
/// the harmless ones hide their values.
struct OwnFields<'a>(&'a HeaderMap);

impl fmt::Debug for OwnFields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.0.iter().map(|(name, value)| {
            let mut value = value.clone();
            if !HARMLESS.contains(name) {
                value.set_sensitive(true);
            }
            (name, value)
        });
        f.debug_map().entries(fields).finish()
    }
}

/// Omits the query, and the values of header fields except those that a redirect brings to another origin.
impl fmt::Debug for ClientRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, has_query) = match self.target().split_once('?') {
            Some((path, _)) => (path, true),
            None => (self.target(), false),
        };
        f.debug_struct("ClientRequest")
            .field("tls", &self.is_tls())
            .field("host", &self.host())
            .field("port", &self.port())
            .field("target", &Target { path, has_query })
            .field("subprotocols", &self.subprotocols().collect::<Vec<_>>())
            .field("headers", &OwnFields(self.headers()))
            .finish()
    }
}
