//! Reading paused by the application, and coupled WebSockets, each read only while the other accepts.

#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::pipe::pipe;
use common::{connected, listener, once, open_pair, pair, run, text, upgraded, websockets};
use futures_lite::{AsyncReadExt, AsyncWriteExt, FutureExt, future};
use socket2::SockRef;
use std::net::TcpStream;
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use ws_server_smol::{
    Bind, ClientConfig, CloseCode, Config, Frame, Heartbeat, Opcode, Server, ServerConfig, Socket, State,
    WebSocket, couple,
};
use ws_server_smol::{Delivery, Error, Event, Role, Timeout};

const MILLI: Duration = Duration::from_millis(1);
const CHUNK: usize = 64 << 10;

#[test]
fn a_paused_websocket_sends_but_is_not_read_until_resumed() {
    run(async {
        let (mut client, mut server) = open_pair().await;
        server.pause();
        server.pause();
        client.send("question").await.unwrap();
        for _ in 0..10 {
            assert!(once(pin!(server.next())).await.is_pending());
            future::yield_now().await;
        }
        server.send("said meanwhile").await.unwrap();
        assert_eq!(text(&mut client).await, "said meanwhile");
        server.resume();
        server.resume();
        assert_eq!(text(&mut server).await, "question");
    });
}

#[test]
fn a_resume_from_another_task_wakes_the_waiting_one() {
    let server = Server::bind(Bind::localhost(), ServerConfig::new()).unwrap();
    run(async {
        let (mut client, mut ws) = connected(&server, ClientConfig::new()).await;
        let (id, sender) = (ws.id(), ws.sender());
        for by_id in [true, false] {
            if by_id {
                server.pause(id)
            } else {
                sender.pause()
            }
            client.send("question").await.unwrap();
            let resuming = async {
                for _ in 0..10 {
                    future::yield_now().await;
                }
                if by_id {
                    server.resume(id)
                } else {
                    sender.resume()
                }
                std::future::pending().await
            };
            assert_eq!(text(&mut ws).or(resuming).await, "question");
        }
        drop(ws);
        // A stale id finds nothing.
        server.pause(id);
        server.resume(id);
    });
}

#[test]
fn while_paused_heartbeats_are_sent_but_do_not_time_out() {
    run(async {
        let (mut peer, stream) = pair().await;
        let heartbeat = Heartbeat::frequent().idle(20 * MILLI).pong_timeout(20 * MILLI);
        let config = Arc::new(Config::server().heartbeat(heartbeat));
        let mut ws = WebSocket::upgraded(stream, config, Role::Server);
        ws.pause();
        let mut ping = [0; 2];
        let peer_sees = async {
            peer.read_exact(&mut ping).await.unwrap();
            // The peer answers once, and the answer stays unread for longer than it may take.
            peer.write_all(&[0x8a, 0x80, 0, 0, 0, 0]).await.unwrap();
            async_io::Timer::after(200 * MILLI).await;
        };
        peer_sees.or(async { panic!("{:?}", ws.next_event().await) }).await;
        assert_eq!((ping, ws.state()), ([0x89, 0], State::Open));
        ws.resume();
        assert!(matches!(ws.next_event().await, Some(Event::Pong(_))));
    });
}

#[test]
fn a_paused_websocket_notices_a_reset_by_writing_and_eof_on_resume() {
    run(async {
        let (listener, address) = listener();
        for by_reset in [true, false] {
            let peer = TcpStream::connect(address).unwrap();
            let stream = Socket::from(listener.accept().await.unwrap().0);
            let mut ws = WebSocket::upgraded(stream, Arc::new(Config::server()), Role::Server);
            ws.pause();
            if by_reset {
                SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
            }
            drop(peer);
            if by_reset {
                while ws.send(vec![7; CHUNK]).await.is_ok() {}
            } else {
                assert!(once(pin!(ws.next())).await.is_pending());
                assert_eq!(ws.state(), State::Open);
                ws.resume();
            }
            let closed = ws.next().await.unwrap().unwrap_err();
            assert_eq!(closed.reading_paused, by_reset, "{closed}");
        }
    });
}

