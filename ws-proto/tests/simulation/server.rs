//! The server: it echoes, publishes to topics, answers requests, closes, and records everything.

use super::answers::{self, Deferred, Later, Spec};
use super::content::Content;
use super::link::{Link, SERVER};
use super::party::Party;
use super::rng::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use ws_host::topics::{Delivered, LatestByKey, SlowPeer, Topics, flush_latest};
use ws_proto::Moment;
use ws_proto::{CloseCode, Error, Event, Frame, Opcode, Sent, State};

const TOPICS: [&str; 3] = ["prices", "news", "weather"];
const KEYS: [&str; 3] = ["a", "b", "c"];

/// A connection of the server.
pub(crate) struct Conn {
    pub(crate) party: Party,
    /// The percentage of messages that it echoes.
    echoes: usize,
    /// The number of requests received.
    requests: usize,
    /// Deferred actions, and bodies that wait for room.
    pub(crate) later: Vec<Later>,
    /// The application itself may cause an HTTP error.
    own_fault: bool,
    /// The application closed it, or rejected it.
    pub(crate) is_cut: bool,
    /// Since when the client of an answer without a length has been gone.
    pub(crate) left_since: Option<Moment>,
}

#[derive(Default)]
pub(crate) struct Server {
    pub(crate) conns: Vec<Conn>,
    topics: Topics<usize>,
    newest: LatestByKey<usize, Frame>,
    /// The expected content of the two above.
    subscribed: BTreeSet<(&'static str, usize)>,
    kept: BTreeMap<(usize, &'static str), Frame>,
    pub(crate) stops: Option<Moment>,
}

impl Server {
    // --- events

    pub(crate) fn handle(&mut self, id: usize, now: Moment, event: Event<'_>, rng: &mut Rng) {
        let conn = &mut self.conns[id];
        let received = conn.party.receive(now, &event, rng);
        match event {
            Event::Request(request) => {
                let Some(spec) = Spec::parse(request.path()) else { return drop(request) };
                if !conn.party.incoming.borrow().is_spoiled {
                    assert_eq!((spec.of, spec.n), (id, conn.requests), "a request arrived twice, or never");
                    let body = request.http().body();
                    assert!(body.is_empty() || body == spec.body(), "the body of request {}", spec.n);
                }
                conn.requests += 1;
                conn.own_fault |= spec.kind == answers::Kind::CutOff;
                let action = answers::request(&mut conn.party.end, now, request, spec, rng);
                self.defer(id, now, action, rng);
            }
            Event::Upgrade(upgrade) => {
                let Some(spec) = Spec::parse(upgrade.path()) else { return drop(upgrade) };
                conn.requests += 1;
                conn.own_fault |= spec.kind == answers::Kind::Drop;
                let action = answers::upgrade(&mut conn.party.end, now, upgrade, spec, rng);
                self.defer(id, now, action, rng);
            }
            Event::Open(_) => {
                for topic in TOPICS {
                    if rng.percent(40) {
                        self.subscribe(id, topic);
                    }
                }
                if rng.percent(50) {
                    self.send(id, now, rng);
                }
            }
            Event::Drained => {
                for later in conn.later.iter_mut() {
                    if let Deferred::Body(_, rest, waits, kind) = &mut later.action {
                        *waits = rest.is_empty() && *kind == answers::Kind::Events;
                    }
                }
                self.flush_kept(id, now);
            }
            Event::Closed(closed) => {
                // Otherwise the engine may have answered on its own.
                let may_wait = conn.party.end.rules.config.get_answer_timeout() >= Duration::from_secs(3600);
                let is_whole = closed.was_open || !conn.later.iter().any(|later| later.is_due(may_wait));
                assert!(
                    is_whole || closed.error.is_some(),
                    "an answer is truncated without an error: {closed}"
                );
                self.topics.forget(id);
                self.newest.forget(id);
                self.subscribed.retain(|(_, of)| *of != id);
                self.kept.retain(|(of, _), _| *of != id);
                self.conns[id].later.clear();
            }
            _ => {}
        }
        if let Some(content) = received
            && rng.percent(self.conns[id].echoes)
        {
            self.conns[id].party.reply(now, content, rng);
        }
        self.check();
    }

    fn defer(&mut self, id: usize, now: Moment, action: Option<Deferred>, rng: &mut Rng) {
        if let Some(action) = action {
            let at = now + answers::delay(rng, &action);
            self.conns[id].later.push(Later { at, action });
        }
    }

    fn check(&self) {
        for topic in TOPICS {
            let known = self.subscribed.iter().filter(|(name, _)| *name == topic).map(|(_, id)| *id);
            assert!(self.topics.subscribers(topic).eq(known), "the subscribers of {topic}");
        }
    }

    // --- own actions

    /// Whether a deferred action is due.
    pub(crate) fn has_later(&self, id: usize, now: Moment) -> bool {
        self.conns[id].later.iter().any(|later| later.at <= now && !later.waits())
    }

    pub(crate) fn next_later(&self, id: usize, now: Moment) -> Option<Moment> {
        let later = self.conns[id].later.iter().filter(|later| !later.waits());
        later.map(|later| later.at).filter(|at| *at > now).min()
    }

    pub(crate) fn run_deferred(&mut self, id: usize, now: Moment, rng: &mut Rng) {
        let conn = &mut self.conns[id];
        let due = |later: &Later| later.at <= now && !later.waits();
        let Some(at) = conn.later.iter().position(due) else { return };
        let later = conn.later.swap_remove(at);
        let action = answers::run_deferred(&mut conn.party.end, now, later.action, rng);
        self.defer(id, now, action, rng);
    }

    fn subscribe(&mut self, id: usize, topic: &'static str) {
        let is_new = self.topics.subscribe(id, topic).unwrap();
        assert_eq!(is_new, self.subscribed.insert((topic, id)));
    }

    fn any_open(&self, rng: &mut Rng) -> Option<usize> {
        let open: Vec<_> = (0..self.conns.len()).filter(|id| self.conns[*id].party.is_open()).collect();
        (!open.is_empty()).then(|| rng.pick(&open))
    }

    /// Acts without a peer's request.
    pub(crate) fn act(&mut self, now: Moment, rng: &mut Rng) {
        if rng.percent(50) {
            return self.publish(now, rng);
        }
        let Some(id) = self.any_open(rng) else { return };
        let party = &mut self.conns[id].party;
        match rng.below(22) {
            20..22 => party.end.pause(now, now + rng.time(Duration::from_secs(60))),
            0..6 => self.send(id, now, rng),
            6..9 => party.send_part(now, rng),
            9..11 => party.send_burst(rng),
            11..14 => party.ping(now, rng),
            14 => party.end.resume(now),
            15..18 => {
                let topic = rng.pick(&TOPICS);
                if rng.percent(50) && party.end.is_open() {
                    self.subscribe(id, topic);
                } else {
                    assert_eq!(
                        self.topics.unsubscribe(id, topic),
                        self.subscribed.remove(&(topic, id)),
                        "{topic}"
                    );
                }
            }
            18 => self.close(id, now, CloseCode::NORMAL, "enough"),
            _ => {
                self.conns[id].is_cut = true;
                self.conns[id].party.end.abort(now, Error::Aborted);
            }
        }
        self.check();
    }

    fn send(&mut self, id: usize, now: Moment, rng: &mut Rng) {
        let party = &mut self.conns[id].party;
        let content = Content::any(rng, party.most);
        let _ = party.send(now, content, rng);
    }

    pub(crate) fn close(&mut self, id: usize, now: Moment, code: CloseCode, reason: &str) {
        let conn = &mut self.conns[id];
        conn.is_cut = true;
        conn.party.close(now, code, reason);
    }

    /// Closes all connections cleanly; those not done in time are aborted.
    pub(crate) fn stop(&mut self, now: Moment, deadline: Moment) {
        self.stops = Some(deadline);
        for id in 0..self.conns.len() {
            self.conns[id].party.go_away(now, CloseCode::GOING_AWAY, "the server stops");
        }
    }

    pub(crate) fn cut_all(&mut self, now: Moment) {
        for conn in &mut self.conns {
            if conn.party.end.connection.state() != State::Closed {
                conn.is_cut = true;
                conn.party.end.abort(now, Error::Stopped);
            }
        }
    }

    // --- broadcasts

    fn publish(&mut self, now: Moment, rng: &mut Rng) {
        let topic = rng.pick(&TOPICS);
        let listeners: Vec<_> = self.topics.subscribers(topic).collect();
        let most = listeners.iter().map(|id| self.conns[*id].party.most).min().unwrap_or(0);
        let content = Content::any(rng, most);
        let frame =
            if content.is_text { Frame::text(content.text()) } else { Frame::binary(content.data.clone()) };
        let key = rng.pick(&KEYS);
        let policy = rng.pick(&[SlowPeer::Close, SlowPeer::Skip, SlowPeer::Latest(key)]);
        for id in listeners {
            self.deliver(id, now, policy, &content, &frame, key);
        }
    }

    fn deliver(
        &mut self,
        id: usize,
        now: Moment,
        policy: SlowPeer<'_>,
        content: &Content,
        frame: &Frame,
        key: &'static str,
    ) {
        let party = &mut self.conns[id].party;
        let (queued, was_congested) = (party.end.connection.queued(), party.end.connection.is_congested());
        let (was_open, has_kept) = (party.is_open(), self.newest.has(id));
        let len = content.data.len();
        let is_too_much = queued > 0 && queued + len + 14 > party.end.rules.config.get_outbox_cap();
        let is_scarce = party.end.rules.config.get_memory().is_some();
        let delivered = policy.deliver(now, id, &mut party.end.connection, frame, &mut self.newest);
        let may = match (delivered, policy) {
            (Delivered::NotOpen, _) => !was_open,
            (Delivered::Queued, SlowPeer::Latest(_)) => was_open && !has_kept && !was_congested,
            (Delivered::Queued, SlowPeer::Skip) => was_open && !was_congested,
            (Delivered::Queued, _) => was_open,
            (Delivered::Skipped, SlowPeer::Skip) => was_congested || is_too_much || is_scarce,
            (Delivered::Kept, SlowPeer::Latest(_)) => was_congested || has_kept || is_too_much || is_scarce,
            // The peer cannot drain messages that wait for our own.
            (Delivered::Closed, SlowPeer::Close | SlowPeer::Latest(_)) => is_too_much || is_scarce,
            _ => false,
        };
        assert!(may, "{policy:?} {delivered:?} with {queued} queued, congested: {was_congested}");
        match delivered {
            Delivered::Queued => {
                party.end.check_send(now, queued, len, false, Ok(Sent::Queued));
                party.outgoing.borrow_mut().send(content.clone());
            }
            Delivered::Kept => {
                self.kept.insert((id, key), frame.clone());
            }
            Delivered::Closed => self.close_slow(id),
            _ => {}
        }
        self.conns[id].party.end.touch(now);
    }

    fn close_slow(&mut self, id: usize) {
        let conn = &mut self.conns[id];
        conn.is_cut = true;
        conn.party.outgoing.borrow_mut().close(CloseCode::TRY_AGAIN_LATER, "too slow");
    }

    /// After `Drained`: sends kept messages, the latest of each key.
    fn flush_kept(&mut self, id: usize, now: Moment) {
        let mut outcomes = Vec::new();
        let connection = &mut self.conns[id].party.end.connection;
        let is_empty = connection.queued() == 0;
        flush_latest(now, id, connection, &mut self.newest, |frame, delivered| {
            outcomes.push((frame.clone(), delivered));
        });
        for (frame, delivered) in outcomes {
            let key = self.kept.iter().find(|((of, _), kept)| *of == id && **kept == frame);
            let key = key.map(|(key, _)| *key).expect("only kept messages are flushed");
            match delivered {
                Delivered::Queued => {
                    self.kept.remove(&key);
                    let is_text = frame.opcode() == Opcode::Text;
                    let data = frame.payload().clone();
                    if is_empty {
                        self.conns[id].party.end.may_be_alone(data.len());
                    }
                    self.conns[id].party.outgoing.borrow_mut().send(Content { is_text, data });
                }
                Delivered::Kept => {}
                Delivered::Closed => self.close_slow(id),
                Delivered::NotOpen => {}
                Delivered::Skipped => panic!("a kept message is skipped"),
            }
        }
        self.conns[id].party.end.exempt_control();
        self.conns[id].party.end.touch(now);
    }

    /// Whether a connection has everything it may expect.
    pub(crate) fn check_done(&mut self, id: usize) -> Result<(), &'static str> {
        self.conns[id].party.check_done()?;
        if self.newest.has(id) || self.kept.keys().any(|(of, _)| *of == id) {
            return Err("a message is kept for it");
        }
        Ok(())
    }
}

impl Conn {
    pub(crate) fn new(party: Party, echoes: usize) -> Self {
        Self {
            party,
            echoes,
            requests: 0,
            later: Vec::new(),
            own_fault: false,
            is_cut: false,
            left_since: None,
        }
    }

