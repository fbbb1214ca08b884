//! Files from a folder, over real sockets.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::*;
use std::fs;
use std::path::{Path, PathBuf};
use ws_server_mio::ws_proto::Event::Request;
use ws_server_mio::{Config, ConnectionId, Connections, Event, Folder, Options, State};

/// A folder that goes with the test.
struct Temp(PathBuf);

impl Temp {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ws-server-mio-{}-{name}", std::process::id()));
        fs::create_dir_all(path.join("public/sub")).unwrap();
        fs::write(path.join("secret.txt"), "secret").unwrap();
        fs::write(path.join("public/index.html"), "<h1>index</h1>").unwrap();
        fs::write(path.join("public/sub/index.html"), "sub").unwrap();
        fs::write(path.join("public/.hidden"), "hidden").unwrap();
        fs::write(path.join("public/hello.txt"), "hello, world").unwrap();
        fs::write(path.join("public/empty.txt"), "").unwrap();
        Self(path)
    }

    fn public(&self) -> PathBuf {
        self.0.join("public")
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.public().join(name), content).unwrap();
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A rig that answers every request from the folder.
struct Served {
    rig: Rig,
    folder: Folder,
    ids: Vec<ConnectionId>,
}

impl Served {
    fn new(root: &Path) -> Self {
        Self::with(Options::default(), root)
    }

    fn with(options: Options, root: &Path) -> Self {
        Self {
            rig: Rig::with(options, Config::server()),
            folder: Folder::new(root).unwrap(),
            ids: Vec::new(),
        }
    }

    fn turn(&mut self) -> ws_server_mio::Turn {
        let Self { rig, folder, ids } = self;
        let wait = std::time::Duration::from_millis(1);
        let turn = rig.endpoint.poll(Some(wait), |connections, event| {
            if let Event::Connection(id, Request(request)) = event {
                ids.push(id);
                connections.respond_file(id, request, folder).unwrap();
            }
        });
        turn.unwrap()
    }

    fn send(&mut self, request: &str) -> Peer {
        let mut peer = self.rig.peer();
        let host = self.rig.address();
        let (line, fields) = request.split_once('\n').unwrap_or((request, ""));
        let fields = fields.lines().map(|field| format!("{field}\r\n")).collect::<String>();
        peer.send(format!("{line} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n").as_bytes());
        peer
    }

    /// The head and the body of the answer, by its `Content-Length`.
    fn ask(&mut self, request: &str) -> (String, Vec<u8>) {
        let mut peer = self.send(request);
        for _ in 0..5_000 {
            self.turn();
            peer.read();
            let Some(end) = peer.got.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let head = String::from_utf8(peer.got[..end].to_vec()).unwrap().to_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            let is_head = request.starts_with("HEAD");
            let length: usize = length.filter(|_| !is_head).map_or(0, |length| length.parse().unwrap());
            if peer.got.len() >= end + 4 + length {
                assert_eq!(peer.got.len(), end + 4 + length);
                return (head, peer.got[end + 4..].to_vec());
            }
        }
        panic!("no answer to {request}: {:?}", String::from_utf8_lossy(&peer.got));
    }

    fn status(&mut self, request: &str) -> u16 {
        self.ask(request).0[9..12].parse().unwrap()
    }
}

#[test]
fn a_file_is_sent_with_its_type_and_validators() {
    let temp = Temp::new("plain");
    let mut served = Served::new(&temp.public());
    let (head, body) = served.ask("GET /hello.txt");
    assert_eq!(body, b"hello, world");
    for field in [
        "http/1.1 200 ok",
        "content-type: text/plain; charset=utf-8",
        "content-length: 12",
        "x-content-type-options: nosniff",
        "accept-ranges: bytes",
        "last-modified: ",
    ] {
        assert!(head.contains(field), "{field} in {head}");
    }
    let etag = head.split("etag: ").nth(1).and_then(|rest| rest.lines().next()).unwrap();
    assert_eq!(served.status(&format!("GET /hello.txt\nIf-None-Match: {etag}")), 304);
    assert_eq!(served.ask("GET /empty.txt").1, b"");
}

