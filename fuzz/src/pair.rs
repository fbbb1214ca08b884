//! `pair`: a client and a server, and a pipe that cuts, delays and stalls arbitrarily.
//!
//! ```text
//!   how both are configured (2) | acts …
//! ```
//!
//! An act is a byte that selects an end and its action, sometimes followed by a byte for the amount. At the end the
//! pipe flows again, and everything must arrive.

use crate::bytes::request;
use crate::end::End;
use crate::input::{Input, pick};
use crate::seen::Seen;
use crate::setup::{CLIENT, SEED};
use crate::watch::Watched;
use std::sync::Arc;
use std::time::Duration;
use ws_proto::{
    CloseCode, Config, Connection, Deflate, Delivery, Error, Frame, Heartbeat, HeartbeatKind, Moment, Role,
    State, Timeout,
};

/// Runs two ends through any schedule.
pub fn pair(data: &[u8]) -> Seen {
    let mut input = Input::new(data);
    let mut pair = Pair::new(&mut input);
    while !input.is_empty() {
        pair.act(&mut input);
    }
    pair.finish()
}

struct Pair {
    now: Moment,
    client: End,
    server: End,
}

impl Pair {
    fn new(input: &mut Input<'_>) -> Self {
        let now = Moment::from_nanos(1 << 60);
        let [how, each] = [0; 2].map(|_| input.byte());
        let config = |base: Config, bits: u8| {
            let second = Duration::from_secs(1);
            let ping =
                Heartbeat::frequent().kind(HeartbeatKind::Ping).idle(3 * second).pong_timeout(2 * second);
            let pong = ping.clone().kind(HeartbeatKind::Pong);
            let mut config = base.clone();
            config = config
                .heartbeat(pick(bits, 0, [base.get_heartbeat(), &Heartbeat::off(), &ping, &pong]).clone());
            let marks = (base.get_low_mark(), base.get_high_mark(), base.get_outbox_cap());
            let (low, high, cap) = pick(bits, 2, [marks, (0, 0, 0), (10, 100, 1000), (100, 1000, 3000)]);
            let mut config = config.outbox(low, high, cap);
            // The acts may make thousands of them in no time.
            config = config.frame_rate(None);
            config
        };
        let mut of_client = config(Config::client(), each & 15);
        let mut of_server = config(Config::server(), each >> 4);
        of_client = of_client.message_rate(pick(how, 1, [None, None, Some(1), Some(3)]));
        of_server = of_server.message_rate(pick(how, 3, [None, None, Some(1), Some(3)]));
        if how & 0x80 != 0 {
            (of_client, of_server) = (of_client.deflate(Deflate::new()), of_server.deflate(Deflate::new()));
        }
        if how & 0x20 != 0 {
            of_client = of_client.delivery(Delivery::Chunked { whole: 10 });
        }
        if how & 0x40 != 0 {
            of_server = of_server.delivery(Delivery::Chunked { whole: 10 });
        }
        let (of_client, of_server) = (Arc::new(of_client), Arc::new(of_server));
        let (client, server) = if how & 1 == 0 {
            (
                Connection::client(now, of_client, request(), SEED),
                Connection::server(now, of_server, Default::default()),
            )
        } else {
            (Connection::upgraded(now, of_client, CLIENT), Connection::upgraded(now, of_server, Role::Server))
        };
        let (client, server) = (End::new(Watched::client(client)), End::new(Watched::server(server)));
        Self { now, client, server }
    }

    fn act(&mut self, input: &mut Input<'_>) {
        let act = input.byte();
        let now = self.now;
        let Self { client, server, .. } = self;
        let (this, that) = if act & 1 == 0 { (client, server) } else { (server, client) };
        let is_text = act & 0x20 != 0;
        match act >> 1 & 15 {
            0 => this.send(is_text, input.byte().into()),
            1 => match usize::from(input.byte()) {
                // Occasionally one with a 64-bit length.
                len @ 0xf8.. => this.send(is_text, 270 * len),
                len => this.send(is_text, 16 * len),
            },
            2 => this.send_fragment(is_text, false, input.byte().into()),
            3 => this.send_fragment(is_text, true, input.byte().into()),
            4 => {
                let result = this.watched.act(|c| c.send_ping(now, &[act]));
                this.record_result(&result);
            }
            5 => {
                let frame = Frame::pong(vec![act]).expect("one byte fits");
                let result = this.watched.act(|c| c.send(&frame));
                this.record_result(&result);
            }
            6 => drop(this.write(now, input.byte().into(), that)),
            7 => drop(this.write(now, usize::MAX, that)),
            8 => drop(this.write(now, 0, that)),
            9 => drop(this.read(now, input.byte().into())),
            10 => drop(this.read(now, usize::MAX)),
            11 => this.poll(now),
            12 => self.pass(Duration::from_millis(40) * u32::from(input.byte())),
            13 => drop(self.step()),
            14 => match input.byte() {
                byte @ 0xc0.. => {
                    let code = CloseCode::from(3000 + u16::from(byte));
                    this.watched.act(|c| drop(c.close(now, code, "enough")));
                }
                byte => this
                    .watched
                    .act(|c| if byte & 1 == 0 { c.handle_timeout(now) } else { c.handle_resume(now) }),
            },
            _ => match input.byte() {
                0xff => {
                    this.watched.abort(now, Error::Aborted);
                    this.poll(now);
                }
                byte => this.behave(now, byte, is_text),
            },
        }
    }

