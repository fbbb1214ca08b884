//! Deadlines that have passed before there was time for the work that they limit.

use super::script::Script;
use super::scripted::{Fake, HANDSHAKE, serve, turn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use ws_server_mio::sys::Readiness;
use ws_server_mio::{
    Budget, CloseCode, Closed, ConnectionId, Endpoint, Error, Event, Frame, Heartbeat, Options, ServerConfig,
    ServerId,
};

const SECOND: Duration = Duration::from_secs(1);

/// A Close without a reason, as a server writes it.
const CLOSE: [u8; 2] = [0x88, 2];

/// A clock that only the test moves, and a little with each look at it.
#[derive(Clone)]
struct Clock {
    start: Instant,
    nanos: Arc<AtomicU64>,
    per_look: Arc<AtomicU64>,
}

impl Clock {
    fn new() -> Self {
        Self { start: Instant::now(), nanos: Arc::default(), per_look: Arc::default() }
    }

    fn look(&self) -> Instant {
        let passed = self.nanos.fetch_add(self.per_look.load(Ordering::Relaxed), Ordering::Relaxed);
        self.start + Duration::from_nanos(passed)
    }

    fn pass(&self, time: Duration) {
        self.nanos.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }

    fn set_per_look(&self, time: Duration) {
        self.per_look.store(time.as_nanos() as u64, Ordering::Relaxed);
    }
}

/// Open WebSockets in a loop with little time for a turn.
struct Rig {
    script: Script,
    clock: Clock,
    endpoint: Endpoint,
    server: ServerId,
    sockets: Vec<Fake>,
    ids: Vec<ConnectionId>,
    closed: Vec<Closed>,
    is_stopped: bool,
    /// How long the handler of an end takes.
    pause: Duration,
}

impl Rig {
    fn new(count: usize, config: ServerConfig) -> Self {
        let (script, clock) = (Script::default(), Clock::new());
        let own = clock.clone();
        // The time of day stands still.
        let options = Options::default().clock(move || own.look()).wall_clock(|| SystemTime::UNIX_EPOCH);
        let mut endpoint = script.endpoint(options);
        let sockets: Vec<_> = (0..count).map(|_| Fake::default()).collect();
        for socket in &sockets {
            socket.0.lock().unwrap().bytes = HANDSHAKE.to_vec();
        }
        let config = config.max_per_address(None).max_handshakes(count).heartbeat(Heartbeat::off());
        let listener = sockets.iter().cloned().map(Ok).collect();
        let server = serve(&script, &mut endpoint, vec![listener], config);
        let mut ids = Vec::new();
        turn(&mut endpoint, |_, _| {});
        script.report(&mut endpoint, Readiness { readable: true, ..Readiness::default() });
        for _ in 0..3 {
            turn(&mut endpoint, |_, event| {
                if let Event::Open(id, _) = event {
                    ids.push(id);
                }
            });
        }
        assert_eq!(ids.len(), count);
        for socket in &sockets {
            let mut socket = socket.0.lock().unwrap();
            socket.offered.clear();
            socket.written.clear();
        }
        endpoint.set_budget(Budget::ui());
        let (closed, is_stopped, pause) = (Vec::new(), false, Duration::ZERO);
        Self { script, clock, endpoint, server, sockets, ids, closed, is_stopped, pause }
    }

    fn turn(&mut self) {
        let Self { endpoint, clock, closed, is_stopped, pause, .. } = self;
        turn(endpoint, |_, event| match event {
            Event::Closed(_, end) => {
                clock.pass(*pause);
                closed.push(*end);
            }
            Event::Stopped(_) => *is_stopped = true,
            _ => {}
        });
    }

    fn stop(&mut self, deadline: Duration) {
        let server = self.server;
        self.endpoint.connections().server(server).stop(deadline);
    }

    /// Runs turns until the server has stopped, with a check after each.
    fn until_stopped(&mut self, mut check: impl FnMut(&Self)) {
        let mut turns = 0;
        while !self.is_stopped {
            self.turn();
            check(self);
            turns += 1;
            assert!(turns < 1000, "it does not stop");
        }
    }

    /// How many writes there were.
    fn writes(&self) -> usize {
        self.sockets.iter().map(|socket| socket.0.lock().unwrap().offered.len()).sum()
    }

    fn written(&self, socket: usize) -> Vec<u8> {
        self.sockets[socket].0.lock().unwrap().written.clone()
    }
}

#[test]
fn a_stop_without_grace_writes_once_to_each_of_a_thousand_and_keeps_to_the_budget() {
    const COUNT: usize = 1000;
    // A turn has 1 ms: ten looks at the clock.
    let mut rig = Rig::new(COUNT, ServerConfig::new());
    rig.clock.set_per_look(Duration::from_micros(100));
    rig.stop(Duration::ZERO);
    let mut before = 0;
    rig.until_stopped(|rig| {
        let writes = rig.writes() - before;
        assert!(writes <= 11, "{writes} writes, but ten looks at the clock");
        before += writes;
    });
    assert_eq!(rig.writes(), COUNT);
    let close = [&CLOSE[..], &CloseCode::GOING_AWAY.get().to_be_bytes()].concat();
    assert!((0..COUNT).all(|socket| rig.written(socket) == close));
    for closed in &rig.closed {
        assert!(matches!(closed.error, Some(Error::Stopped)), "{closed}");
        assert_eq!(closed.sent, Some(CloseCode::GOING_AWAY));
    }
}

#[test]
fn last_messages_that_take_many_turns_to_write_are_followed_by_the_close() {
    let mut rig = Rig::new(1, ServerConfig::new());
    let id = rig.ids[0];
    for _ in 0..10 {
        rig.endpoint.connections().send(id, Frame::binary(vec![7; 40_000])).unwrap();
    }
    rig.stop(Duration::ZERO);
    // The turn's time is over after each unit of work.
    rig.clock.set_per_look(Duration::from_millis(2));
    rig.until_stopped(|_| {});
    let written = rig.written(0);
    assert!(rig.writes() > 4 && written.len() == 10 * (4 + 40_000) + 4, "{} bytes", written.len());
    assert!(written.ends_with(&[&CLOSE[..], &[3, 233]].concat()));
    assert_eq!(rig.closed[0].sent, Some(CloseCode::GOING_AWAY));
}

#[test]
fn a_peer_without_room_is_aborted_without_a_close() {
    let mut rig = Rig::new(2, ServerConfig::new());
    rig.sockets[0].0.lock().unwrap().full = true;
    rig.stop(Duration::ZERO);
    rig.until_stopped(|_| {});
    assert_eq!(rig.writes(), 2, "each is tried once");
    let mut sent: Vec<_> = rig.closed.iter().map(|closed| closed.sent).collect();
    sent.sort();
    assert_eq!(sent, [None, Some(CloseCode::GOING_AWAY)]);
}

/// Its next turn begins behind `Writes`, for which this one has no time.
fn skip_writes(rig: &mut Rig) {
    let last = *rig.ids.last().unwrap();
    rig.endpoint.connections().terminate(last);
    rig.pause = Duration::from_millis(2);
    rig.turn();
    assert_eq!(rig.closed.len(), 1);
    rig.pause = Duration::ZERO;
}

#[test]
fn a_close_is_written_before_its_time_is_over_however_late_the_turn() {
    let config = ServerConfig::new().close_timeout(5 * SECOND);
    let mut rig = Rig::new(2, config.output_timeout(8 * SECOND));
    let id = rig.ids[0];
    // A timer is set.
    rig.sockets[0].0.lock().unwrap().full = true;
    rig.endpoint.connections().send(id, "hello").unwrap();
    rig.turn();
    skip_writes(&mut rig);
    rig.sockets[0].0.lock().unwrap().full = false;
    rig.endpoint.connections().close(id, CloseCode::NORMAL, "").unwrap();
    rig.clock.pass(20 * SECOND);
    rig.script.report(&mut rig.endpoint, Readiness { writable: true, ..Readiness::default() });
    rig.turn();
    assert!(rig.closed.len() == 1, "{}", rig.closed[1]);
    assert!(rig.written(0).ends_with(&[&CLOSE[..], &[3, 232]].concat()));
    // From then on, the peer has its time.
    rig.clock.pass(5 * SECOND);
    rig.turn();
    assert_eq!(rig.closed[1].sent, Some(CloseCode::NORMAL));
}

#[test]
fn a_peer_that_takes_output_again_is_not_taken_for_stalled_however_late_the_turn() {
    let mut rig = Rig::new(2, ServerConfig::new().output_timeout(8 * SECOND));
    let id = rig.ids[0];
    rig.sockets[0].0.lock().unwrap().full = true;
    rig.endpoint.connections().send(id, "hello").unwrap();
    rig.turn();
    skip_writes(&mut rig);
    rig.sockets[0].0.lock().unwrap().full = false;
    rig.clock.pass(20 * SECOND);
    rig.script.report(&mut rig.endpoint, Readiness { writable: true, ..Readiness::default() });
    rig.turn();
    assert!(rig.closed.len() == 1, "{}", rig.closed[1]);
    assert!(rig.written(0).ends_with(b"hello"));
}
