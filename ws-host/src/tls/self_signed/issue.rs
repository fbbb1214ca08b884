//! The local CA and what it issues, in memory: keys, certificates, and which names they hold for.

use super::der::{self, Facts};
use super::names::{self, Name};
use crate::tls::error::InvalidTls;
use crate::tls::{pem, provider};
use core::time::Duration;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, GeneralSubtree,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PublicKeyData, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, UnixTime};
use sha2::{Digest, Sha256};
use std::sync::Arc;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a CA is valid: each new one has to be imported again.
const CA_DAYS: u32 = 3_650;
/// How long a certificate is valid, the day before its issue included. Apple's systems accept 825 days from a CA
/// that the user has added, and browsers 398 from any other.
const LEAF_DAYS: u32 = 397;
/// When this much is left, a certificate is renewed.
const RENEWAL_DAYS: u32 = 30;
/// The latest time that certificates can express (RFC 5280 §4.1.2.5), minus the lifetime of a CA.
const LATEST: Duration = Duration::from_secs(253_402_300_799 - 4_000 * 86_400);

/// The time of day, since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time(Duration);

impl Time {
    pub(super) fn new(since_1970: Duration) -> Self {
        // A clock that was never set says 1970, and a certificate begins a day earlier.
        Self(since_1970.clamp(DAY, LATEST))
    }

    fn plus_days(self, days: u32) -> Self {
        Self(self.0 + DAY * days)
    }

    /// As the certificates have it: `YYYYMMDDHHMMSSZ`.
    fn stamp(self) -> String {
        let at = date_time_ymd(1970, 1, 1) + self.0;
        let (day, clock) = (self.day(), [at.hour(), at.minute(), at.second()]);
        let clock: String = clock.iter().map(|part| format!("{part:02}")).collect();
        format!("{}{clock}Z", day.replace('-', ""))
    }

    /// The date: `YYYY-MM-DD`.
    fn day(self) -> String {
        let at = date_time_ymd(1970, 1, 1) + self.0;
        format!("{:04}-{:02}-{:02}", at.year(), u8::from(at.month()), at.day())
    }
}

/// A CA and its key.
pub(super) struct Ca {
    pub(super) pem: String,
    pub(super) der: CertificateDer<'static>,
    pub(super) facts: Facts,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
pub(super) struct Leaf {
    pub(super) pem: String,
    pub(super) key_pem: String,
    der: CertificateDer<'static>,
}

impl Ca {
    /// Makes a CA for these names and addresses. Its own name is unique, since systems and users tell CAs apart by it.
    pub(super) fn create(
        app: &str,
        machine: &str,
        permitted: Vec<GeneralSubtree>,
        now: Time,
    ) -> Result<Self, InvalidTls> {
        let key = KeyPair::generate()?;
        let name = format!("{app} local CA, {machine}, {} {}", now.day(), &key_id(&key)[..4]);
        let mut params = subject(&name);
        // For TLS servers only: name constraints do not cover code signing or mail.
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages.push(KeyUsagePurpose::KeyCertSign);
        let excluded_subtrees = Vec::new();
        params.name_constraints = Some(NameConstraints { permitted_subtrees: permitted, excluded_subtrees });
        set_validity(&mut params, now, CA_DAYS);
        let pem = params.self_signed(&key)?.pem();
        Self::from_pem(pem, key)
    }

    /// Reads a CA. The key may belong to another one: see [`permits`](Self::permits).
    pub(super) fn load(pem: String, key_pem: &str) -> Result<Self, InvalidTls> {
        Self::from_pem(pem, KeyPair::from_pem(key_pem)?)
    }

    fn from_pem(pem: String, key: KeyPair) -> Result<Self, InvalidTls> {
        let der = pem::chain(pem.as_bytes())?.swap_remove(0);
        // Another CA could certify every name, which the page for users denies.
        let facts = der::facts(&der).filter(|facts| !facts.permitted.is_empty());
        let facts = facts.ok_or_else(|| InvalidTls::Malformed("it is not a local CA".to_owned()))?;
        let issuer = Issuer::new(subject(&facts.common_name), key);
        Ok(Self { pem, der, facts, issuer })
    }

    pub(super) fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A text that belongs to this key only.
    pub(super) fn id(&self) -> String {
        key_id(self.issuer.key())
    }

    /// Whether it can issue a certificate that lasts beyond the next renewal.
    pub(super) fn is_current(&self, now: Time) -> bool {
        is_current(&self.facts, now)
    }

    /// Whether clients accept its certificates for this name: whether its constraints permit it, and its key
    /// is the one of its certificate.
    pub(super) fn permits(&self, name: &Name, now: Time) -> bool {
        let names = std::slice::from_ref(name);
        self.issue("probe", names, now).is_ok_and(|leaf| self.holds(&leaf.der, names, now))
    }

    /// Issues a certificate for these names.
    pub(super) fn issue(&self, app: &str, names: &[Name], now: Time) -> Result<Leaf, InvalidTls> {
        let key = KeyPair::generate()?;
        let mut params = subject(&format!("{app}, this machine"));
        params.subject_alt_names = names.iter().filter_map(names::alternative).collect();
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages.push(KeyUsagePurpose::DigitalSignature);
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, now, LEAF_DAYS);
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Leaf { pem: certificate.pem(), key_pem: key.serialize_pem(), der: certificate.der().clone() })
    }

    /// Whether a certificate in PEM is one of this CA, for all of these names, and lasts beyond the next renewal.
    pub(super) fn covers(&self, pem: &str, names: &[Name], now: Time) -> bool {
        let Some(der) = pem::chain(pem.as_bytes()).ok().map(|mut chain| chain.swap_remove(0)) else {
            return false;
        };
        der::facts(&der).is_some_and(|facts| is_current(&facts, now)) && self.holds(&der, names, now)
    }

    /// Whether a client that trusts only this CA accepts the certificate for each name.
    fn holds(&self, der: &CertificateDer<'_>, names: &[Name], now: Time) -> bool {
        let mut roots = RootCertStore::empty();
        let Ok(provider) = provider::default() else { return false };
        if roots.add(self.der.clone()).is_err() {
            return false;
        }
        let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()
        else {
            return false;
        };
        let time = UnixTime::since_unix_epoch(now.0);
        names.iter().all(|name| verifier.verify_server_cert(der, &[], name, &[], time).is_ok())
    }
}

fn is_current(facts: &Facts, now: Time) -> bool {
    facts.not_before <= now.stamp() && now.plus_days(RENEWAL_DAYS).stamp() <= facts.not_after
}

fn subject(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

/// Makes the certificate valid for this many days, counted from the day before, since clocks differ.
fn set_validity(params: &mut CertificateParams, now: Time, days: u32) {
    let begin = date_time_ymd(1970, 1, 1) + (now.0 - DAY);
    params.not_before = begin;
    params.not_after = begin + DAY * days;
}

fn key_id(key: &KeyPair) -> String {
    let hash = Sha256::digest(key.subject_public_key_info());
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