#[test]
fn head_has_the_length_and_no_body() {
    let temp = Temp::new("head");
    let (head, body) = Served::new(&temp.public()).ask("HEAD /hello.txt");
    assert!(head.contains("content-length: 12"), "{head}");
    assert!(body.is_empty());
}

#[test]
fn a_range_of_a_large_file_is_read_from_its_place() {
    let temp = Temp::new("range");
    let content: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    temp.write("film.mp4", &content);
    let mut served = Served::new(&temp.public());
    let (head, body) = served.ask("GET /film.mp4\nRange: bytes=100000-299998");
    assert!(head.starts_with("http/1.1 206") && head.contains("bytes 100000-299998/300000"), "{head}");
    assert!(body == content[100_000..=299_998]);
    assert!(served.ask("GET /film.mp4").1 == content);
    assert_eq!(served.status("GET /film.mp4\nRange: bytes=300000-"), 416);
}

#[test]
fn a_folder_is_its_index_behind_a_slash() {
    let temp = Temp::new("index");
    let mut served = Served::new(&temp.public());
    assert_eq!(served.ask("GET /").1, b"<h1>index</h1>");
    assert_eq!(served.ask("GET /sub/").1, b"sub");
    let (head, _) = served.ask("GET /sub?a=b");
    assert!(head.starts_with("http/1.1 308") && head.contains("location: ./sub/?a=b\r\n"), "{head}");
    let (head, _) = served.ask("GET //sub");
    assert!(head.contains("location: ./sub/\r\n"), "no other host: {head}");
    assert_eq!(served.status("GET /hello.txt/"), 404);
}

#[test]
fn a_folder_stands_where_it_is_put() {
    let temp = Temp::new("prefix");
    let mut served = Served::new(&temp.public());
    served.folder = served.folder.clone().at("/files/");
    assert_eq!(served.ask("GET /files/hello.txt").1, b"hello, world");
    assert_eq!(served.ask("GET /files/").1, b"<h1>index</h1>");
    assert!(served.ask("GET /files").0.contains("location: ./files/"));
    for none in ["/hello.txt", "/fileshello.txt", "/filesystem/hello.txt"] {
        assert_eq!(served.status(&format!("GET {none}")), 404, "{none}");
    }
}

#[test]
fn nothing_leads_out_of_the_folder() {
    let temp = Temp::new("escape");
    let mut served = Served::new(&temp.public());
    for path in [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/sub/../../secret.txt",
        "/..%5csecret.txt",
        "/hello.txt%00",
        "/.hidden",
        "/%2ehidden",
        "/hello.txt.",
        "/hello.txt::$DATA",
        "/nul",
        "/c:/secret.txt",
    ] {
        assert_eq!(served.status(&format!("GET {path}")), 404, "{path}");
    }
    assert_eq!(served.status("GET //etc/passwd"), 404);
    served.folder = served.folder.clone().hidden_files();
    assert_eq!(served.ask("GET /.hidden").1, b"hidden");
    assert_eq!(served.status("GET /../secret.txt"), 404);
}

#[cfg(unix)]
#[test]
fn links_lead_where_they_like_inside_and_not_outside() {
    use std::os::unix::fs::symlink;
    let temp = Temp::new("links");
    let public = temp.public();
    symlink(temp.0.join("secret.txt"), public.join("out.txt")).unwrap();
    symlink(&temp.0, public.join("up")).unwrap();
    symlink("../public/hello.txt", public.join("in.txt")).unwrap();
    symlink(".hidden", public.join("shown.txt")).unwrap();
    symlink("round", public.join("round")).unwrap();
    let mut served = Served::new(&public);
    for none in ["/out.txt", "/up/secret.txt", "/up/", "/shown.txt"] {
        assert_eq!(served.status(&format!("GET {none}")), 404, "{none}");
    }
    assert_eq!(served.ask("GET /in.txt").1, b"hello, world");
    assert!(served.status("GET /round") >= 400);
}

