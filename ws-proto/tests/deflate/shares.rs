//! Inflating in shares across the connections of one loop: bounded at a time, complete in the end, and in order.

use ws_kit::deflate::*;
use ws_kit::frames::*;

use std::sync::Arc;
use std::time::Duration;
use ws_proto::deflate::Terms;
use ws_proto::{CloseCode, Config, Connection, Deflate, Delivery, Event, IoAction, Moment, Role, State};

const MEBI: usize = 1 << 20;
const FIRST: u64 = 16 << 10;
const NEXT: u64 = 64 << 10;
/// The amount inflated at a time, and what zlib may buffer of it.
const MORE: u64 = 24 << 10;
/// No rate: only shares hold anything back.
const DELIVERIES: [Delivery; 2] = [Delivery::Whole, Delivery::Chunked { whole: 0 }];

fn sharing(role: Role, config: Config) -> (Connection, Moment) {
    let (mut connection, now) = open_by(role, config, FULL, FULL);
    connection.shares().begin();
    (connection, now)
}

fn unlimited(delivery: Delivery) -> Config {
    config(deflate().inflate_rate(None)).delivery(delivery)
}

/// The events for these bytes, given in reads of this size, and the amount inflated for each share.
fn receive(
    connection: &mut Connection,
    now: Moment,
    bytes: &[u8],
    read: usize,
) -> (Vec<Event<'static>>, Vec<u64>) {
    let (mut events, mut shares) = (Vec::new(), Vec::new());
    let mut bytes = bytes.to_vec();
    let mut before = connection.shares().recently_inflated();
    for mut input in bytes.chunks_mut(read) {
        loop {
            while let Some(event) = connection.handle_input(now, &mut input) {
                events.push(event.into_owned());
            }
            if !connection.shares().is_used() {
                break;
            }
            assert!(!input.is_empty(), "pending input stays with the caller");
            assert!(connection.is_paused());
            shares.push(connection.shares().recently_inflated() - before);
            before = connection.shares().recently_inflated();
            connection.shares().next(now);
            assert!(!connection.shares().is_used() && !connection.is_paused());
        }
        assert!(input.is_empty());
    }
    (events, shares)
}

fn data_of(events: &[Event<'_>]) -> Vec<u8> {
    let of = |event: &Event<'_>| match event {
        Event::Message(message) => message.as_bytes().to_vec(),
        Event::Fragment(fragment) => fragment.data.as_bytes().to_vec(),
        other => panic!("{other:?}"),
    };
    events.iter().flat_map(of).collect()
}

#[test]
fn a_message_is_inflated_by_shares_and_delivered_whole() {
    let data = [vec![0; 2 * MEBI], noise(1, 200_000), b"text ".repeat(50_000)].concat();
    let message = Zip::with_level(FULL, 9).message(&data);
    for role in ROLES {
        for delivery in DELIVERIES {
            let frames = [
                compressed(role, BINARY, &message),
                in_frames(role, RSV1 | BINARY, &message.chunks(100).collect::<Vec<_>>()),
            ];
            for wire in frames {
                for read in [1, 7, 1000, usize::MAX] {
                    let (mut end, now) = sharing(role, unlimited(delivery));
                    let (events, shares) = receive(&mut end, now, &wire, read);
                    assert!(data_of(&events) == data, "{role:?}, {delivery:?}, reads of {read}");
                    assert!(shares[0] <= FIRST + MORE, "{shares:?}");
                    assert!(shares.iter().all(|share| *share <= NEXT + MORE), "{shares:?}");
                    if read == usize::MAX {
                        assert!(shares.len() as u64 >= data.len() as u64 / (NEXT + MORE), "{}", shares.len());
                    }
                }
            }
        }
    }
}

