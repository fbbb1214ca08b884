//! How far the body of a request was received and read.

use bytes::Bytes;
use ws_proto::{Error, Request, RequestBody};

/// The body of a request, as far as it was received and not read.
#[derive(Debug)]
pub(crate) struct Streaming {
    /// Of the request.
    pub(super) id: usize,
    /// The rest of a chunk.
    pub(super) rest: Bytes,
    /// How the body has ended.
    pub(super) end: Option<Result<(), Error>>,
}

impl Streaming {
    pub(crate) fn new(request: &Request) -> Self {
        Self { id: request.id(), rest: Bytes::new(), end: None }
    }

    /// A body that was collected before the request was emitted.
    pub(super) fn collected(request: &Request) -> Self {
        Self { id: request.id(), rest: request.body().clone(), end: Some(Ok(())) }
    }

    /// Receives a part. A body that has ended stays so.
    pub(super) fn receive(&mut self, part: RequestBody<'static>) {
        if self.end.is_some() {
            return;
        }
        match part {
            RequestBody::Data(data) => self.rest = data.into_owned().into(),
            RequestBody::Complete => self.end = Some(Ok(())),
            RequestBody::Incomplete(error) => self.end = Some(Err(*error)),
        }
    }

    /// Discards a part: the application has gone on to the next request.
    pub(crate) fn discard(&mut self, part: RequestBody<'static>) {
        let has_data = matches!(part, RequestBody::Data(_)) || !self.rest.is_empty();
        if has_data && self.end.is_none() {
            self.end = Some(Err(Error::Aborted));
        }
        self.rest = Bytes::new();
        self.receive(part);
    }
}
