//! Encodes responses (RFC 9112 §4, §6).

use crate::error::RespondError;
use crate::fields::{is_connection_header, parse_length};
use crate::frame::COPY_UP_TO;
use crate::outbox::Outbox;
use ::http::header::{self, HeaderName, HeaderValue};
use ::http::{HeaderMap, Response, StatusCode};
use bytes::Bytes;
use std::io::Write as _;
use std::time::SystemTime;

/// The properties of a request that shape its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// The request was a HEAD: the answer has the fields of a body, but no body.
    pub(super) is_head: bool,
    /// The request was HTTP/1.0, where keep-alive must be explicit.
    pub(super) is_10: bool,
    /// The connection may continue after this answer.
    pub(super) keep_alive: bool,
}

/// Validates an application's answer.
pub(super) fn validate(response: &Response<Bytes>, shape: Shape) -> Result<(), RespondError> {
    let status = response.status();
    validate_head(status, response.headers())?;
    let mut lengths = response.headers().get_all(header::CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next() {
        let length = parse_length(length.as_bytes());
        let is_body = length == Some(response.body().len() as u64);
        // The length of a body that is not sent: to HEAD, and in a 304 (RFC 9110 §8.6).
        let has_length = length.is_some() && (shape.is_head || status == StatusCode::NOT_MODIFIED);
        if lengths.next().is_some() || status == StatusCode::NO_CONTENT || !(is_body || has_length) {
            return Err(RespondError::Header("content-length".to_owned()));
        }
    }
    Ok(())
}

/// Validates the head of a streaming response. Its length is passed separately.
pub(super) fn validate_streamed(head: &Response<()>) -> Result<(), RespondError> {
    if head.headers().contains_key(header::CONTENT_LENGTH) {
        return Err(RespondError::Header("content-length".to_owned()));
    }
    validate_head(head.status(), head.headers())
}

/// Whether the body is a stream of events, which never ends on its own.
pub(super) fn is_event_stream(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return false };
    let media_type = value.as_bytes().split(|b| *b == b';').next().unwrap_or_default();
    media_type.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}

fn validate_head(status: StatusCode, headers: &HeaderMap) -> Result<(), RespondError> {
    if status.is_informational() {
        return Err(RespondError::Status(status));
    }
    for (name, value) in headers {
        // The application may name the protocol that a 426 requires, and the versions it supports.
        let names_protocol = *name == header::UPGRADE
            || (*name == header::CONNECTION && value.as_bytes().eq_ignore_ascii_case(b"upgrade"));
        let may = (status == StatusCode::UPGRADE_REQUIRED && names_protocol)
            || *name == header::SEC_WEBSOCKET_VERSION;
        if is_connection_header(name) && !may {
            return Err(RespondError::Header(name.as_str().to_owned()));
        }
    }
    Ok(())
}

/// Whether a body follows the head (RFC 9112 §6.3).
pub(super) fn has_body(status: StatusCode, shape: Shape) -> bool {
    !(shape.is_head || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED)
}

/// How a head declares the length of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// The application's own fields, if any.
    AsGiven,
    Is(u64),
    Chunked,
}

/// Writes a validated response.
pub(super) fn encode(
    out: &mut Outbox,
    response: Response<Bytes>,
    shape: Shape,
    close: bool,
    date: Option<SystemTime>,
) {
    let (parts, body) = response.into_parts();
    let has_body = has_body(parts.status, shape);
    let has_length = parts.headers.contains_key(header::CONTENT_LENGTH);
    let length = if has_body || (shape.is_head && !body.is_empty() && !has_length) {
        Length::Is(body.len() as u64)
    } else {
        Length::AsGiven
    };
    encode_head(out, parts.status, &parts.headers, length, shape, close, date);
    if has_body {
        if body.len() > COPY_UP_TO {
            out.push_shared(body);
        } else {
            out.buffer().extend_from_slice(&body);
        }
    }
}

