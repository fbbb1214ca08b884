//! Servers behind proxies that they trust, and the claims of everybody else.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;

use common::peer::*;
use common::run;
use futures_lite::future::{or, yield_now};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use ws_kit::claims::Claim;
use ws_server_smol::{
    Bind, HttpConnection, Incoming, InvalidConfig, ListenError, Server, ServerConfig, Via, http,
};

/// What the application sees of each request: the client of the connection and of the request, the address of the
/// socket, the URL, and whether it is secure.
type Seen = Rc<RefCell<Vec<(String, String, Option<SocketAddr>, String, bool)>>>;

fn shown(address: Option<SocketAddr>) -> String {
    address.map_or("-".into(), |address| address.to_string())
}

async fn handle(mut http: HttpConnection, seen: Seen) {
    while let Some(incoming) = http.next().await {
        let (peer, url, is_secure) = match &incoming {
            Incoming::Request(request) => (request.peer_addr(), request.url(), request.is_secure()),
            Incoming::Upgrade(upgrade) => (upgrade.peer_addr(), upgrade.url(), upgrade.is_secure()),
        };
        let of_connection = shown(http.peer_addr());
        let transport = http.transport_addr();
        seen.borrow_mut().push((of_connection, shown(peer), transport, url.unwrap(), is_secure));
        match incoming {
            Incoming::Request(request) => {
                let _ = http.respond(request, http::Response::new("hello".into())).await;
            }
            Incoming::Upgrade(upgrade) => {
                let Ok(mut ws) = http.accept(upgrade).await else { return };
                assert_eq!(ws.transport_addr(), transport);
                while let Some(Ok(message)) = ws.next().await {
                    let _ = ws.send(message).await;
                }
                return;
            }
        }
    }
}

/// Runs a script beside a server.
fn beside(config: ServerConfig, script: impl AsyncFnOnce(&Server, &Seen)) {
    let server = Server::bind(Bind::localhost(), config.allow_host("app.example")).unwrap();
    serve(&server, script);
}

fn serve(server: &Server, script: impl AsyncFnOnce(&Server, &Seen)) {
    let seen = Seen::default();
    let serving = async {
        server.serve(|http| handle(http, seen.clone())).await;
        unreachable!("it serves until dropped")
    };
    run(or(async { script(server, &seen).await }, serving));
}

fn trusting(via: Via) -> ServerConfig {
    ServerConfig::new().trust_proxy(["127.0.0.1"], via)
}

fn via(claim: Claim) -> Via {
    match claim {
        Claim::Forwarded => Via::Forwarded,
        Claim::XForwarded => Via::XForwarded,
        Claim::Line | Claim::Binary => Via::ProxyProtocol,
    }
}

fn get(fields: &str) -> Vec<u8> {
    format!("GET /page HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n").into_bytes()
}

fn local(peer: &Peer) -> SocketAddr {
    peer.stream.local_addr().unwrap()
}

fn peer(server: &Server) -> Peer {
    Peer::connect(server.local_addr().unwrap())
}

/// The status of the answer to an upgrade.
async fn upgrade(server: &Server, fields: &str) -> (Peer, String) {
    let mut peer = peer(server);
    peer.send(&with_fields(handshake(server.local_addr().unwrap(), "/ws"), fields));
    let head = peer.head().await;
    (peer, head[9..12].to_owned())
}

#[test]
fn each_request_through_a_trusted_proxy_has_its_own_client() {
    for claim in [Claim::Forwarded, Claim::XForwarded] {
        beside(trusting(via(claim)), async |server, seen| {
            let mut peer = peer(server);
            for client in ["192.0.2.1", "192.0.2.2", "127.0.0.1"] {
                peer.send(&get(&claim.fields_of(client)));
                assert_eq!(peer.response().await.0, 200);
                let last = seen.borrow_mut().pop().unwrap();
                let address = format!("{client}:0");
                let url = "https://app.example/page".to_owned();
                assert_eq!(last, (address.clone(), address, Some(local(&peer)), url, true), "{claim:?}");
            }
            // The proxy itself, which says nothing.
            peer.send(&get(""));
            assert_eq!(peer.response().await.0, 200);
            let last = seen.borrow_mut().pop().unwrap();
            assert_eq!((last.0, last.3), (local(&peer).to_string(), "http://localhost/page".into()));
        });
    }
}

