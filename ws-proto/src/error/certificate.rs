//! What is wrong with a certificate.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Why a certificate was rejected: that of a server by its client, or that of a client by its server. The sentence is
/// that of [`TlsError::ServerCertificate`](crate::TlsError::ServerCertificate) or
/// [`TlsError::ClientCertificate`](crate::TlsError::ClientCertificate), since the remedy depends on the side.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateFault {
    /// It has expired, by the clock of this machine.
    Expired,
    /// It is not valid yet, by the clock of this machine.
    NotYetValid,
    /// It does not cover the name of the server.
    WrongName(Box<NameMismatch>),
    /// No trusted root has issued it.
    NotTrusted {
        /// The name of the CA that issued it, or the last certificate of its chain; empty if it is not known.
        issuer: Box<str>,
    },
    /// An intermediate CA has issued it, as it says itself (RFC 5280 §4.2.2.1), and the peer has not sent the
    /// certificate of that CA.
    IncompleteChain {
        /// The name of that CA.
        issuer: Box<str>,
    },
    /// It has issued itself, and it is not a trusted root.
    SelfSigned,
    /// It is that of a CA, which may issue certificates, but not be presented as the peer's own.
    CaCertificate,
    /// Its key is none of the pinned keys, or the application's own rule rejects it.
    NotPinned,
    /// It, or a CA in its chain, has been revoked.
    Revoked,
    /// It is for another purpose: a client's for a server, for example (RFC 5280 §4.2.1.12).
    WrongPurpose,
    /// A CA in its chain must not certify one of its names (RFC 5280 §4.2.1.10).
    NameNotPermitted,
    /// A CA in its chain must not have issued the next certificate: that is one CA too many, or the issuer is no CA
    /// (RFC 5280 §4.2.1.9).
    ChainNotPermitted,
    /// A signature in its chain does not match the key of the issuer.
    BadSignature,
    /// The signature of the handshake does not match its key: the peer may not have its private key.
    KeyNotProven,
    /// A key or a signature in its chain is too weak, or of an unsupported kind: which.
    WeakAlgorithm(Box<str>),
    /// It is not a certificate as RFC 5280 §4.1 defines it.
    Malformed,
    /// It has a critical extension that is not supported, and so must not be ignored (RFC 5280 §4.2).
    CriticalExtension,
    /// Another reason.
    Other(Box<str>),
}

/// The names of a certificate that does not cover the expected one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameMismatch {
    /// The name in the URL, or the one that replaces it.
    pub expected: Box<str>,
    /// The names in the certificate.
    pub presented: Vec<String>,
}

