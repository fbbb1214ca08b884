//! One run: a script of peers, time and failures from a seed, and the invariants that it checks.

use super::app::{App, Record, Shelf};
use super::behaviour::{Behaviour, ping};
use super::catching;
use super::checks::{check, holds_no_more_than};
use super::kernel::Kernel;
use super::peer::{Health, Kind, Peer, SLOW};
use super::replies::Replies;
use super::rng::Rng;
use super::setting::{Time, config};
use super::streams::Reader;
use super::system::FakeSystem;
use super::uploads::UploadRule;
use super::web_socket::WebSocket;
use std::sync::Arc;
use std::time::Duration;
use ws_proto::{Config, Moment, WallClock};
use ws_server_mio::inspect;
use ws_server_mio::{Bind, Budget, Endpoint, Options, ServerConfig, ServerId};

/// The most consecutive turns that do nothing although one was due.
const SPINS: usize = 64;

pub(super) struct World<'s> {
    pub(super) rng: Rng,
    pub(super) kernel: Kernel,
    pub(super) time: Time,
    pub(super) endpoint: Endpoint,
    pub(super) server: ServerId,
    /// Of its connections.
    rules: Config,
    pub(super) app: App<'s>,
    pub(super) peers: Vec<Peer>,
    /// Deadlines are short enough to abort slow peers.
    pub(super) hasty: bool,
    pub(super) largest: usize,
    pub(super) spins: usize,
    pub(super) stop: Option<(Moment, Duration)>,
    pub(super) stopped_at: Option<Moment>,
    pub(super) shelf: &'s Shelf,
    pub(super) trace: bool,
    pub(super) behaviour: Behaviour,
    /// The heartbeat: its interval, and its Pong timeout.
    pub(super) beat: Option<(Duration, Duration)>,
    /// When the next feed is due, and when the postponed work is.
    pub(super) feed_at: Option<Moment>,
    pub(super) later_at: Option<Moment>,
    pub(super) half_close: bool,
}

impl<'s> World<'s> {
    pub(super) fn new(seed: u64, shelf: &'s Shelf, trace: bool, behaviour: Behaviour) -> Self {
        let mut rng = Rng::new(seed);
        let kernel = Kernel::new(Rng::new(rng.next()));
        let bounded = rng.percent(50);
        let time = Time::new(if bounded { rng.pick(&[100, 1000, 10_000]) } else { 0 });
        let mut per_visit = rng.pick(&[1, 20, 1000, 16 << 10, 256 << 10]);
        if behaviour.slow {
            // This makes the handlers slow, and not the reading.
            per_visit = per_visit.max(16 << 10);
        }
        let budget = Budget::server().bytes_per_visit(per_visit).accepts(rng.pick(&[1, 2, 1024]));
        let budget = budget.time(bounded.then(|| Duration::from_micros(rng.pick(&[1, 50, 500]))));
        let (clock, wall) = (time.clone(), time.clone());
        let largest = (per_visit * 100).min(150_000);
        let options =
            Options::default().budget(budget).clock(move || clock.look()).wall_clock(move || wall.wall());
        let (system, _) = FakeSystem::new(&kernel, Rng::new(seed), 0);
        let mut endpoint = Endpoint::with_system(options, system).unwrap();
        let hasty = rng.percent(20) && !behaviour.users;
        let (mut beat, mut half_close) = (None, true);
        let base = Config::server().head_rule(Arc::new(UploadRule));
        let config = match behaviour.users {
            false => config(base, &mut rng, hasty),
            true => {
                beat = behaviour.heartbeat(&mut rng);
                half_close = rng.percent(20);
                kernel.lock().linux = rng.percent(70);
                let config = behaviour.config(base, &mut rng);
                config.heartbeat(ping(beat)).half_close(half_close)
            }
        };
        let config = config.wall_clock(WallClock::new(time.wall()));
        let rules = config.clone();
        let mut config = ServerConfig::new().connection(config).decide_upgrades(true);
        if rng.percent(20) {
            config = config.max_handshakes(rng.within(1, 3));
        }
        if rng.percent(10) {
            config = config.max_connections(rng.within(2, 4));
        }
        if let Some(limit) = behaviour.memory {
            config = config.memory_limit(Some(limit));
        }
        if let Some(layers) = &behaviour.layers {
            config = (layers.of_servers)(config);
        }
        let places = rng.within(1, 2);
        kernel.lock().prepare_listeners(places);
        let server = endpoint.connections().listen(Bind::localhost(), config).unwrap();
        let wild = if behaviour.refill { 0 } else { rng.pick(&[0, 0, 5, 30]) };
        let app = App::new(Rng::new(rng.next()), wild, shelf, behaviour.clone(), largest, time.clone());
        Self {
            rng,
            kernel,
            time,
            endpoint,
            server,
            rules,
            app,
            peers: Vec::new(),
            hasty,
            largest,
            spins: 0,
            stop: None,
            stopped_at: None,
            shelf,
            trace,
            behaviour,
            beat,
            feed_at: None,
            later_at: None,
            half_close,
        }
    }

    /// Runs everything.
    pub(super) fn run(&mut self) {
        let steps = self.rng.within(50, 250);
        for _ in 0..steps {
            self.step();
        }
        if self.behaviour.users {
            self.live();
        }
        self.settle();
        self.part();
        self.nothing_is_left();
    }

    pub(super) fn trace(&self, text: impl FnOnce() -> String) {
        if self.trace {
            println!("{:?} {}", self.time.now() - Moment::default(), text());
        }
    }

