//! A helper thread waits, and the host runs turns when woken.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;
use common::watched::*;
use common::*;
use std::sync::mpsc::{self, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};
use ws_server_mio::{Bind, Heartbeat, HeartbeatKind, ServerConfig};

#[test]
fn wake_ups_alone_drive_an_endpoint() {
    let mut watched = Watched::new(Rig::new(ServerConfig::new()));
    let address = watched.rig.address();
    let mut peer = Peer::connect(address);
    peer.send(&handshake(address, "/"));
    watched.until("an open connection", |_| peer.take_head().is_some());
    for k in 0..100 {
        let size = k * 1000;
        peer.send(&frame(BINARY, &vec![k as u8; size]));
        assert_eq!(watched.frame(&mut peer), (BINARY, vec![k as u8; size]));
    }
}

#[test]
fn a_host_without_turns_is_woken_once() {
    let mut rig = Rig::new(ServerConfig::new());
    let mut peers: Vec<_> = (0..10).map(|_| rig.open("/").0).collect();
    let mut watched = Watched::new(rig);
    peers[0].send(&frame(TEXT, b"0"));
    watched.next_wake();
    for k in 1..1000 {
        peers[k % 10].send(&frame(TEXT, k.to_string().as_bytes()));
    }
    let remote = watched.rig.endpoint.remote();
    std::thread::spawn(move || remote.run(|_| {}).unwrap()).join().unwrap();
    assert_eq!(watched.woken.try_recv(), Err(TryRecvError::Empty));
    // Nor does a turn's own work wake.
    watched.drain();
    for k in 0..1000 {
        assert_eq!(watched.frame(&mut peers[k % 10]), (TEXT, k.to_string().into_bytes()));
    }
}

#[test]
fn the_next_wake_up_follows_a_drained_turn() {
    let mut rig = Rig::with(short_turns(), ServerConfig::new());
    let (mut busy, _) = rig.open("/");
    let (mut other, _) = rig.open("/");
    let mut watched = Watched::new(rig);
    for round in 0..20 {
        busy.send(&(0..100).flat_map(|_| frame(TEXT, b"busy")).collect::<Vec<u8>>());
        watched.next_wake();
        let mut turns = 0;
        while watched.turn().more {
            turns += 1;
            if turns == 5 {
                other.send(&frame(TEXT, b"other"));
            }
            assert_eq!(watched.woken.try_recv(), Err(TryRecvError::Empty), "in turn {turns} of {round}");
        }
        assert!(turns > 5, "{turns}");
        assert_eq!(watched.frame(&mut other), (TEXT, b"other".to_vec()));
        for _ in 0..100 {
            assert_eq!(watched.frame(&mut busy), (TEXT, b"busy".to_vec()));
        }
        // A turn may have read the last input before its wake-up.
        watched.settle();
    }
}

#[test]
fn turns_that_never_drain_still_serve_other_peers() {
    let mut rig = Rig::with(short_turns(), ServerConfig::new().frame_rate(None));
    let (mut flood, flooding) = rig.open("/");
    let (mut other, id) = rig.open("/");
    rig.app.silent = true;
    let mut watched = Watched::new(rig);
    let messages = vec![frame(TEXT, &[b'x'; 1000]); 1000].concat();
    flood.send(&messages);
    watched.next_wake();
    let mut has_sent = false;
    let (mut turns, mut drained) = (0_u64, 0_u64);
    let start = Instant::now();
    loop {
        assert!(start.elapsed() < HANG, "the other peer starves");
        if flood.flush() {
            flood.send(&messages);
        }
        let seen = |seen: &Seen| matches!(seen, Seen::Text(from, _) if *from == flooding);
        if !has_sent && watched.rig.app.count(seen) > 0 {
            other.send(&frame(TEXT, b"hello"));
            has_sent = true;
        }
        turns += 1;
        drained += u64::from(!watched.turn().more);
        if watched.rig.app.count(|seen| matches!(seen, Seen::Text(from, _) if *from == id)) > 0 {
            break;
        }
    }
    println!("{turns} turns, {drained} of them drained");
}

#[test]
fn a_deadline_wakes_even_if_earlier_than_the_pending_wait() {
    let mut rig = Rig::new(ServerConfig::new());
    let _quiet = rig.open("/");
    let pongs = Heartbeat::frequent().kind(HeartbeatKind::Pong).idle(Duration::from_millis(20));
    let lively = ServerConfig::new().heartbeat(pongs);
    rig.server = rig.endpoint.connections().listen(Bind::localhost(), lively).unwrap();
    let mut watched = Watched::new(rig);
    let address = watched.rig.address();
    let mut peer = Peer::connect(address);
    peer.send(&handshake(address, "/"));
    watched.until("an open connection", |_| peer.take_head().is_some());
    for _ in 0..5 {
        assert_eq!(watched.frame(&mut peer).0, PONG);
    }
}

