//! A scripted proxy with the server behind it, without I/O: it says its part only once it has got the client's, so that
//! whatever is sent too early fails the test.

use crate::peer::accepting;
use std::collections::VecDeque;

/// What the client must send, and what answers it.
type Line = (Vec<u8>, Vec<u8>);

/// A proxy that opens a tunnel, and a server that accepts a WebSocket and counts what follows.
pub struct FakeProxy {
    lines: VecDeque<Line>,
    received: Vec<u8>,
    /// The server has accepted the WebSocket.
    pub is_accepted: bool,
    /// How many bytes came through the tunnel after that.
    pub passed: usize,
}

/// The URLs of proxies that are asked in different ways, without host and port.
pub const WAYS: [(&str, &str); 4] =
    [("http://", ""), ("http://", "ann:secret@"), ("socks5h://", ""), ("socks5h://", "ann:secret@")];

impl FakeProxy {
    /// A proxy for the server `app.example:80`, asked in one of the [`WAYS`].
    pub fn new((scheme, user): (&str, &str)) -> Self {
        let connect = "CONNECT app.example:80 HTTP/1.1\r\nHost: app.example:80\r\n";
        let login = if user.is_empty() { "" } else { "Proxy-Authorization: Basic YW5uOnNlY3JldA==\r\n" };
        let target = b"\x05\x01\x00\x03\x0bapp.example\x00\x50".to_vec();
        let connected = b"\x05\x00\x00\x01\0\0\0\0\0\0".to_vec();
        let line = |question: &[u8], answer: &[u8]| (question.to_vec(), answer.to_vec());
        let lines = match (scheme, user) {
            ("http://", _) => vec![(
                format!("{connect}{login}\r\n").into_bytes(),
                b"HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n".to_vec(),
            )],
            (_, "") => vec![line(b"\x05\x01\x00", b"\x05\x00"), (target, connected)],
            _ => vec![
                line(b"\x05\x02\x00\x02", b"\x05\x02"),
                line(b"\x01\x03ann\x06secret", b"\x01\x00"),
                (target, connected),
            ],
        };
        Self { lines: lines.into(), received: Vec::new(), is_accepted: false, passed: 0 }
    }

    /// Takes what the client sent, and returns the answer.
    pub fn receive(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.received.extend_from_slice(bytes);
        if let Some((question, answer)) = self.lines.front() {
            let n = self.received.len().min(question.len());
            assert_eq!(self.received[..n], question[..n], "what a proxy expects");
            assert!(
                self.received.len() <= question.len(),
                "sent before the answer: {:?}",
                &self.received[n..]
            );
            if n < question.len() {
                return Vec::new();
            }
            let answer = answer.clone();
            self.lines.pop_front();
            self.received.clear();
            return answer;
        }
        if self.is_accepted {
            self.passed += std::mem::take(&mut self.received).len();
            return Vec::new();
        }
        if !self.received.ends_with(b"\r\n\r\n") {
            return Vec::new();
        }
        let head = String::from_utf8(std::mem::take(&mut self.received)).unwrap();
        assert!(head.starts_with("GET / HTTP/1.1\r\nHost: app.example\r\n"), "{head}");
        assert!(!head.contains("Proxy-Authorization"), "{head}");
        self.is_accepted = true;
        accepting(&head).into_bytes()
    }
}

/// What a hostile proxy sends after the first byte that it receives: a beginning, and a part that it repeats for ever.
pub const ENDLESS: [(&str, &str, &str); 5] = [
    ("http://", "HTTP/1.1 ", "2"),
    ("http://", "HTTP/1.1 200 OK\r\n", "X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"),
    ("http://", "HTTP/1.1 200 OK\r\nX: ", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    ("http://", "", "HTTP/1.1 100 Continue\r\n\r\n"),
    ("socks5h://", "", "\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05"),
];