impl CertificateFault {
    /// Writes the sentence about the certificate of a server, for who runs its client.
    pub(super) fn of_server(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongName(names) => {
                let NameMismatch { expected, presented } = &**names;
                write!(f, "the server's certificate is not for {expected}")?;
                if !presented.is_empty() {
                    write!(f, " but for {}", presented.join(", "))?;
                }
                f.write_str("; connect by a name that it has, or set server_name")
            }
            Self::NotTrusted { issuer } => {
                f.write_str("no trusted root has issued the server's certificate")?;
                named_issuer(f, issuer)?;
                f.write_str("; add the root with add_roots, or pin the server's key")
            }
            Self::SelfSigned => f.write_str(
                "the server's certificate is self-signed and not trusted; pin its key, or add it with add_roots",
            ),
            Self::CaCertificate => f.write_str(
                "the server's certificate is that of a CA (CA:TRUE, which `openssl req -x509` sets); pin its key, or \
                 issue one with basicConstraints=critical,CA:FALSE",
            ),
            Self::NotPinned => {
                f.write_str("the server's key is not a pinned one; if the server has a new key, pin that one")
            }
            Self::WrongPurpose => f.write_str(
                "the server's certificate is for another purpose; it must be issued with the extended key usage \
                 serverAuth",
            ),
            Self::BadSignature => f.write_str(
                "a signature in the chain of the server's certificate does not match the key of its issuer; if that \
                 CA was made anew under the same name, replace the root in add_roots, or pin the server's key",
            ),
            Self::KeyNotProven => f.write_str(
                "the server has not proven that it has the key of its certificate; its certificate and its key may not \
                 belong together, or somebody else answers in its place",
            ),
            other => other.of_either(f, "server"),
        }
    }

    /// Writes the sentence about the certificate of a client, for who runs its server.
    pub(super) fn of_client(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongName(names) => write!(f, "the client's certificate is not for {}", names.expected),
            Self::NotTrusted { issuer } => {
                f.write_str("no root of client_certificates has issued the client's certificate")?;
                named_issuer(f, issuer)?;
                f.write_str("; add its root to client_certificates, or give the client another certificate")
            }
            Self::SelfSigned => f.write_str(
                "the client's certificate is self-signed; let a root of client_certificates issue one, or add it to \
                 these roots",
            ),
            Self::CaCertificate => f.write_str(
                "the client's certificate is that of a CA (CA:TRUE, which `openssl req -x509` sets); issue one with \
                 basicConstraints=critical,CA:FALSE",
            ),
            Self::NotPinned => f.write_str("the application's own rule rejects the client's certificate"),
            Self::WrongPurpose => f.write_str(
                "the client's certificate is for another purpose; it must be issued with the extended key usage \
                 clientAuth",
            ),
            Self::BadSignature => f.write_str(
                "a signature in the chain of the client's certificate does not match the key of its issuer; if that \
                 CA was made anew under the same name, replace the root in client_certificates",
            ),
            Self::KeyNotProven => f.write_str(
                "the client has not proven that it has the key of its certificate; its certificate and its key may not \
                 belong together, or the certificate is somebody else's",
            ),
            other => other.of_either(f, "client"),
        }
    }

    /// The sentences that are the same for both.
    fn of_either(&self, f: &mut fmt::Formatter<'_>, whose: &str) -> fmt::Result {
        match self {
            Self::Expired => write!(
                f,
                "the {whose}'s certificate has expired; it must be renewed, unless the clock of this machine is wrong"
            ),
            Self::NotYetValid => write!(
                f,
                "the {whose}'s certificate is not valid yet; the clock of this machine may be wrong, or the issuer's \
                 was when it made the certificate"
            ),
            Self::IncompleteChain { issuer } => {
                write!(f, "the {whose} has not sent the intermediate certificate")?;
                if !issuer.is_empty() {
                    write!(f, " of {issuer:?}")?;
                }
                write!(
                    f,
                    ", which issued its own; the chain that the {whose} loads must hold both, its own first"
                )
            }
            Self::Revoked => write!(f, "the {whose}'s certificate has been revoked; it must be replaced"),
            Self::NameNotPermitted => write!(
                f,
                "an issuer of the {whose}'s certificate must not certify one of its names (RFC 5280 §4.2.1.10); leave \
                 that name out, or let another CA issue it"
            ),
            Self::ChainNotPermitted => write!(
                f,
                "an issuer in the chain of the {whose}'s certificate is no CA, or must not have another CA below it \
                 (RFC 5280 §4.2.1.9); let a CA above it issue the certificate"
            ),
            Self::WeakAlgorithm(which) => write!(
                f,
                "the chain of the {whose}'s certificate has a key or a signature that is too weak or not supported, \
                 {which}; issue it with SHA-256 and RSA of 2048 bits or more, or ECDSA with P-256"
            ),
            Self::Malformed => {
                write!(
                    f,
                    "the {whose}'s certificate, or one in its chain, is malformed; it must be issued anew"
                )
            }
            Self::CriticalExtension => write!(
                f,
                "the {whose}'s certificate has a critical extension that is not supported (RFC 5280 §4.2); issue it \
                 without that extension"
            ),
            Self::Other(why) => write!(f, "the {whose}'s certificate is unusable: {why}"),
            // They have a sentence for each side.
            _ => write!(f, "the {whose}'s certificate is unusable"),
        }
    }
}

fn named_issuer(f: &mut fmt::Formatter<'_>, issuer: &str) -> fmt::Result {
    if issuer.is_empty() { Ok(()) } else { write!(f, " (its issuer is {issuer:?})") }
}
