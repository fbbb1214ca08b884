//! One run: a script of hosts, clients, time and failures from a seed, and the invariants that it checks.

use super::app::App;
use super::checks::{check, check_times};
use super::host::{Host, Kind};
use super::model::{localhost, named, pool};
use crate::dialling::DIAL_OUTCOMES;
use crate::kernel::Kernel;
use crate::layer::Layers;
use crate::rng::Rng;
use crate::setting::Time;
use crate::system::{FakeSystem, Question};
use crate::{catching, checks, panic_in_handler};
use mio::Token;
use std::io;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use ws_proto::Moment;
use ws_server_mio::inspect;
use ws_server_mio::sys::Readiness;
use ws_server_mio::{Budget, ClientState, Endpoint, Options};

/// The most consecutive turns that do nothing although one was due.
const SPINS: usize = 64;

pub(in super::super) struct World {
    pub(super) rng: Rng,
    pub(super) kernel: Kernel,
    pub(super) time: Time,
    pub(super) endpoint: Endpoint,
    pub(super) app: Arc<Mutex<App>>,
    pub(super) hosts: Vec<Host>,
    /// Pending name lookups.
    pub(super) questions: Receiver<Question>,
    lookups: Vec<Question>,
    /// Any call may fail.
    pub(super) storm: bool,
    /// Turns run only when due.
    strict: bool,
    hasty: bool,
    /// Handlers panic, and the application catches it.
    panics: bool,
    spins: usize,
    trace: bool,
    /// What all speak through.
    layers: Option<Layers>,
}

