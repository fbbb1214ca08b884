//! Bad certificates of every kind, judged in both roles and both versions: the error, its sentence, and what the other
//! side reports.

use crate::kit::{Pair, To, identity, trusting};
use std::sync::Arc;
use ws_host::tls::rustls::client::WebPkiServerVerifier;
use ws_host::tls::rustls::crypto::ring::default_provider;
use ws_host::tls::rustls::crypto::ring::sign::any_supported_type;
use ws_host::tls::rustls::pki_types::pem::PemObject;
use ws_host::tls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use ws_host::tls::rustls::server::WebPkiClientVerifier;
use ws_host::tls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use ws_host::tls::rustls::{RootCertStore, ServerConfig, version};
use ws_host::tls::{
    CertificateFault, ClientCertificates, Identity, TlsAlert, TlsClient, TlsError, TlsServer,
};
use ws_kit::tls::ends::Role;
use ws_kit::tls::{Authority, Bad, bad_certificates, client_config, for_clients, numbered, server_config};

/// What the other side says: its certificate was rejected with this alert.
fn told(bad: &Bad, role: Role) -> Result<(), TlsError> {
    match bad.alert {
        None => Ok(()),
        Some(116) => Err(TlsError::ClientCertificateMissing),
        Some(alert) if role == Role::Client => Err(TlsError::ServerCertificateRejected(TlsAlert(alert))),
        Some(alert) => Err(TlsError::ClientCertificateRejected(TlsAlert(alert))),
    }
}

fn check(bad: &Bad, role: Role, pair: &mut Pair) {
    let (client, server) = pair.run();
    let (ours, theirs) = if role == Role::Client { (client, server) } else { (server, client) };
    let error = ours.unwrap_err();
    assert_eq!(error, bad.expected, "{}", bad.kind);
    assert!(error.to_string().contains(bad.remedy), "{}: {error}", bad.kind);
    assert_eq!(theirs, told(bad, role), "{}", bad.kind);
}

#[test]
fn a_client_says_what_is_wrong_with_the_certificate_of_a_server() {
    let any = Authority::new("any").issue(&["localhost"], |_| {});
    for bad in bad_certificates(Role::Client) {
        let client = TlsClient::roots_only(&bad.root).unwrap();
        for version in [&version::TLS13, &version::TLS12] {
            println!("{} in {version:?}", bad.kind);
            let mut config = server_config(&any, &[version]);
            config.cert_resolver = Arc::new(SingleCertAndKey::from(bad.presented.clone()));
            check(&bad, Role::Client, &mut Pair::of(&client, &TlsServer::from(Arc::new(config))));
        }
    }
}

#[test]
fn a_server_says_what_is_wrong_with_the_certificate_of_a_client() {
    let authority = Authority::new("server's");
    for bad in bad_certificates(Role::Server) {
        let server = TlsServer::new(identity(&authority, &["localhost"])).unwrap();
        let server = server.client_certificates(&bad.root, ClientCertificates::Required).unwrap();
        for version in [&version::TLS13, &version::TLS12] {
            println!("{} in {version:?}", bad.kind);
            let mut config = client_config(&authority.pem(), &[version]);
            config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(bad.presented.clone()));
            check(&bad, Role::Server, &mut Pair::of(&TlsClient::from(Arc::new(config)), &server));
        }
    }
}

/// One that a list of its authority revokes, and the configurations of both sides, which judge by that list.
struct Revoked {
    authority: Authority,
    presented: [String; 2],
    roots: Arc<RootCertStore>,
    list: Vec<u8>,
}

impl Revoked {
    fn new(change: impl FnOnce(&mut rcgen::CertificateParams)) -> Self {
        let authority = Authority::new("ours");
        let presented = authority.issue(&["localhost"], |params| {
            numbered(7)(params);
            change(params);
        });
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
        let list = authority.revoke(7);
        Self { authority, presented, roots: roots.into(), list }
    }

    fn client(&self) -> TlsClient {
        let builder =
            WebPkiServerVerifier::builder_with_provider(self.roots.clone(), default_provider().into());
        let verifier = builder.with_crls([self.list.clone().into()]).build().unwrap();
        let mut config = client_config(&self.authority.pem(), &[&version::TLS13]);
        config.dangerous().set_certificate_verifier(verifier);
        TlsClient::from(Arc::new(config))
    }

    fn server(&self) -> TlsServer {
        let builder =
            WebPkiClientVerifier::builder_with_provider(self.roots.clone(), default_provider().into());
        let verifier = builder.with_crls([self.list.clone().into()]).build().unwrap();
        let provider = Arc::new(default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier);
        let own = identity_of(&self.authority.issue(&["localhost"], |_| {}));
        TlsServer::from(Arc::new(config.with_cert_resolver(Arc::new(SingleCertAndKey::from(own)))))
    }
}

fn identity_of([chain, key]: &[String; 2]) -> Arc<CertifiedKey> {
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    Arc::new(CertifiedKey::from_der(chain, key, &default_provider()).unwrap())
}

