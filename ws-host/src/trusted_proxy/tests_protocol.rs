//! The PROXY header, cut everywhere, malformed, and before a connection.

use super::{HEADER_LIMIT, ProxyHeader, ProxyHeaderError, ProxyHeaderLayer, Source};
use std::collections::VecDeque;
use std::format;
use std::io::{self, Read};
use std::string::String;
use std::vec::Vec;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header of version 2.
fn v2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, payload].concat()
}

fn v4_addresses() -> Vec<u8> {
    [&[192, 0, 2, 1, 10, 0, 0, 1][..], &56_324_u16.to_be_bytes(), &443_u16.to_be_bytes()].concat()
}

fn v6_addresses() -> Vec<u8> {
    let ip = |text: &str| text.parse::<core::net::Ipv6Addr>().unwrap().octets();
    [&ip("2001:db8::1")[..], &ip("::1"), &7_u16.to_be_bytes(), &443_u16.to_be_bytes()].concat()
}

fn client(address: &str) -> Source {
    Source::Client(address.parse().unwrap())
}

/// The headers that name a client, or none.
fn good() -> Vec<(Vec<u8>, Source)> {
    let line = |text: &str| format!("PROXY {text}\r\n").into_bytes();
    let tlvs = [vec![0x20, 0, 5], b"\x07alpn".to_vec(), vec![0x04, 0, 0]].concat();
    vec![
        (line("TCP4 192.0.2.1 10.0.0.1 56324 443"), client("192.0.2.1:56324")),
        (line("TCP4 255.255.255.255 255.255.255.255 65535 65535"), client("255.255.255.255:65535")),
        (line("TCP6 2001:db8::1 ::1 7 443"), client("[2001:db8::1]:7")),
        (line("TCP6 ::ffff:192.0.2.1 ::1 7 443"), client("192.0.2.1:7")),
        (line("UNKNOWN"), Source::Proxy),
        (line("UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535"), Source::Proxy),
        (v2(0x21, 0x11, &v4_addresses()), client("192.0.2.1:56324")),
        (v2(0x21, 0x11, &[v4_addresses(), tlvs.clone()].concat()), client("192.0.2.1:56324")),
        (v2(0x21, 0x21, &v6_addresses()), client("[2001:db8::1]:7")),
        (v2(0x21, 0x21, &[v6_addresses(), tlvs.clone()].concat()), client("[2001:db8::1]:7")),
        (v2(0x21, 0x21, &[v6_addresses(), vec![0; 484]].concat()), client("[2001:db8::1]:7")),
        (v2(0x20, 0, &[]), Source::Proxy),
        (v2(0x20, 0x11, &v4_addresses()), Source::Proxy),
        (v2(0x20, 0xff, &tlvs), Source::Proxy),
        (v2(0x21, 0, &[]), Source::Proxy),
        (v2(0x21, 0x31, &[b'x'; 216]), Source::Proxy),
    ]
}

/// Feeds it in steps of this many bytes; returns the source, and what was not of the header.
fn feed(bytes: &[u8], step: usize) -> Result<Option<(Source, Vec<u8>)>, ProxyHeaderError> {
    let mut header = ProxyHeader::new(HEADER_LIMIT);
    let mut fed = 0;
    for part in bytes.chunks(step) {
        let mut input = part;
        fed += part.len();
        if let Some(source) = header.receive(&mut input)? {
            return Ok(Some((source, [input, &bytes[fed..]].concat())));
        }
        assert!(input.is_empty(), "a header that is not whole takes everything");
    }
    Ok(None)
}

#[test]
fn a_header_is_read_however_it_is_cut() {
    for (bytes, source) in good() {
        let behind = b"PROXY TCP4 \r\n\x16".to_vec();
        let all = [&bytes[..], &behind].concat();
        for step in (1..=all.len()).chain([usize::MAX]) {
            assert_eq!(feed(&all, step), Ok(Some((source, behind.clone()))), "{bytes:?} by {step}");
        }
        for cut in 0..bytes.len() {
            assert_eq!(feed(&bytes[..cut], usize::MAX), Ok(None), "{bytes:?} at {cut}");
        }
    }
}

#[test]
fn a_connection_without_a_header_is_known_by_its_first_byte_that_differs() {
    let missing = Err(ProxyHeaderError::Missing);
    for (bytes, at) in [
        (&b"GET / HTTP/1.1\r\n"[..], 1),
        (b"POST /", 2),
        (b"PROPFIND /", 4),
        (b"PROXYTCP4", 6),
        (b"proxy TCP4", 1),
        (b"\x16\x03\x01", 1),
        (b"\r\n\r\nGET", 5),
        (b"\n", 1),
        (b"\0", 1),
    ] {
        for step in [1, usize::MAX] {
            assert_eq!(feed(bytes, step), missing, "{bytes:?}");
        }
        assert_eq!(feed(&bytes[..at], 1), missing, "{bytes:?}");
        assert_eq!(feed(&bytes[..at - 1], 1), Ok(None), "{bytes:?}");
    }
}

