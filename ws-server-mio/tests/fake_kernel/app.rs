//! The application: it echoes, broadcasts, responds now and later, closes, and records everything.

use super::behaviour::{Behaviour, refills};
use super::bulk::Bulk;
use super::checks::record_event;
use super::rng::Rng;
use super::setting::Time;
use super::uploads::Upload;
use bytes::Bytes;
use http::{Response, StatusCode};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use ws_kit::oracle::Events;
use ws_server_mio::{
    CloseCode, Closed, Config, ConnectionId, Connections, Event, Folder, Frame, Message, Request,
    RespondError, ResponseBody, Sent, SlowPeer, State, Upgrade,
};

/// The source bytes of messages and bodies.
pub(super) static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut rng = Rng::new(0);
    (0..400_000).map(|_| b'a' + rng.below(26) as u8).collect()
});

/// The content of a peer's nth message, or of the response to its nth request.
pub(super) fn content(peer: usize, n: usize, len: usize) -> &'static [u8] {
    let from = (peer * 7919 + n * 131) % 100_000;
    &PATTERN[from..from + len]
}

pub(super) const FILE: &str = "book.txt";

/// The file that is served; its folder is removed with the test.
pub(super) struct Shelf {
    pub(super) path: PathBuf,
    pub(super) folder: Folder,
    pub(super) content: Arc<Vec<u8>>,
}

impl Drop for Shelf {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// A message queued for a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Echo(usize),
    News(usize),
    /// An unrequested message of this length.
    Bulk(usize),
}

/// The path of a request; its query contains a file's name.
fn path(request: &Request) -> String {
    match request.query() {
        Some(query) => format!("/file/{query}"),
        None => request.path().to_owned(),
    }
}

/// The record of one peer.
pub(super) struct Record {
    /// The events that were reported of its connection.
    pub(super) events: Events,
    pub(super) id: Option<ConnectionId>,
    /// The lengths of the messages that the peer sent.
    pub(super) lengths: Vec<usize>,
    pub(super) received: usize,
    pub(super) said: Vec<Said>,
    /// The last value that `LatestByKey` sent.
    pub(super) latest: usize,
    /// The application closed or rejected it.
    pub(super) cut: bool,
    chunk: Vec<u8>,
    /// What remains to be sent to it.
    pub(super) bulk: Option<Bulk>,
    /// The peer requested that nothing more is sent.
    pub(super) stopped: bool,
    /// The application has paused reading.
    pub(super) paused: bool,
    /// It has paused reading before: a peer that must send meanwhile may give up.
    pub(super) has_paused: bool,
    /// How many of its requests were reported.
    pub(super) requests: usize,
    pub(super) stream: Option<(ConnectionId, ResponseBody)>,
    /// The body that is arriving.
    pub(super) upload: Option<Upload>,
}

impl Record {
    /// The record of a peer whose connection has these rules.
    pub(super) fn new(config: &Config) -> Self {
        Self {
            events: Events::server().within(config),
            id: None,
            lengths: Vec::new(),
            received: 0,
            said: Vec::new(),
            latest: 0,
            cut: false,
            chunk: Vec::new(),
            bulk: None,
            stopped: false,
            paused: false,
            has_paused: false,
            requests: 0,
            stream: None,
            upload: None,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.events.is_open()
    }

    pub(super) fn closed(&self) -> Option<&Closed> {
        self.events.closed()
    }
}

pub(super) enum Later {
    Upgrade(ConnectionId, Upgrade),
    Request(ConnectionId, Request, Response<Bytes>),
    Body(ConnectionId, ResponseBody, &'static [u8]),
    Resume(ConnectionId),
}

pub(super) struct App<'s> {
    pub(super) rng: Rng,
    pub(super) records: Vec<Record>,
    pub(super) ids: BTreeMap<ConnectionId, usize>,
    pub(super) events: u64,
    /// How often it does something besides echoing, in percent.
    pub(super) wild: usize,
    pub(super) stopping: bool,
    pub(super) stopped: bool,
    pub(super) failures: usize,
    pub(super) slept: usize,
    pub(super) later: Vec<Later>,
    /// Bodies that wait for `Drained`: at the cap, or already over the mark.
    parked: Vec<Later>,
    polite: bool,
    news: usize,
    latest: usize,
    shelf: &'s Shelf,
    pub(super) behaviour: Behaviour,
    /// It echoes messages.
    echoes: bool,
    /// How much may be sent to one peer.
    pub(super) most: usize,
    time: Time,
    /// Its handlers are slow now.
    pub(super) is_slow: bool,
}

impl<'s> App<'s> {
    pub(super) fn new(
        mut rng: Rng,
        wild: usize,
        shelf: &'s Shelf,
        behaviour: Behaviour,
        most: usize,
        time: Time,
    ) -> Self {
        let polite = rng.percent(50);
        let echoes = !behaviour.users || !behaviour.refill && rng.percent(50);
        Self {
            rng,
            records: Vec::new(),
            ids: BTreeMap::new(),
            events: 0,
            wild,
            stopping: false,
            stopped: false,
            failures: 0,
            slept: 0,
            later: Vec::new(),
            parked: Vec::new(),
            polite,
            news: 0,
            latest: 0,
            shelf,
            behaviour,
            echoes,
            most,
            time,
            is_slow: false,
        }
    }

