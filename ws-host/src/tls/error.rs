//! Converts the errors of rustls to [`TlsError`]; the errors of a configuration.

use super::judge;
use core::fmt;
use rustls::{AlertDescription, CertificateError, InconsistentKeys, InvalidMessage, PeerIncompatible};
use std::borrow::ToOwned;
use std::io;
use std::path::PathBuf;
use std::string::{String, ToString};
use ws_proto::{CertificateFault, TlsAlert, TlsError};

/// What one end knows when its session fails.
#[derive(Clone, Copy)]
pub(super) struct End {
    pub(super) is_client: bool,
    /// A client that can present a certificate.
    pub(super) has_identity: bool,
    pub(super) is_handshaking: bool,
    /// It has sent a flight in answer to the peer: a server its certificate, a client its own or none.
    pub(super) has_answered: bool,
}

impl End {
    /// Before the handshake.
    pub(super) fn new(is_client: bool) -> Self {
        Self { is_client, has_identity: false, is_handshaking: true, has_answered: false }
    }
}

/// The error of a session.
pub(super) fn session_error(error: &rustls::Error, end: End) -> TlsError {
    use rustls::Error as E;
    match error {
        E::InvalidCertificate(error) => {
            let fault = judge::found().unwrap_or_else(|| match error {
                // Of a whole configuration: which of them is not known.
                CertificateError::BadSignature => CertificateFault::Other(
                    "a signature in its chain, or that of the handshake, does not match".into(),
                ),
                other => judge::fault(other),
            });
            if end.is_client { TlsError::ServerCertificate(fault) } else { TlsError::ClientCertificate(fault) }
        }
        E::NoCertificatesPresented if end.is_client => TlsError::ServerCertificateMissing,
        E::NoCertificatesPresented => TlsError::ClientCertificateMissing,
        E::AlertReceived(alert) => alert_received(*alert, end),
        E::PeerIncompatible(
            PeerIncompatible::NoCipherSuitesInCommon
            | PeerIncompatible::NoKxGroupsInCommon
            | PeerIncompatible::NoSignatureSchemesInCommon
            | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::SupportedVersionsExtensionRequired
            // TLS 1.1 and older need none.
            | PeerIncompatible::SignatureAlgorithmsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        ) => TlsError::NoCommonVersion,
        E::NoApplicationProtocol => TlsError::NoCommonProtocol,
        // The caller has checked for HTTP.
        E::InvalidMessage(InvalidMessage::InvalidContentType) => {
            TlsError::Protocol("it sent bytes that are not a TLS record".into())
        }
        other => TlsError::Protocol(other.to_string().into()),
    }
}

fn alert_received(alert: AlertDescription, end: End) -> TlsError {
    use AlertDescription as A;
    let End { is_client, has_identity, is_handshaking, has_answered } = end;
    let is_rejection = has_answered
        && matches!(
            alert,
            A::BadCertificate
                | A::UnsupportedCertificate
                | A::CertificateRevoked
                | A::CertificateExpired
                | A::CertificateUnknown
                | A::UnknownCA
                | A::AccessDenied
                | A::DecryptError
        );
    match alert {
        A::CertificateRequired if is_client => TlsError::ClientCertificateMissing,
        // TLS 1.2 has no alert of its own for this (RFC 5246 §7.4.6). What the two sides have in common was agreed
        // before the client answered.
        A::HandshakeFailure | A::BadCertificate
            if is_client && !has_identity && is_handshaking && has_answered =>
        {
            TlsError::ClientCertificateMissing
        }
        A::HandshakeFailure if is_client && has_identity && is_handshaking && has_answered => {
            TlsError::ClientCertificateRejected(TlsAlert(alert.into()))
        }
        // In TLS 1.3 the handshake of a client is done before the server judges its certificate.
        _ if is_rejection && is_client && has_identity => {
            TlsError::ClientCertificateRejected(TlsAlert(alert.into()))
        }
        _ if is_rejection && !is_client && is_handshaking => {
            TlsError::ServerCertificateRejected(TlsAlert(alert.into()))
        }
        A::ProtocolVersion | A::InsufficientSecurity => TlsError::NoCommonVersion,
        A::NoApplicationProtocol => TlsError::NoCommonProtocol,
        other => TlsError::Alert(TlsAlert(other.into())),
    }
}

