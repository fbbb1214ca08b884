//! An independent reader of a connection's output.

use super::oracle::Oracle;
use ws_kit::deflate::*;
use ws_kit::frames::*;
use ws_proto::deflate::Direction;

/// A message that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) opcode: u8,
    pub(crate) compressed: bool,
    pub(crate) fragments: usize,
    /// The size of all its frames.
    pub(crate) wire_len: usize,
    pub(crate) data: Vec<u8>,
}

/// Reads one connection.
pub(crate) struct Reader {
    oracle: Oracle,
    /// A message in progress; `data` is still compressed.
    begun: Option<Read>,
    pub(crate) controls: usize,
}

impl Reader {
    pub(crate) fn new(direction: Direction) -> Self {
        let oracle = Oracle::new(direction.context_takeover, direction.window_bits);
        Self { oracle, begun: None, controls: 0 }
    }

    /// The messages that end in these bytes. Panics if they break a rule.
    pub(crate) fn read(&mut self, output: &[u8]) -> Vec<Read> {
        let mut messages = Vec::new();
        for frame in parse(output) {
            let (opcode, rsv) = (frame.first & 0x0f, frame.first & 0x70);
            if opcode >= CLOSE {
                assert_eq!(rsv, 0, "a control frame is not compressed");
                self.controls += 1;
                continue;
            }
            let mut message = match self.begun.take() {
                None => {
                    assert!(matches!(opcode, TEXT | BINARY) && rsv & !RSV1 == 0, "{:#x}", frame.first);
                    Read { opcode, compressed: rsv != 0, fragments: 0, wire_len: 0, data: Vec::new() }
                }
                Some(begun) => {
                    assert_eq!(frame.first & 0x7f, CONTINUATION, "RSV1 is set on the first frame only");
                    begun
                }
            };
            message.fragments += 1;
            message.wire_len += frame.payload.len();
            message.data.extend(frame.payload);
            if frame.first & FIN == 0 {
                self.begun = Some(message);
                continue;
            }
            if message.compressed {
                message.data = self.oracle.message(&message.data).unwrap();
            }
            messages.push(message);
        }
        messages
    }

    /// The data of the messages that end in these bytes.
    pub(crate) fn data(&mut self, output: &[u8]) -> Vec<Vec<u8>> {
        self.read(output).into_iter().map(|message| message.data).collect()
    }
}
