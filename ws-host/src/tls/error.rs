//! Converts the errors of rustls to [`TlsError`]; the errors of a configuration.

use core::fmt;
use rustls::{AlertDescription, CertificateError, InconsistentKeys, InvalidMessage, PeerIncompatible};
use std::borrow::ToOwned;
use std::io;
use std::path::PathBuf;
use std::string::{String, ToString};
use ws_proto::{TlsAlert, TlsError};

/// The error of a session.
pub(super) fn session_error(error: &rustls::Error, is_client: bool, has_identity: bool) -> TlsError {
    use rustls::Error as E;
    match error {
        E::InvalidCertificate(error) => certificate_error(error),
        E::NoCertificatesPresented => TlsError::ClientCertificateMissing,
        E::AlertReceived(alert) => alert_received(*alert, is_client, has_identity),
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

fn certificate_error(error: &CertificateError) -> TlsError {
    use CertificateError as C;
    match error {
        C::Expired | C::ExpiredContext { .. } => TlsError::Expired,
        C::NotValidYet | C::NotValidYetContext { .. } => TlsError::NotYetValid,
        C::NotValidForName => TlsError::WrongName { expected: "this name".into(), presented: [].into() },
        C::NotValidForNameContext { expected, presented } => TlsError::WrongName {
            expected: expected.to_str().into(),
            presented: presented.iter().map(|name| plain_name(name)).collect(),
        },
        // A root of the same name with another key, such as a regenerated one, appears as a bad signature.
        C::UnknownIssuer | C::BadSignature => TlsError::NotTrusted,
        C::Revoked => TlsError::Revoked,
        C::InvalidPurpose | C::InvalidPurposeContext { .. } => TlsError::WrongPurpose,
        C::ApplicationVerificationFailure => TlsError::NotPinned,
        other => TlsError::BadCertificate(reason(&other.to_string()).into()),
    }
}

/// Explains common mistakes, of which webpki reports only the name of its error.
fn reason(error: &str) -> String {
    let known = match error {
        _ if error.contains("CaUsedAsEndEntity") => {
            "it is a CA certificate (CA:TRUE, which `openssl req -x509` sets); issue one with \
             basicConstraints=critical,CA:FALSE, or pin its key"
        }
        _ if error.contains("NameConstraintViolation") => {
            "its issuer must not certify one of its names (RFC 5280 §4.2.1.10); leave that name out"
        }
        other => other,
    };
    known.to_owned()
}

/// Removes the type from `DnsName("localhost")` and `IpAddress(127.0.0.1)`, as webpki writes them, and the control
/// characters, which must not reach a terminal.
fn plain_name(name: &str) -> String {
    let inner = name.find('(').and_then(|at| name[at + 1..].strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"').chars().filter(|c| !c.is_control()).take(255).collect()
}

fn alert_received(alert: AlertDescription, is_client: bool, has_identity: bool) -> TlsError {
    use AlertDescription as A;
    match alert {
        A::CertificateRequired if is_client => TlsError::ClientCertificateMissing,
        A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateRevoked
        | A::CertificateExpired
        | A::CertificateUnknown
        | A::UnknownCA
        | A::AccessDenied
            if is_client && has_identity =>
        {
            TlsError::ClientCertificateRejected(TlsAlert(alert.into()))
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
            Self::File { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            Self::NoCertificate => f.write_str("there is no certificate in the PEM text"),
            Self::NoKey => f.write_str("there is no private key in the PEM text"),
            Self::Malformed(why) => write!(f, "malformed or unsupported: {why}"),
            Self::KeyMismatch => f.write_str("the private key does not belong to the first certificate"),
            Self::NoRoots => f.write_str("there are no root certificates, so no certificate can be trusted"),
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
