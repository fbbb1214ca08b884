//! Tunnels: every answer of a proxy, in every cut.

use super::*;
use core::time::Duration;
use ws_proto::http::StatusCode;
use ws_proto::{ClientRequest, Config};

const OPEN: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

fn tunnel(proxy: &str, target: &str) -> Tunnel {
    let request = ClientRequest::new(target).unwrap();
    let proxy = Proxy::new(proxy).unwrap();
    Tunnel::new(proxy.server(&request).unwrap(), &request, &Config::client()).unwrap()
}

fn take(tunnel: &mut Tunnel) -> Vec<u8> {
    let output = tunnel.output().to_vec();
    tunnel.written(output.len());
    output
}

/// Passes on an answer in parts of this size; returns how much of it came through the tunnel.
fn receive(tunnel: &mut Tunnel, answer: &[u8], size: usize) -> Result<Option<usize>, ProxyError> {
    let mut answer = answer.to_vec();
    let mut left = &mut answer[..];
    while !left.is_empty() {
        let n = left.len().min(size);
        let (part, rest) = left.split_at_mut(n);
        let mut part = part;
        if tunnel.receive(&mut part)? {
            return Ok(Some(part.len() + rest.len()));
        }
        assert!(part.is_empty(), "a closed tunnel consumes everything");
        left = rest;
    }
    Ok(None)
}

/// The outcome of an answer, which is the same for every size of its parts.
fn outcome(proxy: &str, answer: &[u8]) -> Result<Option<usize>, ProxyError> {
    let whole = receive(&mut tunnel(proxy, "wss://a.example/"), answer, usize::MAX);
    for size in 1..answer.len().min(70) {
        let parts = receive(&mut tunnel(proxy, "wss://a.example/"), answer, size);
        assert_eq!(parts, whole, "in parts of {size}");
    }
    whole
}

#[test]
fn connect_names_the_server_and_its_port_and_sends_credentials() {
    for (proxy, target, expected) in [
        ("proxy:1", "wss://a.example/x?y", "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"),
        ("http://proxy:1", "ws://a.example", "CONNECT a.example:80 HTTP/1.1\r\nHost: a.example:80\r\n\r\n"),
        (
            "http://p",
            "ws://[2001:db8::1]:9",
            "CONNECT [2001:db8::1]:9 HTTP/1.1\r\nHost: [2001:db8::1]:9\r\n\r\n",
        ),
        (
            "http://Aladdin:open%20sesame@p",
            "ws://a.example:9",
            "CONNECT a.example:9 HTTP/1.1\r\nHost: a.example:9\r\nProxy-Authorization: Basic \
             QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n",
        ),
    ] {
        let mut tunnel = tunnel(proxy, target);
        assert_eq!(String::from_utf8(take(&mut tunnel)).unwrap(), expected);
        assert!(tunnel.output().is_empty() && !tunnel.is_open());
    }
}

#[test]
fn output_is_written_in_any_parts() {
    let mut tunnel = tunnel("proxy:1", "wss://a.example/");
    let whole = tunnel.output().to_vec();
    let mut sent = Vec::new();
    while let Some(byte) = tunnel.output().first().copied() {
        sent.push(byte);
        tunnel.written(1);
    }
    assert_eq!(sent, whole);
}

#[test]
fn any_2xx_opens_the_tunnel_and_what_follows_its_head_belongs_to_it() {
    for (answer, left) in [
        (OPEN, 0),
        (b"HTTP/1.0 200 OK\r\n\r\n\x16\x03\x01", 3),
        (
            b"HTTP/1.1 204\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 407 No\r\n\r\n",
            19,
        ),
        // A single LF ends a line, too (RFC 9112 §2.2).
        (b"HTTP/1.0 200 Connection established\nProxy-agent: x\n\n\x16\x03\x01", 3),
        (b"HTTP/1.1 200 OK\r\nA: b\n\r\nrest", 4),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Wait\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx", 1),
    ] {
        assert_eq!(outcome("proxy:1", answer), Ok(Some(left)));
    }
}

