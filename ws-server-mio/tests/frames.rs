//! Frames painted in time while peers flood, by a clock that only work advances.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;
use common::*;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, UNIX_EPOCH};
use ws_server_mio::{ConnectionId, Event, Options, ServerConfig};

const FRAMES: u64 = 300;
/// 60 a second, in microseconds.
const FRAME: u64 = 16_667;
const PAINTING: u64 = 3_000;
const BUDGET: u64 = 1_000;
/// The handler's cost of the most expensive message.
const DEAREST: u64 = 600;
/// How many messages of a peer are in flight: more than a frame has time for.
const UNANSWERED: u64 = 64;
/// The peers read, and send as much again, once in so many frames. It leaves most of their messages unanswered, and
/// spares systems where a hundred calls take long.
const ROUND: u64 = 10;
/// Only a hang takes this long.
const HANG: Duration = Duration::from_secs(300);

/// Microseconds that the handler and painting spend, and nothing else.
#[derive(Clone, Default)]
struct Clock(Arc<(OnceLock<Instant>, AtomicU64)>);

impl Clock {
    fn micros(&self) -> u64 {
        self.0.1.load(Ordering::Relaxed)
    }

    fn pass(&self, micros: u64) {
        self.0.1.fetch_add(micros, Ordering::Relaxed);
    }

    fn options(&self) -> Options {
        let clock = self.clone();
        Options::ui()
            .clock(move || *clock.0.0.get_or_init(Instant::now) + Duration::from_micros(clock.micros()))
            // It stands still, so that the machine does not seem to sleep while the test takes long.
            .wall_clock(|| UNIX_EPOCH)
    }
}

/// A peer that keeps messages in flight, and expects their echoes in order.
struct Flooder {
    peer: Peer,
    id: ConnectionId,
    sent: u64,
    answered: u64,
}

impl Flooder {
    fn text(&self, number: u64) -> Vec<u8> {
        format!("{} {number:08}", self.id).into_bytes()
    }

    fn flood(&mut self) {
        let mut bytes = Vec::new();
        while self.sent < self.answered + UNANSWERED {
            bytes.extend(frame(TEXT, &self.text(self.sent)));
            self.sent += 1;
        }
        self.peer.send(&bytes);
    }

    fn check_answers(&mut self) {
        while let Some(answer) = self.peer.take_frame() {
            assert_eq!(answer, (TEXT, self.text(self.answered)));
            self.answered += 1;
        }
        assert_eq!(self.peer.ended, None);
    }
}

/// One turn; each message costs its handler 5 to 600 µs, and no event may start once the time is over.
fn turn(rig: &mut Rig, clock: &Clock, served: &mut u64, wait: Duration) -> bool {
    let start = clock.micros();
    let turn = rig.endpoint.poll(Some(wait), |connections, event| {
        assert!(
            clock.micros() < start + BUDGET,
            "an event starts {} µs into its turn",
            clock.micros() - start
        );
        if let Event::Message(id, message) = event {
            *served += 1;
            clock.pass(5 + *served * 37 % (DEAREST - 4));
            connections.send(id, message).unwrap();
        }
    });
    turn.unwrap().more
}

fn every_frame_is_on_time_and_every_peer_is_served(peers: usize) {
    let clock = Clock::default();
    let mut rig = Rig::with(clock.options(), ServerConfig::new());
    let mut flooders: Vec<_> = (0..peers)
        .map(|_| rig.open("/"))
        .map(|(peer, id)| Flooder { peer, id, sent: 0, answered: 0 })
        .collect();
    let begun = Instant::now();
    let mut served = 0;
    let start = clock.micros();
    let mut more = false;
    for number in 1..=FRAMES {
        let due = start + number * FRAME;
        if number % ROUND == 1 {
            flooders.iter_mut().for_each(Flooder::flood);
        }
        while clock.micros() < due {
            // Input is always pending: waiting for it takes none of the clock's time.
            let wait = if more { Duration::ZERO } else { Duration::from_millis(1) };
            more = turn(&mut rig, &clock, &mut served, wait);
            assert!(begun.elapsed() < HANG, "hangs with {served} served");
        }
        let late = clock.micros() - due;
        assert!(late < BUDGET + DEAREST, "frame {number} is {late} µs late");
        clock.pass(PAINTING);
        if number % ROUND == 0 {
            flooders.iter_mut().for_each(Flooder::check_answers);
        }
    }

    let shares = || flooders.iter().map(|flooder| flooder.answered);
    let (least, most) = (shares().min().unwrap(), shares().max().unwrap());
    assert!(least * 10 >= most * 8, "one was answered {least} times, another {most} times");

    // The flood ends, and nothing of it is missing.
    while flooders.iter().any(|flooder| flooder.answered < flooder.sent) {
        // The peers read once the endpoint rests: a hundred reads in each turn take minutes on some systems.
        while turn(&mut rig, &clock, &mut served, Duration::from_millis(1)) {}
        flooders.iter_mut().for_each(Flooder::check_answers);
        assert!(begun.elapsed() < HANG, "hangs with {served} served");
    }
    assert_eq!(served, flooders.iter().map(|flooder| flooder.sent).sum::<u64>());
}

#[test]
fn sixteen_flooding_peers_cost_no_frame() {
    every_frame_is_on_time_and_every_peer_is_served(16);
}

#[test]
fn a_hundred_flooding_peers_cost_no_frame() {
    every_frame_is_on_time_and_every_peer_is_served(100);
}
