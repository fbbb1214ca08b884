//! Sessions of TLS: what each end sends, as bytes for the other, and two ends with what happens to them.

use crate::tls::provider::{self, Side, Terms, as_side, provider};
use crate::tls::{End, Setup, received};
use rustls::ClientConnection;
use std::io::Write;

/// The sizes of the parts in which the bytes arrive.
const PARTS: &[u8] = &[3, 1, 5, 200];
/// What is sent each way.
const SENT: usize = 300;

/// Names and inputs.
pub(super) fn all() -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    let mut add =
        |name: &str, head: [u8; 2], wire: &[u8]| seeds.push((name.to_owned(), [&head[..], wire].concat()));
    let bytes = |wire: &[u8]| [PARTS, wire].concat();
    for (name, setup) in SESSIONS {
        let [to_server, to_client] = recorded(Setup::of(setup));
        // An end does the same again, so that what its peer has sent is a whole session without the peer.
        for (side, wire) in [(Side::Server, &to_server), (Side::Client, &to_client)] {
            assert_eq!(received(side, Setup::of(setup), wire), SENT, "{name}");
        }
        add(&format!("{name}_to_a_server"), [0, setup], &bytes(&to_server));
        add(&format!("{name}_to_a_client"), [1, setup], &bytes(&to_client));
        for (what, acts) in ACTS {
            add(&format!("{name}_{what}"), [2, setup], &acts.concat());
        }
    }
    add("key_updates_to_a_server", [0, 0], &bytes(&key_updates()));
    let (request, response) =
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n");
    for (mode, setup) in [("only", 0), ("or_redirect", 8), ("or_plain", 16)] {
        add(&format!("plain_http_to_a_server_{mode}"), [0, setup], &bytes(request));
    }
    add("plain_http_to_a_client", [1, 0], &bytes(response));
    add("garbage_to_a_server", [0, 0], &bytes(b"\x16\x03\x01\x00\x05garbage"));
    add("garbage_to_a_client", [1, 0], &bytes(b"SSH-2.0-OpenSSH_9.2\r\n"));
    add("an_alert_to_a_client", [1, 0], &bytes(b"\x15\x03\x03\x00\x02\x02\x28"));
    seeds
}

const SESSIONS: [(&str, u8); 5] =
    [("tls_1_3", 0), ("tls_1_2", 1), ("retry", 2), ("client_certificate", 4), ("client_certificate_1_2", 5)];

/// What happens, by the table in `tls/mod.rs`: twice the kind, and one more for the server; the amount.
const ACTS: [(&str, &[[u8; 2]]); 8] = [
    ("both_send", &[[2, 0], [3, 0], [2, 0], [3, 0], [4, 90], [5, 200], [2, 0], [3, 0]]),
    ("sent_early", &[[4, 60], [5, 60], [2, 0], [3, 0], [2, 0]]),
    (
        "in_small_parts",
        &[[0, 7], [0, 1], [0, 250], [1, 5], [1, 255], [4, 20], [1, 255], [0, 3], [5, 20], [1, 9]],
    ),
    ("with_little_room", &[[2, 0], [7, 1], [3, 0], [5, 150], [3, 0], [7, 3], [3, 0], [7, 255], [3, 0]]),
    ("closed_by_the_client", &[[2, 0], [3, 0], [2, 0], [3, 0], [4, 9], [8, 0], [5, 9], [2, 0], [3, 0]]),
    ("flipped", &[[2, 0], [3, 0], [2, 0], [3, 0], [4, 30], [10, 77], [2, 0]]),
    ("dropped", &[[2, 0], [13, 40], [3, 0], [2, 0]]),
    ("repeated", &[[2, 0], [3, 0], [2, 0], [4, 5], [14, 255], [2, 0]]),
];

/// What each end sends in a whole session: to the server, and to the client.
fn recorded(setup: Setup) -> [Vec<u8>; 2] {
    provider::reset();
    let mut ends = [Side::Client, Side::Server].map(|side| End::new(side, setup));
    let mut wires = [Vec::new(), Vec::new()];
    ends[0].write();
    for round in 0..10 {
        for from in [0, 1] {
            if round == 5 {
                ends[from].offered = SENT;
                ends[from].write();
            }
            if round == 8 {
                ends[from].close();
            }
            let wire = std::mem::take(&mut ends[from].socket.output);
            wires[from].extend_from_slice(&wire);
            ends[1 - from].socket.input.extend(&wire[..]);
            ends[1 - from].read();
            ends[1 - from].write();
        }
    }
    assert!(ends.iter().all(|end| end.has_ended && end.received.len() == SENT));
    wires
}

/// What a client of rustls sends that updates its keys, and asks for new ones of the server (RFC 8446 §4.6.3).
fn key_updates() -> Vec<u8> {
    provider::reset();
    let mut server = End::new(Side::Server, Setup::of(0));
    let mut config = rustls::ClientConfig::builder_with_provider(provider(Side::Client, Terms::Tls13))
        .with_safe_default_protocol_versions()
        .expect("TLS 1.3")
        .with_root_certificates(crate::tls::roots())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = "localhost".try_into().expect("a name");
    let mut peer = as_side(Side::Client, || ClientConnection::new(config.into(), name)).expect("a client");
    let mut wire = Vec::new();
    for round in 0..6 {
        let mut sent = Vec::new();
        as_side(Side::Client, || {
            let mut input = &server.socket.output[..];
            while !input.is_empty() {
                let _ = peer.read_tls(&mut input).expect("a slice");
                let _ = peer.process_new_packets().expect("an honest server");
            }
            if round > 2 {
                peer.refresh_traffic_keys().expect("an open session");
                peer.writer().write_all(b"after a key update").expect("room");
            }
            while peer.wants_write() {
                let _ = peer.write_tls(&mut sent).expect("a vector");
            }
        });
        server.socket.output.clear();
        server.socket.input.extend(&sent[..]);
        server.read();
        server.offered += usize::from(round > 2);
        server.write();
        wire.extend_from_slice(&sent);
    }
    assert!(received(Side::Server, Setup::of(0), &wire) > SENT / 10, "the keys change");
    wire
}