    /// Advances the clock, stopping at each deadline; the pipe stalls.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.due().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            for end in [&mut self.client, &mut self.server] {
                end.watched.pass(self.now);
                end.poll(self.now);
            }
        }
        self.now = until;
    }

    fn due(&self) -> Option<Moment> {
        let deadlines = [&self.client, &self.server].map(|end| end.watched.connection().poll_timeout());
        deadlines.into_iter().flatten().min()
    }

    /// Lets each end act once. Returns whether anything moved.
    fn step(&mut self) -> bool {
        let Self { now, client, server, .. } = self;
        client.poll(*now);
        server.poll(*now);
        let written = [client.write(*now, usize::MAX, server), server.write(*now, usize::MAX, client)];
        let read = [client.read(*now, usize::MAX), server.read(*now, usize::MAX)];
        client.poll(*now);
        server.poll(*now);
        written.contains(&true) || read.contains(&true)
    }

    /// Moves everything, without advancing the clock.
    fn drive(&mut self) {
        for round in 0.. {
            if !self.step() {
                break;
            }
            assert!(round < 10_000, "it never settles");
        }
    }

    fn finish(mut self) -> Seen {
        let now = self.now;
        let is_open = |end: &End| end.watched.connection().state() == State::Open && !end.is_dropped;
        let were_open = is_open(&self.client) && is_open(&self.server);
        for end in [&mut self.client, &mut self.server] {
            end.resume(now);
            // Two ends that echo each other never finish.
            end.habit.echoes = false;
        }
        self.drive();
        // Anything that pauses reading ends without intervention.
        for round in 0.. {
            let is_paused = |end: &End| end.watched.connection().is_paused();
            if !is_paused(&self.client) && !is_paused(&self.server) {
                break;
            }
            assert!(round < 10_000, "deadlock: neither end reads");
            let due = self.due().expect("a paused read has a deadline");
            self.pass(due.since(self.now));
            self.drive();
        }
        let are_open = is_open(&self.client) && is_open(&self.server);
        // An end that reads so many messages a second may reach a Ping too late, or take too little.
        let seems_dead = |end: &End, to: &End| {
            let closed = to.watched.closed();
            let is_late = matches!(
                closed.and_then(|closed| closed.error.as_ref()),
                Some(Error::Timeout(Timeout::Heartbeat | Timeout::Output))
            );
            is_late && end.watched.connection().config().get_message_rate().is_some()
        };
        let may_end = seems_dead(&self.client, &self.server) || seems_dead(&self.server, &self.client);
        assert!(
            !were_open || are_open || may_end,
            "neither end closed: {:?}",
            [&self.client.watched, &self.server.watched]
        );
        let open = [&self.client, &self.server].map(|end| end.watched.connection().state() == State::Open);
        if open == [true; 2] {
            for end in [&self.client, &self.server] {
                assert!(
                    end.kept.is_empty() && !end.waits,
                    "it waits for room that it has: {:?}",
                    end.watched
                );
            }
            assert_eq!(self.client.got, self.server.taken.messages, "while both were open");
            assert_eq!(self.server.got, self.client.taken.messages, "while both were open");
        }
        let now = self.now;
        self.client.watched.act(|c| drop(c.close(now, CloseCode::NORMAL, "")));
        for round in 0.. {
            self.drive();
            let Some(due) = self.due() else { break };
            assert!(round < 1000, "it does not end: {:?}", [&self.client.watched, &self.server.watched]);
            self.pass(due.since(self.now));
        }
        self.verify()
    }

    fn verify(mut self) -> Seen {
        for end in [&mut self.client, &mut self.server] {
            end.watched.must_be_over(self.now);
        }
        let Self { client, server, .. } = self;
        assert!(server.taken.messages.starts_with(&client.got), "the client received unsent messages");
        assert!(client.taken.messages.starts_with(&server.got), "the server received unsent messages");
        let seen = client.watched.seen.and(server.watched.seen);
        let (Some(at_client), Some(at_server)) = (client.watched.closed(), server.watched.closed()) else {
            return seen;
        };
        for closed in [at_client, at_server] {
            assert!(!matches!(closed.error, Some(Error::Protocol(_))), "{closed}");
        }
        if at_client.clean && at_server.clean {
            assert_eq!((Some(at_client.code), Some(at_server.code)), (at_server.sent, at_client.sent));
            assert_eq!(client.got, server.taken.messages);
            assert_eq!(server.got, client.taken.messages);
        }
        seen
    }
}
