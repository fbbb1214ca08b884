//! The URLs of servers.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;
use common::*;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use ws_server_mio::http::Uri;
use ws_server_mio::{Bind, Endpoint, ServerConfig};

fn authority(url: &str) -> SocketAddr {
    let url: Uri = url.parse().unwrap();
    url.authority().unwrap().as_str().parse().unwrap()
}

#[test]
fn a_lan_url_works_and_is_not_loopback() {
    let mut endpoint = Endpoint::new().unwrap();
    let server = endpoint.connections().listen(Bind::lan(), ServerConfig::new()).unwrap();
    let mut rig = Rig { endpoint, server, app: App::default() };
    // A machine without a network has none.
    let Some(url) = rig.endpoint.connections().server(server).lan_url("a b") else { return };
    assert!(url.starts_with("ws://") && url.ends_with("/a%20b"), "{url}");
    let address = authority(&url);
    assert!(!address.ip().is_loopback() && !address.ip().is_unspecified(), "{url}");
    let mut peer = Peer::connect(address);
    peer.send(&get(address, "/"));
    assert_eq!(rig.response(&mut peer).0, 200);
    let connections = rig.endpoint.connections();
    assert_eq!(connections.server(server).lan_http_url("a b").unwrap(), url.replace("ws:", "http:"));
    assert_eq!(connections.server(server).urls("a b").last(), Some(&url));
}

#[test]
fn a_loopback_server_has_no_lan_url() {
    let mut rig = Rig::new(ServerConfig::new());
    let port = rig.address().port();
    let connections = rig.endpoint.connections();
    assert_eq!(connections.server(rig.server).lan_url("/"), None);
    assert_eq!(connections.server(rig.server).lan_http_url("/"), None);
    let urls = connections.server(rig.server).urls("/");
    assert_eq!(urls[0], format!("ws://127.0.0.1:{port}/"));
    assert!(urls.len() == 1 || urls[1..] == [format!("ws://[::1]:{port}/")], "{urls:?}");
    let of_this_machine =
        connections.listen((IpAddr::V4(Ipv4Addr::LOCALHOST), 0), ServerConfig::new()).unwrap();
    assert_eq!(connections.server(of_this_machine).urls("/").len(), 1);
}

#[test]
fn a_stopping_server_has_no_url() {
    let mut rig = Rig::new(ServerConfig::new());
    let server = rig.server;
    let connections = rig.endpoint.connections();
    assert!(
        connections.server(server).url("/").is_some() && connections.server(server).http_url("/").is_some()
    );
    connections.server(server).stop(Duration::from_secs(60));
    for _ in 0..2 {
        let connections = rig.endpoint.connections();
        assert_eq!(connections.server(server).url("/"), None);
        assert_eq!(connections.server(server).http_url("/"), None);
        assert_eq!(connections.server(server).lan_url("/"), None);
        assert!(connections.server(server).urls("/").is_empty());
        rig.until("its end", |rig| matches!(rig.app.seen.last(), Some(Seen::Stopped(_))));
    }
}