#[test]
fn every_other_answer_is_an_error_of_its_own() {
    use ProxyError::*;
    let rejected = |status: u16, reason: &str| Rejected {
        status: StatusCode::from_u16(status).unwrap(),
        reason: reason.into(),
        retry_after: None,
    };
    let busy = |seconds| Rejected {
        status: StatusCode::SERVICE_UNAVAILABLE,
        reason: "Busy".into(),
        retry_after: Some(Duration::from_secs(seconds)),
    };
    let required = |offered: &str| AuthenticationRequired { offered: offered.into() };
    for (answer, expected) in [
        ("HTTP/1.1 407 Nope\r\n\r\n", required("")),
        ("HTTP/1.1 407 Nope\r\nProxy-Authenticate: Basic realm=\"a, b\"\r\n\r\n", required("Basic")),
        (
            "HTTP/1.1 407 No\r\nproxy-authenticate: Negotiate, NTLM\r\nproxy-authenticate: Negotiate\r\n\r\n",
            required("Negotiate, NTLM"),
        ),
        ("HTTP/1.1 401 Unauthorized\r\n\r\n", required("")),
        ("HTTP/1.1 403 Forbidden by rule\r\n\r\n", rejected(403, "Forbidden by rule")),
        ("HTTP/1.1 503\r\n\r\n", rejected(503, "")),
        ("HTTP/1.1 503 Busy\r\nRetry-After: 3\r\n\r\n", busy(3)),
        (
            "HTTP/1.1 503 Busy\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:41 GMT\r\n\r\n",
            busy(4),
        ),
        ("HTTP/1.1 302 Found\r\nLocation: http://portal/\r\n\r\n", rejected(302, "Found")),
        ("HTTP/1.1 101 Switching\r\n\r\n", rejected(101, "Switching")),
        ("HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n", Malformed("a header value")),
        ("HTTP/2 200 OK\r\n\r\n", Malformed("the status line")),
        ("HTTP/1.1 200 OK\r\nA b\r\n\r\n", Malformed("a header name")),
        ("\x05\x00", Malformed("the first line")),
        ("\x15\x03\x01\x00\x02", TlsRequired),
    ] {
        assert_eq!(outcome("http://proxy:1", answer.as_bytes()), Err(expected), "{answer:?}");
    }
    let challenge = b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\n\r\n";
    let rejected = Err(CredentialsRejected { offered: "Basic".into() });
    assert_eq!(outcome("http://a:b@proxy:1", challenge), rejected);
}

#[test]
fn heads_and_interim_answers_are_limited() {
    let long = [b"HTTP/1.1 200 ".to_vec(), vec![b'x'; 40 << 10]].concat();
    assert_eq!(receive(&mut tunnel("p:1", "ws://a"), &long, 1000), Err(ProxyError::HeadTooLarge));
    let fields = [b"HTTP/1.1 200 OK\r\n".to_vec(), b"A: b\r\n".repeat(101)].concat();
    assert_eq!(receive(&mut tunnel("p:1", "ws://a"), &fields, 999), Err(ProxyError::HeadTooLarge));
    let interim = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(16);
    let mut patient = tunnel("p:1", "ws://a");
    assert_eq!(receive(&mut patient, &interim, 7), Ok(None));
    assert_eq!(receive(&mut patient, OPEN, 7), Ok(Some(0)));
    let endless = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(17);
    let malformed = Err(ProxyError::Malformed("too many interim responses"));
    assert_eq!(receive(&mut tunnel("p:1", "ws://a"), &endless, 7), malformed);
}

#[test]
fn an_error_stays() {
    let mut failed = tunnel("p:1", "ws://a");
    let error = receive(&mut failed, b"HTTP/1.1 502 Bad Gateway\r\n\r\n", 9).unwrap_err();
    assert_eq!(receive(&mut failed, OPEN, 9), Err(error));
    assert!(!failed.is_open());
}

