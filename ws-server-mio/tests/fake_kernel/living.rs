//! Time passes for connected peers: feeds, peers that die, leave or ask for a stop, and a stop of the server meanwhile.

use super::peer::{FAREWELL, Health, Kind, SLOW};
use super::wire::Signal;
use super::world::World;
use std::collections::BTreeMap;
use std::time::Duration;
use ws_proto::State;
use ws_server_mio::inspect;

/// How late something may be noticed: timers are coarse, and handlers slow.
const SLACK: Duration = Duration::from_millis(1500);
/// How soon the application receives what its peer sends, and notices an abandoned stream.
const SOON: Duration = Duration::from_millis(1200);

impl World<'_> {
    /// Lets time pass, with a fair network.
    pub(super) fn live(&mut self) {
        self.trace(|| "live".to_owned());
        self.be_fair();
        self.app.is_slow = self.behaviour.slow;
        for at in 0..self.peers.len() {
            if !self.behaviour.feed && self.rng.percent(30) {
                self.peers[at].rate = Some(SLOW);
            }
        }
        let now = self.time.now();
        let (interval, answer) = self.beat.unwrap_or_default();
        let span = (interval * 2 + answer * 2).clamp(Duration::from_secs(5), Duration::from_secs(4000));
        let feeds = self.behaviour.feed || self.behaviour.streams && self.rng.percent(50);
        let every = span.div_f32(if feeds { 40.0 } else { 8.0 });
        let (span, every) = match self.behaviour.refill {
            true => (Duration::from_secs(20), Duration::from_millis(300)),
            false => (span, every),
        };
        if feeds {
            self.feed_at = Some(now);
        }
        let end = now + span;
        for _ in 0..3000 {
            self.quiet();
            self.verify();
            let now = self.time.now();
            if now >= end {
                break;
            }
            if self.feed_at.is_some_and(|at| at <= now) {
                self.feed_at = Some(now + every);
                self.app.feed(self.endpoint.connections());
            }
            if self.rng.percent(30) {
                self.act_as_user();
            }
            if !self.pass(every) {
                self.advance(every);
            }
        }
        self.feed_at = None;
        self.app.is_slow = false;
        self.resume_all();
        // Peers that left a stream without a trace reset it now.
        for peer in &mut self.peers {
            if let Kind::Stream(reader) = &mut peer.kind
                && reader.left_at.is_some()
            {
                peer.reset(&self.kernel);
            }
        }
        self.quiet();
    }

    /// Some peer acts as users do.
    fn act_as_user(&mut self) {
        if self.peers.is_empty() {
            return;
        }
        let at = self.rng.below(self.peers.len());
        let (now, behaviour) = (self.time.now(), self.behaviour.clone());
        let by_reset = self.rng.percent(60);
        let (rng, kernel, peer) = (&mut self.rng, &self.kernel, &mut self.peers[at]);
        if peer.left || peer.health != Health::Good {
            return;
        }
        let act = if behaviour.refill { 2 } else { rng.below(5) };
        match act {
            0 if behaviour.feed => {
                peer.health = Health::Vanished;
                if let Kind::Http(replies) = &mut peer.kind {
                    replies.given_up = true;
                }
            }
            1 if behaviour.farewells => peer.say_farewell(kernel, now, by_reset),
            2 if behaviour.refill => peer.ask_to_stop(kernel, now),
            3 if behaviour.streams => peer.leave_stream(kernel, now, by_reset),
            4 if behaviour.pauses => self.pause_or_resume(at),
            _ => return,
        }
        let peer = &self.peers[at];
        self.trace(|| format!("peer {at} did: {:?}", peer.health));
    }

    /// The application resumes reading from all.
    fn resume_all(&mut self) {
        for at in 0..self.peers.len() {
            let paused = self.app.records[at].paused;
            if paused {
                self.pause_or_resume(at);
            }
        }
    }

    fn pause_or_resume(&mut self, at: usize) {
        let record = &mut self.app.records[at];
        let Some(id) = record.id.filter(|_| record.is_open() && record.closed().is_none()) else { return };
        record.paused = !record.paused;
        record.has_paused = true;
        let paused = record.paused;
        match paused {
            true => self.endpoint.connections().pause(id),
            false => self.endpoint.connections().resume(id),
        }
    }

    /// Sends requests whose responses are in flight at a stop.
    pub(super) fn ask_amid(&mut self) {
        for peer in &mut self.peers {
            if let Kind::Http(replies) = &mut peer.kind
                && !peer.left
                && peer.health == Health::Good
                && !replies.half_closes
            {
                replies.ask(&mut self.rng, self.largest);
            }
        }
        for _ in 0..self.rng.within(0, 40) {
            self.pump();
            for id in 0..self.peers.len() {
                self.kernel.lock().progress(id, true);
            }
            if self.is_called() {
                self.turn();
            }
        }
    }

    /// Checks invariants that hold at any time.
    pub(super) fn verify(&mut self) {
        let now = self.time.now();
        let mut states = BTreeMap::new();
        inspect::each_slot(self.endpoint.connections(), |live| {
            states.insert(live.id, (live.connection.is_paused(), live.connection.state()));
        });
        let kernel = self.kernel.lock();
        for peer in &mut self.peers {
            let record = &self.app.records[peer.number];
            let (Some(id), false) = (record.id, record.cut) else { continue };
            let socket = &kernel.sockets[peer.socket];
            let is_reported = record.closed().is_some();
            let connection = states.get(&id);
            // A peer's request to stop is received, however much is sent to it.
            if let Some((end, arrived)) = &mut peer.asks_to_stop
                && peer.health == Health::Good
                && !record.stopped
                && !is_reported
            {
                if socket.bytes_read + socket.inbox.len() as u64 >= *end {
                    arrived.get_or_insert(now);
                }
                let is_late = arrived.is_some_and(|at| now > at + SOON) && !record.paused;
                assert!(!is_late, "the request of peer {} is not received", peer.number);
            }
            // An abandoned stream is noticed.
            if let Kind::Stream(reader) = &peer.kind
                && let Some((left_at, by_fin)) = reader.left_at
                && !(by_fin && self.half_close)
            {
                assert!(
                    is_reported || now <= left_at + SOON,
                    "peer {} has left its stream, unnoticed",
                    peer.number
                );
                let error = record.closed().is_none_or(|closed| closed.error.is_some());
                assert!(error, "the stream of peer {} was truncated without an error", peer.number);
            }
            // A dead peer is noticed in time.
            let has_read = peer.last_read.replace(socket.bytes_read) != Some(socket.bytes_read);
            let held = connection.is_some_and(|(is_paused, _)| *is_paused);
            if has_read || held || peer.health != Health::Vanished {
                peer.silent = Some(now);
            }
            if let (Some((interval, answer)), Some(silent)) = (self.beat, peer.silent)
                && connection.is_some_and(|(_, state)| *state == State::Open)
                && !is_reported
            {
                assert!(now <= silent + interval + answer + SLACK, "peer {} is dead, unnoticed", peer.number);
            }
            // A reset is noticed at once, paused or not.
            if socket.reset == Signal::Arrived && !kernel.armed_system && record.is_open() && !is_reported {
                let since = *peer.reset_at.get_or_insert(now);
                assert!(now <= since + SOON, "peer {} has reset its connection, unnoticed", peer.number);
            }
        }
    }

    /// Each pending response is whole, or its connection ended with an error.
    pub(super) fn responses_are_whole_or_errors(&self) {
        for peer in self.peers.iter().filter(|peer| peer.health == Health::Good) {
            let record = &self.app.records[peer.number];
            let Some(closed) = record.closed() else { continue };
            let is_whole = match &peer.kind {
                Kind::Http(replies) if !replies.given_up => replies.whole >= record.requests,
                Kind::Stream(reader) => reader.is_finished(),
                _ => continue,
            };
            assert!(
                is_whole || closed.error.is_some(),
                "a response to peer {} was truncated: {closed}",
                peer.number
            );
            if let Kind::Stream(reader) = &peer.kind {
                let ends = reader.is_event_stream || !is_whole;
                assert!(ends, "what peer {} read was truncated, and seems whole", peer.number);
            }
        }
    }

    /// The code and the reason are the peer's, whatever fails afterwards.
    pub(super) fn codes_are_the_peers(&self) {
        let kernel = self.kernel.lock();
        for peer in &self.peers {
            let (record, socket) = (&self.app.records[peer.number], &kernel.sockets[peer.socket]);
            let (Some(end), Some(closed)) = (peer.farewell, record.closed()) else { continue };
            let could_be_read = socket.bytes_read.max(socket.reached) >= end;
            // What the application does not read cannot explain a reset.
            let excused = record.cut || record.paused || self.stop.is_some() && socket.bytes_read < end;
            if could_be_read && !excused {
                let said = (closed.code.get(), &*closed.reason);
                assert_eq!(said, FAREWELL, "peer {}: {closed}", peer.number);
            }
        }
    }
}
