//! A window's frames painted in time, while peers flood the endpoint in the same thread.

use crate::flood::{Flood, Tally};
use crate::table::Table;
use crate::tls;
use crate::visits::Visits;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::error::Error;
use std::hint::spin_loop;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use ws_bench::system::{self, Stolen};
use ws_server_mio::tls::TlsServer;
use ws_server_mio::{Bind, Budget, Connections, Endpoint, Event, Options, ServerConfig};

const FRAME: Duration = Duration::from_nanos(1_000_000_000 / 60);
const PAINTING: Duration = Duration::from_millis(3);

/// The readings of the endpoint's clock, in nanoseconds: the first of the current turn, and the last.
#[derive(Clone)]
struct Readings(Arc<(Instant, AtomicU64, AtomicU64)>);

impl Readings {
    fn new() -> Self {
        Self(Arc::new((Instant::now(), AtomicU64::new(0), AtomicU64::new(0))))
    }

    fn read(&self) -> Instant {
        let (origin, first, last) = &*self.0;
        let now = Instant::now();
        let nanos = (now - *origin).as_nanos() as u64;
        if first.load(Ordering::Relaxed) == 0 {
            first.store(nanos, Ordering::Relaxed);
        }
        last.store(nanos, Ordering::Relaxed);
        now
    }

    fn begin_turn(&self) {
        self.0.1.store(0, Ordering::Relaxed);
    }

    /// How far into its turn the endpoint last read the clock.
    fn since_turn_began(&self) -> Duration {
        let (_, first, last) = &*self.0;
        Duration::from_nanos(last.load(Ordering::Relaxed) - first.load(Ordering::Relaxed))
    }
}

/// The state and counts of the handler.
#[derive(Default)]
struct App {
    work: Duration,
    /// The time budget, if any.
    time: Option<Duration>,
    messages: u64,
    rejected: u64,
    /// Events that started after a reading past the budget.
    late: u64,
}

impl App {
    fn handle(&mut self, readings: &Readings, connections: &mut Connections, event: Event<'_>) {
        self.late += u64::from(self.time.is_some_and(|time| readings.since_turn_began() >= time));
        if let Event::Message(id, message) = event {
            busy(self.work);
            self.messages += 1;
            self.rejected += u64::from(connections.send(id, message).is_err());
        }
    }
}

fn busy(time: Duration) {
    if !time.is_zero() {
        let start = Instant::now();
        while start.elapsed() < time {
            spin_loop();
        }
    }
}

/// The result of a run of frames.
#[derive(Default)]
struct Run {
    /// How late each frame began, and the same without stolen time.
    late: Vec<Duration>,
    own: Vec<Duration>,
    /// As long as requested, plus the rest of the last turn.
    elapsed: Duration,
    turns: u64,
    events: u64,
    worst: Duration,
    worst_own: Duration,
}

impl Run {
    fn on_time(late: &[Duration]) -> usize {
        late.iter().filter(|late| **late < FRAME).count()
    }
}

/// The loop of a window: painting has priority, then turns of the endpoint, then waiting.
fn frames(endpoint: &mut Endpoint, app: &mut App, readings: &Readings, time: Duration) -> io::Result<Run> {
    let mut run = Run::default();
    let stolen = Stolen::of_this_thread();
    let start = Instant::now();
    let mut due = start + FRAME;
    let mut before = (start, stolen.time());
    let mut turned = false;
    let mut more = true;
    while due < start + time {
        let now = Instant::now();
        // The duration of the last step, and how much of it other processes took.
        let (wall, total) = (now - before.0, stolen.time());
        let step_stolen = total - before.1;
        before = (now, total);
        if std::mem::take(&mut turned) {
            run.worst = run.worst.max(wall);
            run.worst_own = run.worst_own.max(wall.saturating_sub(step_stolen));
        }
        if now >= due {
            // If several are due, one is painted, and the rest are missed.
            while due <= now {
                run.late.push(now - due);
                run.own.push((now - due).saturating_sub(step_stolen));
                due += FRAME;
            }
            busy(PAINTING);
        } else if more {
            readings.begin_turn();
            let handler = |connections: &mut Connections, event: Event<'_>| {
                app.handle(readings, connections, event);
            };
            let turn = endpoint.poll(Some(Duration::ZERO), handler)?;
            (turned, more) = (true, turn.more);
            run.turns += 1;
            run.events += u64::from(turn.events);
        } else {
            let wait = endpoint.next_timeout().map_or(due - now, |timeout| timeout.min(due - now));
            let limit = Timespec { tv_sec: 0, tv_nsec: wait.as_nanos() as i64 };
            more = poll(&mut [PollFd::new(endpoint, PollFlags::IN)], Some(&limit))? > 0 || wait < due - now;
        }
    }
    run.elapsed = start.elapsed();
    Ok(run)
}

struct Case {
    name: &'static str,
    budget: Budget,
}

fn cases() -> Vec<Case> {
    let time = |name, micros| {
        let budget = Budget::ui().time(Duration::from_micros(micros));
        Case { name, budget }
    };
    vec![
        Case { name: "ui (1 ms)", budget: Budget::ui() },
        time("0.5 ms", 500),
        time("2 ms", 2_000),
        time("4 ms", 4_000),
        Case { name: "none", budget: Budget::server() },
    ]
}

