//! The client's HTTP stage: one request, one answer (RFC 6455 §4.1).

use super::Opened;
use super::body::{Body, Deframer};
use super::head::{Head, Limits};
use super::response::{put, put_all};
use crate::config::Config;
use crate::deflate::{self, Terms};
use crate::error::RequestError;
use crate::error::ResponseError::{self, *};
use crate::fields::{has_element, parse_length, single};
use crate::handshake::{self, ClientRequest, Redirects};
use crate::outbox::Outbox;
use ::http::header;
use ::http::{HeaderMap, Response, StatusCode, Version};
use core::mem;

/// The longest status line; servers write a few dozen bytes.
pub(super) const STATUS_LINE: usize = 8192;
/// The most interim responses that are skipped.
pub(super) const INTERIM: u8 = 16;

#[derive(Debug)]
pub(crate) struct ClientHttp {
    key: String,
    subprotocols: Vec<String>,
    interim: u8,
    is_tls: bool,
    /// Those that led to the request.
    redirects: Option<Box<Redirects>>,
    reading: Reading,
}

#[derive(Debug)]
enum Reading {
    Head {
        head: Head,
        line: Option<(Version, StatusCode)>,
    },
    /// The body of a rejection.
    Body {
        response: Response<()>,
        body: Body,
    },
    Done,
}

impl ClientHttp {
    /// Writes the request.
    pub(crate) fn new(
        config: &Config,
        request: &ClientRequest,
        key_bytes: [u8; 16],
        out: &mut Outbox,
    ) -> Self {
        let key = handshake::key(key_bytes);
        let subprotocols: Vec<String> = request.subprotocols().map(str::to_owned).collect();
        let bytes = out.buffer();
        bytes.extend_from_slice(b"GET ");
        bytes.extend_from_slice(request.target().as_bytes());
        bytes.extend_from_slice(b" HTTP/1.1\r\n");
        put(bytes, "Host", request.host_header().as_bytes());
        put(bytes, "Connection", b"Upgrade");
        put(bytes, "Upgrade", b"websocket");
        put(bytes, "Sec-WebSocket-Version", b"13");
        put(bytes, "Sec-WebSocket-Key", key.as_bytes());
        if !subprotocols.is_empty() {
            put(bytes, "Sec-WebSocket-Protocol", subprotocols.join(", ").as_bytes());
        }
        if let Some(settings) = &config.deflate {
            put(bytes, "Sec-WebSocket-Extensions", settings.offer().as_bytes());
        }
        put_all(bytes, request.headers());
        bytes.extend_from_slice(b"\r\n");
        let redirects = Some(request.redirects()).filter(|redirects| !redirects.is_empty());
        let redirects = redirects.map(|redirects| Box::new(Redirects(redirects.to_vec())));
        let is_tls = request.is_tls();
        Self { key, subprotocols, interim: 0, is_tls, redirects, reading: Reading::start() }
    }

    /// Consumes input up to the end of the answer; what follows a 101 stays in it. Returns the result once, with the
    /// agreed terms.
    pub(crate) fn handle_input(
        &mut self,
        config: &Config,
        input: &mut &mut [u8],
    ) -> Option<Result<Opened, ResponseError>> {
        let result = self.read(config, input).transpose();
        if result.is_some() {
            self.reading = Reading::Done;
        }
        result
    }

    /// Whether the server has rejected the request, and the rest of its answer is pending.
    pub(crate) fn is_rejected(&self) -> bool {
        matches!(self.reading, Reading::Body { .. })
    }

    /// The server ended the connection: a rejection whose body ends so, or a truncated answer.
    pub(crate) fn handle_eof(&mut self) -> ResponseError {
        match mem::replace(&mut self.reading, Reading::Done) {
            Reading::Body { response, body } => rejected(response, body),
            _ => Eof,
        }
    }

