//! Invariants of an end at each step: what it holds, and how long it waits.

use super::deadlines::later;
use super::end::End;
use std::time::Duration;
use ws_proto::{Event, Moment, Sent, State};

/// The largest control frame.
const CONTROL: usize = 2 + 4 + 125;
/// The largest frame header.
const HEADER: usize = 14;
/// The largest framing of a chunk: its length in hexadecimal, and two line ends.
const CHUNK: usize = 16 + 4;
/// More than any response head in the simulation, or any complete response by the engine itself.
const HEAD: usize = 600;
/// The number of pending pongs; of further pings only the newest is answered.
const PONGS: usize = 16;

impl End {
    /// Called after every application action.
    pub(crate) fn touch(&mut self, now: Moment) {
        self.is_unpolled = true;
        self.check(now);
    }

    pub(super) fn check(&mut self, now: Moment) {
        self.oracle.check(&mut self.connection);
        let is_open = self.is_open();
        let connection = &self.connection;
        let due = connection.poll_timeout();
        let (state, queued) = (connection.state(), connection.queued());
        let config = &self.rules.config;
        if queued == 0 {
            (self.exempt, self.alone, self.ahead) = (0, 0, 0);
            self.has_http &= state == State::Connecting;
        }
        // Pongs, one or two heartbeats, and the Close.
        let mut most = config.get_outbox_cap().max(self.alone) + self.exempt + (PONGS + 3) * CONTROL;
        if self.ahead > 0 {
            most += config.get_outbox_cap().max(self.ahead);
        }
        if self.has_http {
            most += (config.get_pipeline_limit() + 2) * HEAD + self.answers.iter().sum::<usize>();
        }
        if self.rules.may_compress() {
            // The cap applies to uncompressed messages; noise grows when compressed.
            most += most / 8 + CONTROL;
        }
        assert!(queued <= most, "{queued} bytes are queued; at most {most} are allowed");
        let left = self.unread.len();
        assert!(left <= self.manner.read_most.max(1 << 20) + (1 << 20), "{left} bytes are unread");
        if state == State::Open && is_open && connection.is_paused() && self.pauses_until.is_none() {
            let is_paced = config.get_message_rate().is_some()
                || self.rules.may_compress()
                || config.get_memory().is_some();
            let holds_back = queued > config.get_outbox_cap() / 2;
            assert!(is_paced || holds_back, "reading is paused with only {queued} bytes of output");
            assert!(due.is_some(), "nothing ends the pause");
        }
        if self.pauses_until.is_some() && state == State::Open {
            assert!(connection.is_paused(), "it reads while paused");
        }
        let has_just_opened = state == State::Open && !is_open;
        let was_unread = std::mem::replace(&mut self.is_unread, connection.is_paused());
        if was_unread || self.is_unread || has_just_opened {
            self.hindered = now;
        }
        if queued > 0 {
            self.waiting.get_or_insert(now);
        } else if matches!(state, State::Connecting | State::Open) {
            self.waiting = None;
        }
        if queued == 0 && self.interval().is_some_and(|interval| now >= later(self.silent_since(), interval))
        {
            self.pinged.get_or_insert(now);
        }
        if state == State::Closing && self.closing_since.is_none() {
            self.closing_since = Some((now, self.oracle.received()));
        }
        let waits_for_the_owner = self.blocked.is_none() && queued > 0;
        let may_last = self.rules.times()[..5].contains(&Duration::MAX);
        if matches!(state, State::Connecting | State::Closing) && !waits_for_the_owner && !may_last {
            assert!(due.is_some(), "{state:?} has no deadline");
        }
        self.check_time(now);
    }

    /// Input from the peer was used, possibly with Pings.
    pub(super) fn record_pings(&mut self) {
        let mut marks = self.marks.borrow_mut();
        while marks.pings.front().is_some_and(|end| *end <= self.oracle.received()) {
            marks.pings.pop_front();
            if self.connection.state() == State::Open {
                self.wire.expect_pong();
            }
        }
    }

    /// A control frame was queued.
    pub(crate) fn exempt_control(&mut self) {
        self.exempt += CONTROL;
    }

    /// An answer with a body of this length was queued.
    pub(crate) fn exempt_answer(&mut self, body: usize) {
        self.answers.push_back(HEAD + body);
        // Over the mark no further requests are read, so no more answers can wait.
        if self.answers.len() > self.rules.config.get_pipeline_limit() + 1 {
            self.answers.pop_front();
        }
    }

    /// A fragment of a body was queued; the framing of its chunk does not count.
    pub(crate) fn exempt_chunk(&mut self) {
        self.exempt += CHUNK;
    }

    /// A message of this length was accepted, possibly while nothing was queued.
    pub(crate) fn may_be_alone(&mut self, len: usize) {
        self.alone = self.alone.max(len + HEADER);
    }

    /// The bytes that count as queued before a message is sent, or, if `ahead`, before the next part of a message in
    /// progress.
    pub(crate) fn queued(&mut self, ahead: bool) -> usize {
        if ahead { self.connection.outbox().len() } else { self.connection.queued() }
    }

    /// Checks the result of a send with `queued` bytes queued before. An error is whether there was no room.
    pub(crate) fn check_send(
        &mut self,
        now: Moment,
        queued: usize,
        len: usize,
        ahead: bool,
        result: Result<Sent, bool>,
    ) {
        let config = &self.rules.config;
        let is_too_much = queued > 0 && queued + len + HEADER > config.get_outbox_cap();
        match result {
            Ok(_) => {
                self.longest = self.longest.max(len);
                // Control frames alone do not congest, and up to the mark the cap is not checked.
                let is_mostly_control =
                    queued <= config.get_high_mark() + self.exempt + (PONGS + 3) * CONTROL;
                let may = !is_too_much || is_mostly_control && len + HEADER <= config.get_outbox_cap();
                assert!(may, "{len} bytes were accepted after {queued}, over the cap");
                if ahead {
                    self.ahead = self.ahead.max(len + HEADER);
                } else if queued == 0 {
                    self.alone = self.alone.max(len + HEADER);
                }
            }
            // The shared memory may be exhausted.
            Err(true) if config.get_memory().is_some() => {}
            Err(true) => assert!(is_too_much, "{len} bytes were rejected after {queued}"),
            Err(false) => {}
        }
        self.touch(now);
    }

    pub(super) fn record(&mut self, now: Moment, event: &Event<'_>) {
        if let Some(name) = &self.name {
            println!("    {name} receives {}", brief(event));
        }
        self.oracle.record(event);
        match event {
            Event::Open(_) => {
                self.blocked = self.blocked.map(|_| now);
                (self.opened, self.hindered) = (now, now);
            }
            Event::Closed(closed) => self.check_end(now, closed),
            _ => {}
        }
    }
}

/// An event without its content.
fn brief(event: &Event<'_>) -> String {
    match event {
        Event::Message(message) => format!("a message of {} bytes", message.as_bytes().len()),
        Event::Fragment(fragment) => format!("a fragment of {} bytes", fragment.data.as_bytes().len()),
        Event::Request(request) => format!("a request for {}", request.path()),
        Event::Upgrade(upgrade) => format!("an upgrade for {}", upgrade.path()),
        Event::Closed(closed) => format!("the end: {closed}"),
        event => format!("{event:?}"),
    }
}
