//! Rules that believe a proxy: what they say of the client rules each request of its own.

use super::Incoming;
use super::tests_server::Rig;
use crate::access::forwarded::Forwarded;
use crate::access::head_rule::{HeadRule, RequestHead};
use crate::access::transport::Transport;
use crate::config::Config;
use crate::error::RequestError;
use crate::handshake::{Request, answer_over};
use ::http::{HeaderMap, HeaderValue};
use core::net::SocketAddr;
use std::sync::Arc;

const PROXY: SocketAddr = SocketAddr::new(core::net::IpAddr::V4(core::net::Ipv4Addr::new(10, 0, 0, 1)), 9);

/// Believes three fields of the peer [`PROXY`], and shows what it completes.
#[derive(Debug)]
struct Believes;

impl HeadRule for Believes {
    fn forwarded(&self, head: &RequestHead<'_>) -> Option<Forwarded> {
        assert!(!head.transport().forwarded, "the transport of the connection itself");
        let field = |name| head.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let peer = field("x-peer").map(|peer| peer.parse().unwrap());
        let forwarded = Forwarded::default().peer(peer).is_secure(field("x-tls").map(|tls| tls == "yes"));
        (head.transport().peer == Some(PROXY)).then(|| forwarded.host(field("x-host").map(Into::into)))
    }

    fn check(&self, head: &RequestHead<'_>) -> Result<(), RequestError> {
        match head.transport().peer {
            Some(peer) if peer.port() == 666 => Err(RequestError::Unauthorized),
            _ => Ok(()),
        }
    }

    fn complete(&self, head: &RequestHead<'_>, response: &mut HeaderMap) {
        response
            .append("x-secure", HeaderValue::from_static(if head.transport().secure { "yes" } else { "no" }));
    }
}

fn rig(peer: SocketAddr) -> Rig {
    let mut rig = Rig::with(Config::server().allow_host("app.example").head_rule(Arc::new(Believes)));
    let transport = Transport { loopback_port: Some(8700), ..Transport::unix().peer(Some(peer)) };
    rig.http = super::ServerHttp::new(rig.now, transport);
    rig
}

fn post(fields: &str) -> String {
    format!("POST /a?b=c HTTP/1.1\r\nHost: inner:8700\r\n{fields}\r\n")
}

fn seen(request: &Request) -> (String, Option<String>, bool) {
    (request.peer_addr().unwrap().to_string(), request.url(), request.is_secure())
}

#[test]
fn each_request_of_a_connection_has_its_own_client() {
    let mut rig = rig(PROXY);
    let first = "X-Peer: 192.0.2.1:0\r\nX-Tls: yes\r\nX-Host: app.example\r\nContent-Length: 2\r\n";
    assert!(rig.feed(post(first)).is_none());
    let request = rig.request("ok");
    let url = Some("https://app.example/a?b=c".to_owned());
    assert_eq!(seen(&request), ("192.0.2.1:0".into(), url, true));
    assert_eq!(request.headers()["host"], "app.example");
    rig.ok(request, "");
    assert!(rig.output().contains("X-Secure: yes\r\n"));

    let request = rig.request(post("X-Peer: [2001:db8::1]:7\r\nX-Host: [::1]:8700\r\n"));
    assert_eq!(seen(&request), ("[2001:db8::1]:7".into(), Some("http://[::1]:8700/a?b=c".into()), false));
    rig.ok(request, "");
    assert!(rig.output().contains("X-Secure: no\r\n"));
}

#[test]
fn what_others_say_is_not_believed() {
    let mut rig = rig("10.0.0.2:9".parse().unwrap());
    let request = rig.request(post("X-Peer: 192.0.2.1:0\r\nX-Tls: yes\r\nX-Host: app.example\r\n"));
    assert_eq!(seen(&request), ("10.0.0.2:9".into(), Some("http://inner:8700/a?b=c".into()), false));
}

#[test]
fn the_rules_of_host_and_origin_see_the_client() {
    let status = |fields: &str| {
        let mut rig = rig(PROXY);
        match rig.feed(post(fields)) {
            Some(_) => 200,
            None => rig.statuses()[0],
        }
    };
    for (fields, expected) in [
        // The name within is one of the Unix socket; browsers come through the proxy, by another.
        ("", 421),
        ("X-Host: app.example\r\n", 200),
        ("X-Host: evil.example\r\n", 421),
        ("X-Host: app.example/x\r\n", 421),
        ("X-Host: app.example\r\nOrigin: https://app.example\r\nX-Tls: yes\r\n", 200),
        ("X-Host: app.example\r\nOrigin: http://app.example\r\nX-Tls: yes\r\n", 403),
        ("X-Host: app.example\r\nOrigin: http://app.example\r\nX-Tls: no\r\n", 200),
        // The names of this machine are one only for who connects to it.
        ("X-Host: localhost:8700\r\nOrigin: http://127.0.0.1:8700\r\n", 403),
        ("X-Host: app.example\r\nX-Peer: 192.0.2.1:666\r\n", 401),
    ] {
        assert_eq!(status(fields), expected, "{fields}");
    }
}

#[test]
fn an_upgrade_has_its_client_and_its_url() {
    let mut rig = rig(PROXY);
    let upgrade = "GET /chat HTTP/1.1\r\nHost: inner\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         X-Host: app.example\r\nX-Peer: 192.0.2.1:5\r\nX-Tls: yes\r\n\r\n";
    let Some(Incoming::Upgrade(upgrade)) = rig.feed(upgrade) else { panic!("no upgrade") };
    assert_eq!(upgrade.peer_addr(), Some("192.0.2.1:5".parse().unwrap()));
    assert_eq!(upgrade.url().as_deref(), Some("wss://app.example/chat"));
    let request = Request::from(upgrade);
    assert_eq!(seen(&request), ("192.0.2.1:5".into(), Some("https://app.example/chat".into()), true));
}

#[test]
fn another_server_may_believe_a_proxy_too() {
    let config = Config::server().allow_host("app.example").head_rule(Arc::new(Believes));
    let request = ::http::Request::get("/")
        .header("host", "inner")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("x-host", "app.example")
        .body(())
        .unwrap();
    let answer = answer_over(&request, &config, Transport::default().peer(Some(PROXY))).unwrap();
    assert_eq!((answer.peer_addr(), answer.url().as_deref()), (Some(PROXY), Some("ws://app.example/")));
    assert!(answer_over(&request, &config, Transport::default()).is_err());
}

#[test]
fn a_peer_that_is_known_later_is_that_of_the_first_request() {
    let mut rig = Rig::with(Config::server());
    rig.http = super::ServerHttp::new(rig.now, Transport::unix());
    rig.http.set_peer("192.0.2.1:5".parse().unwrap());
    assert!(rig.feed("GET / HTTP/1.1\r\nHost: d\r\n\r\n").is_none(), "the name of a Unix socket");
    let mut rig = Rig::with(Config::server());
    rig.http = super::ServerHttp::new(rig.now, Transport::unix());
    rig.http.set_peer("192.0.2.1:5".parse().unwrap());
    let request = rig.request("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(seen(&request), ("192.0.2.1:5".into(), Some("http://localhost/".into()), false));
}
