//! What arrives is the same however the bytes are cut.

use crate::kit::{Pair, To, drain, stream, trusting};
use std::io::{self, Read, Write};
use ws_host::tls::{Opened, ServerTls, TlsLayer, TlsMode, TlsStream, TlsVersion};
use ws_proto::Config;

#[test]
fn a_handshake_and_messages_pass_in_cuts_of_every_size() {
    for cut in (1..40).chain([100, 517, 1000, 4096, 17_000]) {
        let mut pair = Pair::new();
        pair.cut = cut;
        assert_eq!(pair.run(), (Ok(()), Ok(())), "in cuts of {cut}");
        for to in [To::Server, To::Client] {
            let text = vec![cut as u8; 20_000];
            assert_eq!(pair.send(to, &[b"a", &text, b"z"]).0, [b"a", &text[..], b"z"].concat());
        }
        assert_eq!(pair.server.info().unwrap().version, TlsVersion::Tls13);
        assert_eq!(pair.server.info().unwrap().server_name.as_deref(), Some("localhost"));
        assert_eq!(pair.client.info().unwrap().peer_certificates.len(), 1);
    }
}

#[test]
fn small_slices_become_one_record_and_large_ones_as_few_as_possible() {
    let mut pair = Pair::open();
    for (slices, records) in [
        (vec![&b"head"[..], b"payload"], 1),
        (vec![&[1; 16_000][..], &[2; 384]], 1),
        (vec![&[1; 16_000][..], &[2; 385]], 2),
        (vec![&[3; 16_384][..]], 1),
        (vec![b"", &[4; 40_000][..], b"", b"end"], 3),
        (vec![&[5; 3][..]; 1000], 1),
    ] {
        let (plain, count) = pair.send(To::Client, &slices);
        assert_eq!(plain, slices.concat());
        assert_eq!(count, records, "{} slices of {} bytes", slices.len(), plain.len());
    }
}

#[test]
fn nothing_is_sealed_while_64_kib_wait() {
    let mut pair = Pair::open();
    let text = vec![7; 1 << 20];
    let sealed = pair.server.seal([&text[..]]).unwrap();
    assert_eq!(sealed, 64 << 10);
    assert_eq!(pair.server.seal([&text[..]]), Ok(0));
    let wire = pair.take(To::Server);
    assert_eq!(pair.deliver(To::Client, &wire).unwrap().len(), sealed);
    assert!(pair.server.seal([&text[..]]).unwrap() > 0);
}

#[test]
fn nothing_is_sealed_before_the_handshake_is_done() {
    let mut pair = Pair::new();
    let flight = pair.take(To::Client);
    assert_eq!(pair.client.seal([&b"early"[..]]), Ok(0));
    assert_eq!(pair.server.seal([&b"early"[..]]), Ok(0));
    assert!(pair.client.output().is_empty() && pair.server.output().is_empty());
    pair.deliver(To::Server, &flight).unwrap();
    assert_eq!(pair.run(), (Ok(()), Ok(())));
}

#[test]
fn kept_records_need_no_further_readiness() {
    let mut pair = Pair::open();
    for n in 0..3 {
        pair.client.seal([&[n; 100][..]]).unwrap();
    }
    let wire = pair.take(To::Client);
    pair.server.push(&wire);
    for n in 0..3 {
        assert!(pair.server.has_input());
        assert_eq!(pair.server.open(), Ok(Opened::Plaintext));
        assert_eq!(pair.server.open(), Ok(Opened::Plaintext), "the same one");
        assert_eq!(pair.server.plaintext(), [n; 100]);
        pair.server.consume(100);
    }
    assert_eq!(pair.server.open(), Ok(Opened::Starved));
    assert!(!pair.server.has_input());
}

#[test]
fn an_idle_stream_holds_only_its_session() {
    let mut pair = Pair::open();
    pair.send(To::Server, &[&[1; 30_000]]);
    for to in [To::Client, To::Server] {
        assert_eq!(pair.side(to).held(), 0);
    }
    assert_eq!(pair.send(To::Client, &[b"again"]).0, b"again");
    assert_eq!(drain(&mut pair.client), Ok(vec![]));
}

