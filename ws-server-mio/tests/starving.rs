//! No kind of work in a turn starves another, however little time a turn has. The system and the clock are fakes.
#![cfg(feature = "deflate")]
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::{Clock, PONG, TEXT, frame, handshake, with_fields};
use mio::Token;
use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use ws_proto::deflate::{Direction, Terms};
use ws_proto::{Connection, HeartbeatKind, Moment, Role};
use ws_server_mio::sys::{Accepted, Answer, Listener, Poller, Readiness, Socket, System, WAKER, Wake};
use ws_server_mio::{
    Bind, Budget, ClientConfig, ClientId, Config, Connections, Deflate, Endpoint, Event, Folder, Heartbeat,
    ListenError, Message, Options, Reconnect, Remote, ServerConfig, ServerId,
};

/// Kinds of work, each with its own source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// A peer that gets more whenever its output is drained.
    Writes,
    /// A client that is retried by the handler of its failure.
    Notices,
    /// A client that retries after a while.
    Clients,
    Jobs,
    /// A server that is stopped, and then replaced.
    Servers,
    Accepts,
    /// A peer that sends decompression bombs.
    Inflating,
    /// A peer that floods.
    Reads,
    Files,
    /// A connection with a heartbeat.
    Deadlines,
    Timers,
}

use Kind::*;

const KINDS: [Kind; 11] =
    [Writes, Notices, Clients, Jobs, Servers, Accepts, Inflating, Reads, Files, Deadlines, Timers];

/// The kinds whose source is a peer of the main server.
const PEERS: [Kind; 5] = [Writes, Inflating, Reads, Files, Deadlines];

/// How many units of each kind of work were done.
#[derive(Clone, Default)]
struct Done(Arc<[AtomicUsize; KINDS.len()]>);

impl Done {
    fn add(&self, kind: Kind) {
        self.0[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn all(&self) -> BTreeMap<Kind, usize> {
        KINDS.into_iter().map(|kind| (kind, self.0[kind as usize].load(Ordering::Relaxed))).collect()
    }
}

/// A peer that accepts all output, and sends `once`, then `forever` in a loop.
struct Fake {
    kind: Kind,
    once: Vec<u8>,
    forever: Vec<u8>,
    at: Mutex<usize>,
    system: Fakes,
}

impl Socket for Fake {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.system.tokens.lock().unwrap().push(token);
        Ok(())
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut at = self.at.lock().unwrap();
        let rest = match self.once.get(*at..) {
            Some(rest) if !rest.is_empty() => rest,
            _ if self.forever.is_empty() => return Err(io::ErrorKind::WouldBlock.into()),
            _ => &self.forever[(*at - self.once.len()) % self.forever.len()..],
        };
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        *at += n;
        Ok(n)
    }

    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if matches!(self.kind, Files | Deadlines) {
            self.system.done.add(self.kind);
        }
        if slices[0].starts_with(&[PONG, 0]) {
            self.system.pongs.fetch_add(1, Ordering::Relaxed);
        }
        Ok(slices.iter().map(|slice| slice.len()).sum())
    }

    fn shutdown(&self) -> io::Result<()> {
        Ok(())
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(None)
    }

    fn short_transfer_is_last(&self) -> bool {
        false
    }
}

/// A system with sockets that are always ready.
#[derive(Clone)]
struct Fakes {
    done: Done,
    /// How many writes began with a heartbeat.
    pongs: Arc<AtomicUsize>,
    /// What an attacker sends repeatedly.
    bomb: Arc<[u8]>,
    /// No socket is ready.
    quiet: Arc<AtomicBool>,
    /// The listeners that are opened next, the last one first.
    listeners: Arc<Mutex<Vec<Peers>>>,
    tokens: Arc<Mutex<Vec<Token>>>,
}

impl System for Fakes {
    fn poller(&mut self) -> (Box<dyn Poller>, Wake) {
        (Box::new(self.clone()), Box::new(|| Ok(())))
    }

    fn listen(&mut self, _: &Bind) -> Result<Vec<Box<dyn Listener>>, ListenError> {
        let listener = self.listeners.lock().unwrap().pop();
        Ok(listener.into_iter().map(|listener| Box::new(listener) as Box<dyn Listener>).collect())
    }

    fn connect(&mut self, address: Option<SocketAddr>) -> io::Result<Box<dyn Socket>> {
        if address.unwrap().port() == 2 {
            self.done.add(Clients);
        }
        Err(io::ErrorKind::ConnectionRefused.into())
    }

