//! Several listeners, of which one is flooded or fails.

use super::script::{Accept, Script};
use mio::Token;
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use ws_server_mio::sys::{Accepted, Socket};
use ws_server_mio::{Budget, Endpoint, Options, ServerConfig};

/// A silent peer.
struct Silent;

impl Socket for Silent {
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

fn silent() -> io::Result<Accepted> {
    Ok((Box::new(Silent), None))
}

#[test]
fn a_flooded_listener_does_not_starve_other_listeners() {
    let budget = Budget::server().accepts(1);
    let script = Script::default();
    let mut endpoint = script.endpoint(Options::default().budget(budget));
    let counts: [Arc<AtomicUsize>; 4] = Default::default();
    let flood = |count: &Arc<AtomicUsize>| -> Accept {
        let count = count.clone();
        Box::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
            silent()
        })
    };
    script.serve(&mut endpoint, vec![flood(&counts[0]), flood(&counts[1])], ServerConfig::default());
    script.serve(&mut endpoint, vec![flood(&counts[2]), flood(&counts[3])], ServerConfig::default());
    for _ in 0..40 {
        endpoint.poll(Some(Duration::ZERO), |_, _| {}).unwrap();
    }
    let counts = counts.map(|count| count.load(Ordering::Relaxed));
    assert_eq!(counts, [10; 4]);
}

#[test]
fn a_failed_listener_is_not_retried_while_the_server_is_full() {
    let clock = Arc::new(Mutex::new(Instant::now()));
    let time = clock.clone();
    let script = Script::default();
    let mut endpoint = script.endpoint(Options::default().clock(move || *time.lock().unwrap()));
    let accepts = Arc::new(AtomicUsize::new(0));
    let count = accepts.clone();
    let failing: Accept = Box::new(move || match count.fetch_add(1, Ordering::Relaxed) {
        0 => Err(io::ErrorKind::OutOfMemory.into()),
        _ => silent(),
    });
    let accepting: Accept = Box::new(silent);
    script.serve(&mut endpoint, vec![failing, accepting], ServerConfig::default().max_handshakes(1));
    let turn = |endpoint: &mut Endpoint| endpoint.poll(Some(Duration::ZERO), |_, _| {}).unwrap();
    turn(&mut endpoint);
    assert_eq!(
        endpoint.connections().stats().accepted,
        1,
        "only the other listener's connection is accepted"
    );
    *clock.lock().unwrap() += Duration::from_millis(200);
    assert!(!turn(&mut endpoint).more);
    assert!(endpoint.next_timeout().is_some_and(|wait| wait > Duration::from_secs(9)), "it spins");
    assert_eq!(accepts.load(Ordering::Relaxed), 1);
    // The silent peer timed out: there is room again.
    *clock.lock().unwrap() += Duration::from_secs(10);
    turn(&mut endpoint);
    *clock.lock().unwrap() += Duration::from_secs(10);
    while turn(&mut endpoint).more {}
    assert!(endpoint.connections().stats().accepted >= 2);
}
