//! A watched connection: the engine's promises for every connection, for any peer.
//!
//! ```text
//!   events:  (Request | Upgrade | Drained)* [Open (Message | Fragment* | Pong | Drained)*] [Closed]
//!   states:  Connecting ─▶ Open ─▶ Closing ─▶ Closed      (some are skipped, none recurs)
//! ```

use crate::seen::Seen;
use bytes::Buf;
use ws_proto::{
    Closed, Config, Connection, Delivery, Error, Event, Fragment, IoAction, Message, Moment, State,
};

/// A connection, with the knowledge of its owner.
#[derive(Debug)]
pub(crate) struct Watched {
    connection: Connection,
    is_server: bool,
    /// It started open, so no `Open` event is emitted.
    is_upgraded: bool,
    pub(crate) seen: Seen,
    is_open: bool,
    /// The message being received in chunks: whether it is text, and its length so far.
    partial: Option<(bool, u64)>,
    is_over: bool,
    state: State,
    /// When the owner's timer fires.
    timer: Option<Moment>,
    received: u64,
    sent: u64,
    has_half_closed: bool,
    /// The connection ended with unsent output.
    pub(crate) is_cut_off: bool,
    queued: usize,
    pub(crate) closed: Option<Box<Closed>>,
    /// The heap that it holds, including events still alive.
    held: i64,
    /// The bytes that the application passed to it.
    pub(crate) given: u64,
    limit: i64,
}

impl Watched {
    pub(crate) fn server(connection: Connection) -> Self {
        Self::new(connection, true)
    }

    pub(crate) fn client(connection: Connection) -> Self {
        Self::new(connection, false)
    }

    fn new(connection: Connection, is_server: bool) -> Self {
        let state = connection.state();
        let timer = connection.poll_timeout();
        let queued = connection.queued();
        let limit = memory_limit(connection.config());
        Self {
            connection,
            is_server,
            is_upgraded: state == State::Open,
            seen: Seen::default(),
            is_open: state == State::Open,
            partial: None,
            is_over: false,
            state,
            timer,
            received: 0,
            sent: 0,
            has_half_closed: false,
            is_cut_off: false,
            queued,
            closed: None,
            held: 0,
            given: 0,
            limit,
        }
    }

