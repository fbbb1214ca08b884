//! A session over a socket that does not block.

use crate::kit::{drain, trusting};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use ws_host::tls::{ServerTls, TlsLayer, TlsMode, TlsStream};
use ws_proto::Config;

/// A socket with this input, and room for this much output.
#[derive(Default)]
struct Socket {
    input: Vec<u8>,
    /// The stream ends after the input.
    is_over: bool,
    /// At most this much is read at once.
    sip: Option<usize>,
    reads: usize,
    read_failure: Option<ErrorKind>,
    room: usize,
    sent: Vec<u8>,
    writes: usize,
    failure: Option<ErrorKind>,
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads += 1;
        if let Some(failure) = self.read_failure {
            return Err(failure.into());
        }
        let n = self.input.len().min(buffer.len()).min(self.sip.unwrap_or(usize::MAX));
        buffer[..n].copy_from_slice(&self.input[..n]);
        self.input.drain(..n);
        if n == 0 && !self.is_over { Err(ErrorKind::WouldBlock.into()) } else { Ok(n) }
    }
}

impl Write for Socket {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.writes += 1;
        if let Some(failure) = self.failure {
            return Err(failure.into());
        }
        let n = data.len().min(self.room);
        self.room -= n;
        self.sent.extend_from_slice(&data[..n]);
        if n == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(n) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Our client on a socket, and the server at its other end.
struct Rig {
    layer: TlsLayer,
    socket: Socket,
    peer: TlsStream,
}

impl Rig {
    fn new() -> Self {
        let (client, server) = trusting();
        let layer = TlsLayer::client(&client, "localhost").unwrap();
        let peer = TlsStream::server(&ServerTls::new(server, TlsMode::Only, &Config::server())).unwrap();
        Self { layer, socket: Socket { room: usize::MAX, ..Socket::default() }, peer }
    }

    fn open() -> Self {
        let mut rig = Self::new();
        rig.layer.flush(&mut rig.socket).unwrap();
        while rig.layer.is_handshaking() {
            assert_eq!(rig.deliver(), b"");
            rig.receive();
            while rig.read().1 == Err(ErrorKind::Interrupted) {}
        }
        assert_eq!(rig.deliver(), b"");
        rig.receive();
        assert_eq!(rig.read().1, Err(ErrorKind::Interrupted), "tickets");
        rig
    }

    /// The peer receives what was sent.
    fn deliver(&mut self) -> Vec<u8> {
        self.peer.push(&std::mem::take(&mut self.socket.sent));
        drain(&mut self.peer).unwrap()
    }

    /// Moves the peer's output to the socket's input.
    fn receive(&mut self) {
        self.socket.input.extend_from_slice(self.peer.output());
        self.peer.written(self.peer.output().len());
    }

    fn read(&mut self) -> (Vec<u8>, Result<usize, ErrorKind>) {
        let mut buffer = vec![0; 1000];
        let result = self.layer.read(&mut self.socket, &mut buffer).map_err(|error| error.kind());
        buffer.truncate(result.unwrap_or(0));
        (buffer, result)
    }