#[cfg(unix)]
#[test]
fn a_pipe_is_not_waited_for() {
    let temp = Temp::new("pipe");
    let made = std::process::Command::new("mkfifo").arg(temp.public().join("pipe")).status();
    if made.is_ok_and(|status| status.success()) {
        assert_eq!(Served::new(&temp.public()).status("GET /pipe"), 404);
    }
}

#[test]
fn only_reading_is_allowed() {
    let temp = Temp::new("methods");
    let (head, _) = Served::new(&temp.public()).ask("DELETE /hello.txt");
    assert!(head.starts_with("http/1.1 405") && head.contains("allow: get, head"), "{head}");
}

#[test]
fn a_peer_that_does_not_read_holds_a_chunk_or_two_and_no_turn() {
    let temp = Temp::new("slow");
    let content = vec![b'x'; 32 << 20];
    temp.write("big.bin", &content);
    let mut served = Served::new(&temp.public());
    let mut peer = served.send("GET /big.bin");
    let mut quiet = 0;
    while quiet < 20 {
        quiet = if served.turn().more { 0 } else { quiet + 1 };
        if let Some(id) = served.ids.first() {
            let queued = served.rig.endpoint.connections().queued(*id);
            assert!(queued <= 129 << 10, "{queued} bytes in memory");
        }
    }
    assert!(served.rig.endpoint.connections().queued(served.ids[0]) > 0, "the peer has not read it all");
    // Another one is served meanwhile.
    assert_eq!(served.ask("GET /hello.txt").1, b"hello, world");
    let start = std::time::Instant::now();
    while peer.got.len() < content.len() {
        served.turn();
        peer.read();
        assert!(start.elapsed().as_secs() < 20, "{} bytes came", peer.got.len());
    }
    assert!(peer.got.ends_with(&content[..1 << 20]));
}

#[test]
fn a_turn_of_a_frame_sends_one_chunk_and_goes_on_in_the_next() {
    let temp = Temp::new("frame");
    let content = vec![b'x'; 4 << 20];
    temp.write("big.bin", &content);
    let mut served = Served::with(Options::ui(), &temp.public());
    let mut peer = served.send("GET /big.bin");
    let mut turns = 0;
    while peer.got.len() < content.len() {
        served.turn();
        let before = peer.got.len();
        peer.read();
        assert!(peer.got.len() - before <= 130 << 10, "{} bytes in a turn", peer.got.len() - before);
        turns += 1;
        assert!(turns < 20_000);
    }
    assert!(turns >= 64, "{turns} turns");
}

#[test]
fn a_time_that_is_always_over_does_not_keep_files_away() {
    let temp = Temp::new("over");
    temp.write("big.bin", &vec![b'x'; 1 << 20]);
    let mut budget = ws_server_mio::Budget::ui();
    budget.time = Some(std::time::Duration::from_micros(1));
    let mut served = Served::with(Options::ui().budget(budget), &temp.public());
    assert_eq!(served.ask("GET /big.bin").1.len(), 1 << 20);
}

#[test]
fn pipelined_files_come_in_their_order() {
    let temp = Temp::new("order");
    let big = vec![b'b'; 200_000];
    temp.write("big.bin", &big);
    let mut served = Served::new(&temp.public());
    let mut peer = served.rig.peer();
    let host = served.rig.address();
    peer.send(&[get(host, "/big.bin"), get(host, "/hello.txt"), get(host, "/big.bin")].concat());
    let mut bodies = Vec::new();
    for _ in 0..5_000 {
        served.turn();
        bodies.extend(peer.take_response());
        if bodies.len() == 3 {
            break;
        }
    }
    let lengths: Vec<_> = bodies.iter().map(|(status, body)| (*status, body.len())).collect();
    assert_eq!(lengths, [(200, 200_000), (200, 12), (200, 200_000)]);
}

