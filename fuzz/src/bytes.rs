//! `server_bytes` and `client_bytes`: arbitrary bytes from a peer.
//!
//! ```text
//!   configuration (4) | length of the script (1) | script | bytes from the peer …
//! ```
//!
//! The script decides, turn by turn, how many bytes arrive, how much time passes, how much output is taken, and what
//! the application does: it answers requests immediately, late, in chunks or never.

use crate::input::{Input, Script, pick};
use crate::output;
use crate::seen::Seen;
use crate::setup::{End, SEED, Setup, answer};
use crate::taken::Taken;
use crate::watch::Watched;
use http::{Method, Response};
use std::sync::Arc;
use std::time::Duration;
use ws_proto::{
    ClientRequest, CloseCode, Config, Connection, Error, Event, IoAction, Message, Moment, Request,
    RequestBody, ResponseBody, Role, State, Upgrade,
};

/// Feeds arbitrary bytes to a server.
pub fn server_bytes(data: &[u8]) -> Seen {
    run(data, Config::server(), |now, config, is_upgraded| {
        Watched::server(match is_upgraded {
            true => Connection::upgraded(now, config, Role::Server),
            false => Connection::server(now, config, Default::default()),
        })
    })
}

/// Feeds arbitrary bytes to a client.
pub fn client_bytes(data: &[u8]) -> Seen {
    run(data, Config::client(), |now, config, is_upgraded| {
        Watched::client(match is_upgraded {
            true => Connection::upgraded(now, config, Role::Client { seed: SEED }),
            false => Connection::client(now, config, request(), SEED),
        })
    })
}

/// The client's request.
pub(crate) fn request() -> ClientRequest {
    ClientRequest::new("ws://localhost/chat")
        .and_then(|request| request.subprotocol("chat"))
        .expect("the request is valid")
}

fn run(data: &[u8], base: Config, make: impl FnOnce(Moment, Arc<Config>, bool) -> Watched) -> Seen {
    let mut input = Input::new(data);
    let now = Moment::from_nanos(1 << 60);
    let setup = Setup::new(base, &mut input);
    let mut run = Run {
        now,
        watched: make(now, Arc::new(setup.config.clone()), setup.is_upgraded),
        script: input.script(),
        coming: input.rest().to_vec(),
        output: Vec::new(),
        taken: Taken::default(),
        methods: Vec::new(),
        requests: Vec::new(),
        receiving: None,
        upgrades: Vec::new(),
        bodies: Vec::new(),
        echoes: setup.echoes,
    };
    let mut idle = 0;
    while !run.coming.is_empty() && idle < 32 {
        let before = run.coming.len();
        run.turn();
        idle = if run.coming.len() < before { 0 } else { idle + 1 };
    }
    run.settle();
    run.end(setup.end);

    let Run { watched, output, taken, methods, .. } = run;
    // An application that drops a partial answer ends the connection.
    let is_unfinished =
        watched.closed().is_some_and(|closed| matches!(closed.error, Some(Error::Unfinished)));
    let arrived = match watched.is_server() {
        true => output::of_server(&output, &methods, setup.is_upgraded, watched.is_cut_off || is_unfinished),
        false => output::of_client(&output, setup.is_upgraded),
    };
    assert!(taken.messages.starts_with(&arrived), "the output differs from the accepted messages");
    // The Close of a failed connection overtakes output that its peer does not take.
    let failures =
        |error: &Error| matches!(error, Error::Protocol(_) | Error::Timeout(_) | Error::Memory { .. });
    let has_failed = watched.closed().is_some_and(|closed| closed.error.as_ref().is_some_and(failures));
    let may_be_lost = watched.is_cut_off || has_failed;
    assert!(may_be_lost || taken.messages.len() == arrived.len(), "a message is lost");
    watched.seen
}

struct Run<'a> {
    now: Moment,
    watched: Watched,
    script: Script<'a>,
    coming: Vec<u8>,
    output: Vec<u8>,
    taken: Taken,
    /// The methods of the requests, in order.
    methods: Vec<Method>,
    requests: Vec<Request>,
    /// The request whose body is arriving.
    receiving: Option<Request>,
    upgrades: Vec<Upgrade>,
    bodies: Vec<ResponseBody>,
    echoes: bool,
}

