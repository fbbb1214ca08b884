//! For all input, in any split: the same events, the same output, and no panic.

use super::tests_server::{GET, Rig, UPGRADE};
use super::tests_streaming::streaming;
use super::{ClientHttp, Incoming};
use crate::access::cors::Cors;
use crate::config::Config;
use crate::event::RequestBody;
use crate::handshake::ClientRequest;
use crate::outbox::Outbox;
use ::http::Response;
use bytes::Bytes;
use proptest::prelude::*;

/// Feeds the bytes in slices of these sizes, cyclically, and answers at once. Returns the events, the output, and the
/// rest of the input.
fn run(bytes: &[u8], sizes: &[usize], config: &Config) -> (Vec<String>, Vec<u8>, Vec<u8>) {
    let mut rig = Rig::with(config.clone());
    let mut events = Vec::new();
    let mut streaming = None;
    let mut received = Vec::new();
    let mut output = Vec::new();
    let mut left = bytes;
    let mut sizes = sizes.iter().copied().cycle();
    while !left.is_empty() {
        let (part, rest) = left.split_at(sizes.next().unwrap_or(left.len()).clamp(1, left.len()));
        left = rest;
        let mut incoming = rig.feed(part);
        while let Some(event) = incoming {
            match event {
                Incoming::Request(request) if request.is_streaming() && request.query().is_none() => {
                    events.push(format!("{:?}", request.http()));
                    streaming = Some(request);
                }
                Incoming::Body(RequestBody::Data(data)) => received.extend_from_slice(&data),
                Incoming::Body(end) => {
                    events.push(format!("{end:?} after {}", received.len()));
                    received.clear();
                    if let (Some(request), RequestBody::Complete) = (streaming.take(), end) {
                        rig.respond(request, Response::new(Bytes::from("stored"))).unwrap();
                    }
                }
                Incoming::Request(request) => {
                    events.push(format!("{:?}", request.http()));
                    let body = Bytes::from(format!("{} {}", request.method(), request.body().len()));
                    rig.respond(request, Response::new(body)).unwrap();
                }
                Incoming::Upgrade(upgrade) => {
                    events.push(format!("{:?}", upgrade.http()));
                    // Rejects half of them, by their target, to cover both paths.
                    if upgrade.query().is_some() {
                        rig.respond(upgrade, Response::new(Bytes::new())).unwrap();
                    } else {
                        rig.accept(upgrade).unwrap();
                    }
                }
            }
            incoming = rig.feed("");
        }
        output.extend_from_slice(rig.output_bytes().as_slice());
    }
    if let Some(ending) = rig.http.ending() {
        events.push(format!("{ending:?}"));
        // After a fault, the rest is unspecified, and never read.
        if ending.cause.is_some() {
            rig.rest.clear();
        }
    }
    events.extend(rig.http.take_opened().map(|response| format!("{response:?}")));
    (events, output, rig.rest)
}