    /// Handles an event, and may panic right after.
    pub(super) fn handle(&mut self, connections: &mut Connections, event: Event<'_>) {
        self.react(connections, event);
        if self.behaviour.panics && self.rng.percent(5) {
            super::panic_in_handler();
        }
    }

    fn react(&mut self, connections: &mut Connections, event: Event<'_>) {
        self.events += 1;
        if self.is_slow && self.rng.percent(10) {
            self.time.advance(Duration::from_millis(self.rng.pick(&[1, 20, 300])));
        }
        match event {
            Event::Stopping(_) => {
                assert!(!self.stopping);
                self.stopping = true;
            }
            Event::Stopped(_) => {
                assert!(self.stopping && !self.stopped);
                self.stopped = true;
            }
            Event::AcceptFailed { .. } => self.failures += 1,
            Event::Resumed { slept } => {
                assert!(slept > Duration::from_secs(1000));
                self.slept += 1;
            }
            event => match event.connection() {
                Some(id) => self.on_event(connections, id, event),
                None => panic!("{event:?}"),
            },
        }
    }

    fn on_event(&mut self, connections: &mut Connections, id: ConnectionId, event: Event<'_>) {
        assert!(!self.stopped, "reported a connection of a stopped server");
        match &event {
            Event::Request(_, request) => self.register_peer(id, &path(request)),
            Event::Upgrade(_, upgrade) => self.register_peer(id, upgrade.path()),
            _ => {}
        }
        record_event(&mut self.record(id).events, &event);
        match event {
            Event::Request(_, request) => self.request(connections, id, request),
            Event::Body(_, part) => self.receive(connections, id, part),
            Event::Upgrade(_, upgrade) => match self.rng.below(100) {
                0..75 => connections.accept(id, upgrade).unwrap(),
                75..95 => self.later.push(Later::Upgrade(id, upgrade)),
                _ => {
                    self.record(id).cut = true;
                    let mut no = Response::new(Bytes::from_static(b"no"));
                    *no.status_mut() = StatusCode::FORBIDDEN;
                    connections.respond(id, upgrade, no).unwrap();
                }
            },
            Event::Open(..) => {
                if self.rng.percent(50) {
                    let _ = connections.topics().subscribe(id, "latest");
                }
                if self.behaviour.users {
                    let bulk = match self.behaviour.refill {
                        true => Some(refills(&mut self.rng, self.most)),
                        false => self.behaviour.bulk_of(&mut self.rng, self.most),
                    };
                    self.record(id).bulk = bulk;
                    self.send_bulk(connections, id);
                }
            }
            Event::Message(_, message) => self.message(connections, id, message),
            Event::Fragment(_, chunk) => {
                let record = self.record(id);
                record.chunk.extend_from_slice(chunk.data.as_bytes());
                if chunk.last {
                    let whole = std::mem::take(&mut record.chunk);
                    self.message(connections, id, Message::Binary(whole.into()));
                }
            }
            Event::Drained(_) => {
                let of_this = |parked: &mut Later| matches!(parked, Later::Body(of, ..) if *of == id);
                self.later.extend(self.parked.extract_if(.., of_this));
                self.send_bulk(connections, id);
            }
            Event::Pong(..) | Event::Closed(..) => {}
            event => panic!("{event:?}"),
        }
    }

    pub(super) fn record(&mut self, id: ConnectionId) -> &mut Record {
        &mut self.records[self.ids[&id]]
    }

    /// The path names the connection's peer: `/kind/peer/…`.
    fn register_peer(&mut self, id: ConnectionId, path: &str) {
        let peer: usize = path.split('/').nth(2).unwrap().parse().unwrap();
        self.ids.insert(id, peer);
        let known = self.records[peer].id.replace(id);
        assert!(known.is_none_or(|known| known == id));
    }

    fn request(&mut self, connections: &mut Connections, id: ConnectionId, request: Request) {
        let path = path(&request);
        let mut parts = path.split('/').skip(1);
        let kind = parts.next().unwrap();
        let peer = self.ids[&id];
        self.records[peer].requests += 1;
        let mut number = || parts.next().unwrap().parse().unwrap();
        let (_, n, len): (usize, usize, usize) = (number(), number(), number());
        let body = content(peer, n, len);
        if !request.http().body().is_empty() {
            assert_eq!(&request.http().body()[..], body);
        }
        match kind {
            "now" => connections.respond(id, request, Response::new(Bytes::from_static(body))).unwrap(),
            "later" => self.later.push(Later::Request(id, request, Response::new(Bytes::from_static(body)))),
            "file" => connections.respond_file(id, request, &self.shelf.folder).unwrap(),
            "drop" => drop(request),
            "upload" => self.records[peer].upload = Some(Upload::new(request, body)),
            "events" | "log" => self.begin_stream(connections, id, request, kind == "events"),
            _ => {
                let length = (kind == "sized").then_some(len as u64);
                let out = connections.respond_streaming(id, request, Response::new(()), length).unwrap();
                self.later.push(Later::Body(id, out, body));
            }
        }
    }

