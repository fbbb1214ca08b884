//! A send never hangs: it makes its own room, is driven by another task that polls, or fails and says why.

#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::pipe::pipe;
use common::{connected, once, open_pair, run, upgraded, websockets};
use futures_lite::{FutureExt, future};
use std::pin::pin;
use std::time::Duration;
use ws_server_smol::{
    Bind, ClientConfig, CloseCode, Config, Message, RespondError, SendError, Sender, Sent, Server,
    ServerConfig, Socket, State, WebSocket, connect,
};
use ws_server_smol::{Error, Timeout};

const CHUNK: usize = 64 << 10;

fn chunk() -> Vec<u8> {
    vec![7; CHUNK]
}

/// Sends more than all buffers between two ends hold.
async fn send_much(sender: &Sender) -> usize {
    for _ in 0..200 {
        sender.send(chunk()).await.unwrap();
    }
    200
}

/// Reads that many messages.
async fn reads<S>(ws: &mut WebSocket<S>, count: usize)
where
    S: futures_lite::AsyncRead + futures_lite::AsyncWrite + Unpin,
{
    for _ in 0..count {
        assert_eq!(ws.next().await.unwrap().unwrap().as_bytes().len(), CHUNK);
    }
}

#[test]
fn the_polling_task_may_send_through_a_sender() {
    let server = Server::bind(Bind::localhost(), ServerConfig::new()).unwrap();
    run(async {
        let (client, ws) = connected(&server, ClientConfig::new()).await;
        // Of a server, and of a client; afterwards it polls.
        let ends = [(ws, client), connected(&server, ClientConfig::new()).await];
        for (mut sender_end, mut receiver) in ends {
            let sender = sender_end.sender();
            let sending = async {
                send_much(&sender).await;
                assert_eq!(sender_end.next().await.unwrap().unwrap().as_bytes(), b"got all");
            };
            let receiving = async {
                reads(&mut receiver, 200).await;
                receiver.send("got all").await.unwrap();
            };
            future::zip(sending, receiving).await;
        }
    });
}

#[test]
fn a_send_beside_next_progresses_in_either_order_over_any_stream() {
    run(async {
        for order in 0..4 {
            // Not a socket that a sender could write to: the task that polls `next` writes.
            let (client, server) = pipe(1 << 16, order);
            let (mut client, mut ws) =
                websockets(client.straight(), server.straight(), Config::client(), Config::server());
            let sender = ws.sender();
            let sending = async {
                send_much(&sender).await;
            };
            let reading = async { assert_eq!(ws.next().await.unwrap().unwrap().as_bytes(), b"got all") };
            let peer = async {
                reads(&mut client, 200).await;
                client.send("got all").await.unwrap();
            };
            match order {
                0 => drop(future::zip(peer, future::zip(sending, reading)).await),
                1 => drop(future::zip(peer, future::zip(reading, sending)).await),
                2 => drop(future::zip(future::zip(sending, reading), peer).await),
                _ => drop(future::zip(future::zip(reading, sending), peer).await),
            }
        }
    });
}

#[test]
fn a_send_that_races_with_next_and_loses_has_queued_nothing() {
    run(async {
        for sends_first in [true, false] {
            let (client, server) = pipe(1 << 16, 3);
            let (mut client, mut ws) =
                websockets(client.straight(), server.straight(), Config::client(), Config::server());
            let sender = ws.sender();
            let sending_all = async {
                let (mut sent, mut received) = (0, 0);
                while sent < 100 {
                    let sending = async { Some(sender.send(chunk()).await) };
                    let reading = async {
                        received += usize::from(ws.next().await.unwrap().is_ok());
                        None
                    };
                    let result =
                        if sends_first { sending.or(reading).await } else { reading.or(sending).await };
                    sent += usize::from(result.is_some_and(|sent| sent.is_ok()));
                }
                ws.close(CloseCode::NORMAL, "").await.unwrap();
                received
            };
            let peer = async {
                let mut got = 0;
                while let Some(message) = client.next().await {
                    assert_eq!(message.unwrap().as_bytes().len(), CHUNK);
                    got += 1;
                    client.send("more").await.unwrap();
                }
                got
            };
            let (received, got) = future::zip(sending_all, peer).await;
            assert_eq!(got, 100, "each send that was Ok, once");
            assert!(received <= 100);
        }
    });
}

