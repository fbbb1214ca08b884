//! The client's half of the opening handshake.

use super::redirect::Redirect;
use crate::access::authority::{Authority, Zone, without_zone};
use crate::fields::{basic_credentials, hide_secret, is_connection_header, is_token};
use ::http::HeaderMap;
use ::http::header::{self, HeaderName, HeaderValue};
use ::http::uri::PathAndQuery;
use alloc::borrow::Cow;
use core::fmt;
use core::str::FromStr;

/// Why a [`ClientRequest`] is invalid.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidRequest {
    /// Not a `ws://` or `wss://` address, and why.
    Url(&'static str),
    /// A header field that is malformed, or that the handshake itself writes.
    Header(String),
    /// A subprotocol that is not a token, or that is repeated (RFC 6455 §4.1).
    Subprotocol(String),
    /// A user name or a password that Basic authentication cannot send, and why (RFC 7617 §2).
    Credentials(&'static str),
}

crate::debug_is_display!(InvalidRequest);

impl fmt::Display for InvalidRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(what) => write!(f, "not a WebSocket address: {what}"),
            Self::Header(name) => write!(f, "the request may not set the header {name:?}"),
            Self::Subprotocol(name) => write!(f, "the subprotocol {name:?} is not a token, or is repeated"),
            Self::Credentials(why) => write!(f, "the credentials cannot be sent: {why}"),
        }
    }
}

impl std::error::Error for InvalidRequest {}

/// A client's request: an address, and what to offer.
///
/// Nothing is sent by default: no subprotocols, no `Origin`, no `User-Agent`. Its `Debug` omits the query, and the values
/// of all header fields except `Origin`, `User-Agent`, `Accept-Language`, `Cache-Control` and `Pragma`: any other may be a
/// credential.
///
/// ```
/// use ws_proto::ClientRequest;
///
/// let request = ClientRequest::new("wss://app.example/live?room=7")?
///     .subprotocol("chat.v2")?
///     .header("Authorization", "Bearer 0123")?;
/// assert_eq!((request.host(), request.port(), request.is_tls()), ("app.example", 443, true));
/// # Ok::<(), ws_proto::InvalidRequest>(())
/// ```
#[derive(Clone)]
pub struct ClientRequest {
    tls: bool,
    authority: Authority,
    target: PathAndQuery,
    subprotocols: Vec<String>,
    headers: HeaderMap,
    redirects: Vec<Redirect>,
}

