//! Responses without a length that never end: event streams and logs, and their readers.

use super::app::App;
use super::remote_peer::Received;
use super::rng::Rng;
use http::{Response, header};
use ws_proto::Moment;
use ws_server_mio::{ConnectionId, Connections, Request};

/// A client that reads such a response.
pub(super) struct Reader {
    /// What remains to be sent.
    pub(super) requests: Vec<u8>,
    pub(super) is_event_stream: bool,
    bytes: Vec<u8>,
    /// When it left, and whether with a FIN.
    pub(super) left_at: Option<(Moment, bool)>,
    /// The server has ended the connection.
    pub(super) ended: bool,
}

impl Reader {
    pub(super) fn new(peer: usize, rng: &mut Rng) -> Self {
        let is_event_stream = rng.percent(60);
        let kind = if is_event_stream { "events" } else { "log" };
        let mut requests = format!("GET /{kind}/{peer}/0/0 HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes();
        // A request behind it does not hide the end.
        requests.resize(requests.len() + rng.pick(&[0, 0, 1, 100, 10_000]), b'x');
        Self { requests, is_event_stream, bytes: Vec::new(), left_at: None, ended: false }
    }

    pub(super) fn receive(&mut self, received: Received) {
        match received {
            Received::Bytes(bytes) => self.bytes.extend_from_slice(&bytes),
            Received::Nothing => {}
            Received::End | Received::Reset => self.ended = true,
        }
    }

    pub(super) fn has_begun(&self) -> bool {
        self.bytes.starts_with(b"HTTP/1.1 200")
    }

    /// Whether the last chunk arrived.
    pub(super) fn is_finished(&self) -> bool {
        self.bytes.ends_with(b"\r\n0\r\n\r\n")
    }
}

impl App<'_> {
    pub(super) fn begin_stream(
        &mut self,
        connections: &mut Connections,
        id: ConnectionId,
        request: Request,
        is_event_stream: bool,
    ) {
        let kind = if is_event_stream { "text/event-stream" } else { "text/plain" };
        let head = Response::builder().header(header::CONTENT_TYPE, kind).body(()).unwrap();
        let body = connections.respond_streaming(id, request, head, None).unwrap();
        self.record(id).stream = Some((id, body));
    }

    /// Sends on every stream.
    pub(super) fn feed_streams(&mut self, connections: &mut Connections) {
        for record in &mut self.records {
            if let Some((id, body)) = &record.stream {
                let _ = connections.send_body(*id, body, "data: something\n\n");
            }
        }
    }
}
