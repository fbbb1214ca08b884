//! Versions, protocols, key updates and split messages, with rustls' buffered connections as peers.

use crate::certificates::Authority;
use crate::kit::{Pair, To, count_records, drain, stream, trusting};
use std::io::{Read, Write};
use std::sync::Arc;
use ws_host::tls::rustls::crypto::ring::default_provider;
use ws_host::tls::rustls::{self, ClientConnection, RootCertStore, SupportedProtocolVersion, version};
use ws_host::tls::{TlsAlert, TlsClient, TlsError, TlsServer, TlsStream, TlsVersion};

/// A configuration of rustls that trusts this authority.
fn rustls_client(authority: &Authority, version: &'static SupportedProtocolVersion) -> rustls::ClientConfig {
    use ws_host::tls::rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    rustls::ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// A client of rustls, and our server.
struct Foreign {
    client: ClientConnection,
    server: TlsStream,
}

impl Foreign {
    fn new(config: rustls::ClientConfig, authority: &Authority) -> Self {
        let server = TlsServer::new(authority.identity(&["localhost"])).unwrap();
        let name = "localhost".try_into().unwrap();
        let client = ClientConnection::new(Arc::new(config), name).unwrap();
        Self { client, server: stream(&server) }
    }

    fn open() -> Self {
        let authority = Authority::new("ours");
        let mut foreign = Self::new(rustls_client(&authority, &version::TLS13), &authority);
        assert_eq!(foreign.run(), (None, None));
        foreign
    }

    /// Moves everything; returns the errors of the client and of the server.
    fn run(&mut self) -> (Option<String>, Option<TlsError>) {
        let (mut of_client, mut of_server) = (None, None);
        loop {
            let mut to_server = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut to_server).unwrap();
            }
            let to_client = self.server.output().to_vec();
            self.server.written(to_client.len());
            if to_server.is_empty() && to_client.is_empty() {
                return (of_client, of_server);
            }
            self.server.push(&to_server);
            of_server = of_server.or(drain(&mut self.server).err());
            let mut rest = &to_client[..];
            while !rest.is_empty() && of_client.is_none() {
                self.client.read_tls(&mut rest).unwrap();
                of_client = self.client.process_new_packets().err().map(|error| error.to_string());
            }
        }
    }

    fn received(&mut self) -> Vec<u8> {
        let mut text = [0; 1000];
        let n = self.client.reader().read(&mut text).unwrap();
        text[..n].to_vec()
    }
}

#[test]
fn both_versions_are_spoken_and_both_resume() {
    let authority = Authority::new("ours");
    let server = TlsServer::new(authority.identity(&["localhost"])).unwrap();
    for (version, expected) in [(&version::TLS12, TlsVersion::Tls12), (&version::TLS13, TlsVersion::Tls13)] {
        let client = TlsClient::from(Arc::new(rustls_client(&authority, version)));
        for resumed in [false, true] {
            let mut pair = Pair::of(&client, &server);
            assert_eq!(pair.run(), (Ok(()), Ok(())));
            for info in [pair.client.info().unwrap(), pair.server.info().unwrap()] {
                assert_eq!((info.version, info.is_resumed), (expected, resumed));
            }
            assert_eq!(pair.send(To::Server, &[b"up"]).0, b"up");
            assert_eq!(pair.send(To::Client, &[&[1; 50_000]]), (vec![1; 50_000], 4));
        }
    }
}

#[test]
fn a_peer_without_http_1_1_is_rejected_and_one_without_alpn_is_not() {
    let authority = Authority::new("ours");
    let offers = |protocols: &[&str]| {
        let mut config = rustls_client(&authority, &version::TLS13);
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Foreign::new(config, &authority).run().1
    };
    assert_eq!(offers(&["h2"]), Some(TlsError::NoCommonProtocol));
    assert_eq!(offers(&["h2", "http/1.1"]), None);
    assert_eq!(offers(&["http/1.0"]), None);
    assert_eq!(offers(&[]), None);
    // The client reports it too.
    let (_, server) = trusting();
    let mut config = rustls_client(&authority, &version::TLS13);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut pair = Pair::of(&TlsClient::from(Arc::new(config)), &server);
    assert_eq!(pair.run(), (Err(TlsError::NoCommonProtocol), Err(TlsError::NoCommonProtocol)));
}

