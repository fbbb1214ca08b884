//! Input read ahead during an answer of unknown length.
//!
//! ```text
//!  input ──▶ parsed                         nothing holds requests back
//!        ├─▶ ahead ──▶ parsed later         held back, during an answer without a length
//!        └─▶ stays with the caller          held back otherwise, or `head_limit` bytes are ahead
//! ```
//!
//! Such an answer, for example a stream of events, may never end, and only the end of the peer's stream shows that its
//! reader is gone. So reading continues: bytes of a next request must not hide the end. An answer with a length
//! ends on its own, and its peer may have half-closed in good faith (RFC 9112 §9.6).

use super::answer::Answer;
use super::server::{Reading, ServerHttp};
use super::stream::Streamed;
use crate::config::Config;
use crate::error::Error;
use bytes::BytesMut;
use core::mem;

impl ServerHttp {
    /// Keeps input up to the limit, during an answer without a length.
    pub(super) fn read_ahead(&mut self, config: &Config, input: &mut &mut [u8]) {
        if !self.is_endless() {
            return;
        }
        let room = config.head_limit.saturating_sub(self.ahead.len());
        let taken = input.len().min(room);
        let (kept, rest) = mem::take(input).split_at_mut(taken);
        self.ahead.extend_from_slice(kept);
        *input = rest;
    }

    /// Whether input would be kept now.
    pub(super) fn has_room_ahead(&self, config: &Config) -> bool {
        self.is_endless() && self.ahead.len() < config.head_limit
    }

    /// The kept, unparsed input, for the WebSocket that follows.
    pub(crate) fn take_ahead(&mut self) -> BytesMut {
        mem::take(&mut self.ahead)
    }

    /// Whether an answer without a length is in progress, in its turn or before it.
    fn is_endless(&self) -> bool {
        self.streams().any(Streamed::is_endless)
    }

    /// Handles the end of the peer's stream. Pending requests are still answered, except with answers without a length:
    /// for those, this is usually the only sign that the reader is gone.
    pub(crate) fn handle_eof(&mut self, config: &Config) {
        self.peer_ended = true;
        if self.ending.is_some() {
            return;
        }
        let endless = |answer: &Answer| matches!(answer, Answer::Streamed(streamed) if streamed.is_endless());
        match self.queue.iter().position(|pending| endless(&pending.answer)) {
            Some(at) if !config.half_close => self.abandon(at),
            _ => self.end_input(),
        }
    }

    /// Whether an answer without a length would have no reader.
    pub(super) fn is_abandoned(&self, config: &Config) -> bool {
        self.peer_ended && !config.half_close
    }

    /// Drops the answer at this place in the queue and everything after it: the peer is gone.
    pub(super) fn abandon(&mut self, at: usize) {
        let has_begun = self.queue.get(at).is_some_and(
            |pending| matches!(&pending.answer, Answer::Streamed(streamed) if streamed.has_begun()),
        );
        self.cut_stream(&Error::Abandoned);
        self.queue.truncate(at);
        self.has_discarded = true;
        self.reading = Reading::Stopped;
        self.ahead.clear();
        self.cause = Some(Error::Abandoned);
        if self.queue.is_empty() {
            self.end();
            // Only a whole answer is worth waiting for.
            if let Some(ending) = &mut self.ending {
                ending.at_once = has_begun && self.in_front == 0;
            }
        }
    }

    /// Acts on the end of the peer's stream, once everything before it is parsed. After an upgrade, the bytes are
    /// frames of a WebSocket that ended before it began.
    pub(super) fn end_input(&mut self) {
        let is_parsed = self.ahead.is_empty() || matches!(self.reading, Reading::Upgrade);
        let is_parsed = is_parsed && !self.is_stream_at_end();
        if !self.peer_ended || !is_parsed || self.ending.is_some() {
            return;
        }
        let cause = match &self.reading {
            Reading::Head { head, .. } => head.has_begun().then_some(Error::RequestCutOff),
            Reading::Stream(_) if self.is_discarding() => None,
            Reading::Body(_) | Reading::Stream(_) => Some(Error::RequestCutOff),
            Reading::Upgrade => Some(Error::Eof),
            Reading::Opened | Reading::Stopped => return,
        };
        self.cut_stream(&Error::RequestCutOff);
        self.take_stream_pending();
        self.reading = Reading::Stopped;
        self.cause = cause;
        if self.queue.is_empty() {
            self.end();
        }
    }

    /// The bytes held: read ahead, of an arriving request, and of answers that wait for their turn.
    pub(crate) fn memory_len(&self) -> usize {
        let reading = match &self.reading {
            Reading::Head { head, .. } => head.len(),
            Reading::Body(reader) => reader.body.len(),
            Reading::Stream(_) | Reading::Upgrade | Reading::Opened | Reading::Stopped => 0,
        };
        let answers = self.queue.iter().map(|pending| match &pending.answer {
            Answer::Ready(response) => response.body().len(),
            Answer::Streamed(streamed) => streamed.held_len(),
            Answer::Awaited { .. } | Answer::Accepted(..) | Answer::Fault { .. } => 0,
        });
        self.ahead.len() + reading + answers.sum::<usize>()
    }
}
