//! What peers make a server inflate: shares are ordered, not limited. Counted in bytes, never in time.
#![cfg(feature = "deflate")]
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::*;
use std::sync::Arc;
use std::time::{Duration, Instant};
use ws_kit::random::Lcg32;
use ws_proto::deflate::{Direction, Terms};
use ws_proto::{Config, Delivery, Message, ProtocolError, Role};
use ws_proto::{Connection, Error};
use ws_server_mio::{
    Bind, ClientConfig, CloseCode, ConnectionId, Connections, Deflate, Event, Options, ServerConfig, Turn,
    http,
};

const KIBI: usize = 1 << 10;
const MEBI: usize = 1 << 20;
const PEERS: usize = 200;
const ALONE: Direction = Direction { context_takeover: false, window_bits: 15 };
const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n";

/// A message as a client sends it, compressed independently.
fn compressed(data: Vec<u8>) -> Vec<u8> {
    let config = Config::client().deflate(Deflate::new().level(9)).outbox(0, 1, 64 * MEBI);
    let role = Role::Client { seed: [3; 32] };
    let mut client = Connection::upgraded(ws_proto::Moment::default(), Arc::new(config), role);
    client.compress_by(Terms { ours: ALONE, theirs: ALONE });
    client.send(data).unwrap();
    bytes::Buf::chunk(client.outbox()).to_vec()
}

/// Text that shrinks to about a fifth.
fn document(len: usize) -> Vec<u8> {
    let mut random = Lcg32(7);
    let mut line = || {
        let state = random.next();
        format!("{{\"id\": {}, \"name\": \"a person\", \"of\": {}}}\n", state >> 8, state % 1000)
    };
    let mut out = String::new();
    while out.len() < len {
        out += &line();
    }
    out.truncate(len);
    out.into_bytes()
}

fn peer(rig: &mut Rig) -> (Peer, ConnectionId) {
    let before = rig.app.open_ids().len();
    let (mut peer, address) = (rig.peer(), rig.address());
    peer.send(&with_fields(handshake(address, "/"), OFFER));
    rig.until("an open connection", |rig| peer.take_head().is_some() && rig.app.open_ids().len() > before);
    (peer, rig.app.open_ids()[before])
}

/// What a turn reported, in order: the connection, and how many bytes.
fn turn(rig: &mut Rig) -> (Turn, Vec<(ConnectionId, usize)>) {
    let mut reported = Vec::new();
    let handler = |_: &mut Connections, event: Event<'_>| match event {
        Event::Message(id, message) => reported.push((id, message.as_bytes().len())),
        Event::Fragment(id, fragment) => reported.push((id, fragment.data.as_bytes().len())),
        Event::Closed(_, closed) => panic!("{closed}"),
        _ => {}
    };
    let turn = rig.endpoint.poll(Some(Duration::ZERO), handler).unwrap();
    (turn, reported)
}

/// How many bytes of other peers precede this one's message.
fn before(reported: &[(ConnectionId, usize)], honest: ConnectionId) -> Option<usize> {
    let at = reported.iter().position(|(id, _)| *id == honest)?;
    Some(reported[..at].iter().map(|(_, len)| len).sum())
}

/// All inflated bytes are reported at once, which makes them countable.
fn chunked_delivery() -> ServerConfig {
    ServerConfig::new().deflate(Deflate::new()).delivery(Delivery::Chunked { whole: 0 })
}

fn bombed(options: Options, config: ServerConfig, bomb: &[u8]) -> (Rig, Vec<Peer>, Peer, ConnectionId) {
    let mut rig = Rig::with(options, config);
    rig.app.silent = true;
    let mut bombers: Vec<_> = (0..PEERS).map(|_| peer(&mut rig).0).collect();
    // The honest peer comes last everywhere.
    let (mut honest, id) = peer(&mut rig);
    bombers.iter_mut().for_each(|bomber| bomber.send(bomb));
    honest.send(&frame(TEXT, b"hello"));
    (rig, bombers, honest, id)
}

#[test]
fn two_hundred_bombs_delay_an_honest_message_by_little() {
    let bomb = compressed(vec![0; 2 * MEBI]);
    let (mut rig, bombers, mut honest, id) = bombed(Options::default(), chunked_delivery(), &bomb);
    let document = compressed(document(100 * KIBI));
    let (mut inflated, mut in_flight) = (0, true);
    let mut turns = 0;
    while inflated < PEERS * 2 * MEBI {
        let (turn, reported) = turn(&mut rig);
        let all: usize = reported.iter().map(|(_, len)| len).sum();
        let of_honest: usize = reported.iter().filter(|(of, _)| *of == id).map(|(_, len)| len).sum();
        inflated += all - of_honest;
        turns += 1;
        // A share for each, and then what resumes before the next poll of the kernel.
        let most = if turns == 1 { PEERS * 16 * KIBI + 2 * MEBI } else { 2 * MEBI };
        assert!(all <= most, "{all} bytes in turn {turns}");
        if in_flight {
            // A message larger than a share resumes ahead of peers that have inflated much.
            let want = if turns == 31 || turns == 61 { 100 * KIBI } else { 5 };
            assert_eq!(of_honest, want, "in turn {turns}");
            // Each peer that completes gets a share, and so does one of those that resume.
            let most = if turns == 1 { PEERS * 16 * KIBI } else { 80 * KIBI };
            let before = before(&reported, id).expect("it is reported in the turn that finds it");
            assert!(before <= most, "{before} bytes before it, in turn {turns}");
        }
        in_flight = turns % 3 == 0;
        if in_flight {
            let long = turns == 30 || turns == 60;
            let message = if long { document.clone() } else { frame(TEXT, b"again") };
            honest.send(&message);
        }
        // The bombs continue without a pause.
        assert!(inflated == PEERS * 2 * MEBI || turn.more && all > 0, "idle in turn {turns}");
    }
    assert_eq!(inflated, PEERS * 2 * MEBI, "none is forgotten");
    drop(bombers);
}