#[test]
fn a_websocket_has_the_client_of_its_upgrade() {
    for claim in Claim::ALL {
        beside(trusting(via(claim)), async |server, seen| {
            let mut peer = peer(server);
            peer.send(&claim.before());
            peer.send(&with_fields(handshake(server.local_addr().unwrap(), "/ws"), &claim.fields()));
            assert!(peer.head().await.starts_with("HTTP/1.1 101"), "{claim:?}");
            peer.send(&frame(0x81, b"hello"));
            assert_eq!(peer.frame().await, (0x81, b"hello".to_vec()));
            let id = server.ids()[0];
            assert_eq!(server.peer_addr(id).unwrap().ip().to_string(), "192.0.2.1", "{claim:?}");
            assert_eq!(server.transport_addr(id), Some(local(&peer)));
            let sender = server.sender(id).unwrap();
            assert_eq!(
                (sender.peer_addr(), sender.transport_addr()),
                (server.peer_addr(id), Some(local(&peer)))
            );
            let has_url = via(claim) != Via::ProxyProtocol;
            assert_eq!(seen.borrow()[0].3 == "wss://app.example/ws", has_url, "{claim:?}");
        });
    }
}

#[test]
fn a_claim_of_another_kind_or_from_another_peer_is_ignored() {
    let kinds = [None, Some(Via::Forwarded), Some(Via::XForwarded), Some(Via::ProxyProtocol)];
    for trusted in kinds {
        for from_proxy in [true, false] {
            let address = if from_proxy { "127.0.0.1" } else { "127.0.0.2" };
            let config = ServerConfig::new();
            let config = trusted.map_or(config.clone(), |via| config.trust_proxy([address], via));
            beside(config, async |server, seen| {
                for claim in Claim::ALL {
                    let mut peer = peer(server);
                    peer.send(&claim.before());
                    peer.send(&get(&claim.fields()));
                    let what = format!("{trusted:?} from {address}: {claim:?}");
                    let is_believed = from_proxy && trusted == Some(via(claim));
                    let is_header = via(claim) == Via::ProxyProtocol;
                    if from_proxy && trusted == Some(Via::ProxyProtocol) && !is_header {
                        // It says nothing where it must say who its client is.
                        peer.end().await;
                        assert!(peer.got.is_empty(), "{what}");
                    } else if is_header && !is_believed {
                        assert_eq!(peer.response().await.0, 400, "{what}");
                    } else {
                        assert_eq!(peer.response().await.0, 200, "{what}");
                        let (client, _, _, url, is_secure) = seen.borrow_mut().pop().unwrap();
                        assert_eq!(client.starts_with("192.0.2.1:"), is_believed, "{what}");
                        let is_public = is_secure && url.contains("app.example");
                        assert_eq!(is_public, is_believed && !is_header, "{what}");
                    }
                    assert!(seen.borrow().is_empty(), "{what}");
                }
            });
        }
    }
}

#[test]
fn the_limit_of_an_address_counts_the_client_behind_a_proxy() {
    beside(trusting(Via::XForwarded).max_per_address(Some(1)), async |server, _| {
        let ask = async |client: &str| upgrade(server, &Claim::XForwarded.fields_of(client)).await;
        let (first, status) = ask("192.0.2.1").await;
        assert_eq!(status, "101");
        let (second, status) = ask("192.0.2.2").await;
        assert_eq!(status, "101");
        assert_eq!(ask("192.0.2.1").await.1, "429");
        assert_eq!(ask("2001:db8::1").await.1, "101");
        assert_eq!((server.stats().rejected, server.rejected()), (1, 1));
        drop((first, second));
        until(|| server.stats().open == 0).await;
        let (_first, status) = ask("192.0.2.1").await;
        assert_eq!(status, "101");

        // A kept-alive connection counts for the client of its last request, and a refused request changes nothing.
        let mut peer = peer(server);
        for (client, expected, other) in [
            ("192.0.2.7", 200, "429"),
            ("192.0.2.1", 429, "429"),
            ("192.0.2.8", 200, "101"),
            ("192.0.2.8", 200, "101"),
        ] {
            peer.send(&get(&Claim::XForwarded.fields_of(client)));
            assert_eq!(peer.response().await.0, expected, "{client}");
            let (asking, status) = ask("192.0.2.7").await;
            assert_eq!(status, other, "{client}");
            drop(asking);
            until(|| server.stats().open == 2).await;
        }
    });
}

