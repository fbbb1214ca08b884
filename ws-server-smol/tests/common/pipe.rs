//! Streams in memory: bounded, cut anywhere, each step decided by a seed.

use super::Random;
use futures_lite::{AsyncRead, AsyncWrite};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// One direction.
#[derive(Default)]
struct Lane {
    bytes: VecDeque<u8>,
    capacity: usize,
    /// The writer has closed its half, or is gone.
    ended: bool,
    /// The reader is gone.
    unread: bool,
    /// The writer ended with a reset: an error follows its bytes.
    reset: bool,
    /// The last waker, as the contract requires.
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// One end of a pipe.
pub struct End {
    incoming: Arc<Mutex<Lane>>,
    outgoing: Arc<Mutex<Lane>>,
    /// A stream that holds writes until flushed, as TLS may.
    holds: bool,
    held: VecDeque<u8>,
    random: Random,
    /// Whether it varies: short reads and writes, and spurious `Pending`.
    cuts: bool,
    /// At most this much per read.
    sip: usize,
}

/// Two ends, each of which buffers at most this many bytes until the other reads.
pub fn pipe(capacity: usize, seed: u64) -> (End, End) {
    let lane = || Arc::new(Mutex::new(Lane { capacity, ..Lane::default() }));
    let (one, other) = (lane(), lane());
    let end = |incoming: &Arc<Mutex<Lane>>, outgoing: &Arc<Mutex<Lane>>, seed| End {
        incoming: incoming.clone(),
        outgoing: outgoing.clone(),
        holds: false,
        held: VecDeque::new(),
        random: Random::new(seed),
        cuts: true,
        sip: usize::MAX,
    };
    (end(&one, &other, seed * 2 + 1), end(&other, &one, seed * 2 + 2))
}

impl End {
    /// Holds writes until flushed.
    pub fn holding(mut self) -> Self {
        self.holds = true;
        self
    }

    /// Reads and writes as much as possible.
    pub fn straight(mut self) -> Self {
        self.cuts = false;
        self
    }

    /// Reads a few bytes at a time.
    pub fn sipping(mut self, most: usize) -> Self {
        self.sip = most;
        self
    }

    /// Ends with a reset.
    pub fn reset(mut self) {
        self.reset_on_drop();
    }

    /// Makes dropping it a reset.
    pub fn reset_on_drop(&mut self) {
        self.outgoing.lock().unwrap().reset = true;
    }

    /// Writes at once what it takes, as a socket does.
    pub fn direct(mut self) -> Self {
        self.holds = false;
        self
    }

    /// Whether the other end has read all that this one wrote.
    pub fn is_taken(&self) -> bool {
        self.outgoing.lock().unwrap().bytes.is_empty()
    }

    /// Ends what it writes.
    pub fn fin(&mut self) {
        let mut lane = self.outgoing.lock().unwrap();
        lane.ended = true;
        wake(&mut lane.reader);
    }

    /// Varies sometimes: returns `Pending`, and wakes at once.
    fn detour(&mut self, cx: &mut Context<'_>) -> bool {
        let detour = self.cuts && self.random.below(4) == 0;
        if detour {
            cx.waker().wake_by_ref();
        }
        detour
    }

    fn cut(&mut self, most: usize) -> usize {
        if self.cuts && most > 1 { 1 + self.random.below(most) } else { most }
    }

    /// Passes on what is held.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut lane = self.outgoing.lock().unwrap();
        while let Some(byte) = self.held.pop_front() {
            if lane.unread {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            if lane.bytes.len() == lane.capacity {
                self.held.push_front(byte);
                lane.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
            lane.bytes.push_back(byte);
            wake(&mut lane.reader);
        }
        Poll::Ready(Ok(()))
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl AsyncRead for End {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.detour(cx) {
            return Poll::Pending;
        }
        let lane = self.incoming.clone();
        let mut lane = lane.lock().unwrap();
        if lane.bytes.is_empty() {
            if lane.reset {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            if lane.ended {
                return Poll::Ready(Ok(0));
            }
            lane.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let most = lane.bytes.len().min(buffer.len()).min(self.sip);
        let n = self.cut(most);
        for (to, byte) in buffer.iter_mut().zip(lane.bytes.drain(..n)) {
            *to = byte;
        }
        wake(&mut lane.writer);
        Poll::Ready(Ok(n))
    }
}

impl AsyncWrite for End {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if self.detour(cx) {
            return Poll::Pending;
        }
        if self.holds {
            if self.held.len() >= 16
                && let Poll::Ready(Err(error)) = self.poll_held(cx)
            {
                return Poll::Ready(Err(error));
            }
            let room = 16_usize.saturating_sub(self.held.len());
            if room == 0 {
                return Poll::Pending;
            }
            let n = self.cut(room.min(data.len()));
            self.held.extend(&data[..n]);
            return Poll::Ready(Ok(n));
        }
        let lane = self.outgoing.clone();
        let mut lane = lane.lock().unwrap();
        if lane.unread {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = lane.capacity - lane.bytes.len();
        if room == 0 {
            lane.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let n = self.cut(room.min(data.len()));
        lane.bytes.extend(&data[..n]);
        wake(&mut lane.reader);
        Poll::Ready(Ok(n))
    }

    /// As a socket that accepts as much as it can.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.holds || self.cuts {
            let first = slices.iter().find(|slice| !slice.is_empty());
            return self.poll_write(cx, first.map_or(&[], |slice| slice));
        }
        let this = self.get_mut();
        let mut written = 0;
        for slice in slices.iter().filter(|slice| !slice.is_empty()) {
            match Pin::new(&mut *this).poll_write(cx, slice) {
                Poll::Ready(Ok(n)) if n == slice.len() => written += n,
                Poll::Ready(Ok(n)) => return Poll::Ready(Ok(written + n)),
                _ if written > 0 => break,
                other => return other,
            }
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.detour(cx) {
            return Poll::Pending;
        }
        self.poll_held(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.detour(cx) {
            return Poll::Pending;
        }
        match self.poll_held(cx) {
            Poll::Ready(Ok(())) => {
                self.fin();
                Poll::Ready(Ok(()))
            }
            other => other,
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.fin();
        let mut lane = self.incoming.lock().unwrap();
        lane.unread = true;
        wake(&mut lane.writer);
    }
}
