//! Two TLS sockets over a kernel whose reads and writes are short, or would block, at random.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

use crate::sys::layered::LayeredSocket;
use crate::sys::socket::{NewSocket, Socket};
use mio::Token;
use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use ws_host::tls::{Identity, ServerTls, TlsClient, TlsLayer, TlsMode, TlsServer, TlsStream};
use ws_proto::Config;

/// What one side sent and the other has not read.
#[derive(Default)]
struct Lane {
    bytes: VecDeque<u8>,
    is_over: bool,
}

const ROOM: usize = 9000;

struct Fake {
    incoming: Arc<Mutex<Lane>>,
    outgoing: Arc<Mutex<Lane>>,
    state: Cell<u64>,
}

impl Fake {
    fn random(&self, below: usize) -> usize {
        let mut state = self.state.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.state.set(state);
        (state % below.max(1) as u64) as usize
    }
}

impl Socket for Fake {
    fn register(&mut self, _: Token) -> io::Result<()> {
        Ok(())
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut lane = self.incoming.lock().unwrap();
        if lane.bytes.is_empty() && lane.is_over {
            return Ok(0);
        }
        let most = 1 + self.random(if self.random(2) == 0 { 40 } else { 20_000 });
        let n = lane.bytes.len().min(buffer.len()).min(most);
        if n == 0 || self.random(4) == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        for byte in &mut buffer[..n] {
            *byte = lane.bytes.pop_front().unwrap();
        }
        Ok(n)
    }

    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut lane = self.outgoing.lock().unwrap();
        assert!(!lane.is_over, "a write after the shutdown");
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let most = 1 + self.random(if self.random(2) == 0 { 40 } else { 20_000 });
        let n = bytes.len().min(ROOM - lane.bytes.len()).min(most);
        if n == 0 || self.random(4) == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        lane.bytes.extend(&bytes[..n]);
        Ok(n)
    }

    fn shutdown(&self) -> io::Result<()> {
        self.outgoing.lock().unwrap().is_over = true;
        Ok(())
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(None)
    }
}

/// One side: what it still has to send, and what it has received.
struct Side {
    socket: LayeredSocket,
    to_send: VecDeque<u8>,
    received: Vec<u8>,
    has_shut_down: bool,
    is_over: bool,
}

impl Side {
    /// Does one thing; returns whether that was progress.
    fn step(&mut self, random: &Fake) -> bool {
        let mut progress = false;
        if !self.to_send.is_empty() {
            let (front, back) = self.to_send.as_slices();
            let cut = random.random(front.len()) + 1;
            let slices =
                [IoSlice::new(&front[..cut]), IoSlice::new(if cut == front.len() { back } else { &[] })];
            match self.socket.write(&slices) {
                Ok(n) => {
                    self.to_send.drain(..n);
                    progress = true;
                }
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}"),
            }
        } else if !self.has_shut_down && !self.socket.is_handshaking() {
            self.socket.shutdown().unwrap();
            self.has_shut_down = true;
            progress = true;
        } else if let Err(error) = self.socket.flush() {
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
        }
        let mut buffer = vec![0; 1 + random.random(3000)];
        match self.socket.read(&mut buffer) {
            Ok(0) => self.is_over = true,
            Ok(n) => {
                self.received.extend_from_slice(&buffer[..n]);
                progress = true;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => progress = true,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}"),
        }
        progress
    }
}

#[test]
fn short_reads_and_writes_lose_no_byte_and_no_end() {
    let [pem, key] = ws_kit::chat::certificate().unwrap();
    let identity = Identity::from_pem(&pem, key).unwrap();
    let tls = ServerTls::new(TlsServer::new(identity).unwrap(), TlsMode::Only, &Config::server());
    let client = TlsClient::roots_only(pem).unwrap();
    for seed in 1..=60 {
        let lanes = [Arc::<Mutex<Lane>>::default(), Arc::default()];
        let fake = |k: usize| Fake {
            incoming: lanes[k].clone(),
            outgoing: lanes[1 - k].clone(),
            state: Cell::new(seed * 0x9e37_79b9 + k as u64),
        };
        let random = fake(0);
        let inner = |k: usize| NewSocket::Other(Box::new(fake(k)));
        let layers = [TlsLayer::client(&client, "localhost").unwrap(), TlsLayer::server(tls.clone())];
        let mut k = 0..2;
        let sockets = layers.map(|layer| LayeredSocket::new(inner(k.next().unwrap()), layer));
        let texts = [0, 1].map(|k| {
            let len = random.random(60_000);
            (0..len).map(|n| (n * 31 + k) as u8).collect::<Vec<u8>>()
        });
        let mut sides: Vec<_> = sockets
            .into_iter()
            .zip(&texts)
            .map(|(socket, text)| Side {
                socket,
                to_send: text.iter().copied().collect(),
                received: Vec::new(),
                has_shut_down: false,
                is_over: false,
            })
            .collect();
        let mut idle = 0;
        while !sides.iter().all(|side| side.is_over) {
            let k = random.random(2);
            idle = if sides[k].step(&random) { 0 } else { idle + 1 };
            assert!(idle < 10_000, "seed {seed}: both wait");
        }
        for k in [0, 1] {
            assert_eq!(sides[k].received, texts[1 - k], "seed {seed}");
            assert!(sides[k].socket.tls().is_some());
        }
    }
}

/// A kernel that takes nothing, and counts what it is asked.
#[derive(Default)]
struct Full {
    input: Mutex<Vec<u8>>,
    writes: Arc<AtomicUsize>,
}

impl Socket for Full {
    fn register(&mut self, _: Token) -> io::Result<()> {
        Ok(())
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut input = self.input.lock().unwrap();
        let n = input.len().min(buffer.len());
        buffer[..n].copy_from_slice(&input[..n]);
        input.drain(..n);
        if n == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(n) }
    }

    fn write(&self, _: &[IoSlice<'_>]) -> io::Result<usize> {
        self.writes.fetch_add(1, Relaxed);
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn shutdown(&self) -> io::Result<()> {
        Ok(())
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(None)
    }
}

#[test]
fn a_read_does_not_retry_a_write_that_the_kernel_refused() {
    let [pem, key] = ws_kit::chat::certificate().unwrap();
    let identity = Identity::from_pem(&pem, key).unwrap();
    let tls = ServerTls::new(TlsServer::new(identity).unwrap(), TlsMode::Only, &Config::server());
    let client = TlsClient::roots_only(pem).unwrap();
    let hello = TlsStream::client(&client, "localhost").unwrap().output().to_vec();
    let full = Full { input: Mutex::new(hello), ..Full::default() };
    let writes = full.writes.clone();
    let socket = LayeredSocket::new(NewSocket::Other(Box::new(full)), TlsLayer::server(tls));
    for _ in 0..10 {
        assert_eq!(socket.read(&mut [0; 1000]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
    assert_eq!(writes.load(Relaxed), 1, "the answer");
    // The loop knows when there is room.
    assert_eq!(socket.flush().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert_eq!(writes.load(Relaxed), 2);
}
