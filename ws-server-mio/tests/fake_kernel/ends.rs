//! A peer ends its WebSocket over TLS by a Close, a close_notify, a FIN and a reset, in each order; to a server and to a
//! client, of which each may have begun the end.

use super::kernel::Kernel;
use super::layer::Layers;
use super::remote_peer::Received;
use super::rng::Rng;
use super::setting::Time;
use super::system::FakeSystem;
use super::tls::{layers, layers_of_clients};
use super::wire::Signal;
use std::io::ErrorKind;
use std::time::Duration;
use ws_kit::peer::accepting;
use ws_kit::tls::ends::{
    Act, REQUEST, Role, Stage, each_case, must_be_answered, must_be_explained, receives_all,
};
use ws_server_mio::{
    Bind, ClientConfig, CloseCode, Closed, ConnectError, ConnectionId, Endpoint, Error, Event, Options,
    ServerConfig, Timeout, TlsError,
};

/// One connection of the loop, and its peer.
struct Rig {
    role: Role,
    kernel: Kernel,
    time: Time,
    endpoint: Endpoint,
    layers: Layers,
    open: Option<ConnectionId>,
    failure: Option<ConnectError>,
    closed: Option<Closed>,
    /// Whether the peer reads.
    reads: bool,
    /// What it has received.
    content: Vec<u8>,
    ended: Option<Received>,
}

impl Rig {
    /// The socket is connected, and nothing was sent.
    fn connected(role: Role, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let kernel = Kernel::new(Rng::new(rng.next()));
        kernel.lock().reset_keeps = true;
        let time = Time::new(0);
        let clock = time.clone();
        let (system, _) = FakeSystem::new(&kernel, Rng::new(seed), 0);
        let options = Options::default().clock(move || clock.look());
        let mut endpoint = Endpoint::with_system(options, system).unwrap();
        let layers: Layers = match role {
            Role::Server => {
                let layers = layers(&mut rng);
                kernel.lock().prepare_listeners(1);
                let config = (layers.of_servers)(ServerConfig::new());
                endpoint.connections().listen(Bind::localhost(), config).unwrap();
                kernel.lock().connect(0);
                layers
            }
            Role::Client => {
                let layers = layers_of_clients(&mut rng);
                let config = (layers.of_clients)(ClientConfig::new());
                endpoint.connections().connect("wss://192.0.2.1:80/", config).unwrap();
                layers
            }
        };
        let mut rig = Self {
            role,
            kernel,
            time,
            endpoint,
            layers,
            open: None,
            failure: None,
            closed: None,
            reads: true,
            content: Vec::new(),
            ended: None,
        };
        while rig.kernel.lock().sockets.is_empty() {
            rig.turn();
        }
        rig.kernel.lock().be_fair();
        rig
    }

    fn open(role: Role, seed: u64) -> Self {
        let mut rig = Self::connected(role, seed);
        rig.kernel.lock().wrap(0, (rig.layers.of_peers)());
        rig.settle();
        rig.send(&match role {
            Role::Server => REQUEST.to_vec(),
            Role::Client => accepting(str::from_utf8(&rig.content).unwrap()).into_bytes(),
        });
        rig.settle();
        assert!(rig.open.is_some());
        rig.content.clear();
        rig
    }

    fn send(&mut self, content: &[u8]) {
        assert_eq!(self.kernel.lock().send(0, content), content.len());
    }

    fn turn(&mut self) {
        let Self { endpoint, open, failure, closed, .. } = self;
        let turn = endpoint.poll(Some(Duration::ZERO), |_, event| match event {
            Event::Open(id, _) => assert!(open.replace(id).is_none()),
            Event::ConnectFailed { error, .. } => assert!(failure.replace(error).is_none()),
            Event::Closed(_, end) => assert!(closed.replace(*end).is_none(), "reported twice"),
            event => panic!("{event:?}"),
        });
        turn.unwrap();
    }

    /// Runs until nothing is left to do, without time.
    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 10_000, "it never ends");
            self.kernel.lock().progress(0, true);
            let is_called = {
                let has_events = self.kernel.lock().has_events();
                has_events || self.endpoint.next_timeout() == Some(Duration::ZERO)
            };
            if is_called {
                self.turn();
            }
            let reads = self.reads && self.kernel.lock().sockets[0].reset == Signal::No;
            let received = if reads { self.kernel.lock().receive(0, 1000) } else { Received::Nothing };
            let moved = is_called || matches!(received, Received::Bytes(_));
            match received {
                Received::Bytes(content) => self.content.extend(content),
                Received::Nothing => {}
                end => drop(self.ended.get_or_insert(end)),
            }
            if !moved {
                return;
            }
        }
    }

    fn act(&mut self, act: Act) {
        let mut kernel = self.kernel.lock();
        match act {
            Act::Close => drop(kernel.send(0, &self.role.close_of_peer())),
            Act::Notify => kernel.announce_end(0),
            Act::Fin => kernel.end(0),
            Act::Reset => kernel.reset_late(0),
        }
    }

    fn end(&self) -> &Closed {
        self.closed.as_ref().expect("it has not ended")
    }
}