#[test]
fn a_list_of_revoked_certificates_in_a_configuration_of_rustls_applies() {
    let revoked = Revoked::new(|_| {});
    let [chain, key] = &revoked.presented;
    let errors = Pair::of(&revoked.client(), &TlsServer::from_pem(chain, key).unwrap()).run();
    let expected = TlsError::ServerCertificate(CertificateFault::Revoked);
    assert_eq!(errors, (Err(expected.clone()), Err(TlsError::ServerCertificateRejected(TlsAlert(44)))));
    assert!(expected.to_string().contains("replaced"), "{expected}");

    let revoked = Revoked::new(for_clients);
    let client = TlsClient::roots_only(revoked.authority.pem()).unwrap();
    let [chain, key] = &revoked.presented;
    let client = client.identity(Identity::from_pem(chain, key).unwrap());
    let errors = Pair::of(&client, &revoked.server()).run();
    let expected = TlsError::ClientCertificate(CertificateFault::Revoked);
    assert_eq!(errors, (Err(TlsError::ClientCertificateRejected(TlsAlert(44))), Err(expected)));
}

#[test]
fn a_wrong_signature_under_a_configuration_of_rustls_may_be_either() {
    let (ours, anew) = (Authority::new("ours"), Authority::new("ours"));
    let server = TlsServer::new(identity(&anew, &["localhost"])).unwrap();
    let client = TlsClient::from(Arc::new(client_config(&ours.pem(), &[&version::TLS13])));
    let error = Pair::of(&client, &server).run().0.unwrap_err();
    assert!(error.to_string().contains("in its chain, or that of the handshake"), "{error}");
}

#[test]
fn a_pinned_key_must_be_proven_too() {
    let authority = Authority::new("any");
    let [chain, key] = authority.issue(&["localhost"], |_| {});
    let pin = Identity::from_pem(&chain, key).unwrap().key_sha256().unwrap();
    let [_, other_key] = authority.issue(&["localhost"], |_| {});
    let mut presented = (*identity_of(&authority.issue(&["localhost"], |_| {}))).clone();
    presented.cert = CertificateDer::pem_slice_iter(chain.as_bytes()).map(Result::unwrap).collect();
    presented.key =
        any_supported_type(&PrivateKeyDer::from_pem_slice(other_key.as_bytes()).unwrap()).unwrap();
    let server = TlsServer::new(Identity::from_rustls(presented.into())).unwrap();
    let error = Pair::of(&TlsClient::system().pin(pin), &server).run().0.unwrap_err();
    assert_eq!(error, TlsError::ServerCertificate(CertificateFault::KeyNotProven));
}

/// How a client fares whose TLS 1.2 server ends the handshake with this alert instead of its last flight.
fn ended_with(alert: u8, with_identity: bool) -> TlsError {
    let authority = Authority::new("ours");
    let mut config = client_config(&authority.pem(), &[&version::TLS12]);
    if with_identity {
        let own = identity_of(&authority.issue(&["someone"], for_clients));
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(own));
    }
    let server = TlsServer::new(identity(&authority, &["localhost"])).unwrap();
    let server = server.client_certificates(authority.pem(), ClientCertificates::Optional).unwrap();
    let mut pair = Pair::of(&TlsClient::from(Arc::new(config)), &server);
    let hello = pair.take(To::Client);
    pair.deliver(To::Server, &hello).unwrap();
    let certificate = pair.take(To::Server);
    pair.deliver(To::Client, &certificate).unwrap();
    assert!(!pair.take(To::Client).is_empty());
    pair.deliver(To::Client, &[21, 3, 3, 0, 2, 2, alert]).unwrap_err()
}

#[test]
fn a_missing_client_certificate_is_named_although_tls_1_2_has_no_alert_for_it() {
    // OpenSSL and BoringSSL send handshake_failure, Go sends bad_certificate, rustls certificate_required.
    for alert in [40, 42, 116] {
        let error = ended_with(alert, false);
        assert_eq!(error, TlsError::ClientCertificateMissing);
        assert!(error.to_string().contains("set one with identity"));
    }
    for alert in [40, 42, 43, 44, 45, 46, 48, 49, 51] {
        assert_eq!(ended_with(alert, true), TlsError::ClientCertificateRejected(TlsAlert(alert)));
    }
    for alert in [20, 47, 80] {
        assert_eq!(ended_with(alert, false), TlsError::Alert(TlsAlert(alert)));
        assert_eq!(ended_with(alert, true), TlsError::Alert(TlsAlert(alert)));
    }
}

#[test]
fn an_alert_before_any_certificate_is_no_rejection_of_one() {
    let (client, server) = trusting();
    let error = Pair::of(&client, &server).deliver(To::Client, &[21, 3, 3, 0, 2, 2, 40]);
    assert_eq!(error, Err(TlsError::Alert(TlsAlert(40))));
    // A resolver that has none for the name.
    let server = TlsServer::resolver(|_| None).unwrap();
    let authority = Authority::new("ours");
    let client = client.identity(identity(&authority, &["someone"]));
    assert_eq!(Pair::of(&client, &server).run().0, Err(TlsError::Alert(TlsAlert(49))));
}

#[test]
fn each_rejection_by_the_peer_says_what_to_do() {
    for (alert, at_client, at_server) in [
        (42, "set another with identity", "may not be that in the URL"),
        (44, "set another with identity", "replace it"),
        (45, "by the clock of the server; renew it", "by the clock of the client; renew it"),
        (46, "set another with identity", "see what the client says"),
        (48, "intermediate certificates behind it", "install the root on the client"),
        (49, "set another with identity", "may not be the pinned one"),
    ] {
        let client = TlsError::ClientCertificateRejected(TlsAlert(alert)).to_string();
        let server = TlsError::ServerCertificateRejected(TlsAlert(alert)).to_string();
        assert!(client.contains(at_client) && server.contains(at_server), "{client}\n{server}");
    }
}