/// A socket with this input; it counts its reads.
struct Counted<'i> {
    input: &'i [u8],
    reads: usize,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads += 1;
        let n = 1.min(self.input.len());
        buffer[..n].copy_from_slice(&self.input[..n]);
        self.input = &self.input[n..];
        if n == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(n) }
    }
}

impl Write for Counted<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_read_without_plaintext_returns_after_one_read_of_the_socket() {
    let (client, server) = trusting();
    let hello = TlsStream::client(&client, "localhost").unwrap().output().to_vec();
    let mut layer = TlsLayer::server(ServerTls::new(server, TlsMode::Only, &Config::server()));
    let mut socket = Counted { input: &hello, reads: 0 };
    // The first byte is read apart, and the second with it.
    for n in 0..hello.len() - 1 {
        let error = layer.read(&mut socket, &mut [0; 1]).unwrap_err();
        assert_eq!((error.kind(), socket.reads), (io::ErrorKind::Interrupted, n + 2));
    }
    let error = layer.read(&mut socket, &mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
}

/// A socket that takes this much.
struct Narrow {
    room: usize,
    sent: Vec<u8>,
}

impl Write for Narrow {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let n = data.len().min(self.room);
        self.room -= n;
        self.sent.extend_from_slice(&data[..n]);
        if n == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(n) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A client's layer after its handshake, its peer, and what lies between them.
fn open_layer() -> (TlsLayer, TlsStream, Narrow) {
    let (client, server) = trusting();
    let mut layer = TlsLayer::client(&client, "localhost").unwrap();
    let mut peer = stream(&server);
    let mut socket = Narrow { room: usize::MAX, sent: Vec::new() };
    layer.flush(&mut socket).unwrap();
    loop {
        peer.push(&std::mem::take(&mut socket.sent));
        assert_eq!(drain(&mut peer), Ok(vec![]));
        let flight = peer.output().to_vec();
        peer.written(flight.len());
        if flight.is_empty() {
            return (layer, peer, socket);
        }
        let mut socket = Both { input: &flight, output: &mut socket };
        while layer.read(&mut socket, &mut [0; 1]).unwrap_err().kind() != io::ErrorKind::WouldBlock {}
    }
}

#[test]
fn an_idle_layer_holds_only_its_session() {
    let (mut layer, mut peer, mut socket) = open_layer();
    assert_eq!(layer.held(), 0, "after a read that found nothing");
    for text in [&[1; 100][..], &[2; 16_384]] {
        peer.seal([text]).unwrap();
        let wire = peer.output().to_vec();
        peer.written(wire.len());
        let mut socket = Both { input: &wire, output: &mut socket };
        assert_eq!(layer.read(&mut socket, &mut [0; 16_384]).unwrap(), text.len());
        assert_eq!(layer.held(), 0, "after a read that found {} bytes", text.len());
    }
    assert_eq!(layer.write(&mut socket, &[io::IoSlice::new(b"all of it")]).unwrap(), 9);
    assert_eq!(layer.held(), 0, "after a write");
}

#[test]
fn a_write_counts_only_what_has_left_for_the_socket() {
    let (mut layer, mut peer, mut socket) = open_layer();
    let text: Vec<u8> = (0..300_000).map(|n| (n % 251) as u8).collect();
    let (mut taken, mut received) = (0, Vec::new());
    for round in 0.. {
        if taken == text.len() {
            break;
        }
        socket.room = [1, 20_000, 7, 5000, 70_000][round % 5];
        let slices = text[taken..].chunks(40_000).map(io::IoSlice::new).collect::<Vec<_>>();
        match layer.write(&mut socket, &slices) {
            Ok(n) => taken += n,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
        peer.push(&std::mem::take(&mut socket.sent));
        received.extend(drain(&mut peer).unwrap());
        // Of one record, a part may have left.
        assert!(taken < received.len() + 16_384, "{taken} of {}", received.len());
    }
    assert!(received == text);
    assert_eq!(layer.flush(&mut socket).map_err(|error| error.kind()), Ok(()));
}

/// Reads from one place and writes to another.
struct Both<'b> {
    input: &'b [u8],
    output: &'b mut Narrow,
}

impl Read for Both<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { self.input.read(buffer) }
    }
}

impl Write for Both<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.output.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
