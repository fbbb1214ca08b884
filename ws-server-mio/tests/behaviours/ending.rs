//! Closes: the connection, the report, and its time.

use super::common::*;
use super::{Clock, Log, SECOND, Witness};
use std::time::Duration;
use ws_proto::{Error, Initiator, ProtocolError, Timeout};
use ws_server_mio::{CloseCode, ConnectionId, Heartbeat, ServerConfig, State};

fn id_of(seen: &Seen) -> Option<ConnectionId> {
    match seen {
        Seen::Request(id, _)
        | Seen::Upgrade(id, _)
        | Seen::Open(id)
        | Seen::Text(id, _)
        | Seen::Binary(id, _)
        | Seen::Fragment(id, ..)
        | Seen::Pong(id)
        | Seen::Drained(id)
        | Seen::Closed(id, _) => Some(*id),
        _ => None,
    }
}

/// What may end a connection.
#[derive(Clone, Copy, Debug)]
enum How {
    PeerCloses,
    WeClose,
    WeTerminate,
    PeerVanishes,
    PeerResets,
    PeerBreaksTheProtocol,
    PeerIsDead,
    ServerStops,
}

const ALL: [How; 8] = [
    How::PeerCloses,
    How::WeClose,
    How::WeTerminate,
    How::PeerVanishes,
    How::PeerResets,
    How::PeerBreaksTheProtocol,
    How::PeerIsDead,
    How::ServerStops,
];