#[test]
fn socks_sends_names_as_names_and_addresses_as_addresses() {
    for (target, expected) in [
        ("ws://a.example/", &b"\x05\x01\x00\x03\x09a.example\x00\x50"[..]),
        ("wss://a.example/", b"\x05\x01\x00\x03\x09a.example\x01\xbb"),
        ("ws://192.0.2.7:258", b"\x05\x01\x00\x01\xc0\x00\x02\x07\x01\x02"),
        ("ws://[2001:db8::1]:1", b"\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x01"),
    ] {
        for scheme in ["socks5", "socks5h"] {
            let mut tunnel = tunnel(&format!("{scheme}://proxy"), target);
            assert_eq!(take(&mut tunnel), b"\x05\x01\x00");
            assert_eq!(receive(&mut tunnel, b"\x05\x00", 1), Ok(None));
            assert_eq!(take(&mut tunnel), expected, "{target}");
        }
    }
}

#[test]
fn socks_replies_of_every_kind_open_the_tunnel_and_no_byte_is_lost() {
    for address in [&b"\x01\0\0\0\0\0\0"[..], b"\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", b"\x03\x02ab\0\0"]
    {
        let answer = [b"\x05\x00\x05\x00\x00", address, b"rest"].concat();
        assert_eq!(outcome("socks5://proxy", &answer), Ok(Some(4)));
        let with_login = [b"\x05\x02\x01\x00\x05\x00\x00", address, b"rest"].concat();
        assert_eq!(outcome("socks5://a:b@proxy", &with_login), Ok(Some(4)));
    }
    let mut name = b"\x05\x00\x05\x00\x00\x03\xff".to_vec();
    name.extend([b'n'; 257]);
    assert_eq!(outcome("socks5://proxy", &name), Ok(Some(0)));
}

#[test]
fn socks_credentials_are_sent_only_where_the_proxy_asks() {
    let mut asked = tunnel("socks5://ann:s%3Acret@proxy", "ws://a");
    assert_eq!(take(&mut asked), b"\x05\x02\x00\x02");
    assert_eq!(receive(&mut asked, b"\x05\x02", 1), Ok(None));
    assert_eq!(take(&mut asked), b"\x01\x03ann\x06s:cret");
    assert_eq!(
        receive(&mut asked, b"\x05\x00", 1),
        Ok(None),
        "the version in the status message does not matter"
    );
    assert_eq!(take(&mut asked), b"\x05\x01\x00\x03\x01a\x00\x50");
    let mut unasked = tunnel("socks5://ann:secret@proxy", "ws://a");
    take(&mut unasked);
    assert_eq!(receive(&mut unasked, b"\x05\x00", 1), Ok(None));
    assert_eq!(take(&mut unasked), b"\x05\x01\x00\x03\x01a\x00\x50");
}

#[test]
fn every_failure_of_socks_is_an_error_of_its_own() {
    use ProxyError::*;
    let (open, login) = ("socks5://proxy", "socks5://a:b@proxy");
    let offered = || "".into();
    for (proxy, answer, expected) in [
        (open, &b"\x05\xff"[..], AuthenticationRequired { offered: offered() }),
        (login, b"\x05\xff", CredentialsRejected { offered: offered() }),
        (login, b"\x05\x02\x01\x01", CredentialsRejected { offered: offered() }),
        (open, b"\x05\x02", Malformed("a method of authentication that was not offered")),
        (open, b"\x05\x01", Malformed("a method of authentication that was not offered")),
        (open, b"\x04\x5a", Malformed("the version of SOCKS")),
        (open, b"HTTP/1.1 400 Bad Request\r\n\r\n", Malformed("the version of SOCKS")),
        (open, b"\x05\x00\x04\x00", Malformed("the version of SOCKS")),
        (open, b"\x05\x00\x05\x00\x00\x02", Malformed("the address type")),
    ] {
        assert_eq!(outcome(proxy, answer), Err(expected), "{answer:?}");
    }
    let mut sentences = std::collections::HashSet::new();
    for reply in 1..=9 {
        // Without the rest of the message.
        let error = outcome(open, &[5, 0, 5, reply]).unwrap_err();
        assert_eq!(error, Socks(SocksReply(reply)));
        assert!(sentences.insert(error.to_string()), "{error}");
    }
}