#[test]
fn a_proxy_header_is_read_however_it_is_cut() {
    for claim in [Claim::Line, Claim::Binary] {
        beside(trusting(Via::ProxyProtocol), async |server, seen| {
            let all = [claim.before(), get("")].concat();
            for cut in (0..claim.before().len() + 2).chain([usize::MAX]) {
                let mut peer = peer(server);
                match cut {
                    usize::MAX => {
                        for byte in all.chunks(1) {
                            peer.send(byte);
                            yield_now().await;
                        }
                    }
                    cut => {
                        peer.send(&all[..cut]);
                        for _ in 0..3 {
                            yield_now().await;
                        }
                        peer.send(&all[cut..]);
                    }
                }
                assert_eq!(peer.response().await.0, 200, "{claim:?} at {cut}");
                let (client, request, transport, ..) = seen.borrow_mut().pop().unwrap();
                let expected = "192.0.2.1:4711".to_owned();
                assert_eq!((client, request, transport), (expected.clone(), expected, Some(local(&peer))));
                // The header holds for all requests of the connection.
                peer.send(&get(&Claim::Forwarded.fields_of("192.0.2.9")));
                assert_eq!(peer.response().await.0, 200);
                assert_eq!(seen.borrow_mut().pop().unwrap().1, "192.0.2.1:4711");
            }
            assert_eq!(server.stats().proxy_header_failed, 0);
        });
    }
}

#[test]
fn a_connection_of_the_proxy_itself_keeps_its_address() {
    beside(trusting(Via::ProxyProtocol), async |server, seen| {
        for header in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
            let mut peer = peer(server);
            peer.send(&[header, &get("")].concat());
            assert_eq!(peer.response().await.0, 200);
            assert_eq!(seen.borrow_mut().pop().unwrap().0, local(&peer).to_string());
        }
    });
}