impl ClientRequest {
    /// A request for a `ws://` or `wss://` address (§3): host, optional port, path and query. It may have no fragment,
    /// and no user name: use [`basic_auth`](Self::basic_auth). Write names beyond ASCII in Punycode.
    ///
    /// A link-local address (fe80::/10) accepts a zone, the number or the name of a network interface, as RFC 6874
    /// writes it: `ws://[fe80::1%25eth0]:9000/`, `ws://[fe80::1%252]/`. The bare form that terminals show is accepted
    /// too, `ws://[fe80::1%eth0]:9000/`; a zone that begins with `%25` is always the former. The zone is never sent.
    pub fn new(url: &str) -> Result<Self, InvalidRequest> {
        use InvalidRequest::Url;
        let (scheme, rest) =
            url.split_once("://").ok_or(Url("it has no scheme; begin with ws:// or wss://"))?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "ws" => false,
            "wss" => true,
            _ => return Err(Url("its scheme is neither ws nor wss")),
        };
        if rest.contains('#') {
            return Err(Url("it has a fragment"));
        }
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(Url("it has a user name, which basic_auth sends instead"));
        }
        let malformed = match authority {
            _ if !authority.is_ascii() => Url("its host is not ASCII; use Punycode"),
            _ if authority.contains('%') => {
                Url("its zone is malformed, or its host is not a link-local address (fe80::/10)")
            }
            _ => Url("its host or port is malformed"),
        };
        let authority = Authority::parse(authority).ok_or(malformed)?;
        if authority.port == Some(0) {
            return Err(Url("its port is 0"));
        }
        if !target.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Url("its path must be percent-encoded"));
        }
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        let target = PathAndQuery::try_from(target).map_err(|_| Url("its path must be percent-encoded"))?;
        Ok(Self {
            tls,
            authority,
            target,
            subprotocols: Vec::new(),
            headers: HeaderMap::new(),
            redirects: Vec::new(),
        })
    }

    /// Adds a header field. The engine writes `Host` and the fields of the handshake, and rejects them here.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, InvalidRequest> {
        let rejected = || InvalidRequest::Header(name.to_owned());
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| rejected())?;
        let is_ours = is_connection_header(&header)
            || [header::HOST, header::CONTENT_LENGTH, header::EXPECT].contains(&header);
        if is_ours {
            return Err(rejected());
        }
        let stripped = if header == header::ORIGIN { without_zone(value) } else { None };
        let mut value =
            HeaderValue::from_str(stripped.as_deref().unwrap_or(value)).map_err(|_| rejected())?;
        hide_secret(&header, &mut value);
        self.headers.append(header, value);
        Ok(self)
    }

    /// Sends a user name and a password, by the scheme Basic in UTF-8 (RFC 7617), in place of any other `Authorization`.
    /// Without TLS everyone on the way can read them. `Debug` shows neither.
    ///
    /// # Errors
    /// [`InvalidRequest::Credentials`]: the user name has a colon, or either has a control character.
    ///
    /// ```
    /// use ws_proto::ClientRequest;
    ///
    /// let request = ClientRequest::new("wss://app.example/")?.basic_auth("ann", "secret")?;
    /// assert!(!format!("{request:?}").contains("YW5uOnNlY3JldA"));
    /// # Ok::<(), ws_proto::InvalidRequest>(())
    /// ```
    pub fn basic_auth(mut self, user: &str, password: &str) -> Result<Self, InvalidRequest> {
        let value = basic_credentials(user, password).map_err(InvalidRequest::Credentials)?;
        self.headers.insert(header::AUTHORIZATION, value);
        Ok(self)
    }

    /// Offers a subprotocol, the most preferred one first (§1.9).
    pub fn subprotocol(mut self, name: &str) -> Result<Self, InvalidRequest> {
        if !is_token(name.as_bytes()) || self.subprotocols.iter().any(|offered| offered == name) {
            return Err(InvalidRequest::Subprotocol(name.to_owned()));
        }
        self.subprotocols.push(name.to_owned());
        Ok(self)
    }

    /// Sets the `Origin`, as a browser does. The zone of a link-local address is omitted.
    pub fn origin(mut self, origin: &str) -> Result<Self, InvalidRequest> {
        let origin = without_zone(origin).map_or(Cow::Borrowed(origin), Cow::Owned);
        let value =
            HeaderValue::from_str(&origin).map_err(|_| InvalidRequest::Header("Origin".to_owned()))?;
        self.headers.insert(header::ORIGIN, value);
        Ok(self)
    }

    /// The host to connect to: a name, an IPv4 address, or an IPv6 address without its brackets and its zone.
    pub fn host(&self) -> &str {
        let host = self.authority.host.as_str();
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// The zone of a link-local address (RFC 4007 §11): the network interface to use. It is never sent.
    pub fn zone(&self) -> Option<&Zone> {
        self.authority.zone.as_ref()
    }

    /// The port to connect to: by default 80, or 443 with TLS (§3).
    pub fn port(&self) -> u16 {
        self.authority.port.unwrap_or(self.default_port())
    }

    /// Whether the address is `wss://`: nothing may then be sent in the clear.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// The requested path and query.
    pub fn target(&self) -> &str {
        self.target.as_str()
    }

    /// The offered subprotocols.
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        self.subprotocols.iter().map(String::as_str)
    }

    /// The redirects that led to this request.
    pub fn redirects(&self) -> &[Redirect] {
        &self.redirects
    }

    /// This request, to the address of another one. A zone is known only here, so it stays on its host.
    pub(super) fn retarget(mut self, to: Self, keeps_zone: bool, redirects: Vec<Redirect>) -> Self {
        let zone = self.authority.zone.take().filter(|_| keeps_zone);
        (self.tls, self.authority, self.target) = (to.tls, to.authority, to.target);
        self.authority.zone = self.authority.zone.or(zone);
        self.redirects = redirects;
        self
    }

    /// Removes the other header fields.
    pub(super) fn keep_headers(&mut self, keeps: impl Fn(&HeaderName, &HeaderValue) -> bool) {
        let headers = core::mem::take(&mut self.headers);
        let mut last = None;
        for (name, value) in headers {
            // A name is given with its first value only.
            last = name.or(last);
            if let Some(name) = last.as_ref().filter(|name| keeps(name, &value)) {
                self.headers.append(name.clone(), value);
            }
        }
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The `Host` field, without a default port.
    pub(crate) fn host_header(&self) -> String {
        match self.authority.port {
            Some(port) if port != self.default_port() => format!("{}:{port}", self.authority.host),
            _ => self.authority.host.clone(),
        }
    }

    fn default_port(&self) -> u16 {
        if self.tls { 443 } else { 80 }
    }
}

