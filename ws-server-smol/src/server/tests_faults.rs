//! Listeners that are flooded, or fail.

use super::Server;
use super::accept::{Attempt, BURST};
use crate::server::listener::{Accept, Listening};
use crate::sys::socket::Socket;
use async_io::Async;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use ws_host::server::ServerConfig;

/// A listener that answers always the same, and counts.
fn fake(answer: impl Fn() -> io::Result<Socket> + Send + 'static) -> (Listening, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let accept: Accept = Box::new(move || {
        counted.fetch_add(1, Relaxed);
        answer()
    });
    (accept.into(), count)
}

/// There is always one more.
fn flood() -> (Listening, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let socket = Socket::from(Async::new(socket).unwrap());
    fake(move || {
        let _ = &listener;
        Ok(socket.clone())
    })
}

fn serving(listening: Vec<Listening>) -> Server {
    let server = Server::new(ServerConfig::default());
    server.start(listening).unwrap();
    server
}

#[test]
fn a_flooded_listener_keeps_no_other_away_nor_other_tasks() {
    let ((one, a), (other, b)) = (flood(), flood());
    let server = serving(vec![one, other]);
    let mut yielded = 0;
    for _ in 0..10 * (BURST + 1) {
        match server.attempt() {
            Attempt::Accepted(_) => {}
            Attempt::Yield => yielded += 1,
            _ => panic!("there is always one more"),
        }
    }
    assert_eq!(yielded, 10);
    assert_eq!((a.load(Relaxed), b.load(Relaxed)), (5 * BURST as usize, 5 * BURST as usize));
}

#[test]
fn accepting_that_fails_is_told_once_and_not_tried_again_at_once() {
    // EMFILE
    let (failing, count) = fake(|| Err(io::Error::from_raw_os_error(24)));
    let server = serving(vec![failing]);
    let told = Arc::new(AtomicUsize::new(0));
    let telling = told.clone();
    server.on_accept_failed(move |_| _ = telling.fetch_add(1, Relaxed));
    async_io::block_on(async {
        // It waits for the timer, twice; nothing else ends that.
        let mut tries = 0;
        let mut accepting = std::pin::pin!(server.accept());
        std::future::poll_fn(|cx| {
            assert!(accepting.as_mut().poll(cx).is_pending());
            tries += 1;
            assert!(count.load(Relaxed) <= tries, "one attempt for each wake-up");
            if count.load(Relaxed) < 3 { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
        })
        .await;
    });
    assert_eq!(told.load(Relaxed), 1);
}

#[test]
fn a_peer_that_left_before_it_was_accepted_is_no_failure() {
    let (aborted, count) = fake(|| Err(io::ErrorKind::ConnectionAborted.into()));
    let (one, _) = flood();
    let server = serving(vec![aborted, one]);
    let accepted = (0..8).filter(|_| matches!(server.attempt(), Attempt::Accepted(_))).count();
    assert_eq!((accepted, count.load(Relaxed)), (4, 4));
}
