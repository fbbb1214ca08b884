//! A peer ends its WebSocket over TLS by a Close, a close_notify, a FIN and a reset, in each order; to a server and to a
//! client, of which each may have begun the end.

use crate::common::Random;
use crate::common::pipe::pipe;
use crate::common::strict::Strict;
use crate::sides::{ClientSide, ServerSide};
use crate::tls::{SecureClient, SecureServer};
use crate::unruly::{Fate, Unruly};
use crate::{TIMERS, patient};
use futures_lite::future::yield_now;
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use std::cell::RefCell;
use std::io::ErrorKind;
use ws_kit::peer::accepting;
use ws_kit::tls::ends::{
    Act, REQUEST, Role, Stage, each_case, must_be_answered, must_be_explained, receives_all,
};
use ws_server_smol::tls::TlsMode;
use ws_server_smol::{CloseCode, Closed, Config, ConnectError, Error, Event, TlsError, WebSocket};

/// The end, on both sides.
#[derive(Default)]
struct Outcome {
    closed: Option<Closed>,
    /// What the peer received behind the handshake, and whether that ended with a close_notify.
    content: Vec<u8>,
    is_announced: bool,
}

/// Our side, until its end.
async fn ours<S: AsyncRead + AsyncWrite + Unpin>(
    mut ws: WebSocket<S>,
    begins: bool,
    outcome: &RefCell<Outcome>,
) {
    if begins {
        ws.start_close(CloseCode::NORMAL, "").unwrap();
    }
    while let Some(event) = ws.next_event().await {
        match event {
            Event::Closed(closed) => {
                assert!(outcome.borrow_mut().closed.replace(*closed).is_none(), "reported twice");
            }
            event => panic!("{event:?}"),
        }
    }
}

async fn head(peer: &mut SecureClient) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        peer.read_exact(&mut byte).await.unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

async fn peer(
    mut peer: SecureClient,
    role: Role,
    order: &[Act],
    at_once: bool,
    mut random: Random,
    outcome: &RefCell<Outcome>,
) {
    if role == Role::Server {
        peer.write_all(REQUEST).await.unwrap();
        peer.flush().await.unwrap();
        head(&mut peer).await;
    } else {
        let request = head(&mut peer).await;
        peer.write_all(accepting(&request).as_bytes()).await.unwrap();
        peer.flush().await.unwrap();
    }
    for act in order {
        if !at_once {
            while !peer.is_taken() {
                yield_now().await;
            }
            for _ in 0..random.below(100) {
                yield_now().await;
            }
        }
        match act {
            Act::Close => {
                // Ours may have ended by then.
                let _ = peer.write_all(&role.close_of_peer()).await;
            }
            Act::Notify => peer.announce(),
            Act::Fin => {
                let _ = peer.flush().await;
                peer.fin();
                continue;
            }
            Act::Reset => {
                let _ = peer.flush().await;
                if !at_once && order.contains(&Act::Fin) {
                    // The end has been read, and so has ours.
                    let _ = peer.read_to_end(&mut Vec::new()).await;
                }
                return peer.reset();
            }
        }
        let _ = peer.flush().await;
    }
    let mut content = Vec::new();
    let _ = peer.read_to_end(&mut content).await;
    let mut outcome = outcome.borrow_mut();
    (outcome.content, outcome.is_announced) = (content, peer.is_announced());
}