pub(super) fn lock(app: &Mutex<App>) -> MutexGuard<'_, App> {
    app.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(in super::super) fn new(seed: u64, trace: bool, layers: Option<Layers>) -> Self {
        let mut rng = Rng::new(seed ^ 0xc11e);
        let kernel = Kernel::new(Rng::new(rng.next()));
        let chance = Rng::new(rng.next());
        let bounded = rng.percent(50);
        let time = Time::new(if bounded { rng.pick(&[100, 1000, 10_000]) } else { 0 });
        let budget = Budget::server().bytes_per_visit(rng.pick(&[1, 20, 1000, 256 << 10]));
        let budget = budget.time(bounded.then(|| Duration::from_micros(rng.pick(&[1, 50, 500]))));
        let (clock, wall) = (time.clone(), time.clone());
        let options =
            Options::default().budget(budget).clock(move || clock.look()).wall_clock(move || wall.wall());
        let (system, questions) = FakeSystem::new(&kernel, chance, rng.within(1, 4));
        let endpoint = Endpoint::with_system(options.resolve_names(), system).unwrap();
        let hasty = rng.percent(20);
        let app = App::new(Rng::new(rng.next()), kernel.clone(), hasty, trace, layers.clone());
        Self {
            strict: rng.percent(70),
            panics: rng.percent(30),
            rng,
            kernel,
            time,
            endpoint,
            app: Arc::new(Mutex::new(app)),
            hosts: Vec::new(),
            questions,
            lookups: Vec::new(),
            storm: true,
            hasty,
            spins: 0,
            trace,
            layers,
        }
    }

    /// Runs everything.
    pub(in super::super) fn run(&mut self) {
        let steps = self.rng.within(50, 250);
        for _ in 0..steps {
            self.step();
        }
        self.settle();
        self.part();
        self.nothing_is_left();
    }

    pub(super) fn app(&self) -> MutexGuard<'_, App> {
        lock(&self.app)
    }

    pub(super) fn trace(&self, text: impl FnOnce() -> String) {
        if self.trace {
            println!("{:?} {}", self.time.now().since(Moment::default()), text());
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
        (self.kernel.lock().calls, self.app().events, bytes)
    }

    pub(super) fn turn(&mut self) {
        let before = self.progress();
        let woken = self.kernel.lock().woken;
        self.trace(|| "turn".to_owned());
        // Reports about an earlier socket of this slot.
        if self.storm && self.rng.percent(3) {
            let slot = self.rng.below(8);
            let mut flag = || self.rng.percent(50);
            let (readable, writable) = (flag(), flag());
            let stale = Readiness { readable, writable, read_closed: flag(), error: flag() };
            self.kernel.lock().stale.push((Token(slot), stale));
        }
        let (app, trace, panics, rng) = (&self.app, self.trace, self.panics, &mut self.rng);
        let start = self.time.now();
        let turn = catching(|| {
            self.endpoint.poll(Some(Duration::ZERO), |connections, event| {
                if trace {
                    println!("    {event:?}");
                }
                lock(app).handle(connections, event);
                if panics && rng.percent(5) {
                    panic_in_handler();
                }
            })
        });
        if turn.is_some_and(|turn| turn.unwrap().more) {
            assert_eq!(self.endpoint.next_timeout(), Some(Duration::ZERO));
        }
        self.check();
        check_times(self.endpoint.connections(), start);
        let reported = std::mem::take(&mut self.kernel.lock().reported);
        self.trace(|| format!("reported {reported:?}"));
        let did = woken || before != self.progress() || !reported.is_empty();
        self.spins = if did { 0 } else { self.spins + 1 };
        assert!(self.spins < SPINS, "turns are due, and do nothing");
        self.receive_calls();
    }

    fn check(&mut self) {
        let now = self.time.now();
        let connections = self.endpoint.connections();
        checks::check(connections, &self.kernel);
        check(connections, &lock(&self.app), now);
    }

    /// Gives each new socket a remote end.
    fn receive_calls(&mut self) {
        let sockets = self.kernel.lock().sockets.len();
        let now = self.time.now();
        while self.hosts.len() < sockets {
            let host = Host::new(self.hosts.len(), now, &mut self.rng, self.storm);
            if let (Some(layers), Kind::Server(_)) = (&self.layers, &host.kind) {
                self.kernel.lock().wrap(host.socket, (layers.of_peers)());
            }
            self.hosts.push(host);
        }
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.trace(|| format!("time passes: {by:?}"));
        self.time.advance(by);
        self.spins = 0;
    }

    pub(super) fn pump(&mut self) -> bool {
        self.receive_calls();
        let now = self.time.now();
        let mut moved = false;
        for host in &mut self.hosts {
            moved |= host.pump(&self.kernel, now, &mut lock(&self.app));
        }
        moved
    }

    /// Does one random act.
    fn step(&mut self) {
        match self.rng.below(100) {
            0..12 => self.act(),
            12..22 => self.host_acts(),
            22..40 => drop(self.pump()),
            40..56 => {
                let all = self.rng.percent(30);
                for id in 0..self.hosts.len() {
                    if self.rng.percent(50) {
                        self.kernel.lock().progress(id, all);
                    }
                }
            }
            56..84 => {
                if self.is_called() || !self.strict && self.rng.percent(10) {
                    self.turn();
                }
            }
            84..88 => {
                let most = if self.hasty { 300_000 } else { 5_000 };
                let by = Duration::from_micros(self.rng.below(most) as u64);
                self.advance(by);
            }
            88..90 => drop(self.pass(Duration::from_secs(40))),
            90..95 => drop(self.answer_a_name()),
            95..97 => {
                let targets = [pool(), localhost()].concat();
                let target = Some(self.rng.pick(&targets)).filter(|_| !self.rng.percent(10));
                let outcome = self.rng.pick(&DIAL_OUTCOMES);
                self.kernel.lock().outcomes.insert(target, outcome);
            }
            97 => {
                let mut kernel = self.kernel.lock();
                kernel.no_descriptors = kernel.rng.percent(30);
            }
            98 => {
                // The machine sleeps; that is checked once a second.
                self.time.sleep();
                self.advance(Duration::from_millis(if self.hasty { 1000 } else { 1 }));
            }
            _ => inspect::free_memory(self.endpoint.connections()),
        }
    }

    /// The application acts between turns, or in a job.
    fn act(&mut self) {
        if self.rng.percent(30) {
            let app = self.app.clone();
            let job = move |connections: &mut _| lock(&app).act(connections);
            self.endpoint.remote().run(job).unwrap();
            return;
        }
        lock(&self.app).act(self.endpoint.connections());
        self.check();
        self.receive_calls();
    }

    /// The time until the next deadline; if that is within `most`, lets it pass and returns true.
    pub(super) fn pass(&mut self, most: Duration) -> bool {
        let now = self.time.now();
        let hosts = self.hosts.iter().filter(|host| host.is_there(&self.kernel)).filter_map(Host::timeout);
        let hosts = hosts.map(|at| at.since(now));
        let Some(next) = self.endpoint.next_timeout().into_iter().chain(hosts).min() else { return false };
        if next > most {
            return false;
        }
        self.advance(next);
        true
    }

    /// Answers a pending lookup: with all its addresses, some, none or an error; perhaps again later.
    pub(super) fn answer_a_name(&mut self) -> bool {
        self.lookups.extend(self.questions.try_iter());
        if self.lookups.is_empty() {
            return false;
        }
        let at = self.rng.below(self.lookups.len());
        let host = self.lookups[at].0.clone();
        let mut addresses = named(&host);
        self.rng.shuffle(&mut addresses);
        let answer = match self.storm {
            true if self.rng.percent(20) => Err(io::ErrorKind::NotFound),
            true => {
                addresses.truncate(self.rng.below(4));
                Ok(addresses)
            }
            false => Ok(addresses),
        };
        self.trace(|| format!("the name {host} leads to {answer:?}"));
        let answer = answer.map_err(io::Error::from);
        (self.lookups[at].1)(answer);
        if self.rng.percent(50) {
            self.turn();
        }
        if !self.storm || self.rng.percent(60) {
            drop(self.lookups.swap_remove(at));
        }
        self.receive_calls();
        true
    }

    /// Lets some host act.
    fn host_acts(&mut self) {
        let there: Vec<_> =
            (0..self.hosts.len()).filter(|id| self.hosts[*id].is_there(&self.kernel)).collect();
        if there.is_empty() {
            return;
        }
        let host = &mut self.hosts[self.rng.pick(&there)];
        let (now, kernel) = (self.time.now(), &self.kernel);
        match self.rng.below(100) {
            0..40 => host.send_news(&mut lock(&self.app)),
            40..50 => host.reads = !host.reads,
            50..58 => host.ping(now),
            58..72 => host.close(now, self.rng.pick(&[1000, 1001, 1008, 1012, 4001])),
            72..78 => host.half_close(kernel),
            78..84 => host.leave(kernel),
            84..90 => host.reset(kernel),
            90..95 => host.vanished = true,
            _ => {
                let bytes: [&[u8]; 3] = [b"\xff\xff\xff", b"\x81\x05", b"\x83\x80\0\0\0\0"];
                host.send_raw(kernel, self.rng.pick(&bytes));
            }
        }
        self.trace(|| "a host acted".to_owned());
    }

    /// Whether every client that wants a connection has one, and everything on it was sent and received.
    pub(super) fn is_settled(&mut self) -> bool {
        let app = lock(&self.app);
        let connections = self.endpoint.connections();
        app.clients.iter().all(|(id, known)| match connections.client(*id).state() {
            ClientState::Idle => true,
            ClientState::Open => known.connection.is_some_and(|at| {
                let socket = app.ids[&at];
                let record = &app.records[&socket];
                let all = record.received == record.lengths.len() && record.got == record.said.len();
                all && matches!(self.hosts[socket].kind, Kind::Server(_))
            }),
            _ => false,
        })
    }
}
