//! Responses without a length whose peers have left: noticed, reported, and their slots freed.

#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::run;
use futures_lite::{AsyncReadExt, AsyncWriteExt, FutureExt, future};
use socket2::SockRef;
use std::cell::Cell;
use std::net::TcpStream;
use std::time::Duration;
use ws_server_smol::{Bind, HttpConnection, Incoming, RespondError, Server, ServerConfig, Socket};

const COUNT: usize = 100;

/// Answers with a stream that is silent after its first chunk; returns the result of the next chunk.
async fn events(http: &mut HttpConnection<Socket>) -> Result<(), RespondError> {
    let Some(Incoming::Request(request)) = http.next().await else { panic!() };
    let head = http::Response::builder().header("content-type", "text/event-stream").body(()).unwrap();
    let body = http.respond_streaming(request, head, None)?;
    body.try_send("data: first\n\n")?;
    while http.next().await.is_some() {}
    assert!(http.closed().unwrap().error.is_some(), "{:?}", http.closed());
    body.send("data: second\n\n").await
}

#[test]
fn a_stream_whose_peer_has_gone_returns_an_error() {
    for by_reset in [false, true] {
        let server = Server::bind(Bind::localhost(), ServerConfig::new()).unwrap();
        let refused = Cell::new(0);
        run(async {
            let serving = server.serve(async |mut http| {
                assert_eq!(events(&mut http).await, Err(RespondError::NotOpen));
                refused.set(refused.get() + 1);
            });
            let script = async {
                let mut peers = Vec::new();
                for _ in 0..COUNT {
                    let socket = async_io::Async::<TcpStream>::connect(server.local_addr().unwrap()).await;
                    let mut peer = socket.unwrap();
                    peer.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
                    peer.read_exact(&mut [0; 100]).await.unwrap();
                    if by_reset {
                        SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
                    }
                    peers.push(peer);
                }
                assert_eq!(server.http_count(), COUNT);
                drop(peers);
                while server.http_count() > 0 {
                    future::yield_now().await;
                }
            };
            script.or(serving).await;
            assert_eq!(refused.get(), COUNT);
        });
    }
}

#[test]
fn a_half_closed_peer_gets_the_rest_if_allowed() {
    for allowed in [true, false] {
        let server = Server::bind(Bind::localhost(), ServerConfig::new().half_close(allowed)).unwrap();
        run(async {
            let serving = async {
                let mut http = server.accept().await.unwrap();
                let Some(Incoming::Request(request)) = http.next().await else { panic!() };
                let body = http.respond_streaming(request, http::Response::new(()), None).unwrap();
                let giving = async {
                    for _ in 0..20 {
                        future::yield_now().await;
                        if body.send("chunk").await.is_err() {
                            return false;
                        }
                        async_io::Timer::after(Duration::from_millis(10)).await;
                    }
                    body.finish().is_ok()
                };
                let driving = async {
                    while http.next().await.is_some() {}
                    std::future::pending().await
                };
                assert_eq!(giving.or(driving).await, allowed);
                while http.next().await.is_some() {}
            };
            let requesting = async {
                let socket = async_io::Async::<TcpStream>::connect(server.local_addr().unwrap()).await;
                let mut peer = Socket::from(socket.unwrap());
                peer.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
                peer.close().await.unwrap();
                let mut all = Vec::new();
                let _ = peer.read_to_end(&mut all).await;
                assert_eq!(all.ends_with(b"0\r\n\r\n"), allowed);
            };
            future::zip(serving, requesting).await;
        });
    }
}

#[cfg(any(target_os = "android", target_os = "linux"))]
#[test]
fn streams_use_tcp_keepalive_and_a_bounded_kernel_backlog() {
    let server = Server::bind(Bind::localhost(), ServerConfig::new()).unwrap();
    run(async {
        let socket = async_io::Async::<TcpStream>::connect(server.local_addr().unwrap()).await.unwrap();
        let mut peer = Socket::from(socket);
        let mut http = server.accept().await.unwrap();
        peer.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let Some(Incoming::Request(request)) = http.next().await else { panic!() };
        let option = |http: &HttpConnection<Socket>| {
            let socket = SockRef::from(http.get_ref().unwrap());
            (socket.keepalive().unwrap(), socket.tcp_notsent_lowat().unwrap())
        };
        assert_eq!(option(&http), (false, 64 << 10));
        let _body = http.respond_streaming(request, http::Response::new(()), None).unwrap();
        assert_eq!(option(&http), (true, 64 << 10));
    });
}