/// One connection that ends so: each act arrives alone, or all at once.
fn run(role: Role, begins: bool, order: &[Act], at_once: bool, seed: u64) {
    let mut rig = Rig::open(role, seed);
    if begins {
        rig.endpoint.connections().close(rig.open.unwrap(), CloseCode::NORMAL, "").unwrap();
        rig.settle();
    }
    for act in order {
        rig.act(*act);
        if !at_once {
            rig.settle();
        }
    }
    rig.settle();
    // A client waits for the server to close its stream.
    rig.time.advance(Duration::from_secs(60));
    rig.settle();
    must_be_explained(rig.end(), order, at_once);
    if receives_all(order) {
        must_be_answered(&rig.content, order, begins);
        assert_eq!(rig.ended, Some(Received::End));
        // It is not waited for a kernel that refuses that, once the peer has ended.
        let kernel = rig.kernel.lock();
        let is_announced = kernel.sockets[0].layer.as_ref().unwrap().is_announced();
        assert!(is_announced || kernel.faults > 0 && !kernel.sockets[0].shut, "no close_notify was sent");
    }
    let stats = rig.endpoint.connections().stats();
    assert_eq!((stats.open, stats.tls_failed), (0, 0));
    assert!(rig.kernel.lock().sockets[0].closed);
}

#[test]
fn each_order_of_close_notify_fin_and_reset_is_explained() {
    each_case(run);
}

/// What the loop says of an end within the handshake: the error of a client, and how many handshakes of a server failed.
fn end_of_handshake(role: Role, stage: Stage, order: &[Act], seed: u64) -> (Option<ConnectError>, u64) {
    let mut rig = Rig::connected(role, seed);
    let mut peer = (rig.layers.of_peers)();
    rig.settle();
    if role == Role::Client {
        // Of the client's flight, the peer answers the whole.
        drop(peer.receive(&std::mem::take(&mut rig.content)));
    }
    let flight = peer.take_output();
    rig.send(stage.of(&flight));
    rig.settle();
    for act in order {
        if *act == Act::Notify {
            rig.send(b"\x15\x03\x03\0\x02\x01\0");
        } else {
            rig.act(*act);
        }
        rig.settle();
    }
    assert!(rig.open.is_none() && rig.closed.is_none());
    let stats = rig.endpoint.connections().stats();
    assert!(rig.kernel.lock().sockets[0].closed, "{role:?}, {stage:?}, {order:?}");
    (rig.failure, stats.tls_failed)
}

#[test]
fn each_end_within_a_handshake_is_explained() {
    let notified = [&[Act::Notify, Act::Fin][..], &[Act::Notify, Act::Reset]];
    for (stage, seed) in [Stage::Nothing, Stage::Cut, Stage::Flight]
        .into_iter()
        .flat_map(|stage| (0..8).map(move |seed| (stage, seed)))
    {
        // A peer that connects and says nothing has not failed at TLS.
        let failed = u64::from(stage != Stage::Nothing);
        let (_, by_fin) = end_of_handshake(Role::Server, stage, &[Act::Fin], seed);
        let (_, by_reset) = end_of_handshake(Role::Server, stage, &[Act::Reset], seed);
        assert_eq!((by_fin, by_reset), (failed, 0), "{stage:?}, seed {seed}");
        let of_client = |order: &[Act]| end_of_handshake(Role::Client, stage, order, seed).0.unwrap();
        match of_client(&[Act::Fin]) {
            ConnectError::Tls(TlsError::Truncated) if stage != Stage::Flight => {}
            // In TLS 1.3 the client has finished.
            _ if stage == Stage::Flight => {}
            error => panic!("{stage:?}, seed {seed}: {error:?}"),
        }
        let error = of_client(&[Act::Reset]);
        let is_reset = matches!(error, ConnectError::Lost(Error::Io(ErrorKind::ConnectionReset)));
        assert!(is_reset, "{stage:?}, seed {seed}: {error:?}");
        for order in notified {
            end_of_handshake(Role::Server, stage, order, seed);
            of_client(order);
        }
    }
}

#[test]
fn output_behind_tickets_that_the_kernel_refuses_has_a_deadline() {
    for seed in 0..8 {
        let mut rig = Rig::connected(Role::Server, seed);
        let mut peer = (rig.layers.of_peers)();
        rig.settle();
        let mut wire = peer.take_output();
        while !peer.is_ready() {
            // The kernel takes no more once the peer has all that it needs.
            rig.send(&wire);
            rig.settle();
            peer.receive(&std::mem::take(&mut rig.content));
            wire = peer.take_output();
        }
        peer.send(REQUEST);
        wire.extend(peer.take_output());
        rig.kernel.lock().sockets[0].outbox_size = 1;
        rig.reads = false;
        rig.send(&wire);
        rig.settle();
        rig.time.advance(Duration::from_secs(31));
        rig.settle();
        let closed = rig.closed.expect("it stalls for ever");
        assert!(matches!(closed.error, Some(Error::Timeout(Timeout::Output))), "{closed}");
    }
}

#[test]
fn an_end_is_reported_although_the_last_of_tls_cannot_be_written() {
    for role in [Role::Server, Role::Client] {
        for (seed, writes) in (0..8).flat_map(|seed| (0..4).map(move |writes| (seed, writes))) {
            let mut rig = Rig::open(role, seed);
            rig.kernel.lock().sockets[0].writes_left = Some(writes);
            rig.act(Act::Close);
            rig.settle();
            // A client waits for the server to end the stream.
            rig.time.advance(Duration::from_secs(60));
            rig.settle();
            must_be_explained(rig.end(), &[Act::Close], false);
        }
    }
}
