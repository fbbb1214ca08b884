//! Files across turns: a chunk at a time, each answer in order.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::files::*;
use common::*;
use ws_server_mio::{ConnectionId, Connections, Event, Folder, Options, ServerConfig, State};

/// Sends two requests at once, and returns both before either is answered.
fn two_requests(served: &mut Served, first: &str) -> (Peer, ConnectionId, Vec<ws_server_mio::Request>) {
    let mut peer = served.rig.peer();
    let host = served.rig.address();
    peer.send(&[get(host, first), get(host, "/second")].concat());
    let (mut requests, mut id) = (Vec::new(), None);
    while requests.len() < 2 {
        let handler = |_: &mut Connections, event: Event<'_>| {
            if let Event::Request(of, request) = event {
                id = Some(of);
                requests.push(request);
            }
        };
        served.rig.endpoint.poll(None, handler).unwrap();
    }
    (peer, id.unwrap(), requests)
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
    // Another peer is served meanwhile.
    assert_eq!(served.ask("GET /hello.txt").1, b"hello, world");
    let start = std::time::Instant::now();
    while peer.got.len() < content.len() {
        served.turn();
        peer.read();
        assert!(start.elapsed().as_secs() < 20, "{} bytes arrived", peer.got.len());
    }
    assert!(peer.got.ends_with(&content[..1 << 20]));
}

#[test]
fn a_turn_without_a_time_limit_sends_one_chunk_and_the_next_continues() {
    let temp = Temp::new("frame");
    let content = vec![b'x'; 4 << 20];
    temp.write("big.bin", &content);
    let mut served = Served::with(Options::server(), &temp.public());
    let mut peer = served.send("GET /big.bin");
    let mut turns = 0;
    while peer.got.len() < content.len() {
        let sent = served.rig.endpoint.connections().stats().bytes_out;
        served.turn();
        let sent = served.rig.endpoint.connections().stats().bytes_out - sent;
        assert!(sent <= 65 << 10, "{sent} bytes in a turn");
        peer.read();
        turns += 1;
        assert!(turns < 20_000);
    }
    assert!(turns >= 64, "{turns} turns");
}

#[test]
fn an_exhausted_time_budget_does_not_starve_files() {
    let temp = Temp::new("over");
    temp.write("big.bin", &vec![b'x'; 1 << 20]);
    let budget = ws_server_mio::Budget::ui().time(std::time::Duration::from_micros(1));
    let mut served = Served::with(Options::ui().budget(budget), &temp.public());
    assert_eq!(served.ask("GET /big.bin").1.len(), 1 << 20);
}

#[test]
fn pipelined_files_come_in_order() {
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
fn a_file_that_shrinks_is_cut_off_visibly() {
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
fn a_file_is_released_when_its_peer_leaves() {
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
fn an_answer_behind_a_file_does_not_delay_it() {
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
fn a_file_is_not_read_before_its_turn() {
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
    assert!(!served.turn().more, "waiting makes no turn due");
    served.rig.endpoint.connections().respond(id, requests.pop().unwrap(), ok("first")).unwrap();
    let mut got = Vec::new();
    while got.len() < 2 {
        served.turn();
        got.extend(peer.take_response().map(|(_, body)| body.len()));
    }
    assert_eq!(got, [5, 300_000]);
}

#[test]
fn a_file_passes_an_outbox_smaller_than_a_chunk() {
    let temp = Temp::new("small");
    let content: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    temp.write("big.bin", &content);
    let config = ServerConfig::new().outbox(1_000, 10_000, 20_000);
    let rig = Rig::new(config);
    let mut served = Served { rig, folder: Folder::new(temp.public()).unwrap(), ids: Vec::new() };
    assert!(served.ask("GET /big.bin").1 == content);
}
