//! Several listeners, of which one is flooded, or fails.

use crate::server::list::Servers;
use crate::sys::listener::{Accept, Listening};
use crate::sys::socket::{FakeSocket, Stream};
use crate::{Budget, Endpoint, Options, ServerConfig, ServerId};
use mio::Token;
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A peer that says nothing.
struct Silent;

impl FakeSocket for Silent {
    fn register(&mut self, _: Token) -> io::Result<()> {
        Ok(())
    }

    fn read(&self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(slices.iter().map(|slice| slice.len()).sum())
    }

    fn shutdown(&self) -> io::Result<()> {
        Ok(())
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(None)
    }
}

fn silent() -> io::Result<(Stream, Option<std::net::SocketAddr>)> {
    Ok((Stream::Fake(Box::new(Silent)), None))
}

fn start(endpoint: &mut Endpoint, accept: Vec<Accept>, config: ServerConfig) -> ServerId {
    let listeners = accept.len();
    let listening = accept.into_iter().map(Listening::from).collect();
    let server = endpoint.connections().start(listening, config).unwrap();
    for place in 0..listeners {
        endpoint.connections().servers.ready(Servers::token(server.index, place));
    }
    server
}

#[test]
fn a_flooded_listener_does_not_keep_the_others_from_accepting() {
    let budget = Budget::server().accepts(1);
    let mut endpoint = Endpoint::with(Options::default().budget(budget)).unwrap();
    let counts: [Arc<AtomicUsize>; 4] = Default::default();
    let flood = |count: &Arc<AtomicUsize>| -> Accept {
        let count = count.clone();
        Box::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
            silent()
        })
    };
    start(&mut endpoint, vec![flood(&counts[0]), flood(&counts[1])], ServerConfig::default());
    start(&mut endpoint, vec![flood(&counts[2]), flood(&counts[3])], ServerConfig::default());
    for _ in 0..40 {
        endpoint.poll(Some(Duration::ZERO), |_, _| {}).unwrap();
    }
    let counts = counts.map(|count| count.load(Ordering::Relaxed));
    assert_eq!(counts, [10; 4]);
}

#[test]
fn a_listener_that_failed_on_a_crowded_server_is_not_asked_in_vain() {
    let clock = Arc::new(Mutex::new(Instant::now()));
    let time = clock.clone();
    let mut endpoint = Endpoint::with(Options::default().clock(move || *time.lock().unwrap())).unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let failing: Accept = Box::new(move || match count.fetch_add(1, Ordering::Relaxed) {
        0 => Err(io::ErrorKind::OutOfMemory.into()),
        _ => silent(),
    });
    let accepting: Accept = Box::new(silent);
    start(&mut endpoint, vec![failing, accepting], ServerConfig::default().max_handshakes(1));
    let turn = |endpoint: &mut Endpoint| endpoint.poll(Some(Duration::ZERO), |_, _| {}).unwrap();
    turn(&mut endpoint);
    assert_eq!(endpoint.connections().stats().accepted, 1, "the other listener's");
    *clock.lock().unwrap() += Duration::from_millis(200);
    assert!(!turn(&mut endpoint).more);
    assert!(endpoint.next_timeout().is_some_and(|wait| wait > Duration::from_secs(9)), "it does not spin");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    // The silent one's time is over: there is room again.
    *clock.lock().unwrap() += Duration::from_secs(10);
    turn(&mut endpoint);
    *clock.lock().unwrap() += Duration::from_secs(10);
    while turn(&mut endpoint).more {}
    assert!(endpoint.connections().stats().accepted >= 2);
}
