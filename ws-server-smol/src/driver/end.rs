//! The end of a connection: what explains it, and ending it from this side.

use crate::clock;
use crate::driver::output::{Output, write};
use crate::driver::shared::Shared;
use crate::driver::{Driver, PendingClose};
use crate::sys::socket::SocketHandle;
use futures_io::{AsyncRead, AsyncWrite};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use ws_proto::{CloseCode, Closed, Connection, Error, Event, IoAction, Moment, State};

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    /// Nothing more will arrive: closes the socket, and ends all waiting.
    pub(crate) fn end(&mut self, by_reset: bool) {
        self.shared.end(by_reset);
        if self.shared.connection().has_sent_all() {
            self.close_stream();
        }
        self.stream = None;
        self.unread = None;
    }

    /// As [`end`](Self::end); returns the first event that is due.
    pub(super) fn end_with_report(&mut self, by_reset: bool) -> Option<Event<'static>> {
        self.end(by_reset);
        let PendingClose { cut, event, .. } = *self.pending_close.take()?;
        let Some(cut) = cut else { return event };
        self.held = event.map(Box::new);
        Some(Event::Body(cut))
    }

    /// Closes the stream as far as that is possible without waiting; TLS sends close_notify.
    fn close_stream(&mut self) {
        if let Some(stream) = &mut self.stream {
            let _ = Pin::new(stream).poll_close(&mut Context::from_waker(Waker::noop()));
        }
    }

    /// Returns what explains the end, if the connection has ended and [`poll_event`](Self::poll_event) has not
    /// reported it yet.
    pub(crate) fn unreported_end(&mut self) -> Option<&Closed> {
        let shared = self.shared.clone();
        let mut connection = shared.connection();
        if self.stream.is_none() || connection.state() != State::Closed {
            return None;
        }
        match &self.pending_close(&mut connection, clock::now()).event {
            Some(Event::Closed(closed)) => Some(closed),
            _ => None,
        }
    }

    fn pending_close(&mut self, connection: &mut Connection, now: Moment) -> &PendingClose {
        self.pending_close.get_or_insert_with(|| {
            let deadline = now.checked_add(connection.config().get_close_timeout());
            let cut = connection.http().take_cut_body();
            // A write may have ended it.
            Box::new(PendingClose { cut, event: connection.poll_event(now), deadline })
        })
    }

    /// Ready once the stream may be dropped; what explains the end is pending by then. A stream with its own buffer,
    /// such as TLS, flushes the last output first.
    pub(super) fn poll_end(&mut self, connection: &mut Connection, now: Moment) -> Poll<()> {
        let pending = self.pending_close(connection, now);
        let (is_lost, deadline) = (is_lost(pending.event.as_ref()), pending.deadline);
        let is_late = deadline.is_some_and(|deadline| deadline <= now);
        if self.output == Output::Flushed || is_late || is_lost {
            return Poll::Ready(());
        }
        clock::set(&mut self.timer, deadline);
        let mut io = Context::from_waker(&self.shared.waker);
        if Pin::new(&mut self.timer).poll(&mut io).is_ready() {
            self.shared.waker.wake_by_ref();
        }
        Poll::Pending
    }

    /// Whether a closing handshake is in progress, in which nothing has failed.
    pub(crate) fn is_closing_in_order(&self) -> bool {
        let mut connection = self.shared.connection();
        connection.state() == State::Closing && !connection.has_failed()
    }

    /// Ends the connection at once, with a Close frame if that can be written without waiting. The end is the next
    /// event.
    pub(crate) fn end_now(&mut self, code: CloseCode) {
        let shared = self.shared.clone();
        let _held = shared.wakers.hold();
        let mut connection = shared.connection();
        let now = clock::now();
        // If it is already ending, the last output is still to be written.
        let _ = connection.close(now, code, "");
        if let Some(stream) = &mut self.stream {
            let mut noop = Context::from_waker(Waker::noop());
            write(stream, &mut self.output, &shared, &mut connection, &mut noop, now);
        }
        if connection.closing_initiator().is_some() && connection.outbox().is_empty() {
            self.close_stream();
        }
        connection.abort(now, Error::Aborted);
        (self.unread, self.held) = (None, None);
    }

    /// As [`end_now`](Self::end_now); returns what explains the end, if that was not reported yet.
    pub(crate) fn end_now_with_report(&mut self, code: CloseCode) -> Option<Box<Closed>> {
        self.end_now(code);
        let shared = self.shared.clone();
        let mut connection = shared.connection();
        let now = clock::now();
        let pending = self.pending_close.take().and_then(|pending| pending.event);
        let mut events = pending.into_iter().chain(std::iter::from_fn(|| connection.poll_event(now)));
        let closed = events.find_map(|event| match event {
            Event::Closed(closed) => Some(closed),
            _ => None,
        });
        let by_reset = connection.poll_io() == IoAction::Reset;
        drop(connection);
        self.end(by_reset);
        closed
    }
}

impl Shared {
    /// Aborts the connection at the deadline of a stop, whether or not a task polls it. What the socket takes without
    /// waiting still leaves, the Close of an open WebSocket last. Returns how many bytes it took.
    pub(crate) fn abort_stopped(
        &self,
        mut socket: SocketHandle,
        now: Moment,
        code: CloseCode,
        reason: &str,
    ) -> u64 {
        let held = self.wakers.hold();
        let mut connection = self.connection();
        let before = connection.bytes_sent();
        if connection.state() == State::Open {
            // Its code and reason can be sent.
            let _ = connection.go_away(now, code, reason);
        }
        let mut io = Context::from_waker(&self.waker);
        write(&mut socket, &mut Output::Flushed, self, &mut connection, &mut io, now);
        if socket.layers().is_some()
            && connection.closing_initiator().is_some()
            && connection.outbox().is_empty()
        {
            // TLS, if that is one of them, sends close_notify.
            let _ = Pin::new(&mut socket).poll_close(&mut io);
        }
        connection.abort(now, Error::Stopped);
        // A FIN would make a truncated response look complete.
        match connection.poll_io() {
            IoAction::Reset => socket.reset_on_close(),
            _ => socket.shut_down(),
        }
        let written = connection.bytes_sent() - before;
        drop(connection);
        drop(held);
        self.wake();
        written
    }
}

/// Whether the connection was lost or aborted rather than closed: then there is no output worth waiting for.
fn is_lost(event: Option<&Event<'_>>) -> bool {
    let Some(Event::Closed(closed)) = event else { return false };
    matches!(
        closed.error,
        Some(
            Error::Timeout(_)
                | Error::Io(_)
                | Error::Aborted
                | Error::Stopped
                | Error::Eof
                | Error::RequestCutOff
        )
    )
}
