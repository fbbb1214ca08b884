//! A remote WebSocket client: an engine of the same kind, driven as an adapter drives it.

use super::app::{App, Said, content};
use super::behaviour::Behaviour;
use super::bulk::{BULK, Bulk};
use super::remote_peer::Received;
use super::rng::Rng;
use std::sync::Arc;
use std::time::Duration;
use ws_kit::oracle::Events;
use ws_proto::{ClientRequest, Config, Connection, Error, Event, Heartbeat, Message, Moment};

pub(super) struct WebSocket {
    pub(super) connection: Connection,
    pub(super) events: Events,
    /// How many of the server's messages it received.
    pub(super) got: usize,
    pub(super) latest: usize,
    pub(super) closes: bool,
    pub(super) bulk: Option<Bulk>,
    /// Bytes read and not yet consumed: the engine paused reading.
    rest: Vec<u8>,
    fragment: Vec<u8>,
}

impl WebSocket {
    pub(super) fn new(number: usize, now: Moment, rng: &mut Rng, behaviour: &Behaviour, most: usize) -> Self {
        let request = ClientRequest::new(&format!("ws://localhost/ws/{number}")).unwrap();
        let hour = Duration::from_secs(3600);
        let mut config = Config::client()
            .heartbeat(Heartbeat::off())
            .handshake_timeout(hour)
            .close_timeout(hour)
            .outbox(8 << 20, 16 << 20, 64 << 20);
        let seed = [rng.next() as u8; 32];
        let mut bulk = None;
        if behaviour.users {
            // Some peers read regardless of what they have to send.
            if rng.percent(75) {
                config = behaviour.config(Config::client(), rng).handshake_timeout(hour).close_timeout(hour);
            }
            if behaviour.extremes {
                config = config.min_output_rate(0);
            }
            bulk = behaviour.bulk_of(rng, most);
        }
        let connection = Connection::client(now, Arc::new(config), request, seed);
        Self {
            events: Events::client().within(connection.config()),
            connection,
            got: 0,
            latest: 0,
            closes: false,
            bulk,
            rest: Vec::new(),
            fragment: Vec::new(),
        }
    }

    /// Whether it would consume input from its socket.
    pub(super) fn reads(&self) -> bool {
        self.rest.is_empty() && !self.connection.is_paused()
    }

    pub(super) fn has_rest(&self) -> bool {
        !self.rest.is_empty()
    }

    pub(super) fn receive(&mut self, now: Moment, received: Received, number: usize, app: &mut App<'_>) {
        match received {
            Received::Bytes(bytes) => self.rest.extend_from_slice(&bytes),
            Received::Nothing => {}
            Received::End => return self.connection.handle_eof(now),
            Received::Reset => {
                return self.connection.abort(now, Error::Io(std::io::ErrorKind::ConnectionReset));
            }
        }
        let mut bytes = std::mem::take(&mut self.rest);
        let mut input = &mut bytes[..];
        while let Some(event) = self.connection.handle_input(now, &mut input) {
            self.events.record(&event);
            match event {
                Event::Message(message) => self.check(&message, number, app),
                Event::Fragment(fragment) => {
                    self.fragment.extend_from_slice(fragment.data.as_bytes());
                    if fragment.last {
                        let whole = std::mem::take(&mut self.fragment);
                        let message = match String::from_utf8(whole) {
                            Ok(text) => Message::Text(text.into()),
                            Err(other) => Message::Binary(other.into_bytes().into()),
                        };
                        self.check(&message, number, app);
                    }
                }
                event => self.on_event(event, number, app),
            }
        }
        self.rest = input.to_vec();
        assert!(self.rest.is_empty() || self.connection.is_paused());
    }

    fn check(&mut self, message: &Message<'_>, number: usize, app: &App<'_>) {
        let record = &app.records[number];
        if let Ok(text) = std::str::from_utf8(message.as_bytes())
            && let Some(latest) = text.strip_prefix("latest ")
        {
            let latest = latest.trim().parse().unwrap();
            assert!(latest > self.latest, "peer {number} got {latest} after {}", self.latest);
            self.latest = latest;
            return;
        }
        let Some(said) = record.said.get(self.got) else {
            panic!("peer {number} received what was never sent")
        };
        let is_so = match *said {
            Said::Echo(n) => message.as_bytes() == content(number, n, record.lengths[n]),
            Said::News(seq) => message.as_text() == Some(&*format!("news {seq}")),
            Said::Bulk(len) => message.as_bytes() == content(number, BULK + self.got, len),
        };
        assert!(is_so, "message {} to peer {number}, {said:?}, differs", self.got);
        self.got += 1;
    }

    /// Events caused by anything but its input.
    pub(super) fn poll(&mut self, now: Moment, number: usize, app: &mut App<'_>) {
        while let Some(event) = self.connection.poll_event(now) {
            self.events.record(&event);
            self.on_event(event, number, app);
        }
    }

    fn on_event(&mut self, event: Event<'_>, number: usize, app: &mut App<'_>) {
        match event {
            Event::Open(_) | Event::Drained => self.send_bulk(number, &mut app.records[number].lengths),
            Event::Closed(_) | Event::Pong(_) => {}
            event => panic!("{event:?}"),
        }
    }
}
