//! What trusted proxies say in header fields, and what others do.

use super::{TrustedProxies, Via};
use core::net::SocketAddr;
use http::Request;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;
use ws_proto::{Forwarded, RequestHead, Transport};

/// The proxies are at 10.0.0.0/8 and 2001:db8:ffff::/48.
fn trusted(via: Via) -> TrustedProxies {
    TrustedProxies::new(["10.0.0.0/8", "2001:db8:ffff::/48"], via)
}

/// What the proxy at 10.0.0.1 says with these lines.
fn said(via: Via, lines: &[(&str, &[u8])]) -> Option<Forwarded> {
    said_by(via, Some(([10, 0, 0, 1], 9).into()), lines)
}

fn said_by(via: Via, peer: Option<SocketAddr>, lines: &[(&str, &[u8])]) -> Option<Forwarded> {
    let mut request = Request::get("/");
    for (name, value) in lines {
        request = request.header(*name, *value);
    }
    let request = request.body(()).unwrap();
    trusted(via).forwarded(&RequestHead::new(&request, false).over(Transport::default().peer(peer)))
}

/// The client in one `Forwarded`; "-" if there is none.
fn client(value: &str) -> String {
    shown(said(Via::Forwarded, &[("forwarded", value.as_bytes())]))
}

fn client_of_x(value: &str) -> String {
    shown(said(Via::XForwarded, &[("x-forwarded-for", value.as_bytes())]))
}

fn shown(said: Option<Forwarded>) -> String {
    said.unwrap().peer.map_or("-".to_string(), |peer| peer.to_string())
}

