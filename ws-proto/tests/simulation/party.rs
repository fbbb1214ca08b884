//! One end of a WebSocket, as an application uses it: what it sends and receives.

use super::answers::Spec;
use super::content::Content;
use super::end::{End, Op};
use super::flow::{Flow, Shared};
use super::link::Link;
use super::rng::Rng;
use std::collections::VecDeque;
use std::time::Duration;
use ws_proto::{CloseCode, Event, Fragment, Frame, Message, Moment, Opcode, SendError, Sent, State};

/// How an application reacts to the result of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// It usually stops when congested, and continues after `Drained`.
    Waits,
    /// It sends until a send is rejected, and again after `Drained`.
    Fills,
    /// Like `Fills`, but immediately, in the handler of `Drained`.
    Refills,
    /// It ignores the result: a rejected message is lost.
    Ignores,
}

/// Periodic messages, regardless of their fate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Feed {
    pub(crate) every: Duration,
    pub(crate) next: Moment,
    pub(crate) left: usize,
}

pub(crate) struct Party {
    pub(crate) end: End,
    pub(crate) habit: Habit,
    pub(crate) feed: Option<Feed>,
    /// It echoes each message it receives, and resends what was rejected.
    pub(crate) repeats: bool,
    /// It sends this many bytes for each message it receives.
    pub(crate) answers: Option<usize>,
    pub(crate) outgoing: Shared<Flow>,
    pub(crate) incoming: Shared<Flow>,
    /// The received part of a message, and whether it is text.
    fragment: Option<(bool, Vec<u8>)>,
    /// A message being sent in fragments, and how much of it was sent.
    fragments: Option<(Content, usize)>,
    /// Messages to send as soon as there is room.
    backlog: VecDeque<Content>,
    waits_for_room: bool,
    /// A ping of this end is unanswered.
    awaits_pong: bool,
    /// The longest message.
    pub(crate) most: usize,
    /// The client's request in its handshake.
    pub(crate) spec: Option<Spec>,
}