/// Valid and invalid requests in a row on one connection.
fn conversation() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        5 => Just(GET.to_owned()),
        2 => Just(format!("\r\n{GET}")),
        5 => (0..3000_usize).prop_map(|n| format!(
            "POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: {n}\r\n\r\n{}", "b".repeat(n)
        )),
        5 => proptest::collection::vec(1..300_usize, 0..5).prop_map(|chunks| {
            let mut body = "PUT /?x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
            for n in chunks {
                body += &format!("{n:x};e=f\r\n{}\r\n", "c".repeat(n));
            }
            body + "0\r\nTrailer: x\r\n\r\n"
        }),
        4 => (0..3000_usize, 0..3_usize).prop_map(|(n, how)| {
            let (query, expect) = [("", ""), ("?refuse", ""), ("", "Expect: 100-continue\r\n")][how];
            let length = format!("Content-Length: {n}");
            format!("PUT /files/a{query} HTTP/1.1\r\nHost: localhost\r\n{expect}{length}\r\n\r\n{}", "d".repeat(n))
        }),
        4 => proptest::collection::vec(1..300_usize, 0..9).prop_map(|chunks| {
            let mut body = "PUT /files/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
            for n in chunks {
                body += &format!("{n:x}\r\n{}\r\n", "c".repeat(n));
            }
            body + "0\r\nTrailer: x\r\n\r\n"
        }),
        2 => Just("POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi".to_owned()),
        2 => Just("HEAD / HTTP/1.1\r\nHost: 127.0.0.1:80\r\nCookie: a=b\r\n\r\n".to_owned()),
        1 => Just("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_owned()),
        1 => Just("GET / HTTP/1.0\r\n\r\n".to_owned()),
        1 => Just(UPGRADE.to_owned()),
        2 => Just(UPGRADE.replace("/ws", "/ws?reject")),
        2 => (0..40_u8, 0..9_usize).prop_map(|(port, n)| format!(
            "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost:{port}\r\n\
             Access-Control-Request-Method: PUT\r\nContent-Length: {n}\r\n\r\n{}", "b".repeat(n)
        )),
        1 => (0..40_000_usize).prop_map(|n| format!(
            "POST /{} HTTP/1.1\r\nOrigin: http://localhost:7\r\nHost: a\r\n\r\n", "t".repeat(n)
        )),
        1 => (0..40_000_usize).prop_map(|n| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "t".repeat(n))),
        1 => (0..40_000_usize).prop_map(|n| format!(
            "GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "v".repeat(n)
        )),
        1 => (0..200_usize).prop_map(|n| format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "F: g\r\n".repeat(n))),
    ];
    let mutation = (any::<proptest::sample::Index>(), any::<u8>(), 0..4_u8);
    (proptest::collection::vec(part, 1..8), proptest::collection::vec(mutation, 0..3)).prop_map(
        |(parts, mutations)| {
            let mut bytes = parts.concat().into_bytes();
            for (index, byte, kind) in mutations {
                let at = index.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
                match kind {
                    0 if !bytes.is_empty() => bytes[at] = byte,
                    1 if !bytes.is_empty() => drop(bytes.remove(at)),
                    2 => bytes.insert(at, byte),
                    _ => bytes.truncate(at),
                }
            }
            bytes
        },
    )
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        Just(vec![1]),
        proptest::collection::vec(1..100_usize, 1..20),
        proptest::collection::vec(1..20_000_usize, 1..4)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn server_result_is_independent_of_cuts(bytes in conversation(), sizes in sizes()) {
        let mut config = streaming(2000);
        config.body_limit = 2000;
        let whole = run(&bytes, &[], &config);
        let cut = run(&bytes, &sizes, &config);
        prop_assert_eq!(&whole.0, &cut.0);
        prop_assert_eq!(String::from_utf8_lossy(&whole.1), String::from_utf8_lossy(&cut.1));
        prop_assert_eq!(whole.2, cut.2);
    }

    #[test]
    fn cors_grant_is_independent_of_cuts(
        bytes in conversation(), sizes in sizes(), port in 0..40_u8, any in any::<bool>(), head in 100..9000_usize,
    ) {
        let cors = Cors::new().origin(&format!("http://localhost:{port}")).origin("http://localhost:7");
        let mut config = Config::server().cors(if any { Cors::new().any_origin() } else { cors });
        (config.body_limit, config.head_limit, config.target_limit) = (2000, head, 5000);
        prop_assert_eq!(run(&bytes, &[], &config), run(&bytes, &sizes, &config));
    }

    #[test]
    fn small_limits_are_independent_of_cuts(
        bytes in conversation(), sizes in sizes(), head in 0..100_usize, target in 0..20_usize, fields in 0..4_usize,
    ) {
        let mut config = Config::server();
        (config.head_limit, config.target_limit, config.header_limit) = (head, target, fields);
        prop_assert_eq!(run(&bytes, &[], &config), run(&bytes, &sizes, &config));
    }

    #[test]
    fn no_bytes_panic_a_server(bytes in proptest::collection::vec(any::<u8>(), 0..2000), sizes in sizes()) {
        run(&bytes, &sizes, &Config::server());
    }

    #[test]
    fn client_result_is_independent_of_cuts(
        status in prop_oneof![Just("101 Switching"), Just("200 OK"), Just("103 Hints"), Just("404")],
        field in prop_oneof![
            Just("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            Just("Content-Length: 7"), Just("Transfer-Encoding: chunked"), Just("X: y"), Just("X")
        ],
        behind in proptest::collection::vec(any::<u8>(), 0..100),
        mutation in proptest::option::of((any::<proptest::sample::Index>(), any::<u8>())),
        sizes in sizes(),
    ) {
        let mut bytes = format!("HTTP/1.1 {status}\r\n{field}\r\n\r\n7\r\nrefused\r\n0\r\n\r\n").into_bytes();
        bytes.extend(behind);
        if let Some((index, byte)) = mutation {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        prop_assert_eq!(client(&bytes, &[]), client(&bytes, &sizes));
    }
}

/// A client's result for these bytes, and how many it leaves.
fn client(bytes: &[u8], sizes: &[usize]) -> (String, usize) {
    let request = ClientRequest::new("ws://localhost").unwrap();
    let config = Config::client();
    let mut client = ClientHttp::new(&config, &request, *b"the sample nonce", &mut Outbox::default());
    let mut bytes = bytes.to_vec();
    let mut left = &mut bytes[..];
    let mut sizes = sizes.iter().copied().cycle();
    while !left.is_empty() {
        let size = sizes.next().unwrap_or(left.len()).clamp(1, left.len());
        let (mut part, rest) = left.split_at_mut(size);
        if let Some(result) = client.handle_input(&config, &mut part) {
            // The end of a rejection's body is irrelevant: nothing follows it.
            let unused = if result.is_ok() { part.len() + rest.len() } else { 0 };
            return (format!("{result:?}"), unused);
        }
        left = rest;
    }
    (format!("{:?}", client.handle_eof()), 0)
}

#[test]
fn dripping_body_is_held_once() {
    let n = 100_000;
    let bytes = format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {n}\r\n\r\n{}", "x".repeat(n));
    let (events, output, rest) = run(bytes.as_bytes(), &[1], &Config::server());
    assert_eq!(events.len(), 1);
    assert!(output.ends_with(b"POST 100000"));
    assert!(rest.is_empty());
}
