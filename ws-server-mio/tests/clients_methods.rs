//! Clients whose application calls any of their methods at any moment.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::clients::*;
use common::{Clock, Peer, TEXT, frame, handshake};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;
use ws_host::client::Reconnect;
use ws_server_mio::{
    Bind, ClientConfig, ClientId, ClientRequest, ClientState, CloseCode, ConnectError, ConnectionId,
    Connections, Endpoint, Event, Options, ServerConfig, inspect,
};

/// An address that fails at once: no interface has this name.
const NOWHERE: &str = "ws://[fe80::1%25nowhere0]/";

/// Retries without delay.
fn at_once() -> ClientConfig {
    ClientConfig::default().reconnect(Reconnect::default().wait(Duration::ZERO, Duration::ZERO))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Moment {
    Opened,
    Message,
    Closed,
    Failed,
    Reconnecting,
}

const MOMENTS: [Moment; 5] =
    [Moment::Opened, Moment::Message, Moment::Closed, Moment::Failed, Moment::Reconnecting];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Disconnect,
    Reconnect,
    DisconnectAndReconnect,
    ReconnectAndDisconnect,
    Remove,
    Another,
    Replace,
    Terminate,
}

const CALLS: [Call; 8] = [
    Call::Disconnect,
    Call::Reconnect,
    Call::DisconnectAndReconnect,
    Call::ReconnectAndDisconnect,
    Call::Remove,
    Call::Another,
    Call::Replace,
    Call::Terminate,
];

/// An application that makes one call at one moment, and records what was reported.
struct Story {
    moment: Moment,
    call: Call,
    url: String,
    client: ClientId,
    done: bool,
    /// Connections that have opened, and whose close is not reported yet.
    open: HashSet<ConnectionId>,
    ended: HashSet<ConnectionId>,
    removed: HashSet<ClientId>,
    /// How many of its first connections the server closes.
    closes: u32,
}

fn config() -> ClientConfig {
    let policy = Reconnect::default().wait(Duration::from_millis(10), Duration::from_millis(20)).attempts(3);
    ClientConfig::default().reconnect(policy)
}

impl Story {
    fn handle(&mut self, connections: &mut Connections, event: Event<'_>) {
        if let Some(id) = event.connection()
            && connections.server_of(id).is_some()
        {
            return self.serve(connections, id, event);
        }
        let (moment, id) = match event {
            Event::Open(id, _) => {
                assert!(self.open.insert(id) && !self.ended.contains(&id), "opened twice");
                let client = connections.client_of(id).expect("an opening client is known");
                assert_eq!(connections.client(client).connection(), Some(id));
                assert_eq!(connections.client(client).state(), ClientState::Open);
                (Moment::Opened, Some(id))
            }
            Event::Closed(id, closed) => {
                assert!(closed.was_open, "a failed attempt is reported as a close");
                assert!(self.open.remove(&id) && self.ended.insert(id), "ended twice, or never opened");
                (Moment::Closed, Some(id))
            }
            Event::Message(id, _) => {
                assert!(self.open.contains(&id));
                (Moment::Message, Some(id))
            }
            Event::ConnectFailed { client, .. } => {
                assert!(!self.removed.contains(&client), "reported after removal");
                (Moment::Failed, None)
            }
            Event::Reconnecting { client, .. } => {
                assert!(!self.removed.contains(&client), "reported after removal");
                assert_eq!(connections.client(client).state(), ClientState::Waiting);
                (Moment::Reconnecting, None)
            }
            _ => return,
        };
        if moment == self.moment && !std::mem::replace(&mut self.done, true) {
            self.act(connections, id);
        }
    }

    fn serve(&mut self, connections: &mut Connections, id: ConnectionId, event: Event<'_>) {
        if let Event::Open(..) = event {
            connections.send(id, "welcome").unwrap();
            if self.closes > 0 {
                self.closes -= 1;
                connections.close(id, CloseCode::SERVICE_RESTART, "").unwrap();
            }
        }
    }

    fn act(&mut self, connections: &mut Connections, id: Option<ConnectionId>) {
        let client = self.client;
        match self.call {
            Call::Disconnect => connections.client(client).disconnect(),
            Call::Reconnect => assert!(connections.client(client).reconnect()),
            Call::DisconnectAndReconnect => {
                connections.client(client).disconnect();
                connections.client(client).reconnect();
                connections.client(client).disconnect();
                connections.client(client).reconnect();
            }
            Call::ReconnectAndDisconnect => {
                connections.client(client).reconnect();
                connections.client(client).disconnect();
            }
            Call::Remove => {
                connections.client(client).remove();
                connections.client(client).remove();
                self.removed.insert(client);
            }
            Call::Another => drop(connections.connect(self.url.as_str(), config()).unwrap()),
            Call::Replace => {
                connections.client(client).remove();
                self.removed.insert(client);
                self.client = connections.connect(self.url.as_str(), config()).unwrap();
                assert_ne!(self.client, client);
            }
            Call::Terminate => {
                if let Some(id) = id {
                    connections.terminate(id);
                }
                if let Some(id) = connections.client(client).connection() {
                    connections.terminate(id);
                }
            }
        }
    }
}

