//! What one side has said, and the other is still to hear.

use super::content::Said;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use ws_proto::CloseCode;

/// Both ends of a flow have it.
pub(crate) type Shared<T> = Rc<RefCell<T>>;

/// One direction of a WebSocket, as it must be.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    /// What was accepted, in the order in which it goes out.
    ahead: VecDeque<Said>,
    /// The message that is being sent in fragments.
    unfinished: Option<Said>,
    /// What waits behind it.
    waiting: Vec<Said>,
    /// How many were heard.
    heard: usize,
    /// The application closed with this.
    pub(crate) closed: Option<(CloseCode, String)>,
    /// Bytes went past the engine: nothing is known any more.
    pub(crate) is_spoiled: bool,
}

impl Flow {
    /// A whole message was accepted.
    pub(crate) fn say(&mut self, said: Said) {
        if self.unfinished.is_some() { self.waiting.push(said) } else { self.ahead.push_back(said) }
    }

    /// The first fragment of a message was accepted.
    pub(crate) fn begin(&mut self, said: Said) {
        assert!(self.unfinished.replace(said).is_none());
    }

    /// Its last fragment was accepted.
    pub(crate) fn finish(&mut self) {
        self.ahead.extend(self.unfinished.take());
        self.ahead.extend(self.waiting.drain(..));
    }

    /// The closing handshake begins. What waits behind an unfinished message cannot go out
    /// any more.
    pub(crate) fn close(&mut self, code: CloseCode, reason: &str) {
        self.waiting.clear();
        self.closed = Some((code, reason.to_owned()));
    }

    /// A whole message was delivered; it must be the next one.
    pub(crate) fn hear(&mut self, is_text: bool, data: &[u8]) {
        if self.is_spoiled {
            return;
        }
        let n = self.heard;
        let Some(next) = self.ahead.pop_front() else { panic!("message {n} was never said, or comes twice") };
        assert_eq!(next.data.len(), data.len(), "the length of message {n}");
        assert!(next.data == data, "the content of message {n}");
        assert_eq!(next.is_text, is_text, "the type of message {n}");
        self.heard += 1;
    }

    /// Delivery of a message were delivered so far; it must be the next one, or the unfinished one.
    pub(crate) fn hear_part(&self, is_text: bool, data: &[u8]) {
        if self.is_spoiled {
            return;
        }
        let next = self.ahead.front().or(self.unfinished.as_ref());
        let begins = next.is_some_and(|next| next.is_text == is_text && next.data.starts_with(data));
        assert!(begins, "a piece of message {}", self.heard);
    }

    /// Whether all was heard that went out.
    pub(crate) fn is_heard(&self) -> bool {
        self.ahead.is_empty()
    }

    pub(crate) fn is_in_fragments(&self) -> bool {
        self.unfinished.is_some()
    }
}
