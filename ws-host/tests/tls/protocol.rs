//! Versions, protocols, key updates and split messages, with rustls' buffered connections as peers.

use crate::kit::{Pair, To, count_records, drain, identity, stream, trusting};
use std::sync::Arc;
use ws_host::tls::rustls::{ClientConfig, version};
use ws_host::tls::{TlsAlert, TlsClient, TlsError, TlsServer, TlsStream, TlsVersion};
use ws_kit::tls::{Authority, Peer, client_config, server_config};

/// A client of rustls, and our server.
struct Foreign {
    client: Peer,
    server: TlsStream,
    received: Vec<u8>,
}

impl Foreign {
    fn new(config: ClientConfig, authority: &Authority) -> Self {
        let server = TlsServer::new(identity(authority, &["localhost"])).unwrap();
        Self { client: Peer::client(config), server: stream(&server), received: Vec::new() }
    }

    fn open() -> Self {
        let authority = Authority::new("ours");
        let mut foreign = Self::new(client_config(&authority.pem(), &[&version::TLS13]), &authority);
        assert_eq!(foreign.run(), (None, None));
        foreign
    }

    /// Moves everything; returns the errors of the client and of the server.
    fn run(&mut self) -> (Option<String>, Option<TlsError>) {
        let (mut of_client, mut of_server) = (None, None);
        loop {
            let to_server = self.client.take_output();
            let to_client = self.server.output().to_vec();
            self.server.written(to_client.len());
            if to_server.is_empty() && to_client.is_empty() {
                return (of_client, of_server);
            }
            self.server.push(&to_server);
            of_server = of_server.or(drain(&mut self.server).err());
            if of_client.is_none() {
                match self.client.receive(&to_client) {
                    Ok(plain) => self.received.extend_from_slice(&plain),
                    Err(error) => of_client = Some(error.to_string()),
                }
            }
        }
    }
}

#[test]
fn both_versions_are_spoken_and_both_resume() {
    let authority = Authority::new("ours");
    let server = TlsServer::new(identity(&authority, &["localhost"])).unwrap();
    for (version, expected) in [(&version::TLS12, TlsVersion::Tls12), (&version::TLS13, TlsVersion::Tls13)] {
        let client = TlsClient::from(Arc::new(client_config(&authority.pem(), &[version])));
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
        let mut config = client_config(&authority.pem(), &[&version::TLS13]);
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Foreign::new(config, &authority).run().1
    };
    assert_eq!(offers(&["h2"]), Some(TlsError::NoCommonProtocol));
    assert_eq!(offers(&["h2", "http/1.1"]), None);
    assert_eq!(offers(&["http/1.0"]), None);
    assert_eq!(offers(&[]), None);
    // The client reports it too.
    let (_, server) = trusting();
    let mut config = client_config(&authority.pem(), &[&version::TLS13]);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut pair = Pair::of(&TlsClient::from(Arc::new(config)), &server);
    assert_eq!(pair.run(), (Err(TlsError::NoCommonProtocol), Err(TlsError::NoCommonProtocol)));
}

#[test]
fn a_key_update_is_answered_with_the_next_output() {
    let mut foreign = Foreign::open();
    for round in 0..100_u8 {
        foreign.client.connection.refresh_traffic_keys().unwrap();
        foreign.client.send(&[round; 10]);
        assert_eq!(foreign.run(), (None, None));
        assert!(foreign.server.output().is_empty(), "no amplification");
        foreign.server.seal([&[round; 20][..]]).unwrap();
        assert_eq!(count_records(foreign.server.output()), 2, "the answer, and the text");
        assert_eq!(foreign.run(), (None, None));
        assert_eq!(std::mem::take(&mut foreign.received), [round; 20]);
    }
}

#[test]
fn a_flood_of_key_updates_ends_the_session() {
    let mut foreign = Foreign::open();
    let error = loop {
        foreign.client.connection.refresh_traffic_keys().unwrap();
        foreign.server.push(&foreign.client.take_output());
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
fn the_hello_of_either_side_may_be_split_over_two_records_anywhere() {
    for to in [To::Server, To::Client] {
        let mut at = 1;
        loop {
            let mut pair = Pair::new();
            let mut flight = pair.take(To::Client);
            if to == To::Client {
                pair.deliver(To::Server, &flight).unwrap();
                flight = pair.take(To::Server);
            }
            let len = usize::from(u16::from_be_bytes([flight[3], flight[4]]));
            if at == len {
                break;
            }
            let (hello, rest) = flight.split_at(5 + len);
            let two = [split(&hello[..5 + at], at), split(&[&hello[..5], &hello[5 + at..]].concat(), len)];
            for part in [&two[0], &two[1], rest] {
                assert_eq!(pair.deliver(to, part), Ok(vec![]), "split at {at}");
            }
            assert_eq!(pair.run(), (Ok(()), Ok(())), "split at {at}");
            at += 1;
        }
        assert!(at > 80);
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
    let certificate = authority.issue(&["localhost"], |_| {});
    for (ours, theirs) in [(&version::TLS12, &version::TLS13), (&version::TLS13, &version::TLS12)] {
        let client = TlsClient::from(Arc::new(client_config(&authority.pem(), &[ours])));
        let server = TlsServer::from(Arc::new(server_config(&certificate, &[theirs])));
        let errors = Pair::of(&client, &server).run();
        assert_eq!(errors, (Err(TlsError::NoCommonVersion), Err(TlsError::NoCommonVersion)));
    }
}
