//! The cost of idle connections: resident memory, and CPU.

use crate::peer::{BINARY, Peer, append};
use crate::table::Table;
use crate::tls;
use mio::{Events, Interest, Poll, Token};
use rustix::process::Pid;
use rustls::ClientConfig;
use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use ws_bench::system;
use ws_server_mio::tls::TlsServer;
use ws_server_mio::{Bind, Endpoint, Event, Heartbeat, Options, ServerConfig};
use ws_server_smol::Server as SmolServer;

const CLIENTS: u64 = 10_000;
/// Connections in flight at a time: a listener's backlog is short.
const AT_A_TIME: usize = 64;
const MESSAGE: usize = 16 << 10;
/// A server left alone for this long has settled: the memory of a busy time is freed.
pub const SETTLE: Duration = Duration::from_millis(500);
/// Longer than a handshake may take: each connection's timer has run by then.
const HANDSHAKES: Duration = Duration::from_secs(11);
/// Only a hang takes this long.
const HANG: Duration = Duration::from_secs(60);

/// The server's process: `mio|smol default|frequent|tls [CHAIN KEY]`. It prints its address, and serves until killed.
pub fn serve(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    system::raise_descriptors();
    let [adapter, preset, pem @ ..] = arguments else { return Err("serve-idle ADAPTER PRESET".into()) };
    let config = ServerConfig::new().max_connections(usize::MAX);
    let config = match (preset.as_str(), pem) {
        ("frequent", []) => config.heartbeat(Heartbeat::frequent()),
        ("tls", [chain, key]) => config.tls(TlsServer::from_pem(chain, key)?),
        _ => config,
    };
    if adapter == "smol" {
        return serve_async(config);
    }
    let mut endpoint = Endpoint::with(Options::server())?;
    let server = endpoint.connections().listen(Bind::localhost(), config)?;
    println!("{}", endpoint.connections().server(server).local_addr().ok_or("no address")?);
    endpoint.run(|connections, event| {
        if let Event::Message(id, message) = event {
            drop(connections.send(id, message))
        }
    })?;
    Ok(())
}

fn serve_async(config: ServerConfig) -> Result<(), Box<dyn Error>> {
    let server = SmolServer::bind(Bind::localhost(), config)?;
    println!("{}", server.local_addr().ok_or("no address")?);
    let echo = async |http: ws_server_smol::HttpConnection| {
        let Some(mut ws) = http.upgrade().await else { return };
        while let Some(Ok(message)) = ws.next().await {
            if ws.send(message).await.is_err() {
                return;
            }
        }
    };
    ws_server_smol::block_on(server.serve(echo));
    Ok(())
}

/// A server in a separate process.
pub struct Server {
    child: Child,
    pid: Pid,
    pub address: SocketAddr,
}

impl Server {
    pub fn start(arguments: &[&str]) -> Result<Self, Box<dyn Error>> {
        let mut child =
            Command::new(std::env::current_exe()?).args(arguments).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let pid = Pid::from_raw(child.id() as i32).ok_or("no process")?;
        Ok(Self { child, pid, address: line.trim().parse()? })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All clients of one server.
struct Crowd {
    poll: Poll,
    events: Events,
    peers: Vec<Peer>,
    buffer: Vec<u8>,
    /// Echoed bytes.
    echoed: usize,
    raw: bool,
    tls: Option<Arc<ClientConfig>>,
}

impl Crowd {
    fn new(raw: bool, tls: Option<Arc<ClientConfig>>) -> io::Result<Self> {
        let (poll, events) = (Poll::new()?, Events::with_capacity(1024));
        Ok(Self { poll, events, peers: Vec::new(), buffer: vec![0; 64 << 10], echoed: 0, raw, tls })
    }

    fn open(&mut self, server: SocketAddr, count: usize) -> io::Result<()> {
        while self.peers.len() < count {
            let from = self.peers.len();
            for index in from..count.min(from + AT_A_TIME) {
                let mut peer = Peer::connect(server, index, self.tls.as_ref())?;
                let both = Interest::READABLE | Interest::WRITABLE;
                self.poll.registry().register(&mut peer.stream, Token(index), both)?;
                match self.raw {
                    true => peer.open = true,
                    false => peer.send_handshake(server)?,
                }
                self.peers.push(peer);
            }
            self.until("connections", |crowd| crowd.peers[from..].iter().all(|peer| peer.open))?;
        }
        Ok(())
    }

    /// Half of them send a message, one after another, and read the echo.
    fn echo_half(&mut self) -> io::Result<()> {
        let message = vec![b'm'; MESSAGE];
        for index in (0..self.peers.len()).step_by(2) {
            let peer = &mut self.peers[index];
            match self.raw {
                true => peer.outbox().extend_from_slice(&message),
                false => append(peer.outbox(), BINARY, &message),
            }
            peer.flush()?;
            self.echoed = 0;
            self.until("an echo", |crowd| crowd.echoed >= MESSAGE)?;
        }
        Ok(())
    }

    fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) -> io::Result<()> {
        let start = Instant::now();
        while !done(self) {
            if start.elapsed() > HANG {
                return Err(io::Error::other(format!("timed out waiting for {what}")));
            }
            self.turn(Duration::from_secs(1))?;
        }
        Ok(())
    }

    /// Answers pings for this long.
    fn idle(&mut self, time: Duration) -> io::Result<()> {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.turn(left)?;
        }
        Ok(())
    }