/// Why a TLS configuration is unusable.
#[non_exhaustive]
pub enum InvalidTls {
    /// A file could not be read.
    File {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The PEM text has no certificate.
    NoCertificate,
    /// The PEM text has no private key.
    NoKey,
    /// A certificate or a key is malformed or not supported, or a setting does not apply to this configuration.
    Malformed(String),
    /// The key does not belong to the first certificate.
    KeyMismatch,
    /// There are no roots that could issue a certificate.
    NoRoots,
    /// A name is neither a host name nor an address.
    Name(String),
    /// Neither feature brings cryptography, and the application passed none.
    NoProvider,
    /// A file of a local CA could not be written.
    Unwritable {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The user has no folder for a local CA.
    NoFolder,
    /// The files of a local CA are unusable.
    UnusableCa {
        /// Their folder.
        folder: PathBuf,
        /// What is wrong with them.
        why: String,
    },
    /// A local CA permits no certificate for this name: its names were fixed when it was made.
    NotPermitted {
        /// The name or the address.
        name: String,
        /// The folder of the CA.
        folder: PathBuf,
    },
    /// A single label could be a top-level domain, for all of which a local CA would be trusted.
    TopLevel(String),
}

ws_proto::debug_is_display!(InvalidTls);

impl fmt::Display for InvalidTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, error } if error.kind() == io::ErrorKind::PermissionDenied => write!(
                f,
                "cannot read {}: {error}; make the user who runs this program its owner: perhaps another one, such as \
                 root, has created it",
                path.display()
            ),
            Self::File { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            Self::NoCertificate => f.write_str("there is no certificate in the PEM text"),
            Self::NoKey => f.write_str("there is no private key in the PEM text"),
            Self::Malformed(why) => write!(f, "malformed or unsupported: {why}"),
            Self::KeyMismatch => f.write_str("the private key does not belong to the first certificate"),
            Self::NoRoots => f.write_str("there are no root certificates, so no certificate can be trusted"),
            Self::Name(name) if !name.is_ascii() => {
                write!(
                    f,
                    "{name:?} is not ASCII: write a host name as in DNS, with xn-- (punycode, RFC 3492)"
                )
            }
            Self::Name(name) => write!(f, "{name:?} is neither a host name nor an address"),
            Self::NoProvider => f.write_str(
                "there is no cryptography: enable the feature tls or tls-aws-lc-rs, or pass a provider",
            ),
            Self::Unwritable { path, error } => {
                write!(
                    f,
                    "cannot write {}: {error}; SelfSigned::folder selects another folder",
                    path.display()
                )
            }
            Self::NoFolder => f.write_str(
                "this user has no home folder; set the folder of the local CA with SelfSigned::folder",
            ),
            Self::UnusableCa { folder, why } => write!(
                f,
                "the local CA in {} is unusable: {why}; move that folder away, restart, and import the new CA",
                folder.display()
            ),
            Self::NotPermitted { name, folder } => write!(
                f,
                "the local CA in {} was made without {name} and cannot certify it; move that folder away, restart, \
                 and import the new CA",
                folder.display()
            ),
            Self::TopLevel(name) => write!(
                f,
                "{name:?} could be a top-level domain, so no local CA may certify it; use a name with a dot, such as \
                 {name}.local"
            ),
        }
    }
}

impl std::error::Error for InvalidTls {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { error, .. } | Self::Unwritable { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// A connection that cannot begin: its configuration is invalid.
impl From<InvalidTls> for TlsError {
    fn from(error: InvalidTls) -> Self {
        Self::Invalid(error.to_string().into())
    }
}

impl From<rustls::Error> for InvalidTls {
    fn from(error: rustls::Error) -> Self {
        match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Self::KeyMismatch,
            rustls::Error::NoCertificatesPresented => Self::NoCertificate,
            other => Self::Malformed(other.to_string()),
        }
    }
}

#[cfg(feature = "tls-self-signed")]
impl From<rcgen::Error> for InvalidTls {
    fn from(error: rcgen::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl From<rustls::server::VerifierBuilderError> for InvalidTls {
    fn from(error: rustls::server::VerifierBuilderError) -> Self {
        match error {
            rustls::server::VerifierBuilderError::NoRootAnchors => Self::NoRoots,
            other => Self::Malformed(other.to_string()),
        }
    }
}

impl InvalidTls {
    pub(super) fn name(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}