#[test]
fn an_honest_message_completes_before_any_joined_bomb() {
    for options in [Options::default(), Options::ui()] {
        let bomb = compressed(vec![0; MEBI]);
        let config = ServerConfig::new().deflate(Deflate::new());
        let (mut rig, bombers, _honest, id) = bombed(options, config, &bomb);
        let mut reported = Vec::new();
        while reported.len() <= PEERS {
            reported.extend(turn(&mut rig).1);
        }
        assert_eq!(before(&reported, id), Some(0));
        assert!(reported.iter().filter(|(of, _)| *of != id).all(|(_, len)| *len == MEBI));
        drop(bombers);
    }
}

#[test]
fn bombs_complete_one_after_another_to_bound_memory() {
    let bomb = compressed(vec![0; 8 * MEBI]);
    let config = ServerConfig::new().deflate(Deflate::new()).memory_limit(Some(256 * MEBI));
    let (mut rig, bombers, _honest, _) = bombed(Options::default(), config, &bomb);
    let mut count = 0;
    // All of them together would be 1.6 GiB. No connection is closed for it.
    while count <= 50 {
        count += turn(&mut rig).1.len();
    }
    drop(bombers);
}

#[test]
fn a_time_limited_turn_ends_in_time_amid_bombs_and_shares_fairly() {
    let clock = Clock::default();
    let given = clock.clone();
    // As if 16 KiB took 100 µs: each clock reading costs that.
    let options = Options::ui().clock(move || {
        given.pass(Duration::from_micros(100));
        given.now()
    });
    let bomb = compressed(vec![0; 256 * KIBI]);
    let (mut rig, bombers, _honest, id) = bombed(options, ServerConfig::new().deflate(Deflate::new()), &bomb);
    let (mut reported, mut turns) = (Vec::new(), 0);
    while reported.len() <= PEERS {
        let (turn, more) = turn(&mut rig);
        // Deadlines checked after reading take a few more clock readings.
        assert!(turn.elapsed <= Duration::from_millis(3), "{turn:?}");
        reported.extend(more);
        turns += 1;
        assert!(before(&reported, id).is_some() || turns < PEERS, "it waits for too many turns");
        assert!(turns < 20 * PEERS, "all are read to the end");
    }
    assert!(before(&reported, id).unwrap() <= 4 * MEBI);
    drop(bombers);
}

#[test]
fn a_bomb_alone_is_inflated_at_full_speed() {
    let mut rig = Rig::with(Options::default(), chunked_delivery());
    let (mut bomber, _) = peer(&mut rig);
    bomber.send(&compressed(vec![0; 16 * MEBI]));
    let (mut inflated, mut turns) = (0, 0);
    while inflated < 16 * MEBI {
        let (turn, reported) = turn(&mut rig);
        inflated += reported.iter().map(|(_, len)| len).sum::<usize>();
        turns += 1;
        if inflated < 16 * MEBI {
            assert!(turn.more && rig.endpoint.next_timeout() == Some(Duration::ZERO), "it does not wait");
        }
    }
    assert!(turns <= 18, "about a mebibyte a turn: {turns}");
}

#[test]
fn a_flood_of_others_does_not_starve_a_bomb() {
    let clock = Clock::default();
    let mut rig = Rig::with(clock.on(Options::ui()), chunked_delivery());
    let (mut bomber, bombing) = peer(&mut rig);
    let mut floods: Vec<_> = (0..5).map(|_| peer(&mut rig).0).collect();
    bomber.send(&compressed(vec![0; MEBI]));
    let many: Vec<u8> = (0..3000).flat_map(|_| frame(TEXT, b"x")).collect();
    floods.iter_mut().for_each(|flood| flood.send(&many));
    let (mut inflated, mut turns) = (0, 0);
    while inflated < MEBI {
        turns += 1;
        assert!(turns < 400, "it starves at {inflated}");
        let handler = |_: &mut Connections, event: Event<'_>| {
            if let Event::Fragment(id, fragment) = event {
                clock.pass(Duration::from_micros(300));
                inflated += if id == bombing { fragment.data.as_bytes().len() } else { 0 };
            }
        };
        rig.endpoint.poll(Some(Duration::ZERO), handler).unwrap();
        floods.iter_mut().for_each(|flood| flood.send(&many));
    }
}