#[test]
fn shares_do_not_change_the_events() {
    let mut zip = Zip::new(FULL);
    let text = "水 and text, ".repeat(3000);
    let mut wire = compressed(Role::Server, TEXT, &zip.message(text.as_bytes()));
    wire.extend(frame(true, FIN | PING, b"?"));
    wire.extend(frame(true, FIN | TEXT, b"plain"));
    let parts = zip.fragments(&[&[1; 100_000], &noise(1, 5000), &[2; 30_000]]);
    wire.extend(in_frames(Role::Server, RSV1 | BINARY, &parts));
    wire.extend(compressed(Role::Server, BINARY, &zip.message(b"")));
    wire.extend(compressed(Role::Server, TEXT, &zip.message(&[b"good ".repeat(9000), vec![0xff]].concat())));
    wire.extend(frame(true, FIN | TEXT, b"never seen"));
    for delivery in DELIVERIES {
        let mut plain = open_by(Role::Server, unlimited(delivery), FULL, FULL);
        let want = data_of(&feed(&mut plain.0, plain.1, &wire));
        let want_code = close_code(&take_output(&mut plain.0, plain.1));
        for read in [1, 13, 4096, usize::MAX] {
            let (mut server, now) = sharing(Role::Server, unlimited(delivery));
            let (events, _) = receive(&mut server, now, &wire, read);
            assert!(data_of(&events) == want, "{delivery:?}, reads of {read}");
            let output = take_output(&mut server, now);
            assert_eq!(close_code(&output), want_code);
            assert_eq!(server.state(), State::Closing);
        }
    }
}

#[test]
fn a_used_share_holds_back_only_compressed_input() {
    let (mut server, now) = sharing(Role::Server, unlimited(Delivery::Whole));
    let mut zip = Zip::new(FULL);
    // All of it fits in the first share and zlib's buffer: the share is used, and nothing is pending.
    let mut wire = compressed(Role::Server, BINARY, &zip.message(&[0; FIRST as usize]));
    let mut input = &mut wire[..];
    assert!(matches!(server.handle_input(now, &mut input), Some(Event::Message(_))));
    assert!(
        server.handle_input(now, &mut input).is_none() && !server.shares().is_used() && !server.is_paused()
    );
    assert_eq!(server.poll_io(), IoAction::Read);
    // Neither plain messages nor control frames cost anything.
    let mut plain = frame(true, FIN | TEXT, b"plain");
    plain.extend(frame(true, FIN | PING, b"?"));
    assert_eq!(messages(&feed(&mut server, now, &plain)), [b"plain"]);
    assert!(!take_output(&mut server, now).is_empty(), "the pong");
}

#[test]
fn small_messages_share_too_and_are_delivered_immediately() {
    let (mut server, now) = sharing(Role::Server, unlimited(Delivery::Whole));
    let mut zip = Zip::new(FULL);
    let mut wire: Vec<u8> =
        (0..1000).flat_map(|_| compressed(Role::Server, BINARY, &zip.message(&[7; 1000]))).collect();
    let mut input = &mut wire[..];
    let mut counts = Vec::new();
    while !input.is_empty() {
        let mut count = 0;
        while server.handle_input(now, &mut input).is_some() {
            count += 1;
        }
        counts.push(count);
        server.shares().next(now);
    }
    assert_eq!(counts[0], FIRST.div_ceil(1000));
    assert!(counts[1..].iter().all(|count| *count <= NEXT.div_ceil(1000)), "{counts:?}");
    assert_eq!(counts.iter().sum::<u64>(), 1000);
}

#[test]
fn shares_shrink_with_the_number_of_claimants() {
    let wire = compressed(Role::Server, BINARY, &zeros(8));
    let config = Arc::new(unlimited(Delivery::Whole));
    let now = Moment::default();
    let mut peers: Vec<_> = (0..200)
        .map(|_| {
            let mut server = Connection::upgraded(now, config.clone(), Role::Server);
            server.compress_by(Terms { ours: FULL, theirs: FULL });
            server.shares().begin();
            (server, wire.clone(), 0)
        })
        .collect();
    let mut round = || {
        let mut all = 0;
        for (server, wire, used) in &mut peers {
            let before = server.shares().recently_inflated();
            server.shares().next(now);
            let mut input = &mut wire[*used..];
            let left = input.len();
            assert!(server.handle_input(now, &mut input).is_none());
            *used += left - input.len();
            all += server.shares().recently_inflated() - before;
        }
        all
    };
    assert!(round() <= 200 * (FIRST + MORE));
    for _ in 0..3 {
        round();
    }
    // 4 MiB divided by all, plus the amount inflated at a time.
    assert!(round() <= (4 << 20) + 200 * (8 << 10));
    let (one, ..) = &mut peers[0];
    assert!(one.shares().is_used());
    // Without the other connections it gets a larger share.
    peers.truncate(1);
    let (one, wire, used) = &mut peers[0];
    let before = one.shares().recently_inflated();
    one.shares().next(now);
    assert!(one.handle_input(now, &mut &mut wire[*used..]).is_none());
    assert!(one.shares().recently_inflated() - before >= NEXT);
}

