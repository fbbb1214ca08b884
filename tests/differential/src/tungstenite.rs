//! How `tungstenite` reads a stream of bytes.

use crate::{MESSAGE_LIMIT, Outcome, Role, ours};
use std::io::{self, ErrorKind, Read, Write};
use tungstenite::protocol::{self, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

/// Bytes to read, and the written output.
struct Stream<'a> {
    input: &'a [u8],
    output: Vec<u8>,
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() { Err(ErrorKind::WouldBlock.into()) } else { self.input.read(buffer) }
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn read(role: Role, bytes: &[u8]) -> Outcome {
    let stream = Stream { input: bytes, output: Vec::new() };
    let role = match role {
        Role::Server => protocol::Role::Server,
        Role::Client => protocol::Role::Client,
    };
    let config =
        WebSocketConfig::default().max_message_size(Some(MESSAGE_LIMIT)).max_frame_size(Some(MESSAGE_LIMIT));
    let mut socket = WebSocket::from_raw_socket(stream, role, Some(config));
    let mut messages = Vec::new();
    // It reports faults, and leaves sending a Close to its user.
    let fault = loop {
        match socket.read() {
            Ok(Message::Text(text)) => messages.push((true, text.as_bytes().to_vec())),
            Ok(Message::Binary(data)) => messages.push((false, data.to_vec())),
            Ok(Message::Close(_)) => {
                let _ = socket.flush();
                break None;
            }
            Ok(_) => {}
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => break None,
            Err(Error::Utf8(_)) => break Some(1007),
            Err(Error::Capacity(_)) => break Some(1009),
            Err(_) => break Some(1002),
        }
    };
    let (pongs, close) = ours::sent(&socket.get_ref().output);
    Outcome { messages, pongs, close: fault.or(close) }
}
