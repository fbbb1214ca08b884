//! Both directions at once: no deadlock, with the defaults.

#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::{connected, run};
use futures_lite::future;
use ws_server_smol::Event;
use ws_server_smol::{
    Bind, ClientConfig, CloseCode, Message, SendError, Sent, Server, ServerConfig, Socket, WebSocket,
};

const CHUNK: usize = 64 << 10;
const COUNT: usize = 240;

async fn ends() -> (Server, WebSocket<Socket>, WebSocket<Socket>) {
    let server = Server::bind(Bind::localhost(), ServerConfig::new()).unwrap();
    let (client, ws) = connected(&server, ClientConfig::new()).await;
    (server, client, ws)
}

/// Sends this much at once, whatever the result.
fn at_once(ws: &mut WebSocket<Socket>, left: &mut usize) {
    while *left > 0 {
        ws.try_send(vec![7; CHUNK]).unwrap();
        *left -= 1;
    }
}

/// Sends until the outbox is reported over its mark.
fn until_congested(ws: &mut WebSocket<Socket>, left: &mut usize) {
    while *left > 0 {
        *left -= 1;
        if ws.try_send(vec![7; CHUNK]).unwrap() == Sent::Congested {
            break;
        }
    }
}

/// Sends until nothing more is accepted.
fn until_full(ws: &mut WebSocket<Socket>, left: &mut usize) {
    while *left > 0 {
        match ws.try_send(vec![7; CHUNK]) {
            Ok(_) => *left -= 1,
            Err(SendError::Full) => break,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Sends this many messages, more whenever the outbox has drained, and receives as many.
async fn exchange(ws: &mut WebSocket<Socket>, count: usize, send: fn(&mut WebSocket<Socket>, &mut usize)) {
    let (mut left, mut got) = (count, 0);
    send(ws, &mut left);
    while got < count || left > 0 {
        match ws.next_event().await.unwrap() {
            Event::Message(message) => {
                assert_eq!(message.as_bytes().len(), CHUNK);
                got += 1;
            }
            Event::Drained => send(ws, &mut left),
            Event::Closed(closed) => panic!("{closed}"),
            _ => {}
        }
    }
    assert_eq!(got, count);
    // No event reports that the rest is written.
    ws.flush().await.unwrap();
}

fn both(count: usize, send: fn(&mut WebSocket<Socket>, &mut usize)) {
    run(async {
        let (_server, mut client, mut ws) = ends().await;
        future::zip(exchange(&mut client, count, send), exchange(&mut ws, count, send)).await;
        let (closing, closed) = future::zip(client.close(CloseCode::NORMAL, ""), ws.next()).await;
        assert!(closing.unwrap().clean && closed.is_none());
    });
}

#[test]
fn both_ends_send_15_mib_at_once() {
    both(COUNT, at_once);
}

#[test]
fn both_ends_send_64_mib_until_congested_and_resume_when_drained() {
    both(1024, until_congested);
}

#[test]
fn both_ends_send_64_mib_until_full_and_resume_when_drained() {
    both(1024, until_full);
}

#[test]
fn a_server_that_refills_on_drained_still_receives_a_stop() {
    for send in [until_congested, until_full] {
        run(async {
            let (_server, mut client, mut ws) = ends().await;
            let refilling = async {
                let mut left = usize::MAX;
                send(&mut ws, &mut left);
                loop {
                    match ws.next_event().await.unwrap() {
                        Event::Drained => send(&mut ws, &mut left),
                        Event::Message(message) => {
                            assert_eq!(message.as_text(), Some("stop"));
                            break usize::MAX - left;
                        }
                        other => panic!("{other:?}"),
                    }
                }
            };
            let reading = async {
                let mut got = 0_usize;
                loop {
                    let message = client.next().await.unwrap().unwrap();
                    assert_eq!(message.as_bytes().len(), CHUNK);
                    got += 1;
                    if got == 20 {
                        client.try_send("stop").unwrap();
                    }
                }
            };
            let sent = future::or(refilling, reading).await;
            // Only what was queued before the stop.
            assert!(sent < 20 + 2 * (16 << 20) / CHUNK + 200, "{sent}");
        });
    }
}

#[test]
fn an_echo_flooded_by_a_peer_that_never_reads_is_bounded_and_ends() {
    run(async {
        let config = ServerConfig::new().output_timeout(std::time::Duration::from_millis(500));
        let server = Server::bind(Bind::localhost(), config).unwrap();
        let (client, mut ws) = connected(&server, ClientConfig::new()).await;
        let mut most = 0;
        let echoing = async {
            while let Some(Ok(message)) = ws.next().await {
                ws.try_send(message).unwrap();
                most = most.max(ws.queued());
            }
        };
        let flooding = async {
            let mut client = client;
            loop {
                // Its `next` is never polled.
                if client.send(Message::Binary(vec![7; CHUNK].into())).await.is_err() {
                    return;
                }
            }
        };
        future::zip(echoing, flooding).await;
        assert!(most <= (16 << 20), "{most}");
        assert!(!ws.closed().unwrap().clean);
    });
}