impl Run<'_> {
    fn turn(&mut self) {
        let choice = self.script.next();
        self.pass(match pick(choice, 3, [Some(0), Some(300), Some(1100), None]) {
            Some(millis) => self.now + Duration::from_millis(millis),
            None => self.watched.connection().poll_timeout().unwrap_or(self.now),
        });
        let sizes = [usize::MAX, 1, 2, 3, 7, 20, 130, 1000];
        self.read(sizes[usize::from(choice & 7)]);
        self.poll();
        if choice & 0x80 != 0 {
            let act = self.script.next();
            self.act(act);
        }
        let queued = self.watched.connection().queued();
        self.write(pick(choice, 5, [usize::MAX, 0, 1, queued / 2]));
        self.watched.poll_io();
        self.poll();
    }

    fn pass(&mut self, until: Moment) {
        self.now = self.now.max(until);
        self.watched.pass(self.now);
    }

    fn read(&mut self, n: usize) {
        let mut coming = core::mem::take(&mut self.coming);
        let n = n.min(coming.len());
        let (mut input, rest) = coming.split_at_mut(n);
        while let Some(event) = self.watched.handle_input(self.now, &mut input) {
            self.handle(event);
        }
        self.coming = [&*input, &*rest].concat();
    }

    fn poll(&mut self) {
        while let Some(event) = self.watched.poll_event(self.now) {
            self.handle(event);
        }
    }

    fn write(&mut self, n: usize) {
        let output = &mut self.output;
        self.watched.write(self.now, n, |bytes| output.extend_from_slice(bytes));
    }

    fn handle(&mut self, event: Event<'_>) {
        match event {
            Event::Request(request) => {
                self.methods.push(request.method().clone());
                let choice = self.script.next();
                // Half of the streaming ones are answered before their body has arrived.
                match request.is_streaming() && choice & 8 == 0 {
                    true => self.receiving = Some(request),
                    false => self.answer(request, choice),
                }
            }
            Event::Body(RequestBody::Complete) => {
                if let Some(request) = self.receiving.take() {
                    let choice = self.script.next();
                    self.answer(request, choice);
                }
            }
            Event::Upgrade(upgrade) => {
                self.methods.push(upgrade.method().clone());
                let choice = self.script.next();
                self.decide(upgrade, choice);
            }
            Event::Message(message) if self.echoes => drop(self.taken.send(&mut self.watched, message)),
            other => self.watched.forget(other),
        }
    }

    fn answer(&mut self, request: impl Into<Request>, choice: u8) {
        let (now, request) = (self.now, request.into());
        let length = match choice & 7 {
            2 => return self.keep(request),
            3 | 5 => None,
            4 => Some(10),
            6 => return self.watched.forget(request),
            7 => {
                self.watched.given += 3000;
                let body = vec![b'x'; 3000];
                return self.watched.act(|c| drop(c.respond(now, request, answer(body))));
            }
            _ => return self.watched.act(|c| drop(c.respond(now, request, answer("answered")))),
        };
        let head = Response::new(());
        let Ok(body) = self.watched.act(|c| c.http().respond_streaming(now, request, head, length)) else {
            return;
        };
        for _ in 0..2 {
            self.send_chunk(&body);
        }
        match choice & 7 {
            5 => self.bodies.push(body),
            _ => self.watched.act(|c| drop(c.http().finish_body(now, body))),
        }
    }

    fn send_chunk(&mut self, body: &ResponseBody) {
        self.watched.given += 5;
        self.watched.act(|c| drop(c.http().send_body(body, "piece")));
    }

    /// Keeps a few requests for later, and drops any beyond that.
    fn keep(&mut self, request: Request) {
        self.requests.push(request);
        if self.requests.len() > 4 {
            let oldest = self.requests.remove(0);
            self.watched.forget(oldest);
        }
    }

    fn decide(&mut self, mut upgrade: Upgrade, choice: u8) {
        let now = self.now;
        match choice & 7 {
            4 => self.upgrades.push(upgrade),
            5 => self.answer(upgrade, 0),
            6 => self.watched.forget(upgrade),
            7 => self.answer(upgrade, 3),
            _ => {
                let name = upgrade.subprotocols().next().filter(|_| choice & 8 != 0).map(str::to_owned);
                if let Some(name) = name {
                    upgrade.select_subprotocol(&name).expect("the client offered it");
                }
                self.watched.act(|c| drop(c.accept(now, upgrade)));
            }
        }
    }

    fn act(&mut self, choice: u8) {
        let now = self.now;
        match choice & 15 {
            0 if !self.requests.is_empty() => {
                let request = self.requests.remove(0);
                self.answer(request, choice >> 4);
            }
            1 => {
                if let Some(request) = self.requests.pop() {
                    self.answer(request, choice >> 4);
                } else if let Some(upgrade) = self.upgrades.pop() {
                    self.decide(upgrade, choice >> 4);
                }
            }
            2 if !self.bodies.is_empty() => {
                let body = self.bodies.remove(0);
                self.watched.act(|c| drop(c.http().finish_body(now, body)));
            }
            3 => {
                if let Some(body) = self.bodies.pop() {
                    self.send_chunk(&body);
                    self.bodies.push(body);
                }
            }
            4 => {
                let body = self.bodies.pop();
                self.watched.forget(body);
            }
            // Control frames are exempt from the cap, so an application must not send them without limit.
            5 if self.watched.connection().queued() < 1000 => {
                self.watched.act(|c| drop(c.send_ping(now, b"?")))
            }
            6 => drop(self.taken.send(&mut self.watched, Message::Text("from the application".into()))),
            7 => drop(self.taken.send_fragment(&mut self.watched, (true, "frag ⅓".into()), false)),
            8 => drop(self.taken.send_fragment(&mut self.watched, (true, "ment".into()), true)),
            9 if choice & 0x80 != 0 => {
                let code = CloseCode::from(3000 + u16::from(choice));
                self.watched.act(|c| drop(c.close(now, code, "enough")));
            }
            10 if choice & 0xc0 == 0xc0 => self.watched.abort(now, Error::Aborted),
            11 => self.watched.act(|c| c.handle_resume(now)),
            12 => self.watched.handle_timeout(now),
            13 if choice & 0x10 == 0 => self.watched.act(Connection::pause),
            13 => self.watched.act(|c| c.resume(now)),
            14 => drop(self.taken.send(&mut self.watched, Message::Binary(vec![7; 2000].into()))),
            _ => {}
        }
    }

    /// Answers everything pending and takes all output, until nothing moves.
    fn settle(&mut self) {
        let now = self.now;
        self.watched.act(|c| c.resume(now));
        for _ in 0..100 {
            let before = (self.coming.len(), self.watched.connection().queued());
            while let Some(request) = self.requests.pop() {
                self.answer(request, 0);
            }
            while let Some(upgrade) = self.upgrades.pop() {
                self.decide(upgrade, 0);
            }
            for body in core::mem::take(&mut self.bodies) {
                let now = self.now;
                self.watched.act(|c| drop(c.http().finish_body(now, body)));
            }
            self.write(usize::MAX);
            self.read(usize::MAX);
            self.poll();
            if before == (self.coming.len(), self.watched.connection().queued()) {
                break;
            }
        }
    }

    /// Runs to the end, which must be reached.
    fn end(&mut self, end: End) {
        let now = self.now;
        match end {
            End::Eof => self.watched.handle_eof(now),
            End::Reset => self.watched.abort(now, Error::Io(std::io::ErrorKind::ConnectionReset)),
            End::Closes => self.watched.act(|c| drop(c.close(now, CloseCode::GOING_AWAY, ""))),
            End::Silence => {}
        }
        for round in 0.. {
            if end == End::Silence {
                self.watched.write(self.now, 0, |_| {});
            } else {
                self.write(usize::MAX);
            }
            self.watched.poll_io();
            self.poll();
            if self.watched.connection().state() == State::Closed {
                break;
            }
            assert!(round < 100, "it does not end: {:?}", self.watched);
            // It stays open without a heartbeat, or with one that expects no answer.
            let due = self.watched.connection().poll_timeout().filter(|_| round < 50);
            match due {
                Some(due) => self.pass(due),
                None => {
                    let now = self.now;
                    self.watched.act(|c| drop(c.close(now, CloseCode::NORMAL, "")));
                    self.pass(self.watched.connection().poll_timeout().unwrap_or(now));
                }
            }
        }
        self.watched.must_be_over(self.now);
        assert_eq!(self.watched.poll_io(), IoAction::Drop);
    }
}
