//! A helper thread waits, and the host runs turns when it is woken.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;
use common::*;
use std::cell::Cell;
use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};
use ws_server_mio::{Bind, Budget, Config, Heartbeat, HeartbeatKind, Options, Turn, Watch};

const HANG: Duration = Duration::from_secs(20);

/// A rig whose wake-ups come by a channel.
struct Watched {
    rig: Rig,
    watch: Watch,
    woken: Receiver<()>,
}

impl Watched {
    fn new(rig: Rig) -> Self {
        let mut watched = Self::begin(rig);
        watched.settle();
        watched
    }

    fn begin(mut rig: Rig) -> Self {
        let (wake, woken) = mpsc::channel();
        let watch = rig.endpoint.watch(move || {
            let _ = wake.send(());
        });
        Self { rig, watch: watch.unwrap(), woken }
    }

    /// Until all that the kernel has to tell was told: a job's wake-up comes after it.
    fn settle(&mut self) {
        let (tell, told) = mpsc::channel();
        self.rig.endpoint.remote().run(move |_| tell.send(()).unwrap()).unwrap();
        self.until("what was to be told", |_| told.try_recv().is_ok());
        assert_eq!(self.woken.try_recv(), Err(TryRecvError::Empty));
    }

    fn turn(&mut self) -> Turn {
        let Rig { endpoint, app, .. } = &mut self.rig;
        endpoint.poll(Some(Duration::ZERO), |connections, event| app.handle(connections, event)).unwrap()
    }

    fn drain(&mut self) {
        while self.turn().more {}
    }

    fn next_wake(&self) {
        self.woken.recv_timeout(HANG).unwrap();
    }

    /// Runs no turn but after a wake-up, until something is so.
    fn until(&mut self, what: &str, mut so: impl FnMut(&mut Self) -> bool) {
        let start = Instant::now();
        while !so(self) {
            assert!(start.elapsed() < HANG, "waited in vain for {what}; seen: {:?}", self.rig.app.seen);
            match self.woken.recv_timeout(Duration::from_millis(1)) {
                Ok(()) => self.drain(),
                Err(end) => assert_eq!(end, RecvTimeoutError::Timeout, "the watch has ended"),
            }
        }
    }

    fn frame(&mut self, peer: &mut Peer) -> (u8, Vec<u8>) {
        let mut frame = None;
        self.until("a frame", |_| {
            frame = frame.take().or_else(|| peer.take_frame());
            frame.is_some()
        });
        frame.unwrap()
    }
}

/// Turns of four events, by a clock that moves with each reading and not otherwise.
fn short_turns() -> Options {
    let (start, readings) = (Instant::now(), Cell::new(0));
    let mut budget = Budget::ui();
    budget.time = Some(Duration::from_micros(4));
    Options::default().budget(budget).clock(move || {
        readings.set(readings.get() + 1);
        start + Duration::from_micros(readings.get())
    })
}

#[test]
fn an_endpoint_that_is_driven_by_wake_ups_alone_serves() {
    let mut watched = Watched::new(Rig::new(Config::server()));
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
fn a_host_that_runs_no_turn_is_woken_once() {
    let mut rig = Rig::new(Config::server());
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
    // Nor is a turn's own work a reason to be woken.
    watched.drain();
    for k in 0..1000 {
        assert_eq!(watched.frame(&mut peers[k % 10]), (TEXT, k.to_string().into_bytes()));
    }
}

#[test]
fn there_is_no_wake_up_before_a_turn_has_drained_and_one_after() {
    let mut rig = Rig::with(short_turns(), Config::server());
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
        // What came last may have been read by a turn before it was told.
        watched.settle();
    }
}