    /// Whether the application itself may cause this HTTP error.
    pub(crate) fn may_end_with(&self, error: &Error) -> bool {
        self.own_fault && matches!(error, Error::Unanswered | Error::Unfinished)
    }
}

impl Later {
    fn waits(&self) -> bool {
        matches!(self.action, Deferred::Body(_, _, true, _))
    }

    /// Whether it never ends on its own.
    pub(crate) fn is_endless(&self) -> bool {
        matches!(self.action, Deferred::Body(_, _, _, answers::Kind::Events))
    }

    /// Whether it is an answer, or the rest of one, that its client expects.
    fn is_due(&self, may_wait: bool) -> bool {
        match &self.action {
            Deferred::Respond(..) => may_wait,
            Deferred::Body(body, _, _, kind) => !body.is_discarded() && *kind != answers::Kind::Events,
            Deferred::Part(body, ..) => !body.is_discarded(),
            _ => false,
        }
    }
}

/// The departure of a client is detected within this, if its answer has no length.
const DETECTED_IN: Duration = Duration::from_secs(1);

impl Conn {
    /// The departure of a client whose answer has no length is detected as soon as nothing precedes it.
    pub(crate) fn check_departure(&mut self, now: Moment, link: &Link) {
        let is_streaming = self.is_streaming();
        let end = &self.party.end;
        let is_attentive = end.manner.late == Duration::ZERO
            && end.manner.handling == Duration::ZERO
            && !end.manner.one_at_a_time
            && end.reads_from <= now;
        let is_left = link.is_readable(SERVER, now) && link.is_at_end(SERVER, now);
        let must = is_attentive && is_left && !end.rules.config.get_half_close() && is_streaming;
        if !must || end.connection.state() != State::Connecting {
            self.left_since = None;
            return;
        }
        let since = *self.left_since.get_or_insert(now);
        assert!(now <= since + DETECTED_IN, "the vanished client of an endless answer is not detected");
    }

    /// Whether an answer without a known length is in progress.
    pub(crate) fn is_streaming(&mut self) -> bool {
        self.later.iter().any(|later| match &later.action {
            Deferred::Body(body, _, _, kind) => {
                kind.is_streamed() && self.party.end.connection.http().is_its_turn(body)
            }
            Deferred::Part(body, ..) => self.party.end.connection.http().is_its_turn(body),
            _ => false,
        })
    }
}
