//! `http_head`: every HTTP/1.1 message that the engine accepts, `httparse` parses identically.
//!
//! ```text
//!   role, and whether bodies are streaming (1) | bytes from the peer …
//! ```
//!
//! The converse does not hold: the engine deliberately rejects much that is ambiguous.

use crate::bytes::request;
use crate::input::Input;
use crate::seen::Seen;
use crate::setup::{SEED, Streaming, answer, lenient};
use crate::watch::Watched;
use http::{HeaderMap, Response, Uri, Version};
use std::sync::Arc;
use ws_proto::{Config, Connection, Error, Event, Moment, RequestBody, ResponseError};

/// More fields than the engine accepts.
const FIELDS: usize = 128;

/// Heads and bodies, compared with another parser.
pub fn http_head(data: &[u8]) -> Seen {
    let mut input = Input::new(data);
    let role = input.byte();
    let now = Moment::default();
    if role & 1 == 0 { requests(now, input.rest(), role & 2 != 0) } else { responses(now, input.rest()) }
}

/// Consecutive requests, each answered when it is whole.
fn requests(now: Moment, bytes: &[u8], is_streaming: bool) -> Seen {
    let config = lenient(Config::server());
    let config =
        Arc::new(if is_streaming { config.head_rule(Arc::new(Streaming(u64::MAX))) } else { config });
    let (mut receiving, mut content) = (None, Vec::new());
    let mut watched = Watched::server(Connection::server(now, config, Default::default()));
    let mut left = bytes.to_vec();
    let mut input = &mut left[..];
    let mut at = 0;
    while let Some(event) = watched.handle_input(now, &mut input) {
        let next = bytes.len() - input.len();
        let message = &bytes[at..next];
        match event {
            Event::Request(request) if request.is_streaming() => {
                receiving = Some(request);
                continue;
            }
            Event::Body(RequestBody::Data(data)) => {
                content.extend_from_slice(&data);
                continue;
            }
            Event::Body(RequestBody::Complete) => {
                let Some(request) = receiving.take() else { panic!("the end of no body") };
                check_request(message, request.http(), &content);
                content.clear();
                watched.act(|c| drop(c.respond(now, request, answer("received"))));
            }
            Event::Request(request) => {
                check_request(message, request.http(), request.body());
                watched.act(|c| drop(c.respond(now, request, answer("received"))));
            }
            Event::Upgrade(upgrade) => {
                check_request(message, upgrade.http(), &[]);
                // Rejected: it is the last message read.
                watched.act(|c| drop(c.respond(now, upgrade, answer("refused"))));
            }
            other => watched.forget(other),
        }
        at = next;
    }
    watched.seen
}

/// The bytes are exactly this request, no more and no less.
fn check_request<T>(bytes: &[u8], request: &http::Request<T>, body: &[u8]) {
    let shown = || bytes.escape_ascii();
    let known = with_known_version(bytes);
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut theirs = httparse::Request::new(&mut fields);
    let Ok(httparse::Status::Complete(head)) = theirs.parse(&known) else {
        panic!("no request: {}", shown())
    };

    assert_eq!(theirs.method, Some(request.method().as_str()));
    let target = theirs.path.unwrap_or_default();
    assert_eq!(Uri::try_from(target).ok().as_ref(), Some(request.uri()), "{target}");
    if target.starts_with('/') {
        assert_eq!(request.uri().path_and_query().map(|path| path.as_str()), Some(target));
    }
    assert_eq!(theirs.version, Some(minor(request.version())));
    check_fields(theirs.headers, request.headers(), request.uri().authority().is_some());

    let rest = &bytes[head..];
    let (content, len) = match framing(theirs.headers) {
        Framing::Length(len) => (rest[..len].to_vec(), len),
        Framing::Chunked => chunked(rest).unwrap_or_else(|| panic!("chunks: {}", shown())),
        Framing::None => (Vec::new(), 0),
    };
    assert_eq!(content, body, "{}", shown());
    assert_eq!(head + len, bytes.len(), "the messages end at different offsets: {}", shown());
}

/// Interim responses, and the final one.
fn responses(now: Moment, bytes: &[u8]) -> Seen {
    let config = Arc::new(lenient(Config::client()));
    let mut watched = Watched::client(Connection::client(now, config, request(), SEED));
    watched.write(now, usize::MAX, |_| {});
    let mut left = bytes.to_vec();
    let mut input = &mut left[..];
    while let Some(event) = watched.handle_input(now, &mut input) {
        if let Event::Open(response) = &event {
            check_response(bytes, response, &[]);
        }
        watched.forget(event);
    }
    watched.handle_eof(now);
    watched.write(now, usize::MAX, |_| {});
    while let Some(event) = watched.poll_event(now) {
        if let Event::Closed(closed) = &event
            && let Some(Error::Response(ResponseError::Rejected(response))) = &closed.error
        {
            check_response(bytes, response, response.body());
        }
        watched.forget(event);
    }
    watched.must_be_over(now);
    watched.seen
}

