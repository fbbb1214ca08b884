//! How a run ends: well-behaved ends receive everything they may expect, then everything closes.

use super::answers::{Kind, Spec};
use super::end::End;
use super::world::{BIRTH, ClientKind, Health, Purpose, World};
use std::time::Duration;
use ws_proto::{CloseCode, Error, ResponseError, State, Timeout};

/// Everything sent is received within this, unless the run is hasty.
const REST: Duration = Duration::from_secs(3000);

impl World {
    /// From now on the network is fair and every end attentive: well-behaved ends receive everything they may expect.
    pub(super) fn settle(&mut self) {
        self.log(|| "settle".to_owned());
        self.changed = None;
        let now = self.now;
        self.server_acts = 0;
        for (id, client) in self.clients.iter_mut().enumerate() {
            client.acts = 0;
            self.links[id].release();
            // Feeds to vanished clients continue.
            let may_stop = !self.links[id].is_cut;
            self.server.conns[id].party.feed.take_if(|_| may_stop);
            self.server.conns[id].party.be_brisk(now);
            match &mut client.kind {
                ClientKind::WebSocket(party) => {
                    party.feed.take_if(|_| may_stop);
                    party.be_brisk(now);
                }
                ClientKind::Http(browser) => browser.reads_from = now,
                _ => {}
            }
        }
        let limit = now + if self.is_hasty { Duration::from_secs(30) } else { REST };
        while self.is_busy() && self.now < limit {
            self.finish_fragments();
            if !self.step() {
                break;
            }
        }
        if self.is_hasty || self.has_stopped || self.purpose == Purpose::Memory {
            return;
        }
        for id in 0..self.clients.len() {
            if self.links[id].is_cut {
                let is_found = !self.must_detect_dead_peer(id);
                assert!(is_found, "the vanished peer of connection {id} is not detected");
            }
            if self.clients[id].health == Health::Good && !self.server.conns[id].is_cut {
                let done = self.check_done(id);
                assert!(done.is_ok(), "connection {id}: {}", done.unwrap_err());
            }
        }
    }

    /// Whether an unbroken connection still has work.
    fn is_busy(&mut self) -> bool {
        (0..self.clients.len()).any(|id| {
            if self.links[id].is_cut {
                return self.must_detect_dead_peer(id);
            }
            let client = &mut self.clients[id];
            if client.health == Health::Broken {
                return false;
            }
            let conn = &mut self.server.conns[id];
            let waits = match &mut client.kind {
                ClientKind::WebSocket(party) => party.is_busy(),
                ClientKind::Http(browser) => !browser.is_done(),
                _ => false,
            };
            waits
                || conn.party.is_busy()
                || conn.later.iter().any(|later| !later.is_endless())
                || self.links[id].is_busy()
        })
    }

    /// Whether an end has yet to detect that its peer, with which it was in contact, is gone.
    fn must_detect_dead_peer(&self, id: usize) -> bool {
        let searches = |end: &End| end.connection.state() == State::Open && end.interval().is_some();
        let at_client = match &self.clients[id].kind {
            ClientKind::WebSocket(party) => searches(&party.end),
            _ => false,
        };
        at_client || searches(&self.server.conns[id].party.end)
    }

    /// Finishes messages in progress.
    fn finish_fragments(&mut self) {
        let now = self.now;
        for (id, client) in self.clients.iter_mut().enumerate() {
            let mut has_sent = self.server.conns[id].party.finish_fragments(now, &mut self.rng);
            if let ClientKind::WebSocket(party) = &mut client.kind {
                has_sent |= party.finish_fragments(now, &mut self.rng);
            }
            if has_sent {
                self.changed = None;
            }
        }
    }