    fn write(&mut self, text: &[u8]) -> Result<usize, ErrorKind> {
        self.layer.write(&mut self.socket, &[IoSlice::new(text)]).map_err(|error| error.kind())
    }
}

#[test]
fn a_read_without_plaintext_returns_after_one_read_of_the_socket() {
    let (client, server) = trusting();
    let hello = TlsStream::client(&client, "localhost").unwrap().output().to_vec();
    let mut layer = TlsLayer::server(ServerTls::new(server, TlsMode::Only, &Config::server()));
    let mut socket = Socket { input: hello.clone(), sip: Some(1), room: usize::MAX, ..Socket::default() };
    // The first byte is read apart, and the second with it.
    for n in 0..hello.len() - 1 {
        let error = layer.read(&mut socket, &mut [0; 1]).unwrap_err();
        assert_eq!((error.kind(), socket.reads), (ErrorKind::Interrupted, n + 2));
    }
    let error = layer.read(&mut socket, &mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn an_idle_layer_holds_only_its_session() {
    let mut rig = Rig::open();
    assert_eq!(rig.read().1, Err(ErrorKind::WouldBlock));
    assert_eq!(rig.layer.held(), 0, "after a read that found nothing");
    for text in [&[1; 100][..], &[2; 16_384]] {
        rig.peer.seal([text]).unwrap();
        rig.receive();
        assert_eq!(rig.layer.read(&mut rig.socket, &mut [0; 16_384]).unwrap(), text.len());
        assert_eq!(rig.layer.held(), 0, "after a read that found {} bytes", text.len());
    }
    assert_eq!(rig.write(b"all of it"), Ok(9));
    assert_eq!(rig.layer.held(), 0, "after a write");
}

#[test]
fn a_write_counts_only_what_has_left_for_the_socket() {
    let mut rig = Rig::open();
    let text: Vec<u8> = (0..300_000).map(|n| (n % 251) as u8).collect();
    let (mut taken, mut received) = (0, Vec::new());
    for round in 0.. {
        if taken == text.len() {
            break;
        }
        rig.socket.room = [1, 20_000, 7, 5000, 70_000][round % 5];
        let slices = text[taken..].chunks(40_000).map(IoSlice::new).collect::<Vec<_>>();
        match rig.layer.write(&mut rig.socket, &slices) {
            Ok(n) => taken += n,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        received.extend(rig.deliver());
        // Of one record, a part may have left.
        assert!(taken < received.len() + 16_384, "{taken} of {}", received.len());
    }
    assert!(received == text);
    assert_eq!(rig.layer.flush(&mut rig.socket).map_err(|error| error.kind()), Ok(()));
}

#[test]
fn a_failed_write_hides_nothing_that_the_peer_sent_before() {
    for is_announced in [false, true] {
        let mut rig = Rig::open();
        rig.socket.room = 3;
        assert_eq!(rig.write(b"the first bytes of a record have left"), Err(ErrorKind::WouldBlock));
        for text in [&b"the last"[..], b" words"] {
            rig.peer.seal([text]).unwrap();
        }
        if is_announced {
            rig.peer.close();
        }
        rig.receive();
        let before = rig.socket.writes;
        (rig.socket.failure, rig.socket.is_over) = (Some(ErrorKind::ConnectionReset), true);
        assert_eq!(rig.read().0, b"the last");
        assert_eq!(rig.read().0, b" words");
        // The write has consumed the socket's error, so the read finds only the end of the stream.
        let end = if is_announced { Ok(0) } else { Err(ErrorKind::ConnectionReset) };
        assert_eq!(rig.read().1, end);
        assert_eq!(rig.write(b"more"), Err(ErrorKind::ConnectionReset));
        assert_eq!(rig.socket.writes, before + 1, "a failed write is not tried again");
    }
}

#[test]
fn a_read_that_cannot_write_its_answer_leaves_that_to_a_flush() {
    let (client, server) = trusting();
    let input = TlsStream::client(&client, "localhost").unwrap().output().to_vec();
    let mut layer = TlsLayer::server(ServerTls::new(server, TlsMode::Only, &Config::server()));
    let mut socket = Socket { input, failure: Some(ErrorKind::BrokenPipe), ..Socket::default() };
    for _ in 0..2 {
        let error = layer.read(&mut socket, &mut [0; 1000]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "what the peer sent last may be on its way");
        assert!(layer.needs_flush());
    }
    assert_eq!(layer.flush(&mut socket).unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert!(!layer.needs_flush());
}

#[test]
fn nothing_is_written_after_a_failed_read() {
    let mut rig = Rig::open();
    rig.socket.read_failure = Some(ErrorKind::ConnectionReset);
    let before = rig.socket.writes;
    assert_eq!(rig.read().1, Err(ErrorKind::ConnectionReset));
    rig.layer.close();
    let error = rig.layer.flush(&mut rig.socket).unwrap_err();
    assert_eq!((error.kind(), rig.socket.writes), (ErrorKind::ConnectionReset, before));
}

#[test]
fn a_failed_write_that_was_reported_leaves_reading_as_it_is() {
    let mut rig = Rig::open();
    rig.socket.failure = Some(ErrorKind::BrokenPipe);
    assert_eq!(rig.write(b"lost"), Err(ErrorKind::BrokenPipe));
    assert_eq!(rig.read().1, Err(ErrorKind::WouldBlock), "the last words of the peer may be on their way");
    rig.peer.seal([&b"the last words"[..]]).unwrap();
    rig.receive();
    assert_eq!(rig.read().0, b"the last words");
    rig.socket.is_over = true;
    assert_eq!(rig.read().1, Ok(0));
}

#[test]
fn a_peer_that_was_refused_stays_refused() {
    let (client, server) = trusting();
    let hello = TlsStream::client(&client, "localhost").unwrap().output().to_vec();
    let mut layer = TlsLayer::server(ServerTls::new(server, TlsMode::Only, &Config::server()));
    let mut socket = Socket { input: b"GET".to_vec(), room: usize::MAX, ..Socket::default() };
    for _ in 0..3 {
        let error = layer.read(&mut socket, &mut [0; 1000]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        let error = layer.write(&mut socket, &[IoSlice::new(b"answer")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        socket.input.clone_from(&hello);
    }
    assert!(socket.sent.is_empty() && !layer.needs_flush());
}
