//! Relays made of two `forward`s from `futures-util`.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;

use common::pipe::{End, pipe};
use common::{at_most, run, websockets};
use futures_lite::future;
use futures_util::StreamExt;
use futures_util::future::{join, try_join};
use ws_server_smol::{CloseCode, Closed, Config, WebSocket, WebSocketError};

/// client | (a b) | upstream, over pipes of this capacity.
struct Relay {
    client: WebSocket<End>,
    a: WebSocket<End>,
    b: WebSocket<End>,
    upstream: WebSocket<End>,
}

fn relay(capacity: usize) -> Relay {
    let pair = |seed| {
        let (client, server) = pipe(capacity, seed);
        websockets(client.straight(), server.straight(), Config::client(), Config::server())
    };
    let ((client, a), (b, upstream)) = (pair(1), pair(2));
    Relay { client, a, b, upstream }
}

/// The obvious relay: the first error ends both directions.
async fn forward_both(a: WebSocket<End>, b: WebSocket<End>) -> Result<(), WebSocketError> {
    let (to_a, from_a) = a.split();
    let (to_b, from_b) = b.split();
    try_join(from_a.forward(to_b), from_b.forward(to_a)).await.map(drop)
}

/// Lets all other tasks run this many times.
async fn turns(n: usize) {
    for _ in 0..n {
        future::yield_now().await;
    }
}

/// The messages received until the end, and the end.
async fn received(ws: &mut WebSocket<End>) -> (Vec<usize>, Closed) {
    let mut sizes = Vec::new();
    while let Some(message) = ws.next().await {
        match message {
            Ok(message) => sizes.push(message.as_bytes().len()),
            Err(closed) => return (sizes, *closed),
        }
    }
    (sizes, ws.closed().unwrap().clone())
}

async fn sends(ws: &mut WebSocket<End>, sizes: &[usize], code: CloseCode) -> Closed {
    for &size in sizes {
        ws.send(vec![0; size]).await.unwrap();
    }
    ws.close(code, "done").await.unwrap().clone()
}

#[test]
fn a_try_join_relay_delivers_everything_before_an_ordinary_close() {
    let sizes: [&[usize]; 4] = [&[], &[0], &[100_000; 5], &[1, 100_000, 3, 20_000, 0]];
    for sizes in sizes {
        for code in [CloseCode::NORMAL, CloseCode::GOING_AWAY] {
            for from_client in [true, false] {
                for late in [0, 2000] {
                    run(async {
                        let Relay { client, a, b, upstream } = relay(4 << 10);
                        let (mut from, mut to) =
                            if from_client { (client, upstream) } else { (upstream, client) };
                        let relayed = forward_both(a, b);
                        let sending = sends(&mut from, sizes, code);
                        let receiving = async {
                            turns(late).await;
                            received(&mut to).await
                        };
                        let (relayed, (sent, (received, closed))) =
                            future::zip(relayed, future::zip(sending, receiving)).await;
                        let case = format!("{sizes:?} {code} {from_client} {late}: {relayed:?} {closed}");
                        assert!(relayed.is_ok(), "{case}");
                        assert!(sent.clean, "{case}");
                        assert_eq!(received, sizes, "{case}");
                        // A sink has no code of its own: an ordinary end is 1000.
                        assert_eq!((closed.code, closed.clean), (CloseCode::NORMAL, true), "{case}");
                    });
                }
            }
        }
    }
}

#[test]
fn a_try_join_relay_of_two_legs_that_close_at_once_ends_in_order() {
    run(async {
        let Relay { mut client, a, b, mut upstream } = relay(64 << 10);
        client.start_close(CloseCode::NORMAL, "").unwrap();
        upstream.start_close(CloseCode::GOING_AWAY, "").unwrap();
        let peers = future::zip(received(&mut client), received(&mut upstream));
        let (relayed, (of_client, of_upstream)) = future::zip(forward_both(a, b), peers).await;
        relayed.unwrap();
        assert!(of_client.1.clean && of_upstream.1.clean);
    });
}

#[test]
fn a_try_join_relay_delivers_everything_although_one_message_comes_too_late() {
    run(async {
        let Relay { mut client, a, b, mut upstream } = relay(4 << 10);
        let sizes = [30_000; 3];
        let answers = async {
            // Upstream answers the first message once the closing handshake of the client is done.
            turns(2000).await;
            upstream.try_send("late").unwrap();
            received(&mut upstream).await
        };
        let peers = future::zip(sends(&mut client, &sizes, CloseCode::NORMAL), answers);
        let (relayed, (_, (got, closed))) = future::zip(forward_both(a, b), peers).await;
        relayed.unwrap();
        assert_eq!((&got[..], closed.code), (&sizes[..], CloseCode::NORMAL));
    });
}

#[test]
fn a_relay_reports_the_end_of_a_leg_that_closed_with_an_error_code_and_drops_the_other() {
    for from_client in [true, false] {
        run(async {
            let Relay { client, a, b, upstream } = relay(64 << 10);
            let (mut from, mut to) = if from_client { (client, upstream) } else { (upstream, client) };
            let peers = future::zip(sends(&mut from, &[7, 8], CloseCode::from(4000)), received(&mut to));
            let (relayed, (_, (got, closed))) = future::zip(forward_both(a, b), peers).await;
            assert_eq!(relayed.unwrap_err().closed().unwrap().code, CloseCode::from(4000));
            assert_eq!((&got[..], closed.code), (&[7, 8][..], CloseCode::GOING_AWAY));
        });
    }
}

#[test]
fn a_relay_reports_the_loss_of_a_leg() {
    run(async {
        let Relay { client, a, b, mut upstream } = relay(4 << 10);
        upstream.try_send(vec![0; 64 << 10]).unwrap();
        client.sender().terminate();
        drop(client);
        let (to_a, from_a) = a.split();
        let (to_b, from_b) = b.split();
        let relayed = join(from_a.forward(to_b), from_b.forward(to_a));
        let ((there, back), _) = future::zip(relayed, received(&mut upstream)).await;
        assert!(there.is_err() && back.is_err(), "{there:?} {back:?}");
    });
}

#[test]
fn a_relay_waits_for_a_leg_that_does_not_read_yet() {
    run(async {
        let Relay { mut client, a, b, mut upstream } = relay(4 << 10);
        upstream.try_send(vec![0; 64 << 10]).unwrap();
        let peers = async {
            let _ = at_most(1000, sends(&mut upstream, &[], CloseCode::NORMAL)).await;
            future::zip(received(&mut client), received(&mut upstream)).await
        };
        let (relayed, ((got, _), _)) = future::zip(forward_both(a, b), peers).await;
        relayed.unwrap();
        assert_eq!(got, [64 << 10]);
    });
}
