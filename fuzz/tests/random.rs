//! The targets over random inputs: noise, and mutated seeds. The same ones in each run;
//! `PROPTEST_RNG_SEED=7 PROPTEST_CASES=10000` selects others, and more.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{RngSeed, TestRunner};
use ws_fuzz::{TARGETS, seeds};

/// A mutation at a position in the bytes.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Insert(Index, u8),
    Remove(Index, Index),
    Repeat(Index, Index),
    /// What another seed has there, to its end.
    Splice(Index, Index, Vec<u8>),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let end = bytes.len() + 1;
        let range = |a: &Index, b: &Index| {
            let (a, b) = (a.index(end), b.index(end));
            a.min(b)..a.max(b)
        };
        match self {
            Self::Set(at, byte) => bytes.get_mut(at.index(end)).into_iter().for_each(|old| *old = *byte),
            Self::Insert(at, byte) => bytes.insert(at.index(end), *byte),
            Self::Remove(a, b) => drop(bytes.drain(range(a, b))),
            Self::Repeat(a, b) => {
                let range = range(a, b);
                let again = bytes[range.clone()].to_vec();
                bytes.splice(range.end..range.end, again);
            }
            Self::Splice(at, from, other) => {
                bytes.truncate(at.index(end));
                bytes.extend_from_slice(&other[from.index(other.len() + 1)..]);
            }
        }
    }
}

fn inputs(target: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let seeds: Vec<_> =
        seeds::all().into_iter().filter(|seed| seed.target == target).map(|seed| seed.bytes).collect();
    let change = prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        2 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        1 => any::<(Index, Index)>().prop_map(|(a, b)| Change::Remove(a, b)),
        1 => any::<(Index, Index)>().prop_map(|(a, b)| Change::Repeat(a, b)),
        1 => (any::<Index>(), any::<Index>(), select(seeds.clone()))
            .prop_map(|(at, from, other)| Change::Splice(at, from, other)),
    ];
    let changed = (select(seeds), vec(change, 0..8)).prop_map(|(mut bytes, changes)| {
        changes.iter().for_each(|change| change.apply(&mut bytes));
        bytes
    });
    prop_oneof![9 => changed, 1 => vec(any::<u8>(), 0..2000)]
}

fn run(name: &'static str) {
    let (_, target) = TARGETS.iter().find(|(target, _)| *target == name).unwrap();
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(6455);
    }
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 2000;
    }
    println!("{:?}, {} cases", config.rng_seed, config.cases);
    TestRunner::new(config)
        .run(&inputs(name), |bytes| {
            // In its own thread: a panic leaves the memory counter inconsistent.
            let result = std::thread::spawn(move || target(&bytes)).join();
            result.map(drop).map_err(|_| TestCaseError::fail("it panicked, as shown above"))
        })
        .unwrap();
}

#[test]
fn server_invariants_hold_for_any_client_bytes() {
    run("server_bytes");
}

#[test]
fn client_invariants_hold_for_any_server_bytes() {
    run("client_bytes");
}

#[test]
fn events_and_output_are_independent_of_cuts() {
    run("split");
}

#[test]
fn two_ends_agree_over_any_pipe() {
    run("pair");
}

#[test]
fn compressed_messages_round_trip() {
    run("deflate");
}

#[test]
fn agreed_terms_match_the_offer() {
    run("extensions");
}

#[test]
fn accepted_http_is_parsed_alike_by_httparse() {
    run("http_head");
}

#[test]
fn answers_of_a_proxy_mean_the_same_however_they_are_cut() {
    run("proxy");
}

#[test]
fn sessions_of_tls_pass_on_what_was_sent_or_fail() {
    run("tls");
}

#[test]
fn claims_of_clients_change_nothing_that_their_proxy_says() {
    run("trusted");
}