/// One connection that ends so: each act arrives alone, or all at once.
fn run(role: Role, begins: bool, order: &[Act], at_once: bool, seed: u64) {
    let mut random = Random::new(seed);
    let (one, other) = pipe(random.pick(&[100, 4096]), seed);
    // One that takes what there is room for.
    let is_straight = seed.is_multiple_of(2);
    let other = if is_straight { other.straight() } else { other };
    let outcome = RefCell::<Outcome>::default();
    let mut tasks = Strict::with_timers(seed, TIMERS);
    let server = role == Role::Server;
    let of_peer =
        if server { SecureClient::new(one, &mut random) } else { SecureClient::serving(one, &mut random) };
    tasks.spawn("ours", async {
        if server {
            let stream = Unruly::new(other, Fate::Healthy, Random::new(seed + 1));
            let side = SecureServer::new(stream, TlsMode::Only);
            let ws = side.http(patient(Config::server())).await.upgrade().await.unwrap();
            ours(ws, begins, &outcome).await;
        } else {
            let side = SecureClient::new(other, &mut Random::new(seed + 1));
            ours(side.open(patient(Config::client())).await.unwrap(), begins, &outcome).await;
        }
    });
    tasks.spawn("peer", peer(of_peer, role, order, at_once, random.clone(), &outcome));
    tasks.run();
    let outcome = outcome.into_inner();
    must_be_explained(outcome.closed.as_ref().unwrap(), order, at_once);
    if receives_all(order) {
        must_be_answered(&outcome.content, order, begins);
        // It is not waited for a stream that refuses that, once the peer has ended.
        assert!(outcome.is_announced || !is_straight, "no close_notify was sent");
    }
}

#[test]
fn each_order_of_close_notify_fin_and_reset_is_explained() {
    each_case(run);
}

/// The peer writes its first flight, as far as the stage says, and ends.
async fn begin(peer: SecureClient, role: Role, stage: Stage, by_reset: bool) {
    let (mut end, mut peer) = peer.into_parts();
    if role == Role::Client {
        while !peer.connection.wants_write() {
            let mut part = [0; 700];
            let n = end.read(&mut part).await.unwrap();
            assert!(peer.receive(&part[..n]).unwrap().is_empty());
        }
    }
    let flight = peer.take_output();
    end.write_all(stage.of(&flight)).await.unwrap();
    if by_reset {
        return end.reset();
    }
    end.fin();
    let _ = end.read_to_end(&mut Vec::new()).await;
}

/// What our side says of it: the error of a client, and how many handshakes of a server failed.
fn end_of_handshake(role: Role, stage: Stage, by_reset: bool, seed: u64) -> (Option<ConnectError>, u64) {
    let mut random = Random::new(seed);
    let (one, other) = pipe(random.pick(&[100, 4096]), seed);
    let (mut error, mut failed) = (None, 0);
    let mut tasks = Strict::with_timers(seed, TIMERS);
    if role == Role::Server {
        let stream = Unruly::new(other, Fate::Healthy, Random::new(seed + 1));
        let server = SecureServer::new(stream, TlsMode::Only).serve(patient(Config::server()));
        let failed = &mut failed;
        tasks.spawn("ours", async move {
            assert!(server.accept().await.unwrap().next().await.is_none());
            *failed = server.stats().tls_failed;
        });
        tasks.spawn("peer", begin(SecureClient::new(one, &mut random), role, stage, by_reset));
    } else {
        let side = SecureClient::new(other, &mut Random::new(seed + 1));
        let error = &mut error;
        tasks.spawn("ours", async move { *error = side.open(patient(Config::client())).await.err() });
        tasks.spawn("peer", begin(SecureClient::serving(one, &mut random), role, stage, by_reset));
    }
    tasks.run();
    (error, failed)
}

#[test]
fn each_end_within_a_handshake_is_explained() {
    for stage in [Stage::Nothing, Stage::Cut, Stage::Flight] {
        for seed in 0..8 {
            // A peer that connects and says nothing has not failed at TLS.
            let failed = u64::from(stage != Stage::Nothing);
            let of_server = |by_reset| end_of_handshake(Role::Server, stage, by_reset, seed).1;
            assert_eq!((of_server(false), of_server(true)), (failed, 0), "{stage:?}, seed {seed}");
            let of_client = |by_reset| end_of_handshake(Role::Client, stage, by_reset, seed).0.unwrap();
            match of_client(false) {
                ConnectError::Tls(TlsError::Truncated) if stage != Stage::Flight => {}
                // In TLS 1.3 the client has finished.
                _ if stage == Stage::Flight => {}
                error => panic!("{stage:?}, seed {seed}: {error:?}"),
            }
            let error = of_client(true);
            let ConnectError::Lost(Error::Io(kind)) = error else {
                panic!("{stage:?}, seed {seed}: {error:?}")
            };
            assert!([ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&kind), "{kind}");
        }
    }
}
