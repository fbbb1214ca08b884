//! The messages that a connection accepted for sending, in the order in which its peer must receive them.

use crate::watch::{Sample, Watched, sample};
use ws_proto::{Frame, Message, Opcode, SendError, Sent};

/// The messages that a connection has accepted.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// Complete messages, in flight.
    pub(crate) messages: Vec<Sample>,
    /// The message being sent in fragments.
    begun: Option<Sample>,
    /// Messages queued after it (RFC 6455 §5.4).
    waiting: Vec<Sample>,
}

impl Taken {
    /// Sends a whole message.
    pub(crate) fn send(&mut self, by: &mut Watched, message: Message<'_>) -> Result<Sent, SendError> {
        let sample = sample(&message);
        by.given += sample.1.len() as u64;
        let result = by.act(|connection| connection.send(message));
        if result.is_ok() {
            let queue = if self.begun.is_some() { &mut self.waiting } else { &mut self.messages };
            queue.push(sample);
        }
        result
    }

    /// Sends the next fragment, which begins a message if none is in progress.
    pub(crate) fn send_fragment(
        &mut self,
        by: &mut Watched,
        (is_text, payload): Sample,
        fin: bool,
    ) -> Result<Sent, SendError> {
        let opcode = match (&self.begun, is_text) {
            (Some(_), _) => Opcode::Continuation,
            (None, true) => Opcode::Text,
            (None, false) => Opcode::Binary,
        };
        by.given += payload.len() as u64;
        let frame = Frame::raw(opcode, fin, payload.clone())?;
        let result = by.act(|connection| connection.send(&frame));
        if result.is_ok() {
            let mut begun = self.begun.take().unwrap_or((is_text, Vec::new()));
            begun.1.extend(payload);
            if fin {
                self.messages.push(begun);
                self.messages.append(&mut self.waiting);
            } else {
                self.begun = Some(begun);
            }
        }
        result
    }
}