#[test]
fn a_key_update_is_answered_with_the_next_output() {
    let mut foreign = Foreign::open();
    for round in 0..100_u8 {
        foreign.client.refresh_traffic_keys().unwrap();
        foreign.client.writer().write_all(&[round; 10]).unwrap();
        assert_eq!(foreign.run(), (None, None));
        assert!(foreign.server.output().is_empty(), "no amplification");
        foreign.server.seal([&[round; 20][..]]).unwrap();
        assert_eq!(count_records(foreign.server.output()), 2, "the answer, and the text");
        assert_eq!(foreign.run(), (None, None));
        assert_eq!(foreign.received(), [round; 20]);
    }
}

#[test]
fn a_flood_of_key_updates_ends_the_session() {
    let mut foreign = Foreign::open();
    let error = loop {
        foreign.client.refresh_traffic_keys().unwrap();
        let mut wire = Vec::new();
        foreign.client.write_tls(&mut wire).unwrap();
        foreign.server.push(&wire);
        if let Err(error) = drain(&mut foreign.server) {
            break error;
        }
    };
    assert!(matches!(error, TlsError::Protocol(_)), "{error}");
    // rustls sends no alert here.
    assert!(foreign.server.output().is_empty());
}

/// The same messages in records with this many bytes of content each.
fn split(wire: &[u8], most: usize) -> Vec<u8> {
    let mut split = Vec::new();
    for part in wire[5..].chunks(most) {
        split.extend_from_slice(&wire[..3]);
        split.extend_from_slice(&u16::try_from(part.len()).unwrap().to_be_bytes());
        split.extend_from_slice(part);
    }
    split
}

#[test]
fn a_hello_in_many_records_is_accepted_and_output_meanwhile_waits() {
    for most in [1, 5, 100, 200] {
        let mut pair = Pair::new();
        let flight = pair.take(To::Client);
        for part in split(&flight, most).chunks(most + 3) {
            pair.deliver(To::Server, part).unwrap();
            // rustls remembers where the beginning of the message is, and must find it there.
            assert_eq!(pair.server.seal([&b"early"[..]]), Ok(0));
            pair.server.close();
        }
        assert_eq!(pair.run(), (Ok(()), Ok(())));
        assert_eq!(pair.send(To::Client, &[b"late"]).0, b"late");
    }
}

#[test]
fn a_fault_inside_a_split_message_causes_one_alert() {
    let mut pair = Pair::new();
    let flight = pair.take(To::Client);
    pair.deliver(To::Server, &split(&flight, 50)[..100]).unwrap();
    let error = pair.deliver(To::Server, &[0xff; 200]).unwrap_err();
    assert!(matches!(error, TlsError::Protocol(_)), "{error}");
    let alert = pair.take(To::Server);
    assert_eq!(alert.len(), 7);
    assert!(matches!(pair.deliver(To::Client, &alert), Err(TlsError::Alert(TlsAlert(_)))));
}

#[test]
fn no_common_version_is_an_error_on_both_sides() {
    let authority = Authority::new("ours");
    let identity = authority.identity(&["localhost"]);
    let only = |version: &'static SupportedProtocolVersion| {
        let key = Arc::new(rustls::server::ResolvesServerCertUsingSni::new());
        let _ = &identity;
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(key);
        TlsServer::from(Arc::new(config))
    };
    for (ours, theirs) in [(&version::TLS12, &version::TLS13), (&version::TLS13, &version::TLS12)] {
        let client = TlsClient::from(Arc::new(rustls_client(&authority, ours)));
        let (client, server) = Pair::of(&client, &only(theirs)).run();
        assert_eq!((client, server), (Err(TlsError::NoCommonVersion), Err(TlsError::NoCommonVersion)));
    }
}
