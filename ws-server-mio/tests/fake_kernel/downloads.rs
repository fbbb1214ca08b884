//! Downloads in turns: files and streamed bodies use the time that a turn has, and share it.

use super::script::Script;
use super::scripted::{Fake, HANDSHAKE, serve, turn};
use http::Response;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use ws_kit::peer::{TEXT, frame};
use ws_server_mio::sys::Readiness;
use ws_server_mio::{
    Budget, ConnectionId, Connections, Endpoint, Event, Folder, Options, ServerConfig, Turn,
};

const CHUNK: usize = 64 << 10;
const FILE: u64 = 1 << 30;
/// A file for each peer.
const DOWNLOAD: &[u8] = b"GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A folder with a large file without content, which takes no space.
struct Temp(PathBuf);

impl Temp {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ws-mio-downloads-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        File::create(path.join("big.bin")).unwrap().set_len(FILE).unwrap();
        Self(path)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server, its peers, and a clock of which each reading takes some time.
struct Rig {
    endpoint: Endpoint,
    script: Script,
    peers: Vec<Fake>,
    folder: Folder,
    nanos: Arc<AtomicU64>,
    /// The connections whose messages were received, in order.
    messages: Vec<ConnectionId>,
    _temp: Temp,
}

impl Rig {
    /// A peer for each of these inputs.
    fn new(name: &str, budget: Budget, reading: u64, inputs: &[&[u8]]) -> Self {
        Self::with(ServerConfig::new(), name, budget, reading, inputs)
    }

    /// Each reading of the clock takes so many microseconds.
    fn with(config: ServerConfig, name: &str, budget: Budget, reading: u64, inputs: &[&[u8]]) -> Self {
        let (script, nanos, temp) = (Script::default(), Arc::new(AtomicU64::new(0)), Temp::new(name));
        let (origin, given) = (Instant::now(), nanos.clone());
        let options = Options::ui().budget(budget).wall_clock(|| std::time::UNIX_EPOCH).clock(move || {
            let nanos = given.fetch_add(reading * 1000, Ordering::Relaxed);
            origin + Duration::from_nanos(nanos)
        });
        let mut endpoint = script.endpoint(options);
        let peers: Vec<_> = inputs.iter().map(|_| Fake::default()).collect();
        let accepts = peers.iter().map(|peer| Ok(peer.clone())).collect();
        serve(&script, &mut endpoint, vec![accepts], config);
        for _ in 0..peers.len() {
            turn(&mut endpoint, |_, event| panic!("{event:?}"));
        }
        let folder = Folder::new(&temp.0).unwrap();
        let mut rig = Self { endpoint, script, peers, folder, nanos, messages: Vec::new(), _temp: temp };
        for (peer, input) in rig.peers.iter().zip(inputs) {
            peer.0.lock().unwrap().bytes = input.to_vec();
        }
        let readable = Readiness { readable: true, writable: true, ..Readiness::default() };
        rig.script.report(&mut rig.endpoint, readable);
        rig
    }

    fn turn(&mut self) -> Turn {
        let Self { endpoint, folder, nanos, messages, .. } = self;
        let turn = endpoint.poll(Some(Duration::ZERO), |connections, event| match event {
            Event::Request(id, request) => connections.respond_file(id, request, folder).unwrap(),
            Event::Message(id, _) => {
                nanos.fetch_add(100_000, Ordering::Relaxed);
                messages.push(id);
            }
            _ => {}
        });
        turn.unwrap()
    }

    /// How many bytes this peer got since the last call.
    fn take(&self, peer: usize) -> usize {
        std::mem::take(&mut self.peers[peer].0.lock().unwrap().written).len()
    }

    fn take_both(&self) -> [usize; 2] {
        [self.take(0), self.take(1)]
    }
}

fn ui() -> Budget {
    Budget::ui()
}

#[test]
fn a_download_uses_the_time_of_each_turn() {
    let mut rig = Rig::new("time", ui(), 20, &[DOWNLOAD]);
    rig.turn();
    rig.take(0);
    for _ in 0..10 {
        let turn = rig.turn();
        assert!(turn.more && turn.elapsed >= Duration::from_millis(1), "{turn:?}");
        // A millisecond is 50 readings; a chunk takes one when it is read from the disk, and one when it is written.
        let chunks = rig.take(0) / CHUNK;
        assert!((20..=25).contains(&chunks), "{chunks} chunks");
    }
}

#[test]
fn downloads_share_a_turn_with_each_other_and_with_messages() {
    let messages = [HANDSHAKE, &frame(TEXT, b"x").repeat(20_000)].concat();
    let mut rig = Rig::new("share", ui(), 20, &[DOWNLOAD, DOWNLOAD, &messages]);
    let mut got = [0, 0];
    for n in 0..50 {
        rig.messages.clear();
        rig.turn();
        rig.turn();
        let now = rig.take_both();
        got = [got[0] + now[0], got[1] + now[1]];
        let is_fair = got[0].abs_diff(got[1]) <= CHUNK + 1024;
        assert!(is_fair && (n == 0 || now.iter().sum::<usize>() >= CHUNK), "{now:?}, {got:?}");
        assert!(!rig.messages.is_empty(), "two turns have a message");
    }
    assert!(got[0] >= 10 * CHUNK, "{got:?}");
}

#[test]
fn a_turn_ends_after_four_mebibytes_of_a_file_even_if_its_clock_stands_still() {
    for visit in [16 << 10, 4 << 20] {
        let mut rig = Rig::new("still", ui().bytes_per_visit(visit), 0, &[DOWNLOAD, DOWNLOAD]);
        rig.turn();
        for _ in 0..3 {
            rig.take_both();
            assert!(rig.turn().more);
            assert_eq!(rig.take_both(), [4 << 20; 2]);
        }
    }
}

#[test]
fn without_a_time_limit_a_turn_sends_a_chunk_of_each_file() {
    let mut rig = Rig::new("none", ui().time(None), 0, &[DOWNLOAD, DOWNLOAD]);
    rig.turn();
    for _ in 0..3 {
        rig.take_both();
        rig.turn();
        assert_eq!(rig.take_both(), [CHUNK; 2]);
    }
}

#[test]
fn a_streamed_response_uses_the_time_of_each_turn() {
    let config = ServerConfig::new().outbox(1 << 10, CHUNK / 2, 1 << 20);
    let mut rig = Rig::with(config, "stream", ui(), 20, &[DOWNLOAD]);
    let mut body = None;
    let mut more = |connections: &mut Connections, event: Event<'_>| {
        let id = match event {
            Event::Request(id, request) => {
                let length = Some(FILE);
                body = connections.respond_streaming(id, request, Response::new(()), length).ok();
                id
            }
            Event::Drained(id) => id,
            event => panic!("{event:?}"),
        };
        connections.send_body(id, body.as_ref().unwrap(), vec![0; CHUNK]).unwrap();
    };
    turn(&mut rig.endpoint, &mut more);
    rig.take(0);
    for _ in 0..10 {
        turn(&mut rig.endpoint, &mut more);
        let chunks = rig.take(0) / CHUNK;
        assert!(chunks >= 16, "{chunks} chunks");
    }
}