/// Each method at each moment, with ample time and with almost none: every report stays true, each close is reported
/// once, and nothing leaks.
#[test]
fn every_method_works_in_every_event() {
    for (moment, call, hurried) in MOMENTS
        .iter()
        .flat_map(|moment| CALLS.iter().map(move |call| (*moment, *call)))
        .flat_map(|(moment, call)| [(moment, call, false), (moment, call, true)])
    {
        let clock = Clock::default();
        let given = clock.clone();
        // In a hurry, each clock reading takes longer than a turn may.
        let options = if hurried { Options::ui() } else { Options::default() };
        let options = options.clock(move || {
            given.pass(Duration::from_millis(u64::from(hurried) * 2));
            given.now()
        });
        let mut endpoint = Endpoint::with(options).unwrap();
        let server = endpoint.connections().listen(Bind::localhost(), ServerConfig::new()).unwrap();
        let url = endpoint.connections().server(server).url("/").unwrap();
        let client = endpoint.connections().connect(url.as_str(), config()).unwrap();
        let mut story = Story {
            moment,
            call,
            url,
            client,
            done: false,
            open: HashSet::new(),
            ended: HashSet::new(),
            removed: HashSet::new(),
            closes: 2,
        };
        let turn = |endpoint: &mut Endpoint, story: &mut Story| {
            clock.pass(Duration::from_millis(5));
            endpoint
                .poll(Some(Duration::ZERO), |connections, event| story.handle(connections, event))
                .unwrap();
        };
        for _ in 0..60 {
            turn(&mut endpoint, &mut story);
        }
        endpoint.connections().server(server).stop(Duration::from_secs(1));
        for _ in 0..200 {
            turn(&mut endpoint, &mut story);
        }
        let what = format!("{call:?} at {moment:?}, hurried: {hurried}");
        assert!(story.done, "{what}: the moment was never reached");
        for client in endpoint.clients().collect::<Vec<_>>() {
            endpoint.connections().client(client).remove();
            story.removed.insert(client);
        }
        // A closing handshake that the server never answers runs into its timeout.
        for _ in 0..20 {
            clock.pass(Duration::from_secs(1));
            turn(&mut endpoint, &mut story);
        }
        assert!(story.open.is_empty(), "{what}: closes were not reported");
        assert_eq!(inspect::overview(endpoint.connections()).slots, 0, "{what}: sockets are left");
        assert_eq!(endpoint.clients().count(), 0);
    }
}

#[test]
fn a_superseded_retry_is_not_reported() {
    let mut endpoint = Endpoint::new().unwrap();
    let policy = Reconnect::default().wait(Duration::from_secs(3600), Duration::from_secs(3600));
    let client = endpoint.connections().connect(NOWHERE, ClientConfig::default().reconnect(policy)).unwrap();
    let mut log = String::new();
    for _ in 0..10 {
        let turn = endpoint.poll(Some(Duration::ZERO), |connections, event| match event {
            Event::ConnectFailed { .. } => {
                log.push('F');
                if log.len() < 4 {
                    connections.client(client).reconnect();
                }
            }
            Event::Reconnecting { attempt, .. } => log.push_str(&attempt.to_string()),
            _ => {}
        });
        turn.unwrap();
    }
    assert_eq!(log, "FFFF1");
}

#[test]
fn immediate_retries_do_not_prolong_the_turn() {
    let mut endpoint = Endpoint::new().unwrap();
    let client = endpoint.connections().connect(NOWHERE, ClientConfig::default()).unwrap();
    let mut failures = 0;
    for _ in 0..10 {
        let turn = endpoint.poll(Some(Duration::ZERO), |connections, _| {
            failures += 1;
            connections.client(client).reconnect();
        });
        assert!(turn.unwrap().more);
    }
    assert!((10..=20).contains(&failures), "{failures}");
}

#[test]
fn a_client_that_is_retried_at_each_failure_does_not_starve_other_clients() {
    let clock = Clock::default();
    let mut endpoint = Endpoint::with(clock.on(Options::default())).unwrap();
    let busy = endpoint.connections().connect(NOWHERE, at_once()).unwrap();
    let other = endpoint.connections().connect(NOWHERE, at_once()).unwrap();
    let mut failures = HashMap::<ClientId, u32>::new();
    for _ in 0..100 {
        // The shortest wait.
        clock.pass(Duration::from_millis(1));
        let turn = endpoint.poll(Some(Duration::ZERO), |connections, event| {
            if let Event::ConnectFailed { client, .. } = event {
                *failures.entry(client).or_default() += 1;
                if client == busy {
                    connections.client(client).reconnect();
                }
            }
        });
        assert!(turn.unwrap().more);
    }
    assert!(failures[&busy] <= 300 && failures[&other] >= 40, "{failures:?}");
}

