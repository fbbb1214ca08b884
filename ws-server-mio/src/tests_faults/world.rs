//! One run: a script of peers, time and failures from a seed, and what must be true of it.

use super::app::{App, FILE, PATTERN, Shelf};
use super::checks::check;
use super::kernel::Kernel;
use super::peer::{Health, Kind, Peer};
use super::replies::Replies;
use super::rng::Rng;
use super::socket::listener;
use crate::acceptor::Listening;
use crate::servers::{LISTENERS, ServerId, Servers};
use crate::{Budget, Config, Endpoint, Folder, Heartbeat, Options, Pieces, ServerConfig};
use mio::Token;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Turns in a row that do nothing though something asked for them.
const SPINS: usize = 64;

/// Time that passes only when it is told to, and a little with every look at the clock.
#[derive(Clone)]
struct Time {
    birth: Instant,
    nanos: Arc<AtomicU64>,
    wall: Arc<AtomicU64>,
    step: u64,
}

impl Time {
    fn now(&self) -> Instant {
        self.birth + Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }

    fn look(&self) -> Instant {
        self.birth + Duration::from_nanos(self.nanos.fetch_add(self.step, Ordering::Relaxed))
    }

    fn advance(&self, by: Duration) {
        self.nanos.fetch_add(by.as_nanos() as u64, Ordering::Relaxed);
    }

    fn wall(&self) -> SystemTime {
        let nanos = self.nanos.load(Ordering::Relaxed) + self.wall.load(Ordering::Relaxed);
        SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)
    }
}

pub(super) struct World<'s> {
    rng: Rng,
    kernel: Kernel,
    time: Time,
    endpoint: Endpoint,
    server: ServerId,
    app: App<'s>,
    peers: Vec<Peer>,
    /// Deadlines are so short that whoever is slow is cut.
    hasty: bool,
    largest: usize,
    spins: usize,
    stop: Option<(Instant, Duration)>,
    stopped_at: Option<Instant>,
    shelf: &'s Shelf,
    trace: bool,
}