    fn check_done(&mut self, id: usize) -> Result<(), &'static str> {
        match &mut self.clients[id].kind {
            ClientKind::WebSocket(party) if party.spec.is_none_or(opens) => {
                if party.outgoing.borrow().closed.is_some() {
                    return Ok(()); // it has closed; checked at the end
                }
                party.check_done()?;
                self.server.check_done(id)
            }
            ClientKind::Http(browser) if !browser.is_done() => Err("an answer is missing"),
            _ => Ok(()),
        }
    }

    pub(super) fn stop(&mut self) {
        let deadline = self.rng.pick(&[Duration::ZERO, Duration::from_secs(1), Duration::from_secs(7200)]);
        self.log(|| format!("the server stops within {deadline:?}"));
        self.has_stopped = true;
        self.changed = None;
        self.server.stop(self.now, self.now + deadline);
        for client in &mut self.clients {
            if let ClientKind::Http(browser) = &mut client.kind {
                browser.is_stopping = true;
            }
        }
    }

    /// The clients leave, the server stops, and everything closes.
    pub(super) fn close_all(&mut self) {
        self.log(|| "close all".to_owned());
        self.changed = None;
        for id in 0..self.clients.len() {
            if self.links[id].is_cut {
                self.clients[id].kind = ClientKind::Left;
            }
            let (now, chance) = (self.now, self.rng.below(10));
            let client = &mut self.clients[id];
            match (&mut client.kind, chance) {
                (ClientKind::WebSocket(party), 0..5) => {
                    if party.end.connection.state() == State::Connecting {
                        client.health = Health::Broken; // it gives up
                    }
                    party.close(now, CloseCode::NORMAL, "bye");
                }
                (ClientKind::Http(browser), 0..5) if !browser.is_answered_whole() => {
                    // It leaves during an endless answer.
                    client.health = Health::Broken;
                    browser.leave(now, &mut self.links[id]);
                }
                (ClientKind::Http(browser), 0..3) => {
                    browser.half_close(self.server.conns[id].party.end.rules.config.get_half_close());
                }
                (ClientKind::Http(browser), 3..5) => browser.leave(now, &mut self.links[id]),
                (_, 5) => self.break_off(id),
                // The server ends the connections of the rest.
                _ => {}
            }
        }
        let until = self.now + self.rng.time(Duration::from_secs(100));
        while self.now < until && self.step() {}
        if !self.has_stopped {
            self.stop();
        }
        while self.step() {}
        self.log(|| "everything is closed".to_owned());
        for id in 0..self.clients.len() {
            self.is_over(id);
        }
    }

    fn is_over(&mut self, id: usize) {
        let conn = &mut self.server.conns[id];
        let end = &conn.party.end;
        assert!(end.is_dropped, "connection {id} of the server hangs in {:?}", end.connection.state());
        assert!(conn.later.is_empty(), "an answer is pending on connection {id}");
        let is_forced_here = self.is_hasty
            || conn.is_cut
            || end.is_deaf
            || end.manner.one_at_a_time
            || end.manner.handling > Duration::ZERO
            || end.is_terminated
            || !self.links[id].keeps()
            || self.links[id].is_cut;
        let is_unlistened = matches!(&self.clients[id].kind, ClientKind::Http(browser) if browser.is_forced);
        let is_forced = self.is_hasty
            || is_unlistened
            || self.purpose == Purpose::Memory
            || self.clients[id].health == Health::Broken
            || end.is_terminated;
        if let (Some(closed), false) = (end.closed(), is_forced) {
            match &closed.error {
                None => {}
                Some(error) if conn.may_end_with(error) => {}
                // The rules do not set this timeout, and a network may be slower.
                Some(Error::Timeout(Timeout::Body)) => {}
                Some(error) => panic!("connection {id} of the server ended with {error}"),
            }
            assert!(closed.clean || !closed.was_open, "connection {id} did not end cleanly: {closed}");
        }
        let server_closed = end.closed().cloned();
        if let (Some(code), Some(closed), false) =
            (self.clients[id].resets_behind, end.closed(), is_forced_here)
        {
            assert_eq!(closed.code, code, "the client of connection {id} closed and reset: {closed}");
        }
        if let (ClientKind::Http(browser), Some(closed)) = (&self.clients[id].kind, end.closed()) {
            let is_whole = browser.answered >= end.answered || browser.has_left();
            assert!(is_whole || closed.error.is_some(), "an answer is truncated without an error: {closed}");
        }
        let ClientKind::WebSocket(party) = &mut self.clients[id].kind else { return };
        let end = &party.end;
        let state = end.connection.state();
        assert!(end.is_dropped && state == State::Closed, "client {id} hangs in {state:?}");
        let Some(closed) = end.closed() else { panic!("the end of client {id} was not reported") };
        let (outgoing, incoming) = (party.outgoing.borrow(), party.incoming.borrow());
        if let Some(here) = server_closed.filter(|here| here.clean && closed.clean && !outgoing.is_spoiled) {
            assert_eq!((Some(here.code), Some(closed.code)), (closed.sent, here.sent), "{here} {closed}");
            assert!(outgoing.is_complete() && incoming.is_complete(), "not everything was received");
        }
        if is_forced {
            return;
        }
        match (party.spec, &closed.error) {
            (Some(spec), Some(Error::Response(ResponseError::Rejected(answer)))) => {
                let status = if spec.kind == Kind::Refuse && !self.has_stopped {
                    403
                } else {
                    answer.status().as_u16()
                };
                assert!(matches!(status, 403 | 503), "{status} for {spec:?}");
                assert!(!opens(spec) || self.has_stopped && answer.status() == 503, "{spec:?} was rejected");
                assert_eq!(answer.status().as_u16(), status);
                assert!(status != 403 || answer.body() == spec.body(), "the body of a rejection");
            }
            (spec, None) if spec.is_none_or(opens) => assert!(closed.clean, "client {id}: {closed}"),
            _ if (conn.is_cut || self.has_stopped) && !closed.was_open => {} // the server stopped before it was open
            _ => panic!("client {id}: {closed}, {:?} after the beginning", self.now - BIRTH),
        }
    }
}

fn opens(spec: Spec) -> bool {
    matches!(spec.kind, Kind::Accept | Kind::AcceptLater)
}
