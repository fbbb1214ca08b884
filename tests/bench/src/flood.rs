//! The peers of `frames`, in a separate process: each sends numbered messages as fast as it gets echoes, and checks
//! those.
//!
//! ```text
//!  parent:  ──────── "go" ─────────── "stop" ───────────────────────▶
//!  peers:   open … "ready"   flood …         until all is answered … a line for each … "done"
//! ```

use crate::peer::{BINARY, KEY, Peer, append};
use crate::tls;
use crate::visits::{self, Visits};
use mio::{Events, Interest, Poll, Token, Waker};
use rustls::ClientConfig;
use std::error::Error;
use std::io::{self, BufRead, BufReader, Lines, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;
use ws_bench::system;

/// How many bytes of a client may be unanswered: always more than a turn can do, and soon drained at the end.
const UNANSWERED: u64 = 256 << 10;
/// A peer with this much unwritten pauses.
const WRITE_AT_ONCE: usize = 16 << 10;
/// After this long without any echo, missing ones are lost.
pub const LOST_AFTER: Duration = Duration::from_secs(10);

pub const IDLE: u8 = 0;
pub const GO: u8 = 1;
const STOP: u8 = 2;

/// The result of one client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub sent: u64,
    /// Answered before the flood was stopped.
    pub served: u64,
    /// Answered in total.
    pub answered: u64,
    /// Answered with anything but the next expected message.
    pub wrong: u64,
}

impl Tally {
    fn line(&self) -> String {
        format!("{} {} {} {}", self.sent, self.served, self.answered, self.wrong)
    }

    fn parse(line: &str) -> Option<Self> {
        let mut numbers = line.split(' ').map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten();
        Some(Self { sent: next()?, served: next()?, answered: next()?, wrong: next()? })
    }
}

/// The flood, from its parent's side.
pub struct Flood {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<io::Result<String>>,
}

impl Flood {
    /// With the certificate of the server, they speak TLS, and [visitors](visits) come and go beside them.
    pub fn start(
        server: SocketAddr,
        clients: usize,
        size: usize,
        certificate: Option<&str>,
    ) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["flood", &server.to_string(), &clients.to_string(), &size.to_string()])
            .args(certificate)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(stdin), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let (sender, lines) = channel();
        thread::spawn(move || {
            let output: Lines<_> = BufReader::new(output).lines();
            for line in output {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, stdin, lines })
    }

    pub fn send(&mut self, order: &str) -> io::Result<()> {
        writeln!(self.stdin, "{order}")
    }

    /// Runs `work` until the peers print `last`; returns the lines before it.
    pub fn until(&self, last: &str, mut work: impl FnMut() -> io::Result<()>) -> io::Result<Vec<String>> {
        let mut printed = Vec::new();
        loop {
            work()?;
            match self.lines.try_recv() {
                Ok(line) => match line? {
                    line if line == last => return Ok(printed),
                    line => printed.push(line),
                },
                Err(std::sync::mpsc::TryRecvError::Empty) => {}
                Err(error) => return Err(io::Error::other(format!("the peers ended: {error}"))),
            }
        }
    }

    pub fn tallies(printed: &[String]) -> Vec<Tally> {
        printed.iter().filter_map(|line| Tally::parse(line)).collect()
    }

    pub fn visits(printed: &[String]) -> Option<Visits> {
        printed.iter().find_map(|line| Visits::parse(line))
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        // It exits once it has printed everything; otherwise it is useless by now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Client {
    peer: Peer,
    /// A frame with message 0.
    frame: Vec<u8>,
    /// Its payload, unmasked.
    payload: Vec<u8>,
    tally: Tally,
}

impl Client {
    fn connect(
        server: SocketAddr,
        index: usize,
        size: usize,
        tls: Option<&Arc<ClientConfig>>,
    ) -> io::Result<Self> {
        let mut peer = Peer::connect(server, index, tls)?;
        peer.send_handshake(server)?;
        // The number of the message, the number of the client, and filler.
        let mut payload = vec![b'.'; size.max(16)];
        payload[..8].copy_from_slice(&[0; 8]);
        payload[8..16].copy_from_slice(&(index as u64).to_le_bytes());
        let mut frame = Vec::new();
        append(&mut frame, BINARY, &payload);
        Ok(Self { peer, frame, payload, tally: Tally::default() })
    }

