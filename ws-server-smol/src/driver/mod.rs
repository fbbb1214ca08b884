//! All I/O of one connection: write, time, read.
//!
//! ```text
//!            ┌────────────────────── poll_event ──────────────────────┐
//!            │  what is due ─▶ what was read ─▶ write ─▶ time ─▶ read │──▶ an event, owned
//!            └──────────▲──────────────────────────────────────┬──────┘
//!                       └───────────── a pooled buffer ◀───────┘
//! ```
//!
//! Polling drives the connection, and nothing is spawned. Between two polls every byte is in the kernel, in the engine,
//! or in the buffer held here, so a future may be dropped at any await.

mod end;
pub(crate) mod output;
pub(crate) mod peer;
pub(crate) mod pool;
mod send;
pub(crate) mod shared;
pub(crate) mod sleep;
mod slice;
mod wakers;

use crate::clock;
use crate::driver::output::{Output, write};
use crate::driver::pool::Buffer;
pub(crate) use crate::driver::shared::DriverOptions;
use crate::driver::shared::Shared;
use crate::driver::sleep::Sleep;
use crate::driver::slice::Slice;
use async_io::Timer;
use bytes::Buf;
use futures_io::{AsyncRead, AsyncWrite};
use std::future::Future;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use ws_proto::Moment;
use ws_proto::{Connection, Event, Fragment, IoAction, RequestBody, SendError, State};

/// How long the task that waits for events has to handle a deadline before the task that only waits for output does.
const DRIVER_GRACE: Duration = Duration::from_millis(20);

/// Bytes that were read but not yet processed.
#[derive(Debug)]
struct Unread {
    buffer: Buffer,
    from: usize,
    to: usize,
}

/// What explains the end, if not reported yet, and the deadline for reporting it.
#[derive(Debug)]
struct PendingClose {
    /// The end of a body that the end of the connection cut off: it is reported first.
    cut: Option<RequestBody<'static>>,
    event: Option<Event<'static>>,
    deadline: Option<Moment>,
}

#[derive(Debug)]
pub(crate) struct Driver<S> {
    /// `None` once the connection is over.
    stream: Option<S>,
    pub(crate) shared: Arc<Shared>,
    unread: Option<Unread>,
    output: Output,
    timer: Timer,
    deadline: Option<Moment>,
    /// The connection is over, which is reported once the stream has flushed what it holds.
    pending_close: Option<Box<PendingClose>>,
    slice: Slice,
    /// The bytes written since a task that only sends last yielded.
    sent: usize,
    /// A deadline has passed, and input that had arrived by then was read.
    read_after_deadline: bool,
    /// Until then, the task that waits for events may handle a deadline; afterwards the task that waits for output
    /// does.
    grace_until: Option<Moment>,
    /// An event received while a task only waited for output.
    held: Option<Box<Event<'static>>>,
    sleep: Arc<Sleep>,
    /// How many system sleeps the connection knows of.
    slept: u32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    pub(crate) fn new(stream: S, connection: Connection) -> Self {
        Self::with(stream, connection, DriverOptions::default())
    }

    pub(crate) fn with(stream: S, mut connection: Connection, options: DriverOptions) -> Self {
        connection.shares().begin();
        let DriverOptions { socket, peer, sleep } = options;
        let sleep = sleep.unwrap_or_else(|| Arc::new(Sleep::of(connection.config())));
        let shared = Arc::new(Shared::new(connection, socket, peer, sleep.clone()));
        Self {
            stream: Some(stream),
            shared,
            unread: None,
            output: Output::Flushed,
            timer: Timer::never(),
            deadline: None,
            pending_close: None,
            slice: Slice::default(),
            sent: 0,
            read_after_deadline: false,
            grace_until: None,
            held: None,
            slept: sleep.times(),
            sleep,
        }
    }

    /// Takes the connection, which leaves one without a stream.
    pub(crate) fn take(&mut self) -> Self {
        Self {
            stream: self.stream.take(),
            shared: self.shared.clone(),
            unread: self.unread.take(),
            timer: std::mem::replace(&mut self.timer, Timer::never()),
            pending_close: self.pending_close.take(),
            slice: Slice::default(),
            held: self.held.take(),
            sleep: self.sleep.clone(),
            ..*self
        }
    }

    pub(crate) fn set_sleep(&mut self, sleep: Sleep) {
        self.slept = sleep.times();
        self.sleep = Arc::new(sleep);
    }

