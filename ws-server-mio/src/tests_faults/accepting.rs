//! Accepting that fails.

use crate::acceptor::{Accept, Listening};
use crate::stream::{FakeSocket, Stream};
use crate::{Endpoint, Event, Options, ServerConfig};
use mio::Token;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A socket that the system refuses to watch.
struct Unwatched;

impl FakeSocket for Unwatched {
    fn register(&mut self, _: Token) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn read(&self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn write(&self, _: &[IoSlice<'_>]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn shutdown(&self) -> io::Result<()> {
        Ok(())
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(None)
    }

    fn short_says_all(&self) -> bool {
        true
    }
}

#[test]
fn a_socket_that_cannot_be_watched_is_told_and_counts_nowhere() {
    let mut endpoint = Endpoint::new(Options::default()).unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = accepted.clone();
    let peer = ([192, 0, 2, 1], 1000).into();
    let accept: Accept = Box::new(move || match count.fetch_add(1, Ordering::Relaxed) {
        0 => Ok((Stream::Fake(Box::new(Unwatched)), Some(peer))),
        _ => Err(io::ErrorKind::WouldBlock.into()),
    });
    let server =
        endpoint.connections().start(vec![Listening::from(accept)], ServerConfig::default()).unwrap();
    endpoint.connections().servers.ready(crate::servers::Servers::token(server.index, 0));
    let mut told = 0;
    for _ in 0..3 {
        endpoint
            .poll(Some(Duration::ZERO), |_, event| match event {
                Event::AcceptFailed { server: of, .. } if of == server => told += 1,
                event => panic!("{event:?}"),
            })
            .unwrap();
    }
    assert_eq!((accepted.load(Ordering::Relaxed), told), (1, 1));
    let connections = endpoint.connections();
    assert_eq!((connections.stats().open, connections.http_count(server)), (0, 0));
    assert_eq!(connections.stats().accepted, 0);
}