    fn message(&mut self, connections: &mut Connections, id: ConnectionId, message: Message<'_>) {
        let peer = self.ids[&id];
        let record = &mut self.records[peer];
        if self.behaviour.users && message.as_bytes() == b"stop" {
            record.stopped = true;
            return record.bulk.iter_mut().for_each(Bulk::end);
        }
        let n = record.received;
        assert!(n < record.lengths.len(), "a message that was never sent");
        assert!(
            message.as_bytes() == content(peer, n, record.lengths[n]),
            "message {n} of peer {peer} differs"
        );
        record.received += 1;
        if self.echoes && connections.send(id, message).is_ok() {
            record.said.push(Said::Echo(n));
        }
        if self.rng.percent(self.wild) {
            self.act(connections);
        }
    }

    fn any(&mut self) -> Option<ConnectionId> {
        let open: Vec<_> =
            self.ids.iter().filter(|(_, peer)| self.records[**peer].is_open()).map(|(id, _)| *id).collect();
        (!open.is_empty()).then(|| self.rng.pick(&open))
    }

    /// Sends something unrequested.
    pub(super) fn act(&mut self, connections: &mut Connections) {
        match self.rng.below(100) {
            0..50 => self.send_news(connections),
            50..80 => {
                self.latest += 1;
                let frame =
                    Frame::text(format!("latest {:>1$}", self.latest, self.rng.pick(&[1, 500, 5000])));
                for id in connections.topics().subscribers("latest").collect::<Vec<_>>() {
                    self.records[self.ids[&id]].latest = self.latest;
                }
                connections.topics().publish_with("latest", &frame, SlowPeer::Latest("key"));
            }
            80..85 => {
                if let Some(id) = self.any() {
                    let _ = connections.send_ping(id, b"there?");
                }
            }
            85..93 => {
                if let Some(id) = self.any() {
                    self.record(id).cut = true;
                    let _ = connections.close(id, CloseCode::NORMAL, "enough");
                }
            }
            93..95 => {
                if let Some(id) = self.any() {
                    self.record(id).cut = true;
                    connections.terminate(id);
                }
            }
            _ => {
                if let Some(id) = self.any() {
                    let _ = connections.topics().unsubscribe(id, "latest");
                    self.record(id).latest = 0;
                }
            }
        }
    }

    pub(super) fn send_news(&mut self, connections: &mut Connections) {
        let seq = self.news;
        self.news += 1;
        let frame = Frame::text(format!("news {seq}"));
        let listeners: Vec<_> =
            connections.ids().filter(|id| connections.state(*id) == State::Open).collect();
        let mut reached = 0;
        for id in &listeners {
            // Closes peers that are too slow for it.
            if connections.topics().send_to(&frame, [*id]) == 1 {
                reached += 1;
                self.record(*id).said.push(Said::News(seq));
            } else {
                self.record(*id).cut = true;
            }
        }
        assert!(reached <= listeners.len());
    }

    /// Feeds every peer with something short, whatever the send returns.
    pub(super) fn feed(&mut self, connections: &mut Connections) {
        let open: Vec<_> = self.ids.iter().map(|(id, peer)| (*id, *peer)).collect();
        for (id, peer) in open {
            if self.records[peer].is_open() && connections.send(id, format!("news {}", self.news)).is_ok() {
                self.records[peer].said.push(Said::News(self.news));
            }
        }
        self.news += 1;
        self.feed_streams(connections);
    }

    /// Whether anything is postponed.
    pub(super) fn has_later(&self) -> bool {
        !self.later.is_empty()
    }

    /// Does the postponed work; returns whether there was any.
    pub(super) fn continue_sending(&mut self, connections: &mut Connections) -> bool {
        if self.later.is_empty() {
            return false;
        }
        let at = self.rng.below(self.later.len());
        match self.later.swap_remove(at) {
            // The peer may be gone by now.
            Later::Upgrade(id, upgrade) => drop(connections.accept(id, upgrade)),
            Later::Request(id, request, response) => drop(connections.respond(id, request, response)),
            Later::Resume(id) => connections.resume(id),
            Later::Body(id, body, []) => drop(connections.finish_body(id, body)),
            Later::Body(id, body, left) => {
                let (chunk, rest) = left.split_at(self.rng.within(1, left.len()));
                match connections.send_body(id, &body, chunk) {
                    Ok(Sent::Congested) if self.polite => self.parked.push(Later::Body(id, body, rest)),
                    Ok(_) => self.later.push(Later::Body(id, body, rest)),
                    Err(RespondError::Full) => self.parked.push(Later::Body(id, body, left)),
                    Err(_) => {}
                }
            }
        }
        true
    }
}
