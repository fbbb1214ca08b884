//! Which certificates each side trusts, and the errors for all others.

use crate::kit::{Pair, To, identity, trusting};
use ws_host::tls::{
    CertificateFault, ClientCertificates, Identity, InvalidTls, TlsAlert, TlsClient, TlsError, TlsServer,
    TlsStream,
};
use ws_kit::tls::{Authority, for_clients, self_signed};

/// The errors of both sides for a client and a server.
fn errors(client: &TlsClient, server: &TlsServer) -> [Option<TlsError>; 2] {
    let mut pair = Pair::of(client, server);
    let (client, server) = pair.run();
    [client.err(), server.err()]
}

#[test]
fn an_address_needs_its_own_name_in_the_certificate() {
    let authority = Authority::new("ours");
    let client = TlsClient::roots_only(authority.pem()).unwrap();
    let server = TlsServer::new(identity(&authority, &["127.0.0.1", "::1", "localhost"])).unwrap();
    for (host, sni) in [("127.0.0.1", None), ("[::1]", None), ("::1", None), ("localhost", Some("localhost"))]
    {
        let mut pair = Pair::of(&client, &server);
        pair.client = TlsStream::client(&client, host).unwrap();
        assert_eq!(pair.run(), (Ok(()), Ok(())), "{host}");
        assert_eq!(pair.server.info().unwrap().server_name.as_deref(), sni);
    }
    for host in ["", "a b", "-", "[::1", "a..b"] {
        let error = TlsStream::client(&client, host).unwrap_err();
        assert!(error.to_string().contains("is neither a host name nor an address"), "{host:?}: {error}");
    }
}

#[test]
fn another_name_is_expected_where_it_is_set() {
    let authority = Authority::new("ours");
    let client = TlsClient::roots_only(authority.pem()).unwrap();
    let server = TlsServer::new(identity(&authority, &["device.example"])).unwrap();
    assert!(matches!(
        errors(&client, &server)[0],
        Some(TlsError::ServerCertificate(CertificateFault::WrongName(_)))
    ));
    assert_eq!(errors(&client.server_name("device.example").unwrap(), &server), [None, None]);
}

#[test]
fn a_pin_trusts_one_key_whatever_the_certificate_says() {
    let [chain, key] = self_signed(&["another name"], |_| {});
    let server = TlsServer::from_pem(&chain, &key).unwrap();
    let pin = Identity::from_pem(&chain, &key).unwrap().key_sha256().unwrap();
    assert_eq!(errors(&TlsClient::system().pin(pin), &server), [None, None]);
    assert_eq!(errors(&TlsClient::system().pin([0; 32]).pin(pin), &server), [None, None]);
    let mut wrong = pin;
    wrong[31] ^= 1;
    let [client, _] = errors(&TlsClient::system().pin(wrong), &server);
    assert_eq!(client, Some(TlsError::ServerCertificate(CertificateFault::NotPinned)));
}

#[test]
fn client_certificates_are_required_or_optional() {
    let (authority, other) = (Authority::new("ours"), Authority::new("other"));
    let server = |rule| {
        let server = TlsServer::new(identity(&authority, &["localhost"])).unwrap();
        server.client_certificates(authority.pem(), rule).unwrap()
    };
    let anonymous = TlsClient::roots_only(authority.pem()).unwrap();
    let of_client = |authority: &Authority| {
        let [chain, key] = authority.issue(&["someone"], for_clients);
        Identity::from_pem(chain, key).unwrap()
    };
    let known = anonymous.clone().identity(of_client(&authority));
    let foreign = anonymous.clone().identity(of_client(&other));
    let (required, optional) = (server(ClientCertificates::Required), server(ClientCertificates::Optional));

    for server in [&required, &optional] {
        let mut pair = Pair::of(&known, server);
        assert_eq!(pair.run(), (Ok(()), Ok(())));
        assert_eq!(pair.server.info().unwrap().peer_certificates.len(), 1);
        // rustls presents no certificate that the server's roots cannot have issued.
    }
    let mut pair = Pair::of(&anonymous, &optional);
    assert_eq!(pair.run(), (Ok(()), Ok(())));
    assert!(pair.server.info().unwrap().peer_certificates.is_empty());
    assert_eq!(
        errors(&anonymous, &required),
        [Some(TlsError::ClientCertificateMissing), Some(TlsError::ClientCertificateMissing)]
    );
    let [client, server] = errors(&foreign, &required);
    let fault = CertificateFault::NotTrusted { issuer: "other".into() };
    assert_eq!(server, Some(TlsError::ClientCertificate(fault)));
    assert_eq!(client, Some(TlsError::ClientCertificateRejected(TlsAlert(48))));
}

