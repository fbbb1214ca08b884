//! How a watch ends, and what it leaves alone.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;
use common::watched::*;
use common::*;
use std::cell::Cell;
use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use ws_server_mio::{ServerConfig, Watch};

#[test]
fn after_the_watch_is_dropped_the_endpoint_waits_and_misses_nothing() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, _) = rig.open("/");
    for k in 0..100 {
        let watched = Watched::new(rig);
        peer.send(&frame(TEXT, k.to_string().as_bytes()));
        // Handed over and not taken; or not even handed over.
        if k % 2 == 0 {
            watched.next_wake();
        }
        drop(watched.watch);
        // `wake` is dropped with the thread, which may still be in it.
        let end = std::iter::from_fn(|| Some(watched.woken.recv_timeout(HANG))).find_map(Result::err);
        assert_eq!(end, Some(RecvTimeoutError::Disconnected));
        rig = watched.rig;
        assert_eq!(rig.frame(&mut peer), (TEXT, k.to_string().into_bytes()));
    }
}

#[test]
fn a_second_watch_wakes_for_events_the_first_left() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, _) = rig.open("/");
    for k in 0..100 {
        let watched = Watched::new(rig);
        peer.send(&frame(TEXT, k.to_string().as_bytes()));
        watched.next_wake();
        drop(watched.watch);
        let mut again = Watched::begin(watched.rig);
        assert_eq!(again.frame(&mut peer), (TEXT, k.to_string().into_bytes()));
        drop(again.watch);
        rig = again.rig;
    }
}

#[test]
fn a_watch_outlives_its_endpoint_without_a_thread() {
    let Watched { rig, watch, woken } = Watched::new(Rig::new(ServerConfig::new()));
    drop(rig);
    let end = std::iter::from_fn(|| Some(woken.recv_timeout(HANG))).find_map(Result::err);
    assert_eq!(end, Some(RecvTimeoutError::Disconnected));
    drop(watch);
}

#[test]
fn a_second_watch_is_rejected_while_the_first_lives() {
    let mut watched = Watched::new(Rig::new(ServerConfig::new()));
    let refused = watched.rig.endpoint.watch(|| panic!("it was rejected"));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::AlreadyExists);
    let (mut peer, _) = watched.rig.open("/");
    // The last of its turns may have reported more, and then no wake-up follows.
    watched.drain();
    peer.send(&frame(TEXT, b"the first"));
    assert_eq!(watched.frame(&mut peer), (TEXT, b"the first".to_vec()));
    drop(watched.watch);
    let mut again = Watched::new(watched.rig);
    peer.send(&frame(TEXT, b"another"));
    assert_eq!(again.frame(&mut peer), (TEXT, b"another".to_vec()));
}

#[test]
fn a_blocking_wake_delays_neither_turns_nor_drops() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, _) = rig.open("/");
    let (wake, woken) = mpsc::sync_channel(0);
    let (called, calls) = mpsc::channel();
    let watch = rig.endpoint.watch(move || {
        called.send(()).unwrap();
        let _ = wake.send(()); // until the test takes it, or drops the receiver
    });
    peer.send(&frame(TEXT, b"first"));
    calls.recv_timeout(HANG).unwrap();
    assert_eq!(rig.frame(&mut peer), (TEXT, b"first".to_vec()));
    peer.send(&frame(TEXT, b"second"));
    let start = Instant::now();
    let Rig { endpoint, app, .. } = &mut rig;
    let second = loop {
        // For as long as it takes: the endpoint itself waits in the kernel.
        endpoint.poll(None, |connections, event| app.handle(connections, event)).unwrap();
        if let Some((_, second)) = peer.take_frame() {
            break second;
        }
        assert!(start.elapsed() < HANG);
    };
    assert_eq!(second, b"second");
    drop(watch);
    peer.send(&frame(TEXT, b"third"));
    assert_eq!(rig.frame(&mut peer), (TEXT, b"third".to_vec()));
    drop(rig);
    drop(woken);
    assert_eq!(calls.recv_timeout(HANG), Err(RecvTimeoutError::Disconnected), "the thread has ended");
}

#[test]
fn a_wake_that_panics_ends_the_watch_and_the_endpoint_waits() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, _) = rig.open("/");
    let (called, calls) = mpsc::channel();
    let watch = rig.endpoint.watch(move || {
        called.send(()).unwrap();
        panic!("on purpose");
    });
    peer.send(&frame(TEXT, b"first"));
    calls.recv_timeout(HANG).unwrap();
    assert_eq!(calls.recv_timeout(HANG), Err(RecvTimeoutError::Disconnected), "the thread has ended");
    assert_eq!(rig.frame(&mut peer), (TEXT, b"first".to_vec()));
    peer.send(&frame(TEXT, b"second"));
    assert_eq!(rig.frame(&mut peer), (TEXT, b"second".to_vec()));
    drop(watch);
}

#[test]
fn a_watch_may_be_dropped_by_its_own_wake() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, _) = rig.open("/");
    let place = std::sync::Arc::new(std::sync::Mutex::new(None::<Watch>));
    let own = std::sync::Arc::clone(&place);
    let (called, calls) = mpsc::channel();
    let watch = rig.endpoint.watch(move || {
        called.send(()).unwrap();
        drop(own.lock().unwrap().take());
    });
    *place.lock().unwrap() = Some(watch.unwrap());
    peer.send(&frame(TEXT, b"hello"));
    calls.recv_timeout(HANG).unwrap();
    assert_eq!(calls.recv_timeout(HANG), Err(RecvTimeoutError::Disconnected), "the thread has ended");
    assert_eq!(rig.frame(&mut peer), (TEXT, b"hello".to_vec()));
}

#[test]
fn the_watch_thread_only_waits_and_wakes() {
    let here = std::thread::current().id();
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, _) = rig.open("/");
    let (sender, receiver) = mpsc::channel();
    let watch = rig.endpoint.watch(move || {
        let thread = std::thread::current();
        let _ = sender.send((thread.id(), thread.name().map(str::to_owned)));
    });
    peer.send(&frame(TEXT, b"hello"));
    let (thread, name) = receiver.recv_timeout(HANG).unwrap();
    assert_ne!(thread, here);
    assert_eq!(name.as_deref(), Some("ws-watch"));
    // A handler's state need not be `Send`.
    let local = Rc::new(Cell::new(0));
    while local.get() == 0 {
        rig.endpoint.poll(Some(Duration::from_millis(1)), |_, _| local.set(local.get() + 1)).unwrap();
    }
    drop(watch);
}