    fn look_up(&mut self, _: &str, _: Answer) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn random(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        bytes.fill(7);
        Ok(())
    }
}

impl Poller for Fakes {
    fn wait(&mut self, _: Option<Duration>, ready: &mut Vec<(Token, Readiness)>) -> io::Result<()> {
        let readiness = Readiness { readable: true, writable: true, ..Readiness::default() };
        ready.push((WAKER, readiness));
        if !self.quiet.load(Ordering::Relaxed) {
            ready.extend(self.tokens.lock().unwrap().iter().map(|token| (*token, readiness)));
        }
        Ok(())
    }
}

/// A listener at which these peers wait, then, if it is flooded, an endless queue of others.
struct Peers {
    waiting: Vec<Fake>,
    flooded: usize,
    system: Fakes,
}

impl Listener for Peers {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.system.tokens.lock().unwrap().push(token);
        Ok(())
    }

    fn accept(&mut self) -> io::Result<Accepted> {
        let address = Some(SocketAddr::from(([192, 0, 2, 1], 1000)));
        if let Some(peer) = self.waiting.pop() {
            return Ok((Box::new(peer), address));
        }
        if self.flooded == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.system.done.add(Accepts);
        Ok((Box::new(peer(Accepts, &self.system)), address))
    }
}

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n";

fn peer(kind: Kind, system: &Fakes) -> Fake {
    let upgrade = || handshake(SocketAddr::from(([127, 0, 0, 1], 80)), "/");
    let (once, forever) = match kind {
        Writes => ([upgrade(), frame(TEXT, b"start")].concat(), Vec::new()),
        Inflating => (with_fields(upgrade(), OFFER), system.bomb.to_vec()),
        Reads => (upgrade(), frame(TEXT, b"flood").repeat(100)),
        Files => (b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(), Vec::new()),
        Deadlines => (upgrade(), Vec::new()),
        _ => (Vec::new(), Vec::new()),
    };
    Fake { kind, once, forever, at: Mutex::new(0), system: system.clone() }
}

/// A message of zeros, compressed.
fn bomb(len: usize) -> Vec<u8> {
    const ALONE: Direction = Direction { context_takeover: false, window_bits: 15 };
    let config = Config::client().deflate(Deflate::new().level(9)).outbox(0, 1, 1 << 26);
    let mut client =
        Connection::upgraded(Moment::default(), Arc::new(config), Role::Client { seed: [3; 32] });
    client.compress_by(Terms { ours: ALONE, theirs: ALONE });
    client.send(vec![0; len]).unwrap();
    bytes::Buf::chunk(client.outbox()).to_vec()
}

