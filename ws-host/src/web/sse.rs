//! Server-sent events: `text/event-stream` of the HTML standard, a cheap channel from server to page.
//!
//! ```
//! use ws_host::web::{ServerSentEvent, sse};
//! # use std::sync::Arc;
//! # use ws_proto::{Config, Connection, Event, Moment, Transport};
//! # let now = Moment::default();
//! # let mut connection = Connection::server(now, Arc::new(Config::server()), Transport::default());
//! # let mut input = *b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n";
//! # let Some(Event::Request(request)) = connection.handle_input(now, &mut &mut input[..]) else { panic!() };
//!
//! let last = sse::last_event_id(request.headers()); // where a reconnecting page resumes
//! # assert!(last.is_none());
//! let stream = connection.http().respond_streaming(now, request, sse::head(), None)?;
//! connection.http().send_body(&stream, ServerSentEvent::new("21.5 °C").event("temperature").id("17"))?;
//! connection.http().send_body(&stream, sse::keep_alive())?; // every 15 s or so
//! # Ok::<(), ws_proto::RespondError>(())
//! ```
//!
//! A page that is gone is detected when something is sent to it: a comment now and then ([`keep_alive`]) ends the
//! streams of such pages, and keeps proxies from cutting the rest.

use super::response::no_sniff;
use bytes::Bytes;
use core::fmt::Write as _;
use core::time::Duration;
use http::Response;
use http::header::{self, HeaderMap, HeaderValue};

/// The head of the answer. `X-Accel-Buffering: no` makes nginx, and similar proxies, pass each event on at once instead
/// of buffering 4 or 8 KiB first.
pub fn head() -> Response<()> {
    let mut response = super::no_store(Response::new(()));
    no_sniff(&mut response);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// The id of the last event that a page received before its stream was cut off, if events had ids.
pub fn last_event_id(headers: &HeaderMap) -> Option<&str> {
    str::from_utf8(headers.get("last-event-id")?.as_bytes()).ok()
}

/// A comment, which the page ignores.
pub fn keep_alive() -> Bytes {
    Bytes::from_static(b":\n\n")
}

/// An event. `Into<Bytes>` writes it.
///
/// ```
/// use bytes::Bytes;
/// use ws_host::web::ServerSentEvent;
///
/// let event = ServerSentEvent::new("two\nlines").event("note").id("1");
/// assert_eq!(Bytes::from(event), "event: note\nid: 1\ndata: two\ndata: lines\n\n");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerSentEvent {
    data: String,
    event: Option<String>,
    id: Option<String>,
    retry: Option<Duration>,
}

impl ServerSentEvent {
    /// An event with this text, of any number of lines.
    pub fn new(data: impl Into<String>) -> Self {
        Self { data: data.into(), ..Self::default() }
    }

    /// Sets the type that the page listens to; without one, `message`.
    #[must_use]
    pub fn event(mut self, event: &str) -> Self {
        self.event = Some(one_line(event));
        self
    }

    /// Sets the id that the page sends when it reconnects.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        self.id = Some(one_line(id));
        self
    }

    /// Sets how long the page waits before it reconnects.
    #[must_use]
    pub fn retry(mut self, time: Duration) -> Self {
        self.retry = Some(time);
        self
    }
}

impl From<ServerSentEvent> for Bytes {
    fn from(event: ServerSentEvent) -> Self {
        let mut out = String::with_capacity(event.data.len() + 32);
        // Writing to a String does not fail.
        if let Some(event) = &event.event {
            let _ = writeln!(out, "event: {event}");
        }
        if let Some(id) = &event.id {
            let _ = writeln!(out, "id: {id}");
        }
        if let Some(retry) = event.retry {
            let _ = writeln!(out, "retry: {}", retry.as_millis());
        }
        // A page recognizes three line endings; each ends a line here.
        for line in event.data.replace("\r\n", "\n").split(['\n', '\r']) {
            let _ = writeln!(out, "data: {line}");
        }
        out.push('\n');
        out.into()
    }
}

/// The text without characters that would end the line, or make a page discard the id.
fn one_line(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, '\n' | '\r' | '\0')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(event: ServerSentEvent) -> String {
        String::from_utf8(Bytes::from(event).to_vec()).unwrap()
    }

    #[test]
    fn every_end_of_line_in_the_data_stays_in_the_data() {
        assert_eq!(text(ServerSentEvent::new("a\r\nb\nc\rd")), "data: a\ndata: b\ndata: c\ndata: d\n\n");
        assert_eq!(text(ServerSentEvent::new("")), "data: \n\n");
        assert_eq!(
            text(ServerSentEvent::new("a\n").retry(Duration::from_secs(2))),
            "retry: 2000\ndata: a\ndata: \n\n"
        );
    }

    #[test]
    fn the_head_forbids_caching_and_buffering() {
        let head = head();
        assert_eq!(head.headers()["content-type"], "text/event-stream");
        assert!(head.headers()["cache-control"].to_str().unwrap().contains("no-"));
        assert_eq!(head.headers()["x-accel-buffering"], "no");
        assert_eq!(keep_alive(), ":\n\n", "a comment, and no event");
    }

    #[test]
    fn last_event_id_is_read() {
        let last_id = |value: &[u8]| {
            let value = HeaderValue::from_bytes(value).unwrap();
            let headers = HeaderMap::from_iter([("last-event-id".parse().unwrap(), value)]);
            last_event_id(&headers).map(str::to_owned)
        };
        assert_eq!(last_id("17 ü".as_bytes()).as_deref(), Some("17 ü"));
        assert_eq!(last_id(b"\xff"), None);
        assert_eq!(last_event_id(&HeaderMap::new()), None);
    }

    #[test]
    fn nothing_is_smuggled_into_a_field() {
        let event = ServerSentEvent::new("x").event("a\ndata: y").id("1\r\n\0event: z");
        assert_eq!(text(event), "event: adata: y\nid: 1event: z\ndata: x\n\n");
    }

    proptest! {
        /// Parsed by the rules of the HTML standard, the event equals the one sent.
        #[test]
        fn written_events_are_read_back(data in r"([a-z: ]|\n|\r|\r\n){0,20}", id in r"[a-z\n\r]{0,6}") {
            let written = text(ServerSentEvent::new(data.clone()).id(&id));
            let mut lines = Vec::new();
            let normal = written.replace("\r\n", "\n");
            for line in normal.split(['\n', '\r']) {
                if let Some(line) = line.strip_prefix("data: ") {
                    lines.push(line);
                }
            }
            prop_assert_eq!(lines.join("\n"), data.replace("\r\n", "\n").replace('\r', "\n"));
            prop_assert_eq!(written.matches("\n\n").count(), 1);
            prop_assert!(written.ends_with("\n\n"));
        }
    }
}
