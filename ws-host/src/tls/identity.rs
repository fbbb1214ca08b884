//! A certificate with its chain and its private key.

use super::error::InvalidTls;
use super::{pem, provider};
use core::fmt;
use rustls::crypto::CryptoProvider;
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;

/// A certificate, those that issued it, and its private key: the identity that one end presents to the other. A clone
/// is cheap.
#[derive(Clone)]
pub struct Identity(pub(super) Arc<CertifiedKey>);

impl Identity {
    /// Reads PEM text: the certificate first, then those that issued it, without the root; and the key as PKCS#8, PKCS#1
    /// or SEC1. Both may be in one text, which is then passed twice.
    ///
    /// # Errors
    /// [`InvalidTls`]: one of them is missing, malformed or unsupported, or the key belongs to another certificate.
    pub fn from_pem(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Self, InvalidTls> {
        Self::with_provider(&provider::default()?, chain, key)
    }

    /// As [`from_pem`](Self::from_pem), with this cryptography.
    ///
    /// # Errors
    /// As [`from_pem`](Self::from_pem).
    pub fn with_provider(
        provider: &Arc<CryptoProvider>,
        chain: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
    ) -> Result<Self, InvalidTls> {
        let chain = pem::chain(chain.as_ref())?;
        let key = pem::key(key.as_ref())?;
        Ok(Self(Arc::new(CertifiedKey::from_der(chain, key, provider)?)))
    }

    /// Reads PEM files, as [`from_pem`](Self::from_pem) does text.
    ///
    /// # Errors
    /// As [`from_pem`](Self::from_pem), and [`InvalidTls::File`] if a file cannot be read.
    pub fn from_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, InvalidTls> {
        Self::from_pem(pem::read(chain.as_ref())?, pem::read(key.as_ref())?)
    }

    /// The SHA-256 of its public key, as [`TlsClient::pin`](super::TlsClient::pin) expects it.
    ///
    /// # Errors
    /// [`InvalidTls::Malformed`] for an identity of rustls without a certificate.
    pub fn key_sha256(&self) -> Result<[u8; 32], InvalidTls> {
        let certificate = self.0.end_entity_cert()?;
        Ok(Sha256::digest(ParsedCertificate::try_from(certificate)?.subject_public_key_info().as_ref())
            .into())
    }

    /// An identity of rustls.
    pub fn from_rustls(key: Arc<CertifiedKey>) -> Self {
        Self(key)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificates", &self.0.cert.len()).finish_non_exhaustive()
    }
}
