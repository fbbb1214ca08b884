//! How a run ends: the network is fair again, all peers close, and nothing leaks.

use super::peer::{Health, Kind, Peer};
use super::world::World;
use std::time::Duration;
use ws_proto::{CloseCode, Error, Moment, Timeout};
use ws_server_mio::{Closed, inspect};

impl World<'_> {
    /// Lets everything arrive and every peer read, until nothing is left to do; no time passes.
    pub(super) fn quiet(&mut self) {
        for round in 0.. {
            assert!(round < 200_000, "the run never ends");
            let mut moved = false;
            for id in 0..self.peers.len() {
                self.kernel.lock().progress(id, true);
            }
            if self.is_called() {
                self.turn();
                moved = true;
            }
            moved |= self.pump();
            // Postponed work takes time.
            if !self.behaviour.users {
                moved |= self.app.continue_sending(self.endpoint.connections());
            }
            if !moved {
                return;
            }
        }
    }

    /// Lets time pass until the next deadline; returns whether there is one within that time.
    pub(super) fn pass(&mut self, most: Duration) -> bool {
        let now = self.time.now();
        if self.app.has_later() && self.behaviour.users && self.later_at.is_none() {
            self.later_at = Some(now + Duration::from_millis(self.rng.pick(&[1, 30, 700])));
        }
        let others = self.peers.iter().filter_map(Peer::timeout).chain(self.feed_at).chain(self.later_at);
        let others = others.map(|at| at.since(now));
        let Some(next) = self.endpoint.next_timeout().into_iter().chain(others).min() else { return false };
        if next > most {
            return false;
        }
        self.advance(next);
        if self.later_at.take_if(|at| *at <= self.time.now()).is_some() {
            while self.app.continue_sending(self.endpoint.connections()) && self.rng.percent(70) {}
        }
        true
    }

    /// The network is fair, and descriptors are back: every correct peer gets all that it may expect.
    pub(super) fn settle(&mut self) {
        self.trace(|| "settle".to_owned());
        self.be_fair();
        self.app.end_refills();
        if self.behaviour.refill || self.behaviour.memory.is_some() {
            self.peers.iter_mut().for_each(|peer| peer.rate = None);
        }
        self.quiet();
        // Peers that wait for a descriptor, for another's handshake or for the next second get their turn.
        let (rounds, patience) = if self.behaviour.users { (20_000, 61) } else { (1000, 11) };
        for _ in 0..rounds {
            let waits = |peer: &Peer| peer.health == Health::Good && !peer.is_content(&self.app);
            let all_are_in = self.kernel.lock().listeners.iter().all(|listener| listener.backlog.is_empty());
            if all_are_in && !self.peers.iter().any(waits) || !self.pass(Duration::from_secs(patience)) {
                break;
            }
            self.quiet();
        }
        if self.stop.is_some() {
            return;
        }
        assert!(self.kernel.lock().listeners.iter().all(|listener| listener.backlog.is_empty()));
        for peer in self.peers.iter().filter(|peer| peer.health == Health::Good) {
            assert!(peer.is_content(&self.app), "peer {} still waits for something", peer.number);
        }
    }

    /// Every peer reads, and the kernel's buffers have their usual size.
    pub(super) fn be_fair(&mut self) {
        self.kernel.lock().be_fair();
        for peer in &mut self.peers {
            peer.reads = true;
            peer.pace = 1 << 20;
        }
    }

    /// Some peers close, then the server stops, and everything ends.
    pub(super) fn part(&mut self) {
        let now = self.time.now();
        for peer in &mut self.peers {
            if peer.health == Health::Good && self.rng.percent(50) {
                peer.close(now);
            }
        }
        self.trace(|| "part".to_owned());
        self.quiet();
        self.ends_are_in_order();
        if self.behaviour.stops && self.stop.is_none() {
            self.ask_amid();
        }
        let begun = self.time.now();
        if self.stop.is_none() {
            self.stop();
        }
        let (since, deadline) = self.stop.unwrap();
        for round in 0.. {
            assert!(round < 10_000, "there is always another deadline");
            self.quiet();
            if self.app.stopped && self.stopped_at.is_none() {
                self.stopped_at = Some(self.time.now());
            }
            if self.behaviour.users {
                self.verify();
            }
            if !self.pass(Duration::MAX) {
                break;
            }
        }
        let stopped = self.stopped_at.expect("the server does not stop");
        let slack = Duration::from_secs(1);
        assert!(stopped <= begun.max(since + deadline) + slack, "it stopped too late");
    }

    /// Each correct peer that has left closed in order, after receiving everything.
    fn ends_are_in_order(&mut self) {
        let has_rejected = self.endpoint.connections().stats().rejected > 0;
        let excused = self.hasty || has_rejected || self.stop.is_some() || self.behaviour.memory.is_some();
        for peer in self.peers.iter().filter(|peer| peer.health == Health::Good && peer.left) {
            let record = &self.app.records[peer.number];
            match &peer.kind {
                Kind::WebSocket(socket) => {
                    let closed = socket.events.closed().unwrap();
                    // A connection that is closed at the memory limit gets its Close ahead of queued messages.
                    let overtakes = [CloseCode::TRY_AGAIN_LATER, CloseCode::TOO_BIG].contains(&closed.code);
                    if closed.clean && !overtakes {
                        assert_eq!(socket.got, record.said.len(), "peer {} lacks messages", peer.number);
                    }
                    let gave_up =
                        record.has_paused && matches!(closed.error, Some(Error::Timeout(Timeout::Output)));
                    assert!(excused || record.cut || gave_up || closed.clean && socket.closes, "{closed}");
                    let here = record.closed();
                    if here.is_some_and(|here| here.clean) {
                        assert_eq!(
                            record.received,
                            record.lengths.len(),
                            "messages of peer {} are missing",
                            peer.number
                        );
                    }
                    assert!(
                        excused || record.cut || gave_up || here.is_some_and(|here| here.clean),
                        "{here:?}"
                    );
                }
                Kind::Http(replies) if !excused => {
                    assert!(replies.half_closes && replies.expected.is_empty(), "{:?}", replies.expected);
                    assert_eq!(replies.ended, Some(false), "peer {} was reset", peer.number);
                }
                _ => {}
            }
        }
    }

    /// A WebSocket that the deadline of the stop has aborted got all that was queued, and its Close, if it took output.
    fn closes_are_sent(&self) {
        let kernel = self.kernel.lock();
        for peer in &self.peers {
            let (record, socket) = (&self.app.records[peer.number], &kernel.sockets[peer.socket]);
            let is_aborted =
                |closed: &&Closed| closed.was_open && matches!(closed.error, Some(Error::Stopped));
            let (Some(closed), Kind::WebSocket(far)) = (record.closed().filter(is_aborted), &peer.kind)
            else {
                continue;
            };
            assert!(closed.sent.is_some() || socket.refused, "peer {} got no Close: {closed}", peer.number);
            // A reset may destroy it on its way.
            let (Some(sent), false) = (closed.sent, socket.aborted) else { continue };
            if peer.health == Health::Good && !far.closes {
                let there = far.events.closed().unwrap();
                assert_eq!(there.code, sent, "peer {}: {there}", peer.number);
                assert!(record.cut || far.got == record.said.len(), "peer {} lacks messages", peer.number);
            }
        }
    }

    pub(super) fn nothing_is_left(&mut self) {
        self.ends_are_in_order();
        self.closes_are_sent();
        if self.behaviour.users {
            self.responses_are_whole_or_errors();
            self.codes_are_the_peers();
        }
        assert_eq!(self.endpoint.next_timeout(), None);
        let connections = self.endpoint.connections();
        let left = inspect::overview(connections);
        assert!(!left.has_work && left.servers == 0);
        assert!(left.slots == 0 && left.leftovers == 0);
        assert!(!left.files && !left.topics);
        assert!(!self.app.ids.keys().any(|id| inspect::is_kept_for(connections, *id)));
        let stats = connections.stats();
        let kernel = self.kernel.lock();
        let accepted = || kernel.sockets.iter().filter(|socket| socket.accepted);
        assert!(accepted().all(|socket| socket.closed));
        assert_eq!(stats.open, 0);
        // Each listener retries ten times a second.
        let retries = self.time.now().since(Moment::default()).as_millis() as u64 / 100 + 1;
        assert!(
            kernel.rejections <= retries * kernel.listeners.len() as u64,
            "{} rejections",
            kernel.rejections
        );
        assert_eq!(stats.accepted + stats.rejected, accepted().count() as u64);
        // A layer adds to what it sends.
        let is_plain = self.behaviour.layers.is_none();
        let written = accepted().map(|socket| socket.bytes_written).sum::<u64>();
        assert!(if is_plain { stats.bytes_out == written } else { stats.bytes_out <= written });
        assert!(stats.bytes_in <= accepted().map(|socket| socket.bytes_read).sum::<u64>());
        for peer in &self.peers {
            let (record, socket) = (&self.app.records[peer.number], &kernel.sockets[peer.socket]);
            record.events.must_be_over();
            let Some(closed) = record.closed() else { continue };
            let (sent, written) = (closed.bytes_sent, socket.bytes_written);
            assert!(if socket.layer.is_none() { sent == written } else { sent < written });
            assert!(closed.bytes_received <= socket.bytes_read);
            assert!(!closed.clean || !socket.is_truncated, "peer {}: {closed}", peer.number);
            if closed.clean && peer.health == Health::Good && socket.layer.is_none() {
                assert_eq!(closed.bytes_received, socket.bytes_read);
            }
        }
    }
}
