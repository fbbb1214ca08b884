//! Many of our clients on one endpoint: the cost of connecting, keeping and using them.

use crate::idle::{SETTLE, Server};
use crate::table::Table;
use rustix::process::getpid;
use std::error::Error;
use std::io;
use std::time::{Duration, Instant};
use ws_bench::system;
use ws_server_mio::{ClientConfig, Connections, Endpoint, Event, Options};

const CLIENTS: u64 = 1_000;
/// Connections in flight at a time: a listener's backlog is short.
const AT_A_TIME: usize = 64;
/// Only a hang takes this long.
const HANG: Duration = Duration::from_secs(60);
const MESSAGE: &[u8] = b"sixteen bytes ..";

/// The state and counts of the handler.
struct App {
    url: String,
    wanted: usize,
    started: usize,
    open: usize,
    /// Each echo is followed by the next message.
    echoing: bool,
    echoes: u64,
    faults: Vec<String>,
}

impl App {
    fn connect(&mut self, connections: &mut Connections) {
        while self.started < self.wanted && self.started < self.open + AT_A_TIME {
            self.started += 1;
            if let Err(error) = connections.connect(self.url.as_str(), ClientConfig::new()) {
                self.faults.push(error.to_string());
            }
        }
    }

    fn handle(&mut self, connections: &mut Connections, event: Event<'_>) {
        match event {
            Event::Open(..) => {
                self.open += 1;
                self.connect(connections);
            }
            Event::Message(id, message) => {
                self.echoes += 1;
                if message.as_bytes() != MESSAGE {
                    self.faults.push("a wrong echo".into());
                }
                if self.echoing
                    && let Err(error) = connections.send(id, message)
                {
                    self.faults.push(error.to_string());
                }
            }
            Event::Closed(_, closed) => self.faults.push(closed.to_string()),
            Event::ConnectFailed { error, .. } => self.faults.push(error.to_string()),
            _ => {}
        }
    }
}

/// Runs turns until the condition holds; returns the first fault.
fn until(endpoint: &mut Endpoint, app: &mut App, done: impl Fn(&App) -> bool) -> io::Result<()> {
    let start = Instant::now();
    while !done(app) {
        if start.elapsed() > HANG {
            app.faults.push("timed out".into());
        }
        if let Some(fault) = app.faults.first() {
            return Err(io::Error::other(fault.clone()));
        }
        endpoint
            .poll(Some(Duration::from_millis(10)), |connections, event| app.handle(connections, event))?;
    }
    Ok(())
}

pub fn run(quick: bool, clients: Option<u64>) -> Result<(), Box<dyn Error>> {
    let clients = clients.unwrap_or(if quick { 100 } else { CLIENTS });
    let time = Duration::from_secs(if quick { 1 } else { 5 });
    let descriptors = system::raise_descriptors();
    if clients + 64 > descriptors {
        return Err(format!("this process may have {descriptors} descriptors; see `ulimit -Hn`").into());
    }
    let server = Server::start(&["serve-idle", "mio", "default"])?;
    system::pin(0);
    let mut endpoint = Endpoint::with(Options::server())?;
    let mut app = App {
        url: format!("ws://{}/", server.address),
        wanted: 1,
        started: 0,
        open: 0,
        echoing: false,
        echoes: 0,
        faults: Vec::new(),
    };
    let settled = |since: Instant| move |_: &App| since.elapsed() >= SETTLE;
    // The first client pays the one-time costs.
    app.connect(endpoint.connections());
    until(&mut endpoint, &mut app, |app| app.open == app.wanted)?;
    until(&mut endpoint, &mut app, settled(Instant::now()))?;

    let pid = getpid();
    let (empty, cpu, start) = (system::resident(pid)?, system::process_time(pid)?, Instant::now());
    app.wanted += clients as usize;
    app.connect(endpoint.connections());
    until(&mut endpoint, &mut app, |app| app.open == app.wanted)?;
    let (connecting, wall) = (system::process_time(pid)? - cpu, start.elapsed());
    until(&mut endpoint, &mut app, settled(Instant::now()))?;
    let idle = system::resident(pid)?.saturating_sub(empty) / clients;

    app.echoing = true;
    let ids: Vec<_> = endpoint.clients().collect();
    let (cpu, start) = (system::process_time(pid)?, Instant::now());
    let mut sent = 0;
    for client in ids {
        let connections = endpoint.connections();
        if let Some(id) = connections.client(client).connection() {
            connections.send(id, str::from_utf8(MESSAGE)?)?;
            sent += 1;
        }
    }
    until(&mut endpoint, &mut app, |_| start.elapsed() >= time)?;
    let (echoing, echoes) = (system::process_time(pid)? - cpu, app.echoes);
    app.echoing = false;
    // One message of each client is still in flight.
    until(&mut endpoint, &mut app, |app| app.echoes >= echoes + sent)?;

    let micros = |time: Duration, count: u64| format!("{:.2}", time.as_secs_f64() * 1e6 / count as f64);
    let mut table =
        Table::new(&["clients", "connects/s", "connect CPU µs", "bytes idle", "echoes/s", "echo CPU µs"]);
    table.row(vec![
        clients.to_string(),
        format!("{:.0}", clients as f64 / wall.as_secs_f64()),
        micros(connecting, clients),
        idle.to_string(),
        format!("{:.0}", echoes as f64 / time.as_secs_f64()),
        micros(echoing, echoes),
    ]);
    table.print();
    Ok(())
}