    /// For read-only queries.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn is_server(&self) -> bool {
        self.is_server
    }

    pub(crate) fn has_half_closed(&self) -> bool {
        self.has_half_closed
    }

    fn config(&self) -> &Config {
        self.connection.config()
    }

    // --- input and time

    pub(crate) fn handle_input<'a>(&mut self, now: Moment, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
        let before = input.len();
        let event = self.measured(|connection| connection.handle_input(now, input));
        self.received += (before - input.len()) as u64;
        match &event {
            Some(event) => self.check_event(event),
            None => {
                assert!(input.is_empty() || self.connection.is_paused(), "input is left without an event")
            }
        }
        self.check();
        event
    }

    pub(crate) fn handle_eof(&mut self, now: Moment) {
        self.act(|connection| connection.handle_eof(now));
    }

    pub(crate) fn abort(&mut self, now: Moment, error: Error) {
        self.act(|connection| connection.abort(now, error));
        assert_eq!(self.connection.state(), State::Closed);
    }

    /// Takes up to `n` bytes of output, like a socket with room for that many.
    pub(crate) fn write(&mut self, now: Moment, n: usize, mut to: impl FnMut(&[u8])) {
        let mut left = n;
        while left > 0 && self.connection.outbox().has_remaining() {
            let outbox = self.connection.outbox();
            let n = outbox.chunk().len().min(left);
            assert!(n > 0, "pending bytes are not available");
            to(&outbox.chunk()[..n]);
            self.sent += n as u64;
            left -= n;
            self.act(|connection| connection.handle_written(now, n));
        }
        if self.connection.outbox().has_remaining() {
            self.act(|connection| connection.handle_written(now, 0));
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Moment) {
        self.act(|connection| connection.handle_timeout(now));
        let due = self.connection.poll_timeout();
        assert!(due.is_none_or(|due| due > now), "a handled deadline is still due: {:?}", self.connection);
        self.timer = due;
    }

    /// Fires the owner's timer if it is due.
    pub(crate) fn pass(&mut self, now: Moment) {
        if self.timer.is_some_and(|at| at <= now) {
            self.handle_timeout(now);
        }
    }

    // --- application calls

    pub(crate) fn act<T>(&mut self, act: impl FnOnce(&mut Connection) -> T) -> T {
        let result = self.measured(act);
        self.check();
        result
    }

    /// Drops an event that the application has finished with.
    pub(crate) fn forget<T>(&mut self, event: T) {
        self.measured(|_| drop(event));
    }

    /// Measures the heap: everything held is due to received bytes and to the limits.
    fn measured<T>(&mut self, act: impl FnOnce(&mut Connection) -> T) -> T {
        let (connection, mut result) = (&mut self.connection, None);
        let change = allocation_counter::measure(|| result = Some(act(connection)));
        let peak = self.held + change.bytes_max as i64;
        self.held += change.bytes_current;
        let arrived = (self.connection.bytes_received() + self.given) as i64;
        let fixed = FIXED + contexts(self.connection.config());
        let limit = self.limit.min(fixed + A_BYTE * arrived);
        assert!(peak <= limit, "{peak} bytes of memory for {arrived} received; the limit is {limit}");
        match result {
            Some(result) => result,
            None => unreachable!("the counter calls its closure"),
        }
    }

    // --- queries

    pub(crate) fn poll_event(&mut self, now: Moment) -> Option<Event<'static>> {
        let event = self.measured(|connection| connection.poll_event(now));
        if let Some(event) = &event {
            self.check_event(event);
        }
        self.check();
        event
    }

    pub(crate) fn poll_io(&mut self) -> IoAction {
        let next = self.connection.poll_io();
        let has_output = self.connection.outbox().has_remaining();
        let is_over = matches!(next, IoAction::Drop | IoAction::Reset);
        assert_eq!(is_over, self.connection.state() == State::Closed, "{next:?}");
        assert_eq!(next == IoAction::Write, has_output, "{next:?}");
        if next == IoAction::Shutdown {
            assert!(!self.has_half_closed, "half-closed twice");
            self.has_half_closed = true;
        }
        next
    }

    /// It is over, and its owner does nothing more: every event sequence must be complete.
    pub(crate) fn must_be_over(&mut self, now: Moment) {
        let next = self.poll_io();
        assert!(
            matches!(next, IoAction::Drop | IoAction::Reset),
            "it does not end: {next:?}, {:?}",
            self.connection
        );
        assert_eq!(self.connection.poll_timeout(), None, "closed, but a deadline is set");
        assert!(self.poll_event(now).is_none(), "a late event");
        let is_announced = !self.is_server
            || self.is_upgraded
            || self.seen != Seen::default()
            || self.config().get_report_all_closes();
        assert_eq!(self.is_over, is_announced, "exactly the announced connections report their end");
        let mut more = *b"more";
        let mut input = &mut more[..];
        assert!(self.handle_input(now, &mut input).is_none() && input.is_empty());
    }

    // --- promises

    fn check(&mut self) {
        let connection = &mut self.connection;
        let due = connection.poll_timeout();
        if connection.take_timeout_changed() {
            self.timer = due;
        }
        assert!(
            due.is_none_or(|due| self.timer.is_some_and(|at| at <= due)),
            "the deadline moved forward without notice"
        );

        let state = connection.state();
        let rank = |state| match state {
            State::Connecting => 0,
            State::Open => 1,
            State::Closing => 2,
            State::Closed => 3,
        };
        assert!(rank(state) >= rank(self.state), "{:?} became {state:?}", self.state);
        if state == State::Closed {
            self.is_cut_off |= self.state != State::Closed && self.queued > 0;
            assert_eq!(connection.queued(), 0, "closed, but output is queued");
        }
        self.state = state;
        self.queued = connection.queued();

        assert_eq!(connection.bytes_received(), self.received);
        assert_eq!(connection.bytes_sent(), self.sent);
        assert!(connection.outbox().remaining() <= self.queued);
    }

    /// Checks that the event is legal here.
    fn check_event(&mut self, event: &Event<'_>) {
        assert!(!self.is_over, "{event:?} after the end");
        self.seen.record(event);
        match event {
            Event::Request(request) => {
                assert!(self.is_server && !self.is_open, "{event:?}");
                assert!(request.body().len() <= self.config().get_body_limit());
            }
            Event::Upgrade(_) => assert!(self.is_server && !self.is_open, "{event:?}"),
            Event::Open(_) => {
                assert!(!self.is_open, "open for a second time");
                self.is_open = true;
            }
            Event::Message(message) => {
                assert!(self.is_open && self.partial.is_none(), "{event:?}");
                let len = message.as_bytes().len() as u64;
                assert!(len <= self.config().get_message_limit());
                if let Delivery::Chunked { whole } = self.config().get_delivery() {
                    // The short length is the frame's, not that of its inflated content.
                    assert!(len <= whole || self.config().get_deflate().is_some());
                }
            }
            Event::Fragment(fragment) => {
                assert!(self.is_open, "{event:?}");
                self.check_fragment(fragment);
            }
            Event::Pong(_) => assert!(self.is_open, "{event:?}"),
            Event::Drained => assert!(self.is_open || self.is_server, "{event:?}"),
            Event::Closed(closed) => {
                self.is_over = true;
                self.check_closed(closed);
                self.closed = Some(closed.clone());
            }
            _ => panic!("{event:?} is unknown here"),
        }
    }

    fn check_fragment(&mut self, fragment: &Fragment<'_>) {
        assert_ne!(self.config().get_delivery(), Delivery::Whole);
        assert_eq!(fragment.first, self.partial.is_none(), "{fragment:?}");
        let Fragment { data, last, .. } = fragment;
        let (is_text, before) = self.partial.unwrap_or((data.is_text(), 0));
        assert_eq!(data.is_text(), is_text, "the type of a message changes within it");
        let len = before + data.as_bytes().len() as u64;
        assert!(len <= self.config().get_message_limit());
        assert!(*last || !data.as_bytes().is_empty(), "an empty fragment");
        self.partial = (!last).then_some((is_text, len));
    }

    fn check_closed(&self, closed: &Closed) {
        assert_eq!(closed.was_open, self.is_open, "{closed}");
        assert_eq!((closed.bytes_received, closed.bytes_sent), (self.received, self.sent), "{closed}");
        if closed.clean {
            assert!(closed.was_open && closed.sent.is_some() && closed.error.is_none(), "{closed}");
        }
        assert!(closed.sent.is_none_or(|code| code.is_sendable() || code.get() == 1005), "{closed}");
        assert!(!closed.to_string().contains('\n'), "one line of a log");
    }
}

/// The memory that a connection may hold regardless of its limits, with an application of a few answers.
const FIXED: i64 = 32 * 1024;
/// The memory that a byte may cost: short header fields cost the most.
const A_BYTE: i64 = 100;

/// The size of a compressor and a decompressor, regardless of the data.
fn contexts(config: &Config) -> i64 {
    if config.get_deflate().is_some() { 1 << 20 } else { 0 }
}

/// The most memory that a connection may hold in any state: each limit with its surroundings, and room for vectors
/// to double.
fn memory_limit(config: &Config) -> i64 {
    let frames = 2 * config.get_message_limit().min(1 << 40) + 2 * config.get_outbox_cap() as u64;
    let head = 4 * config.get_head_limit() + 500 * config.get_header_limit();
    let requests = (config.get_pipeline_limit().max(1) + 8) * (head + 2 * config.get_body_limit() + 4096);
    FIXED + contexts(config) + (frames + requests as u64) as i64
}

/// A comparable message: whether it is text, and its bytes.
pub(crate) type Sample = (bool, Vec<u8>);

pub(crate) fn sample(message: &Message<'_>) -> Sample {
    (message.is_text(), message.as_bytes().to_vec())
}
