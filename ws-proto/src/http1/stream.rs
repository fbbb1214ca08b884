//! Streaming responses, and their framing (RFC 9112 §6).

use super::response::{self, Length, Shape};
use crate::error::RespondError;
use crate::frame::COPY_UP_TO;
use crate::handshake::Token;
use crate::moment::Moment;
use crate::outbox::Outbox;
use ::http::{Response, StatusCode};
use bytes::Bytes;
use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::Arc;
use std::time::SystemTime;

/// The body of a streaming response: a file, a stream of events.
///
/// From [`PlainHttp::respond_streaming`](crate::PlainHttp::respond_streaming); send chunks with
/// [`send_body`](crate::PlainHttp::send_body) and end it with [`finish_body`](crate::PlainHttp::finish_body). If it is
/// dropped before that, the connection ends, which shows the peer that the body was cut off; only HTTP/1.0 without a
/// length cannot distinguish this from a complete body.
#[derive(Debug)]
#[must_use = "dropping an unfinished body ends the connection"]
pub struct ResponseBody {
    token: Token,
    is_discarded: bool,
}

impl ResponseBody {
    /// Whether the body is not sent at all, as in an answer to HEAD. The answer is complete; chunks are accepted and
    /// discarded, and there is no need to make them, or to finish.
    pub fn is_discarded(&self) -> bool {
        self.is_discarded
    }

    pub(crate) fn token(&self) -> &Token {
        &self.token
    }
}

/// The connection's side of it.
#[derive(Debug)]
pub(super) struct Streamed {
    token: Token,
    /// Present until its turn.
    head: Option<Response<()>>,
    framing: Framing,
    /// Whether the body is sent, too.
    has_body: bool,
    /// The rest of the declared length.
    left: Option<u64>,
    /// The chunks that wait for the turn.
    held: VecDeque<Bytes>,
    held_len: usize,
    is_finished: bool,
    /// A stream of events, which a stopping server may finish.
    is_events: bool,
    /// A chunk was rejected, or was one too many, before the turn: room must be reported.
    pub(super) room_due: bool,
    /// When the application was last seen to have the body.
    pub(super) checked: Moment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// Neither a body nor a length.
    Nothing,
    Length(u64),
    Chunked,
    /// HTTP/1.0 has no other end of a body without a length.
    UntilClose,
}

impl Streamed {
    pub(super) fn new(
        now: Moment,
        head: Response<()>,
        length: Option<u64>,
        shape: Shape,
    ) -> (Self, ResponseBody) {
        let token = Token::default();
        let has_body = response::has_body(head.status(), shape);
        let framing = match length {
            _ if head.status() == StatusCode::NO_CONTENT => Framing::Nothing,
            Some(length) => Framing::Length(length),
            None if head.status() == StatusCode::NOT_MODIFIED => Framing::Nothing,
            None if shape.is_10 => Framing::UntilClose,
            None => Framing::Chunked,
        };
        let body = ResponseBody { token: token.clone(), is_discarded: !has_body };
        let is_events = response::is_event_stream(head.headers());
        let streamed = Self {
            token,
            head: Some(head),
            framing,
            has_body,
            left: length.filter(|_| has_body),
            held: VecDeque::new(),
            held_len: 0,
            // No task waits for chunks that are not sent.
            is_finished: !has_body,
            is_events,
            room_due: false,
            checked: now,
        };
        (streamed, body)
    }

    pub(super) fn is(&self, token: &Token) -> bool {
        Arc::ptr_eq(&self.token, token)
    }

    /// Whether the application has dropped the body before its end.
    pub(super) fn is_dropped(&self) -> bool {
        !self.is_finished && Arc::strong_count(&self.token) == 1
    }

    pub(super) fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Whether its head is sent: from then on no other answer is possible.
    pub(super) fn has_begun(&self) -> bool {
        self.head.is_none()
    }

    /// Whether only the end of the connection ends the body.
    pub(super) fn closes(&self) -> bool {
        self.framing == Framing::UntilClose
    }

    /// Whether the body is in progress, and only its sender knows for how long.
    pub(super) fn is_endless(&self) -> bool {
        !self.is_finished && matches!(self.framing, Framing::Chunked | Framing::UntilClose)
    }

    /// The server stops: finishes a stream of events; anything else continues.
    pub(super) fn stop(&mut self, out: &mut Outbox) {
        if self.is_events && self.is_endless() {
            // Without a declared length it cannot be too short.
            let _ = self.finish(out);
        }
    }

    /// Whether only the end of the connection shows the peer that it has the whole body.
    pub(super) fn has_open_end(&self) -> bool {
        self.closes() && self.has_body
    }

    pub(super) fn held_len(&self) -> usize {
        self.held_len
    }

    /// Begins its turn.
    pub(super) fn begin(&mut self, out: &mut Outbox, shape: Shape, close: bool, date: Option<SystemTime>) {
        let Some(head) = self.head.take() else { return };
        let length = match self.framing {
            Framing::Nothing | Framing::UntilClose => Length::AsGiven,
            Framing::Length(length) => Length::Is(length),
            Framing::Chunked => Length::Chunked,
        };
        response::encode_head(out, head.status(), head.headers(), length, shape, close, date);
        for chunk in core::mem::take(&mut self.held) {
            self.write(out, chunk);
        }
        self.held_len = 0;
        if self.is_finished {
            self.write_end(out);
        }
    }

    /// Sends the next chunk; before its turn, holds it.
    pub(super) fn push(&mut self, out: &mut Outbox, chunk: Bytes) -> Result<(), RespondError> {
        if let Some(left) = &mut self.left {
            let rest = left.checked_sub(chunk.len() as u64);
            *left = rest.ok_or(RespondError::BodyLength { left: *left })?;
        }
        // An empty chunk would be the last one.
        if chunk.is_empty() {
            return Ok(());
        }
        if self.head.is_none() {
            self.write(out, chunk);
        } else {
            self.held_len += chunk.len();
            self.held.push_back(chunk);
        }
        Ok(())
    }

    /// Ends the body.
    pub(super) fn finish(&mut self, out: &mut Outbox) -> Result<(), RespondError> {
        if let Some(left) = self.left.filter(|left| *left > 0) {
            return Err(RespondError::BodyLength { left });
        }
        self.is_finished = true;
        if self.head.is_none() {
            self.write_end(out);
        }
        Ok(())
    }

    fn write(&self, out: &mut Outbox, chunk: Bytes) {
        let is_chunked = self.framing == Framing::Chunked;
        let bytes = out.buffer();
        if is_chunked {
            // Writing to a Vec does not fail.
            let _ = write!(bytes, "{:x}\r\n", chunk.len());
        }
        if chunk.len() > COPY_UP_TO {
            out.push_shared(chunk);
        } else {
            bytes.extend_from_slice(&chunk);
        }
        if is_chunked {
            out.buffer().extend_from_slice(b"\r\n");
        }
    }

    fn write_end(&self, out: &mut Outbox) {
        if self.framing == Framing::Chunked && self.has_body {
            out.buffer().extend_from_slice(b"0\r\n\r\n");
        }
    }
}
