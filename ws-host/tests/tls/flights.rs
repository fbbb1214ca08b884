//! Each flight of each kind of session, cut at each of its bytes.

use crate::kit::{Pair, To};
use TlsVersion::{Tls12, Tls13};
use std::sync::Arc;
use ws_host::tls::rustls::crypto::CryptoProvider;
use ws_host::tls::rustls::crypto::ring::{default_provider, kx_group};
use ws_host::tls::{ClientCertificates, Identity, Opened, TlsClient, TlsServer, TlsVersion};
use ws_kit::tls::{Authority, for_clients};

/// The two sides of a kind of session.
struct Kind {
    client: TlsClient,
    server: TlsServer,
    version: TlsVersion,
    is_mutual: bool,
    is_resumed: bool,
}

impl Kind {
    /// All signatures have one length, and so has each flight.
    fn of(version: TlsVersion, is_mutual: bool) -> Self {
        let authority = Authority::of_fixed_length("test root");
        let identity = |[chain, key]: [String; 2]| Identity::from_pem(chain, key).unwrap();
        let mut provider = default_provider();
        provider.cipher_suites.retain(|suite| suite.tls13().is_some() == (version == Tls13));
        let of_server = identity(authority.issue(&["localhost"], |_| {}));
        let mut server = TlsServer::with_provider(Arc::new(provider), of_server).unwrap();
        let mut client = TlsClient::roots_only(authority.pem()).unwrap();
        if is_mutual {
            server = server.client_certificates(authority.pem(), ClientCertificates::Required).unwrap();
            client = client.identity(identity(authority.issue(&["someone"], for_clients)));
        }
        Self { client, server, version, is_mutual, is_resumed: false }
    }

    /// The server asks for another key exchange than the client guesses (RFC 8446 §4.1.4).
    fn retried() -> Self {
        let kind = Self::of(Tls13, false);
        let kx_groups = vec![kx_group::SECP384R1, kx_group::X25519];
        let guess = CryptoProvider { kx_groups, ..default_provider() };
        let ours = CryptoProvider { kx_groups: vec![kx_group::X25519], ..default_provider() };
        let authority = Authority::of_fixed_length("test root");
        let [chain, key] = authority.issue(&["localhost"], |_| {});
        let of_server = Identity::from_pem(chain, key).unwrap();
        Self {
            client: TlsClient::roots_only(authority.pem()).unwrap().provider(Arc::new(guess)),
            server: TlsServer::with_provider(Arc::new(ours), of_server).unwrap(),
            ..kind
        }
    }

    fn resumed(mut self) -> Self {
        assert_eq!(Pair::of(&self.client, &self.server).run(), (Ok(()), Ok(())));
        self.is_resumed = true;
        self
    }

    /// One session, with a question, an answer and both ends: each flight arrives in two parts, of which the first has
    /// this length. Returns the lengths of the flights.
    fn session(&self, cut: impl Fn(usize) -> usize) -> Vec<usize> {
        let client = match self.is_resumed {
            true => self.client.clone(),
            // A client that remembers no sessions.
            false => self.client.clone().server_name("localhost").unwrap(),
        };
        let mut pair = Pair::of(&client, &self.server);
        let mut lengths = Vec::new();
        let mut pass = |pair: &mut Pair, from| {
            let flight = pair.take(from);
            if flight.is_empty() {
                return None;
            }
            lengths.push(flight.len());
            let to = if from == To::Client { To::Server } else { To::Client };
            let (first, second) = flight.split_at(cut(flight.len()));
            Some([pair.deliver(to, first).unwrap(), pair.deliver(to, second).unwrap()].concat())
        };
        while let Some(plain) = pass(&mut pair, To::Client).or_else(|| pass(&mut pair, To::Server)) {
            assert!(plain.is_empty());
        }
        assert!(!pair.client.is_handshaking() && !pair.server.is_handshaking());
        for (side, shown) in [(To::Client, !self.is_resumed), (To::Server, self.is_mutual)] {
            let info = pair.side(side).info().unwrap();
            assert_eq!((info.version, info.is_resumed), (self.version, self.is_resumed));
            assert!(!shown || info.peer_certificates.len() == 1);
        }
        for (from, text) in [(To::Client, &b"question"[..]), (To::Server, b"answer")] {
            assert_eq!(pair.side(from).seal([text]), Ok(text.len()));
            pair.side(from).close();
            assert_eq!(pass(&mut pair, from).unwrap(), text);
        }
        for side in [To::Client, To::Server] {
            assert_eq!(pair.side(side).open(), Ok(Opened::Closed));
            assert_eq!(pair.side(side).end(), Ok(true));
            assert_eq!(pair.side(side).held(), 0);
        }
        lengths
    }

    fn at_each_byte(&self, flights: usize) {
        let lengths = self.session(|_| 0);
        assert_eq!(lengths.len(), flights);
        for at in 0..*lengths.iter().max().unwrap() {
            assert_eq!(self.session(|len| at % len), lengths, "cut at {at}");
        }
    }
}

#[test]
fn tls_1_3_may_be_cut_at_each_byte() {
    // Hello; hello to Finished; Finished; tickets; and the question and the answer with their ends.
    Kind::of(Tls13, false).at_each_byte(6);
}

#[test]
fn tls_1_3_with_a_retried_hello_may_be_cut_at_each_byte() {
    Kind::retried().at_each_byte(8);
}

#[test]
fn tls_1_3_with_two_certificates_may_be_cut_at_each_byte() {
    Kind::of(Tls13, true).at_each_byte(6);
}

#[test]
fn tls_1_3_that_resumes_may_be_cut_at_each_byte() {
    Kind::of(Tls13, true).resumed().at_each_byte(6);
}

#[test]
fn tls_1_2_may_be_cut_at_each_byte() {
    Kind::of(Tls12, false).at_each_byte(6);
}

#[test]
fn tls_1_2_with_two_certificates_may_be_cut_at_each_byte() {
    Kind::of(Tls12, true).at_each_byte(6);
}

#[test]
fn tls_1_2_that_resumes_may_be_cut_at_each_byte() {
    // The server finishes first.
    Kind::of(Tls12, true).resumed().at_each_byte(5);
}
