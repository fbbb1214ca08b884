//! The layer over a socket whose reads and writes are cut anywhere.

use super::*;
use crate::layer::{ConnectStep, Layer};
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use ws_proto::{ClientRequest, Config, Error};

/// A socket that takes and gives at most `size` bytes at a time, and would block in between.
struct Socket {
    input: VecDeque<u8>,
    is_over: bool,
    output: Vec<u8>,
    size: usize,
    /// Whether the last read, and the last write, would have blocked.
    blocked: [bool; 2],
    reads: usize,
}

impl Socket {
    fn new(size: usize) -> Self {
        Self {
            input: VecDeque::new(),
            is_over: false,
            output: Vec::new(),
            size,
            blocked: [false; 2],
            reads: 0,
        }
    }

    fn would_block(&mut self, operation: usize) -> bool {
        let blocked = &mut self.blocked[operation];
        *blocked = !*blocked;
        *blocked
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads += 1;
        if self.input.is_empty() && self.is_over {
            return Ok(0);
        }
        let n = self.input.len().min(buffer.len()).min(self.size);
        if n == 0 || self.would_block(0) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        for byte in &mut buffer[..n] {
            *byte = self.input.pop_front().unwrap();
        }
        Ok(n)
    }
}

impl Write for Socket {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.would_block(1) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = data.len().min(self.size);
        self.output.extend_from_slice(&data[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn layer(proxy: &str) -> Layer {
    let request = ClientRequest::new("ws://a.example/").unwrap();
    let proxy = Proxy::new(proxy).unwrap();
    let layer = ProxyLayer::new(proxy.server(&request).unwrap(), &request, &Config::client());
    Layer::default().through(layer.unwrap())
}

/// Reads until the layer has no more for a while, as an adapter does.
fn read(layer: &mut Layer, socket: &mut Socket, received: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 64];
    let mut blocked = 0;
    while blocked < 4 {
        let before = socket.reads;
        match layer.read(socket, &mut buffer) {
            Ok(0) => return Ok(true),
            Ok(n) => {
                received.extend_from_slice(&buffer[..n]);
                blocked = 0;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => blocked += 1,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => blocked = 0,
            Err(error) => return Err(error),
        }
        assert!(socket.reads <= before + 1, "it reads the socket at most once");
    }
    Ok(false)
}

fn write(layer: &mut Layer, socket: &mut Socket, mut data: &[u8]) {
    for _ in 0..1000 {
        match layer.write(socket, &[IoSlice::new(data)]) {
            Ok(n) => data = &data[n..],
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
        if data.is_empty() {
            return;
        }
    }
}

/// What the client sends, and what the proxy answers.
type Line = (&'static [u8], &'static [u8]);

/// The dialogue with each kind of proxy.
const DIALOGUES: [(&str, &[Line]); 3] = [
    (
        "http://proxy",
        &[(b"CONNECT a.example:80 HTTP/1.1\r\nHost: a.example:80\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n")],
    ),
    (
        "socks5://proxy",
        &[
            (b"\x05\x01\x00", b"\x05\x00"),
            (b"\x05\x01\x00\x03\x09a.example\x00\x50", b"\x05\x00\x00\x01\0\0\0\0\0\0"),
        ],
    ),
    (
        "socks5://a:b@proxy",
        &[
            (b"\x05\x02\x00\x02", b"\x05\x02"),
            (b"\x01\x01a\x01b", b"\x01\x00"),
            (b"\x05\x01\x00\x03\x09a.example\x00\x50", b"\x05\x00\x00\x01\0\0\0\0\0\0"),
        ],
    ),
];

#[test]
fn nothing_is_sent_before_the_tunnel_is_open_and_nothing_is_lost_after_it() {
    for (proxy, dialogue) in DIALOGUES {
        for size in 1..80 {
            let (mut layer, mut socket, mut received) = (layer(proxy), Socket::new(size), Vec::new());
            for (question, answer) in dialogue {
                assert_eq!(layer.step(), ConnectStep::Proxy);
                write(&mut layer, &mut socket, b"GET");
                assert_eq!(socket.output, *question, "{proxy} {size}");
                socket.output.clear();
                socket.input.extend(*answer);
                if question == &dialogue.last().unwrap().0 {
                    socket.input.extend(b"early");
                }
                assert!(!read(&mut layer, &mut socket, &mut received).unwrap());
            }
            assert_eq!((layer.step(), &received[..]), (ConnectStep::Handshake, &b"early"[..]));
            write(&mut layer, &mut socket, b"GET");
            assert_eq!(socket.output, b"GET");
            socket.input.extend(b" more");
            socket.is_over = true;
            assert!(read(&mut layer, &mut socket, &mut received).unwrap());
            assert_eq!(received, b"early more");
        }
    }
}

#[test]
fn an_end_in_each_step_is_an_error_of_the_proxy() {
    for (proxy, dialogue) in DIALOGUES {
        let answers: Vec<u8> = dialogue.iter().flat_map(|(_, answer)| answer.iter().copied()).collect();
        for cut in 0..answers.len() {
            let (mut layer, mut socket) = (layer(proxy), Socket::new(usize::MAX));
            socket.input.extend(&answers[..cut]);
            socket.is_over = true;
            let error = read(&mut layer, &mut socket, &mut Vec::new()).unwrap_err();
            assert!(matches!(Error::from(error), Error::Proxy(ProxyError::Eof)), "{proxy} {cut}");
        }
    }
}

#[test]
fn an_answer_before_the_request_is_written_does_not_overtake_it() {
    let (mut layer, mut socket, mut received) = (layer("http://proxy"), Socket::new(1), Vec::new());
    socket.input.extend(b"HTTP/1.1 200 OK\r\n\r\nearly");
    socket.size = 40;
    let mut buffer = [0; 64];
    // The first write would block, and the answer is there.
    while received.is_empty() {
        if let Ok(n) = layer.read(&mut socket, &mut buffer) {
            received.extend_from_slice(&buffer[..n]);
        }
    }
    write(&mut layer, &mut socket, b"GET");
    assert_eq!(socket.output, b"CONNECT a.example:80 HTTP/1.1\r\nHost: a.example:80\r\n\r\nGET");
}

#[test]
fn a_reset_before_the_tunnel_is_open_is_an_error_of_the_proxy() {
    struct Reset;
    impl Read for Reset {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    impl Write for Reset {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let read = layer("http://proxy").read(&mut Reset, &mut [0; 64]).unwrap_err();
    assert!(matches!(Error::from(read), Error::Proxy(ProxyError::Io(io::ErrorKind::ConnectionReset))));
    let written = layer("http://proxy").flush(&mut Reset).unwrap_err();
    assert!(matches!(Error::from(written), Error::Proxy(ProxyError::Io(io::ErrorKind::BrokenPipe))));
}