/// Writes a validated head. `Last-Modified` is clamped to the `Date`, if there is one: a server must not send a
/// later one (RFC 9110 §8.8.2.1).
pub(super) fn encode_head(
    out: &mut Outbox,
    status: StatusCode,
    headers: &HeaderMap,
    length: Length,
    shape: Shape,
    close: bool,
    date: Option<SystemTime>,
) {
    let bytes = out.buffer();
    put_status(bytes, status);
    let given = headers.get(header::DATE);
    let date = match given {
        Some(given) => given.to_str().ok().and_then(|given| httpdate::parse_http_date(given).ok()),
        None => date,
    };
    for (name, value) in headers {
        // Both are written below.
        let is_own =
            *name == header::CONNECTION || (length != Length::AsGiven && *name == header::CONTENT_LENGTH);
        if is_own {
            continue;
        }
        match date {
            Some(date) if *name == header::LAST_MODIFIED && is_later(value, date) => {
                put(bytes, "Last-Modified", httpdate::fmt_http_date(date).as_bytes());
            }
            _ => put_field(bytes, name, value),
        }
    }
    if let Some(date) = date.filter(|_| given.is_none()) {
        put(bytes, "Date", httpdate::fmt_http_date(date).as_bytes());
    }
    match length {
        Length::AsGiven => {}
        Length::Is(length) => put(bytes, "Content-Length", length.to_string().as_bytes()),
        Length::Chunked => put(bytes, "Transfer-Encoding", b"chunked"),
    }
    // A sender of Upgrade must name it in Connection (RFC 9110 §7.8).
    let connection: &[&str] = match (headers.contains_key(header::UPGRADE), close) {
        (true, true) => &["Upgrade, close"],
        (true, false) => &["Upgrade"],
        (false, true) => &["close"],
        (false, false) if shape.is_10 => &["keep-alive"],
        (false, false) => &[],
    };
    for value in connection {
        put(bytes, "Connection", value.as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
}

fn is_later(value: &HeaderValue, date: SystemTime) -> bool {
    let time = value.to_str().ok().and_then(|value| httpdate::parse_http_date(value).ok());
    time.is_some_and(|time| time > date)
}

/// Writes the 101, which has neither a body nor a length (RFC 9110 §8.6).
pub(super) fn encode_switch(out: &mut Outbox, response: &Response<()>) {
    let bytes = out.buffer();
    put_status(bytes, response.status());
    put_all(bytes, response.headers());
    bytes.extend_from_slice(b"\r\n");
}

fn put_status(bytes: &mut Vec<u8>, status: StatusCode) {
    // Writing to a Vec does not fail.
    let _ =
        write!(bytes, "HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or_default());
}

pub(super) fn put_all(bytes: &mut Vec<u8>, headers: &HeaderMap) {
    for (name, value) in headers {
        put_field(bytes, name, value);
    }
}

/// Names ignore case (RFC 9110 §5.1), but some devices look for exactly `Sec-WebSocket-Accept`.
fn put_field(bytes: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    for (at, word) in name.as_str().split('-').enumerate() {
        if at > 0 {
            bytes.push(b'-');
        }
        match SPELLINGS.iter().find(|spelling| spelling.eq_ignore_ascii_case(word)) {
            Some(spelling) => bytes.extend_from_slice(spelling.as_bytes()),
            None => {
                let (first, rest) = word.split_at(word.len().min(1));
                bytes.extend(first.bytes().map(|b| b.to_ascii_uppercase()));
                bytes.extend_from_slice(rest.as_bytes());
            }
        }
    }
    put_value(bytes, value.as_bytes());
}

/// The words in names that take more than a leading capital.
const SPELLINGS: [&str; 11] =
    ["WebSocket", "ETag", "WWW", "TE", "DNT", "ID", "MD5", "XSS", "DNS", "UA", "CH"];

fn put_value(bytes: &mut Vec<u8>, value: &[u8]) {
    bytes.extend_from_slice(b": ");
    bytes.extend_from_slice(value);
    bytes.extend_from_slice(b"\r\n");
}

pub(super) fn put(bytes: &mut Vec<u8>, name: &str, value: &[u8]) {
    bytes.extend_from_slice(name.as_bytes());
    put_value(bytes, value);
}