#[test]
fn the_client_is_the_last_address_that_is_no_proxy() {
    for (list, expected) in [
        ("192.0.2.1", "192.0.2.1:0"),
        ("192.0.2.1, 10.0.0.2", "192.0.2.1:0"),
        ("198.51.100.7, 192.0.2.1,10.0.0.2 , 10.9.9.9", "192.0.2.1:0"),
        ("10.0.0.3, 192.0.2.1", "192.0.2.1:0"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3:0"),
        (",, 192.0.2.1,, ,", "192.0.2.1:0"),
        ("", "-"),
        (" , ", "-"),
        // What is malformed or hidden ends the list at the proxy that has sent it.
        ("192.0.2.1, x, 10.0.0.2", "10.0.0.2:0"),
        ("192.0.2.1, unknown, 10.0.0.2", "10.0.0.2:0"),
        ("192.0.2.1, unknown", "-"),
        ("192.0.2.1, 300.0.0.1", "-"),
        ("192.0.2.1, 10.0.0.1.", "-"),
    ] {
        assert_eq!(client_of_x(list), expected, "{list}");
        let elements = list.split(',').map(|node| match node.trim() {
            "" => node.to_string(),
            node => format!("for={node};by=10.0.0.1"),
        });
        let list = elements.collect::<Vec<_>>().join(",");
        assert_eq!(client(&list), expected, "{list}");
    }
}

#[test]
fn addresses_have_ports_and_brackets() {
    for (node, expected) in [
        ("192.0.2.1:4711", "192.0.2.1:4711"),
        ("[2001:db8::1]", "[2001:db8::1]:0"),
        ("[2001:db8::1]:4711", "[2001:db8::1]:4711"),
        ("[::ffff:192.0.2.1]:5", "192.0.2.1:5"),
        ("192.0.2.1:_port", "192.0.2.1:0"),
        ("192.0.2.1:", "-"),
        ("192.0.2.1:65536", "-"),
        ("192.0.2.1:000080", "-"),
        ("192.0.2.1:+80", "-"),
        ("[192.0.2.1]", "-"),
        ("[2001:db8::1", "-"),
        ("[2001:db8::1]x", "-"),
        ("[fe80::1%25eth0]", "-"),
        ("192.0.2.01", "-"),
        ("localhost", "-"),
        ("_hidden", "-"),
        ("_hidden:5", "-"),
        ("_", "-"),
        ("UNKNOWN:_x", "-"),
    ] {
        assert_eq!(client(&format!("for=\"{node}\"")), expected, "{node}");
        assert_eq!(client_of_x(node), expected, "{node}");
    }
    assert_eq!(client_of_x("2001:db8::1"), "[2001:db8::1]:0");
    assert_eq!(client_of_x("192.0.2.1, 2001:db8:ffff::5"), "192.0.2.1:0");
    assert_eq!(client("for=\"2001:db8::1\""), "-", "without brackets");
}

#[test]
fn several_fields_are_one_list() {
    let lines: &[(&str, &[u8])] = &[
        ("x-forwarded-for", b"198.51.100.7"),
        ("x-forwarded-for", b"192.0.2.1, 10.0.0.3"),
        ("X-Forwarded-For", b"10.0.0.2"),
    ];
    assert_eq!(shown(said(Via::XForwarded, lines)), "192.0.2.1:0");
    let lines: &[(&str, &[u8])] = &[
        ("forwarded", b"for=192.0.2.1;proto=https, for=10.0.0.3"),
        ("forwarded", b"for=10.0.0.2;proto=http"),
    ];
    let said = said(Via::Forwarded, lines).unwrap();
    assert_eq!((said.peer, said.is_secure), (Some(([192, 0, 2, 1], 0).into()), Some(true)));
}

#[test]
fn scheme_and_host_are_those_of_the_proxy_that_the_client_reached() {
    let of = |value: &str| {
        let said = said(Via::Forwarded, &[("forwarded", value.as_bytes())]).unwrap();
        (said.is_secure, said.host.as_deref().map(str::to_string))
    };
    for (value, is_secure, host) in [
        ("for=192.0.2.1;proto=https;host=app.example", Some(true), Some("app.example")),
        ("for=192.0.2.1; Proto=HTTP ; HOST=\"app.example:8443\"", Some(false), Some("app.example:8443")),
        ("for=192.0.2.1;proto=https;host=a, for=10.0.0.2;proto=http;host=b", Some(true), Some("a")),
        // It may be the client's word, or that of the proxy before: neither is known.
        ("for=192.0.2.1, for=10.0.0.2;proto=https;host=b", None, None),
        ("proto=https;host=a, for=192.0.2.1;proto=http;host=b", Some(false), Some("b")),
        ("proto=wss;for=_x;host=a, for=10.0.0.2", Some(true), Some("a")),
        ("for=192.0.2.1;proto=ftp;host=\"\\\"\"", None, Some("\"")),
        ("for=192.0.2.1;x=\"a,b;c\\\"\"", None, None),
    ] {
        assert_eq!(of(value), (is_secure, host.map(str::to_string)), "{value}");
    }
    let lines: &[(&str, &[u8])] = &[
        ("x-forwarded-proto", b"http, https"),
        ("x-forwarded-host", b"evil.example"),
        ("x-forwarded-host", b"spoof.example, app.example"),
    ];
    let said = said(Via::XForwarded, lines).unwrap();
    assert_eq!((said.peer, said.is_secure, said.host.as_deref()), (None, Some(true), Some("app.example")));
}

#[test]
fn nothing_that_a_client_sends_changes_what_the_proxy_appends() {
    for sent in [
        "for=\"",
        "for=\"198.51.100.7",
        "for=\\",
        "for=\"\\",
        "\"",
        "\"\"\"",
        ";",
        "for=198.51.100.7;for=198.51.100.8",
        "=",
        "for",
        "for=198.51.100.7;proto=\"",
        ",\"a,b\",\"",
    ] {
        assert_eq!(client(&format!("{sent}, for=192.0.2.1")), "192.0.2.1:0", "{sent}");
        assert_eq!(client(&format!("{sent}, for=\"[2001:db8::1]:7\"")), "[2001:db8::1]:7", "{sent}");
        assert_eq!(client_of_x(&format!("{sent}, 192.0.2.1")), "192.0.2.1:0", "{sent}");
        let behind = client(&format!("{sent}, for=10.0.0.2"));
        assert!(["10.0.0.2:0", "198.51.100.7:0"].contains(&&*behind), "{sent}: {behind}");
    }
    let bytes: Vec<u8> = (0x80..=0xff).collect();
    let value = [&bytes[..], b", for=192.0.2.1"].concat();
    assert_eq!(shown(said(Via::Forwarded, &[("forwarded", &value)])), "192.0.2.1:0");
}

#[test]
fn an_element_that_is_malformed_names_no_client() {
    for bad in [
        "for=192.0.2.1;for=192.0.2.1",
        "for=192.0.2.1;FOR=192.0.2.2",
        "for=192.0.2.1;proto=http;proto=https",
        "for =192.0.2.1",
        "for= 192.0.2.1",
        "for=192.0.2.1;x",
        "for=192.0.2.1;=x",
        "for=[2001:db8::1]",
        "for=\"192.0.2.1\"x",
        "for=\"192.0.2.1",
        "for=",
        "for=\"\"",
        "by=192.0.2.1",
        "x=y",
    ] {
        assert_eq!(client(bad), "-", "{bad}");
        assert_eq!(client(&format!("{bad},for=10.0.0.2")), "10.0.0.2:0", "{bad}");
    }
}

#[test]
fn only_thirty_two_proxies_are_passed() {
    let list = |proxies: usize| format!("192.0.2.1{}", ", 10.0.0.2".repeat(proxies));
    assert_eq!(client_of_x(&list(31)), "192.0.2.1:0");
    assert_eq!(client_of_x(&list(32)), "10.0.0.2:0");
    assert_eq!(client_of_x(&format!("192.0.2.1{}, 10.0.0.2", ",".repeat(30_000))), "192.0.2.1:0");
}

#[test]
fn other_peers_and_other_kinds_are_ignored() {
    let lines: &[(&str, &[u8])] = &[
        ("forwarded", b"for=192.0.2.1;proto=https;host=a.example"),
        ("x-forwarded-for", b"192.0.2.2"),
        ("x-forwarded-proto", b"https"),
        ("x-forwarded-host", b"b.example"),
        ("x-real-ip", b"192.0.2.3"),
    ];
    let proxy = |last| Some(SocketAddr::from(([10, 0, 0, last], 9)));
    let client = |said: Forwarded| said.peer.unwrap().ip().to_string();
    assert_eq!(said_by(Via::Forwarded, proxy(1), lines).map(client), Some("192.0.2.1".into()));
    assert_eq!(said_by(Via::XForwarded, proxy(1), lines).map(client), Some("192.0.2.2".into()));
    assert_eq!(said_by(Via::ProxyProtocol, proxy(1), lines), None);
    for via in [Via::Forwarded, Via::XForwarded, Via::ProxyProtocol] {
        for peer in [None, Some(([127, 0, 0, 1], 9).into()), Some(([192, 0, 2, 7], 9).into())] {
            assert_eq!(said_by(via, peer, lines), None, "{via:?} {peer:?}");
        }
    }
    // Each kind alone, while another is believed.
    assert_eq!(said_by(Via::Forwarded, proxy(1), &lines[1..]), None);
    assert_eq!(said_by(Via::XForwarded, proxy(1), &lines[..1]), None);
    // A dual-stack socket reports the proxy in IPv6.
    let mapped = Some("[::ffff:10.0.0.1]:9".parse().unwrap());
    assert!(said_by(Via::XForwarded, mapped, lines).is_some());
}
