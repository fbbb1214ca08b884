//! Closes: of the connection, how they are reported, and when.

use super::common::run;
use super::peer::*;
use super::transport::{peer_of, server_config};
use super::{App, DYING, LONG, SOON, Seen, Witness, beside, local, ok, open, opened, until, with_heartbeat};
use futures_lite::future;
use std::cell::RefCell;
use std::net::Shutdown;
use std::time::Duration;
use ws_server_smol::{CloseCode, ConnectionId, Heartbeat, Incoming, Message, Server, State};
use ws_server_smol::{Error, Initiator, ProtocolError, Timeout};

/// What may end a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
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

/// A server at which it can happen.
fn server_for(how: How) -> Server {
    let dead = with_heartbeat(Heartbeat::server().idle(SOON).pong_timeout(DYING));
    local(if how == How::PeerIsDead { dead } else { server_config() })
}

/// Ends a connection, after a message.
async fn end(how: How, server: &Server) -> ConnectionId {
    let (mut peer, id) = open(server, "/").await;
    if how == How::PeerIsDead {
        assert_eq!(peer.frame().await.0, PING); // without an answer
        peer.end().await;
        return id;
    }
    peer.send(&frame(TEXT, b"one"));
    peer.frame().await;
    match how {
        How::PeerCloses => peer.send(&[frame(TEXT, b"two"), frame(CLOSE, b"\x0f\xa1so long")].concat()),
        How::WeClose => {
            server.close(id, CloseCode::NORMAL, "enough").unwrap();
            peer.frame().await;
            peer.send(&[frame(TEXT, b"two"), frame(CLOSE, b"\x03\xe8")].concat());
        }
        How::WeTerminate => server.terminate(id),
        How::PeerBreaksTheProtocol => peer.send(&[0x81, 0x01, b'x']), // not masked
        How::PeerResets => {
            socket2::SockRef::from(&peer.stream).set_linger(Some(Duration::ZERO)).unwrap();
            return id;
        }
        How::PeerVanishes | How::PeerIsDead => return id,
        How::ServerStops => {
            let leaving = async {
                assert_eq!(peer.frame().await.0, CLOSE);
                peer.send(&frame(CLOSE, &1001u16.to_be_bytes()));
                peer.end().await;
                drop(peer);
            };
            // It also waits for other tasks.
            let stopping = async {
                server.stop(LONG).await;
                future::pending().await
            };
            future::or(stopping, leaving).await;
            return id;
        }
    }
    peer.end().await;
    id
}

#[test]
fn row_10_a_close_has_its_code_and_its_reason_if_any() {
    let (server, app) = (local(server_config()), App::default());
    run(beside(&server, async |http| app.handle(http).await, async {
        for (body, code, reason) in [
            (&b"\x0f\xa1so long"[..], CloseCode::from(4001), "so long"),
            (b"\x03\xe8", CloseCode::NORMAL, ""),
            (b"", CloseCode::NO_STATUS, ""),
        ] {
            let (mut peer, id) = open(&server, "/").await;
            peer.send(&frame(CLOSE, body));
            assert_eq!(peer.frame().await, (CLOSE, body[..body.len().min(2)].to_vec()), "answered in kind");
            peer.end().await;
            drop(peer);
            let closed = app.end_of(id).await;
            assert_eq!((closed.code, closed.reason.as_str()), (code, reason));
            assert!(closed.clean && closed.initiator == Initiator::Remote && closed.error.is_none());
        }
        let (peer, id) = open(&server, "/").await;
        drop(peer);
        let closed = app.end_of(id).await;
        assert_eq!((closed.code, closed.clean), (CloseCode::ABNORMAL, false));
    }));
}

