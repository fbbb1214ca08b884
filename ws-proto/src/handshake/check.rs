//! The checks of a request: its first line (RFC 9112 §3), its target, the length of its body (§6), and whether it opens
//! a WebSocket (RFC 6455 §4.2.1).

use crate::access::authority::Authority;
use crate::access::head_rule::RequestHead;
use crate::access::transport::Transport;
use crate::config::Config;
use crate::error::RequestError::{self, *};
use crate::fields::{has_element, is_token, list, parse_length, single};
use crate::handshake::is_valid_key;
use crate::moment::Moment;
use ::http::header;
use ::http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};
use core::fmt;

/// No registered method is longer.
pub(crate) const METHOD_LIMIT: usize = 32;

/// The first line of a request.
pub(crate) struct RequestLine {
    pub(crate) method: Method,
    target: Uri,
    version: Version,
}

/// The target is omitted: it may have a token.
impl fmt::Debug for RequestLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} … {:?}", self.method, self.version)
    }
}

impl RequestLine {
    pub(crate) fn parse(line: &[u8], target_limit: usize) -> Result<Self, RequestError> {
        let mut parts = line.split(|b| *b == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Malformed(
                "the request line is not method, target and version, separated by one space",
            ));
        };
        if !is_token(method) {
            return Err(Malformed("the method"));
        }
        let version = match version {
            b"HTTP/1.0" => Version::HTTP_10,
            // A later minor version is treated as the highest supported one (RFC 9110 §2.5).
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => Version::HTTP_11,
            [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
                return Err(VersionNotSupported);
            }
            _ => return Err(Malformed("the HTTP version")),
        };
        // A method longer than any implemented one gets 501 (RFC 9112 §3).
        if method.len() > METHOD_LIMIT {
            return Err(MethodNotImplemented);
        }
        if target.len() > target_limit {
            return Err(TargetTooLong);
        }
        let method = Method::from_bytes(method).map_err(|_| Malformed("the method"))?;
        if is_never_served(&method) {
            return Err(MethodNotImplemented);
        }
        let target = parse_target(target, &method).ok_or(Malformed("the request target"))?;
        Ok(Self { method, target, version })
    }

    /// The line of a request that another HTTP server has parsed.
    pub(crate) fn of<B>(request: &Request<B>, target_limit: usize) -> Result<Self, RequestError> {
        let (method, target, version) = (request.method(), request.uri(), request.version());
        if ![Version::HTTP_10, Version::HTTP_11].contains(&version) {
            return Err(VersionNotSupported);
        }
        if method.as_str().len() > METHOD_LIMIT || is_never_served(method) {
            return Err(MethodNotImplemented);
        }
        // That server may accept targets that are invalid here, such as an authority or raw UTF-8.
        let target = target.to_string();
        if target.len() > target_limit {
            return Err(TargetTooLong);
        }
        let target = parse_target(target.as_bytes(), method).ok_or(Malformed("the request target"))?;
        Ok(Self { method: method.clone(), target, version })
    }
}

fn is_never_served(method: &Method) -> bool {
    *method == Method::CONNECT || *method == Method::TRACE
}

/// Origin form, absolute form, or `*` for OPTIONS (RFC 9112 §3.2).
fn parse_target(target: &[u8], method: &Method) -> Option<Uri> {
    if !target.iter().all(u8::is_ascii_graphic) || target.contains(&b'#') {
        return None;
    }
    let uri = Uri::try_from(target).ok()?;
    match target {
        [b'/', ..] => Some(uri),
        b"*" => (method == Method::OPTIONS).then_some(uri),
        _ => matches!(uri.scheme_str()?, "http" | "https" | "ws" | "wss").then_some(uri),
    }
}

/// The length of the body after a head (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
}

/// A request whose head passed all checks.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) request: Request<()>,
    /// The transport of the client, perhaps as a trusted proxy describes it.
    pub(crate) transport: Transport,
    pub(crate) framing: Framing,
    pub(crate) keep_alive: bool,
    pub(crate) expects_continue: bool,
    pub(crate) is_upgrade: bool,
    /// The body is emitted as it arrives.
    pub(crate) stream: Option<StreamLimits>,
}

