//! One measurement of one server.

use crate::cases::{Case, Kind};
use crate::load::{Crowd, Trust};
use crate::peers::Peer;
use crate::process::{Certificate, Server};
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};
use ws_bench::system;

const WARM_UP: Duration = Duration::from_millis(100);
/// An echo is measured for this long, and for so many bytes: a large message is a coarse unit.
const TIME: Duration = Duration::from_millis(400);
const ENOUGH: u64 = 256 << 20;
/// A server left alone for this long has settled: the memory of a busy time is freed.
const SETTLE: Duration = Duration::from_millis(500);
const BROADCASTS: u64 = 100;
/// Broadcasts of which instructions or system calls are counted go to fewer.
const COUNTED_CONNECTIONS: usize = 100;

/// What all measurements share.
pub struct Bench<'a> {
    pub certificate: Certificate<'a>,
    pub trust: Trust,
    /// The server's.
    pub core: usize,
    /// For the reports of tracers.
    pub folder: &'a Path,
}

/// What counts, and how.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    Instructions,
    SystemCalls,
}

impl Bench<'_> {
    fn start(
        &self,
        peer: &Peer,
        case: &Case,
        tracer: &[OsString],
    ) -> Result<(Server, Crowd), Box<dyn Error>> {
        let certificate = case.tls.then_some(&self.certificate);
        let server = Server::start(&peer.program, certificate, self.core, tracer)?;
        let (path, size) = match case.kind {
            Kind::Echo { size, .. } => ("/", size),
            Kind::Broadcast { size, .. } => ("/broadcast", size),
            Kind::Open { .. } => ("/", 0),
            Kind::Idle { after, .. } => ("/", after),
        };
        let crowd = Crowd::new(server.address, case.tls.then(|| self.trust.clone()), path, size)?;
        Ok((server, crowd))
    }

    /// Microseconds of the server's CPU, or bytes of its memory, for each.
    pub fn measure(&self, peer: &Peer, case: &Case) -> Result<f64, Box<dyn Error>> {
        let (server, mut crowd) = self.start(peer, case, &[])?;
        let cpu = || system::process_time(server.pid);
        let each = |cpu: Duration, count: u64| cpu.as_secs_f64() * 1e6 / count as f64;
        let figure = match case.kind {
            Kind::Echo { size, connections, in_flight } => {
                crowd.open(connections)?;
                crowd.start_echoes(in_flight, u64::MAX)?;
                crowd.run_for(WARM_UP)?;
                let (start, from, before) = (Instant::now(), crowd.received(), cpu()?);
                crowd.until_received(from + (ENOUGH / size as u64).min(200))?;
                crowd.run_for(TIME.saturating_sub(start.elapsed()))?;
                each(cpu()? - before, crowd.received() - from)
            }
            Kind::Broadcast { connections, .. } => {
                crowd.open(connections)?;
                crowd.broadcast(BROADCASTS / 10)?;
                let (from, before) = (crowd.received(), cpu()?);
                crowd.broadcast(BROADCASTS)?;
                each(cpu()? - before, crowd.received() - from)
            }
            Kind::Open { connections } => {
                crowd.open(connections / 10)?;
                let before = cpu()?;
                crowd.open(connections / 10 + connections)?;
                each(cpu()? - before, connections as u64)
            }
            Kind::Idle { connections, after } => {
                // The first connection pays the one-time costs.
                crowd.open(1)?;
                sleep(SETTLE);
                let empty = system::resident(server.pid)?;
                crowd.open(1 + connections)?;
                if after > 0 {
                    crowd.start_echoes(1, connections as u64)?;
                    crowd.until_received(connections as u64)?;
                }
                sleep(SETTLE);
                system::resident(server.pid)?.saturating_sub(empty) as f64 / connections as f64
            }
        };
        // The side that closes first keeps its ports for a minute: not the one with so many.
        drop(server);
        Ok(figure)
    }

    /// Instructions or system calls for each message: two runs, of which only the number of messages differs.
    pub fn count(&self, counter: Counter, peer: &Peer, case: &Case) -> Result<f64, Box<dyn Error>> {
        let [few, many] = case.counted;
        let total = |messages: u64| -> Result<u64, Box<dyn Error>> {
            let report = self.folder.join("report");
            // It may not be there.
            let _ = fs::remove_file(&report);
            let (server, mut crowd) = self.start(peer, case, &counter.command(&report))?;
            match case.kind {
                Kind::Echo { connections, in_flight, .. } => {
                    crowd.open(connections)?;
                    crowd.start_echoes(in_flight, messages)?;
                    crowd.until_received(messages)?;
                }
                Kind::Broadcast { .. } => {
                    crowd.open(COUNTED_CONNECTIONS)?;
                    crowd.broadcast(messages)?;
                }
                Kind::Open { .. } | Kind::Idle { .. } => return Err("nothing to count".into()),
            }
            server.stop()?;
            counter.read(&report)
        };
        let receivers =
            if matches!(case.kind, Kind::Broadcast { .. }) { COUNTED_CONNECTIONS as u64 } else { 1 };
        Ok((total(many)? as f64 - total(few)? as f64) / ((many - few) * receivers) as f64)
    }
}

impl Counter {
    pub fn unit(self) -> &'static str {
        match self {
            Self::Instructions => "Instructions per message, user space",
            Self::SystemCalls => "System calls per message",
        }
    }

    /// The program that counts.
    pub fn program(self) -> &'static str {
        match self {
            Self::Instructions => "valgrind",
            Self::SystemCalls => "strace",
        }
    }

    fn command(self, report: &Path) -> Vec<OsString> {
        let mut command = vec![self.program().into()];
        match self {
            Self::Instructions => {
                let mut log = OsString::from("--log-file=");
                log.push(report);
                command.extend(
                    ["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
                        .map(Into::into),
                );
                command.push(log);
            }
            // The server stays our child, and strace ends after it.
            Self::SystemCalls => {
                command.extend(["-D", "-f", "-q", "-c", "-o"].map(Into::into));
                command.push(report.into());
            }
        }
        command
    }

    /// The total of a report.
    fn read(self, report: &Path) -> Result<u64, Box<dyn Error>> {
        for _ in 0..100 {
            let text = fs::read_to_string(report).unwrap_or_default();
            let total = text.lines().rev().find_map(|line| match self {
                Self::Instructions => {
                    line.split_once("I   refs:").map(|(_, count)| count.trim().replace(',', ""))
                }
                Self::SystemCalls => line
                    .ends_with("total")
                    .then(|| line.split_whitespace().nth(3).unwrap_or_default().to_owned()),
            });
            if let Some(total) = total {
                return Ok(total.parse()?);
            }
            sleep(Duration::from_millis(50));
        }
        Err(format!("{} reported nothing", self.program()).into())
    }
}