    fn turn(&mut self, wait: Duration) -> io::Result<()> {
        let Self { poll, events, peers, buffer, echoed, raw, .. } = self;
        poll.poll(events, Some(wait))?;
        for event in &*events {
            let Some(peer) = peers.get_mut(event.token().0) else { continue };
            peer.flush()?;
            if *raw {
                *echoed += peer.read_raw(buffer)?;
            } else {
                peer.read(buffer, |first, payload| {
                    if first == BINARY {
                        *echoed += payload.len();
                    }
                })?;
            }
        }
        Ok(())
    }
}

struct Case {
    name: &'static str,
    server: &'static [&'static str],
    raw: bool,
    tls: bool,
}

impl Case {
    const fn new(name: &'static str, server: &'static [&'static str]) -> Self {
        Self { name, server, raw: false, tls: false }
    }
}

const CASES: [Case; 6] = [
    Case { raw: true, ..Case::new("floor: TCP on mio", &["serve-floor"]) },
    Case::new("mio", &["serve-idle", "mio", "default"]),
    Case::new("mio, frequent heartbeat", &["serve-idle", "mio", "frequent"]),
    Case { tls: true, ..Case::new("mio, TLS", &["serve-idle", "mio", "tls"]) },
    Case::new("smol", &["serve-idle", "smol", "default"]),
    Case { tls: true, ..Case::new("smol, TLS", &["serve-idle", "smol", "tls"]) },
];

pub fn run(quick: bool, clients: Option<u64>) -> Result<(), Box<dyn Error>> {
    let wanted = clients.unwrap_or(if quick { 1_000 } else { CLIENTS });
    // Longer than the heartbeat's 25 s: each connection gets one.
    let time = Duration::from_secs(if quick { 1 } else { 30 });
    let descriptors = system::raise_descriptors();
    let clients = wanted.min(descriptors.saturating_sub(64));
    if clients < wanted {
        println!("only {clients} clients: this process may have {descriptors} descriptors; see `ulimit -Hn`");
    }
    let mut table = Table::new(&[
        "server",
        "clients",
        "bytes idle",
        "after 16 KiB from half",
        "CPU µs/s idle",
        "connect CPU µs",
    ]);
    let [chain, key] = tls::certificate()?;
    let trusting = tls::trusting(&chain)?;
    for case in CASES {
        let mut arguments = case.server.to_vec();
        if case.tls {
            arguments.extend([chain.as_str(), key.as_str()]);
        }
        let server = Server::start(&arguments)?;
        let mut crowd = Crowd::new(case.raw, case.tls.then(|| trusting.clone()))?;
        // The first connection pays the one-time costs.
        crowd.open(server.address, 1)?;
        crowd.idle(SETTLE)?;
        let (empty, before) = (system::resident(server.pid)?, system::process_time(server.pid)?);
        crowd.open(server.address, 1 + clients as usize)?;
        let connecting = system::process_time(server.pid)? - before;
        crowd.idle(SETTLE)?;
        let each = |resident: u64| resident.saturating_sub(empty) / clients;
        let idle = each(system::resident(server.pid)?);
        if !quick {
            crowd.idle(HANDSHAKES)?;
        }
        let before = system::process_time(server.pid)?;
        crowd.idle(time)?;
        let cpu = system::process_time(server.pid)? - before;
        crowd.echo_half()?;
        crowd.idle(SETTLE)?;
        let after_echoes = each(system::resident(server.pid)?);
        // The side that closes first keeps its ports for a minute: not the one with so many.
        drop(server);
        table.row(vec![
            case.name.to_owned(),
            clients.to_string(),
            idle.to_string(),
            after_echoes.to_string(),
            format!("{:.0}", cpu.as_secs_f64() * 1e6 / time.as_secs_f64()),
            format!("{:.1}", connecting.as_secs_f64() * 1e6 / clients as f64),
        ]);
        io::stdout().flush()?;
    }
    table.print();
    Ok(())
}