#[test]
fn a_file_that_becomes_shorter_is_cut_off_visibly() {
    let temp = Temp::new("shorter");
    temp.write("big.bin", &vec![b'x'; 32 << 20]);
    let mut served = Served::new(&temp.public());
    let mut peer = served.send("GET /big.bin");
    for _ in 0..50 {
        served.turn();
    }
    temp.write("big.bin", b"short");
    for _ in 0..10_000 {
        served.turn();
        peer.read();
        if peer.ended.is_some() {
            break;
        }
    }
    assert_eq!(peer.ended, Some(Ok(())));
    assert!(peer.got.len() < 32 << 20);
}

#[test]
fn a_peer_that_goes_away_takes_its_file_with_it() {
    let temp = Temp::new("gone");
    temp.write("big.bin", &vec![b'x'; 32 << 20]);
    let mut served = Served::new(&temp.public());
    let peer = served.send("GET /big.bin");
    while served.ids.is_empty() {
        served.turn();
    }
    let id = served.ids[0];
    drop(peer);
    let start = std::time::Instant::now();
    while served.rig.endpoint.connections().state(id) != State::Closed {
        served.turn();
        assert!(start.elapsed().as_secs() < 20);
    }
    for _ in 0..3 {
        assert!(!served.turn().more, "nothing is left to do");
    }
}

#[test]
fn an_application_in_one_page_answers_for_its_paths() {
    let temp = Temp::new("single");
    let mut served = Served::new(&temp.public());
    served.folder = served.folder.clone().single_page("index.html");
    assert_eq!(served.ask("GET /settings/user\nAccept: text/html").1, b"<h1>index</h1>");
    assert_eq!(served.status("GET /missing.js\nAccept: text/html"), 404);
    assert_eq!(served.status("GET /api\nAccept: application/json"), 404);
    assert_eq!(served.status("POST /settings\nAccept: text/html"), 405);
}

#[test]
fn a_compressed_variant_goes_to_who_takes_it() {
    let temp = Temp::new("variants");
    temp.write("app.js", b"plain");
    temp.write("app.js.gz", b"gzip");
    let mut served = Served::new(&temp.public());
    assert_eq!(served.ask("GET /app.js\nAccept-Encoding: gzip").1, b"plain");
    served.folder = served.folder.clone().precompressed();
    let (head, body) = served.ask("GET /app.js\nAccept-Encoding: br, gzip");
    assert_eq!(body, b"gzip");
    for field in ["content-encoding: gzip", "vary: accept-encoding", "content-type: text/javascript"] {
        assert!(head.contains(field), "{field} in {head}");
    }
    let (head, body) = served.ask("GET /app.js");
    assert_eq!(body, b"plain");
    assert!(head.contains("vary: accept-encoding") && !head.contains("content-encoding"), "{head}");
}

#[test]
fn a_folder_must_be_there() {
    assert!(Folder::new("/no/such/folder").is_err());
    let temp = Temp::new("nofolder");
    assert!(Folder::new(temp.public().join("hello.txt")).is_err());
}

/// Sends two requests at once, and gives both before either is answered.
fn two_requests(served: &mut Served, first: &str) -> (Peer, ConnectionId, Vec<ws_server_mio::Request>) {
    let mut peer = served.rig.peer();
    let host = served.rig.address();
    peer.send(&[get(host, first), get(host, "/second")].concat());
    let (mut requests, mut id) = (Vec::new(), None);
    while requests.len() < 2 {
        let handler = |_: &mut Connections, event: Event<'_>| {
            if let Event::Connection(of, Request(request)) = event {
                id = Some(of);
                requests.push(request);
            }
        };
        served.rig.endpoint.poll(None, handler).unwrap();
    }
    (peer, id.unwrap(), requests)
}