/// Exact counts, whatever the machine does.
fn faults(
    tallies: &[Tally],
    visits: Option<Visits>,
    clients: usize,
    rejected: u64,
    late: u64,
) -> Vec<String> {
    let mut faults = Vec::new();
    let mut count = |what: &str, n: u64| {
        if n > 0 {
            faults.push(format!("{n} {what}"));
        }
    };
    count("messages lost", lost(tallies));
    count("answers wrong", tallies.iter().map(|tally| tally.wrong).sum());
    count("sends rejected", rejected);
    count("silent clients", (clients - tallies.len()) as u64);
    count("clients not served", tallies.iter().filter(|tally| tally.served == 0).count() as u64);
    count("events after the budget", late);
    count("visits unfinished", visits.map_or(0, |visits| visits.begun - visits.finished));
    faults
}

fn lost(tallies: &[Tally]) -> u64 {
    tallies.iter().map(|tally| tally.sent - tally.answered).sum()
}

fn millis(durations: &mut [Duration]) -> String {
    durations.sort_unstable();
    let at = |percent: usize| durations.get((durations.len() * percent).div_ceil(100).saturating_sub(1));
    let cell =
        |percent| at(percent).map_or("-".to_owned(), |time| format!("{:.2}", time.as_secs_f64() * 1e3));
    format!("{} {} {}", cell(50), cell(99), cell(100))
}

pub fn run(quick: bool, work: u64, with_tls: bool) -> Result<(), Box<dyn Error>> {
    system::pin(0);
    system::raise_descriptors();
    let time = Duration::from_secs(if quick { 1 } else { 5 });
    let floods: &[(usize, usize)] =
        if quick { &[(16, 16), (100, 1024)] } else { &[(16, 16), (16, 1024), (100, 16), (100, 1024)] };
    let mut table = Table::new(&[
        "clients",
        "bytes",
        "budget",
        "frames",
        "on time",
        "own",
        "late ms p50 p99 max",
        "own ms p50 p99 max",
        "worst turn",
        "own",
        "events/turn",
        "messages/s",
        "share min/max",
        "lost",
        "late events",
        "visits/s begun served",
    ]);
    let certificate = if with_tls { Some(tls::certificate()?) } else { None };
    let mut faults_of = Vec::new();
    for &(clients, size) in floods {
        for case in cases().into_iter().take(if quick { 1 } else { usize::MAX }) {
            let readings = Readings::new();
            let clock = readings.clone();
            let time_budget = case.budget.get_time();
            let mut endpoint =
                Endpoint::with(Options::server().budget(case.budget).clock(move || clock.read()))?;
            let mut config = ServerConfig::new();
            if let Some([chain, key]) = &certificate {
                config = config.tls(TlsServer::from_pem(chain, key)?);
            }
            let server = endpoint.connections().listen(Bind::localhost(), config)?;
            let address = endpoint.connections().server(server).local_addr().ok_or("no address")?;
            let mut app = App { work: Duration::from_micros(work), time: time_budget, ..App::default() };
            let trusted = certificate.as_ref().map(|[chain, _]| chain.as_str());
            let mut flood = Flood::start(address, clients, size, trusted)?;
            // Opening and draining are not measured.
            let turn = |app: &mut App, endpoint: &mut Endpoint| {
                let wait = Some(Duration::from_millis(1));
                endpoint.poll(wait, |connections, event| app.handle(&readings, connections, event)).map(drop)
            };
            flood.until("ready", || turn(&mut app, &mut endpoint))?;
            flood.send("go")?;
            (app.messages, app.late) = (0, 0);
            let mut run = frames(&mut endpoint, &mut app, &readings, time)?;
            let (messages, late) = (app.messages, app.late);
            flood.send("stop")?;
            let printed = flood.until("done", || turn(&mut app, &mut endpoint))?;
            let (tallies, visits) = (Flood::tallies(&printed), Flood::visits(&printed));
            let served = || tallies.iter().map(|tally| tally.served);
            let (least, most) = (served().min().unwrap_or(0), served().max().unwrap_or(0));
            let (due, on_time) = (run.late.len(), Run::on_time(&run.late));
            let percent = |n: usize| format!("{:.1} %", 100.0 * n as f64 / due as f64);
            let ms = |time: Duration| format!("{:.2}", time.as_secs_f64() * 1e3);
            table.row(vec![
                clients.to_string(),
                size.to_string(),
                case.name.to_owned(),
                due.to_string(),
                percent(on_time),
                percent(Run::on_time(&run.own)),
                millis(&mut run.late),
                millis(&mut run.own),
                ms(run.worst),
                ms(run.worst_own),
                format!("{:.0}", run.events as f64 / run.turns as f64),
                format!("{:.0}", messages as f64 / run.elapsed.as_secs_f64()),
                format!("{:.2}", least as f64 / most as f64),
                lost(&tallies).to_string(),
                time_budget.map_or("-".to_owned(), |_| late.to_string()),
                visits.map_or("-".to_owned(), |visits| {
                    let second = |n: u64| n as f64 / run.elapsed.as_secs_f64();
                    format!("{:.0} {:.0}", second(visits.begun), second(visits.served))
                }),
            ]);
            let row = format!("{clients} clients, {size} bytes, {}", case.name);
            faults_of.extend(
                faults(&tallies, visits, clients, app.rejected, late)
                    .iter()
                    .map(|fault| format!("{row}: {fault}")),
            );
        }
    }
    table.print();
    if faults_of.is_empty() { Ok(()) } else { Err(faults_of.join("\n").into()) }
}