    fn send(&mut self) -> io::Result<()> {
        let frame = self.frame.len() as u64;
        let number_at = self.frame.len() - self.payload.len();
        loop {
            let tally = &mut self.tally;
            let out = self.peer.outbox();
            while out.len() < WRITE_AT_ONCE && (tally.sent - tally.answered + 1) * frame <= UNANSWERED {
                let start = out.len() + number_at;
                out.extend_from_slice(&self.frame);
                for (k, byte) in tally.sent.to_le_bytes().iter().enumerate() {
                    out[start + k] = byte ^ KEY[k % 4];
                }
                tally.sent += 1;
            }
            if out.is_empty() {
                return Ok(());
            }
            self.peer.flush()?;
            if !self.peer.outbox().is_empty() {
                return Ok(());
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let Self { peer, payload, tally, .. } = self;
        peer.read(buffer, |first, answer| {
            payload[..8].copy_from_slice(&tally.answered.to_le_bytes());
            tally.wrong += u64::from(first != BINARY || answer != payload);
            tally.answered += 1;
        })
    }
}

/// The peers' process: `ADDRESS CLIENTS SIZE [CERTIFICATE]`.
pub fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [server, clients, size, certificate @ ..] = arguments else {
        return Err("flood ADDRESS CLIENTS SIZE [CERTIFICATE]".into());
    };
    let (server, size): (SocketAddr, usize) = (server.parse()?, size.parse()?);
    let tls = certificate.first().map(|certificate| tls::trusting(certificate)).transpose()?;
    system::pin(1);
    let mut poll = Poll::new()?;
    let phase = follow_orders(Waker::new(poll.registry(), Token(usize::MAX))?);
    let visits = tls.clone().map(|tls| {
        let phase = phase.clone();
        thread::spawn(move || visits::run(server, &tls, &phase))
    });
    let mut clients = (0..clients.parse()?)
        .map(|index| Client::connect(server, index, size, tls.as_ref()))
        .collect::<io::Result<Vec<_>>>()?;
    for (index, client) in clients.iter_mut().enumerate() {
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut client.peer.stream, Token(index), both)?;
    }
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 64 << 10];
    let (mut ready, mut before) = (false, 0);
    loop {
        poll.poll(&mut events, Some(LOST_AFTER))?;
        let silent = events.is_empty();
        let phase = phase.load(Ordering::Relaxed);
        if phase == GO && before != GO {
            clients.iter_mut().try_for_each(Client::send)?;
        }
        if phase == STOP && before != STOP {
            clients.iter_mut().for_each(|client| client.tally.served = client.tally.answered);
        }
        before = phase;
        for event in &events {
            let Some(client) = clients.get_mut(event.token().0) else { continue };
            client.read(&mut buffer)?;
            match phase {
                GO => client.send()?,
                _ => client.peer.flush()?,
            }
        }
        if !ready && clients.iter().all(|client| client.peer.open) {
            ready = true;
            println!("ready");
        }
        let answered = |client: &Client| client.tally.answered >= client.tally.sent;
        if phase == STOP && (silent || clients.iter().all(answered)) {
            if let Some(visits) = visits {
                println!("{}", visits.join().map_err(|_| "a panic")??.line());
            }
            clients.iter().for_each(|client| println!("{}", client.tally.line()));
            println!("done");
            return Ok(());
        }
    }
}

/// Follows the parent's orders, and exits when the parent has exited.
fn follow_orders(waker: Waker) -> Arc<AtomicU8> {
    let phase = Arc::new(AtomicU8::new(IDLE));
    let stored = phase.clone();
    thread::spawn(move || {
        for order in io::stdin().lines().map_while(Result::ok) {
            stored.store(if order == "go" { GO } else { STOP }, Ordering::Relaxed);
            let _ = waker.wake();
        }
        std::process::exit(1);
    });
    phase
}
