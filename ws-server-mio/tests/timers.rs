//! Application timers, and turns until a point in time.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use ws_server_mio::{Budget, Connections, Endpoint, Event, Options, ServerConfig, TooManyTimers};

const SECOND: Duration = Duration::from_secs(1);

/// An endpoint whose clock only the test moves.
fn endpoint(options: Options) -> (Endpoint, Clock) {
    let clock = Clock::default();
    (Endpoint::with(clock.on(options)).unwrap(), clock)
}

fn turn(endpoint: &mut Endpoint) -> ws_server_mio::Turn {
    endpoint.poll(Some(Duration::ZERO), |_, event| panic!("{event:?}")).unwrap()
}

/// A job that records its name.
fn note(notes: &Arc<Mutex<Vec<u32>>>, name: u32) -> impl FnOnce(&mut Connections) + Send + use<> {
    let notes = notes.clone();
    move |_| notes.lock().unwrap().push(name)
}

#[test]
fn a_timer_runs_once_and_not_early() {
    let (mut endpoint, clock) = endpoint(Options::default());
    assert_eq!(endpoint.next_timeout(), None);
    let notes = Arc::default();
    let timer = endpoint.connections().after(SECOND, note(&notes, 1)).unwrap();
    assert_eq!(endpoint.next_timeout(), Some(SECOND));
    clock.pass(SECOND - Duration::from_nanos(1));
    turn(&mut endpoint);
    assert!(notes.lock().unwrap().is_empty() && timer.is_set(endpoint.connections()));
    clock.pass(Duration::from_nanos(1));
    assert_eq!(endpoint.next_timeout(), Some(Duration::ZERO));
    for _ in 0..3 {
        turn(&mut endpoint);
        clock.pass(SECOND);
    }
    assert_eq!(*notes.lock().unwrap(), [1]);
    assert!(!timer.is_set(endpoint.connections()));
    assert_eq!(endpoint.next_timeout(), None);
}

#[test]
fn timers_run_in_the_order_of_time_then_of_creation() {
    let (mut endpoint, clock) = endpoint(Options::default());
    let notes = Arc::default();
    for (name, after) in [(1, 3), (2, 1), (3, 2), (4, 1), (5, 0)] {
        endpoint.connections().after(SECOND * after, note(&notes, name)).unwrap();
    }
    clock.pass(SECOND * 3);
    turn(&mut endpoint);
    assert_eq!(*notes.lock().unwrap(), [5, 2, 4, 3, 1]);
}

#[test]
fn a_cancelled_timer_does_not_run_and_drops_its_captures() {
    let (mut endpoint, clock) = endpoint(Options::default());
    let held = Arc::new(());
    let holds = held.clone();
    let timer = endpoint.connections().after(SECOND, move |_| drop(holds)).unwrap();
    let other = endpoint.connections().after(SECOND, |_| {}).unwrap();
    assert_ne!(timer, other);
    assert_eq!((format!("{timer}"), format!("{other:?}")), ("#0".into(), "#1".into()));
    assert!(timer.cancel(endpoint.connections()));
    assert_eq!(Arc::strong_count(&held), 1);
    assert!(!timer.cancel(endpoint.connections()) && other.is_set(endpoint.connections()));
    clock.pass(SECOND);
    turn(&mut endpoint);
    assert!(!other.cancel(endpoint.connections()), "it has run");
}

#[test]
fn max_timers_limits_pending_timers() {
    assert_eq!(Options::default().get_max_timers(), 10_000);
    for limit in [0, 1, 3] {
        let (mut endpoint, clock) = endpoint(Options::default().max_timers(limit));
        let connections = endpoint.connections();
        let timers: Vec<_> = (0..limit).map(|_| connections.after(SECOND, |_| {}).unwrap()).collect();
        let refused = connections.after(SECOND, |_| {}).unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!("{limit} timers are pending, the limit of Options::max_timers")
        );
        assert!(matches!(refused, TooManyTimers { limit: said, .. } if said == limit));
        assert_eq!(format!("{refused:?}"), refused.to_string());
        if let Some(first) = timers.first() {
            assert!(first.cancel(connections), "which makes room");
            connections.after(SECOND, |_| {}).unwrap();
            connections.after(SECOND, |_| {}).unwrap_err();
            clock.pass(SECOND);
            turn(&mut endpoint);
            endpoint.connections().after(SECOND, |_| {}).unwrap();
        }
    }
}

#[test]
fn the_longest_duration_does_not_overflow() {
    let (mut endpoint, clock) = endpoint(Options::default());
    let timer = endpoint.connections().after(Duration::MAX, |_| panic!("it runs")).unwrap();
    clock.pass(SECOND * 1_000_000);
    turn(&mut endpoint);
    assert!(timer.is_set(endpoint.connections()) && endpoint.next_timeout() > Some(SECOND));
}

#[test]
fn a_timer_can_use_all_connections() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, id) = rig.open("/");
    let say = move |connections: &mut Connections| drop(connections.send(id, "time is over"));
    rig.endpoint.connections().after(Duration::from_millis(10), say).unwrap();
    assert_eq!(rig.frame(&mut peer), (TEXT, b"time is over".to_vec()));
}

#[test]
fn a_timer_wakes_a_waiting_loop() {
    let mut endpoint = Endpoint::new().unwrap();
    let start = Instant::now();
    endpoint.connections().after(Duration::from_millis(30), Connections::exit).unwrap();
    endpoint.run(|_, event| panic!("{event:?}")).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(30));
}

