//! Names that clients connect to: a name that is never answered delays no other.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::clients::Both;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use ws_kit::names::Names;
use ws_server_mio::{
    Bind, ClientConfig, ClientId, ClientState, ConnectError, Options, Reconnect, ServerConfig,
};

fn rig() -> (Both, Names) {
    let names = Names::default();
    let lookup = names.clone();
    let options = Options::default().resolve_names().look_up_with(move |name| lookup.look_up(name));
    let config = ServerConfig::new().access(ws_proto::Access::default().allow_any_host());
    (Both::with(Bind::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))), options, config), names)
}

fn connect(rig: &mut Both, host: &str, config: ClientConfig) -> ClientId {
    let port = rig.server_address().port();
    rig.connections().connect(format!("ws://{host}:{port}/"), config).unwrap()
}

fn persistent() -> ClientConfig {
    ClientConfig::new().reconnect(Reconnect::default())
}

/// That many stuck names, each with a client, all being looked up.
fn stuck(rig: &mut Both, names: &Names, count: usize) -> Vec<ClientId> {
    let clients = (0..count).map(|k| connect(rig, &format!("stuck{k}.test"), persistent())).collect();
    names.begun(count);
    clients
}

#[test]
fn four_stuck_names_do_not_delay_a_fifth() {
    let (mut rig, names) = rig();
    let others = stuck(&mut rig, &names, 4);
    let good = connect(&mut rig, "good.test", persistent());
    rig.opened(good);
    for (k, client) in others.into_iter().enumerate() {
        assert_eq!(rig.connections().client(client).state(), ClientState::Connecting);
        names.release(&format!("stuck{k}.test"), false);
        rig.failed(client);
    }
}

#[test]
fn a_ninth_name_waits_for_one_of_eight_answers() {
    let (mut rig, names) = rig();
    let others = stuck(&mut rig, &names, 8);
    let ninth = connect(&mut rig, "good.test", ClientConfig::new());
    rig.turns(5);
    assert_eq!(names.begun(8).len(), 8);
    assert_eq!(rig.connections().client(ninth).state(), ClientState::Connecting);
    names.release("stuck5.test", true);
    rig.opened(ninth);
    rig.opened(others[5]);
    assert_eq!(names.begun(9)[8], "good.test");
    assert_eq!(names.most(), 8);
    (0..8).for_each(|k| names.release(&format!("stuck{k}.test"), false));
}

#[test]
fn clients_of_the_same_name_share_one_lookup() {
    let (mut rig, names) = rig();
    let mut clients: Vec<_> =
        (0..20).map(|_| connect(&mut rig, "stuck1.test", ClientConfig::new())).collect();
    names.begun(1);
    // So does a later client, one for another port, or one in capitals.
    clients.push(connect(&mut rig, "STUCK1.test", ClientConfig::new()));
    let elsewhere = rig.connections().connect("ws://stuck1.test:1/", ClientConfig::new()).unwrap();
    names.release("stuck1.test", true);
    for client in clients {
        rig.opened(client);
    }
    match rig.failed(elsewhere) {
        ConnectError::Unreachable { tried, .. } => {
            assert_eq!(tried, [SocketAddr::from((Ipv4Addr::LOCALHOST, 1))]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(names.begun(1), ["stuck1.test"]);
    // No answer is cached: the next connection looks the name up again.
    let client = connect(&mut rig, "stuck1.test", ClientConfig::new());
    rig.opened(client);
    assert_eq!(names.begun(2).len(), 2);
}

#[test]
fn an_abandoned_name_is_never_looked_up() {
    let (mut rig, names) = rig();
    stuck(&mut rig, &names, 8);
    let disconnected = connect(&mut rig, "one.test", persistent());
    let removed = connect(&mut rig, "two.test", persistent());
    let kept = connect(&mut rig, "three.test", ClientConfig::new());
    let shared = connect(&mut rig, "three.test", ClientConfig::new());
    rig.connections().client(disconnected).disconnect();
    rig.connections().client(removed).remove();
    rig.connections().client(shared).disconnect();
    names.release("stuck0.test", false);
    rig.opened(kept);
    assert_eq!(names.begun(9)[8..], ["three.test"], "they would have been looked up before it");
    assert!(matches!(rig.failed(disconnected), ConnectError::Cancelled));
    (0..8).for_each(|k| names.release(&format!("stuck{k}.test"), false));
}

#[test]
fn a_retry_joins_the_pending_lookup() {
    let (mut rig, names) = rig();
    let client = connect(&mut rig, "stuck0.test", persistent());
    names.begun(1);
    rig.connections().client(client).disconnect();
    assert!(matches!(rig.failed(client), ConnectError::Cancelled));
    rig.connections().client(client).reconnect();
    // An attempt that times out leaves it, and the next one waits for the same answer.
    let timeout = ClientConfig::new().get_connection().get_handshake_timeout();
    rig.clock.pass(timeout);
    rig.failed(client);
    let (_, delay) = rig.reconnecting(client);
    rig.clock.pass(delay);
    rig.until("the next attempt", |rig| rig.connections().client(client).state() == ClientState::Connecting);
    names.release("stuck0.test", true);
    rig.opened(client);
    assert_eq!(names.begun(1), ["stuck0.test"]);
}

#[test]
fn a_lookup_failure_names_the_name() {
    let (mut rig, names) = rig();
    let unknown = connect(&mut rig, "none.test", ClientConfig::new());
    let failure = rig.failed(unknown);
    assert_eq!(failure.to_string(), r#"cannot look up "none.test": no such name"#);

    stuck(&mut rig, &names, 8);
    let config = ClientConfig::new().handshake_timeout(Duration::from_secs(7));
    let waiting = connect(&mut rig, "good.test", config.clone());
    rig.clock.pass(Duration::from_millis(6_999));
    rig.turns(3);
    assert_eq!(rig.connections().client(waiting).state(), ClientState::Connecting);
    rig.clock.pass(Duration::from_millis(1));
    let failure = rig.failed(waiting);
    assert!(failure.to_string().contains(r#"cannot look up "good.test""#), "{failure}");
    match failure {
        ConnectError::Name { error, .. } => assert_eq!(error.kind(), io::ErrorKind::TimedOut),
        other => panic!("{other:?}"),
    }
    // The same for a pending lookup.
    let begun = connect(&mut rig, "stuck3.test", config);
    rig.clock.pass(Duration::from_secs(7));
    assert!(rig.failed(begun).to_string().contains(r#"cannot look up "stuck3.test""#));
    (0..8).for_each(|k| names.release(&format!("stuck{k}.test"), false));
}

#[test]
fn a_dropped_endpoint_waits_for_no_name_and_looks_up_no_more() {
    let (mut rig, names) = rig();
    stuck(&mut rig, &names, 8);
    connect(&mut rig, "never.test", persistent());
    drop(rig);
    (0..8).for_each(|k| names.release(&format!("stuck{k}.test"), true));
    // Each thread releases the resolver as it ends.
    while names.holders() > 1 {
        std::thread::yield_now();
    }
    assert_eq!(names.begun(8).len(), 8);
}
