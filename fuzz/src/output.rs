//! Checks that a connection's output is HTTP/1.1 and RFC 6455, with `httparse` and a peer connection.

use crate::setup::{CLIENT, lenient};
use crate::watch::{Sample, sample};
use http::Method;
use std::sync::Arc;
use ws_proto::{Config, Connection, Error, Event, Moment, Role, State};

/// The messages in a server's output. `methods` are those of the requests that its application received; the end of
/// truncated output may be missing.
pub(crate) fn of_server(
    mut output: &[u8],
    methods: &[Method],
    is_upgraded: bool,
    is_cut_off: bool,
) -> Vec<Sample> {
    if is_upgraded {
        return frames(CLIENT, output);
    }
    let mut methods = methods.iter();
    while !output.is_empty() {
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut fields);
        let head = match response.parse(output) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) if is_cut_off => return Vec::new(),
            other => panic!("{other:?}: {}", output.escape_ascii()),
        };
        output = &output[head..];
        let status = response.code.unwrap_or(0);
        let field = |name: &str| {
            let mut values = response.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
            let value =
                values.next().map(|field| str::from_utf8(field.value).expect("our own fields are text"));
            assert!(values.next().is_none(), "{name} is repeated");
            value
        };
        match status {
            100 => continue,
            101 => return frames(CLIENT, output),
            _ => {}
        }
        // The application never sees an invalid request; its answer is the last one.
        let method = methods.next();
        let is_last = field("Connection").is_some_and(|value| value.ends_with("close"));
        assert!(is_last || method.is_some(), "an unsolicited answer");
        let has_body = method != Some(&Method::HEAD) && status != 204 && status != 304;
        let body = match (field("Content-Length"), field("Transfer-Encoding")) {
            _ if !has_body => Some(0),
            (None, Some("chunked")) => chunked(output),
            (Some(length), None) => Some(length.parse().expect("a length")),
            (None, None) if is_last => Some(output.len()),
            lengths => panic!("ambiguous length: {lengths:?}"),
        };
        let Some(rest) = body.and_then(|len| output.get(len..)) else {
            // The answer to an invalid HEAD has no body.
            assert!(is_cut_off || method.is_none() && output.is_empty(), "a truncated answer");
            return Vec::new();
        };
        output = rest;
        assert!(!is_last || output.is_empty(), "output after the last answer");
    }
    Vec::new()
}

/// The length of a chunked body with its framing (RFC 9112 §7.1); `None` if its end is missing.
fn chunked(mut bytes: &[u8]) -> Option<usize> {
    let whole = bytes.len();
    loop {
        let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
        let (size, rest) = bytes.split_at(end);
        let size = usize::from_str_radix(str::from_utf8(size).expect("digits"), 16).expect("a chunk size");
        let chunk = rest.get(2..2 + size + 2)?;
        assert!(chunk.ends_with(b"\r\n"), "an unterminated chunk");
        bytes = &rest[2 + size + 2..];
        if size == 0 {
            return Some(whole - bytes.len());
        }
    }
}

/// The messages in a client's output.
pub(crate) fn of_client(output: &[u8], is_upgraded: bool) -> Vec<Sample> {
    if is_upgraded {
        return frames(Role::Server, output);
    }
    let now = Moment::from_nanos(1 << 60);
    drive(Connection::server(now, Arc::new(lenient(Config::server())), Default::default()), now, output)
}

/// The messages in the frames for this role.
fn frames(role: Role, output: &[u8]) -> Vec<Sample> {
    let now = Moment::from_nanos(1 << 60);
    drive(Connection::upgraded(now, Arc::new(lenient(Config::server())), role), now, output)
}

/// The longest Close frame (RFC 6455 §5.5.1).
const CLOSE: usize = 2 + 4 + 125;

/// Feeds the output to a peer. Near a possible Close it proceeds byte by byte, so that nothing can hide after one.
fn drive(mut peer: Connection, now: Moment, output: &[u8]) -> Vec<Sample> {
    let mut messages = Vec::new();
    let (begin, end) = output.split_at(output.len().saturating_sub(CLOSE));
    for part in core::iter::once(begin).chain(end.chunks(1)) {
        assert!(matches!(peer.state(), State::Connecting | State::Open), "output after the end");
        let mut part = part.to_vec();
        let mut input = &mut part[..];
        while let Some(event) = peer.handle_input(now, &mut input) {
            match event {
                Event::Message(message) => messages.push(sample(&message)),
                Event::Upgrade(upgrade) => peer.accept(now, upgrade).expect("an upgrade is accepted"),
                Event::Open(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(input.is_empty());
    }
    peer.handle_eof(now);
    while let Some(event) = peer.poll_event(now) {
        if let Event::Closed(closed) = event {
            assert!(matches!(closed.error, None | Some(Error::Eof)), "the peer reports an error: {closed}");
        }
    }
    messages
}
