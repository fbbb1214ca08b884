//! Servers behind proxies that they trust, and the claims of everybody else.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;

use common::*;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use ws_kit::claims::Claim;
use ws_server_mio::{Event, InvalidConfig, ListenError, Options, ServerConfig, Via};

/// What the application sees of each request: the client of the connection and of the request, the address of the
/// socket, the URL, and whether it is secure.
type Seen = Arc<Mutex<Vec<(String, String, Option<SocketAddr>, String, bool)>>>;

fn shown(address: Option<SocketAddr>) -> String {
    address.map_or("-".into(), |address| address.to_string())
}

fn rig(config: ServerConfig) -> (Rig, Seen) {
    rig_with(Options::default(), config)
}

fn rig_with(options: Options, config: ServerConfig) -> (Rig, Seen) {
    let seen = Seen::default();
    let mut rig = Rig::with(options, config.allow_host("app.example"));
    let list = seen.clone();
    rig.app.also = Some(Box::new(move |connections, event| {
        let (id, peer, url, is_secure) = match event {
            Event::Request(id, request) => (*id, request.peer_addr(), request.url(), request.is_secure()),
            Event::Upgrade(id, upgrade) => (*id, upgrade.peer_addr(), upgrade.url(), upgrade.is_secure()),
            _ => return,
        };
        let of_connection = shown(connections.peer_addr(id));
        let transport = connections.transport_addr(id);
        list.lock().unwrap().push((of_connection, shown(peer), transport, url.unwrap(), is_secure));
    }));
    (rig, seen)
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

#[test]
fn each_request_through_a_trusted_proxy_has_its_own_client() {
    for claim in [Claim::Forwarded, Claim::XForwarded] {
        let (mut rig, seen) = rig(trusting(via(claim)));
        let mut peer = rig.peer();
        for client in ["192.0.2.1", "192.0.2.2", "127.0.0.1"] {
            peer.send(&get(&claim.fields_of(client)));
            assert_eq!(rig.response(&mut peer).0, 200);
            let last = seen.lock().unwrap().pop().unwrap();
            let address = format!("{client}:0");
            let url = "https://app.example/page".to_owned();
            assert_eq!(last, (address.clone(), address, Some(local(&peer)), url, true), "{claim:?}");
        }
        // The proxy itself, which says nothing.
        peer.send(&get(""));
        assert_eq!(rig.response(&mut peer).0, 200);
        let last = seen.lock().unwrap().pop().unwrap();
        assert_eq!((last.0, last.3), (local(&peer).to_string(), "http://localhost/page".into()));
    }
}

#[test]
fn a_websocket_has_the_client_of_its_upgrade() {
    for claim in Claim::ALL {
        let (mut rig, seen) = rig(trusting(via(claim)));
        let mut peer = rig.peer();
        let address = rig.address();
        peer.send(&claim.before());
        peer.send(&with_fields(handshake(address, "/ws"), &claim.fields()));
        assert!(rig.head(&mut peer).starts_with("HTTP/1.1 101"), "{claim:?}");
        rig.until("an open connection", |rig| !rig.app.open_ids().is_empty());
        let id = rig.app.open_ids()[0];
        let client = rig.endpoint.connections().peer_addr(id).unwrap();
        assert_eq!(client.ip().to_string(), "192.0.2.1", "{claim:?}");
        assert_eq!(rig.endpoint.connections().transport_addr(id), Some(local(&peer)));
        let has_url = ["Forwarded", "XForwarded"].contains(&&*format!("{:?}", via(claim)));
        assert_eq!(seen.lock().unwrap()[0].3 == "wss://app.example/ws", has_url, "{claim:?}");
        peer.send(&frame(0x81, b"hello"));
        assert_eq!(rig.frame(&mut peer), (0x81, b"hello".to_vec()));
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
            let (mut rig, seen) = rig(config);
            for claim in Claim::ALL {
                let mut peer = rig.peer();
                peer.send(&claim.before());
                peer.send(&get(&claim.fields()));
                let what = format!("{trusted:?} from {address}: {claim:?}");
                let is_believed = from_proxy && trusted == Some(via(claim));
                let is_header = via(claim) == Via::ProxyProtocol;
                if from_proxy && trusted == Some(Via::ProxyProtocol) && !is_header {
                    // It says nothing where it must say who its client is.
                    rig.end(&mut peer);
                    assert!(peer.got.is_empty(), "{what}");
                } else if is_header && !is_believed {
                    assert_eq!(rig.response(&mut peer).0, 400, "{what}");
                } else {
                    assert_eq!(rig.response(&mut peer).0, 200, "{what}");
                    let (client, _, _, url, is_secure) = seen.lock().unwrap().pop().unwrap();
                    assert_eq!(client.starts_with("192.0.2.1:"), is_believed, "{what}");
                    assert_eq!(is_secure && url.contains("app.example"), is_believed && !is_header, "{what}");
                }
                assert!(seen.lock().unwrap().is_empty(), "{what}");
            }
        }
    }
}

