//! Certificates, keys and roots from PEM.

use super::error::InvalidTls;
use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::string::ToString;
use std::vec::Vec;

pub(super) fn read(path: &Path) -> Result<Vec<u8>, InvalidTls> {
    std::fs::read(path).map_err(|error| InvalidTls::File { path: path.to_owned(), error })
}

/// The certificates in their order: the subject's own first, then those that issued it.
pub(super) fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, InvalidTls> {
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| malformed(&error))?;
    if chain.is_empty() { Err(InvalidTls::NoCertificate) } else { Ok(chain) }
}

/// The first private key: PKCS#8, PKCS#1 or SEC1.
pub(super) fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, InvalidTls> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound => InvalidTls::NoKey,
        other => malformed(&other),
    })
}

/// Adds each certificate as a root.
pub(super) fn add_roots(store: &mut RootCertStore, pem: &[u8]) -> Result<(), InvalidTls> {
    for root in chain(pem)? {
        store.add(root)?;
    }
    Ok(())
}

fn malformed(error: &pem::Error) -> InvalidTls {
    InvalidTls::Malformed(error.to_string())
}
