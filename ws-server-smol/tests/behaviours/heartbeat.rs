//! The server's heartbeat.

use super::common::run;
use super::peer::*;
use super::{App, DYING, LONG, SOON, Seen, beating, beside, local, open, until, with_heartbeat};
use ws_server_smol::{Bind, Heartbeat, HeartbeatKind};
use ws_server_smol::{Error, Timeout};

/// The same row of `ws-server-mio` proves the default of half an hour, and what `frequent` keeps alive.
#[test]
fn row_20_a_heartbeat_goes_to_every_client_as_set_at_the_start_and_finds_dead_peers() {
    let (server, app) = (local(with_heartbeat(beating())), App::default());
    run(beside(&server, async |http| app.handle(http).await, async {
        // Every peer gets an empty Ping, repeatedly. A peer that answers stays open, and its latency is known.
        let (mut alive, id) = open(&server, "/").await;
        let (mut other, _) = open(&server, "/").await;
        for pongs in 1..=3 {
            assert_eq!(alive.frame().await, (PING, Vec::new()));
            assert_eq!(other.frame().await, (PING, Vec::new()));
            alive.send(&frame(PONG, b""));
            other.send(&frame(PONG, b""));
            until(|| app.count(|seen| matches!(seen, Seen::Pong(of) if *of == id)) >= pongs).await;
        }
        assert!(server.latency(id).is_some() && app.ends() == 0);

        // A change takes effect at the next start: the running server keeps its own, for new connections, too.
        let pong = beating().kind(HeartbeatKind::Pong).payload("still here");
        server.set_config(with_heartbeat(pong));
        let (mut later, _) = open(&server, "/").await;
        assert_eq!(later.frame().await, (PING, Vec::new()));
        drop((alive, other, later));
        server.stop(LONG).await;
        server.listen(Bind::localhost()).unwrap();
        let (mut one_way, _) = open(&server, "/").await;
        for _ in 0..3 {
            assert_eq!(one_way.frame().await, (PONG, b"still here".to_vec()), "which needs no answer");
        }
        drop(one_way);
        server.stop(LONG).await;

        // If it is off, nothing arrives, while another server sends a hundred.
        server.set_config(with_heartbeat(Heartbeat::off()));
        server.listen(Bind::localhost()).unwrap();
        let (mut off, _) = open(&server, "/").await;
        let beats = local(with_heartbeat(beating().kind(HeartbeatKind::Pong)));
        let hundred = async {
            let (mut peer, _) = open(&beats, "/").await;
            for _ in 0..100 {
                peer.frame().await;
            }
        };
        beside(&beats, async |http| app.handle(http).await, hundred).await;
        off.read();
        assert!(off.got.is_empty());
        off.send(&frame(TEXT, b"later"));
        assert_eq!(off.frame().await, (TEXT, b"later".to_vec()));
        drop(off);
        server.stop(LONG).await;

        // A peer that does not answer is detected and closed.
        server.set_config(with_heartbeat(Heartbeat::server().idle(SOON).pong_timeout(DYING)));
        server.listen(Bind::localhost()).unwrap();
        let (mut dead, id) = open(&server, "/").await;
        assert_eq!(dead.frame().await, (PING, Vec::new()));
        assert!(matches!(app.end_of(id).await.error, Some(Error::Timeout(Timeout::Heartbeat))));
        dead.end().await;
    }));
}