    /// Whether a turn is due.
    pub(super) fn is_called(&self) -> bool {
        self.kernel.lock().has_events() || self.endpoint.next_timeout() == Some(Duration::ZERO)
    }

    /// Grows with all that a turn may do. What a layer has decoded is read without a call of the kernel.
    fn progress(&mut self) -> (u64, u64, u64) {
        let mut bytes = 0;
        inspect::each_slot(self.endpoint.connections(), |live| bytes += live.connection.bytes_received());
        (self.kernel.lock().calls, self.app.events, bytes)
    }

    pub(super) fn turn(&mut self) {
        let before = self.progress();
        self.trace(|| "turn".to_owned());
        let app = &mut self.app;
        let trace = self.trace;
        let mut turn = || {
            self.endpoint.poll(Some(Duration::ZERO), |connections, event| {
                if trace {
                    println!("    {event:?}");
                }
                app.handle(connections, event);
            })
        };
        // The application catches its handlers' panics, and runs another turn.
        if catching(&mut turn).is_some_and(|turn| turn.unwrap().more) {
            assert_eq!(self.endpoint.next_timeout(), Some(Duration::ZERO));
        }
        let reported = std::mem::take(&mut self.kernel.lock().reported);
        self.trace(|| format!("reported {reported:?}"));
        check(self.endpoint.connections(), &self.kernel);
        if let Some(limit) = self.behaviour.memory {
            holds_no_more_than(self.endpoint.connections(), limit);
        }
        let did = before != self.progress() || !reported.is_empty();
        self.spins = if did { 0 } else { self.spins + 1 };
        assert!(self.spins < SPINS, "turns are due, and do nothing");
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.trace(|| format!("time passes: {by:?}"));
        self.time.advance(by);
        self.spins = 0;
    }

    pub(super) fn pump(&mut self) -> bool {
        let now = self.time.now();
        let mut moved = false;
        for peer in &mut self.peers {
            moved |= peer.pump(&self.kernel, now, &mut self.app);
        }
        moved
    }

    /// Does one random act.
    fn step(&mut self) {
        match self.rng.below(100) {
            0..8 => self.add_peer(),
            8..38 => self.act(),
            38..48 => {
                let peer = self.rng.below(self.peers.len().max(1));
                if let Some(peer) = self.peers.get_mut(peer) {
                    peer.pump(&self.kernel, self.time.now(), &mut self.app);
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
            91..96 => drop(self.app.continue_sending(self.endpoint.connections())),
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
            6..12 => self.app.send_news(self.endpoint.connections()),
            12..16 => inspect::free_memory(self.endpoint.connections()),
            16 => {
                // The machine sleeps; that is checked once a second.
                self.time.sleep();
                self.advance(Duration::from_millis(if self.hasty { 1000 } else { 1 }));
            }
            17 if self.rng.percent(20) => self.stop(),
            _ => {}
        }
    }

    fn add_peer(&mut self) {
        if self.stop.is_some() || self.peers.len() >= 12 {
            return;
        }
        let number = self.peers.len();
        let place = self.rng.below(self.kernel.lock().listeners.len());
        let socket = self.kernel.lock().connect(place);
        let kind = match self.rng.below(10) {
            0..4 if self.behaviour.streams => Kind::Stream(Reader::new(number, &mut self.rng)),
            0..6 => {
                let now = self.time.now();
                let socket = WebSocket::new(number, now, &mut self.rng, &self.behaviour, self.largest);
                Kind::WebSocket(Box::new(socket))
            }
            6..9 => {
                let mut replies = Replies::new(
                    number,
                    self.shelf.content.clone(),
                    self.hasty,
                    self.half_close,
                    self.behaviour.panics,
                );
                replies.ask(&mut self.rng, self.largest);
                Kind::Http(replies)
            }
            _ => {
                let heads: [&[u8]; 4] =
                    [b"", b"GET / HT", b"\x16\x03\x01 what?\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"];
                Kind::Raw(self.rng.pick(&heads).to_vec())
            }
        };
        if let (Some(layers), false) = (&self.behaviour.layers, matches!(kind, Kind::Raw(_)))
            && !self.rng.percent(layers.without)
        {
            self.kernel.lock().wrap(socket, (layers.of_peers)());
        }
        self.app.records.push(Record::new(&self.rules));
        let mut peer = Peer::new(number, socket, &mut self.rng, kind);
        if self.behaviour.refill || self.behaviour.memory.is_some() {
            peer.rate = Some(SLOW);
        }
        self.peers.push(peer);
    }

    /// Lets some peer act.
    fn act(&mut self) {
        if self.peers.is_empty() {
            return self.add_peer();
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
            // The remaining cases break something.
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
                peer.send_raw(kernel, rng.pick(&bytes));
            }
            _ => {}
        }
        self.trace(|| format!("peer {at} acted"));
        let peer = &mut self.peers[at];
        if let (Kind::Http(replies), false) = (&mut peer.kind, peer.health == Health::Good) {
            replies.given_up = true;
        }
        if matches!(peer.kind, Kind::Http(_)) && peer.health == Health::Good {
            peer.pump(&self.kernel, now, &mut self.app);
        }
    }

    pub(super) fn stop(&mut self) {
        let deadline = Duration::from_millis(self.rng.pick(&[0, 100, 3000]));
        self.stop.get_or_insert((self.time.now(), deadline));
        self.endpoint.connections().server(self.server).stop(deadline);
        self.trace(|| format!("stop within {deadline:?}"));
    }
}