impl Party {
    pub(crate) fn new(end: End, outgoing: Shared<Flow>, incoming: Shared<Flow>, most: usize) -> Self {
        Self {
            end,
            habit: Habit::Waits,
            feed: None,
            repeats: false,
            answers: None,
            outgoing,
            incoming,
            fragment: None,
            fragments: None,
            backlog: VecDeque::new(),
            waits_for_room: false,
            awaits_pong: false,
            most,
            spec: None,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.end.connection.state() == State::Open
    }

    pub(crate) fn can(&mut self, op: Op, now: Moment) -> bool {
        let has_more = !self.backlog.is_empty() && !self.waits_for_room;
        op == Op::Push && self.is_open() && (has_more || self.feed_due().is_some_and(|at| at <= now))
    }

    fn feed_due(&self) -> Option<Moment> {
        self.feed.filter(|feed| feed.left > 0 && self.is_open()).map(|feed| feed.next)
    }

    /// When it can next do something that it cannot do now.
    pub(crate) fn next(&self, now: Moment, link: &Link) -> Option<Moment> {
        let feed = self.feed_due().filter(|at| *at > now);
        self.end.next(now, link).into_iter().chain(feed).min()
    }

    /// From now on it reads and writes everything available.
    pub(crate) fn be_brisk(&mut self, now: Moment) {
        self.end.reads_from = now;
        self.end.manner.be_brisk();
        self.end.read_on(now);
    }

    /// Whether it has work, or waits for something.
    pub(crate) fn is_busy(&mut self) -> bool {
        let connection = &self.end.connection;
        let is_connecting = connection.state() == State::Connecting && self.spec.is_some();
        let has_work = self.end.has_unread()
            || self.end.is_unpolled
            || self.is_open() && (!self.backlog.is_empty() || self.fragments.is_some());
        !self.end.is_dropped && (is_connecting || has_work || connection.queued() > 0)
    }

    // --- sending

    /// Sends a whole message, in one of the possible ways. Returns whether it was accepted.
    pub(crate) fn send(&mut self, now: Moment, content: Content, rng: &mut Rng) -> Result<Sent, SendError> {
        let queued = self.end.queued(false);
        let connection = &mut self.end.connection;
        let result = match (rng.below(4), content.is_text) {
            (0, true) => connection.send(content.text()),
            (1, true) => connection.send(content.text().to_owned()),
            (0, false) => connection.send(&content.data[..]),
            (1, false) => connection.send(content.data.to_vec()),
            (2, true) => connection.send(Message::Text(content.text().into())),
            (2, false) => connection.send(Message::Binary(content.data[..].into())),
            (_, true) => connection.send(Frame::text(content.text())),
            (_, false) => connection.send(Frame::binary(content.data.clone())),
        };
        self.check(now, queued, content.data.len(), false, &result);
        if result.is_ok() {
            self.outgoing.borrow_mut().send(content);
        }
        result
    }

    fn check(
        &mut self,
        now: Moment,
        queued: usize,
        len: usize,
        ahead: bool,
        result: &Result<Sent, SendError>,
    ) {
        let is_open = self.is_open();
        let connection = &mut self.end.connection;
        match result {
            Ok(Sent::Congested) => {
                assert!(connection.outbox().len() > self.end.rules.config.get_high_mark());
                assert!(connection.is_congested());
            }
            Ok(Sent::Queued) => assert!(connection.outbox().len() <= self.end.rules.config.get_high_mark()),
            Err(error) => assert_eq!(*error == SendError::NotOpen, !is_open, "{error}"),
        }
        self.end.check_send(
            now,
            queued,
            len,
            ahead,
            result.clone().map_err(|error| error == SendError::Full),
        );
    }

    /// Begins a message in fragments, or continues it.
    pub(crate) fn send_part(&mut self, now: Moment, rng: &mut Rng) {
        if !self.is_open() {
            return;
        }
        let (content, from) = self.fragments.take().unwrap_or_else(|| (Content::any(rng, self.most), 0));
        let rest = content.data.slice(from..);
        let is_first = from == 0 && !self.outgoing.borrow().is_in_fragments();
        let part = rest.slice(..rng.within(0, rest.len()).max(rest.len().min(self.most / 8)));
        let is_last = part.len() == rest.len() && !(is_first && rng.percent(90));
        let opcode = match (is_first, content.is_text) {
            (false, _) => Opcode::Continuation,
            (true, true) => Opcode::Text,
            (true, false) => Opcode::Binary,
        };
        let frame = Frame::raw(opcode, is_last, part.clone()).unwrap();
        let queued = self.end.queued(!is_first);
        let result = self.end.connection.send(&frame);
        self.check(now, queued, part.len(), !is_first, &result);
        let mut outgoing = self.outgoing.borrow_mut();
        match result {
            Ok(_) => {
                if is_first && is_last {
                    outgoing.send(content);
                } else if is_last {
                    outgoing.finish();
                } else {
                    if is_first {
                        outgoing.begin(content.clone());
                    }
                    self.fragments = Some((content, from + part.len()));
                }
            }
            // It is retried, unless it has not begun.
            Err(_) => self.fragments = (!is_first).then_some((content, from)),
        }
    }

    /// Continues a message in progress, if there is one and there is room. Returns whether it did.
    pub(crate) fn finish_fragments(&mut self, now: Moment, rng: &mut Rng) -> bool {
        let may = self.fragments.is_some() && !self.end.connection.is_congested();
        if may {
            self.send_part(now, rng);
        }
        may
    }

    /// Sends much at once: stops when there is no room, and continues when there is.
    pub(crate) fn send_burst(&mut self, rng: &mut Rng) {
        for _ in 0..rng.within(2, 12) {
            self.backlog.push_back(Content::any(rng, self.most));
        }
    }

    /// Sends this many messages of one length at once.
    pub(crate) fn send_bulk(&mut self, count: usize, len: usize, rng: &mut Rng) {
        self.backlog.extend((0..count).map(|_| Content::of(rng, len.min(self.most))));
    }

    /// Sends what its feed has due, or what waits for room: one message, or as many as are accepted.
    pub(crate) fn push(&mut self, now: Moment, rng: &mut Rng) {
        if let Some(feed) = self.feed.as_mut().filter(|feed| feed.left > 0 && feed.next <= now) {
            feed.left -= 1;
            feed.next = now + feed.every;
            let content = Content::of(rng, 100.min(self.most));
            let _ = self.send(now, content, rng);
            return;
        }
        while !self.waits_for_room && self.push_one(now, rng) && self.habit != Habit::Waits {}
    }

    /// Sends the next message of its backlog, if there is one. Returns whether it did.
    fn push_one(&mut self, now: Moment, rng: &mut Rng) -> bool {
        let Some(content) = self.backlog.pop_front() else { return false };
        match self.send(now, content.clone(), rng) {
            Ok(Sent::Queued) => {}
            Ok(Sent::Congested) => self.waits_for_room = self.habit == Habit::Waits && rng.percent(70),
            Err(SendError::Full) if self.habit == Habit::Ignores => {}
            Err(SendError::Full) if self.end.connection.is_congested() => {
                self.waits_for_room = true;
                self.backlog.push_front(content);
            }
            // Otherwise it would wait for its own message, possibly indefinitely.
            Err(_) => {}
        }
        true
    }

    /// Sends the reply to a received message.
    pub(crate) fn reply(&mut self, now: Moment, received: Content, rng: &mut Rng) {
        let content = match self.answers {
            Some(len) => Content::of(rng, len.min(self.most)),
            None => received,
        };
        // A peer that is too slow for its reply gets none, unless it is kept for later.
        if self.repeats && !self.backlog.is_empty() {
            self.backlog.push_back(content);
        } else if self.send(now, content.clone(), rng) == Err(SendError::Full) && self.repeats {
            let may_come_again = self.end.connection.is_congested();
            if may_come_again {
                self.backlog.push_back(content);
                self.waits_for_room = true;
            }
        }
    }

    pub(crate) fn ping(&mut self, now: Moment, rng: &mut Rng) {
        let payload = [b'p'; 125];
        let sent = self.end.connection.send_ping(now, &payload[..rng.pick(&[0, 4, 125])]);
        assert_eq!(sent.is_ok(), self.is_open());
        self.awaits_pong |= sent.is_ok();
        self.end.exempt_control();
        self.end.touch(now);
    }

    pub(crate) fn close(&mut self, now: Moment, code: CloseCode, reason: &str) {
        let was_open = self.is_open();
        self.end.pauses_until = None;
        self.end.is_terminated |= self.spec.is_some() && self.end.connection.state() == State::Connecting;
        let closed = self.end.connection.close(now, code, reason);
        if was_open {
            assert_eq!(closed, Ok(()));
            self.outgoing.borrow_mut().close(code, reason);
        }
        self.fragments = None;
        self.end.touch(now);
    }

    /// Its server is stopping.
    pub(crate) fn go_away(&mut self, now: Moment, code: CloseCode, reason: &str) {
        let was_open = self.is_open();
        self.end.pauses_until = None;
        let result = self.end.connection.go_away(now, code, reason);
        if was_open {
            assert_eq!(result, Ok(()));
            self.outgoing.borrow_mut().close(code, reason);
        }
        self.fragments = None;
        self.end.touch(now);
    }

    // --- receiving

    /// Handles an event as every application does. Returns a whole message.
    pub(crate) fn receive(&mut self, now: Moment, event: &Event<'_>, rng: &mut Rng) -> Option<Content> {
        match event {
            Event::Message(message) => {
                self.incoming.borrow_mut().receive(message.is_text(), message.as_bytes());
                return Some(content(message.is_text(), message.as_bytes()));
            }
            Event::Fragment(fragment) => return self.receive_fragment(fragment),
            Event::Pong(pong) => {
                assert!(pong.latency <= now - self.end.born());
                self.awaits_pong = false;
            }
            Event::Drained => {
                self.waits_for_room = false;
                if self.habit == Habit::Refills && self.is_open() {
                    while !self.waits_for_room && self.push_one(now, rng) {}
                }
            }
            Event::Closed(closed) => {
                let incoming = self.incoming.borrow();
                if incoming.is_spoiled {
                    return None;
                }
                // If the engine gives up, its Close overtakes them.
                let closes = |flow: &Flow| flow.closed.as_ref().is_some_and(|(code, _)| *code == closed.code);
                if closed.clean && (closes(&incoming) || closes(&self.outgoing.borrow())) {
                    assert!(incoming.is_complete(), "messages before the Close are missing");
                }
                if let (Some((code, reason)), true) = (&incoming.closed, closed.clean) {
                    let expected = (*code, reason.as_str());
                    assert_eq!((closed.code, closed.reason.as_str()), expected, "{closed}");
                }
            }
            _ => {}
        }
        None
    }

    fn receive_fragment(&mut self, fragment: &Fragment<'_>) -> Option<Content> {
        let (is_text, bytes) = self.fragment.get_or_insert((fragment.data.is_text(), Vec::new()));
        bytes.extend_from_slice(fragment.data.as_bytes());
        if !fragment.last {
            self.incoming.borrow().receive_part(*is_text, bytes);
            return None;
        }
        let (is_text, bytes) = self.fragment.take()?;
        self.incoming.borrow_mut().receive(is_text, &bytes);
        Some(content(is_text, &bytes))
    }

    /// Whether it has received and sent everything.
    pub(crate) fn check_done(&mut self) -> Result<(), &'static str> {
        let connection = &mut self.end.connection;
        let must = |is: bool, what| if is { Ok(()) } else { Err(what) };
        must(connection.state() == State::Open, "it is not open")?;
        must(connection.queued() == 0 && !connection.is_congested(), "output is queued")?;
        must(self.backlog.is_empty() && !self.waits_for_room, "it waits for room")?;
        must(self.incoming.borrow().is_complete(), "it has not received everything")?;
        must(!self.awaits_pong, "its ping is unanswered")
    }
}

fn content(is_text: bool, data: &[u8]) -> Content {
    Content { is_text, data: data.to_vec().into() }
}
