//! All I/O of one connection: write, time, read.
//!
//! ```text
//!            ┌────────────────────── poll_event ──────────────────────┐
//!            │  what is due ─▶ what was read ─▶ write ─▶ time ─▶ read │──▶ an event, owned
//!            └──────────▲──────────────────────────────────────┬──────┘
//!                       └───────────── a pooled buffer ◀───────┘
//! ```
//!
//! Whoever polls drives, and nothing is spawned. Between two polls every byte is in the kernel, in the engine, or in
//! the buffer held here, so that a future may be dropped at any await.

use crate::buffer::{self, Buffer};
use crate::shared::Shared;
use async_io::Timer;
use bytes::Buf;
use futures_io::{AsyncRead, AsyncWrite};
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use ws_proto::token::TokenRule;
use ws_proto::{Closed, Connection, Error, Event, Next, SendError, State};

/// A task that always has something to do lets others run after so many bytes …
const SLICE_BYTES: usize = 64 << 10;
/// … or so much time: a ready socket never makes it wait.
const SLICE_TIME: Duration = Duration::from_micros(500);
/// How many slices one write gathers.
const SLICES: usize = 64;

/// Bytes that were read and not used yet.
#[derive(Debug)]
struct Unread {
    buffer: Buffer,
    from: usize,
    to: usize,
}

/// How far the stream is with what the engine wants of it beside reading and writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    /// Everything that was written is on its way.
    Flushed,
    /// A stream that keeps bytes of its own may still have some.
    Written,
    /// Our half is to be closed.
    Closing,
}

/// What explains the end, where that was not told, and when it is told at the latest.
#[derive(Debug)]
struct Parting {
    event: Option<Event<'static>>,
    deadline: Option<Instant>,
}

#[derive(Debug)]
pub(crate) struct Driver<S> {
    /// `None` once all is over.
    stream: Option<S>,
    pub(crate) shared: Arc<Shared>,
    /// What the stream and the timer wake.
    waker: Waker,
    unread: Option<Unread>,
    output: Output,
    timer: Timer,
    deadline: Option<Instant>,
    /// It is over, and is told once the stream has passed on what it holds.
    parting: Option<Box<Parting>>,
    /// Since when, and for how many bytes, this task has not let others run.
    slice: Option<(Instant, usize)>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    pub(crate) fn new(stream: S, connection: Connection) -> Self {
        Self::with_token(stream, connection, None)
    }

    pub(crate) fn with_token(stream: S, connection: Connection, token: Option<Arc<TokenRule>>) -> Self {
        let shared = Arc::new(Shared::new(connection, token));
        Self {
            stream: Some(stream),
            waker: Waker::from(shared.wakers.clone()),
            shared,
            unread: None,
            output: Output::Flushed,
            timer: Timer::never(),
            deadline: None,
            parting: None,
            slice: None,
        }
    }

    /// Does whatever is to be done, and gives the next event; `None` when the connection is over.
    pub(crate) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event<'static>>> {
        let shared = self.shared.clone();
        // Before anything is looked at, lest a sender's wake-up be lost.
        shared.wakers.driver.register(cx.waker());
        let mut connection = shared.connection();
        loop {
            let now = Instant::now();
            // First of all: what was read at once may be thousands of messages, each with its handler.
            if self.slice_is_over(now) {
                // Before others run, while it is warm.
                if let Some(stream) = &mut self.stream {
                    let mut io = Context::from_waker(&self.waker);
                    write(stream, &mut self.output, &mut connection, &mut io, now);
                    self.tell_room(&connection);
                }
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Some(event) = before_the_end(&mut connection, now) {
                return Poll::Ready(Some(event));
            }
            if let Some(event) = self.use_unread(&mut connection, now) {
                return Poll::Ready(Some(event));
            }
            let Some(stream) = &mut self.stream else { return Poll::Ready(connection.poll_event(now)) };
            let mut io = Context::from_waker(&self.waker);
            let mut went = write(stream, &mut self.output, &mut connection, &mut io, now);
            match connection.next_io() {
                Next::Drop => return self.poll_parting(&mut connection, now),
                Next::Shutdown => {
                    self.output = Output::Closing;
                    continue;
                }
                Next::Read | Next::Write | Next::Pause => {}
            }
            went |= self.pass_time(&mut connection, now);
            if self.unread.is_none() && !connection.is_paused() {
                went |= self.read(&mut connection, now);
            }
            if went {
                self.tell_room(&connection);
                continue;
            }
            self.slice = None;
            return Poll::Pending;
        }
    }

