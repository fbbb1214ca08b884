//! Single results of the system, scripted.

use super::script::{Accept, Script};
use http::Response;
use mio::Token;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use ws_server_mio::sys::{Readiness, Socket};
use ws_server_mio::{Connections, Endpoint, Event, Folder, Options, ServerConfig, ServerId};

/// A request for a WebSocket.
pub(super) const HANDSHAKE: &[u8] =
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
      Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A socket with bytes to read and, behind them, a result.
#[derive(Clone, Default)]
pub(super) struct Fake(pub(super) Arc<Mutex<State>>);

#[derive(Default)]
pub(super) struct State {
    unwatched: bool,
    pub(super) bytes: Vec<u8>,
    error: Option<io::ErrorKind>,
    /// It accepts no output.
    pub(super) full: bool,
    /// How often it was read.
    pub(super) reads: usize,
    /// How many bytes each write was offered.
    pub(super) offered: Vec<usize>,
    /// What it accepted.
    pub(super) written: Vec<u8>,
}

impl Socket for Fake {
    fn register(&mut self, _: Token) -> io::Result<()> {
        if self.0.lock().unwrap().unwatched { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap();
        state.reads += 1;
        let n = state.bytes.len().min(buffer.len());
        if n == 0 {
            return Err(state.error.take().unwrap_or(io::ErrorKind::WouldBlock).into());
        }
        buffer[..n].copy_from_slice(&state.bytes[..n]);
        state.bytes.drain(..n);
        Ok(n)
    }

    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let offered = slices.iter().map(|slice| slice.len()).sum();
        let mut state = self.0.lock().unwrap();
        state.offered.push(offered);
        if state.full {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        slices.iter().for_each(|slice| state.written.extend_from_slice(slice));
        Ok(offered)
    }

    fn shutdown(&self) -> io::Result<()> {
        Ok(())
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(self.0.lock().unwrap().error.take().map(Into::into))
    }
}

/// A server on listeners that yield these sockets one after another, and then none.
pub(super) fn serve(
    script: &Script,
    endpoint: &mut Endpoint,
    listeners: Vec<Vec<io::Result<Fake>>>,
    config: ServerConfig,
) -> ServerId {
    let accepting = |mut answers: Vec<io::Result<Fake>>| -> Accept {
        answers.reverse();
        Box::new(move || {
            let fake = answers.pop().unwrap_or(Err(io::ErrorKind::WouldBlock.into()))?;
            Ok((Box::new(fake), Some(SocketAddr::from(([192, 0, 2, 1], 1000)))))
        })
    };
    script.serve(endpoint, listeners.into_iter().map(accepting).collect(), config)
}

pub(super) fn turn(endpoint: &mut Endpoint, handler: impl FnMut(&mut Connections, Event<'_>)) {
    endpoint.poll(Some(Duration::ZERO), handler).unwrap();
}

#[test]
fn a_socket_that_cannot_be_watched_is_reported_and_not_counted() {
    let script = Script::default();
    let mut endpoint = script.endpoint(Options::default());
    let fake = Fake::default();
    fake.0.lock().unwrap().unwatched = true;
    let server = serve(&script, &mut endpoint, vec![vec![Ok(fake)]], ServerConfig::default());
    let mut reports = 0;
    for _ in 0..3 {
        turn(&mut endpoint, |_, event| match event {
            Event::AcceptFailed { server: of, .. } if of == server => reports += 1,
            event => panic!("{event:?}"),
        });
    }
    assert_eq!(reports, 1);
    let connections = endpoint.connections();
    assert_eq!((connections.stats().open, connections.server(server).http_count()), (0, 0));
    assert_eq!(connections.stats().accepted, 0);
}

#[test]
fn a_body_waiting_for_its_turn_causes_no_write() {
    let script = Script::default();
    let mut endpoint = script.endpoint(Options::default());
    let fake = Fake::default();
    fake.0.lock().unwrap().bytes = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2);
    serve(&script, &mut endpoint, vec![vec![Ok(fake.clone())]], ServerConfig::default());
    turn(&mut endpoint, |_, _| {});
    script.report(&mut endpoint, Readiness { readable: true, ..Readiness::default() });
    let (mut first, mut second) = (None, None);
    turn(&mut endpoint, |connections, event| {
        let Event::Request(id, request) = event else { panic!("{event:?}") };
        if first.is_none() {
            first = Some((id, request));
            return;
        }
        let body = connections.respond_streaming(id, request, Response::new(()), None).unwrap();
        connections.send_body(id, &body, vec![b'x'; 10_000]).unwrap();
        second = Some(body);
    });
    assert!(fake.0.lock().unwrap().offered.is_empty());
    let ((id, request), second) = (first.unwrap(), second.unwrap());
    let connections = endpoint.connections();
    connections.respond(id, request, Response::new("first".into())).unwrap();
    connections.finish_body(id, second).unwrap();
    turn(&mut endpoint, |_, _| {});
    assert_eq!(fake.0.lock().unwrap().offered.len(), 1);
}

#[test]
fn a_file_without_room_in_a_small_outbox_makes_no_turn_due() {
    let script = Script::default();
    let mut endpoint = script.endpoint(Options::default());
    let fake = Fake::default();
    {
        let mut state = fake.0.lock().unwrap();
        state.bytes = b"GET /lib.rs HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec();
        state.full = true;
    }
    let config = ServerConfig::new().outbox(100, 500, 1000);
    serve(&script, &mut endpoint, vec![vec![Ok(fake.clone())]], config);
    turn(&mut endpoint, |_, _| {});
    script.report(&mut endpoint, Readiness { readable: true, ..Readiness::default() });
    let folder = Folder::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap();
    for _ in 0..5 {
        turn(&mut endpoint, |connections, event| {
            let Event::Request(id, request) = event else { panic!("{event:?}") };
            connections.respond_file(id, request, &folder).unwrap();
        });
    }
    assert_ne!(endpoint.next_timeout(), Some(Duration::ZERO));
    fake.0.lock().unwrap().full = false;
    script.report(&mut endpoint, Readiness { writable: true, ..Readiness::default() });
    for _ in 0..5 {
        turn(&mut endpoint, |_, event| panic!("{event:?}"));
    }
    let written = endpoint.connections().stats().bytes_out;
    assert!(written > include_bytes!("../../src/lib.rs").len() as u64, "{written} bytes");
}

#[test]
fn an_error_behind_bytes_is_reported_after_them() {
    let script = Script::default();
    let mut endpoint = script.endpoint(Options::default());
    let fake = Fake::default();
    {
        let mut state = fake.0.lock().unwrap();
        state.bytes = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec();
        state.error = Some(io::ErrorKind::TimedOut);
    }
    serve(&script, &mut endpoint, vec![vec![Ok(fake)]], ServerConfig::default());
    turn(&mut endpoint, |_, _| {});
    let events = AtomicUsize::new(0);
    script.report(&mut endpoint, Readiness { readable: true, error: true, ..Readiness::default() });
    turn(&mut endpoint, |_, event| match (event, events.fetch_add(1, Ordering::Relaxed)) {
        (Event::Request(..), 0) => {}
        (Event::Closed(_, closed), 1) => {
            assert_eq!(closed.error.unwrap().to_string(), "the transport failed: timed out");
        }
        (event, _) => panic!("{event:?}"),
    });
    assert_eq!(events.into_inner(), 2);
    assert_eq!(endpoint.connections().stats().open, 0);
}

#[test]
fn a_reset_is_noticed_without_reads() {
    let script = Script::default();
    let mut endpoint = script.endpoint(Options::default());
    let fake = Fake::default();
    fake.0.lock().unwrap().bytes = HANDSHAKE.to_vec();
    serve(
        &script,
        &mut endpoint,
        vec![vec![Ok(fake.clone())]],
        ServerConfig::default().decide_upgrades(true),
    );
    turn(&mut endpoint, |_, _| {});
    script.report(&mut endpoint, Readiness { readable: true, ..Readiness::default() });
    let mut undecided = None;
    turn(&mut endpoint, |_, event| match event {
        Event::Upgrade(_, upgrade) => undecided = Some(upgrade),
        event => panic!("{event:?}"),
    });
    fake.0.lock().unwrap().error = Some(io::ErrorKind::ConnectionReset);
    let ended = Readiness { readable: true, writable: true, read_closed: true, error: true };
    script.report(&mut endpoint, ended);
    let mut reports = 0;
    turn(&mut endpoint, |_, event| match event {
        Event::Closed(..) => reports += 1,
        event => panic!("{event:?}"),
    });
    assert!(reports == 1 && undecided.is_some());
}