    fn read(&mut self, config: &Config, input: &mut &mut [u8]) -> Result<Option<Opened>, ResponseError> {
        let limits = Limits {
            bytes: config.head_limit,
            fields: config.header_limit,
            first_line: STATUS_LINE,
            reads_on: false,
            allows_lf: false,
        };
        while !input.is_empty() {
            match &mut self.reading {
                Reading::Head { head, line } => {
                    if !self.is_tls && head.is_empty() && is_tls_record(input[0]) {
                        return Err(TlsRequired);
                    }
                    let headers = head.receive(limits, input, |bytes| {
                        *line = Some(status_line(bytes).ok_or(RequestError::Malformed("the status line"))?);
                        Ok(())
                    })?;
                    let (Some(headers), Some((version, status))) = (headers, *line) else { return Ok(None) };
                    let mut response = Response::new(());
                    *response.status_mut() = status;
                    *response.version_mut() = version;
                    *response.headers_mut() = headers;
                    if let Some(redirects) = &self.redirects {
                        response.extensions_mut().insert(Redirects::clone(redirects));
                    }
                    if status == StatusCode::SWITCHING_PROTOCOLS {
                        let terms = self.check(config, &response)?;
                        return Ok(Some((response, terms)));
                    }
                    if status.is_informational() {
                        self.interim += 1;
                        if self.interim > INTERIM {
                            return Err(Malformed("too many interim responses"));
                        }
                        self.reading = Reading::start();
                        continue;
                    }
                    match body(&response)? {
                        Some(body) => self.reading = Reading::Body { response, body },
                        None => return Err(rejected(response, Body::new(Deframer::Length(0)))),
                    }
                }
                Reading::Body { body, .. } => {
                    // A body over the limit, or a broken one, is kept as far as it arrived: it may explain the rejection.
                    if !matches!(body.receive(config.body_limit, input), Ok(false)) {
                        return Err(self.handle_eof());
                    }
                }
                Reading::Done => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Checks the server's half of the handshake (§4.1, the numbered list after the client's requirements).
    fn check(&self, config: &Config, response: &Response<()>) -> Result<Option<Terms>, ResponseError> {
        let headers = response.headers();
        if response.version() != Version::HTTP_11 {
            return Err(AcceptInvalid("it is not HTTP/1.1"));
        }
        if !matches!(single(headers, &header::UPGRADE), Ok(Some(value)) if value.eq_ignore_ascii_case(b"websocket"))
        {
            return Err(AcceptInvalid("Upgrade is not websocket"));
        }
        if !has_element(headers, &header::CONNECTION, "upgrade") {
            return Err(AcceptInvalid("Connection is not Upgrade"));
        }
        let accept = handshake::accept_key(&self.key);
        if single(headers, &header::SEC_WEBSOCKET_ACCEPT) != Ok(Some(accept.as_bytes())) {
            return Err(AcceptInvalid("Sec-WebSocket-Accept does not answer our key"));
        }
        let terms = deflate::agree(config.deflate.as_deref(), headers).map_err(AcceptInvalid)?;
        match single(headers, &header::SEC_WEBSOCKET_PROTOCOL) {
            Ok(None) => Ok(terms),
            Ok(Some(name)) if self.subprotocols.iter().any(|offered| offered.as_bytes() == name) => Ok(terms),
            Ok(Some(_)) => Err(AcceptInvalid("a subprotocol that was not offered")),
            Err(()) => Err(AcceptInvalid("several subprotocols")),
        }
    }
}

impl Reading {
    fn start() -> Self {
        Self::Head { head: Head::default(), line: None }
    }
}

/// Whether a record of TLS, an alert or a handshake (RFC 8446 §5.1), begins with this byte. No byte of HTTP does.
pub(super) fn is_tls_record(first: u8) -> bool {
    matches!(first, 0x15 | 0x16)
}

/// `HTTP/1.1 101 Switching Protocols` (RFC 9112 §4); some servers omit the space before an empty reason.
pub(super) fn status_line(line: &[u8]) -> Option<(Version, StatusCode)> {
    let version = match line.get(..8)? {
        b"HTTP/1.0" => Version::HTTP_10,
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => Version::HTTP_11,
        _ => return None,
    };
    let rest = line[8..].strip_prefix(b" ")?;
    let (status, reason) = rest.split_at_checked(3)?;
    let is_reason = reason.is_empty()
        || reason[0] == b' ' && reason.iter().all(|b| matches!(b, b'\t' | b' '..=b'~' | 0x80..));
    let status = StatusCode::from_bytes(status).ok()?;
    is_reason.then_some((version, status))
}

/// The body of a rejection, if it has one (RFC 9112 §6.3).
fn body(response: &Response<()>) -> Result<Option<Body>, ResponseError> {
    let headers: &HeaderMap = response.headers();
    if matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(None);
    }
    if headers.contains_key(header::TRANSFER_ENCODING) {
        let coding = single(headers, &header::TRANSFER_ENCODING);
        let is_chunked = matches!(coding, Ok(Some(coding)) if coding.eq_ignore_ascii_case(b"chunked"));
        return Ok(Some(Body::new(if is_chunked { Deframer::chunked() } else { Deframer::UntilEnd })));
    }
    match single(headers, &header::CONTENT_LENGTH) {
        Ok(None) => Ok(Some(Body::new(Deframer::UntilEnd))),
        Ok(Some(length)) => match parse_length(length) {
            Some(0) => Ok(None),
            Some(length) => Ok(Some(Body::new(Deframer::Length(length)))),
            None => Err(Malformed("the Content-Length field")),
        },
        Err(()) => Err(Malformed("several Content-Length fields")),
    }
}

fn rejected(response: Response<()>, mut body: Body) -> ResponseError {
    Rejected(Box::new(response.map(|()| body.take())))
}