    /// Writes until everything is gone that can go; nothing is read.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.poll_output(cx, |connection, output| {
            !connection.outbox().has_remaining() && output != Output::Written
        })
    }

    /// Writes until there is room below the high mark.
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.poll_output(cx, |connection, _| !connection.is_congested())
    }

    fn poll_output(
        &mut self,
        cx: &mut Context<'_>,
        done: impl Fn(&mut Connection, Output) -> bool,
    ) -> Poll<Result<(), SendError>> {
        let shared = self.shared.clone();
        shared.wakers.flusher.register(cx.waker());
        let mut connection = shared.connection();
        loop {
            let Some(stream) = &mut self.stream else { return Poll::Ready(Err(SendError::NotOpen)) };
            if connection.state() == State::Closed {
                shared.wakers.driver.wake();
                return Poll::Ready(Err(SendError::NotOpen));
            }
            let now = Instant::now();
            let paused = connection.is_paused();
            let mut io = Context::from_waker(&self.waker);
            write(stream, &mut self.output, &mut connection, &mut io, now);
            connection.await_room();
            self.tell_room(&connection);
            if paused && !connection.is_paused() {
                // Whoever reads has waited for this, and not for the stream.
                shared.wakers.driver.wake();
            }
            if connection.state() == State::Closed {
                continue;
            }
            if done(&mut connection, self.output) {
                return Poll::Ready(Ok(()));
            }
            if !self.pass_time(&mut connection, now) {
                return Poll::Pending;
            }
            shared.wakers.driver.wake();
        }
    }

    fn use_unread(&mut self, connection: &mut Connection, now: Instant) -> Option<Event<'static>> {
        let unread = self.unread.as_mut()?;
        if connection.is_paused() {
            return None;
        }
        let before = unread.to - unread.from;
        let mut input = &mut unread.buffer.bytes()[unread.from..unread.to];
        let event = connection.receive(now, &mut input).map(Event::into_owned);
        let left = input.len();
        if let Some((_, bytes)) = &mut self.slice {
            *bytes += before - left;
        }
        match left {
            0 => self.unread = None,
            _ => unread.from = unread.to - left,
        }
        // What was received may have caused something else.
        event.or_else(|| before_the_end(connection, now))
    }

    fn slice_is_over(&mut self, now: Instant) -> bool {
        let (since, bytes) = *self.slice.get_or_insert((now, 0));
        let over = bytes >= SLICE_BYTES || now.saturating_duration_since(since) >= SLICE_TIME;
        if over {
            self.slice = None;
        }
        over
    }

    /// Says whether anything came of it.
    fn read(&mut self, connection: &mut Connection, now: Instant) -> bool {
        let Some(stream) = &mut self.stream else { return false };
        let mut io = Context::from_waker(&self.waker);
        let mut buffer = Buffer::take();
        match Pin::new(stream).poll_read(&mut io, buffer.bytes()) {
            Poll::Pending => return false,
            Poll::Ready(Ok(0)) => connection.receive_eof(now),
            Poll::Ready(Ok(n)) => self.unread = Some(Unread { buffer, from: 0, to: n }),
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Poll::Ready(Err(error)) => connection.abort(now, error.into()),
        }
        true
    }

    /// Says whether a deadline has passed.
    fn pass_time(&mut self, connection: &mut Connection, now: Instant) -> bool {
        let deadline = connection.poll_timeout();
        if deadline != self.deadline {
            self.deadline = deadline;
            match deadline {
                Some(deadline) => self.timer.set_at(deadline),
                None => self.timer = Timer::never(),
            }
        }
        let mut io = Context::from_waker(&self.waker);
        if deadline.is_none() || Pin::new(&mut self.timer).poll(&mut io).is_pending() {
            return false;
        }
        self.deadline = None;
        connection.handle_timeout(now.max(Instant::now()));
        true
    }

    /// Ends, and gives what explains it, where that was not told. A stream that holds bytes of its own, as TLS does,
    /// first passes on what was said last.
    fn poll_parting(&mut self, connection: &mut Connection, now: Instant) -> Poll<Option<Event<'static>>> {
        let parting = self.parting.take().unwrap_or_else(|| {
            let deadline = now.checked_add(connection.config().close_timeout);
            // Writing may have been what ended it.
            Box::new(Parting { event: connection.poll_event(now), deadline })
        });
        let is_late = parting.deadline.is_some_and(|deadline| deadline <= now);
        if self.output == Output::Flushed || is_late || is_lost(parting.event.as_ref()) {
            self.end();
            return Poll::Ready(parting.event);
        }
        self.timer = parting.deadline.map_or_else(Timer::never, Timer::at);
        let mut io = Context::from_waker(&self.waker);
        if Pin::new(&mut self.timer).poll(&mut io).is_ready() {
            self.waker.wake_by_ref();
        }
        self.parting = Some(parting);
        self.slice = None;
        Poll::Pending
    }

    fn tell_room(&self, connection: &Connection) {
        if !connection.is_congested() {
            self.shared.room.notify(usize::MAX);
        }
    }

    /// Nothing more will come: the socket is closed, and nobody waits any longer.
    pub(crate) fn end(&mut self) {
        self.stream = None;
        self.unread = None;
        self.shared.room.notify(usize::MAX);
        self.shared.wakers.flusher.wake();
    }

    /// Ends it in words, as far as that goes without waiting; what explains the end, if that was not told yet.
    pub(crate) fn part(&mut self, code: ws_proto::CloseCode) -> Option<Box<Closed>> {
        let shared = self.shared.clone();
        let mut connection = shared.connection();
        let now = Instant::now();
        // Where it is ending already, what was said last is still to be written.
        let _ = connection.close(now, code, "");
        if let Some(stream) = &mut self.stream {
            let mut nobody = Context::from_waker(Waker::noop());
            write(stream, &mut self.output, &mut connection, &mut nobody, now);
        }
        connection.abort(now, ws_proto::Cause::Terminated);
        let parting = self.parting.take().and_then(|parting| parting.event);
        let mut events = parting.into_iter().chain(std::iter::from_fn(|| connection.poll_event(now)));
        let closed = events.find_map(|event| match event {
            Event::Closed(closed) => Some(closed),
            _ => None,
        });
        drop(connection);
        self.end();
        closed
    }

    pub(crate) fn stream(&self) -> Option<&S> {
        self.stream.as_ref()
    }
}