#[test]
fn timers_run_within_the_budget_at_least_one_in_a_turn() {
    let (mut endpoint, clock) = endpoint(Options::default().budget(Budget::server().time(SECOND)));
    let count = Arc::new(AtomicUsize::new(0));
    for _ in 0..10 {
        let (count, clock) = (count.clone(), clock.clone());
        let slow = move |_: &mut Connections| {
            count.fetch_add(1, Ordering::Relaxed);
            clock.pass(SECOND / 2);
        };
        endpoint.connections().after(Duration::ZERO, slow).unwrap();
    }
    for turns in 1..=5 {
        assert_eq!(turn(&mut endpoint).more, turns < 5);
        assert_eq!(count.load(Ordering::Relaxed), turns * 2);
    }
    // Slower than a turn may be.
    for _ in 0..3 {
        let (count, clock) = (count.clone(), clock.clone());
        let slow = move |_: &mut Connections| {
            count.fetch_add(1, Ordering::Relaxed);
            clock.pass(SECOND * 2);
        };
        endpoint.connections().after(Duration::ZERO, slow).unwrap();
    }
    for turns in 1..=3 {
        turn(&mut endpoint);
        assert_eq!(count.load(Ordering::Relaxed), 10 + turns);
    }
}

#[test]
fn a_timer_that_rearms_at_once_does_not_prolong_the_turn() {
    fn again(connections: &mut Connections, count: Arc<AtomicUsize>) {
        count.fetch_add(1, Ordering::Relaxed);
        connections.after(Duration::ZERO, move |connections| again(connections, count)).unwrap();
    }
    let (mut endpoint, _clock) = endpoint(Options::default());
    let count = Arc::new(AtomicUsize::new(0));
    again(endpoint.connections(), count.clone());
    for turns in 1..=5 {
        assert!(turn(&mut endpoint).more);
        assert_eq!(count.load(Ordering::Relaxed), turns + 1);
    }
}

#[test]
fn a_flood_does_not_starve_timers() {
    let clock = Clock::default();
    let mut rig = Rig::with(clock.on(Options::ui()), ServerConfig::new().frame_rate(None));
    let (mut peer, _) = rig.open("/");
    let passes = clock.clone();
    rig.app.silent = true;
    rig.app.also = Some(Box::new(move |_, event| {
        if let Event::Message(..) = event {
            passes.pass(Duration::from_millis(2));
        }
    }));
    let notes = Arc::default();
    for name in 0..3 {
        rig.endpoint.connections().after(Duration::ZERO, note(&notes, name)).unwrap();
    }
    peer.send(&frame(TEXT, b"more").repeat(2000));
    // The flood uses up the first turn, and goes last in the second.
    for _ in 0..2 {
        let before = rig.app.seen.len();
        while rig.app.seen.len() == before {
            rig.turn();
        }
    }
    assert_eq!(notes.lock().unwrap().len(), 3);
}

#[test]
fn later_timers_run_after_a_panic() {
    let (mut endpoint, clock) = endpoint(Options::default());
    let notes = Arc::default();
    endpoint.connections().after(SECOND, |_| panic!("on purpose")).unwrap();
    endpoint.connections().after(SECOND, note(&notes, 1)).unwrap();
    clock.pass(SECOND);
    assert!(catch_unwind(AssertUnwindSafe(|| turn(&mut endpoint))).is_err());
    assert_eq!(endpoint.next_timeout(), Some(Duration::ZERO));
    turn(&mut endpoint);
    assert_eq!(*notes.lock().unwrap(), [1]);
}

#[test]
fn timers_are_dropped_with_the_endpoint() {
    let (mut endpoint, _clock) = endpoint(Options::default());
    let held = Arc::new(());
    let holds = held.clone();
    endpoint.connections().after(SECOND, move |_| drop(holds)).unwrap();
    drop(endpoint);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn turns_continue_until_the_given_time() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, _) = rig.open("/");
    let Rig { endpoint, app, .. } = &mut rig;
    let deadline = Instant::now() + Duration::from_millis(50);
    let again = AtomicUsize::new(0);
    peer.send(&frame(TEXT, b"first"));
    let turn = endpoint
        .poll_until(deadline, |connections, event| {
            if again.fetch_add(1, Ordering::Relaxed) == 0 {
                peer.send(&frame(TEXT, b"second"));
            }
            app.handle(connections, event);
        })
        .unwrap();
    assert!(Instant::now() >= deadline);
    assert_eq!((turn.events, turn.more), (2, false), "of more than one turn");
}

#[test]
fn a_past_time_runs_one_turn() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, _) = rig.open("/");
    peer.send(&frame(TEXT, b"x"));
    std::thread::sleep(Duration::from_millis(20));
    let Rig { endpoint, app, .. } = &mut rig;
    let past = Instant::now() - Duration::from_millis(1);
    let turn = endpoint.poll_until(past, |connections, event| app.handle(connections, event)).unwrap();
    assert_eq!(turn.events, 1);
}

#[test]
fn no_event_starts_after_the_time_even_without_a_budget() {
    let clock = Clock::default();
    let options = clock.on(Options::default());
    let mut rig = Rig::with(options, ServerConfig::new().frame_rate(None));
    let (mut peer, _) = rig.open("/");
    peer.send(&frame(TEXT, b"more").repeat(1000));
    std::thread::sleep(Duration::from_millis(20));
    let deadline = clock.now() + SECOND;
    let turn = rig
        .endpoint
        .poll_until(deadline, |_, event| {
            assert!(matches!(event, Event::Message(..)) && clock.now() < deadline);
            clock.pass(SECOND / 10);
        })
        .unwrap();
    assert_eq!((turn.events, turn.more, turn.elapsed), (10, true, SECOND));
}