#[test]
fn turns_that_never_drain_hear_of_others() {
    let mut rig = Rig::with(short_turns(), Config::server().frame_rate(None));
    let (mut flood, flooding) = rig.open("/");
    let (mut other, id) = rig.open("/");
    rig.app.silent = true;
    let mut watched = Watched::new(rig);
    let messages = vec![frame(TEXT, &[b'x'; 1000]); 1000].concat();
    flood.send(&messages);
    watched.next_wake();
    let mut asked = false;
    let (mut turns, mut drained) = (0_u64, 0_u64);
    let start = Instant::now();
    loop {
        assert!(start.elapsed() < HANG, "the other peer starves");
        if flood.flush() {
            flood.send(&messages);
        }
        let seen = |seen: &Seen| matches!(seen, Seen::Text(from, _) if *from == flooding);
        if !asked && watched.rig.app.count(seen) > 0 {
            other.send(&frame(TEXT, b"hello"));
            asked = true;
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
fn a_deadline_wakes_also_one_that_comes_before_what_the_thread_waits_for() {
    let mut rig = Rig::new(Config::server());
    let _quiet = rig.open("/");
    let pongs = Heartbeat::live().kind(HeartbeatKind::Pong).interval(Duration::from_millis(20));
    let lively = Config::server().heartbeat(pongs);
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
fn a_deadline_wakes_once_a_host_that_runs_no_turn() {
    let pongs = Heartbeat::live().kind(HeartbeatKind::Pong).interval(Duration::from_millis(20));
    let mut rig = Rig::new(Config::server().heartbeat(pongs));
    let (mut peer, _) = rig.open("/");
    let mut watched = Watched::begin(rig);
    watched.next_wake();
    peer.send(&frame(TEXT, b"hello"));
    // As if for long: a thread that called again would do so without end.
    assert_eq!(watched.woken.recv_timeout(Duration::from_millis(10)), Err(RecvTimeoutError::Timeout));
    watched.drain();
    watched.until("the echo", |_| peer.take_frame() == Some((TEXT, b"hello".to_vec())));
}

#[test]
fn work_that_is_left_when_the_watch_begins_wakes() {
    let mut rig = Rig::new(Config::server());
    let (mut peer, id) = rig.open("/");
    rig.endpoint.connections().send_text(id, "queued").unwrap();
    let mut watched = Watched::begin(rig);
    assert_eq!(watched.frame(&mut peer), (TEXT, b"queued".to_vec()));
}

#[test]
fn verbs_between_turns_wake_a_host_that_rests_and_once() {
    let mut rig = Rig::new(Config::server());
    let (mut peer, id) = rig.open("/");
    let mut watched = Watched::new(rig);
    for round in 0..20 {
        watched.rig.endpoint.connections().send_text(id, "one").unwrap();
        watched.rig.endpoint.connections().send_text(id, "two").unwrap();
        watched.next_wake();
        assert_eq!(watched.woken.try_recv(), Err(TryRecvError::Empty), "{round}");
        watched.drain();
        assert_eq!(watched.frame(&mut peer), (TEXT, b"one".to_vec()));
        assert_eq!(watched.frame(&mut peer), (TEXT, b"two".to_vec()));
        watched.settle();
    }
}

#[test]
fn jobs_of_other_threads_wake() {
    let mut rig = Rig::new(Config::server());
    let (mut peer, id) = rig.open("/");
    let mut watched = Watched::new(rig);
    let remote = watched.rig.endpoint.remote();
    for k in 0..100 {
        let remote = remote.clone();
        std::thread::spawn(move || {
            remote.run(move |connections| drop(connections.send_text(id, k.to_string()))).unwrap();
        });
        assert_eq!(watched.frame(&mut peer), (TEXT, k.to_string().into_bytes()));
    }
}

#[test]
fn no_wake_up_is_lost_between_the_two_threads() {
    const THREADS: usize = 4;
    const ROUNDS: u64 = 5000;
    let mut rig = Rig::new(Config::server());
    let (peer, _) = rig.open("/");
    let mut watched = Watched::new(rig);
    // Each waits for its answer before it goes on, so that the loop falls silent all the time.
    let remote = watched.rig.endpoint.remote();
    let mut threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let remote = remote.clone();
            std::thread::spawn(move || {
                let (tell, told) = mpsc::channel();
                for round in 0..ROUNDS {
                    let tell = tell.clone();
                    remote.run(move |_| tell.send(round).unwrap()).unwrap();
                    assert_eq!(told.recv_timeout(HANG), Ok(round), "a job was not run");
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
        // Not to wait for a wake-up is for the end, when there are none.
        if watched.woken.recv_timeout(Duration::from_millis(100)).is_ok() {
            watched.drain();
        }
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn waiting_in_a_turn_works_beside_the_watch() {
    let mut rig = Rig::new(Config::server());
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

#[test]
fn when_the_watch_is_dropped_the_endpoint_waits_and_has_missed_nothing() {
    let mut rig = Rig::new(Config::server());
    let (mut peer, _) = rig.open("/");
    for k in 0..100 {
        let watched = Watched::new(rig);
        peer.send(&frame(TEXT, k.to_string().as_bytes()));
        // Handed over, and taken by nobody; or not even that.
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
fn a_watch_after_another_wakes_for_what_nobody_took() {
    let mut rig = Rig::new(Config::server());
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
    let Watched { rig, watch, woken } = Watched::new(Rig::new(Config::server()));
    drop(rig);
    let end = std::iter::from_fn(|| Some(woken.recv_timeout(HANG))).find_map(Result::err);
    assert_eq!(end, Some(RecvTimeoutError::Disconnected));
    drop(watch);
}

#[test]
fn a_second_watch_is_refused_while_the_first_lives() {
    let mut watched = Watched::new(Rig::new(Config::server()));
    let refused = watched.rig.endpoint.watch(|| panic!("it was refused"));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::AlreadyExists);
    let (mut peer, _) = watched.rig.open("/");
    peer.send(&frame(TEXT, b"the first"));
    assert_eq!(watched.frame(&mut peer), (TEXT, b"the first".to_vec()));
    drop(watched.watch);
    let mut again = Watched::new(watched.rig);
    peer.send(&frame(TEXT, b"another"));
    assert_eq!(again.frame(&mut peer), (TEXT, b"another".to_vec()));
}

#[test]
fn a_wake_that_waits_for_the_host_holds_neither_turns_nor_drops_up() {
    let mut rig = Rig::new(Config::server());
    let (mut peer, _) = rig.open("/");
    let (wake, woken) = mpsc::sync_channel(0);
    let (called, calls) = mpsc::channel();
    let watch = rig.endpoint.watch(move || {
        called.send(()).unwrap();
        let _ = wake.send(()); // until somebody takes it, or nobody can
    });
    peer.send(&frame(TEXT, b"first"));
    calls.recv_timeout(HANG).unwrap();
    assert_eq!(rig.frame(&mut peer), (TEXT, b"first".to_vec()));
    peer.send(&frame(TEXT, b"second"));
    let start = Instant::now();
    let Rig { endpoint, app, .. } = &mut rig;
    let second = loop {
        // For as long as it takes: it is the endpoint that waits in the kernel.
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
    let mut rig = Rig::new(Config::server());
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
    let mut rig = Rig::new(Config::server());
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
fn the_thread_only_waits_and_wakes() {
    let here = std::thread::current().id();
    let mut rig = Rig::new(Config::server());
    let (mut peer, _) = rig.open("/");
    let (tell, told) = mpsc::channel();
    let watch = rig.endpoint.watch(move || {
        let thread = std::thread::current();
        let _ = tell.send((thread.id(), thread.name().map(str::to_owned)));
    });
    peer.send(&frame(TEXT, b"hello"));
    let (thread, name) = told.recv_timeout(HANG).unwrap();
    assert_ne!(thread, here);
    assert_eq!(name.as_deref(), Some("ws-watch"));
    // What a handler owns need not be for other threads.
    let local = Rc::new(Cell::new(0));
    while local.get() == 0 {
        rig.endpoint.poll(Some(Duration::from_millis(1)), |_, _| local.set(local.get() + 1)).unwrap();
    }
    drop(watch);
}
