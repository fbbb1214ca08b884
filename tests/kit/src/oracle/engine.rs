//! A `Connection`, checked after each call.

use super::Events;
use bytes::Buf;
use std::time::Duration;
use ws_proto::{CloseCode, Connection, Error, Event, IoAction, Moment, SendError, State};

/// What the owner of a connection knows of it.
#[derive(Debug)]
pub struct Engine {
    pub events: Events,
    state: State,
    /// When the owner's timer fires.
    timer: Option<Moment>,
    received: u64,
    sent: u64,
    /// It was congested, and has not reported `Drained` since.
    was_congested: bool,
    has_half_closed: bool,
}

impl Engine {
    /// Watches a server's new connection.
    pub fn server(connection: &Connection) -> Self {
        Self::new(connection, Events::server())
    }

    /// Watches a client's new connection.
    pub fn client(connection: &Connection) -> Self {
        Self::new(connection, Events::client())
    }

    fn new(connection: &Connection, events: Events) -> Self {
        let events = events.within(connection.config());
        let state = connection.state();
        Self {
            events: if state == State::Open { events.upgraded() } else { events },
            state,
            timer: connection.poll_timeout(),
            received: 0,
            sent: 0,
            was_congested: false,
            has_half_closed: false,
        }
    }

    /// When the owner's timer fires. It is set again only when the connection reports a change of its deadline.
    pub fn timer(&self) -> Option<Moment> {
        self.timer
    }

    /// How much input was used so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    pub fn has_half_closed(&self) -> bool {
        self.has_half_closed
    }

    /// Records that input of this length was passed to the connection, and that `left` of it is unused. Call it before
    /// its event is recorded.
    pub fn handle_input(&mut self, connection: &Connection, len: usize, left: usize, has_event: bool) {
        self.received += (len - left) as u64;
        if !has_event {
            assert!(left == 0 || connection.is_paused(), "input is left, and the connection is not paused");
        }
    }

    /// Records that this much output was written.
    pub fn handle_written(&mut self, n: usize) {
        self.sent += n as u64;
    }

    /// Records an event that the connection returned.
    pub fn record(&mut self, event: &Event<'_>) {
        self.events.record(event);
        match event {
            Event::Drained => {
                assert!(self.was_congested, "drained without congestion");
                // It may be over its mark again already.
                self.was_congested = false;
            }
            Event::Closed(closed) => {
                assert_eq!(closed.bytes_received, self.received, "{closed}");
                assert_eq!(closed.bytes_sent, self.sent, "{closed}");
            }
            _ => {}
        }
    }

    /// Checks the connection. Call it after each call into the connection, once its event is recorded.
    pub fn check(&mut self, connection: &mut Connection) {
        let due = connection.poll_timeout();
        if connection.take_timeout_changed() {
            self.timer = due;
        }
        assert!(
            due.is_none_or(|due| self.timer.is_some_and(|at| at <= due)),
            "the deadline {due:?} moved to before {:?} without notice",
            self.timer
        );
        let state = connection.state();
        assert!(rank(state) >= rank(self.state), "{:?} became {state:?}", self.state);
        self.state = state;
        let queued = connection.queued();
        if state == State::Closed {
            assert!(queued == 0 && due.is_none(), "a closed connection has output or a deadline");
        }
        assert!(connection.outbox().remaining() <= queued, "output that does not count as queued");
        assert_eq!(connection.bytes_received(), self.received, "the input received");
        assert_eq!(connection.bytes_sent(), self.sent, "the output sent");
        self.was_congested |= connection.is_congested();
    }

    /// Records that the timeout was handled: the owner sets its timer again.
    pub fn handle_timeout(&mut self, connection: &mut Connection) {
        self.check(connection);
        self.timer = connection.poll_timeout();
    }

    /// Asserts that no handled deadline is still due. Do not call it with a timeout of zero, which is due again at
    /// once.
    pub fn must_be_handled(&self, now: Moment, connection: &Connection) {
        let due = connection.poll_timeout();
        assert!(
            due.is_none_or(|due| due > now),
            "a handled deadline is still due: {due:?} at {now:?}, {connection:?}"
        );
    }

    /// The next action on the transport, after a check that it agrees with the state and the output.
    pub fn poll_io(&mut self, connection: &mut Connection) -> IoAction {
        let next = connection.poll_io();
        let has_output = connection.outbox().has_remaining();
        let is_over = matches!(next, IoAction::Drop | IoAction::Reset);
        assert_eq!(is_over, connection.state() == State::Closed, "{next:?}");
        assert_eq!(next == IoAction::Write, has_output, "{next:?}");
        match next {
            IoAction::Shutdown => {
                assert!(!self.has_half_closed, "half-closed twice");
                self.has_half_closed = true;
            }
            IoAction::Write => assert!(!self.has_half_closed, "output after the end"),
            IoAction::Read => assert!(!connection.is_paused(), "a paused connection reads"),
            _ => {}
        }
        next
    }

    /// Asserts, once the transport is closed, that the end is reported and that no call has an effect.
    pub fn must_be_over(&mut self, now: Moment, connection: &mut Connection) {
        assert_eq!(connection.state(), State::Closed, "it does not end: {connection:?}");
        self.events.must_be_over();
        let mut bytes = *b"\x81\x80\0\0\0\0GET / HTTP/1.1\r\n\r\n";
        let mut input = &mut bytes[..];
        let len = input.len();
        assert!(connection.handle_input(now, &mut input).is_none() && input.is_empty(), "it reads on");
        self.received += len as u64;
        connection.handle_written(now, 0);
        connection.handle_eof(now);
        connection.handle_timeout(now + Duration::from_secs(1));
        connection.handle_resume(now);
        connection.pause();
        connection.resume(now);
        connection.write_failed(now, Error::Aborted);
        connection.abort(now, Error::Aborted);
        assert_eq!(connection.send("late"), Err(SendError::NotOpen));
        assert_eq!(connection.send_ping(now, b"late"), Err(SendError::NotOpen));
        assert_eq!(connection.close(now, CloseCode::NORMAL, ""), Err(SendError::NotOpen));
        assert!(connection.poll_event(now).is_none(), "an event after the end");
        assert!(matches!(self.poll_io(connection), IoAction::Drop | IoAction::Reset));
        self.check(connection);
    }
}

fn rank(state: State) -> u8 {
    match state {
        State::Connecting => 0,
        State::Open => 1,
        State::Closing => 2,
        State::Closed => 3,
    }
}
