//! A process that runs out of file descriptors.
#![cfg(unix)]

mod common;
use common::clients::*;
use common::*;
use std::fs::File;
use std::process::Command;
use std::time::Duration;
use ws_server_mio::Reconnect;
use ws_server_mio::{ClientConfig, ConnectError, ServerConfig};

/// The shell lowers the limit for a separate process, which runs the test below.
#[test]
fn a_server_that_cannot_accept_reports_it_once_and_recovers() {
    let me = std::env::current_exe().unwrap();
    let status = Command::new("sh")
        .args(["-c", "ulimit -n 48 && exec \"$0\" --exact inner --ignored --nocapture"])
        .arg(me)
        .status();
    assert!(status.unwrap().success());
}

#[test]
#[ignore = "run by the other test, with few descriptors"]
fn inner() {
    let mut rig = Rig::new(ServerConfig::new());
    let mut peer = rig.peer();
    let request = get(rig.address(), "/");
    let mut files: Vec<File> = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
        assert!(files.len() < 1000, "the limit is too high for this test");
    }
    peer.send(&request);
    rig.until("the failure", |rig| rig.app.count(|seen| matches!(seen, Seen::AcceptFailed(_))) == 1);
    // The listener backs off: nothing to do until it retries.
    rig.until("an idle endpoint", |rig| rig.endpoint.next_timeout() > Some(Duration::ZERO));
    files.clear();
    assert_eq!(rig.response(&mut peer), (200, "hello".to_owned()));
    assert_eq!(rig.app.count(|seen| matches!(seen, Seen::AcceptFailed(_))), 1);
}

#[test]
fn a_client_without_a_descriptor_reports_it_and_recovers() {
    let me = std::env::current_exe().unwrap();
    let status = Command::new("sh")
        .args(["-c", "ulimit -n 48 && exec \"$0\" --exact inner_client --ignored --nocapture"])
        .arg(me)
        .status();
    assert!(status.unwrap().success());
}

#[test]
#[ignore = "run by the other test, with few descriptors"]
fn inner_client() {
    let mut rig = Both::new();
    let mut files: Vec<File> = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
        assert!(files.len() < 1000, "the limit is too high for this test");
    }
    let config = ClientConfig::default().reconnect(Reconnect::default());
    let url = rig.url("/");
    let client = rig.connections().connect(url, config).unwrap();
    for _ in 0..3 {
        match rig.failed(client) {
            ConnectError::Unreachable { tried, error } => {
                assert_eq!(tried, [rig.server_address()]);
                assert_eq!(error.raw_os_error(), Some(24), "{error}");
            }
            other => panic!("{other:?}"),
        }
        let (_, delay) = rig.reconnecting(client);
        assert!(rig.endpoint.next_timeout() > Some(Duration::ZERO), "it is idle meanwhile");
        rig.clock.pass(delay);
    }
    assert_eq!(rig.sockets(), 0);
    files.clear();
    rig.opened(client);
}
