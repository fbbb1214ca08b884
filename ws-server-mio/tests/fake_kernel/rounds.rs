//! Rounds: within its time, a turn reads on while anything is left to read.

use super::script::Script;
use super::scripted::{Fake, serve};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use ws_kit::peer::{TEXT, frame};
use ws_server_mio::sys::Readiness;
use ws_server_mio::{Budget, ConnectionId, Endpoint, Event, Message, Options, ServerConfig, Turn};

const HANDSHAKE: &[u8] =
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const VISIT: usize = 4096;
/// The length of a message: four fill a visit.
const LEN: usize = 1024;

/// A server, its peers, and a clock that moves only when set.
struct Rig {
    script: Script,
    endpoint: Endpoint,
    peers: Vec<Fake>,
    nanos: Arc<AtomicU64>,
}

impl Rig {
    fn new(time: Option<Duration>, peers: usize) -> Self {
        let (script, nanos) = (Script::default(), Arc::new(AtomicU64::new(0)));
        let (origin, given) = (Instant::now(), nanos.clone());
        let budget = Budget::ui().time(time).bytes_per_visit(VISIT);
        let options = Options::ui().budget(budget);
        let options = options.clock(move || origin + Duration::from_nanos(given.load(Ordering::Relaxed)));
        let mut endpoint = script.endpoint(options);
        let peers: Vec<_> = (0..peers).map(|_| Fake::default()).collect();
        peers.iter().for_each(|peer| peer.0.lock().unwrap().bytes = HANDSHAKE.to_vec());
        let accepts = peers.iter().map(|peer| Ok(peer.clone())).collect();
        serve(&script, &mut endpoint, vec![accepts], ServerConfig::new());
        let mut rig = Self { script, endpoint, peers, nanos };
        rig.turn(|_| {});
        rig.turn_after_report();
        for peer in &rig.peers {
            let mut state = peer.0.lock().unwrap();
            assert!(state.bytes.is_empty() && !state.offered.is_empty(), "it is open");
            (state.reads, state.offered) = (0, Vec::new());
        }
        rig
    }

    /// Lets each peer send this many messages.
    fn fill(&self, count: usize) {
        let message = frame(TEXT, &[b'x'; LEN - 8]);
        assert_eq!(message.len(), LEN);
        self.peers.iter().for_each(|peer| peer.0.lock().unwrap().bytes = message.repeat(count));
    }

    /// Runs a turn that echoes each message, after `on_message`.
    fn turn(&mut self, mut on_message: impl FnMut(ConnectionId)) -> Turn {
        let turn = self.endpoint.poll(Some(Duration::ZERO), |connections, event| {
            if let Event::Message(id, Message::Text(text)) = event {
                on_message(id);
                connections.send(id, text).unwrap();
            }
        });
        turn.unwrap()
    }

    /// Runs a turn with input; also returns the connections of its messages, in order.
    fn turn_after_report(&mut self) -> (Turn, Vec<ConnectionId>) {
        let readable = Readiness { readable: true, writable: true, ..Readiness::default() };
        self.script.report(&mut self.endpoint, readable);
        let mut order = Vec::new();
        let turn = self.turn(|id| order.push(id));
        (turn, order)
    }

    fn written(&self) -> usize {
        self.peers.iter().map(|peer| peer.0.lock().unwrap().offered.iter().sum::<usize>()).sum()
    }
}

#[test]
fn within_its_time_a_turn_reads_all_there_is_and_answers_it() {
    for peers in [1, 3] {
        let mut rig = Rig::new(Some(Duration::from_millis(1)), peers);
        rig.fill(100);
        let (turn, order) = rig.turn_after_report();
        assert_eq!((order.len(), turn.events as usize), (peers * 100, peers * 100));
        assert!(!turn.more, "nothing is left");
        assert_ne!(rig.endpoint.next_timeout(), Some(Duration::ZERO));
        assert_eq!(rig.written(), peers * 100 * (LEN - 4), "servers do not mask");
    }
}

#[test]
fn each_peer_is_read_before_any_is_read_again() {
    let mut rig = Rig::new(Some(Duration::from_millis(1)), 3);
    rig.fill(40);
    let (_, order) = rig.turn_after_report();
    assert_eq!(order.len(), 120);
    for round in order.chunks(3 * VISIT / LEN) {
        let mut counts = BTreeMap::new();
        round.iter().for_each(|id| *counts.entry(id.to_string()).or_insert(0) += 1);
        assert_eq!(counts.into_values().collect::<Vec<_>>(), [VISIT / LEN; 3]);
    }
}

#[test]
fn rounds_end_with_the_time_of_the_turn_and_continue_in_the_next() {
    // A message takes 100 µs: two visits and a half, and then the one that ends past the limit.
    for (micros, most) in [(1000, 10), (1001, 11), (100, 1)] {
        let mut rig = Rig::new(Some(Duration::from_micros(micros)), 1);
        rig.fill(24);
        let nanos = rig.nanos.clone();
        let readable = Readiness { readable: true, ..Readiness::default() };
        rig.script.report(&mut rig.endpoint, readable);
        let (mut got, mut turns) = (0, 0);
        while got < 24 {
            let turn = rig.turn(|_| {
                nanos.fetch_add(100_000, Ordering::Relaxed);
            });
            got += turn.events;
            turns += 1;
            assert!(turn.events == most || got == 24, "{turn:?}");
            assert!(turn.more || got == 24);
        }
        assert_eq!(turns, 24_u32.div_ceil(most));
    }
}

#[test]
fn without_a_time_limit_a_turn_visits_each_peer_once() {
    // A time beyond the clock's range means no limit.
    for time in [None, Some(Duration::MAX)] {
        let mut rig = Rig::new(time, 3);
        rig.fill(40);
        let (turn, order) = rig.turn_after_report();
        assert_eq!(order.len(), 3 * VISIT / LEN);
        assert!(turn.more);
    }
}

#[test]
fn a_turn_reads_no_more_than_four_mebibytes_of_a_peer_even_if_its_clock_stands_still() {
    let most = (4 << 20) / LEN;
    for (count, more) in [(most - 1, false), (most + 1, true)] {
        let mut rig = Rig::new(Some(Duration::from_millis(1)), 1);
        rig.fill(count);
        let (turn, order) = rig.turn_after_report();
        assert_eq!((order.len(), turn.more), (count.min(most), more));
    }
}

#[test]
fn the_answer_to_a_large_message_is_written_before_the_next_one_is_read() {
    const LARGE: usize = 256 << 10;
    let mut rig = Rig::new(None, 1);
    rig.peers[0].0.lock().unwrap().bytes = frame(TEXT, &[b'x'; LARGE]).repeat(4);
    let (mut order, mut turns) = (rig.turn_after_report().1.len(), 1);
    while order < 4 {
        rig.turn(|_| order += 1);
        turns += 1;
    }
    assert_eq!(turns, 4, "each message is read to its end in one turn");
    let state = rig.peers[0].0.lock().unwrap();
    assert_eq!(state.offered.len(), 4);
    assert!(
        state.offered.iter().all(|offered| (LARGE..LARGE + VISIT).contains(offered)),
        "{:?}",
        state.offered
    );
}

#[test]
fn a_small_echo_costs_one_read_and_one_write() {
    for time in [None, Some(Duration::from_millis(1))] {
        let mut rig = Rig::new(time, 1);
        rig.fill(1);
        let (turn, order) = rig.turn_after_report();
        assert!(order.len() == 1 && !turn.more);
        let state = rig.peers[0].0.lock().unwrap();
        assert_eq!((state.reads, state.offered.len()), (1, 1));
    }
}