/// Each message takes a turn's whole time, and another one always follows.
#[test]
fn a_flood_does_not_stop_clients_from_failing_and_reconnecting() {
    let clock = Clock::default();
    let mut endpoint = Endpoint::with(clock.on(Options::ui())).unwrap();
    let server = endpoint.connections().listen(Bind::localhost(), ServerConfig::new()).unwrap();
    let address = endpoint.connections().server(server).local_addr().unwrap();
    let mut peer = Peer::connect(address);
    peer.send(&handshake(address, "/"));
    let flood = frame(TEXT, b"more").repeat(2000);
    let policy = Reconnect::default().wait(Duration::from_millis(50), Duration::from_millis(50));
    let (_v4, _v6, refused) = ws_kit::ports::reserved();
    let (mut open, mut connected, mut failures, mut messages) = (false, false, 0, 0);
    for _ in 0..1500 {
        if open && !std::mem::replace(&mut connected, true) {
            peer.send(&flood);
            let config = ClientConfig::default().reconnect(policy.clone());
            endpoint.connections().connect(format!("ws://127.0.0.1:{refused}/"), config).unwrap();
        }
        let turn = endpoint.poll(Some(Duration::ZERO), |_, event| match event {
            Event::Open(..) => open = true,
            Event::Message(..) => {
                messages += 1;
                clock.pass(Duration::from_millis(2));
            }
            Event::ConnectFailed { .. } => failures += 1,
            _ => {}
        });
        turn.unwrap();
    }
    assert!(messages > 500, "only {messages} messages: no flood");
    assert!(failures > 5, "{failures}");
}

#[test]
fn settings_changed_during_an_attempt_apply_to_the_next() {
    // 127.0.0.1 has no listener, which forces a second address.
    let (mut rig, _other) = Both::on_v6_alone();
    let url = format!("ws://localhost:{}", rig.server_address().port());
    let client = rig.connections().connect(format!("{url}/1"), ClientConfig::new()).unwrap();
    let next =
        ClientRequest::new(&format!("{url}/2")).unwrap().header("Authorization", "Bearer new").unwrap();
    rig.connections().client(client).set_request(next).unwrap();
    rig.connections()
        .client(client)
        .set_config(ClientConfig::new().handshake_timeout(Duration::ZERO))
        .unwrap();
    rig.opened(client);
    let request = rig.events.upgrades.pop().unwrap();
    assert_eq!((request.path_and_query.as_str(), request.headers.get("authorization")), ("/1", None));
    let config = ClientConfig::new();
    rig.connections().client(client).set_config(config).unwrap();
    rig.connections().client(client).reconnect();
    rig.opened(client);
    let request = rig.events.upgrades.pop().unwrap();
    assert_eq!(
        (request.path_and_query.as_str(), &request.headers["authorization"]),
        ("/2", &"Bearer new".parse().unwrap())
    );
}

#[test]
fn a_late_lookup_answer_is_discarded() {
    let bind = Bind::from(SocketAddr::from(([127, 0, 0, 1], 0)));
    let server = ServerConfig::new().allow_host("127.1");
    let mut rig = Both::with(bind, Options::default().resolve_names(), server);
    let url = format!("ws://127.1:{}", rig.server_address().port());
    // One client is removed, and its slot reused before its answer arrives. Another gives up and starts over.
    let removed_early = rig.connections().connect(format!("{url}/gone"), ClientConfig::new()).unwrap();
    rig.connections().client(removed_early).remove();
    let reused = rig.connections().connect(format!("{url}/heir"), ClientConfig::new()).unwrap();
    let restarted = rig.connections().connect(format!("{url}/old"), ClientConfig::new()).unwrap();
    rig.connections().client(restarted).disconnect();
    rig.connections().client(restarted).set_request(format!("{url}/again")).unwrap();
    rig.connections().client(restarted).reconnect();
    // And one gets another address while the first is looked up.
    let other = rig.connections().connect(format!("{url}/other"), ClientConfig::new()).unwrap();
    rig.connections().client(other).set_request("ws://127.0.0.1:1/never").unwrap();
    for client in [reused, restarted, other] {
        rig.opened(client);
    }
    assert!(matches!(rig.failed(restarted), ConnectError::Cancelled));
    rig.turns(10);
    let mut paths: Vec<_> =
        rig.events.upgrades.iter().map(|request| request.path_and_query.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/again", "/heir", "/other"]);
    assert!(rig.events.failed.is_empty() && rig.events.opened.is_empty());
}

#[test]
fn an_unreachable_deadline_never_fires() {
    let mut endpoint = Endpoint::new().unwrap();
    let policy = Reconnect::default().wait(Duration::MAX, Duration::MAX);
    let client = endpoint.connections().connect(NOWHERE, ClientConfig::default().reconnect(policy)).unwrap();
    let mut failures = 0;
    for _ in 0..10 {
        let count = |_: &mut Connections, event: Event<'_>| {
            failures += u32::from(matches!(event, Event::ConnectFailed { .. }));
        };
        endpoint.poll(Some(Duration::ZERO), count).unwrap();
    }
    assert_eq!((failures, endpoint.connections().client(client).state()), (1, ClientState::Waiting));
    assert_eq!(endpoint.next_timeout(), None);
    assert!(endpoint.connections().client(client).reconnect());
    assert_eq!(endpoint.next_timeout(), Some(Duration::ZERO));
}
