//! The same runs over TLS, in both roles: the loop speaks it by our own layer, the peers by rustls' buffered
//! connections.

use super::behaviour::Behaviour;
use super::clients;
use super::layer::{Layer, Layers};
use super::rng::Rng;
use super::world::World;
use super::{runs, setting, users};
use std::sync::{Arc, LazyLock};
use ws_kit::tls::{Authority, Peer, VERSIONS, client_config, server_config};
use ws_server_mio::tls::{Identity, TlsClient, TlsMode, TlsServer};

/// The root, and the certificate of all servers with its key.
struct Certificates {
    root: String,
    server: [String; 2],
}

static CERTIFICATES: LazyLock<Certificates> = LazyLock::new(|| {
    // Of a fixed length: then so is all that a seed causes.
    let authority = Authority::of_fixed_length("test root");
    let names = ["localhost", "many.test", "few.test", "127.0.0.1", "::1", "192.0.2.1", "192.0.2.2"];
    let others = ["2001:db8::1", "2001:db8::2"];
    Certificates { root: authority.pem(), server: authority.issue(&[&names[..], &others].concat(), |_| {}) }
});

/// TLS for one run, which shares no memory of sessions with another.
pub(super) fn layers(rng: &mut Rng) -> Layers {
    let mode = rng.pick(&[TlsMode::Only, TlsMode::OrRedirect, TlsMode::OrPlain]);
    let versions = rng.pick(&VERSIONS);
    let [chain, key] = &CERTIFICATES.server;
    let server = TlsServer::new(Identity::from_pem(chain, key).unwrap()).unwrap();
    let client = TlsClient::roots_only(&CERTIFICATES.root).unwrap();
    let of_a_client = Arc::new(client_config(&CERTIFICATES.root, versions));
    Layers {
        of_servers: Arc::new(move |config| config.tls(server.clone()).tls_mode(mode)),
        of_clients: Arc::new(move |config| config.tls(client.clone())),
        of_peers: Arc::new(move || Box::new(Peer::client(of_a_client.clone()))),
        without: if mode == TlsMode::OrPlain { 30 } else { 0 },
    }
}

/// The same for clients, whose peers are servers.
pub(super) fn layers_of_clients(rng: &mut Rng) -> Layers {
    let versions = rng.pick(&VERSIONS);
    let of_a_server = Arc::new(server_config(&CERTIFICATES.server, versions));
    let of_peers = Arc::new(move || Box::new(Peer::server(of_a_server.clone())) as Box<dyn Layer>);
    Layers { of_peers, ..layers(rng) }
}

impl Layer for Peer {
    fn is_ready(&self) -> bool {
        !self.is_handshaking()
    }

    fn send(&mut self, content: &[u8]) {
        self.send(content);
    }

    fn receive(&mut self, wire: &[u8]) -> Vec<u8> {
        self.receive(wire).expect("the loop speaks TLS")
    }

    fn close(&mut self) {
        self.close();
    }

    fn is_announced(&self) -> bool {
        self.has_peer_closed()
    }

    fn take_output(&mut self) -> Vec<u8> {
        self.take_output()
    }
}

fn users_over_tls(seeds: u64, behaviour: impl Fn(&mut Rng) -> Behaviour + Sync) {
    users(seeds, |rng| {
        let layers = Some(layers(rng));
        Behaviour { layers, ..behaviour(rng) }
    });
}

#[test]
fn nothing_is_lost_forgotten_or_leaked_over_tls() {
    let shelf = setting::shelf();
    runs(300, |seed, trace| {
        let layers = Some(layers(&mut Rng::new(seed ^ 0x715)));
        World::new(seed, &shelf, trace, Behaviour { layers, ..Behaviour::default() }).run();
    });
}

#[test]
fn two_ends_that_both_send_over_tls_never_deadlock() {
    users_over_tls(30, |_| Behaviour { bulk: true, ..Behaviour::default() });
}

#[test]
fn a_stop_cuts_no_answer_over_tls_silently() {
    users_over_tls(30, |_| Behaviour { stops: true, streams: true, ..Behaviour::default() });
}

#[test]
fn a_peer_that_leaves_a_stream_over_tls_is_noticed() {
    users_over_tls(30, |_| Behaviour { streams: true, ..Behaviour::default() });
}

#[test]
fn the_close_code_over_tls_is_the_peers_whatever_breaks_later() {
    users_over_tls(60, |_| Behaviour { farewells: true, ..Behaviour::default() });
}

#[test]
fn nothing_is_lost_over_tls_whatever_users_do() {
    users_over_tls(40, Behaviour::mixed);
}

#[test]
fn every_attempt_over_tls_ends_once_whatever_the_network_does() {
    runs(100, |seed, trace| {
        let layers = layers_of_clients(&mut Rng::new(seed ^ 0x715));
        clients::World::new(seed, trace, Some(layers)).run();
    });
}