#[test]
fn twenty_honest_peers_and_a_large_upload_arrive_in_few_turns() {
    let mut rig = Rig::with(Options::default(), ServerConfig::new().deflate(Deflate::new()));
    let (mut uploader, uploading) = peer(&mut rig);
    let upload = compressed(document(10 * MEBI));
    let small = compressed(document(4 * KIBI));
    let mut chats: Vec<_> = (0..20).map(|_| peer(&mut rig)).collect();
    uploader.send(&upload);
    let (mut is_uploaded, mut turns, mut chatted) = (false, 0, 0);
    while !is_uploaded {
        turns += 1;
        assert!(turns < 200, "it starves");
        chats.iter_mut().for_each(|(chat, _)| chat.send(&small));
        uploader.flush();
        let (_, reported) = turn(&mut rig);
        for (id, len) in reported {
            is_uploaded |= id == uploading;
            assert_eq!(len, if id == uploading { 10 * MEBI } else { 4 * KIBI });
            chatted += usize::from(id != uploading);
        }
        // Each is reported in the turn in which it arrived, whether or not it used up its share.
        assert_eq!(chatted, turns * chats.len(), "in turn {turns}");
    }
}

#[test]
fn sixteen_mebibytes_of_zeros_arrive_and_one_more_byte_is_too_big() {
    let limit = 16 * MEBI;
    for (by_server, len) in [(false, limit), (false, limit + 1), (true, limit), (true, limit + 1)] {
        let mut endpoint = ws_server_mio::Endpoint::new().unwrap();
        let of_server = ServerConfig::new().deflate(Deflate::new()).outbox(0, 1, 64 * MEBI);
        let of_client = ClientConfig::new().deflate(Deflate::new()).outbox(0, 1, 64 * MEBI);
        let connections = endpoint.connections();
        let server = connections.listen(Bind::localhost(), of_server).unwrap();
        let url = format!("ws://{}/", connections.server(server).local_addr().unwrap());
        connections.connect(url.as_str(), of_client).unwrap();
        let (mut arrived, mut ends) = (None, Vec::new());
        let start = Instant::now();
        while arrived.is_none() && ends.len() < 2 {
            assert!(start.elapsed() < Duration::from_secs(60), "it hangs");
            let handler = |connections: &mut Connections, event: Event<'_>| {
                let Some(id) = event.connection() else { return };
                let is_server = connections.server_of(id).is_some();
                match event {
                    Event::Open(..) if is_server == by_server => {
                        connections.send(id, vec![0; len]).unwrap();
                        assert!(connections.queued(id) < len / 1000);
                    }
                    Event::Message(_, Message::Binary(data)) => arrived = Some(data.len()),
                    Event::Closed(_, closed) => ends.push((is_server, closed)),
                    _ => {}
                }
            };
            endpoint.poll(Some(Duration::from_millis(1)), handler).unwrap();
        }
        assert_eq!(arrived, (len == limit).then_some(limit), "by the server: {by_server}");
        for (is_server, closed) in ends {
            let too_big = ProtocolError::MessageTooBig { limit: limit as u64 };
            if is_server == by_server {
                assert_eq!(closed.code, CloseCode::TOO_BIG);
            } else {
                assert!(matches!(closed.error, Some(Error::Protocol(error)) if error == too_big), "{closed}");
            }
        }
    }
}

#[test]
fn early_data_is_inflated_by_shares_too() {
    let mut rig = Rig::with(Options::default(), chunked_delivery());
    let (mut peer, address) = (rig.peer(), rig.address());
    // A pending streaming response, and behind it an upgrade and its early data, all read ahead.
    let mut wire = get(address, "/stream");
    wire.extend(with_fields(handshake(address, "/"), OFFER));
    wire.extend(compressed(vec![0; 4 * MEBI]));
    peer.send(&wire);
    let (mut body, mut reported, mut turns) = (None, 0, 0);
    let mut most = 0;
    while reported < 4 * MEBI {
        turns += 1;
        assert!(turns < 1000, "it hangs at {reported}");
        let before = reported;
        let handler = |connections: &mut Connections, event: Event<'_>| {
            let Some(id) = event.connection() else { return };
            match event {
                Event::Request(_, request) => {
                    let head = http::Response::new(());
                    body = Some((id, connections.respond_streaming(id, request, head, None).unwrap()));
                }
                Event::Upgrade(_, upgrade) => connections.accept(id, upgrade).unwrap(),
                Event::Fragment(_, fragment) => reported += fragment.data.as_bytes().len(),
                _ => {}
            }
        };
        let turn = rig.endpoint.poll(Some(Duration::from_millis(1)), handler).unwrap();
        most = most.max(reported - before);
        assert!(reported == before || reported == 4 * MEBI || turn.more, "it does not wait");
        if turns == 20
            && let Some((id, body)) = body.take()
        {
            rig.endpoint.connections().finish_body(id, body).unwrap();
        }
        peer.read();
    }
    assert!(most <= 2 * MEBI, "{most} in a turn");
}