#[test]
fn a_connection_without_its_proxy_header_is_closed_at_once_and_counted() {
    beside(trusting(Via::ProxyProtocol), async |server, seen| {
        let long = [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff".to_vec(), vec![0; 20]].concat();
        let bad: [&[u8]; 4] = [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"PROXY TCP4 x\r\n", &long];
        for (n, bytes) in bad.into_iter().enumerate() {
            let mut peer = peer(server);
            peer.send(bytes);
            peer.end().await;
            assert!(peer.got.is_empty(), "{bytes:?}");
            until(|| server.stats().open == 0).await;
            assert_eq!(server.stats().proxy_header_failed, n as u64 + 1);
        }
        assert!(seen.borrow().is_empty());
        // A check whether the port is open says nothing.
        let accepted = server.stats().accepted;
        drop(peer(server));
        until(|| server.stats().accepted > accepted && server.stats().open == 0).await;
        assert_eq!(server.stats().proxy_header_failed, 4);
    });
}

#[test]
fn a_proxy_header_must_arrive_within_the_handshake_timeout() {
    let config = trusting(Via::ProxyProtocol).handshake_timeout(Duration::from_millis(50));
    beside(config, async |server, seen| {
        let mut peer = peer(server);
        peer.send(b"PROXY TCP4 192.0.2.1");
        peer.end().await;
        drop(peer);
        until(|| server.stats().open == 0).await;
        assert!(seen.borrow().is_empty());
    });
}

#[test]
fn a_client_over_its_limit_is_closed_behind_its_proxy_header() {
    beside(trusting(Via::ProxyProtocol).max_per_address(Some(1)), async |server, _| {
        let ask = |client| {
            let mut peer = peer(server);
            peer.send(&[Claim::Binary.before_of(client), get("")].concat());
            peer
        };
        let mut first = ask([192, 0, 2, 1]);
        assert_eq!(first.response().await.0, 200);
        let mut second = ask([192, 0, 2, 1]);
        second.end().await;
        assert!(second.got.is_empty());
        assert_eq!(server.stats().rejected, 1);
        let mut other = ask([192, 0, 2, 2]);
        assert_eq!(other.response().await.0, 200);
        drop(first);
        until(|| server.stats().open == 1).await;
        let mut third = ask([192, 0, 2, 1]);
        assert_eq!(third.response().await.0, 200);
    });
}

#[cfg(unix)]
#[test]
fn peers_of_a_unix_socket_are_trusted_by_their_own_word() {
    use std::os::unix::net::UnixStream;
    for claim in Claim::ALL {
        let path = std::env::temp_dir().join(format!("ws-smol-trust-{}-{claim:?}", std::process::id()));
        let config = ServerConfig::new().allow_host("app.example").trust_proxy(["unix"], via(claim));
        let server = Server::bind(Bind::unix(&path), config).unwrap();
        serve(&server, async |_, seen| {
            let stream = UnixStream::connect(&path).unwrap();
            let mut peer = Peer::new(std::net::TcpStream::from(std::os::fd::OwnedFd::from(stream)));
            peer.send(&[claim.before(), get(&claim.fields())].concat());
            assert_eq!(peer.response().await.0, 200);
            let (client, _, transport, ..) = seen.borrow_mut().pop().unwrap();
            assert!(client.starts_with("192.0.2.1:") && transport.is_none(), "{claim:?} {client}");
        });
    }
}

#[test]
fn a_server_does_not_start_with_an_invalid_proxy() {
    let config = ServerConfig::new().trust_proxy(["proxy.internal"], Via::Forwarded);
    let result = Server::bind(Bind::localhost(), config).map(drop);
    assert!(matches!(result, Err(ListenError::Config(InvalidConfig::TrustedProxy(_)))), "{result:?}");
}

#[test]
fn a_running_server_keeps_its_proxies() {
    beside(trusting(Via::XForwarded), async |server, seen| {
        let config = ServerConfig::new().allow_host("app.example");
        server.set_config(config.trust_proxy(["127.0.0.1"], Via::Forwarded));
        server.listen(Bind::localhost()).unwrap();
        for claim in [Claim::Forwarded, Claim::XForwarded] {
            let mut peer = peer(server);
            peer.send(&get(&claim.fields()));
            assert_eq!(peer.response().await.0, 200);
            let client = seen.borrow_mut().pop().unwrap().0;
            assert_eq!(client == "192.0.2.1:0", claim == Claim::XForwarded, "{claim:?}");
        }
    });
}

#[cfg(feature = "tls")]
mod tls {
    use super::*;
    use std::io::{self, IoSlice};
    use std::net::TcpStream;
    use ws_server_smol::tls::{Identity, TlsClient, TlsLayer, TlsServer};

    struct Tls(TlsLayer);

    impl Layer for Tls {
        fn read(&mut self, stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(stream, buffer)
        }

        fn write(&mut self, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(stream, &[IoSlice::new(bytes)])
        }
    }

    #[test]
    fn a_proxy_header_precedes_tls() {
        let [pem, key] = ws_kit::chat::certificate().unwrap();
        let tls = TlsServer::new(Identity::from_pem(&pem, key).unwrap()).unwrap();
        let client = TlsClient::roots_only(&pem).unwrap();
        let config = trusting(Via::ProxyProtocol).tls(tls).max_per_address(Some(1));
        beside(config, async |server, seen| {
            for claim in [Claim::Line, Claim::Binary] {
                let mut plain = peer(server);
                plain.send(&claim.before());
                yield_now().await;
                let mut peer = Peer::over(plain.stream, Tls(TlsLayer::client(&client, "localhost").unwrap()));
                peer.send(&get(""));
                assert_eq!(peer.response().await.0, 200);
                let (of_connection, request, _, url, is_secure) = seen.borrow_mut().pop().unwrap();
                let address = "192.0.2.1:4711";
                assert_eq!((&*of_connection, &*request, is_secure), (address, address, true));
                assert!(url.starts_with("https://localhost"), "{url}");
                // A client over its limit is closed before its handshake costs anything.
                let mut second = super::peer(server);
                second.send(&[claim.before(), vec![0x16, 3, 1]].concat());
                second.end().await;
                assert!(second.got.is_empty());
                drop(peer);
                until(|| server.stats().open == 0).await;
            }
            let mut peer = peer(server);
            peer.send(b"\x16\x03\x01");
            peer.end().await;
            until(|| server.stats().open == 0).await;
            let stats = server.stats();
            assert_eq!((stats.proxy_header_failed, stats.tls_failed, stats.rejected), (1, 0, 2));
        });
    }
}