/// Ends a connection, after a message, and runs turns until that is reported.
fn end(how: How, clock: &Clock, rig: &mut Rig) -> ConnectionId {
    let (mut peer, id) = rig.open("/");
    peer.send(&frame(TEXT, b"one"));
    rig.frame(&mut peer);
    match how {
        How::PeerCloses => peer.send(&[frame(TEXT, b"two"), frame(CLOSE, b"\x0f\xa1so long")].concat()),
        How::WeClose => {
            rig.endpoint.connections().close(id, CloseCode::NORMAL, "enough").unwrap();
            rig.frame(&mut peer);
            peer.send(&[frame(TEXT, b"two"), frame(CLOSE, b"\x03\xe8")].concat());
        }
        How::WeTerminate => rig.endpoint.connections().terminate(id),
        How::PeerVanishes | How::PeerIsDead => {}
        How::PeerResets => {
            socket2::SockRef::from(&peer.stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
        How::PeerBreaksTheProtocol => peer.send(&[0x81, 0x01, b'x']), // not masked
        How::ServerStops => {
            rig.endpoint.connections().server(rig.server).stop(SECOND);
            rig.frame(&mut peer);
            peer.send(&frame(CLOSE, &1001u16.to_be_bytes()));
        }
    }
    match how {
        How::PeerIsDead => {
            clock.pass(25 * SECOND);
            assert_eq!(rig.frame(&mut peer).0, PING);
            clock.pass(20 * SECOND);
        }
        How::PeerVanishes | How::PeerResets => drop(peer),
        _ => {
            rig.end(&mut peer);
            drop(peer);
        }
    }
    rig.until("its end", |rig| {
        rig.app.seen.iter().any(|seen| matches!(seen, Seen::Closed(of, _) if *of == id))
    });
    id
}

fn closed_of(rig: &Rig, id: ConnectionId) -> &ws_server_mio::Closed {
    let all: Vec<_> = rig.app.seen.iter().filter(|seen| id_of(seen) == Some(id)).collect();
    let ends = all.iter().filter(|seen| matches!(seen, Seen::Closed(..))).count();
    assert_eq!(ends, 1, "{all:?}");
    match all.last() {
        Some(Seen::Closed(_, closed)) => closed,
        other => panic!("{other:?} after the close"),
    }
}

#[test]
fn row_10_a_close_has_its_code_and_its_reason_if_any() {
    let mut rig = Rig::new(ServerConfig::new());
    for (body, code, reason) in [
        (&b"\x0f\xa1so long"[..], CloseCode::from(4001), "so long"),
        (b"\x03\xe8", CloseCode::NORMAL, ""),
        (b"", CloseCode::NO_STATUS, ""),
    ] {
        let (mut peer, id) = rig.open("/");
        peer.send(&frame(CLOSE, body));
        assert_eq!(rig.frame(&mut peer), (CLOSE, body[..body.len().min(2)].to_vec()), "answered in kind");
        rig.end(&mut peer);
        drop(peer);
        rig.until("its end", |rig| rig.endpoint.connections().state(id) == State::Closed);
        let closed = closed_of(&rig, id);
        assert_eq!((closed.code, closed.reason.as_str()), (code, reason));
        assert!(closed.clean && closed.initiator == Initiator::Remote && closed.error.is_none());
    }
    let (peer, id) = rig.open("/");
    drop(peer);
    rig.until("its end", |rig| rig.endpoint.connections().state(id) == State::Closed);
    assert_eq!((closed_of(&rig, id).code, closed_of(&rig, id).clean), (CloseCode::ABNORMAL, false));
}

#[test]
fn row_11_closed_is_reported_exactly_once_last_and_to_the_extension_first() {
    for how in ALL {
        let clock = Clock::new();
        let mut rig = Rig::with(clock.options(), ServerConfig::new().heartbeat(Heartbeat::frequent()));
        let log = Log::default();
        rig.endpoint.connections().set_extension(Witness(log.clone())).unwrap();
        log.watch(&mut rig.app);
        let id = end(how, &clock, &mut rig);
        for _ in 0..3 {
            rig.turn();
        }
        assert!(closed_of(&rig, id).was_open, "{how:?}");
        let mut reports = log.take();
        reports.retain(|line| line.ends_with("closed"));
        assert_eq!(reports, ["extension: closed", "application: closed"], "{how:?}");
        assert_eq!(rig.endpoint.connections().server(rig.server).count(), 0, "{how:?}");
    }

    // Plain HTTP is counted. The close of a connection that sent a request is reported; any other only where
    // configured.
    for (config, expected) in [(ServerConfig::new(), 1), (ServerConfig::new().report_all_closes(true), 2)] {
        let mut rig = Rig::new(config);
        let silent = rig.peer();
        let mut http_peer = rig.peer();
        http_peer.send(&get(rig.address(), "/"));
        assert_eq!(rig.response(&mut http_peer).0, 200);
        rig.until("both", |rig| rig.endpoint.connections().server(rig.server).http_count() == 2);
        drop((silent, http_peer));
        rig.until("their ends", |rig| rig.endpoint.connections().stats().open == 0);
        assert_eq!(rig.endpoint.connections().server(rig.server).http_count(), 0);
        assert_eq!(rig.app.closed().len(), expected);
        assert!(rig.app.closed().iter().all(|closed| !closed.was_open && closed.error.is_none()));
    }
}

#[test]
fn row_12_an_error_says_which_connection_and_what_happened() {
    let clock = Clock::new();
    let mut rig = Rig::with(clock.options(), ServerConfig::new().heartbeat(Heartbeat::frequent()));
    for how in ALL {
        let bystander = rig.open("/bystander").1;
        let id = end(how, &clock, &mut rig);
        let closed = closed_of(&rig, id);
        let said = closed.to_string();
        let (right, words) = match (how, &closed.error) {
            (How::PeerCloses | How::WeClose | How::ServerStops, None) => (true, "closed the connection"),
            (How::WeTerminate, Some(Error::Aborted)) => (true, "aborted"),
            (How::PeerVanishes, Some(Error::Eof)) => (true, "without a close frame"),
            (How::PeerResets, Some(Error::Io(_))) => (true, "the transport failed"),
            (How::PeerBreaksTheProtocol, Some(Error::Protocol(ProtocolError::MaskMissing))) => {
                (true, "not masked")
            }
            (How::PeerIsDead, Some(Error::Timeout(Timeout::Heartbeat))) => (true, "heartbeat"),
            _ => (false, ""),
        };
        assert!(right && said.contains(words), "{how:?}: {closed:?}: {said}");
        rig.endpoint.connections().terminate(bystander);
        rig.until("the other", |rig| rig.endpoint.connections().state(bystander) == State::Closed);
    }
}

#[test]
fn row_16_a_connection_is_closed_by_id_with_code_and_reason() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, id) = rig.open("/");
    let (mut other, other_id) = rig.open("/other");
    let connections = rig.endpoint.connections();
    connections.send(id, "first this").unwrap();
    connections.close(id, CloseCode::from(4100), "kicked out").unwrap();
    assert_eq!(connections.state(id), State::Closing);
    assert_eq!(rig.frame(&mut peer), (TEXT, b"first this".to_vec()));
    assert_eq!(rig.frame(&mut peer), (CLOSE, b"\x10\x04kicked out".to_vec()));
    assert!(rig.app.closed().is_empty(), "the peer's answer is awaited");
    peer.send(&frame(CLOSE, b"\x10\x04"));
    rig.end(&mut peer);
    drop(peer);
    rig.until("its end", |rig| rig.app.closed().len() == 1);
    let closed = closed_of(&rig, id);
    assert!(closed.clean && closed.initiator == Initiator::Local);
    assert_eq!(closed.sent, Some(CloseCode::from(4100)));

    // The other connection is unaffected.
    other.send(&frame(TEXT, b"still here"));
    assert_eq!(rig.frame(&mut other), (TEXT, b"still here".to_vec()));
    assert_eq!(rig.endpoint.connections().state(other_id), State::Open);
}