/// The fewest bytes a second of such a body, unless a rule says otherwise: as for bodies that are collected.
pub(crate) const MIN_BODY_RATE: u32 = 1024;

/// The limits of a body that is emitted as it arrives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamLimits {
    /// The most bytes.
    pub(crate) bytes: u64,
    /// The fewest bytes a second.
    pub(crate) min_rate: u32,
}

/// Checks a head as a whole.
pub(crate) fn check(
    line: RequestLine,
    mut headers: HeaderMap,
    config: &Config,
    transport: Transport,
    now: Option<Moment>,
) -> Result<Checked, RequestError> {
    let RequestLine { method, target, version } = line;
    let is_11 = version == Version::HTTP_11;
    let mut host = check_host(&target, &mut headers, is_11, transport)?;
    let mut transport = transport;
    if let Some(rule) = &config.head_rule
        && let Some(forwarded) = rule.forwarded(&RequestHead::of(&method, &target, &headers).over(transport))
    {
        transport = forwarded.over(transport);
        forwarded.replace_host(&mut host, &mut headers);
    }
    let framing = check_framing(&headers, is_11)?;
    let is_upgrade = is_11
        && has_element(&headers, &header::CONNECTION, "upgrade")
        && has_element(&headers, &header::UPGRADE, "websocket");
    // The application never sees a preflight.
    let may_be_preflight = method == Method::OPTIONS && config.cors.is_set();
    let stream = match &config.head_rule {
        Some(rule) if !is_upgrade && !may_be_preflight => {
            let head = RequestHead::of(&method, &target, &headers).over(transport);
            let min_rate = || rule.min_body_rate(&head).unwrap_or(MIN_BODY_RATE);
            rule.stream_body(&head).map(|bytes| StreamLimits { bytes, min_rate: min_rate() })
        }
        _ => None,
    };
    let body_limit = stream.map_or(config.body_limit as u64, |limits| limits.bytes);
    if matches!(framing, Framing::Length(length) if length > body_limit) {
        return Err(BodyTooLarge);
    }
    if let Some(host) = &host {
        config.access.check_host(host, transport)?;
    }
    let is_safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(&method);
    // Only programs may omit the name, over a Unix socket; no page may act through them, by any method.
    let is_nameless = host.as_ref().is_some_and(Authority::is_empty);
    if is_upgrade || !is_safe || is_nameless {
        let origin = single(&headers, &header::ORIGIN).map_err(|()| Malformed("several Origin fields"))?;
        if let Some(origin) = origin {
            let origin = str::from_utf8(origin).map_err(|_| Malformed("the Origin field"))?;
            match config.access.check_origin(origin, host.as_ref(), transport) {
                // An origin that may read every answer with its cookies is trusted as much as the server's own pages.
                Err(OriginNotAllowed(_)) if config.cors.names(origin) => {}
                checked => checked?,
            }
        }
    }
    if is_upgrade {
        check_upgrade(&method, &headers, framing)?;
    }
    // HTTP/1.1 introduced expectations, and 1.0 has no interim answer (RFC 9110 §10.1.1).
    let expects_continue = is_11 && headers.contains_key(header::EXPECT);
    if expects_continue {
        let value = single(&headers, &header::EXPECT).ok().flatten();
        if !value.is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue")) {
            return Err(Expectation);
        }
    }
    let close = has_element(&headers, &header::CONNECTION, "close");
    let keep_alive = !close && (is_11 || has_element(&headers, &header::CONNECTION, "keep-alive"));

    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = target;
    *request.version_mut() = version;
    *request.headers_mut() = headers;
    if let Some(rule) = &config.head_rule
        && !needs_no_permission(&request, framing, config)
    {
        let head = RequestHead::new(&request, is_upgrade).over(transport);
        rule.check(&now.map_or(head, |now| head.at(now)))?;
    }
    Ok(Checked { request, transport, framing, keep_alive, expects_continue, is_upgrade, stream })
}