/// The bytes are interim responses, then this one.
fn check_response<T>(mut bytes: &[u8], response: &Response<T>, body: &[u8]) {
    loop {
        let shown = || bytes.escape_ascii();
        let known = with_known_version(bytes);
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut theirs = httparse::Response::new(&mut fields);
        let Ok(httparse::Status::Complete(head)) = theirs.parse(&known) else {
            panic!("no head: {}", shown())
        };
        let rest = &bytes[head..];
        if matches!(theirs.code, Some(100 | 102..=199)) {
            bytes = rest;
            continue;
        }
        assert_eq!(theirs.code, Some(response.status().as_u16()));
        assert_eq!(theirs.version, Some(minor(response.version())));
        check_fields(theirs.headers, response.headers(), false);
        // The engine keeps the received part of a truncated body.
        match framing(theirs.headers) {
            Framing::Chunked => assert!(rest.len() >= body.len()),
            Framing::Length(len) => assert!(rest[..rest.len().min(len)].starts_with(body), "{}", shown()),
            Framing::None => assert!(rest.starts_with(body), "{}", shown()),
        }
        return;
    }
}

/// Replaces a later minor version with HTTP/1.1, as the engine treats it (RFC 9110 §2.5). The version ends the first
/// line of a request, and begins that of a response.
fn with_known_version(bytes: &[u8]) -> Vec<u8> {
    const VERSION: usize = "HTTP/1.1".len();
    let mut bytes = bytes.to_vec();
    let begin = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
    let end = bytes[begin..].windows(2).position(|pair| pair == b"\r\n").map_or(bytes.len(), |at| begin + at);
    for at in [end.saturating_sub(VERSION), begin] {
        if let Some([b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'2'..=b'9']) =
            bytes.get_mut(at..at + VERSION)
        {
            *minor = b'1';
            break;
        }
    }
    bytes
}

fn minor(version: Version) -> u8 {
    u8::from(version == Version::HTTP_11)
}

/// Compares the fields, with the values of each in order. The authority of a target replaces `Host`.
fn check_fields(theirs: &[httparse::Header<'_>], ours: &HeaderMap, is_absolute: bool) {
    let is_compared = |name: &str| !is_absolute || !name.eq_ignore_ascii_case("host");
    let theirs: Vec<_> = theirs.iter().filter(|field| is_compared(field.name)).collect();
    assert_eq!(theirs.len(), ours.iter().filter(|(name, _)| is_compared(name.as_str())).count());
    for name in ours.keys().filter(|name| is_compared(name.as_str())) {
        let same = theirs.iter().filter(|field| field.name.eq_ignore_ascii_case(name.as_str()));
        let values = ours.get_all(name).iter().map(|value| value.as_bytes());
        assert!(values.eq(same.map(|field| field.value)), "{name}");
    }
}

enum Framing {
    None,
    Length(usize),
    Chunked,
}

/// The body's framing as the fields literally declare it.
fn framing(fields: &[httparse::Header<'_>]) -> Framing {
    let value = |name: &str| {
        let field = fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
        Some(field.value)
    };
    // Any transfer coding overrides the length (RFC 9112 §6.3).
    match (value("Transfer-Encoding"), value("Content-Length")) {
        (Some(coding), _) if coding.eq_ignore_ascii_case(b"chunked") => Framing::Chunked,
        (None, Some(length)) => {
            let length = str::from_utf8(length).ok().and_then(|length| length.parse().ok());
            length.map_or(Framing::None, Framing::Length)
        }
        _ => Framing::None,
    }
}

/// The content of a chunked body, and its length including the framing.
fn chunked(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut content, mut at) = (Vec::new(), 0);
    loop {
        let Ok(httparse::Status::Complete((line, size))) = httparse::parse_chunk_size(&bytes[at..]) else {
            return None;
        };
        at += line;
        if size == 0 {
            break;
        }
        let chunk = bytes.get(at..at + usize::try_from(size).ok()?)?;
        content.extend_from_slice(chunk);
        at += chunk.len() + 2;
        (bytes.get(at - 2..at) == Some(b"\r\n")).then_some(())?;
    }
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    match httparse::parse_headers(&bytes[at..], &mut fields) {
        Ok(httparse::Status::Complete((trailers, _))) => Some((content, at + trailers)),
        _ => None,
    }
}