#[test]
fn the_limit_of_an_address_counts_the_client_behind_a_proxy() {
    let (mut rig, _) = rig(trusting(Via::XForwarded).max_per_address(Some(1)));
    let address = rig.address();
    let ask = |rig: &mut Rig, client: &str| {
        let mut peer = rig.peer();
        let fields = Claim::XForwarded.fields_of(client);
        peer.send(&with_fields(handshake(address, "/"), &fields));
        let head = rig.head(&mut peer);
        (peer, head[9..12].to_owned())
    };
    let (first, status) = ask(&mut rig, "192.0.2.1");
    assert_eq!(status, "101");
    let (second, status) = ask(&mut rig, "192.0.2.2");
    assert_eq!(status, "101");
    assert_eq!(ask(&mut rig, "192.0.2.1").1, "429");
    assert_eq!(ask(&mut rig, "2001:db8::1").1, "101");
    assert_eq!(rig.endpoint.connections().stats().rejected, 1);
    drop(first);
    rig.until("the end", |rig| !rig.app.closed().is_empty());
    assert_eq!(ask(&mut rig, "192.0.2.1").1, "101");
    drop(second);

    // A kept-alive connection counts for the client of its last request, and a refused request changes nothing.
    let mut peer = rig.peer();
    for (client, expected) in [("192.0.2.7", 200), ("192.0.2.8", 200), ("192.0.2.1", 200), ("192.0.2.7", 200)]
    {
        let (_other, _) = ask(&mut rig, "192.0.2.7");
        let expected = if client == "192.0.2.7" { 429 } else { expected };
        peer.send(&get(&Claim::XForwarded.fields_of(client)));
        assert_eq!(rig.response(&mut peer).0, expected, "{client}");
        rig.until("the end", |rig| rig.endpoint.connections().ids().count() < 4);
    }
}

#[test]
fn a_proxy_header_is_read_however_it_is_cut() {
    for claim in [Claim::Line, Claim::Binary] {
        let (mut rig, seen) = rig(trusting(Via::ProxyProtocol));
        let all = [claim.before(), get("")].concat();
        for cut in (0..claim.before().len() + 2).chain([usize::MAX]) {
            let mut peer = rig.peer();
            match cut {
                usize::MAX => {
                    for byte in all.chunks(1) {
                        peer.send(byte);
                        rig.turn();
                    }
                }
                cut => {
                    peer.send(&all[..cut]);
                    for _ in 0..3 {
                        rig.turn();
                    }
                    peer.send(&all[cut..]);
                }
            }
            assert_eq!(rig.response(&mut peer).0, 200, "{claim:?} at {cut}");
            let (client, request, transport, ..) = seen.lock().unwrap().pop().unwrap();
            let expected = "192.0.2.1:4711".to_owned();
            assert_eq!((client, request, transport), (expected.clone(), expected, Some(local(&peer))));
            // The header holds for all requests of the connection.
            peer.send(&get(&Claim::Forwarded.fields_of("192.0.2.9")));
            assert_eq!(rig.response(&mut peer).0, 200);
            assert_eq!(seen.lock().unwrap().pop().unwrap().1, "192.0.2.1:4711");
        }
        assert_eq!(rig.endpoint.connections().stats().proxy_header_failed, 0);
    }
}

