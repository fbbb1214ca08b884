//! What one side has sent and the other has yet to receive.

use super::content::Content;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use ws_proto::CloseCode;

/// Shared by both ends of a flow.
pub(crate) type Shared<T> = Rc<RefCell<T>>;

/// One direction of a WebSocket, as a model.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    /// Accepted messages, in output order.
    ahead: VecDeque<Content>,
    /// The message being sent in fragments.
    unfinished: Option<Content>,
    /// Messages that wait for its end.
    waiting: Vec<Content>,
    /// The number of messages received.
    received: usize,
    /// The application's close code and reason.
    pub(crate) closed: Option<(CloseCode, String)>,
    /// Bytes bypassed the engine: the model no longer applies.
    pub(crate) is_spoiled: bool,
}

impl Flow {
    /// A whole message was accepted.
    pub(crate) fn send(&mut self, content: Content) {
        if self.unfinished.is_some() { self.waiting.push(content) } else { self.ahead.push_back(content) }
    }

    /// The first fragment of a message was accepted.
    pub(crate) fn begin(&mut self, content: Content) {
        assert!(self.unfinished.replace(content).is_none());
    }

    /// Its last fragment was accepted.
    pub(crate) fn finish(&mut self) {
        self.ahead.extend(self.unfinished.take());
        self.ahead.extend(self.waiting.drain(..));
    }

    /// The closing handshake begins. Messages after an unfinished one are never sent.
    pub(crate) fn close(&mut self, code: CloseCode, reason: &str) {
        self.waiting.clear();
        self.closed = Some((code, reason.to_owned()));
    }

    /// A whole message was delivered; it must be the next one.
    pub(crate) fn receive(&mut self, is_text: bool, data: &[u8]) {
        if self.is_spoiled {
            return;
        }
        let n = self.received;
        let Some(next) = self.ahead.pop_front() else {
            panic!("message {n} was never sent, or arrives twice")
        };
        assert_eq!(next.data.len(), data.len(), "the length of message {n}");
        assert!(next.data == data, "the content of message {n}");
        assert_eq!(next.is_text, is_text, "the type of message {n}");
        self.received += 1;
    }

    /// Part of a message was delivered; it must belong to the next one, or to the unfinished one.
    pub(crate) fn receive_part(&self, is_text: bool, data: &[u8]) {
        if self.is_spoiled {
            return;
        }
        let next = self.ahead.front().or(self.unfinished.as_ref());
        let begins = next.is_some_and(|next| next.is_text == is_text && next.data.starts_with(data));
        assert!(begins, "a chunk of message {}", self.received);
    }

    /// Whether everything sent was received.
    pub(crate) fn is_complete(&self) -> bool {
        self.ahead.is_empty()
    }

    pub(crate) fn is_in_fragments(&self) -> bool {
        self.unfinished.is_some()
    }
}