impl FromStr for ClientRequest {
    type Err = InvalidRequest;

    fn from_str(url: &str) -> Result<Self, InvalidRequest> {
        Self::new(url)
    }
}

impl TryFrom<&str> for ClientRequest {
    type Error = InvalidRequest;

    fn try_from(url: &str) -> Result<Self, InvalidRequest> {
        Self::new(url)
    }
}

impl TryFrom<&String> for ClientRequest {
    type Error = InvalidRequest;

    fn try_from(url: &String) -> Result<Self, InvalidRequest> {
        Self::new(url)
    }
}

impl TryFrom<String> for ClientRequest {
    type Error = InvalidRequest;

    fn try_from(url: String) -> Result<Self, InvalidRequest> {
        Self::new(&url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed() {
        for (url, host, port, tls, target, header) in [
            ("ws://localhost", "localhost", 80, false, "/", "localhost"),
            ("WS://LOCALHOST:80/", "localhost", 80, false, "/", "localhost"),
            ("ws://127.0.0.1:8080/a/b?c=d", "127.0.0.1", 8080, false, "/a/b?c=d", "127.0.0.1:8080"),
            ("wss://app.example?x", "app.example", 443, true, "/?x", "app.example"),
            ("wss://app.example:443", "app.example", 443, true, "/", "app.example"),
            ("wss://app.example:80", "app.example", 80, true, "/", "app.example:80"),
            ("ws://[::1]:9000/x", "::1", 9000, false, "/x", "[::1]:9000"),
            ("ws://[fe80::1%25eth0]:9000/", "fe80::1", 9000, false, "/", "[fe80::1]:9000"),
            ("ws://[FE80::1%eth0]?x", "fe80::1", 80, false, "/?x", "[fe80::1]"),
        ] {
            let request = ClientRequest::new(url).unwrap();
            assert_eq!(request.host(), host, "{url}");
            assert_eq!(request.port(), port, "{url}");
            assert_eq!(request.is_tls(), tls, "{url}");
            assert_eq!(request.target(), target, "{url}");
            assert_eq!(request.host_header(), header, "{url}");
        }
    }

    #[test]
    fn address_types_convert_to_a_request() {
        let text = "ws://localhost:9/a".to_owned();
        let requests = [
            text.parse::<ClientRequest>(),
            ClientRequest::try_from(text.as_str()),
            ClientRequest::try_from(&text),
            ClientRequest::try_from(text.clone()),
        ];
        for request in requests {
            assert_eq!(
                request.map(|request| (request.port(), request.target().to_owned())),
                Ok((9, "/a".to_owned()))
            );
        }
        assert!("localhost".parse::<ClientRequest>().is_err());
    }

    #[test]
    fn last_origin_wins() {
        let request = ClientRequest::new("ws://localhost").unwrap();
        let request = request.origin("http://a.example").unwrap().origin("http://b.example").unwrap();
        assert_eq!(
            request.headers().get_all(header::ORIGIN).iter().collect::<Vec<_>>(),
            ["http://b.example"]
        );
    }

    #[test]
    fn the_zone_of_an_address_is_never_sent() {
        let request = ClientRequest::new("ws://[fe80::1%25eth0]:9000/").unwrap();
        for origin in ["http://[fe80::1%25eth0]:9000", "http://[fe80::1%eth0]:9000", "http://[fe80::1]:9000"]
        {
            for request in [request.clone().origin(origin), request.clone().header("origin", origin)] {
                assert_eq!(request.unwrap().headers()[header::ORIGIN], "http://[fe80::1]:9000", "{origin}");
            }
        }
        assert_eq!(request.host_header(), "[fe80::1]:9000");
    }

    #[test]
    fn invalid_addresses_are_rejected() {
        for url in [
            "",
            "localhost",
            "http://localhost",
            "ws:localhost",
            "ws://",
            "ws:///path",
            "ws://:80",
            "ws://localhost:0",
            "ws://localhost:99999",
            "ws://user:secret@localhost/",
            "ws://localhost/#fragment",
            "ws://localhost/a b",
            "ws://localhost/a\r\nX: y",
            "ws://local host/",
            "ws://[::1/",
            "ws://[::1%25eth0]/",
            "ws://[2001:db8::1%251]/",
            "ws://[fe80::1%25]/",
            "ws://[fe80::1%]/",
            "ws://[fe80::1%25a%2Fb]/",
            "ws://fe80::1%25eth0/",
            "ws://localhost%25eth0/",
            "ws://b\u{fc}cher.example/",
            "ws://localhost/\u{fc}",
        ] {
            assert!(matches!(ClientRequest::new(url), Err(InvalidRequest::Url(_))), "{url}");
        }
    }

    #[test]
    fn handshake_headers_are_rejected() {
        let request = ClientRequest::new("ws://localhost").unwrap();
        for (name, value) in [
            ("Host", "x"),
            ("connection", "x"),
            ("Upgrade", "x"),
            ("Sec-WebSocket-Key", "x"),
            ("Sec-WebSocket-Extensions", "permessage-deflate"),
            ("Content-Length", "0"),
            ("Transfer-Encoding", "chunked"),
            ("X", "a\nb"),
            ("X:", "a"),
        ] {
            assert!(request.clone().header(name, value).is_err(), "{name}");
        }
        assert!(request.clone().origin("http://x\r\n").is_err());
        assert!(request.header("Cookie", "a=b").is_ok());
    }

    #[test]
    fn basic_credentials_are_sent_once_in_utf_8_and_are_not_shown() {
        let request =
            ClientRequest::new("ws://localhost").unwrap().header("Authorization", "Bearer x").unwrap();
        for (user, password, sent) in [
            ("Aladdin", "open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ("test", "123\u{a3}", "dGVzdDoxMjPCow=="),
            ("a", "b:c", "YTpiOmM="),
            ("", "", "Og=="),
        ] {
            let request = request.clone().basic_auth(user, password).unwrap();
            let values: Vec<_> = request.headers().get_all(header::AUTHORIZATION).iter().collect();
            assert_eq!(values, [format!("Basic {sent}").as_str()]);
            let shown = format!("{request:?}");
            assert!(!shown.contains(sent) && !shown.contains("sesame"), "{shown}");
        }
        for (user, password) in [("a:b", "c"), ("a\n", "c"), ("a", "b\u{7f}"), ("a\u{85}", "c")] {
            let error = request.clone().basic_auth(user, password).unwrap_err();
            assert!(matches!(error, InvalidRequest::Credentials(_)), "{error}");
        }
    }

    #[test]
    fn subprotocols_are_unique_tokens() {
        let request = ClientRequest::new("ws://localhost").unwrap().subprotocol("chat").unwrap();
        for name in ["", "chat", "a b", "a,b", "a\r\n", "\u{e9}"] {
            assert!(request.clone().subprotocol(name).is_err(), "{name:?}");
        }
        let request = request.subprotocol("Chat").unwrap();
        assert_eq!(request.subprotocols().collect::<Vec<_>>(), ["chat", "Chat"]);
    }
}