#[test]
fn a_connection_of_the_proxy_itself_keeps_its_address() {
    let (mut rig, seen) = rig(trusting(Via::ProxyProtocol));
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let mut peer = rig.peer();
        peer.send(&[header, &get("")].concat());
        assert_eq!(rig.response(&mut peer).0, 200);
        assert_eq!(seen.lock().unwrap().pop().unwrap().0, local(&peer).to_string());
    }
}

#[test]
fn a_connection_without_its_proxy_header_is_closed_at_once_and_counted() {
    let (mut rig, seen) = rig(trusting(Via::ProxyProtocol).report_all_closes(true));
    let long = [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff".to_vec(), vec![0; 20]].concat();
    let bad: [&[u8]; 4] = [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"PROXY TCP4 x\r\n", &long];
    for (n, bytes) in bad.into_iter().enumerate() {
        let mut peer = rig.peer();
        peer.send(bytes);
        rig.end(&mut peer);
        assert!(peer.got.is_empty(), "{bytes:?}");
        rig.until("its end", |rig| rig.app.closed().len() > n);
        assert_eq!(rig.endpoint.connections().stats().proxy_header_failed, n as u64 + 1);
    }
    let text = rig.app.closed()[0].to_string();
    assert!(text.contains("send-proxy"), "{text}");
    assert!(seen.lock().unwrap().is_empty());
    // A check whether the port is open says nothing.
    drop(rig.peer());
    rig.until("its end", |rig| rig.app.closed().len() > bad.len());
    assert_eq!(rig.endpoint.connections().stats().proxy_header_failed, 4);
}

#[test]
fn a_proxy_header_must_arrive_within_the_handshake_timeout() {
    let clock = Clock::default();
    let config = trusting(Via::ProxyProtocol).handshake_timeout(Duration::from_secs(5));
    let (mut rig, _) = rig_with(clock.on(Options::default()), config);
    let mut peer = rig.peer();
    peer.send(b"PROXY TCP4 192.0.2.1");
    rig.until("the connection", |rig| rig.endpoint.connections().stats().open == 1);
    for _ in 0..3 {
        rig.turn();
    }
    clock.pass(Duration::from_millis(4_900));
    rig.turn();
    assert_eq!(rig.endpoint.connections().stats().open, 1);
    clock.pass(Duration::from_millis(200));
    rig.until("its end", |rig| rig.endpoint.connections().stats().open == 0);
    rig.end(&mut peer);
}

#[test]
fn a_client_over_its_limit_is_closed_behind_its_proxy_header() {
    let (mut rig, _) = rig(trusting(Via::ProxyProtocol).max_per_address(Some(1)));
    let ask = |rig: &mut Rig, client| {
        let mut peer = rig.peer();
        peer.send(&[Claim::Binary.before_of(client), get("")].concat());
        peer
    };
    let mut first = ask(&mut rig, [192, 0, 2, 1]);
    assert_eq!(rig.response(&mut first).0, 200);
    let mut second = ask(&mut rig, [192, 0, 2, 1]);
    rig.end(&mut second);
    assert!(second.got.is_empty());
    assert_eq!(rig.endpoint.connections().stats().rejected, 1);
    let mut other = ask(&mut rig, [192, 0, 2, 2]);
    assert_eq!(rig.response(&mut other).0, 200);
    drop(first);
    rig.until("the end", |rig| rig.endpoint.connections().stats().open == 1);
    let mut third = ask(&mut rig, [192, 0, 2, 1]);
    assert_eq!(rig.response(&mut third).0, 200);
}

#[cfg(unix)]
#[test]
fn peers_of_a_unix_socket_are_trusted_by_their_own_word() {
    use std::os::unix::net::UnixStream;
    for claim in Claim::ALL {
        let path = std::env::temp_dir().join(format!("ws-mio-trust-{}-{claim:?}", std::process::id()));
        let config = ServerConfig::new().allow_host("app.example").trust_proxy(["unix"], via(claim));
        let (mut rig, seen) = rig(config.clone());
        let bind = ws_server_mio::Bind::unix(&path);
        rig.endpoint.connections().listen(bind, config.decide_upgrades(true)).unwrap();
        let stream = UnixStream::connect(&path).unwrap();
        let mut peer = Peer::new(std::net::TcpStream::from(std::os::fd::OwnedFd::from(stream)));
        peer.send(&[claim.before(), get(&claim.fields())].concat());
        assert_eq!(rig.response(&mut peer).0, 200);
        let (client, _, transport, ..) = seen.lock().unwrap().pop().unwrap();
        assert!(client.starts_with("192.0.2.1:") && transport.is_none(), "{claim:?} {client}");
    }
}

#[test]
fn a_server_does_not_start_with_an_invalid_proxy() {
    let mut endpoint = ws_server_mio::Endpoint::new().unwrap();
    let config = ServerConfig::new().trust_proxy(["proxy.internal"], Via::Forwarded);
    let result = endpoint.connections().listen(ws_server_mio::Bind::localhost(), config);
    assert!(matches!(result, Err(ListenError::Config(InvalidConfig::TrustedProxy(_)))), "{result:?}");
}

#[test]
fn a_running_server_keeps_its_proxies() {
    let (mut rig, seen) = rig(trusting(Via::XForwarded));
    let server = rig.server;
    let config = ServerConfig::new().allow_host("app.example").trust_proxy(["127.0.0.1"], Via::Forwarded);
    rig.endpoint.connections().server(server).set_config(config).unwrap();
    for claim in [Claim::Forwarded, Claim::XForwarded] {
        let mut peer = rig.peer();
        peer.send(&get(&claim.fields()));
        assert_eq!(rig.response(&mut peer).0, 200);
        let client = seen.lock().unwrap().pop().unwrap().0;
        assert_eq!(client == "192.0.2.1:0", claim == Claim::XForwarded, "{claim:?}");
    }
}

#[cfg(feature = "tls")]
mod tls {
    use super::*;
    use std::io::{self, IoSlice};
    use std::net::TcpStream;
    use ws_server_mio::tls::{Identity, TlsClient, TlsLayer, TlsServer};

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
        let server = TlsServer::new(Identity::from_pem(&pem, key).unwrap()).unwrap();
        let client = TlsClient::roots_only(&pem).unwrap();
        let (mut rig, seen) = rig(trusting(Via::ProxyProtocol).tls(server).max_per_address(Some(1)));
        for claim in [Claim::Line, Claim::Binary] {
            let mut plain = rig.peer();
            plain.send(&claim.before());
            rig.turn();
            let mut peer = Peer::over(plain.stream, Tls(TlsLayer::client(&client, "localhost").unwrap()));
            peer.send(&get(""));
            assert_eq!(rig.response(&mut peer).0, 200);
            let (of_connection, request, _, url, is_secure) = seen.lock().unwrap().pop().unwrap();
            let address = "192.0.2.1:4711";
            assert_eq!((&*of_connection, &*request, is_secure), (address, address, true));
            assert!(url.starts_with("https://localhost"), "{url}");
            // A client over its limit is closed before its handshake costs anything.
            let mut second = rig.peer();
            second.send(&[claim.before(), vec![0x16, 3, 1]].concat());
            rig.end(&mut second);
            assert!(second.got.is_empty());
            drop(peer);
            rig.until("the end", |rig| rig.endpoint.connections().stats().open == 0);
        }
        let mut peer = rig.peer();
        peer.send(b"\x16\x03\x01");
        rig.end(&mut peer);
        let stats = rig.endpoint.connections().stats();
        assert_eq!((stats.proxy_header_failed, stats.tls_failed, stats.rejected), (1, 0, 2));
    }
}