/// The next event, but for those that tell of the end: they wait for the stream.
fn before_the_end(connection: &mut Connection, now: Instant) -> Option<Event<'static>> {
    if connection.state() == State::Closed { None } else { connection.poll_event(now) }
}

/// Whether it was cut off rather than ended: then nothing is on its way that would be worth a wait.
fn is_lost(event: Option<&Event<'_>>) -> bool {
    match event {
        Some(Event::Closed(closed)) => {
            matches!(closed.error, Some(Error::Timeout(_) | Error::Lost(_) | Error::Eof))
        }
        _ => false,
    }
}

/// Writes what there is, flushes it, and closes our half where that is due; says whether anything came of it.
fn write<S: AsyncWrite + Unpin>(
    stream: &mut S,
    output: &mut Output,
    connection: &mut Connection,
    io: &mut Context<'_>,
    now: Instant,
) -> bool {
    let mut went = false;
    while connection.outbox().has_remaining() {
        match write_once(stream, connection, io) {
            Poll::Ready(Ok(n)) => {
                went = true;
                *output = Output::Written;
                connection.wrote(now, n);
                if n == 0 {
                    connection.abort(now, io::Error::from(io::ErrorKind::WriteZero).into());
                }
            }
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Poll::Ready(Err(error)) => {
                went = true;
                connection.abort(now, error.into());
            }
            Poll::Pending => {
                // Nothing went out: the time in which something must, begins.
                connection.wrote(now, 0);
                return went;
            }
        }
    }
    // An empty outbox holds no memory.
    buffer::reclaim(connection);
    let done = match output {
        Output::Flushed => return went,
        Output::Written => Pin::new(stream).poll_flush(io),
        Output::Closing => Pin::new(stream).poll_close(io),
    };
    match done {
        Poll::Pending => {}
        Poll::Ready(result) => {
            // A half that cannot be closed was reset: reading tells.
            if let (Output::Written, Err(error)) = (&output, result) {
                connection.abort(now, error.into());
            }
            *output = Output::Flushed;
            went = true;
        }
    }
    went
}

fn write_once<S: AsyncWrite + Unpin>(
    stream: &mut S,
    connection: &mut Connection,
    io: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let outbox = connection.outbox();
    let chunk = outbox.chunk();
    if chunk.len() == outbox.remaining() {
        return Pin::new(stream).poll_write(io, chunk);
    }
    let mut slices = [IoSlice::new(&[]); SLICES];
    let count = outbox.chunks_vectored(&mut slices);
    Pin::new(stream).poll_write_vectored(io, &slices[..count])
}
