//! A certificate for one run of a chat. A real program has one from an authority.

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A self-signed certificate for the loopback names and addresses of this machine, and its key, in PEM.
///
/// # Errors
/// If the system provides no random numbers.
pub fn certificate() -> Result<[String; 2], rcgen::Error> {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "chat, for one run");
    params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    // From yesterday, since clocks differ, and for no longer than browsers accept: 397 days.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    params.not_before = date_time_ymd(1970, 1, 1) + now.saturating_sub(DAY);
    params.not_after = params.not_before + DAY * 397;
    let key = KeyPair::generate()?;
    Ok([params.self_signed(&key)?.pem(), key.serialize_pem()])
}