#[test]
fn a_malformed_header_is_an_error() {
    let lines = [
        "TCP4 192.0.2.1 10.0.0.1 56324",
        "TCP4 192.0.2.1 10.0.0.1 56324 443 5",
        "TCP4  192.0.2.1 10.0.0.1 56324 443",
        "TCP4 192.0.2.1 10.0.0.1 65536 443",
        "TCP4 192.0.2.1 10.0.0.1 -1 443",
        "TCP4 192.0.2.1 10.0.0.1 56324 x",
        "TCP4 192.0.2.1 10.0.0.1 56324 ",
        "TCP4 2001:db8::1 10.0.0.1 56324 443",
        "TCP4 192.0.2.01 10.0.0.1 56324 443",
        "TCP4 192.0.2.1:5 10.0.0.1 56324 443",
        "TCP6 192.0.2.1 ::1 56324 443",
        "TCP6 2001:db8::1 10.0.0.1 56324 443",
        "UDP4 192.0.2.1 10.0.0.1 56324 443",
        "tcp4 192.0.2.1 10.0.0.1 56324 443",
        "unknown",
        "",
    ];
    let lines = lines.map(|line| format!("PROXY {line}\r\n").into_bytes());
    let broken = [b"PROXY TCP4 192.0.2.1\n".to_vec(), b"PROXY UNKNOWN\rx".to_vec()];
    let binary = [
        v2(0x11, 0x11, &v4_addresses()),
        v2(0x22, 0x11, &v4_addresses()),
        v2(0x31, 0x11, &v4_addresses()),
        v2(0x21, 0x12, &v4_addresses()),
        v2(0x21, 0x22, &v6_addresses()),
        v2(0x21, 0x41, &v6_addresses()),
        v2(0x21, 0x11, &v4_addresses()[..11]),
        v2(0x21, 0x21, &v4_addresses()),
    ];
    for bytes in lines.into_iter().chain(broken).chain(binary) {
        for step in [1, usize::MAX] {
            let result = feed(&bytes, step);
            assert!(matches!(result, Err(ProxyHeaderError::Malformed(_))), "{bytes:?}: {result:?}");
        }
    }
}

#[test]
fn a_header_over_its_limit_is_rejected_before_it_is_read() {
    let line = |length: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(length - 16));
    assert_eq!(feed(line(107).as_bytes(), 1), Ok(Some((Source::Proxy, Vec::new()))));
    let too_long = ProxyHeaderError::TooLong { length: None, limit: 107 };
    assert_eq!(feed(&line(108).as_bytes()[..107], 1), Err(too_long));

    let declares = |length: u16| [SIGNATURE, &[0x21, 0x11], &length.to_be_bytes()].concat();
    assert_eq!(feed(&declares(520), 1), Ok(None));
    for length in [521, u16::MAX] {
        let error = ProxyHeaderError::TooLong { length: Some(16 + usize::from(length)), limit: 536 };
        assert!(format!("{error}").contains("proxy_header_limit"));
        assert_eq!(feed(&declares(length), 1), Err(error));
    }
    let mut header = ProxyHeader::new(usize::MAX);
    let bytes = v2(0x21, 0x11, &[v4_addresses(), vec![0; 60_000]].concat());
    assert_eq!(header.receive(&mut &bytes[..]), Ok(Some(client("192.0.2.1:56324"))));
}

/// A socket that gives a few bytes at a time.
struct Slow {
    bytes: VecDeque<u8>,
    size: usize,
    ends: bool,
    reads: usize,
}

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads += 1;
        let n = self.size.min(buffer.len()).min(self.bytes.len());
        if n == 0 && !self.ends {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        for (to, from) in buffer.iter_mut().zip(self.bytes.drain(..n)) {
            *to = from;
        }
        Ok(n)
    }
}

fn slow(bytes: &[u8], size: usize, ends: bool) -> Slow {
    Slow { bytes: bytes.iter().copied().collect(), size, ends, reads: 0 }
}

#[test]
fn the_client_is_known_before_the_first_byte_and_no_byte_is_lost() {
    for (header, source) in good() {
        for size in [1, 3, header.len() - 1, header.len(), header.len() + 1, 4096] {
            let all = [&header[..], b"hello, world"].concat();
            let (mut socket, mut layer) = (slow(&all, size, true), ProxyHeaderLayer::new(HEADER_LIMIT));
            let (mut received, mut known) = (Vec::new(), None);
            loop {
                let reads = socket.reads;
                let mut buffer = [0; 5];
                match layer.read(&mut socket, &mut buffer) {
                    Ok(0) => break,
                    Ok(n) => received.extend_from_slice(&buffer[..n]),
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::Interrupted),
                }
                assert!(socket.reads <= reads + 1);
                known = known.or(layer.take_client());
                assert!(
                    received.is_empty()
                        || layer.is_awaiting()
                        || known.is_some() == (source != Source::Proxy)
                );
            }
            assert_eq!(received, b"hello, world", "{header:?} by {size}");
            assert_eq!(known.map_or(Source::Proxy, Source::Client), source);
            assert!(layer.is_done());
        }
    }
}

#[test]
fn an_end_within_the_header_is_an_error_and_one_before_it_is_not() {
    let error = |bytes: &[u8]| {
        let (mut socket, mut layer) = (slow(bytes, 4096, true), ProxyHeaderLayer::new(HEADER_LIMIT));
        let mut buffer = [0; 9];
        loop {
            match layer.read(&mut socket, &mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Some(ws_proto::Error::from(error)),
                Ok(n) => return (n > 0).then(|| panic!("{n}")),
            }
        }
    };
    assert!(error(b"").is_none());
    for bytes in [&b"P"[..], b"PROXY TCP4", SIGNATURE] {
        let error = error(bytes);
        let is_truncated = matches!(&error, Some(ws_proto::Error::ProxyHeader(ProxyHeaderError::Truncated)));
        assert!(is_truncated, "{error:?}");
    }
    let missing: String = error(b"GET /").map(|error| format!("{error}")).unwrap();
    assert!(missing.contains("send-proxy"), "{missing}");
}
