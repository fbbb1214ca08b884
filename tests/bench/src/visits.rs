//! Clients beside the flood that come and go: each makes a full TLS handshake, opens a WebSocket, gets a message
//! echoed, and closes.

use crate::flood::{GO, IDLE, LOST_AFTER};
use crate::peer::{BINARY, CLOSE, Peer, append};
use mio::{Events, Interest, Poll, Token};
use rustls::ClientConfig;
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// One begins every 10 ms, however many are unfinished.
const EVERY: Duration = Duration::from_millis(10);
const MESSAGE: &[u8] = b"a visitor's message";
const NORMAL: [u8; 2] = 1000_u16.to_be_bytes();

/// The result of all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Visits {
    pub begun: u64,
    /// Finished before the flood was stopped.
    pub served: u64,
    /// Finished in total.
    pub finished: u64,
}

impl Visits {
    pub fn line(&self) -> String {
        format!("visits {} {} {}", self.begun, self.served, self.finished)
    }

    pub fn parse(line: &str) -> Option<Self> {
        let mut numbers = line.strip_prefix("visits ")?.split(' ').map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten();
        Some(Self { begun: next()?, served: next()?, finished: next()? })
    }
}

struct Visitor {
    peer: Peer,
    has_sent: bool,
    has_closed: bool,
}

impl Visitor {
    /// Goes on; returns whether it is finished.
    fn turn(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let (mut echoes, mut is_wrong) = (0, false);
        let has_closed = &mut self.has_closed;
        let read = self.peer.read(buffer, |first, payload| match first {
            BINARY => {
                echoes += 1;
                is_wrong |= payload != MESSAGE;
            }
            CLOSE => *has_closed = payload == NORMAL,
            _ => is_wrong = true,
        });
        match read {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof && self.has_closed => return Ok(true),
            read => read?,
        }
        if is_wrong {
            return Err(io::Error::other("a visitor got a wrong answer"));
        }
        if self.peer.open && !self.has_sent {
            self.has_sent = true;
            append(self.peer.outbox(), BINARY, MESSAGE);
        }
        if echoes > 0 {
            append(self.peer.outbox(), CLOSE, &NORMAL);
        }
        self.peer.flush()?;
        Ok(false)
    }
}

/// Begins one after another while the flood lasts, and returns when all are finished.
pub fn run(server: SocketAddr, tls: &Arc<ClientConfig>, phase: &AtomicU8) -> io::Result<Visits> {
    while phase.load(Ordering::Relaxed) == IDLE {
        thread::sleep(Duration::from_millis(1));
    }
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(256);
    let mut buffer = vec![0; 64 << 10];
    let mut visitors = HashMap::new();
    let mut visits = Visits::default();
    let start = Instant::now();
    loop {
        let is_flooding = phase.load(Ordering::Relaxed) == GO;
        let mut wait = LOST_AFTER;
        if is_flooding {
            visits.served = visits.finished;
            while EVERY * visits.begun as u32 <= start.elapsed() {
                let token = visits.begun as usize;
                let mut peer = Peer::connect(server, token, Some(tls))?;
                let both = Interest::READABLE | Interest::WRITABLE;
                poll.registry().register(&mut peer.stream, Token(token), both)?;
                peer.send_handshake(server)?;
                visitors.insert(token, Visitor { peer, has_sent: false, has_closed: false });
                visits.begun += 1;
            }
            wait = (EVERY * visits.begun as u32).saturating_sub(start.elapsed());
        } else if visitors.is_empty() {
            return Ok(visits);
        }
        poll.poll(&mut events, Some(wait))?;
        if events.is_empty() && !is_flooding {
            return Ok(visits);
        }
        for event in &events {
            let token = event.token().0;
            let Some(visitor) = visitors.get_mut(&token) else { continue };
            match visitor.turn(&mut buffer) {
                Ok(false) => continue,
                Ok(true) => visits.finished += 1,
                Err(error) => eprintln!("a visit failed: {error}"),
            }
            visitors.remove(&token);
        }
    }
}