    /// Does all pending work, and returns the next event; `None` when the connection is over.
    pub(crate) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event<'static>>> {
        let shared = self.shared.clone();
        // Register first, so that no wake-up of a sender is lost.
        shared.wakers.register_driver(cx.waker());
        shared.count_poll();
        let instant = Instant::now();
        let mut now = clock::moment(instant);
        if self.slice.is_fresh() {
            self.sleep.check(instant);
        }
        let _held = shared.wakers.hold();
        let mut connection = shared.connection();
        if self.slept != self.sleep.times() {
            self.slept = self.sleep.times();
            connection.handle_resume(now);
        }
        if let Some(event) = self.held.take() {
            self.count(&event);
            return Poll::Ready(Some(*event));
        }
        // There is nothing more to read, and the stream wakes once there is.
        let mut is_drained = false;
        loop {
            // Check this first: one read may hold thousands of messages, each with its handler.
            let has_input = || self.unread.is_some() && !connection.is_paused();
            if self.slice.is_over(now, connection.is_receiving_message(), has_input) {
                // Write before other tasks run, while the data is in cache.
                if let Some(stream) = &mut self.stream {
                    let mut io = Context::from_waker(&self.shared.waker);
                    write(stream, &mut self.output, &shared, &mut connection, &mut io, now);
                    self.notify_room(&connection);
                }
                shared.wakers.wake_driver();
                return Poll::Pending;
            }
            // Due events come first; with unread input the engine emits them in between.
            let event = match self.unread {
                Some(_) => self.process_unread(&mut connection, now),
                None => next_before_close(&mut connection, now),
            };
            if let Some(event) = &event {
                self.count(event);
            }
            if event.is_some() {
                return Poll::Ready(event);
            }
            let Some(stream) = &mut self.stream else { return Poll::Ready(connection.poll_event(now)) };
            let mut io = Context::from_waker(&self.shared.waker);
            let mut progressed = write(stream, &mut self.output, &shared, &mut connection, &mut io, now);
            match connection.poll_io() {
                IoAction::Drop | IoAction::Reset => {
                    if self.poll_end(&mut connection, now).is_pending() {
                        self.slice.end();
                        return Poll::Pending;
                    }
                    let by_reset = connection.poll_io() == IoAction::Reset;
                    drop(connection);
                    return Poll::Ready(self.end_with_report(by_reset));
                }
                IoAction::Shutdown => {
                    self.output = Output::Closing;
                    continue;
                }
                IoAction::Read | IoAction::Write | IoAction::Pause => {}
            }
            let is_due = self.poll_deadline(&mut connection, now);
            if is_due && (self.read_after_deadline || !self.read_before_expiry(&mut connection, now)) {
                self.expire(&mut connection, now);
            } else if !is_due {
                self.read_after_deadline = false;
                if !is_drained && self.unread.is_none() && !connection.is_paused() {
                    is_drained = !self.read(&mut connection, now);
                    progressed |= !is_drained;
                }
            }
            if progressed || is_due {
                self.notify_room(&connection);
                now = clock::now();
                continue;
            }
            self.slice.end();
            if connection.shares().is_used() {
                // Other tasks inflate their share first.
                connection.shares().next(now);
                shared.wakers.wake_driver();
            }
            return Poll::Pending;
        }
    }

    /// Counts a message that is about to be reported; the connection is locked.
    #[inline]
    fn count(&self, event: &Event<'_>) {
        if matches!(event, Event::Message(_) | Event::Fragment(Fragment { last: true, .. })) {
            self.shared.count_received();
        }
    }

    /// Writes all output that the stream takes. Reads nothing.
    ///
    /// For an open WebSocket this only checks that the peer takes output: only a task that reads can know whether
    /// the peer is alive. If there is such a task, it handles all deadlines.
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
        shared.wakers.register_flusher(cx.waker());
        shared.count_poll();
        let _held = shared.wakers.hold();
        let mut connection = shared.connection();
        // A peer that takes everything would never suspend a task that only sends.
        if self.sent >= slice::BYTES {
            self.sent = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            let Some(stream) = &mut self.stream else { return Poll::Ready(Err(SendError::NotOpen)) };
            let now = clock::now();
            let paused = connection.is_paused();
            let queued = connection.queued();
            let mut io = Context::from_waker(&self.shared.waker);
            write(stream, &mut self.output, &shared, &mut connection, &mut io, now);
            self.sent += queued.saturating_sub(connection.queued());
            self.notify_room(&connection);
            let is_closed = connection.state() == State::Closed;
            if is_closed || shared.has_write_failed() {
                shared.wakers.wake_driver();
                if is_closed {
                    ready!(self.poll_end(&mut connection, now));
                }
                return Poll::Ready(Err(SendError::NotOpen));
            }
            if paused && !connection.is_paused() {
                // The task that reads waits for this, not for the stream.
                shared.wakers.wake_driver();
            }
            if done(&mut connection, self.output) {
                // Whatever failed it may have dropped output that was not written.
                return Poll::Ready(if connection.has_failed() { Err(SendError::NotOpen) } else { Ok(()) });
            }
            if !self.poll_deadline(&mut connection, now) {
                self.read_after_deadline = false;
                self.grace_until = None;
                return Poll::Pending;
            }
            if self.poll_grace(now).is_pending() {
                return Poll::Pending;
            }
            if connection.state() == State::Open {
                self.expire_unread(&mut connection, now);
            } else if self.hold_next_event(&mut connection, now) {
                self.expire(&mut connection, now);
            } else {
                return Poll::Ready(Err(SendError::NotOpen));
            }
        }
    }

    /// Wakes the task that waits for events to handle a deadline. Ready if it has not within [`DRIVER_GRACE`].
    fn poll_grace(&mut self, now: Moment) -> Poll<()> {
        let until = *self.grace_until.get_or_insert_with(|| {
            self.shared.wakers.wake_driver();
            now + DRIVER_GRACE
        });
        if until > now {
            // The deadline itself has passed; do not wait for it any longer.
            self.deadline = None;
            clock::set(&mut self.timer, Some(until));
            let mut io = Context::from_waker(&self.shared.waker);
            if Pin::new(&mut self.timer).poll(&mut io).is_pending() {
                return Poll::Pending;
            }
        }
        self.shared.wakers.wake_driver();
        Poll::Ready(())
    }

    /// Reads once before an expired deadline takes effect: the awaited input may already have arrived. A flooding peer
    /// gains no time by it. Returns whether there is input to process first.
    fn read_before_expiry(&mut self, connection: &mut Connection, now: Moment) -> bool {
        self.read_after_deadline = true;
        self.unread.is_none() && !connection.is_paused() && self.read(connection, now)
    }

    /// Handles the deadline.
    fn expire(&mut self, connection: &mut Connection, now: Moment) {
        self.read_after_deadline = false;
        self.grace_until = None;
        self.deadline = None;
        connection.handle_timeout(now.max(clock::now()));
    }

    /// Handles the deadline of an open WebSocket that no task reads.
    fn expire_unread(&mut self, connection: &mut Connection, now: Moment) {
        let is_paused = self.shared.is_reading_paused();
        if !is_paused {
            connection.pause();
        }
        self.expire(connection, now);
        if !is_paused {
            connection.resume(now);
        }
    }

    /// Reads once, and holds the next event. Returns whether a deadline may take effect now: not while a closing
    /// handshake is in progress after a held event.
    fn hold_next_event(&mut self, connection: &mut Connection, now: Moment) -> bool {
        if self.held.is_none() {
            self.read_before_expiry(connection, now);
        }
        while self.held.is_none() && self.unread.is_some() && !connection.is_paused() {
            self.held = self.process_unread(connection, now).map(Box::new);
        }
        self.held.is_none() || connection.state() != State::Closing
    }

    #[inline]
    fn process_unread(&mut self, connection: &mut Connection, now: Moment) -> Option<Event<'static>> {
        let unread = self.unread.as_mut()?;
        if connection.is_paused() {
            return next_before_close(connection, now);
        }
        let before = unread.to - unread.from;
        let mut input = &mut unread.buffer.bytes()[unread.from..unread.to];
        let event = connection.handle_input(now, &mut input).map(Event::into_owned);
        let left = input.len();
        self.slice.add(before - left);
        match left {
            0 => self.unread = None,
            _ => unread.from = unread.to - left,
        }
        // The input may have caused another event.
        event.or_else(|| next_before_close(connection, now))
    }

    /// Returns whether the read changed anything.
    fn read(&mut self, connection: &mut Connection, now: Moment) -> bool {
        let Some(stream) = &mut self.stream else { return false };
        let mut io = Context::from_waker(&self.shared.waker);
        let mut buffer = Buffer::take();
        let read = Pin::new(stream).poll_read(&mut io, buffer.bytes());
        let must_flush = self.output.note_read(&self.shared);
        match read {
            Poll::Pending => return must_flush,
            Poll::Ready(Ok(0)) => connection.handle_eof(now),
            Poll::Ready(Ok(n)) => {
                self.shared.note_tls(connection, now);
                self.unread = Some(Unread { buffer, from: 0, to: n });
            }
            Poll::Ready(Err(e)) if e.kind() == ErrorKind::Interrupted => {
                self.shared.note_client(connection, now)
            }
            Poll::Ready(Err(error)) => connection.abort(now, error.into()),
        }
        true
    }

    /// Returns whether a deadline has passed; if not, the timer is set.
    fn poll_deadline(&mut self, connection: &mut Connection, now: Moment) -> bool {
        // A postponed deadline is looked up when the timer fires.
        if !connection.take_timeout_changed() && self.deadline.is_some_and(|deadline| now < deadline) {
            return false;
        }
        let deadline = connection.poll_timeout();
        if deadline != self.deadline {
            self.deadline = deadline;
            clock::set(&mut self.timer, deadline);
        }
        let Some(deadline) = deadline else { return false };
        let mut io = Context::from_waker(&self.shared.waker);
        deadline <= now || Pin::new(&mut self.timer).poll(&mut io).is_ready()
    }

    fn notify_room(&self, connection: &Connection) {
        if !connection.is_congested() {
            self.shared.wakers.wake_room();
        }
    }

    pub(crate) fn stream(&self) -> Option<&S> {
        self.stream.as_ref()
    }
}

/// Returns the next event, except for the end, which waits for the stream.
fn next_before_close(connection: &mut Connection, now: Moment) -> Option<Event<'static>> {
    match connection.state() {
        State::Closed => connection.http().take_cut_body().map(Event::Body),
        _ => connection.poll_event(now),
    }
}