#[test]
fn a_close_ends_the_pause() {
    run(async {
        let (mut client, mut server) = open_pair().await;
        server.pause();
        let (closed, end) = future::zip(server.close(CloseCode::NORMAL, ""), client.next()).await;
        assert!(closed.unwrap().clean && end.is_none());
    });
}

#[test]
fn a_peer_that_reads_nothing_from_a_paused_websocket_is_noticed() {
    run(async {
        let (_client, server) = pair().await;
        let config = Arc::new(Config::server().output_timeout(100 * MILLI));
        let mut ws = WebSocket::upgraded(server, config, Role::Server);
        ws.pause();
        for _ in 0..200 {
            ws.try_send(vec![7; CHUNK]).unwrap();
        }
        let closed = ws.next().await.unwrap().unwrap_err();
        assert!(matches!(closed.error, Some(Error::Timeout(Timeout::Output))), "{closed}");
        assert!(closed.reading_paused, "{closed}");
    });
}

/// Two connections, each with a client at one end; the other two ends are to be coupled.
struct Legs {
    _servers: [Server; 2],
    /// A client, and the server's end of its connection.
    front: (WebSocket<Socket>, WebSocket<Socket>),
    /// A client's end, and the server that it leads to.
    back: (WebSocket<Socket>, WebSocket<Socket>),
}

async fn legs(delivery: Delivery) -> Legs {
    let config = || ClientConfig::new().delivery(delivery);
    let server = || Server::bind(Bind::localhost(), ServerConfig::new().delivery(delivery)).unwrap();
    let servers = [server(), server()];
    let front = connected(&servers[0], config()).await;
    let back = connected(&servers[1], config()).await;
    Legs { _servers: servers, front, back }
}

#[test]
fn a_couple_passes_messages_in_order_both_ways_and_the_close() {
    run(async {
        let Legs { front: (mut client, mut a), back: (mut b, mut server), .. } = legs(Delivery::Whole).await;
        let sending = async {
            for k in 0..100 {
                client.try_send(format!("{k}")).unwrap();
                client.try_send(vec![k; k as usize * 1_000]).unwrap();
            }
            for k in 0..100 {
                assert_eq!(client.next().await.unwrap().unwrap().as_text(), Some(&*format!("{k}")));
                assert_eq!(client.next().await.unwrap().unwrap().as_bytes(), vec![k; k as usize * 1_000]);
            }
            client.close(CloseCode::from(4001), "enough").await.unwrap();
        };
        let echoing = async {
            loop {
                match server.next().await {
                    Some(Ok(message)) => drop(server.try_send(message).unwrap()),
                    Some(Err(closed)) => break closed,
                    None => panic!("without a reason"),
                }
            }
        };
        let ((ends, closed), ()) = future::zip(future::zip(couple(&mut a, &mut b), echoing), sending).await;
        assert_eq!((closed.code, closed.reason.as_str()), (CloseCode::from(4001), "enough"));
        let (a, b) = (ends.0.unwrap(), ends.1.unwrap());
        assert!(a.clean && b.clean, "{a}; {b}");
        assert_eq!((a.code, b.sent), (CloseCode::from(4001), Some(CloseCode::from(4001))));
    });
}