/// Somewhere to serve a file from.
pub(super) fn shelf() -> Shelf {
    let path = std::env::temp_dir().join(format!("ws-server-mio-shelf-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    let content = Arc::new(PATTERN[..150_000].to_vec());
    std::fs::write(path.join(FILE), &*content).unwrap();
    Shelf { folder: Folder::new(path).unwrap().at("/file"), content }
}

impl<'s> World<'s> {
    pub(super) fn new(seed: u64, shelf: &'s Shelf, trace: bool) -> Self {
        let mut rng = Rng::new(seed);
        let kernel = Kernel::new(Rng::new(rng.next()));
        let bounded = rng.percent(50);
        let time = Time {
            birth: Instant::now(),
            nanos: Arc::default(),
            wall: Arc::default(),
            step: if bounded { rng.pick(&[100, 1000, 10_000]) } else { 0 },
        };
        let mut budget = Budget::unbounded();
        budget.bytes_per_visit = rng.pick(&[1, 20, 1000, 16 << 10, 256 << 10]);
        budget.accepts = rng.pick(&[1, 2, 1024]);
        budget.time = bounded.then(|| Duration::from_micros(rng.pick(&[1, 50, 500])));
        let (clock, wall) = (time.clone(), time.clone());
        let largest = (budget.bytes_per_visit * 100).min(150_000);
        let options =
            Options::default().budget(budget).clock(move || clock.look()).wall_clock(move || wall.wall());
        let mut endpoint = Endpoint::new(options).unwrap();
        let hasty = rng.percent(20);
        let config = config(&mut rng, hasty).date(time.now(), time.wall());
        let mut config = ServerConfig::new(config);
        if rng.percent(20) {
            config = config.max_handshakes(rng.within(1, 3));
        }
        if rng.percent(10) {
            config = config.max_connections(rng.within(2, 4));
        }
        let places = rng.within(1, LISTENERS);
        let listeners = (0..places).map(|place| Listening::from(listener(&kernel, place))).collect();
        let server = endpoint.connections().start(listeners, config).unwrap();
        kernel.lock().listen((0..places).map(|place| Servers::token(server.index, place)));
        let wild = rng.pick(&[0, 0, 5, 30]);
        let app = App::new(Rng::new(rng.next()), wild, shelf);
        Self {
            rng,
            kernel,
            time,
            endpoint,
            server,
            app,
            peers: Vec::new(),
            hasty,
            largest,
            spins: 0,
            stop: None,
            stopped_at: None,
            shelf,
            trace,
        }
    }

    /// The whole run.
    pub(super) fn run(&mut self) {
        let steps = self.rng.within(50, 250);
        for _ in 0..steps {
            self.step();
        }
        self.settle();
        self.part();
        self.nothing_is_left();
    }

    fn trace(&self, text: impl FnOnce() -> String) {
        if self.trace {
            println!("{:?} {}", self.time.now() - self.time.birth, text());
        }
    }

    /// Whether anything asks for a turn.
    fn is_called(&self) -> bool {
        self.kernel.lock().has_events() || self.endpoint.next_timeout() == Some(Duration::ZERO)
    }

    fn turn(&mut self) {
        let before = (self.kernel.lock().calls, self.app.events);
        let events = self.kernel.lock().wait();
        self.trace(|| format!("turn {events:?}"));
        let connections = self.endpoint.connections();
        let end = connections.slots.end() as usize;
        for (Token(token), readiness) in &events {
            match token {
                slot if *slot < end => connections.ready(*slot as u32, *readiness),
                _ => connections.servers.ready(Token(*token)),
            }
        }
        let app = &mut self.app;
        let trace = self.trace;
        let turn = self.endpoint.poll(Some(Duration::ZERO), |connections, event| {
            if trace {
                println!("    {event:?}");
            }
            app.handle(connections, event);
        });
        if turn.unwrap().more {
            assert_eq!(self.endpoint.next_timeout(), Some(Duration::ZERO));
        }
        check(self.endpoint.connections(), &self.kernel);
        let did = before != (self.kernel.lock().calls, self.app.events) || !events.is_empty();
        self.spins = if did { 0 } else { self.spins + 1 };
        assert!(self.spins < SPINS, "turns are asked for, and nothing is done in them");
    }

    fn advance(&mut self, by: Duration) {
        self.trace(|| format!("time passes: {by:?}"));
        self.time.advance(by);
        self.spins = 0;
    }

    fn pump(&mut self) -> bool {
        let now = self.time.now();
        let mut moved = false;
        for peer in &mut self.peers {
            moved |= peer.pump(&self.kernel, now, &self.app);
        }
        moved
    }

    /// One act of somebody.
    fn step(&mut self) {
        match self.rng.below(100) {
            0..8 => self.come(),
            8..38 => self.act(),
            38..48 => {
                let peer = self.rng.below(self.peers.len().max(1));
                if let Some(peer) = self.peers.get_mut(peer) {
                    peer.pump(&self.kernel, self.time.now(), &self.app);
                }
            }
            48..56 => {
                let now = self.rng.percent(30);
                for id in 0..self.peers.len() {
                    if self.rng.percent(50) {
                        self.kernel.lock().progress(id, now);
                    }
                }
            }
            56..86 => {
                if self.is_called() || self.rng.percent(10) {
                    self.turn();
                }
            }
            86..91 => {
                let most = if self.hasty { 300_000 } else { 5_000 };
                let by = Duration::from_micros(self.rng.below(most) as u64);
                self.advance(by);
            }
            91..96 => drop(self.app.go_on(self.endpoint.connections())),
            96..98 => self.between_turns(),
            _ => {
                let mut kernel = self.kernel.lock();
                kernel.no_descriptors = kernel.rng.percent(50);
            }
        }
    }

    fn between_turns(&mut self) {
        match self.rng.below(20) {
            0..6 if self.app.wild > 0 => self.app.act(self.endpoint.connections()),
            6..12 => self.app.tell_news(self.endpoint.connections()),
            12..16 => self.endpoint.connections().free_memory(),
            16 => {
                // The machine sleeps; that is seen once a second.
                self.time.wall.fetch_add(3_600_000_000_000, Ordering::Relaxed);
                self.advance(Duration::from_millis(if self.hasty { 1000 } else { 1 }));
            }
            17 if self.rng.percent(20) => self.stop(),
            _ => {}
        }
    }

    fn come(&mut self) {
        if self.stop.is_some() || self.peers.len() >= 12 {
            return;
        }
        let number = self.peers.len();
        let place = self.rng.below(self.kernel.lock().listeners.len());
        let socket = self.kernel.lock().connect(place);
        let kind = match self.rng.below(10) {
            0..6 => Peer::web_socket(number, self.time.now(), &mut self.rng),
            6..9 => {
                let mut replies = Replies::new(number, self.shelf.content.clone(), self.hasty);
                replies.ask(&mut self.rng, self.largest);
                Kind::Http(replies)
            }
            _ => {
                let heads: [&[u8]; 4] =
                    [b"", b"GET / HT", b"\x16\x03\x01 what?\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"];
                Kind::Raw(self.rng.pick(&heads).to_vec())
            }
        };
        self.app.records.push(Default::default());
        self.peers.push(Peer::new(number, socket, &mut self.rng, kind));
    }

    /// Some peer does something.
    fn act(&mut self) {
        if self.peers.is_empty() {
            return self.come();
        }
        let at = self.rng.below(self.peers.len());
        let now = self.time.now();
        let (rng, kernel, peer) = (&mut self.rng, &self.kernel, &mut self.peers[at]);
        match rng.below(100) {
            0..70 => match &mut peer.kind {
                Kind::WebSocket(_) => {
                    let len = match rng.below(10) {
                        0..6 => rng.within(0, 200),
                        6..9 => rng.pick(&[125, 126, 127, 1000, 5000, 65_535, 65_536]),
                        _ => rng.below(150_000),
                    };
                    let fragments = if rng.percent(80) { 1 } else { rng.within(2, 3) };
                    peer.say(&mut self.app, len.min(self.largest), fragments);
                }
                Kind::Http(replies) if !replies.half_closes => replies.ask(rng, self.largest),
                _ => {}
            },
            70..80 => peer.reads = !peer.reads,
            80..84 => peer.ping(now),
            84..88 => peer.close(now),
            88..92 => {
                if let Kind::Http(replies) = &mut peer.kind {
                    replies.half_closes = true;
                }
            }
            // The rest breaks something.
            92 => {
                peer.health = Health::Broken;
                peer.half_close(kernel);
            }
            93 => {
                peer.health = Health::Broken;
                peer.leave(kernel);
            }
            94 => {
                peer.health = Health::Broken;
                peer.reset(kernel);
            }
            95 => peer.health = Health::Vanished,
            96 => {
                peer.health = Health::Broken;
                let bytes: [&[u8]; 3] = [b"\xff\xff\xff", b"\x81\x05", b"\x83\x80\0\0\0\0"];
                peer.spoil(kernel, rng.pick(&bytes));
            }
            _ => {}
        }
        self.trace(|| format!("peer {at} acted"));
        let peer = &mut self.peers[at];
        if let (Kind::Http(replies), false) = (&mut peer.kind, peer.health == Health::Good) {
            replies.given_up = true;
        }
        if matches!(peer.kind, Kind::Http(_)) && peer.health == Health::Good {
            peer.pump(&self.kernel, now, &self.app);
        }
    }

    fn stop(&mut self) {
        let deadline = Duration::from_millis(self.rng.pick(&[0, 100, 3000]));
        self.stop.get_or_insert((self.time.now(), deadline));
        self.endpoint.connections().stop(self.server, deadline);
        self.trace(|| format!("stop within {deadline:?}"));
    }

    /// Everything arrives, and everybody reads, until nobody has anything to do; no time passes for it.
    fn quiet(&mut self) {
        for round in 0.. {
            assert!(round < 200_000, "it goes on for ever");
            let mut moved = false;
            for id in 0..self.peers.len() {
                self.kernel.lock().progress(id, true);
            }
            if self.is_called() {
                self.turn();
                moved = true;
            }
            moved |= self.pump();
            moved |= self.app.go_on(self.endpoint.connections());
            if !moved {
                return;
            }
        }
    }

    /// Time passes until the next deadline of anybody; says whether there is one within that time.
    fn pass(&mut self, most: Duration) -> bool {
        let now = self.time.now();
        let peers = self.peers.iter().filter_map(Peer::timeout);
        let peers = peers.map(|at| at.saturating_duration_since(now));
        let Some(next) = self.endpoint.next_timeout().into_iter().chain(peers).min() else { return false };
        if next > most {
            return false;
        }
        self.advance(next);
        true
    }

    /// The network is fair, and descriptors are back: whoever did nothing wrong gets all that it may expect.
    fn settle(&mut self) {
        self.trace(|| "settle".to_owned());
        self.kernel.lock().be_fair();
        for peer in &mut self.peers {
            peer.reads = true;
            peer.pace = 1 << 20;
        }
        self.quiet();
        // Who waits for a descriptor, for the end of another's handshake or for the next second, gets its turn.
        for _ in 0..100 {
            let waits = |peer: &Peer| peer.health == Health::Good && !peer.is_content(&self.app);
            let all_are_in = self.kernel.lock().listeners.iter().all(|listener| listener.backlog.is_empty());
            if all_are_in && !self.peers.iter().any(waits) || !self.pass(Duration::from_secs(11)) {
                break;
            }
            self.quiet();
        }
        if self.stop.is_some() {
            return;
        }
        assert!(self.kernel.lock().listeners.iter().all(|listener| listener.backlog.is_empty()));
        for peer in self.peers.iter().filter(|peer| peer.health == Health::Good) {
            assert!(peer.is_content(&self.app), "peer {} waits for something", peer.number);
        }
    }

    /// Some clients close, then the server stops, and everything ends.
    fn part(&mut self) {
        let now = self.time.now();
        for peer in &mut self.peers {
            if peer.health == Health::Good && self.rng.percent(50) {
                peer.close(now);
            }
        }
        self.trace(|| "part".to_owned());
        self.quiet();
        self.ends_are_in_order();
        let begun = self.time.now();
        if self.stop.is_none() {
            self.stop();
        }
        let (since, deadline) = self.stop.unwrap();
        for round in 0.. {
            assert!(round < 10_000, "there is always another deadline");
            self.quiet();
            if self.app.stopped && self.stopped_at.is_none() {
                self.stopped_at = Some(self.time.now());
            }
            if !self.pass(Duration::MAX) {
                break;
            }
        }
        let stopped = self.stopped_at.expect("the server does not stop");
        let slack = Duration::from_secs(1);
        assert!(stopped <= begun.max(since + deadline) + slack, "it stopped too late");
    }

    /// Of those who did nothing wrong, whoever has left closed in order, and got everything before.
    fn ends_are_in_order(&mut self) {
        let turned_away = self.endpoint.connections().stats().turned_away > 0;
        let excused = self.hasty || turned_away || self.stop.is_some();
        for peer in self.peers.iter().filter(|peer| peer.health == Health::Good && peer.left) {
            let record = &self.app.records[peer.number];
            match &peer.kind {
                Kind::WebSocket(socket) => {
                    let closed = socket.closed.as_ref().unwrap();
                    if closed.clean {
                        assert_eq!(socket.got, record.said.len(), "peer {} got less", peer.number);
                    }
                    assert!(excused || record.cut || closed.clean && socket.closes, "{closed}");
                    let here = record.closed.as_ref();
                    if here.is_some_and(|here| here.clean) {
                        assert_eq!(
                            record.heard,
                            record.lengths.len(),
                            "less of peer {} was heard",
                            peer.number
                        );
                    }
                    assert!(excused || record.cut || here.is_some_and(|here| here.clean), "{here:?}");
                }
                Kind::Http(replies) if !excused => {
                    assert!(replies.half_closes && replies.expected.is_empty(), "{:?}", replies.expected);
                    assert_eq!(replies.ended, Some(false), "peer {} was reset", peer.number);
                }
                _ => {}
            }
        }
    }

    fn nothing_is_left(&mut self) {
        self.ends_are_in_order();
        assert_eq!(self.endpoint.next_timeout(), None);
        let connections = self.endpoint.connections();
        assert!(!connections.has_work() && connections.servers.is_empty());
        assert!(connections.slots.len() == 0 && connections.rests.is_empty());
        assert!(connections.files.is_empty() && connections.fanout.is_empty(self.app.ids.keys()));
        let stats = connections.stats();
        let kernel = self.kernel.lock();
        let accepted = || kernel.sockets.iter().filter(|socket| socket.accepted);
        assert!(accepted().all(|socket| socket.closed));
        assert_eq!(stats.open, 0);
        assert_eq!(stats.accepted + stats.turned_away, accepted().count() as u64);
        assert_eq!(stats.bytes_out, accepted().map(|socket| socket.bytes_written).sum::<u64>());
        assert!(stats.bytes_in <= accepted().map(|socket| socket.bytes_read).sum::<u64>());
        for peer in &self.peers {
            let (record, socket) = (&self.app.records[peer.number], &kernel.sockets[peer.socket]);
            let Some(closed) = &record.closed else {
                assert!(record.id.is_none(), "the end of peer {} was never told", peer.number);
                continue;
            };
            assert_eq!(closed.bytes_sent, socket.bytes_written);
            assert!(closed.bytes_received <= socket.bytes_read);
            if closed.clean && peer.health == Health::Good {
                assert_eq!(closed.bytes_received, socket.bytes_read);
            }
        }
    }
}

/// The rules of connections: marks so low that they are reached, floods that are paced, times that pass.
fn config(rng: &mut Rng, hasty: bool) -> Config {
    let mut config = Config::server();
    config = match rng.below(4) {
        0 => config.outbox(100, 500, 5000),
        1 => config.outbox(1000, 10_000, 200_000),
        _ => config,
    };
    if rng.percent(15) {
        config = config.message_rate(Some(rng.within(1, 20) as u16));
    }
    if rng.percent(20) {
        config = config.pieces(Pieces::AsTheyCome { whole: rng.pick(&[0, 100, 5000]) });
    }
    if hasty {
        let mut time = || Duration::from_millis(rng.pick(&[50, 200, 1000]));
        return config
            .handshake_timeout(time())
            .keep_alive(time())
            .answer_timeout(time())
            .close_timeout(time())
            .output_timeout(time())
            .heartbeat(Heartbeat::live().interval(time()).answer(time()));
    }
    let hour = Duration::from_secs(3600);
    let heartbeat = if rng.percent(50) { Heartbeat::off() } else { Heartbeat::server() };
    config.keep_alive(hour).answer_timeout(hour).output_timeout(hour).heartbeat(heartbeat)
}
