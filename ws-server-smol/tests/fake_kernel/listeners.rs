//! Listeners that are flooded, or fail.

use async_io::Async;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use ws_server_smol::sys::Accept;
use ws_server_smol::{HttpConnection, Server, ServerConfig, Socket, listen_on_fakes};

/// Accepting yields after this many.
const BURST: usize = 16;

struct Fake<F>(F, Arc<AtomicUsize>);

impl<F: Fn() -> io::Result<Socket> + Send> Accept for Fake<F> {
    fn accept(&self) -> io::Result<Socket> {
        self.1.fetch_add(1, Relaxed);
        (self.0)()
    }
}

type Counted = (Box<dyn Accept>, Arc<AtomicUsize>);

/// A listener that always gives the same answer, and counts.
fn fake(answer: impl Fn() -> io::Result<Socket> + Send + 'static) -> Counted {
    let count = Arc::new(AtomicUsize::new(0));
    (Box::new(Fake(answer, count.clone())), count)
}

/// Another connection is always pending.
fn flood() -> Counted {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    fake(move || {
        let _ = &listener;
        Ok(Async::new(socket.try_clone()?)?.into())
    })
}

fn serving(listeners: Vec<Box<dyn Accept>>) -> Server {
    let server = Server::new(ServerConfig::default());
    listen_on_fakes(&server, listeners).unwrap();
    server
}

/// One step of accepting: a connection, or `Pending` where it yields.
fn step(server: &Server) -> Poll<Option<HttpConnection>> {
    pin!(server.accept()).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_flooded_listener_starves_neither_other_listeners_nor_other_tasks() {
    let ((one, a), (other, b)) = (flood(), flood());
    let server = serving(vec![one, other]);
    let mut yielded = 0;
    for _ in 0..10 * (BURST + 1) {
        match step(&server) {
            Poll::Ready(Some(_)) => {}
            Poll::Pending => yielded += 1,
            Poll::Ready(None) => panic!("another one is always pending"),
        }
    }
    assert_eq!(yielded, 10);
    assert_eq!((a.load(Relaxed), b.load(Relaxed)), (5 * BURST, 5 * BURST));
}

#[test]
fn a_failed_accept_is_reported_once_and_not_retried_at_once() {
    // EMFILE
    let (failing, count) = fake(|| Err(io::Error::from_raw_os_error(24)));
    let server = serving(vec![failing]);
    let reports = Arc::new(AtomicUsize::new(0));
    let counter = reports.clone();
    server.on_accept_failed(move |_| _ = counter.fetch_add(1, Relaxed));
    async_io::block_on(async {
        // It waits for the timer, twice; nothing else ends that.
        let mut tries = 0;
        let mut accepting = pin!(server.accept());
        poll_fn(|cx| {
            assert!(accepting.as_mut().poll(cx).is_pending());
            tries += 1;
            assert!(count.load(Relaxed) <= tries, "one attempt for each wake-up");
            if count.load(Relaxed) < 3 { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    });
    assert_eq!(reports.load(Relaxed), 1);
}

#[test]
fn a_peer_that_leaves_before_accept_is_not_a_failure() {
    let (aborted, count) = fake(|| Err(io::ErrorKind::ConnectionAborted.into()));
    let (one, _) = flood();
    // The second listener has the first turn; a step without a connection moves on to the next.
    let server = serving(vec![one, aborted]);
    let accepted = (0..4).filter(|_| matches!(step(&server), Poll::Ready(Some(_)))).count();
    assert_eq!((accepted, count.load(Relaxed)), (4, 4));
}