#[test]
fn each_close_crosses_in_both_directions() {
    run(async {
        for from_front in [true, false] {
            for code in [1000, 1001, 1005, 1008, 1011, 1012, 4000] {
                let code = CloseCode::from(code);
                let reason = if code == CloseCode::NO_STATUS { "" } else { "why" };
                let Legs { front: (mut client, mut a), back: (mut b, mut server), .. } =
                    legs(Delivery::Whole).await;
                let (closer, other) =
                    if from_front { (&mut client, &mut server) } else { (&mut server, &mut client) };
                let closing = async {
                    assert!(closer.close(code, reason).await.unwrap().clean);
                };
                let receiving = async {
                    let _ = other.next().await;
                    let closed = other.closed().unwrap();
                    assert_eq!((closed.code, closed.reason.as_str()), (code, reason), "{closed}");
                };
                future::zip(couple(&mut a, &mut b), future::zip(closing, receiving)).await;
            }
            // Lost without a Close.
            let Legs { front: (client, mut a), back: (mut b, server), .. } = legs(Delivery::Whole).await;
            let (lost, mut other) = if from_front { (client, server) } else { (server, client) };
            lost.sender().terminate();
            let lost = async {
                let mut lost = lost;
                while lost.next().await.is_some() {}
            };
            let receiving = async {
                let _ = other.next().await;
                other.closed().unwrap().code
            };
            let (_, (_, code)) = future::zip(couple(&mut a, &mut b), future::zip(lost, receiving)).await;
            let expected = if from_front { CloseCode::GOING_AWAY } else { CloseCode::INTERNAL_ERROR };
            assert_eq!(code, expected);
        }
    });
}

#[test]
fn fragments_cross_as_they_arrive_and_pings_stay_on_their_leg() {
    run(async {
        let Legs { front: (mut client, mut a), back: (mut b, mut server), .. } =
            legs(Delivery::Chunked { whole: 0 }).await;
        let sending = async {
            for k in 0..20 {
                client.try_send(Frame::raw(Opcode::Text, false, format!("{k} ")).unwrap()).unwrap();
                client.sender().send_ping(b"front").unwrap();
                client.try_send(Frame::raw(Opcode::Continuation, false, "goes ").unwrap()).unwrap();
                client.try_send(Frame::raw(Opcode::Continuation, true, "on").unwrap()).unwrap();
            }
            while client.latency().is_none() {
                let _ = client.next_event().await;
            }
            client.close(CloseCode::NORMAL, "").await.unwrap();
        };
        let receiving = async {
            for k in 0..20 {
                let mut fragments = Vec::new();
                loop {
                    match server.next_event().await.unwrap() {
                        Event::Fragment(fragment) => {
                            assert_eq!(fragment.first, fragments.is_empty());
                            fragments.push(fragment.data.as_text().unwrap().to_owned());
                            if fragment.last {
                                break;
                            }
                        }
                        other => panic!("{other:?}"),
                    }
                }
                assert_eq!(fragments.concat(), format!("{k} goes on"));
                assert!(fragments.len() > 1, "{fragments:?}");
            }
            assert!(server.next().await.is_none());
            assert_eq!(server.latency(), None);
        };
        future::zip(couple(&mut a, &mut b), future::zip(sending, receiving)).await;
    });
}

#[test]
fn a_couple_buffers_a_bounded_amount_and_loses_nothing() {
    run(async {
        let Legs { front: (mut client, mut a), back: (mut b, mut server), .. } = legs(Delivery::Whole).await;
        let (to_client, to_server) = (a.sender(), b.sender());
        let sender = client.sender();
        let mut most = 0;
        let sending = async {
            let feeding = async {
                for _ in 0..1_024 {
                    sender.send(vec![7; CHUNK]).await.unwrap();
                }
            };
            let reading = async { assert_eq!(text(&mut client).await, "got all") };
            future::zip(feeding, reading).await;
            client.close(CloseCode::NORMAL, "").await.unwrap();
        };
        let receiving = async {
            // It does not read, until all progress stops.
            let mut before = usize::MAX;
            while to_server.queued() != before || before == 0 {
                before = to_server.queued();
                async_io::Timer::after(30 * MILLI).await;
            }
            for _ in 0..1_024 {
                assert_eq!(server.next().await.unwrap().unwrap().as_bytes().len(), CHUNK);
            }
            server.send("got all").await.unwrap();
            assert!(server.next().await.is_none());
        };
        let watching = async {
            loop {
                most = most.max(to_server.queued() + to_client.queued());
                future::yield_now().await;
            }
        };
        future::zip(couple(&mut a, &mut b), future::zip(sending, receiving)).or(watching).await;
        // The high mark, what one read held, and the message that exceeded it.
        assert!(most < (1 << 20) + 4 * CHUNK, "{most}");
    });
}