#[test]
fn urls_of_proxies_are_parsed() {
    let request = ClientRequest::new("ws://a").unwrap();
    for (url, expected) in [
        ("proxy", "http://proxy:1080"),
        ("proxy:3128", "http://proxy:3128"),
        ("HTTP://Proxy.Example./", "http://proxy.example:1080"),
        ("http://proxy:80", "http://proxy:80"),
        ("socks5://proxy", "socks5h://proxy:1080"),
        ("socks5h://[::1]", "socks5h://[::1]:1080"),
        ("socks5h://[::1]:9", "socks5h://[::1]:9"),
        ("http://ann@proxy", "http://proxy:1080"),
        ("http://ann:p@ss@proxy:9", "http://proxy:9"),
        ("http://@proxy:9", "http://proxy:9"),
    ] {
        let proxy = Proxy::new(url).unwrap();
        assert_eq!(proxy.server(&request).unwrap().to_string(), expected, "{url}");
    }
    let long = format!("socks5://{}@proxy", "a".repeat(256));
    for url in [
        "",
        "http://",
        "ftp://proxy",
        "socks4://proxy",
        "socks://proxy",
        "http://proxy:0",
        "http://proxy:99999",
        "http://proxy/proxy.pac",
        "http://proxy?x",
        "http://pro xy",
        "http://b\u{fc}cher.example",
        "http://ann%3A:x@proxy",
        "http://ann:a%0Ab@proxy",
        "http://%FF@proxy",
        "socks5://:secret@proxy",
        &long,
    ] {
        assert!(Proxy::new(url).is_err(), "{url}");
    }
    assert_eq!(Proxy::new("https://proxy").is_ok(), cfg!(feature = "tls-no-provider"));
}

#[test]
fn debug_shows_no_credentials() {
    for scheme in ["http", "socks5"] {
        let proxy = Proxy::new(&format!("{scheme}://ann:secret@proxy")).unwrap().no_proxy("b.example");
        let request = ClientRequest::new("ws://a").unwrap();
        let server = proxy.server(&request).unwrap();
        let tunnel = Tunnel::new(server, &request, &Config::client()).unwrap();
        let config = crate::client::ClientConfig::new().proxy(proxy.clone());
        for shown in [
            format!("{proxy:?}"),
            format!("{server:?} {server}"),
            format!("{tunnel:?}"),
            format!("{config:?}"),
        ] {
            assert!(!shown.contains("secret") && !shown.contains("ann"), "{shown}");
            assert!(!shown.contains("YW5uOnNlY3JldA"), "{shown}");
        }
    }
}

#[test]
fn credentials_may_be_set_apart_from_the_url() {
    let request = ClientRequest::new("ws://a").unwrap();
    let proxy = Proxy::new("http://old:old@proxy").unwrap().credentials("Aladdin", "open sesame").unwrap();
    let mut tunnel = Tunnel::new(proxy.server(&request).unwrap(), &request, &Config::client()).unwrap();
    assert!(String::from_utf8(take(&mut tunnel)).unwrap().contains("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"));
    assert!(proxy.credentials("a:b", "c").is_err());
}

#[test]
fn a_link_local_address_is_rejected_by_a_tunnel() {
    let request = ClientRequest::new("ws://[fe80::1%25eth0]:9").unwrap();
    let proxy = Proxy::new("proxy").unwrap();
    let tunnel = Tunnel::new(proxy.server(&request).unwrap(), &request, &Config::client());
    assert!(matches!(tunnel, Err(ProxyError::Target(_))));
}
