//! Ending a connection from this side.

use crate::clock;
use crate::driver::Driver;
use crate::driver::output::write;
use futures_io::{AsyncRead, AsyncWrite};
use std::task::{Context, Waker};
use ws_proto::{CloseCode, Closed, Error, Event, IoAction};

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    /// Nothing more will arrive: closes the socket, and ends all waiting.
    pub(crate) fn end(&mut self, by_reset: bool) {
        self.shared.end(by_reset);
        self.stream = None;
        self.unread = None;
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
