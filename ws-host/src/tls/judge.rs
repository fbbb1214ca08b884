//! Judges the peer's certificate: rustls does, and what it leaves open is found out here, for the error and the alert.

use super::x509::{self, Parts};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};
use std::boxed::Box;
use std::cell::RefCell;
use std::string::{String, ToString};
use std::sync::Arc;
use std::vec::Vec;
use ws_proto::{CertificateFault, NameMismatch};

std::thread_local! {
    /// An error of rustls has no room for the fault, and decides the alert by its kind. So the fault waits here until
    /// the session returns from the call in which the certificate was judged.
    static FOUND: RefCell<Option<CertificateFault>> = const { RefCell::new(None) };
}

/// The fault that was found within the call to rustls that has just failed.
pub(super) fn found() -> Option<CertificateFault> {
    FOUND.try_with(RefCell::take).ok().flatten()
}

/// A verifier of rustls, and the roots that it trusts.
#[derive(Debug)]
pub(super) struct Judge<V: ?Sized> {
    roots: Arc<RootCertStore>,
    by: Arc<V>,
}

impl<V: ?Sized> Judge<V> {
    pub(super) fn new(by: Arc<V>, roots: Arc<RootCertStore>) -> Self {
        Self { roots, by }
    }

    /// Finds out the fault of a chain.
    fn of_chain(&self, error: Error, own: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Error {
        let Error::InvalidCertificate(cause) = &error else { return error };
        let chain: Vec<_> = core::iter::once(own).chain(others).filter_map(|der| Parts::of(der)).collect();
        let fault = match fault(cause) {
            CertificateFault::NotTrusted { .. } => untrusted(&chain),
            // It was made anew under the same name.
            CertificateFault::BadSignature if chain.first().is_some_and(Parts::is_self_issued) => {
                CertificateFault::SelfSigned
            }
            // The cryptography rejects all signatures by a key that is too short.
            CertificateFault::BadSignature => {
                let roots = self.roots.roots.iter().filter(|root| {
                    chain.iter().any(|certificate| certificate.issuer == root.subject.as_ref())
                });
                let mut keys = chain.iter().map(|certificate| certificate.key);
                keys.find_map(x509::unsuitable_key)
                    .or_else(|| {
                        let mut keys = roots.map(|root| root.subject_public_key_info.as_ref());
                        keys.find_map(x509::unsuitable_key)
                    })
                    .map_or(CertificateFault::BadSignature, CertificateFault::WeakAlgorithm)
            }
            other => other,
        };
        let error = match &fault {
            // Not decrypt_error, which is for the handshake (RFC 8446 §6.2): bad_certificate, unsupported_certificate.
            CertificateFault::BadSignature => CertificateError::BadEncoding.into(),
            CertificateFault::WeakAlgorithm(_) => CertificateError::InvalidPurpose.into(),
            CertificateFault::SelfSigned => CertificateError::UnknownIssuer.into(),
            _ => error,
        };
        find(fault);
        error
    }
}

/// Finds out why a signature of the handshake does not match.
fn of_signature(error: Error, own: &CertificateDer<'_>) -> Error {
    if let Error::InvalidCertificate(cause) = &error {
        find(match fault(cause) {
            CertificateFault::BadSignature => Parts::of(own)
                .and_then(|certificate| x509::unsuitable_key(certificate.key))
                .map_or(CertificateFault::KeyNotProven, CertificateFault::WeakAlgorithm),
            other => other,
        });
    }
    error
}

fn find(fault: CertificateFault) {
    let _ = FOUND.try_with(|found| found.replace(Some(fault)));
}

/// Why no root has issued this chain, whose first certificate is the peer's own.
fn untrusted(chain: &[Parts<'_>]) -> CertificateFault {
    let Some(own) = chain.first() else { return CertificateFault::NotTrusted { issuer: "".into() } };
    if own.is_self_issued() {
        return CertificateFault::SelfSigned;
    }
    let (mut last, mut is_alone) = (own, true);
    for _ in 1..chain.len() {
        match chain.iter().find(|other| other.subject == last.issuer) {
            Some(issuer) if !last.is_self_issued() => (last, is_alone) = (issuer, false),
            _ => break,
        }
    }
    let issuer = x509::shown_name(last.issuer);
    if is_alone && own.names_place_of_issuer() {
        return CertificateFault::IncompleteChain { issuer };
    }
    CertificateFault::NotTrusted { issuer }
}

/// The fault that rustls names.
pub(super) fn fault(error: &CertificateError) -> CertificateFault {
    use CertificateError as C;
    use CertificateFault as F;
    match error {
        C::Expired | C::ExpiredContext { .. } => F::Expired,
        C::NotValidYet | C::NotValidYetContext { .. } => F::NotYetValid,
        C::NotValidForName => wrong_name("this name", [].into()),
        C::NotValidForNameContext { expected, presented } => {
            wrong_name(&expected.to_str(), presented.iter().map(|name| x509::plain_name(name)).collect())
        }
        C::UnknownIssuer => F::NotTrusted { issuer: "".into() },
        C::BadSignature => F::BadSignature,
        C::UnsupportedSignatureAlgorithmContext { signature_algorithm_id: id, .. }
        | C::UnsupportedSignatureAlgorithmForPublicKeyContext { signature_algorithm_id: id, .. } => {
            F::WeakAlgorithm(x509::signature_name(id))
        }
        C::BadEncoding => F::Malformed,
        C::UnhandledCriticalExtension => F::CriticalExtension,
        C::Revoked => F::Revoked,
        C::InvalidPurpose | C::InvalidPurposeContext { .. } => F::WrongPurpose,
        C::ApplicationVerificationFailure => F::NotPinned,
        other => of_webpki(&other.to_string()),
    }
}

fn wrong_name(expected: &str, presented: Vec<String>) -> CertificateFault {
    CertificateFault::WrongName(Box::new(NameMismatch { expected: expected.into(), presented }))
}

/// The faults of which webpki reports only the name.
fn of_webpki(error: &str) -> CertificateFault {
    use CertificateFault as F;
    let faults: [(&[&str], F); 5] = [
        (&["CaUsedAsEndEntity"], F::CaCertificate),
        (&["NameConstraintViolation"], F::NameNotPermitted),
        (
            &["PathLenConstraintViolated", "EndEntityUsedAsCa", "MaximumPathDepthExceeded"],
            F::ChainNotPermitted,
        ),
        (&["UnsupportedCriticalExtension"], F::CriticalExtension),
        (
            &[
                "MalformedExtensions",
                "MalformedDnsIdentifier",
                "MalformedNameConstraint",
                "ExtensionValueInvalid",
                "InvalidSerialNumber",
                "InvalidCertValidity",
                "InvalidNetworkMaskConstraint",
                "SignatureAlgorithmMismatch",
                "UnsupportedCertVersion",
                "EmptyEkuExtension",
            ],
            F::Malformed,
        ),
    ];
    let known = faults.into_iter().find(|(names, _)| names.iter().any(|name| error.contains(name)));
    known.map_or_else(|| F::Other(error.into()), |(_, fault)| fault)
}

impl ServerCertVerifier for Judge<dyn ServerCertVerifier> {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged = self.by.verify_server_cert(own, others, name, ocsp_response, now);
        judged.map_err(|error| self.of_chain(error, own, others))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by.verify_tls12_signature(message, own, signed).map_err(|error| of_signature(error, own))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by.verify_tls13_signature(message, own, signed).map_err(|error| of_signature(error, own))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by.supported_verify_schemes()
    }
}

impl ClientCertVerifier for Judge<dyn ClientCertVerifier> {
    fn offer_client_auth(&self) -> bool {
        self.by.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.by.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.by.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let judged = self.by.verify_client_cert(own, others, now);
        judged.map_err(|error| self.of_chain(error, own, others))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by.verify_tls12_signature(message, own, signed).map_err(|error| of_signature(error, own))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by.verify_tls13_signature(message, own, signed).map_err(|error| of_signature(error, own))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by.supported_verify_schemes()
    }
}
