//! Certificates, keys and roots from PEM.

use super::error::InvalidTls;
use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::borrow::ToOwned;
use std::format;
use std::path::Path;
use std::string::{String, ToString};
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
    InvalidTls::Malformed(match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            format!("the PEM text ends before the line -----END {}-----", String::from_utf8_lossy(end_marker))
        }
        pem::Error::IllegalSectionStart { .. } => {
            "a line of the PEM text begins as -----BEGIN, but does not end so".to_owned()
        }
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_user_is_an_error_that_names_the_remedy() {
        let error = std::io::ErrorKind::PermissionDenied.into();
        let error = InvalidTls::File { path: "key.pem".into(), error }.to_string();
        assert!(
            error.contains("key.pem") && error.contains("make the user who runs this program its owner"),
            "{error}"
        );
    }

    #[test]
    fn an_error_shows_text_and_no_numbers_of_bytes() {
        let cut = chain(b"-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap_err().to_string();
        assert!(cut.ends_with("the PEM text ends before the line -----END CERTIFICATE-----"), "{cut}");
        let open = chain(b"-----BEGIN CERTIFICATE\nAAAA\n").unwrap_err().to_string();
        assert!(open.ends_with("begins as -----BEGIN, but does not end so"), "{open}");
        let other =
            chain(b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").unwrap_err().to_string();
        assert!(!other.contains('['), "{other}");
    }
}
