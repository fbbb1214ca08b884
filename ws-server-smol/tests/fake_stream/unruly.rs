//! A stream that does what streams may do but rarely do: it returns spurious `Pending`, reads and writes less than it
//! could, is interrupted, and fails permanently at some call. It also asserts that its user keeps the contract.

use crate::common::Random;
use crate::common::pipe::End;
use futures_lite::{AsyncRead, AsyncWrite};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

/// How a stream fails, after a number of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It does not fail.
    Healthy,
    /// Every call fails.
    Fails(usize, io::ErrorKind),
    /// Reading returns EOF, whatever would still arrive.
    Ends(usize),
    /// Writing accepts nothing more.
    TakesNothing(usize),
}

impl Fate {
    pub(crate) fn of(random: &mut Random) -> Self {
        let kinds = [
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::ConnectionAborted,
            io::ErrorKind::BrokenPipe,
            io::ErrorKind::TimedOut,
            io::ErrorKind::Other,
        ];
        let most = random.pick(&[10, 100, 1000]);
        let calls = 1 + random.below(most);
        match random.below(10) {
            0..6 => Self::Healthy,
            6..8 => Self::Fails(calls, random.pick(&kinds)),
            8 => Self::Ends(calls),
            _ => Self::TakesNothing(calls),
        }
    }
}

pub(crate) struct Unruly {
    inner: End,
    random: Random,
    fate: Fate,
    /// How often it is interrupted, in percent.
    interrupted: usize,
    calls: usize,
    /// Reading has returned an error: the stream must not be used any more. Behind a write error there may be something
    /// to read: the peer's last bytes.
    read_failed: bool,
    write_failed: bool,
    closed: bool,
}

impl Unruly {
    pub(crate) fn new(inner: End, fate: Fate, mut random: Random) -> Self {
        let interrupted = random.pick(&[0, 5, 30]);
        Self {
            inner,
            random,
            fate,
            interrupted,
            calls: 0,
            read_failed: false,
            write_failed: false,
            closed: false,
        }
    }

    fn call(&mut self) -> io::Result<()> {
        self.calls += 1;
        if let Fate::Fails(calls, kind) = self.fate
            && self.calls > calls
        {
            return Err(kind.into());
        }
        Ok(())
    }

    fn interrupt(&mut self) -> io::Result<()> {
        match self.random.below(100) < self.interrupted {
            true => Err(io::ErrorKind::Interrupted.into()),
            false => Ok(()),
        }
    }

    fn takes_nothing(&self) -> bool {
        matches!(self.fate, Fate::TakesNothing(calls) if self.calls > calls)
    }
}

impl AsyncRead for Unruly {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        assert!(!buffer.is_empty(), "an empty read");
        assert!(!self.read_failed || std::thread::panicking(), "read after it has failed");
        self.call().inspect_err(|_| self.read_failed = true)?;
        self.interrupt()?;
        if matches!(self.fate, Fate::Ends(calls) if self.calls > calls) {
            return Poll::Ready(Ok(0));
        }
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Unruly {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        assert!(!data.is_empty(), "an empty write");
        assert!(!self.closed, "a write after the end");
        let failed = self.read_failed || self.write_failed;
        assert!(!failed || std::thread::panicking(), "written to after it has failed");
        self.call().inspect_err(|_| self.write_failed = true)?;
        self.interrupt()?;
        if self.takes_nothing() {
            self.write_failed = true;
            return Poll::Ready(Ok(0));
        }
        Pin::new(&mut self.inner).poll_write(cx, data)
    }

    /// Accepts bytes from any number of slices.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.poll_write(cx, &all)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.call()?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.call()?;
        let closed = Pin::new(&mut self.inner).poll_close(cx);
        self.closed |= closed.is_ready();
        closed
    }
}

#[cfg(feature = "tls")]
impl crate::tls::Raw for Unruly {
    fn fin(&mut self) -> io::Result<()> {
        self.call()?;
        self.closed = true;
        self.inner.fin();
        Ok(())
    }

    fn reset_on_close(&mut self) {
        self.inner.reset_on_drop();
    }

    fn direct(self) -> Self {
        Self { inner: self.inner.direct(), ..self }
    }
}
