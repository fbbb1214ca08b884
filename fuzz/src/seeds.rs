//! The committed seeds: the examples of RFC 6455, handshakes of real programs, and a violation of each rule.
//! `cargo run --example seeds` writes them. Inputs that the fuzzer found are kept beside them as `found_…`.

use crate::bytes::request;
use crate::setup::SEED;
use std::sync::Arc;
use ws_proto::{Config, Connection, Moment};

mod frames;
mod messages;
mod proxies;
mod schedules;
mod tls;
mod trusted;

/// An input with a descriptive name.
#[derive(Clone, Debug)]
pub struct Seed {
    /// Its target.
    pub target: &'static str,
    /// Its file name.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// All seeds.
pub fn all() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let mut add = |target, name: &str, head: &[u8], wire: &[u8]| {
        seeds.push(Seed { target, name: name.to_owned(), bytes: [head, wire].concat() });
    };
    for (name, wire) in messages::requests() {
        add("http_head", name, b"\0", &wire);
        add("server_bytes", name, &head(HTTP, &[]), &wire);
        add("split", name, &[&[SERVER][..], &head(HTTP, b"\0\x10")].concat(), &wire);
        if name.starts_with("a_body") || name == "a_chunk_that_lies" {
            let name = format!("{name}_streaming");
            add("http_head", &name, b"\x02", &wire);
            add("server_bytes", &name, &head(STREAMING, &[]), &wire);
            // Answered before their bodies.
            add("server_bytes", &format!("{name}_rejected"), &head(STREAMING, &[8]), &wire);
            add("split", &name, &[&[SERVER][..], &head(STREAMING, b"\0\x03")].concat(), &wire);
        }
    }
    for (name, offers) in messages::EXTENSIONS {
        add("extensions", name, b"\x1f\x1f", offers.as_bytes());
    }
    for (name, kind, answer) in proxies::ANSWERS {
        add("proxy", name, &[kind, 3], answer);
    }
    for (name, kind, claim) in trusted::CLAIMS {
        add("trusted", name, &[kind, 3], claim);
    }
    for (name, which, step) in [("exchanged", 0, 37), ("exchanged_otherwise", 0, 101), ("garbage", 1, 59)] {
        let decisions: Vec<u8> = (1..200).map(|n: u8| n.wrapping_mul(step)).collect();
        add("deflate", name, &[which], &decisions);
    }
    for (name, setup, script, wire) in messages::conversations() {
        add("server_bytes", name, &head(setup, script), &wire);
    }
    for (name, wire) in messages::answers(&accept()) {
        add("http_head", name, b"\x01", &wire);
        add("client_bytes", name, &head(HTTP, &[]), &wire);
        add("split", name, &[&[CLIENT][..], &head(HTTP, b"\0\x10")].concat(), &wire);
    }
    for (name, setup, script, parts) in frames::all() {
        let [to_server, to_client] = [true, false].map(|masked| frames::wire(masked, &parts));
        add("server_bytes", name, &head(setup, script), &to_server);
        add("client_bytes", name, &head(setup, script), &to_client);
        add(
            "split",
            &format!("{name}_to_a_server"),
            &[&[SERVER][..], &head(setup, b"\0\x03")].concat(),
            &to_server,
        );
        add(
            "split",
            &format!("{name}_to_a_client"),
            &[&[CLIENT][..], &head(setup, b"\0\x03")].concat(),
            &to_client,
        );
    }
    for (name, setup, message) in frames::compressed() {
        for (whose, masked, to) in [(SERVER, true, "a_server"), (CLIENT, false, "a_client")] {
            let head = [&[whose | COMPRESSED][..], &head(setup, b"\0\x03")].concat();
            add("split", &format!("{name}_to_{to}"), &head, &frames::wire(masked, &message));
        }
    }
    for (name, bytes) in schedules::all() {
        add("pair", name, &[], &bytes);
    }
    for (name, bytes) in tls::all() {
        add("tls", &name, &[], &bytes);
    }
    seeds
}

/// The first byte of `split`.
const SERVER: u8 = 0;
const CLIENT: u8 = 1;
const COMPRESSED: u8 = 2;

/// Four configuration bytes; see `setup.rs`.
type Setup = [u8; 4];
/// The defaults, from the first byte of HTTP.
const HTTP: Setup = [0, 0, 0, 0];
/// The same, with bodies that stream.
const STREAMING: Setup = [0, 0, 0, 0x20];
/// The defaults, already open.
const OPEN: Setup = [0, 0, 0x80, 0];

fn head(setup: Setup, script: &[u8]) -> Vec<u8> {
    [&setup[..], &[script.len() as u8], script].concat()
}

/// The `Sec-WebSocket-Accept` that these targets' client expects.
fn accept() -> String {
    let now = Moment::default();
    let mut client = Connection::client(now, Arc::new(Config::client()), request(), SEED);
    let wire = bytes::Buf::chunk(client.outbox()).to_vec();
    let text = String::from_utf8(wire).expect("a request is text");
    let key = text.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).expect("a key");
    ws_proto::handshake::accept_key(key)
}
