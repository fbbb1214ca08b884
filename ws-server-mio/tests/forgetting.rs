//! Clients that are removed automatically once they are done.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use ws_kit::ports;
use ws_server_mio::{
    Bind, ClientConfig, ClientState, CloseCode, Connections, Endpoint, Event, Reconnect, ServerConfig,
};

fn server() -> (Endpoint, String) {
    let mut endpoint = Endpoint::new().unwrap();
    let server = endpoint.connections().listen(Bind::localhost(), ServerConfig::new()).unwrap();
    let url = endpoint.connections().server(server).url("/").unwrap();
    (endpoint, url)
}

fn once() -> ClientConfig {
    ClientConfig::new().forget_when_closed(true)
}

/// Runs turns until the condition holds; clients close as soon as they are open.
fn until(
    endpoint: &mut Endpoint,
    mut see: impl FnMut(&mut Connections, &Event<'_>),
    mut done: impl FnMut(&mut Endpoint) -> bool,
) {
    let start = Instant::now();
    while !done(endpoint) {
        assert!(start.elapsed() < Duration::from_secs(20));
        let handler = |connections: &mut Connections, event: Event<'_>| {
            see(connections, &event);
            if let Event::Open(id, _) = event
                && connections.client_of(id).is_some()
            {
                connections.close(id, CloseCode::NORMAL, "").unwrap();
            }
        };
        endpoint.poll(Some(Duration::from_millis(1)), handler).unwrap();
    }
}

#[test]
fn a_client_is_removed_after_its_closed_and_known_until_then() {
    let (mut endpoint, url) = server();
    let client = endpoint.connections().connect(url.as_str(), once()).unwrap();
    let kept = endpoint.connections().connect(url.as_str(), ClientConfig::new()).unwrap();
    let mut ends = 0;
    let see = |connections: &mut Connections, event: &Event<'_>| {
        if let Event::Closed(id, _) = event
            && connections.client_of(*id) == Some(client)
        {
            ends += 1;
        }
    };
    until(&mut endpoint, see, |endpoint| {
        endpoint.clients().eq([kept]) && endpoint.connections().client(kept).state() == ClientState::Idle
    });
    assert_eq!(ends, 1);
    assert!(!endpoint.connections().client(client).reconnect(), "it is gone");
    assert!(endpoint.connections().client(kept).reconnect());
}

#[test]
fn a_client_reconnected_in_its_closed_stays() {
    let (mut endpoint, url) = server();
    let client = endpoint.connections().connect(url.as_str(), once()).unwrap();
    let mut ends = 0;
    let see = |connections: &mut Connections, event: &Event<'_>| {
        if let Event::Closed(id, _) = event
            && connections.client_of(*id).is_some()
        {
            ends += 1;
            if ends < 3 {
                assert!(connections.client(client).reconnect());
            }
        }
    };
    until(&mut endpoint, see, |endpoint| endpoint.clients().next().is_none());
    assert_eq!(ends, 3);
}

#[test]
fn a_client_is_removed_after_a_failed_attempt() {
    let (_v4, _v6, refused) = ports::reserved();
    let mut endpoint = Endpoint::new().unwrap();
    let url = format!("ws://127.0.0.1:{refused}/");
    let client = endpoint.connections().connect(url.as_str(), once()).unwrap();
    let mut failures = 0;
    let see = |connections: &mut Connections, event: &Event<'_>| {
        if let Event::ConnectFailed { client: of, .. } = event {
            assert_eq!(*of, client);
            assert_eq!(connections.client(client).state(), ClientState::Idle);
            failures += 1;
        }
    };
    until(&mut endpoint, see, |endpoint| endpoint.clients().next().is_none());
    assert_eq!(failures, 1);
}

#[test]
fn a_client_with_a_policy_is_removed_when_that_gives_up() {
    let (_v4, _v6, refused) = ports::reserved();
    let mut endpoint = Endpoint::new().unwrap();
    let url = format!("ws://127.0.0.1:{refused}/");
    let policy = Reconnect::default().wait(Duration::from_millis(1), Duration::from_millis(2)).attempts(2);
    endpoint.connections().connect(url.as_str(), once().reconnect(policy)).unwrap();
    let (mut failures, mut waits) = (0, 0);
    let see = |_: &mut Connections, event: &Event<'_>| match event {
        Event::ConnectFailed { .. } => failures += 1,
        Event::Reconnecting { .. } => waits += 1,
        event => panic!("{event:?}"),
    };
    until(&mut endpoint, see, |endpoint| endpoint.clients().next().is_none());
    assert_eq!((failures, waits), (3, 2));
}

#[test]
fn a_waiting_client_is_removed_when_disconnected() {
    let (_v4, _v6, refused) = ports::reserved();
    let mut endpoint = Endpoint::new().unwrap();
    let url = format!("ws://127.0.0.1:{refused}/");
    let policy = Reconnect::default().wait(Duration::from_secs(600), Duration::from_secs(600));
    let client = endpoint.connections().connect(url.as_str(), once().reconnect(policy)).unwrap();
    until(
        &mut endpoint,
        |_, _| {},
        |endpoint| endpoint.connections().client(client).state() == ClientState::Waiting,
    );
    endpoint.poll(Some(Duration::ZERO), |_, _| {}).unwrap();
    endpoint.connections().client(client).disconnect();
    assert_eq!(endpoint.clients().count(), 0);
}

#[test]
fn a_panic_in_closed_leaks_nothing() {
    let (mut endpoint, url) = server();
    let client = endpoint.connections().connect(url.as_str(), once()).unwrap();
    let mut panicked = false;
    let start = Instant::now();
    while !panicked {
        assert!(start.elapsed() < Duration::from_secs(20));
        let handler = |connections: &mut Connections, event: Event<'_>| match event {
            Event::Open(id, _) if connections.client_of(id) == Some(client) => connections.terminate(id),
            Event::Closed(id, _) if connections.client_of(id) == Some(client) => panic!("on purpose"),
            _ => {}
        };
        let turn = || endpoint.poll(Some(Duration::from_millis(1)), handler);
        panicked = catch_unwind(AssertUnwindSafe(turn)).is_err();
    }
    until(&mut endpoint, |_, _| {}, |endpoint| endpoint.clients().next().is_none());
}

#[test]
fn run_ends_with_the_last_client() {
    let (_v4, _v6, refused) = ports::reserved();
    let mut endpoint = Endpoint::new().unwrap();
    for _ in 0..3 {
        endpoint.connections().connect(format!("ws://127.0.0.1:{refused}/").as_str(), once()).unwrap();
    }
    let mut failures = 0;
    endpoint.run(|_, event| failures += u32::from(matches!(event, Event::ConnectFailed { .. }))).unwrap();
    assert_eq!((failures, endpoint.clients().count()), (3, 0));
}