/// Fills the outbox over its high mark.
fn congest(sender: &Sender) -> usize {
    while sender.try_send(chunk()).unwrap() != Sent::Congested {}
    sender.queued()
}

fn impatient() -> ServerConfig {
    ServerConfig::new().output_timeout(Duration::from_millis(50))
}

#[test]
fn without_a_poll_a_send_times_out_and_has_queued_nothing() {
    run(async {
        // Over a stream that a sender cannot write to.
        let (client, server) = pipe(1 << 12, 1);
        let hasty = Config::server().output_timeout(Duration::from_millis(50));
        let (_client, ws) = websockets(client, server, Config::client(), hasty);
        let sender = ws.sender();
        let queued = congest(&sender);
        assert_eq!(sender.send("late").await, Err(SendError::NotPolled));
        assert_eq!(sender.queued(), queued);
        assert_eq!(sender.state(), State::Open);

        // Over one that it can write to, and whose peer reads nothing.
        let server = Server::bind(Bind::localhost(), impatient()).unwrap();
        let (_client, ws) = connected(&server, ClientConfig::new()).await;
        let sender = ws.sender();
        let refused = loop {
            if let Err(error) = sender.send(chunk()).await {
                break error;
            }
        };
        assert_eq!(refused, SendError::NotPolled);
        let queued = sender.queued();
        assert_eq!(sender.send("late").await, Err(SendError::NotPolled));
        // The system may have taken more meanwhile.
        assert!(sender.queued() <= queued);
        assert!(refused.to_string().contains("polls"), "{refused}");
    });
}

#[test]
fn with_a_poll_the_output_deadline_applies() {
    run(async {
        let server = Server::bind(Bind::localhost(), impatient()).unwrap();
        let (_client, mut ws) = connected(&server, ClientConfig::new()).await;
        let sender = ws.sender();
        let sending = async {
            loop {
                if let Err(error) = sender.send(chunk()).await {
                    break error;
                }
            }
        };
        let (refused, end) = future::zip(sending, ws.next()).await;
        assert_eq!(refused, SendError::NotOpen);
        let closed = end.unwrap().unwrap_err();
        assert!(matches!(closed.error, Some(Error::Timeout(Timeout::Output))), "{closed}");
        assert!(!closed.reading_paused, "{closed}");
    });
}

#[test]
fn a_body_makes_its_own_room_and_fails_without_a_poll() {
    run(async {
        for reads in [true, false] {
            let config = if reads { ServerConfig::new() } else { impatient() };
            let server = Server::bind(Bind::localhost(), config).unwrap();
            let mut peer = tcp(&server).await;
            let mut http = server.accept().await.unwrap();
            let request = async {
                use futures_lite::AsyncWriteExt;
                peer.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
                let Some(ws_server_smol::Incoming::Request(request)) = http.next().await else { panic!() };
                request
            };
            let request = request.await;
            let body = http.respond_streaming(request, Default::default(), Some(200 * CHUNK as u64)).unwrap();
            let sending = async {
                for _ in 0..200 {
                    body.send(chunk()).await?;
                }
                Ok(())
            };
            let reading = async {
                use futures_lite::AsyncReadExt;
                let mut buffer = vec![0; 1 << 16];
                while peer.read(&mut buffer).await.unwrap() > 0 {}
                std::future::pending::<Result<(), RespondError>>().await
            };
            let result = if reads { sending.or(reading).await } else { sending.await };
            assert_eq!(result, if reads { Ok(()) } else { Err(RespondError::NotPolled) });
        }
    });
}

async fn tcp(server: &Server) -> Socket {
    let address = server.local_addr().unwrap();
    async_io::Async::<std::net::TcpStream>::connect(address).await.unwrap().into()
}

/// The obvious proxy: two loops, each of which sends what it receives.
async fn proxy(mut a: WebSocket<Socket>, mut b: WebSocket<Socket>) {
    let (to_a, to_b) = (a.sender(), b.sender());
    async fn pass(from: &mut WebSocket<Socket>, to: &Sender) {
        while let Some(Ok(message)) = from.next().await {
            to.send(message).await.unwrap();
        }
        let _ = to.close(CloseCode::NORMAL, "");
    }
    future::zip(pass(&mut a, &to_b), pass(&mut b, &to_a)).await;
}

