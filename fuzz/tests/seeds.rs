//! The targets over the committed seeds.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use ws_fuzz::{Seen, TARGETS, seeds};

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target)
}

/// The seeds of a target, by name.
fn files(target: &str) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder(target)).unwrap().map(Result::unwrap);
    let mut files: Vec<_> = entries
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

/// Runs a target over all its seeds, each under its name in the output of a failing test.
fn run(name: &str) -> Seen {
    let (_, target) = TARGETS.iter().find(|(target, _)| *target == name).unwrap();
    let mut seen = Seen::default();
    for (file, bytes) in files(name) {
        println!("{name}/{file}");
        seen = seen.and(target(&bytes));
    }
    seen
}

fn kinds(seen: Seen) -> BTreeSet<&'static str> {
    seen.kinds().collect()
}

#[test]
fn server_seeds_reach_every_event() {
    let all = ["Request", "Upgrade", "Open", "Message", "Fragment", "Pong", "Drained", "Closed", "Body"];
    assert_eq!(kinds(run("server_bytes")), BTreeSet::from(all));
}

#[test]
fn client_seeds_reach_every_client_event() {
    let all = ["Open", "Message", "Fragment", "Pong", "Drained", "Closed"];
    assert_eq!(kinds(run("client_bytes")), BTreeSet::from(all));
}

#[test]
fn split_seeds_reach_every_event_without_a_slow_reader() {
    let all = ["Request", "Upgrade", "Open", "Message", "Fragment", "Closed", "Body"];
    assert_eq!(kinds(run("split")), BTreeSet::from(all));
}

#[test]
fn pair_seeds_reach_every_websocket_event() {
    let all = ["Upgrade", "Open", "Message", "Fragment", "Pong", "Drained", "Closed"];
    assert_eq!(kinds(run("pair")), BTreeSet::from(all));
}

#[test]
fn head_seeds_reach_requests_upgrades_and_answers() {
    assert_eq!(
        kinds(run("http_head")),
        BTreeSet::from(["Request", "Body", "Upgrade", "Open", "Message", "Closed"])
    );
}

#[test]
fn seeds_of_compression_of_proxies_and_of_tls_pass() {
    // The targets assert what they reach.
    for target in ["deflate", "extensions", "proxy", "tls", "trusted"] {
        assert!(!files(target).is_empty());
        run(target);
    }
}

#[test]
fn every_seed_is_up_to_date_and_belongs_to_a_target() {
    let made = seeds::all();
    for seed in &made {
        let bytes = std::fs::read(folder(seed.target).join(&seed.name)).unwrap_or_default();
        assert!(bytes == seed.bytes, "{}/{}: cargo run --example seeds", seed.target, seed.name);
    }
    for (target, _) in TARGETS {
        for (file, _) in files(target) {
            let is_made = made.iter().any(|seed| seed.target == *target && seed.name == file);
            assert!(is_made || file.starts_with("found_"), "no seed generates {target}/{file}");
        }
    }
    let folders = std::fs::read_dir(folder("")).unwrap();
    assert_eq!(folders.count(), TARGETS.len(), "a folder of seeds for each target");
}
