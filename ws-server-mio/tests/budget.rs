//! Turns end within their time budget.

mod common;
use common::*;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, UNIX_EPOCH};
use ws_server_mio::{Budget, Event, Frame, Options, ServerConfig};

/// A clock that moves only when set.
#[derive(Clone, Default)]
struct Clock(Arc<(OnceLock<Instant>, AtomicU64)>);

impl Clock {
    fn now(&self) -> Instant {
        *self.0.0.get_or_init(Instant::now) + Duration::from_micros(self.0.1.load(Ordering::Relaxed))
    }

    fn pass(&self, micros: u64) {
        self.0.1.fetch_add(micros, Ordering::Relaxed);
    }

    fn options(&self) -> Options {
        let clock = self.clone();
        // The time of day stands still, so that the machine does not seem to sleep while a test takes long.
        Options::ui().clock(move || clock.now()).wall_clock(|| UNIX_EPOCH)
    }

    /// Each reading takes time.
    fn costly_options(&self) -> Options {
        let clock = self.clone();
        Options::ui().clock(move || {
            clock.pass(400);
            clock.now()
        })
    }
}

#[test]
fn no_event_starts_past_the_budget_and_nothing_is_lost() {
    let clock = Clock::default();
    let mut rig = Rig::with(clock.options(), ServerConfig::new());
    let mut open: Vec<_> = (0..3).map(|_| rig.open("/")).collect();
    let all: Vec<u8> = (0..100).flat_map(|k: i32| frame(TEXT, k.to_string().as_bytes())).collect();
    for (peer, _) in &mut open {
        peer.send(&all);
    }
    let mut received: Vec<Vec<String>> = vec![Vec::new(); 3];
    let ids: Vec<_> = open.iter().map(|(_, id)| *id).collect();
    while received.iter().map(Vec::len).sum::<usize>() < 300 {
        let start = clock.now();
        let mut times = Vec::new();
        let turn = rig.endpoint.poll(Some(Duration::ZERO), |connections, event| {
            if let Event::Message(id, message) = event {
                times.push(clock.now() - start);
                clock.pass(300);
                let k = ids.iter().position(|other| *other == id).unwrap();
                received[k].push(message.as_text().unwrap().to_owned());
                connections.send(id, message).unwrap();
            }
        });
        let turn = turn.unwrap();
        // 300 µs each: the fourth ends past 1 ms, so no fifth starts.
        assert!(times.iter().all(|at| *at < Duration::from_millis(1)), "{times:?}");
        assert_eq!(turn.events as usize, times.len());
        if times.len() == 4 {
            assert_eq!(turn.elapsed, Duration::from_micros(1200));
            assert!(turn.more);
            assert_eq!(rig.endpoint.next_timeout(), Some(Duration::ZERO));
        }
    }
    let expected: Vec<_> = (0..100).map(|k: i32| k.to_string()).collect();
    assert!(received.iter().all(|received| *received == expected));
    for (peer, _) in &mut open {
        for k in &expected {
            assert_eq!(rig.frame(peer), (TEXT, k.clone().into_bytes()));
        }
    }
}

#[test]
fn one_flooding_peer_does_not_starve_other_peers() {
    let clock = Clock::default();
    let mut rig = Rig::with(clock.options(), ServerConfig::new());
    let (mut flood, flooding) = rig.open("/");
    let (mut peer, other) = rig.open("/");
    let many: Vec<u8> = (0..5000).flat_map(|_| frame(TEXT, b"x")).collect();
    flood.send(&many);
    rig.app.silent = true;
    // The flood's visit is cut short in each turn, and its remainder queues behind the other peer.
    let mut turns = 0;
    let mut has_sent = false;
    let mut answered = false;
    while !answered {
        turns += 1;
        assert!(turns < 20, "the other peer starves");
        let mut events = 0;
        rig.endpoint
            .poll(Some(Duration::ZERO), |_, event| {
                if let Event::Message(id, _) = event {
                    events += 1;
                    clock.pass(300);
                    answered |= id == other;
                    assert!(id == flooding || has_sent);
                }
            })
            .unwrap();
        if events > 0 && !has_sent {
            peer.send(&frame(TEXT, b"me too"));
            has_sent = true;
        }
    }
}

#[test]
fn a_flood_of_pings_is_cut_short_though_it_emits_no_event() {
    let mut rig = Rig::with(Clock::default().costly_options(), ServerConfig::new().frame_rate(None));
    let (mut flood, _) = rig.open("/");
    let (mut peer, _) = rig.open("/");
    let many: Vec<u8> = (0..20_000).flat_map(|_| frame(PING, b"")).collect();
    flood.send(&many);
    peer.send(&frame(TEXT, b"still here?"));
    assert_eq!(rig.frame(&mut peer), (TEXT, b"still here?".to_vec()));
}

#[test]
fn without_a_time_budget_the_clock_is_read_once_a_turn() {
    let reads = Arc::new(AtomicU64::new(0));
    let counter = reads.clone();
    let options = Options::default().clock(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        Instant::now()
    });
    let mut rig = Rig::with(options, ServerConfig::new());
    let (mut peer, _) = rig.open("/");
    let many: Vec<u8> = (0..100).flat_map(|_| frame(TEXT, b"x")).collect();
    peer.send(&many);
    let mut events = 0;
    while events < 100 {
        reads.store(0, Ordering::Relaxed);
        let turn = rig.endpoint.poll(Some(Duration::ZERO), |_, _| {}).unwrap();
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        assert_eq!(turn.elapsed, Duration::ZERO);
        events += turn.events;
    }
}

#[test]
fn a_large_broadcast_is_written_over_several_turns() {
    let mut rig = Rig::with(Clock::default().costly_options(), ServerConfig::new());
    let mut open: Vec<_> = (0..100).map(|_| rig.open("/")).collect();
    assert_eq!(rig.endpoint.connections().broadcast(&Frame::text("all")), 100);
    let turn = rig.endpoint.poll(Some(Duration::ZERO), |_, _| {}).unwrap();
    assert!(turn.events == 0 && turn.more, "{turn:?}");
    for (peer, _) in &mut open {
        assert_eq!(rig.frame(peer), (TEXT, b"all".to_vec()));
    }
}

#[test]
fn accepts_per_turn_are_bounded() {
    let budget = Budget::server().accepts(2);
    let mut rig = Rig::with(Options::default().budget(budget), ServerConfig::new());
    let peers: Vec<_> = (0..7).map(|_| rig.peer()).collect();
    let mut counts = Vec::new();
    while counts.last() != Some(&7) {
        let turn = rig.turn();
        counts.push(rig.endpoint.connections().server(rig.server).http_count());
        assert_eq!(turn.more, counts.last() < Some(&7) || turn.more);
    }
    counts.insert(0, 0);
    assert!(counts.windows(2).all(|pair| pair[1] - pair[0] <= 2), "{counts:?}");
    drop(peers);
}

#[test]
fn excess_jobs_do_not_starve_peers() {
    let clock = Clock::default();
    let mut rig = Rig::with(clock.options(), ServerConfig::new());
    let (mut peer, _) = rig.open("/");
    let remote = rig.endpoint.remote();
    for _ in 0..200 {
        let clock = clock.clone();
        remote.run(move |_| clock.pass(400)).unwrap();
    }
    peer.send(&frame(TEXT, b"hello"));
    let mut turns = 0;
    while peer.take_frame().is_none() {
        turns += 1;
        assert!(turns < 10, "jobs starve peers");
        rig.turn();
    }
}
