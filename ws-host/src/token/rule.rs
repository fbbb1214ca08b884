//! Access tokens: a secret in the URL, and in a cookie after the first request.
//!
//! Only holders of the full URL may use the server: `http://192.168.1.7:8700/?token=…`. A browser gets the token as a
//! cookie with the first answer, so that the page's own requests and sockets need none in their URLs.
//!
//! Where [`Cors`](ws_proto::Cors) is set, preflights are answered without a token, and pages of allowed origins can read
//! the 401.

use ::http::HeaderMap;
use ::http::header::{self, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use core::fmt;
use core::hint::black_box;
use ws_proto::fields::{cookies, hide_secret};
use ws_proto::{HeadRule, RequestError, RequestHead, Transport};

/// A secret that authenticates its bearer.
///
/// It is compared in constant time, and `Debug` does not show it.
#[derive(Clone)]
pub struct Token(Box<str>);

impl Token {
    /// A token of unpredictable bytes from the system: at least 16, which the compiler checks. Its text is the Base64 of
    /// these bytes in the alphabet for URLs.
    ///
    /// ```
    /// use ws_host::token::Token;
    /// let token = Token::from_random([7; 16]); // use the system's source of randomness instead
    /// assert_eq!(token.as_str(), "BwcHBwcHBwcHBwcHBwcHBw");
    /// ```
    pub fn from_random<const N: usize>(random: [u8; N]) -> Self {
        const { assert!(N >= 16, "a token needs at least 16 random bytes") };
        Self(URL_SAFE_NO_PAD.encode(random).into())
    }

    /// The token as text; it needs no encoding in a URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the candidate is this token. The time it takes reveals at most whether the length is right.
    pub fn matches(&self, candidate: impl AsRef<[u8]>) -> bool {
        let (own, other) = (self.0.as_bytes(), candidate.as_ref());
        let differs = own.iter().zip(other).fold(0, |differs, (a, b)| black_box(differs | (a ^ b)));
        own.len() == other.len() && differs == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Authenticates requests by a token: in the query parameter `token`, in a cookie, or as `Authorization: Bearer`
/// (RFC 6750 §2.1) for programs. Servers get it from
/// [`ServerConfig::require_token`](crate::server::ServerConfig::require_token).
#[derive(Clone, Debug)]
pub struct TokenRule {
    token: Token,
    cookie: String,
    is_secure: bool,
}

/// Where a request carries the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokenSource {
    /// Only in its query: the answer carries [`TokenRule::set_cookie`].
    Query,
    /// In a cookie or in its `Authorization`.
    Header,
}

impl TokenRule {
    /// Requires this token.
    pub fn new(token: Token) -> Self {
        Self { token, cookie: "ws_token".to_owned(), is_secure: false }
    }

    /// Names the cookie after the server's port. All ports of a host share their cookies (RFC 6265 §8.5), so two servers
    /// would otherwise overwrite each other's.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.cookie = format!("ws_token_{port}");
        self
    }

    /// Marks the cookie `Secure`, for a server that speaks TLS: a browser then sends it only over TLS. Where a trusted
    /// proxy says whether the client speaks TLS, that decides.
    #[must_use]
    pub fn secure(mut self, is_secure: bool) -> Self {
        self.is_secure = is_secure;
        self
    }

    /// Looks for the token in a request; `None` when it is missing. Cookies with other names or bytes do not hide it: a
    /// page on another port of this host can set them, and must not lock out the bearer.
    fn find(&self, query: Option<&str>, headers: &HeaderMap) -> Option<TokenSource> {
        let own = self.cookie.as_bytes();
        let mut cookies = cookies(headers).filter(|(name, _)| *name == own);
        if cookies.any(|(_, value)| self.token.matches(value)) || self.is_bearer(headers) {
            return Some(TokenSource::Header);
        }
        self.is_in_query(query).then_some(TokenSource::Query)
    }

    fn is_in_query(&self, query: Option<&str>) -> bool {
        let mut parameters = query.into_iter().flat_map(|query| query.split('&'));
        parameters.any(|pair| pair.strip_prefix("token=").is_some_and(|value| self.token.matches(value)))
    }

    fn is_bearer(&self, headers: &HeaderMap) -> bool {
        headers.get_all(header::AUTHORIZATION).iter().any(|value| {
            // Scheme names are case-insensitive (RFC 9110 §11.1).
            let Some((scheme, credentials)) = value.as_bytes().split_at_checked(b"bearer".len()) else {
                return false;
            };
            scheme.eq_ignore_ascii_case(b"bearer")
                && credentials.starts_with(b" ")
                && self.token.matches(credentials.trim_ascii())
        })
    }

    /// The value of the `Set-Cookie` that makes a browser send the token from then on. Scripts cannot read the cookie,
    /// and cross-site requests do not carry it.
    pub(crate) fn set_cookie(&self, transport: Transport) -> String {
        let is_secure = if transport.forwarded { transport.secure } else { self.is_secure };
        let secure = if is_secure { "; Secure" } else { "" };
        format!("{}={}; Path=/; HttpOnly; SameSite=Strict{secure}", self.cookie, self.token.as_str())
    }
}

/// A token in the query is kept out of the `Referer` of requests to other sites, and a browser that sends it there gets
/// the cookie.
impl HeadRule for TokenRule {
    fn check(&self, head: &RequestHead<'_>) -> Result<(), RequestError> {
        self.find(head.query(), head.headers()).map(drop).ok_or(RequestError::Unauthorized)
    }

    fn complete(&self, head: &RequestHead<'_>, response: &mut HeaderMap) {
        if !self.is_in_query(head.query()) {
            return;
        }
        if self.find(head.query(), head.headers()) == Some(TokenSource::Query)
            && let Ok(mut cookie) = HeaderValue::try_from(self.set_cookie(head.transport()))
        {
            hide_secret(&header::SET_COOKIE, &mut cookie);
            response.append(header::SET_COOKIE, cookie);
        }
        if !head.is_upgrade() {
            // A stricter policy would hide the origin of the page's own forms.
            response.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("same-origin"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::Request;

    const TOKEN: &str = "BwcHBwcHBwcHBwcHBwcHBw";

    fn rule() -> TokenRule {
        TokenRule::new(Token::from_random([7; 16])).port(8700)
    }

    fn header(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn only_the_token_itself_matches() {
        let token = Token::from_random([7; 16]);
        assert!(token.matches(TOKEN));
        for bad in
            ["", "B", &TOKEN[1..], "BwcHBwcHBwcHBwcHBwcHBx", &format!("{TOKEN}x"), &TOKEN.to_lowercase()]
        {
            assert!(!token.matches(bad), "{bad}");
        }
    }

    #[test]
    fn a_token_does_not_show_in_logs_and_needs_no_encoding_in_a_url() {
        let token = Token::from_random([0xfb; 32]);
        assert!(!format!("{:?}", TokenRule::new(token.clone())).contains(token.as_str()));
        assert!(token.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
    }

    #[test]
    fn the_token_is_found_in_the_query() {
        let none = HeaderMap::new();
        let check = |query: &str| rule().find(Some(query), &none);
        assert_eq!(check(&format!("token={TOKEN}")), Some(TokenSource::Query));
        assert_eq!(check(&format!("a=b&token=wrong&token={TOKEN}&c")), Some(TokenSource::Query));
        for bad in ["", "token", "token=", &format!("Token={TOKEN}"), &format!("xtoken={TOKEN}")] {
            assert_eq!(check(bad), None, "{bad}");
        }
        assert_eq!(rule().find(None, &none), None);
    }

    #[test]
    fn the_token_is_found_in_the_cookie() {
        let set = rule().set_cookie(Transport::default());
        assert!(set.ends_with("; HttpOnly; SameSite=Strict"), "{set}");
        let pair = set.split(';').next().unwrap();
        for value in [pair.to_owned(), format!("a=b; {pair}; c=d"), format!("ws_token_8700=old; {pair}")] {
            let source = rule().find(Some("token=old"), &header(header::COOKIE, &value));
            assert_eq!(source, Some(TokenSource::Header), "{value}");
        }
        for bad in [format!("ws_token={TOKEN}"), format!("ws_token_1={TOKEN}"), format!("x{pair}")] {
            assert_eq!(rule().find(None, &header(header::COOKIE, &bad)), None, "{bad}");
        }
    }

    #[test]
    fn the_cookie_is_secure_where_the_client_speaks_tls() {
        let is_secure =
            |transport: Transport, own| rule().secure(own).set_cookie(transport).ends_with("; Secure");
        let direct = Transport::default();
        assert!(is_secure(direct, true) && !is_secure(direct.secure(true), false));
        let mut proxied = direct;
        proxied.forwarded = true;
        assert!(is_secure(proxied.secure(true), false) && !is_secure(proxied, true));
    }

    #[test]
    fn no_other_cookie_hides_the_token() {
        let own = format!("ws_token_8700={TOKEN}");
        let check = |lines: &[Vec<u8>]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::COOKIE, HeaderValue::from_bytes(line).unwrap());
            }
            rule().find(None, &headers)
        };
        let others = [
            "name=Zo\u{eb}",
            "\u{eb}",
            "=",
            "=x",
            "x",
            "",
            "a=\"",
            "a=\"x",
            "\"",
            "a b=c d",
            " ",
            "a==",
            "ws_token_8700=",
        ];
        let mut others: Vec<Vec<u8>> = others.map(|other| other.as_bytes().to_vec()).to_vec();
        others.extend((0x80..=0xff).flat_map(|b| [vec![b'n', b'=', b], vec![b, b'=', b'v'], vec![b]]));
        others.push(b"ws_token_8700=\xff".to_vec());
        for other in others {
            for parts in [
                vec![[&other[..], b"; ", own.as_bytes()].concat()],
                vec![[own.as_bytes(), b"; ", &other[..]].concat()],
                vec![[&other[..], b";", own.as_bytes(), b" ; ", &other[..]].concat()],
                vec![other.clone(), own.clone().into_bytes()],
                vec![own.clone().into_bytes(), other.clone()],
            ] {
                assert_eq!(check(&parts), Some(TokenSource::Header), "{parts:?}");
            }
            assert_eq!(check(&[other]), None, "alone it is not a token");
        }
        let changed = [own.as_bytes(), b"\xff"].concat();
        assert_eq!(check(&[changed]), None);
    }

    #[test]
    fn no_other_credentials_hide_the_token() {
        for other in [&b"Basic Zo\xeb"[..], b"\xff", b"", b"Bearer", b"Bearer \xff"] {
            let mut headers = HeaderMap::new();
            headers.append(header::AUTHORIZATION, HeaderValue::from_bytes(other).unwrap());
            assert_eq!(rule().find(None, &headers), None);
            headers.append(header::AUTHORIZATION, format!("Bearer {TOKEN}").parse().unwrap());
            assert_eq!(rule().find(None, &headers), Some(TokenSource::Header), "{other:?}");
        }
    }

    #[test]
    fn bearer_authorization_is_accepted() {
        for value in [format!("Bearer {TOKEN}"), format!("bearer  {TOKEN}")] {
            assert_eq!(rule().find(None, &header(header::AUTHORIZATION, &value)), Some(TokenSource::Header));
        }
        for bad in [TOKEN.to_owned(), format!("Basic {TOKEN}"), "Bearer".to_owned(), format!("Bearer{TOKEN}")]
        {
            assert_eq!(rule().find(None, &header(header::AUTHORIZATION, &bad)), None, "{bad}");
        }
    }

    fn request(target: &str, fields: HeaderMap) -> Request<()> {
        let mut request = Request::get(target).body(()).unwrap();
        *request.headers_mut() = fields;
        request
    }

    /// What the rule adds to the answer to this request.
    fn completed(request: &Request<()>, is_upgrade: bool, mut response: HeaderMap) -> HeaderMap {
        rule().complete(&RequestHead::new(request, is_upgrade), &mut response);
        response
    }

    #[test]
    fn requests_with_the_token_pass_and_others_are_unauthorized() {
        let cookie = || header(header::COOKIE, &format!("ws_token_8700={TOKEN}"));
        for (target, fields, is_in) in [
            (format!("/?token={TOKEN}"), HeaderMap::new(), true),
            ("/".to_owned(), cookie(), true),
            ("/?token=wrong".to_owned(), HeaderMap::new(), false),
            ("/".to_owned(), HeaderMap::new(), false),
        ] {
            let request = request(&target, fields);
            for is_upgrade in [false, true] {
                let checked = rule().check(&RequestHead::new(&request, is_upgrade));
                assert_eq!(checked, if is_in { Ok(()) } else { Err(RequestError::Unauthorized) }, "{target}");
            }
        }
    }

    #[test]
    fn the_token_in_the_query_sets_the_cookie_once() {
        let known = header(header::COOKIE, &format!("ws_token_8700={TOKEN}"));
        for (fields, cookies) in [(HeaderMap::new(), 1), (known, 0)] {
            let request = request(&format!("/?token={TOKEN}"), fields);
            for is_upgrade in [false, true] {
                let headers = completed(&request, is_upgrade, HeaderMap::new());
                assert_eq!(headers.get_all(header::SET_COOKIE).iter().count(), cookies);
                // Also if the cookie is already set: the page was opened by its link again.
                let policy = headers.get(header::REFERRER_POLICY);
                assert_eq!(policy.is_some_and(|policy| policy == "same-origin"), !is_upgrade);
            }
        }
    }

    #[test]
    fn a_page_without_the_token_in_its_link_keeps_its_policy() {
        let known = header(header::COOKIE, &format!("ws_token_8700={TOKEN}"));
        for target in ["/", "/?token=old", &format!("/?xtoken={TOKEN}")] {
            let request = request(target, known.clone());
            assert!(completed(&request, false, HeaderMap::new()).is_empty(), "{target}");
        }
    }

    #[test]
    fn a_page_with_its_own_referrer_policy_keeps_it() {
        let request = request(&format!("/?token={TOKEN}"), HeaderMap::new());
        let headers = completed(&request, false, header(header::REFERRER_POLICY, "no-referrer"));
        assert_eq!(headers[header::REFERRER_POLICY], "no-referrer");
        assert_eq!(headers.get_all(header::REFERRER_POLICY).iter().count(), 1);
    }

    #[test]
    fn the_cookie_does_not_show_in_logs() {
        let request = request(&format!("/?token={TOKEN}"), HeaderMap::new());
        for is_upgrade in [false, true] {
            let headers = completed(&request, is_upgrade, HeaderMap::new());
            assert!(headers[header::SET_COOKIE].to_str().unwrap().contains(TOKEN));
            assert!(!format!("{headers:?}").contains(TOKEN), "{headers:?}");
        }
    }
}