/// Whether this is a preflight as browsers send it. With a body, it could hold memory without permission.
fn needs_no_permission(request: &Request<()>, framing: Framing, config: &Config) -> bool {
    framing == Framing::Length(0) && config.cors.is_set() && config.cors.preflight(request).is_some()
}

/// Exactly one `Host` in HTTP/1.1 (RFC 9112 §3.2). The authority of an absolute target replaces it, for us and for
/// every later reader of the request (§3.2.2).
fn check_host(
    target: &Uri,
    headers: &mut HeaderMap,
    required: bool,
    transport: Transport,
) -> Result<Option<Authority>, RequestError> {
    let host = single(headers, &header::HOST).map_err(|()| Malformed("several Host fields"))?;
    if host.is_none() && required {
        return Err(Malformed("no Host field"));
    }
    let host = match host {
        Some(host) => Some(Authority::of_host(host, transport).ok_or(Malformed("the Host field"))?),
        None => None,
    };
    let Some(authority) = target.authority() else { return Ok(host) };
    let wins = Authority::parse(authority.as_str()).ok_or(Malformed("the request target"))?;
    let value = HeaderValue::from_str(authority.as_str()).map_err(|_| Malformed("the request target"))?;
    headers.insert(header::HOST, value);
    Ok(Some(wins))
}

/// One unambiguous body length (RFC 9112 §6.1, §6.2).
fn check_framing(headers: &HeaderMap, is_11: bool) -> Result<Framing, RequestError> {
    let length =
        single(headers, &header::CONTENT_LENGTH).map_err(|()| Malformed("several Content-Length fields"))?;
    if headers.contains_key(header::TRANSFER_ENCODING) {
        if length.is_some() {
            return Err(Malformed("both Content-Length and Transfer-Encoding"));
        }
        if !is_11 {
            return Err(Malformed("Transfer-Encoding in HTTP/1.0"));
        }
        let coding = single(headers, &header::TRANSFER_ENCODING).ok().flatten();
        return match coding {
            Some(coding) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
            _ => Err(TransferCoding),
        };
    }
    let Some(length) = length else { return Ok(Framing::Length(0)) };
    parse_length(length).map(Framing::Length).ok_or(Malformed("the Content-Length field"))
}

/// The client's half of the handshake (RFC 6455 §4.2.1).
fn check_upgrade(method: &Method, headers: &HeaderMap, framing: Framing) -> Result<(), RequestError> {
    if method != Method::GET {
        return Err(UpgradeNotGet);
    }
    // One reader would treat what follows the head as a body, another as frames.
    if framing != Framing::Length(0) {
        return Err(UpgradeMalformed("it has a body"));
    }
    match single(headers, &header::SEC_WEBSOCKET_VERSION) {
        Ok(Some(b"13")) => {}
        Ok(Some(_)) => return Err(WebSocketVersion),
        Ok(None) => return Err(UpgradeMalformed("no Sec-WebSocket-Version field")),
        Err(()) => return Err(UpgradeMalformed("several Sec-WebSocket-Version fields")),
    }
    match single(headers, &header::SEC_WEBSOCKET_KEY) {
        Ok(Some(key)) if str::from_utf8(key).is_ok_and(is_valid_key) => {}
        Ok(Some(_)) => return Err(UpgradeMalformed("the Sec-WebSocket-Key is not 16 bytes in Base64")),
        Ok(None) => return Err(UpgradeMalformed("no Sec-WebSocket-Key field")),
        Err(()) => return Err(UpgradeMalformed("several Sec-WebSocket-Key fields")),
    }
    let protocols = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let are_text = protocols.iter().all(|value| value.to_str().is_ok());
    if !are_text || !list(headers, &header::SEC_WEBSOCKET_PROTOCOL).all(|name| is_token(name.as_bytes())) {
        return Err(UpgradeMalformed("the Sec-WebSocket-Protocol field"));
    }
    Ok(())
}