#[test]
fn a_resolver_selects_by_name_and_rejects_others() {
    let authority = Authority::new("ours");
    let (one, two) = (identity(&authority, &["one.example"]), identity(&authority, &["two.example"]));
    let server = TlsServer::resolver(move |name| match name {
        Some("one.example") => Some(one.clone()),
        Some("two.example") => Some(two.clone()),
        _ => None,
    })
    .unwrap();
    let client = |name| TlsClient::roots_only(authority.pem()).unwrap().server_name(name).unwrap();
    assert_eq!(errors(&client("one.example"), &server), [None, None]);
    assert_eq!(errors(&client("two.example"), &server), [None, None]);
    assert!(matches!(errors(&client("three.example"), &server), [Some(TlsError::Alert(_)), Some(_)]));
}

#[test]
fn a_reload_affects_only_new_handshakes_and_invalidates_tickets() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let server = TlsServer::new(identity(&old, &["localhost"])).unwrap();
    let client = TlsClient::roots_only(old.pem()).unwrap();
    let mut before = Pair::of(&client, &server);
    assert_eq!(before.run(), (Ok(()), Ok(())));
    server.clone().reload(identity(&new, &["localhost"])).unwrap();
    assert_eq!(before.send(To::Client, &[b"still open"]).0, b"still open");
    let fault = CertificateFault::NotTrusted { issuer: "new".into() };
    let expected = Some(TlsError::ServerCertificate(fault));
    assert_eq!(errors(&client, &server)[0], expected, "an old ticket is not accepted");
    assert_eq!(errors(&client.add_roots(new.pem()).unwrap(), &server), [None, None]);
}

#[test]
fn sessions_are_resumed_within_one_configuration_only() {
    let (client, server) = trusting();
    let resumed = |client: &TlsClient, server: &TlsServer| {
        let mut pair = Pair::of(client, server);
        assert_eq!(pair.run(), (Ok(()), Ok(())));
        assert_eq!(pair.server.info().unwrap().is_resumed, pair.client.info().unwrap().is_resumed);
        assert_eq!(pair.server.info().unwrap().server_name.as_deref(), Some("localhost"));
        pair.server.info().unwrap().is_resumed
    };
    assert!(!resumed(&client, &server));
    assert!(resumed(&client, &server));
    assert!(resumed(&client.clone(), &server.clone()));
    let authority = Authority::new("ours");
    let client = TlsClient::roots_only(authority.pem()).unwrap();
    let certificate = identity(&authority, &["localhost"]);
    let servers = [(); 2].map(|()| TlsServer::new(certificate.clone()).unwrap());
    assert!(!resumed(&client, &servers[0]));
    assert!(!resumed(&client, &servers[1]), "the ticket of another server is ignored");
}

#[test]
fn a_client_remembers_the_sessions_of_32_servers() {
    let names: Vec<_> = (0..33).map(|k| format!("server{k}.example")).collect();
    let authority = Authority::new("ours");
    let all: Vec<_> = names.iter().map(String::as_str).collect();
    let server = TlsServer::new(identity(&authority, &all)).unwrap();
    let client = TlsClient::roots_only(authority.pem()).unwrap();
    let resumed = |name: &str| {
        let mut pair =
            Pair { client: TlsStream::client(&client, name).unwrap(), ..Pair::of(&client, &server) };
        assert_eq!(pair.run(), (Ok(()), Ok(())));
        pair.client.info().unwrap().is_resumed
    };
    for expected in [false, true] {
        for name in &names[..32] {
            assert_eq!(resumed(name), expected, "{name}");
        }
    }
    assert!(!resumed(&names[32]));
    assert!(!resumed(&names[0]), "the oldest has made room");
}

#[test]
fn faults_of_a_configuration_are_named() {
    let [chain, key] = self_signed(&["localhost"], |_| {});
    let [_, other_key] = self_signed(&["localhost"], |_| {});
    let error = |result: Result<Identity, InvalidTls>| result.unwrap_err();
    assert!(matches!(error(Identity::from_pem(&key, &key)), InvalidTls::NoCertificate));
    assert!(matches!(error(Identity::from_pem(&chain, &chain)), InvalidTls::NoKey));
    assert!(matches!(error(Identity::from_pem(&chain, other_key)), InvalidTls::KeyMismatch));
    assert!(matches!(error(Identity::from_files("/nowhere.pem", "/nowhere.key")), InvalidTls::File { .. }));
    assert!(matches!(TlsClient::roots_only("").unwrap_err(), InvalidTls::NoCertificate));
    assert!(matches!(TlsClient::system().server_name("a b").unwrap_err(), InvalidTls::Name(_)));
    // Both in one text.
    let both = [chain, key].concat();
    assert!(Identity::from_pem(&both, &both).is_ok());
}

#[test]
fn only_the_roots_of_the_system_need_preparation() {
    let authority = Authority::new("ours");
    assert!(TlsClient::roots_only(authority.pem()).unwrap().is_prepared());
    assert!(TlsClient::system().pin([0; 32]).is_prepared());
    let client = TlsClient::system();
    // A machine without roots is prepared, too.
    let _ = client.prepare();
    assert!(client.is_prepared());
    assert!(TlsClient::system().add_roots(authority.pem()).unwrap().is_prepared(), "they are read once");
}