#[test]
fn row_11_closed_is_reported_exactly_once_last_and_to_the_extension_first() {
    for how in ALL {
        let (server, app) = (server_for(how), App::default());
        let log = app.log.clone();
        server.set_extension(Witness(log.clone())).unwrap();
        run(beside(&server, async |http| app.handle(http).await, async {
            let id = end(how, &server).await;
            assert!(app.end_of(id).await.was_open, "{how:?}");
            assert_eq!(server.count(), 0, "{how:?}");
        }));
        let seen = app.seen.take();
        assert!(matches!(seen.last(), Some(Seen::Closed(..))), "{how:?}: {seen:?}");
        let mut reports = log.take();
        reports.retain(|line| line.ends_with("closed"));
        assert_eq!(reports, ["extension: closed", "application: closed"], "{how:?}");
    }

    // An application that drops a WebSocket gets no report; the extension does.
    let (server, log) = (local(server_config()), super::Log::default());
    server.set_extension(Witness(log.clone())).unwrap();
    run(beside(&server, async |http| drop(opened(http).await), async {
        let mut peer = super::requesting_peer(&server, "/");
        assert!(peer.head().await.starts_with("HTTP/1.1 101 "));
        let (first, payload) = peer.frame().await;
        assert_eq!((first, close_code(&payload)), (CLOSE, 1001));
        until(|| server.count() == 0).await;
        assert_eq!(log.take(), ["extension: open", "extension: closed"]);
    }));

    // Plain HTTP is counted. The close of a connection that sent a request is reported; any other only where
    // configured.
    for (config, expected) in [(server_config(), 1), (server_config().report_all_closes(true), 2)] {
        let server = local(config);
        let ends = RefCell::new(Vec::new());
        let handler = async |mut http: ws_server_smol::HttpConnection<_>| {
            while let Some(Incoming::Request(request)) = http.next().await {
                http.respond(request, ok("hello")).await.unwrap();
            }
            ends.borrow_mut().push(http.closed().cloned());
        };
        run(beside(&server, handler, async {
            let address = server.local_addr().unwrap();
            let mut silent = peer_of(address);
            let mut http_peer = peer_of(address);
            http_peer.send(&get(address, "/"));
            assert_eq!(http_peer.response().await.0, 200);
            until(|| server.http_count() == 2).await;
            // It keeps reading: what it left unread would reset the connection.
            until(|| {
                silent.read();
                silent.is_ready()
            })
            .await;
            silent.stream.shutdown(Shutdown::Write).unwrap();
            drop(http_peer);
            silent.end().await;
            until(|| server.stats().open == 0).await;
            assert_eq!(server.http_count(), 0);
            until(|| ends.borrow().len() == 2).await;
        }));
        let explained: Vec<_> = ends.take().into_iter().flatten().collect();
        assert_eq!(explained.len(), expected);
        assert!(explained.iter().all(|closed| !closed.was_open && closed.error.is_none()));
    }
}

#[test]
fn row_12_an_error_says_which_connection_and_what_happened() {
    for how in ALL {
        let (server, app) = (server_for(how), App::default());
        run(beside(&server, async |http| app.handle(http).await, async {
            let bystander = open(&server, "/bystander").await;
            let id = end(how, &server).await;
            let closed = app.end_of(id).await;
            assert_ne!(id, bystander.1);
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
        }));
    }
}

#[test]
fn row_16_a_connection_is_closed_by_id_with_code_and_reason() {
    let (server, app) = (local(server_config()), App::default());
    run(beside(&server, async |http| app.handle(http).await, async {
        let (mut peer, id) = open(&server, "/").await;
        let (mut other, other_id) = open(&server, "/other").await;
        server.send(id, "first this").unwrap();
        server.close(id, CloseCode::from(4100), "kicked out").unwrap();
        assert_eq!(server.state(id), State::Closing);
        assert_eq!(peer.frame().await, (TEXT, b"first this".to_vec()));
        assert_eq!(peer.frame().await, (CLOSE, b"\x10\x04kicked out".to_vec()));
        assert_eq!(app.ends(), 0, "the peer's answer is awaited");
        peer.send(&frame(CLOSE, b"\x10\x04"));
        peer.end().await;
        drop(peer);
        let closed = app.end_of(id).await;
        assert!(closed.clean && closed.initiator == Initiator::Local);
        assert_eq!(closed.sent, Some(CloseCode::from(4100)));

        // The other connection is unaffected.
        other.send(&frame(TEXT, b"still here"));
        assert_eq!(other.frame().await, (TEXT, b"still here".to_vec()));
        assert_eq!(server.state(other_id), State::Open);
        assert_eq!(app.count(|seen| matches!(seen, Seen::Message(_, Message::Text(_)))), 1);
    }));
}