#[test]
fn an_answer_that_waits_behind_a_file_does_not_hold_it_up() {
    let temp = Temp::new("behind");
    temp.write("big.bin", &vec![b'b'; 300_000]);
    let mut served = Served::new(&temp.public());
    let (mut peer, id, mut requests) = two_requests(&mut served, "/big.bin");
    let connections = served.rig.endpoint.connections();
    let head = http::Response::new(());
    let length = 200_000;
    let body = connections.respond_streaming(id, requests.pop().unwrap(), head, Some(length)).unwrap();
    connections.send_body(id, &body, vec![b'c'; length as usize]).unwrap();
    connections.finish_body(id, body).unwrap();
    connections.respond_file(id, requests.pop().unwrap(), &served.folder).unwrap();
    let lengths = [300_000, 200_000].map(|length| {
        let mut response = None;
        for _ in 0..5_000 {
            served.turn();
            response = peer.take_response();
            if response.is_some() {
                break;
            }
        }
        (length, response.map(|(_, body)| body.len()))
    });
    assert!(lengths.iter().all(|(length, got)| *got == Some(*length)), "{lengths:?}");
}

#[test]
fn a_file_that_waits_for_its_turn_is_not_read_before() {
    let temp = Temp::new("turn");
    temp.write("big.bin", &vec![b'b'; 300_000]);
    let mut served = Served::new(&temp.public());
    let (mut peer, id, mut requests) = two_requests(&mut served, "/first");
    let second = requests.pop().unwrap();
    temp.write("second", &vec![b's'; 300_000]);
    served.rig.endpoint.connections().respond_file(id, second, &served.folder).unwrap();
    for _ in 0..5 {
        served.turn();
        assert_eq!(served.rig.endpoint.connections().queued(id), 0);
    }
    assert!(!served.turn().more, "waiting is no work");
    served.rig.endpoint.connections().respond(id, requests.pop().unwrap(), ok("first")).unwrap();
    let mut got = Vec::new();
    while got.len() < 2 {
        served.turn();
        got.extend(peer.take_response().map(|(_, body)| body.len()));
    }
    assert_eq!(got, [5, 300_000]);
}

#[test]
fn a_file_is_sent_through_an_outbox_that_is_smaller_than_a_chunk() {
    let temp = Temp::new("small");
    let content: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    temp.write("big.bin", &content);
    let config = Config::server().outbox(1_000, 10_000, 20_000);
    let rig = Rig::new(config);
    let mut served = Served { rig, folder: Folder::new(temp.public()).unwrap(), ids: Vec::new() };
    assert!(served.ask("GET /big.bin").1 == content);
}

#[test]
fn names_and_places_may_have_a_slash_in_front_or_not() {
    let temp = Temp::new("slashes");
    temp.write("app.html", b"app");
    let mut served = Served::new(&temp.public());
    for (place, page) in [("files", "/app.html"), ("/files", "app.html")] {
        let folder = Folder::new(temp.public()).unwrap();
        served.folder = folder.at(place).single_page(page).index(page);
        assert_eq!(served.ask("GET /files/hello.txt").1, b"hello, world", "{place}");
        assert_eq!(served.ask("GET /files/").1, b"app", "{page}");
        assert_eq!(served.ask("GET /files/settings\nAccept: text/html").1, b"app", "{page}");
        assert!(served.ask("GET /files").0.contains("location: ./files/"));
    }
}

#[test]
fn errors_have_the_page_and_files_the_fields_that_were_set() {
    let temp = Temp::new("pages");
    let mut served = Served::new(&temp.public());
    let policy = http::HeaderValue::from_static("default-src 'self'");
    served.folder = served
        .folder
        .clone()
        .header(http::header::CONTENT_SECURITY_POLICY, policy)
        .error_page(|status| ok(format!("mine: {}", status.as_u16())));
    let (head, body) = served.ask("GET /nowhere");
    assert!(head.starts_with("http/1.1 404") && body == b"mine: 404", "{head}");
    let (head, body) = served.ask("DELETE /hello.txt");
    assert!(head.starts_with("http/1.1 405") && head.contains("allow: get, head"), "{head}");
    assert_eq!(body, b"mine: 405");
    assert!(served.ask("GET /hello.txt").0.contains("content-security-policy: default-src 'self'"));
    assert!(served.ask("GET /sub").0.starts_with("http/1.1 308"), "that is no error");
}
