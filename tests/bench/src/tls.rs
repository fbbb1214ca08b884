//! TLS of the benchmarks: a certificate for one run, and rustls for the peers.

use rustls::client::Resumption;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use std::error::Error;
use std::sync::Arc;

/// A certificate for the addresses of this machine that signs itself, and its key on P-256, as PEM.
pub fn certificate() -> Result<[String; 2], rcgen::Error> {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    Ok([certified.cert.pem(), certified.signing_key.serialize_pem()])
}

/// A client that trusts this certificate. Each of its handshakes is a full one of TLS 1.3.
pub fn trusting(certificate: &str) -> Result<Arc<ClientConfig>, Box<dyn Error>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes())?)?;
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let mut config =
        builder.with_protocol_versions(&[&TLS13])?.with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}
