//! Queries by id, and counts.

use super::common::run;
use super::peer::*;
use super::transport::{client_config, peer_of, server_config};
use super::{App, beside, local, next_upgrade, open, opened, requesting_peer, until};
use futures_lite::future;
use ws_server_smol::{CloseCode, Frame, Incoming, SendError, State, connect};

#[test]
fn row_17_queries_by_id_report_this_connection_and_never_another() {
    let (server, app) = (local(server_config()), App::default());
    run(async {
        let mut peer = requesting_peer(&server, "/");
        let (http, upgrade) = next_upgrade(&server, &mut peer).await;
        let id = http.id();
        assert_eq!(server.state(id), State::Connecting);
        let mut ws = http.accept(upgrade).await.unwrap();
        peer.head().await;

        // It is open and ready to send, and has the addresses of both ends.
        assert_eq!((server.state(id), ws.state()), (State::Open, State::Open));
        assert_eq!(server.queued(id), 0);
        assert_eq!(server.peer_addr(id), Some(peer.stream.local_addr().unwrap()));
        assert_eq!(server.local_addr_of(id), server.local_addr());
        assert_eq!(server.latency(id), None, "no Ping was sent yet");
        server.sender(id).unwrap().send_ping(b"?").unwrap();
        let answering = async {
            assert_eq!(peer.frame().await, (PING, b"?".to_vec()));
            peer.send(&frame(PONG, b"?"));
            until(|| server.latency(id).is_some()).await;
        };
        let reading = async {
            ws.next().await;
        };
        future::or(reading, answering).await;
        assert_eq!(ws.latency(), server.latency(id));

        server.close(id, CloseCode::NORMAL, "").unwrap();
        assert_eq!(server.state(id), State::Closing);
        peer.send(&frame(CLOSE, &1000u16.to_be_bytes()));
        drop(peer);
        assert!(ws.next().await.is_none());

        // Other connections follow. The old id finds nothing: neither the old connection, nor another.
        beside(&server, async |http| app.handle(http).await, async {
            let (_other, new) = open(&server, "/").await;
            assert_ne!(new, id);
            assert_eq!(server.state(id), State::Closed);
            assert_eq!((server.peer_addr(id), server.local_addr_of(id)), (None, None));
            assert_eq!((server.latency(id), server.queued(id)), (None, 0));
            assert!(server.sender(id).is_none());
            assert_eq!(server.send(id, Frame::text("x")), Err(SendError::NotOpen));
            assert_eq!(server.close(id, CloseCode::NORMAL, ""), Err(SendError::NotOpen));
            server.terminate(id);
            assert_eq!(server.state(new), State::Open);
        })
        .await;
    });

    // Local variables of the handling code are the application's data of a connection.
    let counting = async |http| {
        let mut ws = opened(http).await.unwrap();
        let mut said = 0;
        while let Some(Ok(_)) = ws.next().await {
            said += 1;
            ws.try_send(said.to_string()).unwrap();
        }
    };
    run(beside(&server, counting, async {
        let (mut one, _) = open(&server, "/").await;
        let (mut other, _) = open(&server, "/").await;
        for (peer, said) in [(&mut one, "1"), (&mut other, "1")] {
            peer.send(&frame(TEXT, b"?"));
            assert_eq!(peer.frame().await, (TEXT, said.into()));
        }
        one.send(&frame(TEXT, b"?"));
        assert_eq!(one.frame().await, (TEXT, b"2".to_vec()));
    }));
}

#[test]
fn statistics_count_what_a_server_accepted_and_no_clients_of_this_process() {
    let server = local(server_config());
    run(async {
        let (client, ws) = future::zip(connect(server.url("/").unwrap(), client_config()), async {
            server.accept().await.unwrap().upgrade().await.unwrap()
        })
        .await;
        let (mut client, mut ws) = (client.unwrap(), ws);
        let stats = server.stats();
        assert_eq!((stats.accepted, stats.open, server.count()), (1, 1, 1));
        client.send("hello").await.unwrap();
        let message = ws.next().await.unwrap().unwrap().into_owned();
        ws.send(message).await.unwrap();
        assert!(client.next().await.unwrap().is_ok());
        let after = server.stats();
        assert_eq!((after.messages_in, after.messages_out), (1, 1));
        // The request was masked, the echo was not.
        assert_eq!((after.bytes_in - stats.bytes_in, after.bytes_out - stats.bytes_out), (11, 7));
        future::zip(client.close(CloseCode::NORMAL, ""), ws.next()).await.0.unwrap();
        drop(ws);
        let end = server.stats();
        assert_eq!((end.accepted, end.open, end.messages_in, end.messages_out), (1, 0, 1, 1));
    });
}

#[test]
fn row_18_connections_count_as_websockets_from_their_upgrade_to_their_close() {
    let server = local(server_config());
    run(async {
        let mut page = peer_of(server.local_addr().unwrap());
        page.send(&get(server.local_addr().unwrap(), "/"));
        let request = async {
            let mut plain = server.accept().await.unwrap();
            assert!(matches!(plain.next().await, Some(Incoming::Request(_))));
            plain
        };
        let _plain = page.beside(request).await;
        assert_eq!((server.count(), server.http_count()), (0, 1), "plain HTTP is counted separately");

        // It counts while connecting, open and closing.
        let mut peer = requesting_peer(&server, "/");
        let (http, upgrade) = next_upgrade(&server, &mut peer).await;
        assert_eq!(server.count(), 1, "connecting");
        let mut ws = http.accept(upgrade).await.unwrap();
        peer.head().await;
        let mut other = requesting_peer(&server, "/other");
        let (http, upgrade) = next_upgrade(&server, &mut other).await;
        let mut second = http.accept(upgrade).await.unwrap();
        assert_eq!((server.count(), server.ids()), (2, vec![ws.id(), second.id()]), "open");
        ws.start_close(CloseCode::NORMAL, "").unwrap();
        ws.flush().await.unwrap();
        assert_eq!(peer.frame().await.0, CLOSE);
        assert_eq!(server.count(), 2, "closing");

        // When its close is reported, it no longer counts.
        peer.send(&frame(CLOSE, &1000u16.to_be_bytes()));
        drop(peer);
        assert!(ws.next().await.is_none());
        assert_eq!(server.count(), 1);
        drop(other);
        assert!(second.next().await.unwrap().is_err());
        assert_eq!((server.count(), server.http_count()), (0, 1));
    });
}
