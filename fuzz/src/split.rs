//! `split`: the same bytes cause the same events and the same output, regardless of how they are cut.
//!
//! ```text
//!   role, and whether compressed (1) | configuration (4) | length of the script (1) | the sizes of the cuts | bytes from the peer …
//! ```

use crate::bytes::request;
use crate::input::{Input, Script};
use crate::seen::Seen;
use crate::setup::{CLIENT, SEED, Setup, answer};
use crate::watch::{Sample, Watched, sample};
use bytes::Bytes;
use std::sync::Arc;
use ws_proto::deflate::{Direction, Terms};
use ws_proto::{Config, Connection, Deflate, Event, Heartbeat, Moment, Request, RequestBody, Role};

/// Compares the same bytes uncut and cut.
pub fn split(data: &[u8]) -> Seen {
    let mut input = Input::new(data);
    let first = input.byte();
    let (is_server, is_compressed) = (first & 1 == 0, first & 2 != 0);
    let now = Moment::from_nanos(1 << 60);
    let base = if is_server { Config::server() } else { Config::client() };
    let (low, high, cap) = (base.get_low_mark(), base.get_high_mark(), base.get_outbox_cap());
    let setup = Setup::new(base, &mut input);
    // No output is taken before the end, so that the same pongs are sent; all input is discarded.
    let mut config = setup.config.clone().outbox(low, high, cap);
    config = config.drain_limit(u64::MAX);
    if config.get_message_rate().is_some() {
        // Chunks count too, so the cuts decide how many seconds it takes; nothing else may depend on that.
        config = config.frame_rate(None);
        config = config.heartbeat(Heartbeat::off());
    }
    if is_compressed {
        // The cost of inflating is measured per fragment, which depends on the cuts.
        config = config.deflate(Deflate::new().inflate_rate(None).ratio_limit(None));
    }
    let config = Arc::new(config);
    let script = input.script();
    let bytes = input.rest();
    let upgraded = |config, role| {
        let mut connection = Connection::upgraded(now, config, role);
        let full = Direction { context_takeover: true, window_bits: 15 };
        connection.compress_by(Terms { ours: full, theirs: full });
        connection
    };
    let make = || {
        let config = config.clone();
        match (is_server, setup.is_upgraded) {
            (true, true) => Watched::server(upgraded(config, Role::Server)),
            (true, false) => Watched::server(Connection::server(now, config, Default::default())),
            (false, true) => Watched::client(upgraded(config, CLIENT)),
            (false, false) => Watched::client(Connection::client(now, config, request(), SEED)),
        }
    };
    let whole = Outcome::of(make(), now, bytes, None, &setup);
    let cut = Outcome::of(make(), now, bytes, Some(script), &setup);
    assert_eq!(whole.events, cut.events);
    assert_eq!(whole.output.escape_ascii().to_string(), cut.output.escape_ascii().to_string());
    whole.seen
}

/// A comparable event.
#[derive(Debug, PartialEq)]
enum Observed {
    Message(Sample),
    /// Adjacent chunks, joined.
    Delivery {
        sample: Sample,
        is_whole: bool,
    },
    /// Adjacent data of a body, joined.
    Body(Vec<u8>),
    Other(String),
}

#[derive(Debug, Default)]
struct Outcome {
    events: Vec<Observed>,
    output: Vec<u8>,
    seen: Seen,
    /// The request whose body is arriving.
    receiving: Option<Request>,
}

impl Outcome {
    fn of(
        mut watched: Watched,
        mut now: Moment,
        bytes: &[u8],
        mut cuts: Option<Script<'_>>,
        setup: &Setup,
    ) -> Self {
        let mut outcome = Self::default();
        let mut left = bytes;
        while !left.is_empty() {
            let size = match &mut cuts {
                Some(cuts) => usize::from(cuts.next()) + 1,
                None => left.len(),
            };
            let (fragment, rest) = left.split_at(size.min(left.len()));
            left = rest;
            let mut fragment = fragment.to_vec();
            let mut input = &mut fragment[..];
            for round in 0.. {
                while let Some(event) = watched.handle_input(now, &mut input) {
                    outcome.record(&mut watched, now, event, setup);
                }
                if input.is_empty() {
                    break;
                }
                assert!(round < 10_000 + bytes.len(), "it never resumes reading: {watched:?}");
                // This second's allowance is used; a connection with nothing left to say is not read at all.
                let Some(due) = watched.connection().poll_timeout() else { break };
                now = due;
                watched.pass(now);
            }
        }
        watched.write(now, usize::MAX, |bytes| outcome.output.extend_from_slice(bytes));
        watched.handle_eof(now);
        while let Some(event) = watched.poll_event(now) {
            outcome.record(&mut watched, now, event, setup);
        }
        watched.write(now, usize::MAX, |bytes| outcome.output.extend_from_slice(bytes));
        outcome.seen = watched.seen;
        outcome
    }

    fn record(&mut self, watched: &mut Watched, now: Moment, event: Event<'_>, setup: &Setup) {
        let observed = match event {
            Event::Message(message) => {
                let observed = Observed::Message(sample(&message));
                if setup.echoes {
                    watched.given += message.as_bytes().len() as u64;
                    watched.act(|c| drop(c.send(message)));
                } else {
                    watched.forget(message);
                }
                observed
            }
            Event::Fragment(fragment) => {
                let (is_text, data) = sample(&fragment.data);
                let (first, is_whole) = (fragment.first, fragment.last);
                watched.forget(fragment);
                match self.events.last_mut() {
                    Some(Observed::Delivery { sample, is_whole: whole }) if !first => {
                        sample.1.extend(data);
                        *whole = is_whole;
                        return;
                    }
                    _ => Observed::Delivery { sample: (is_text, data), is_whole },
                }
            }
            Event::Request(request) if request.is_streaming() && request.query().is_none() => {
                let observed = format!("{:?}", request.http());
                self.receiving = Some(request);
                Observed::Other(observed)
            }
            Event::Body(RequestBody::Data(data)) => {
                let more = data.into_owned();
                match self.events.last_mut() {
                    Some(Observed::Body(data)) => {
                        data.extend(more);
                        return;
                    }
                    _ => Observed::Body(more),
                }
            }
            Event::Body(RequestBody::Complete) => {
                if let Some(request) = self.receiving.take() {
                    watched.given += 8;
                    watched.act(|c| drop(c.respond(now, request, answer("received"))));
                }
                Observed::Other("complete".to_owned())
            }
            Event::Request(request) => {
                let observed = format!("{:?}", request.http());
                let body = Bytes::from(format!("{} {}", request.method(), request.body().len()));
                watched.given += body.len() as u64;
                watched.act(|c| drop(c.respond(now, request, answer(body))));
                Observed::Other(observed)
            }
            Event::Upgrade(upgrade) => {
                let observed = format!("{:?}", upgrade.http());
                // The target decides, so both cases occur.
                watched.act(|c| match upgrade.query() {
                    Some(_) => drop(c.respond(now, upgrade, answer("refused"))),
                    None => drop(c.accept(now, upgrade)),
                });
                Observed::Other(observed)
            }
            Event::Closed(closed) => {
                let ws_proto::Closed { code, reason, clean, initiator, error, sent, was_open, .. } = &*closed;
                Observed::Other(format!("{:?}", (code, reason, clean, initiator, error, sent, was_open)))
            }
            other => Observed::Other(format!("{other:?}")),
        };
        self.events.push(observed);
    }
}
