//! Replays recorded connections of real clients and servers: the same bytes at the same times must produce the same
//! output.
//!
//! `tests/interop/record.sh` records new traces. `ws_kit::trace` documents the format.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::fs;
use std::path::Path;
use std::time::Duration;
use ws_kit::trace::{Action, Driven, Record, Role, parse};
use ws_proto::{IoAction, Moment};

/// All traces, by name.
fn traces() -> Vec<(String, Role, Vec<Record>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces");
    let mut traces = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        let (role, records) = parse(&text).unwrap_or_else(|line| panic!("{name}: {line}"));
        traces.push((name, role, records));
    }
    traces.sort_by(|a, b| a.0.cmp(&b.0));
    traces
}

/// Replays a trace, with its input cut according to `cut`.
fn replay(name: &str, role: &Role, records: &[Record], cut: usize) {
    let birth = Moment::from_nanos(1 << 60);
    let mut driven = Driven::new(birth, role);
    for (n, Record { at, action }) in records.iter().enumerate() {
        let now = birth + *at;
        let place = || format!("{name}: record {n}, {at:?} after the beginning");
        match action {
            Action::Received(bytes) => {
                for part in bytes.chunks(cut) {
                    driven.apply(now, &Action::Received(part.to_vec()));
                }
                continue;
            }
            Action::Wrote(bytes) => {
                let mut written = bytes.as_slice();
                while !written.is_empty() {
                    let output = driven.output();
                    let n = output.len().min(written.len());
                    assert!(n > 0, "{}: there is no output to write", place());
                    assert_eq!(
                        output[..n].escape_ascii().to_string(),
                        written[..n].escape_ascii().to_string(),
                        "{}",
                        place()
                    );
                    driven.apply(now, &Action::Wrote(written[..n].to_vec()));
                    written = &written[n..];
                }
                continue;
            }
            Action::Shut => assert_eq!(driven.poll_io(), IoAction::Shutdown, "{}", place()),
            Action::Drop => assert_eq!(driven.poll_io(), IoAction::Drop, "{}", place()),
            Action::Timeout | Action::End | Action::Reset => {}
        }
        driven.apply(now, action);
    }
    assert_eq!(records.last().map(|record| &record.action), Some(&Action::Drop), "{name} has no end");
    assert!(driven.ended.is_some(), "{name}: the end was not reported");
}

#[test]
fn real_peers_are_answered_as_recorded() {
    for (name, role, records) in traces() {
        replay(&name, &role, &records, usize::MAX);
    }
}

#[test]
fn real_peers_are_answered_as_recorded_for_every_cut() {
    for (name, role, records) in traces() {
        for cut in [1, 2, 3, 7, 100] {
            replay(&name, &role, &records, cut);
        }
    }
}

#[test]
fn each_kind_of_peer_was_recorded() {
    let traces = traces();
    for (peer, role) in [
        ("chromium", "server"),
        ("curl", "server"),
        ("ws", "server"),
        ("websockets", "server"),
        ("ws", "client"),
        ("websockets", "client"),
    ] {
        let is_such = |(name, of, _): &&(String, Role, Vec<Record>)| {
            let is_client = matches!(of, Role::Client(_));
            name.split('-').next() == Some(peer) && is_client == (role == "client")
        };
        let bytes: usize =
            traces.iter().filter(is_such).flat_map(|(.., records)| records).map(received).sum();
        assert!(bytes > 0, "no trace of {peer} for a {role}");
    }
}

fn received(record: &Record) -> usize {
    match &record.action {
        Action::Received(bytes) => bytes.len(),
        _ => 0,
    }
}

#[test]
fn a_difference_is_detected() {
    let (name, role, mut records) = traces().into_iter().find(|(.., records)| records.len() > 5).unwrap();
    let wrote = records.iter_mut().find_map(|record| match &mut record.action {
        Action::Wrote(bytes) => Some(bytes),
        _ => None,
    });
    *wrote.unwrap().last_mut().unwrap() ^= 1;
    let outcome = std::panic::catch_unwind(|| replay(&name, &role, &records, usize::MAX));
    assert!(outcome.is_err());
}

#[test]
fn trace_lines_round_trip() {
    for action in [
        Action::Received(vec![0, 0x7f, 0xff]),
        Action::Wrote(b"x".to_vec()),
        Action::Timeout,
        Action::End,
        Action::Reset,
        Action::Shut,
        Action::Drop,
    ] {
        let record = Record { at: Duration::from_nanos(1_234_567), action };
        assert_eq!(parse(&format!("server\n# why\n{}\n", record.line())), Ok((Role::Server, vec![record])));
    }
    assert!(parse("server\n5 nonsense").is_err() && parse("server\n5 < 0").is_err());
}