#[test]
fn two_floods_through_a_couple_yield_to_other_tasks() {
    run(async {
        let Legs { front: (client, mut a), back: (mut b, server), .. } = legs(Delivery::Whole).await;
        async fn flood(mut ws: WebSocket<Socket>) {
            let sender = ws.sender();
            let sending = async { while sender.send(vec![7; 1_000]).await.is_ok() {} };
            let reading = async { while ws.next().await.is_some() {} };
            future::zip(sending, reading).await;
        }
        let flood = thread::spawn(move || async_io::block_on(future::zip(flood(client), flood(server))));
        let mut turns = 0;
        let others = async {
            while turns < 1_000 {
                turns += 1;
                future::yield_now().await;
            }
        };
        others.or(async { _ = couple(&mut a, &mut b).await }).await;
        a.sender().terminate();
        b.sender().terminate();
        drop((a, b));
        flood.join().unwrap();
    });
}

#[test]
fn a_dropped_couple_loses_nothing_and_holds_nothing_back() {
    run(async {
        for seed in 0..20 {
            let (client, front) = pipe(1_000, seed);
            let (back, server) = pipe(1_000, seed + 100);
            let config = |config: Config| config.outbox(100, 1_000, 100_000);
            let (mut client, mut a) =
                websockets(client, front, config(Config::client()), config(Config::server()));
            let (mut b, mut server) =
                websockets(back, server, config(Config::client()), config(Config::server()));
            let passing = async {
                // Dropped after each few polls, and started again.
                for polls in 1.. {
                    if common::at_most(polls % 7 + 1, couple(&mut a, &mut b)).await.is_some() {
                        break;
                    }
                    future::yield_now().await;
                }
            };
            let sending = async {
                let sender = client.sender();
                let sending = async {
                    for k in 0..50 {
                        sender.send(format!("{k} {}", "x".repeat(k * 10))).await.unwrap();
                    }
                };
                let reading = async {
                    for k in 0..50 {
                        let expected = format!("{k} {}", "x".repeat(k * 10));
                        assert_eq!(client.next().await.unwrap().unwrap().as_text(), Some(&*expected));
                    }
                };
                future::zip(sending, reading).await;
                client.close(CloseCode::NORMAL, "").await.unwrap();
            };
            let echoing = async {
                while let Some(message) = server.next().await {
                    server.try_send(message.unwrap()).unwrap();
                }
            };
            future::zip(passing, future::zip(sending, echoing)).await;
        }
    });
}

#[test]
fn a_connecting_side_holds_the_other_and_loses_nothing() {
    let (front, back) = (
        Server::bind(Bind::localhost(), ServerConfig::new()).unwrap(),
        Server::bind(Bind::localhost(), ServerConfig::new()).unwrap(),
    );
    run(async {
        let (mut client, mut a) = connected(&front, ClientConfig::new()).await;
        client.send("early").await.unwrap();
        let url = back.url("/").unwrap();
        let connecting = ws_server_smol::connect(url, ClientConfig::new());
        let (b, mut server) = future::zip(connecting, upgraded(&back)).await;
        let mut b = b.unwrap();
        let receiving = async {
            assert_eq!(text(&mut server).await, "early");
            server.close(CloseCode::NORMAL, "").await.unwrap();
        };
        let ending = async { assert!(client.next().await.is_none()) };
        future::zip(couple(&mut a, &mut b), future::zip(receiving, ending)).await;
    });
}

#[test]
fn a_couple_with_a_closed_side_ends_the_other() {
    run(async {
        let Legs { front: (mut client, mut a), back: (mut b, server), .. } = legs(Delivery::Whole).await;
        drop(server);
        assert!(b.next().await.is_none(), "1001");
        let ending = async { assert!(client.next().await.is_none()) };
        let (ends, ()) = future::zip(couple(&mut a, &mut b), ending).await;
        assert_eq!(ends.0.unwrap().sent, Some(CloseCode::GOING_AWAY));
        assert_eq!(ends.1.unwrap().code, CloseCode::GOING_AWAY);
    });
}