/// A folder with a file too large to be read to its end.
fn folder(name: &str) -> (PathBuf, Folder) {
    let path = std::env::temp_dir().join(format!("ws-server-mio-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    std::fs::File::create(path.join("big")).unwrap().set_len(1 << 40).unwrap();
    let folder = Folder::new(&path).unwrap();
    (path, folder)
}

/// Sets a timer that sets itself again.
fn rearm(connections: &mut Connections, done: Done) {
    done.add(Timers);
    let _ = connections.after(Duration::ZERO, move |connections| rearm(connections, done));
}

/// Queues a job that queues itself again.
fn requeue(remote: Remote, done: Done) {
    let again = remote.clone();
    let job = move |_: &mut Connections| {
        done.add(Jobs);
        requeue(again, done);
    };
    let _ = remote.run(job);
}

/// How far the clock advances before each turn.
const FRAME: Duration = Duration::from_millis(16);
/// How many times the clock is read in the unit of work that ends a turn, and after it.
const UNIT: u32 = 8;
/// No connection here may time out.
const HOUR: Duration = Duration::from_secs(3600);

/// An endpoint with endless work of each kind.
struct Rig {
    clock: Clock,
    endpoint: Endpoint,
    budget: Duration,
    reading: Duration,
    main: ServerId,
    path: PathBuf,
    folder: Folder,
    blob: Vec<u8>,
    done: Done,
    system: Fakes,
    retrying: Vec<ClientId>,
    stopped: bool,
}

impl Rig {
    /// Each reading of the clock takes some time. There are as many sources of each kind as `count` returns.
    fn new(budget: Duration, reading: Duration, count: impl Fn(Kind) -> usize) -> Self {
        // A bomb of several shares.
        Self::with_bombs(512 << 10, budget, reading, count)
    }

    fn with_bombs(len: usize, budget: Duration, reading: Duration, count: impl Fn(Kind) -> usize) -> Self {
        let clock = Clock::default();
        let system = Fakes {
            done: Done::default(),
            pongs: Arc::default(),
            bomb: bomb(len).into(),
            quiet: Arc::default(),
            listeners: Arc::default(),
            tokens: Arc::default(),
        };
        let done = system.done.clone();
        let given = clock.clone();
        let options = Options::ui().budget(Budget::ui().time(budget)).clock(move || {
            given.pass(reading);
            given.now()
        });
        let mut endpoint = Endpoint::with_system(options, system.clone()).unwrap();
        let peers = PEERS.into_iter().flat_map(|kind| (0..count(kind)).map(move |_| kind));
        let waiting = peers.map(|kind| peer(kind, &system)).collect();
        system.listeners.lock().unwrap().push(Peers { waiting, flooded: 0, system: system.clone() });
        let heartbeat = Heartbeat::frequent().kind(HeartbeatKind::Pong).idle(Duration::from_millis(1));
        let config = ServerConfig::new()
            .max_handshakes(1000)
            .max_per_address(None)
            .outbox(1, 10, 1 << 20)
            .frame_rate(None)
            .message_rate(None)
            .keep_alive(HOUR)
            .handshake_timeout(HOUR)
            .answer_timeout(HOUR)
            .output_timeout(HOUR)
            .deflate(Deflate::new().inflate_rate(None))
            .heartbeat(heartbeat);
        let connections = endpoint.connections();
        let main = connections.listen(Bind::localhost(), config).unwrap();
        let flooded = count(Accepts);
        system.listeners.lock().unwrap().push(Peers { waiting: Vec::new(), flooded, system: system.clone() });
        let crowded = ServerConfig::new().max_connections(1).handshake_timeout(HOUR);
        connections.listen(Bind::localhost(), crowded).unwrap();
        for _ in 0..count(Servers) {
            stop_another(connections);
        }
        let mut connect = |kind: Kind, url: &str, config: &ClientConfig| -> Vec<ClientId> {
            (0..count(kind)).map(|_| connections.connect(url, config.clone()).unwrap()).collect()
        };
        let retrying = connect(Notices, "ws://192.0.2.1:1/", &ClientConfig::new());
        let wait = Duration::from_millis(1);
        let policy = Reconnect::new().wait(wait, wait);
        connect(Clients, "ws://192.0.2.1:2/", &ClientConfig::new().reconnect(policy));
        for _ in 0..count(Timers) {
            rearm(connections, done.clone());
        }
        for _ in 0..count(Jobs) {
            requeue(endpoint.remote(), done.clone());
        }
        let name =
            format!("starving-{}-{}", budget.as_nanos(), KINDS.map(count).map(|n| n.to_string()).concat());
        let ((path, folder), blob) = (folder(&name), vec![7; 100_000]);
        Self {
            clock,
            endpoint,
            budget,
            reading,
            main,
            path,
            folder,
            blob,
            done,
            system,
            retrying,
            stopped: false,
        }
    }

    fn turn(&mut self) {
        let Self { clock, endpoint, budget, reading, main, folder, blob, done, retrying, stopped, .. } = self;
        clock.pass(FRAME);
        let turn = endpoint.poll(Some(Duration::ZERO), |connections, event| match event {
            Event::Message(id, Message::Text(text)) if text == "start" => {
                drop(connections.send(id, &blob[..]))
            }
            Event::Message(_, Message::Text(_)) => done.add(Reads),
            Event::Message(_, Message::Binary(_)) => done.add(Inflating),
            Event::Drained(id) if connections.send(id, &blob[..]).is_ok() => done.add(Writes),
            Event::Request(id, request) => connections.respond_file(id, request, folder).unwrap(),
            Event::ConnectFailed { client, .. } if retrying.contains(&client) => {
                done.add(Notices);
                connections.client(client).reconnect();
            }
            Event::Stopped(server) if server == *main => *stopped = true,
            Event::Stopped(_) => {
                done.add(Servers);
                stop_another(connections);
            }
            _ => {}
        });
        let (turn, most) = (turn.unwrap(), *budget + *reading * UNIT);
        assert!(turn.elapsed <= most, "{turn:?}");
    }

    /// Runs turns, and checks that work of each kind was done in them.
    fn progress(&mut self, turns: usize, what: &str) {
        let before = self.done.all();
        (0..turns).for_each(|_| self.turn());
        for (kind, done) in self.done.all() {
            assert!(done > before[&kind], "{kind:?} starves: {what}");
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn stop_another(connections: &mut Connections) {
    let server = connections.listen(Bind::localhost(), ServerConfig::new()).unwrap();
    connections.server(server).stop(Duration::ZERO);
}

/// The time of a turn: from none at all to that of a few units of work.
const BUDGETS: [Duration; 3] = [Duration::ZERO, Duration::from_micros(100), Duration::from_millis(1)];

/// The time that a reading of the clock takes: ten are a millisecond.
const READING: Duration = Duration::from_micros(100);

#[test]
fn each_kind_of_work_progresses_although_one_is_endless() {
    for budget in BUDGETS {
        for endless in KINDS {
            let what = format!("{endless:?} is endless, and a turn has {budget:?}");
            let mut rig = Rig::new(budget, READING, |kind| if kind == endless { 40 } else { 1 });
            (0..3).for_each(|_| rig.progress(3000, &what));
        }
    }
}

#[test]
fn each_kind_of_work_progresses_although_all_are_endless() {
    for budget in BUDGETS {
        let mut rig = Rig::new(budget, READING, |_| 10);
        (0..3).for_each(|_| rig.progress(3000, &format!("all are endless, and a turn has {budget:?}")));
    }
}

#[test]
fn a_server_stops_at_its_deadline_although_all_other_work_is_endless() {
    let budget = Duration::from_millis(1);
    let mut rig = Rig::new(budget, Duration::from_micros(10), |_| 10);
    rig.progress(3000, "before the stop");
    let main = rig.main;
    let start = rig.clock.now();
    rig.endpoint.connections().server(main).stop(Duration::from_secs(1));
    while !rig.stopped {
        rig.turn();
        let late = (rig.clock.now() - start).saturating_sub(Duration::from_secs(1));
        assert!(late < 30 * FRAME, "it does not stop");
    }
    assert!(
        rig.clock.now() - start >= Duration::from_secs(1),
        "peers that do not close did not get all that time"
    );
}

#[test]
fn a_slow_handler_that_refills_each_drained_outbox_delays_no_heartbeat_of_its_peer() {
    // The handler alone takes longer than the turn may.
    let mut rig = Rig::new(Duration::ZERO, READING, |kind| usize::from(kind == Writes));
    (0..100).for_each(|_| rig.turn());
    for _ in 0..10 {
        let (drained, pongs) = (rig.done.all()[&Writes], rig.system.pongs.load(Ordering::Relaxed));
        (0..20).for_each(|_| rig.turn());
        assert!(rig.done.all()[&Writes] > drained);
        assert!(rig.system.pongs.load(Ordering::Relaxed) > pongs);
    }
}

#[test]
fn a_deadline_that_a_turn_did_not_reach_makes_another_turn_due() {
    let mut rig = Rig::new(Duration::ZERO, READING, |kind| usize::from(kind == Deadlines));
    (0..100).for_each(|_| rig.turn());
    rig.system.quiet.store(true, Ordering::Relaxed);
    (0..10).for_each(|_| rig.turn());
    let (mut unreached, has_job) = (0, Arc::new(AtomicBool::new(false)));
    for _ in 0..50 {
        let before = rig.done.all()[&Deadlines];
        rig.clock.pass(FRAME);
        // One job uses up the turn.
        if !has_job.swap(true, Ordering::Relaxed) {
            let has_job = has_job.clone();
            rig.endpoint.remote().run(move |_| has_job.store(false, Ordering::Relaxed)).unwrap();
        }
        let more = rig.endpoint.poll(Some(Duration::ZERO), |_, _| {}).unwrap().more;
        if rig.done.all()[&Deadlines] == before {
            assert!(more, "a heartbeat is due, and no turn is");
            unreached += 1;
        }
    }
    assert!(unreached > 10);
}

#[test]
fn peers_are_read_although_endless_bombs_take_a_turn_for_each_share() {
    let budget = Duration::ZERO;
    let count = |kind| if kind == Inflating { 20 } else { usize::from(kind == Reads) };
    let mut rig = Rig::with_bombs(8 << 20, budget, READING, count);
    (0..200).for_each(|_| rig.turn());
    for _ in 0..5 {
        let before = rig.done.all()[&Reads];
        (0..100).for_each(|_| rig.turn());
        assert!(rig.done.all()[&Reads] > before, "{:?}", rig.done.all());
    }
}