#[test]
fn the_obvious_proxy_does_not_deadlock_between_two_busy_ends() {
    let front = Server::bind(Bind::localhost(), ServerConfig::new()).unwrap();
    let back = Server::bind(Bind::localhost(), ServerConfig::new()).unwrap();
    run(async {
        let proxying = async {
            let (a, b) =
                future::zip(upgraded(&front), connect(back.url("/").unwrap(), ClientConfig::new())).await;
            proxy(a, b.unwrap()).await;
        };
        let echoing = async {
            let mut ws = upgraded(&back).await;
            while let Some(Ok(message)) = ws.next().await {
                ws.send(message).await.unwrap();
            }
        };
        let talking = async {
            let mut ws = connect(front.url("/").unwrap(), ClientConfig::new()).await.unwrap();
            let sender = ws.sender();
            let sending = async {
                for _ in 0..3 {
                    send_much(&sender).await;
                }
            };
            let reading = async {
                // It only writes until all buffers on the path are full, there and back.
                let writes = async {
                    while ws.flush().await.is_ok() {
                        future::yield_now().await;
                    }
                };
                let full = async {
                    let mut before = 0;
                    while sender.queued() != before || before == 0 {
                        before = sender.queued();
                        async_io::Timer::after(Duration::from_millis(200)).await;
                    }
                };
                full.or(writes).await;
                reads(&mut ws, 600).await;
            };
            future::zip(sending, reading).await;
            ws.close(CloseCode::NORMAL, "").await.unwrap();
        };
        future::zip(proxying, future::zip(echoing, talking)).await;
    });
}

#[test]
fn two_ends_that_send_before_reading_get_an_error_that_says_so() {
    run(async {
        let (client, server) = common::pair().await;
        let config = |config: Config| config.output_timeout(Duration::from_millis(300));
        let (mut client, mut server) =
            websockets(client, server, config(Config::client()), config(Config::server()));
        async fn sending_all(ws: &mut WebSocket<Socket>) -> Result<(), SendError> {
            for _ in 0..400 {
                ws.send(chunk()).await?;
            }
            Ok(())
        }
        // Once one has failed, the other may get the rest.
        let ended = {
            let (mut one, mut other) = (pin!(sending_all(&mut client)), pin!(sending_all(&mut server)));
            future::poll_fn(|cx| {
                let ended = one.as_mut().poll(cx).map(|result| (0, result));
                if ended.is_ready() { ended } else { other.as_mut().poll(cx).map(|result| (1, result)) }
            })
            .await
        };
        let (which, result) = ended;
        assert_eq!(result, Err(SendError::NotOpen));
        let ws = if which == 0 { &mut client } else { &mut server };
        while let Some(Ok(_)) = ws.next().await {}
        let closed = ws.closed().unwrap();
        assert!(matches!(closed.error, Some(Error::Timeout(Timeout::Output))), "{closed}");
        assert!(closed.reading_paused, "{closed}");
    });
}

#[test]
fn a_waiting_sender_ends_with_its_connection() {
    run(async {
        let (_client, mut ws) = open_pair().await;
        let sender = ws.sender();
        congest(&sender);
        let mut waiting = pin!(sender.send(Message::Text("late".into())));
        assert!(once(waiting.as_mut()).await.is_pending());
        ws.start_close(CloseCode::NORMAL, "").unwrap();
        sender.terminate();
        assert_eq!(waiting.await, Err(SendError::NotOpen));
    });
}

#[test]
fn a_send_that_waits_for_room_wakes_no_task_until_there_is_some() {
    let server = Server::bind(Bind::localhost(), ServerConfig::new()).unwrap();
    run(async {
        let (_client, mut ws) = connected(&server, ClientConfig::new()).await;
        let sender = ws.sender();
        let mut polls = 0;
        let sending = async { while sender.send(chunk()).await.is_ok() {} };
        let mut sending = pin!(future::zip(sending, ws.next()));
        let counting = future::poll_fn(|cx| {
            polls += 1;
            sending.as_mut().poll(cx).map(|_| ())
        });
        let waiting = async {
            async_io::Timer::after(Duration::from_millis(300)).await;
        };
        counting.or(waiting).await;
        // Once for each chunk that the kernel takes; tens of thousands if two wakers replaced each other, as they did in
        // an optimized build, where the same waker made in two crates is not equal.
        assert!(polls < 1_000, "{polls} polls");
    });
}