#[test]
fn a_deadline_wakes_a_host_without_turns_once() {
    let pongs = Heartbeat::frequent().kind(HeartbeatKind::Pong).idle(Duration::from_millis(20));
    let mut rig = Rig::new(ServerConfig::new().heartbeat(pongs));
    let (mut peer, _) = rig.open("/");
    let mut watched = Watched::begin(rig);
    watched.next_wake();
    peer.send(&frame(TEXT, b"hello"));
    // Stands for a long wait: a thread that waits again would loop.
    assert_eq!(watched.woken.recv_timeout(Duration::from_millis(10)), Err(RecvTimeoutError::Timeout));
    watched.drain();
    watched.until("the echo", |_| peer.take_frame() == Some((TEXT, b"hello".to_vec())));
}

#[test]
fn work_left_when_the_watch_begins_wakes() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, id) = rig.open("/");
    rig.endpoint.connections().send(id, "queued").unwrap();
    let mut watched = Watched::begin(rig);
    assert_eq!(watched.frame(&mut peer), (TEXT, b"queued".to_vec()));
}

#[test]
fn calls_between_turns_wake_an_idle_host_once() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, id) = rig.open("/");
    let mut watched = Watched::new(rig);
    for round in 0..20 {
        watched.rig.endpoint.connections().send(id, "one").unwrap();
        watched.rig.endpoint.connections().send(id, "two").unwrap();
        watched.next_wake();
        assert_eq!(watched.woken.try_recv(), Err(TryRecvError::Empty), "{round}");
        watched.drain();
        assert_eq!(watched.frame(&mut peer), (TEXT, b"one".to_vec()));
        assert_eq!(watched.frame(&mut peer), (TEXT, b"two".to_vec()));
        watched.settle();
    }
}

#[test]
fn jobs_from_other_threads_wake() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, id) = rig.open("/");
    let mut watched = Watched::new(rig);
    let remote = watched.rig.endpoint.remote();
    for k in 0..100 {
        let remote = remote.clone();
        std::thread::spawn(move || {
            remote.run(move |connections| drop(connections.send(id, k.to_string()))).unwrap();
        });
        assert_eq!(watched.frame(&mut peer), (TEXT, k.to_string().into_bytes()));
    }
}

#[test]
fn no_wake_up_is_lost_between_the_two_threads() {
    const THREADS: usize = 4;
    const ROUNDS: u64 = 5000;
    let mut rig = Rig::new(ServerConfig::new());
    let (peer, _) = rig.open("/");
    let mut watched = Watched::new(rig);
    // Each waits for its answer before it sends again, which makes the loop go idle all the time.
    let remote = watched.rig.endpoint.remote();
    let mut threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let remote = remote.clone();
            std::thread::spawn(move || {
                let (sender, receiver) = mpsc::channel();
                for round in 0..ROUNDS {
                    let sender = sender.clone();
                    remote.run(move |_| sender.send(round).unwrap()).unwrap();
                    assert_eq!(receiver.recv_timeout(HANG), Ok(round), "a job was not run");
                }
            })
        })
        .collect();
    let stream = peer.stream.try_clone().unwrap();
    threads.push(std::thread::spawn(move || {
        use std::io::{Read, Write};
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(HANG)).unwrap();
        for round in 0..ROUNDS {
            (&stream).write_all(&frame(TEXT, format!("{round:04}").as_bytes())).unwrap();
            let mut echo = [0; 6];
            (&stream).read_exact(&mut echo).unwrap();
            assert_eq!(echo[2..], *format!("{round:04}").as_bytes());
        }
    }));
    while !threads.iter().all(std::thread::JoinHandle::is_finished) {
        // Polling without wake-ups is only for the end, when none come.
        if watched.woken.recv_timeout(Duration::from_millis(100)).is_ok() {
            watched.drain();
        }
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_turn_may_wait_beside_the_watch() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, _) = rig.open("/");
    let Watched { mut rig, watch, woken } = Watched::new(rig);
    for k in 0..100 {
        peer.send(&frame(TEXT, k.to_string().as_bytes()));
        assert_eq!(rig.frame(&mut peer), (TEXT, k.to_string().into_bytes()));
    }
    let nothing = rig.endpoint.poll(Some(Duration::from_millis(3)), |_, _| {}).unwrap();
    assert_eq!(nothing.events, 0);
    let remote = rig.endpoint.remote();
    let thread = std::thread::spawn(move || remote.run(|connections| connections.exit()).unwrap());
    rig.endpoint.run(|_, _| {}).unwrap();
    thread.join().unwrap();
    drop((watch, woken));
}
