//! Request bodies that the application receives as they arrive, at its own pace.

use super::app::{App, Later};
use bytes::Bytes;
use http::Response;
use ws_proto::{HeadRule, RequestError, RequestHead};
use ws_server_mio::{ConnectionId, Connections, Request, RequestBody};

/// Bodies for `/upload` are streaming.
#[derive(Debug)]
pub(super) struct UploadRule;

impl HeadRule for UploadRule {
    fn check(&self, _: &RequestHead<'_>) -> Result<(), RequestError> {
        Ok(())
    }

    fn stream_body(&self, head: &RequestHead<'_>) -> Option<u64> {
        head.path().starts_with("/upload/").then_some(1 << 40)
    }
}

pub(super) struct Upload {
    request: Request,
    expected: &'static [u8],
    received: Vec<u8>,
}

impl Upload {
    pub(super) fn new(request: Request, expected: &'static [u8]) -> Self {
        assert!(request.is_streaming());
        Self { request, expected, received: Vec::new() }
    }
}

impl App<'_> {
    /// Receives a part of a body: it keeps on, pauses for a while, or rejects the rest.
    pub(super) fn receive(&mut self, connections: &mut Connections, id: ConnectionId, part: RequestBody<'_>) {
        let peer = self.ids[&id];
        let Some(mut upload) = self.records[peer].upload.take() else { panic!("{part:?} of no upload") };
        match part {
            RequestBody::Data(data) => {
                upload.received.extend_from_slice(&data);
                assert!(upload.expected.starts_with(&upload.received), "the data of peer {peer} differs");
                if self.rng.percent(20) {
                    connections.pause(id);
                    self.later.push(Later::Resume(id));
                }
                self.records[peer].upload = Some(upload);
            }
            RequestBody::Complete => {
                assert!(upload.received == upload.expected, "an upload of peer {peer} is short");
                let response = Response::new(Bytes::from_static(upload.expected));
                if self.rng.percent(50) {
                    connections.respond(id, upload.request, response).unwrap();
                } else {
                    self.later.push(Later::Request(id, upload.request, response));
                }
            }
            RequestBody::Incomplete(_) => self.records[peer].cut = true,
        }
    }
}

/// The request of a body, and the body.
pub(super) fn encode(path: &str, body: &[u8], chunk: Option<usize>) -> Vec<u8> {
    let mut bytes = format!("PUT {path} HTTP/1.1\r\nHost: localhost\r\n").into_bytes();
    let Some(chunk) = chunk else {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(body);
        return bytes;
    };
    bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
    for part in body.chunks(chunk) {
        bytes.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}