#[test]
fn recent_inflate_work_halves_each_second() {
    let (mut server, birth) = sharing(Role::Server, config(deflate()));
    let mut zip = Zip::new(FULL);
    let mut message = |server: &mut Connection, at: u64, len: usize| {
        let wire = compressed(Role::Server, BINARY, &zip.message(&vec![0; len]));
        assert_eq!(feed(server, birth + Duration::from_secs(at), &wire).len(), 1);
        server.shares().recently_inflated()
    };
    assert_eq!(message(&mut server, 0, 8000), 8000);
    assert_eq!(message(&mut server, 1, 1000), 5000);
    assert_eq!(message(&mut server, 3, 10), 1260);
    assert_eq!(message(&mut server, 60, 10), 10);
    let (mut plain, _) = open(Role::Server, Config::server());
    assert_eq!(plain.shares().recently_inflated(), 0);
}

#[test]
fn the_closing_phase_is_shared_too_and_ends_normally() {
    let (mut server, now) = sharing(Role::Server, unlimited(Delivery::Whole));
    server.close(now, CloseCode::NORMAL, "").unwrap();
    take_output(&mut server, now);
    let mut zip = Zip::with_level(FULL, 9);
    let mut wire = compressed(Role::Server, BINARY, &zip.message(&vec![0; MEBI]));
    wire.extend(frame(true, FIN | CLOSE, &1000_u16.to_be_bytes()));
    let mut input = &mut wire[..];
    assert!(server.handle_input(now, &mut input).is_none());
    assert!(
        server.shares().is_used()
            && server.is_paused()
            && server.shares().recently_inflated() <= FIRST + MORE
    );
    // Closed while awaiting a share: the remaining input is discarded, and nothing is held back.
    let mut shares = 0;
    let mut receive = 0;
    while !input.is_empty() {
        server.shares().next(now);
        shares += 1;
        while let Some(Event::Message(message)) = server.handle_input(now, &mut input) {
            receive += message.as_bytes().len();
        }
    }
    assert!(receive == MEBI && shares > 10, "{receive}, {shares}");
    assert!(!server.shares().is_used() && !server.is_paused());
}

#[test]
fn a_connection_that_ends_while_awaiting_a_share_closes() {
    for by_close in [true, false] {
        let (mut server, now) = sharing(Role::Server, unlimited(Delivery::Whole));
        let mut wire = compressed(Role::Server, BINARY, &zeros(1));
        let mut input = &mut wire[..];
        assert!(server.handle_input(now, &mut input).is_none() && server.shares().is_used());
        if by_close {
            server.close(now, CloseCode::NORMAL, "").unwrap();
            // Reading ends it.
            assert!(!server.is_paused());
            server.handle_timeout(now + Duration::from_secs(60));
        } else {
            server.handle_eof(now);
        }
        let events = poll(&mut server, now + Duration::from_secs(60));
        assert!(matches!(&events[..], [Event::Closed(_)]), "{events:?}");
        assert!(server.handle_input(now, &mut input).is_none() && input.is_empty());
    }
}

#[test]
fn a_heartbeat_does_not_expire_while_its_answer_may_wait_for_a_share() {
    let heartbeat = ws_proto::Heartbeat::frequent();
    let config = unlimited(Delivery::Whole).heartbeat(heartbeat.clone());
    let (mut server, birth) = sharing(Role::Server, config);
    let mut zip = Zip::with_level(FULL, 9);
    let mut wire = compressed(Role::Server, BINARY, &zip.message(&vec![0; MEBI]));
    let mut input = &mut wire[..];
    assert!(server.handle_input(birth, &mut input).is_none() && server.shares().is_used());
    let mut now = birth;
    for _ in 0..100 {
        now += Duration::from_secs(5);
        server.handle_timeout(now);
        take_output(&mut server, now);
    }
    assert_eq!(server.state(), State::Open);
    while server.shares().is_used() {
        server.shares().next(now);
        while server.handle_input(now, &mut input).is_some() {}
    }
    assert!(input.is_empty() && server.state() == State::Open);
}

#[test]
fn without_shares_everything_is_inflated_immediately() {
    let (mut server, now) = open_by(Role::Server, Config::server().deflate(Deflate::new()), FULL, FULL);
    let events = feed(&mut server, now, &compressed(Role::Server, BINARY, &zeros(8)));
    assert_eq!(events.len(), 1);
    server.shares().next(now);
    assert!(!server.shares().is_used());
}
