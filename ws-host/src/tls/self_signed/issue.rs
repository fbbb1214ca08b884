//! The local CA and what it issues, in memory: keys, certificates, and which names they hold for.

use super::der::{self, Facts};
use super::names::{self, Name};
use super::store::Files;
use crate::tls::error::InvalidTls;
use crate::tls::{pem, provider};
use core::fmt::Write;
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
use std::path::PathBuf;
use std::sync::Arc;

/// How many characters a common name may have: `ub-common-name` (RFC 5280 Appendix A.1).
const LONGEST_NAME: usize = 64;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a CA is valid: each new one has to be imported again.
const CA_DAYS: u32 = 3_650;
/// When this much is left of a CA, it gets a successor: so long both are trusted, and devices import the new one.
const OVERLAP_DAYS: u32 = 365;
/// How long a certificate is valid, the day before its issue included. Apple's systems accept 825 days from a CA
/// that the user has added, and browsers 398 from any other.
const LEAF_DAYS: u32 = 397;
/// When this much is left, the certificate of a server is renewed.
const RENEWAL_DAYS: u32 = 30;
/// The first of January 2026. This code is younger, so a clock that says less is wrong, and was perhaps never set. A CA
/// begins here: then one that was made by a clock that was ahead is valid as soon as the clock is right.
const EARLIEST: Duration = Duration::from_secs(1_767_225_600);
/// The latest time that certificates can express (RFC 5280 §4.1.2.5), minus the lifetime of a CA.
const LATEST: Duration = Duration::from_secs(253_402_300_799 - 4_000 * 86_400);

/// The time of day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time {
    since_1970: Duration,
    /// The clock is wrong: it is later than this, by an unknown time.
    is_behind: bool,
}

impl Time {
    pub(super) fn new(since_1970: Duration) -> Self {
        Self { since_1970: since_1970.clamp(EARLIEST, LATEST), is_behind: since_1970 < EARLIEST }
    }

    /// This time, or the other one if it is later.
    fn at_least(self, since_1970: Duration) -> Self {
        Self { since_1970: self.since_1970.max(since_1970).min(LATEST), ..self }
    }

    pub(super) fn is_before(self, since_1970: Duration) -> bool {
        self.since_1970 < since_1970
    }

    fn in_days(self, days: u32) -> Duration {
        self.since_1970 + DAY * days
    }

    /// The date: `YYYY-MM-DD`.
    fn day(self) -> String {
        let at = date_time_ymd(1970, 1, 1) + self.since_1970;
        format!("{:04}-{:02}-{:02}", at.year(), u8::from(at.month()), at.day())
    }
}

/// A CA and its key.
pub(super) struct Ca {
    pub(super) pem: String,
    pub(super) der: CertificateDer<'static>,
    pub(super) facts: Facts,
    /// Its name and key, certified by the CA that it follows.
    pub(super) cross: Option<Cross>,
    issuer: Issuer<'static, KeyPair>,
}

/// The CA that issues, the file with its certificate, and whether it is new.
pub(super) struct Issuing {
    pub(super) ca: Ca,
    pub(super) path: PathBuf,
    pub(super) is_new: bool,
}

/// The certificate with which devices that trust only the previous CA trust the next one.
pub(super) struct Cross {
    pub(super) pem: String,
    pub(super) not_after: Duration,
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
        let name = ca_name(app, machine, now, &key_id(&key)[..4]);
        let pem = ca_params(&name, permitted, now, 1).self_signed(&key)?.pem();
        Self::from_pem(pem, key)
    }

    /// Makes the CA that follows this one, for the same names and addresses. Until this one ends, it certifies the next
    /// one, so that devices trust its certificates whichever of the two they have imported.
    pub(super) fn successor(&self, app: &str, machine: &str, now: Time) -> Result<Self, InvalidTls> {
        let permitted = self.facts.permitted.clone();
        let mut next = Self::create(app, machine, permitted.clone(), now)?;
        let mut params = ca_params(&next.facts.common_name, permitted, now, 0);
        params.not_after = date_time_ymd(1970, 1, 1) + self.facts.not_after;
        params.use_authority_key_identifier_extension = true;
        let pem = params.signed_by(next.issuer.key(), &self.issuer)?.pem();
        next.cross = Some(Cross { pem, not_after: self.facts.not_after });
        Ok(next)
    }

    /// When a CA ends, by its certificate alone.
    pub(super) fn end(pem: &str) -> Result<Duration, InvalidTls> {
        Ok(certificate(pem)?.1.not_after)
    }

    /// Reads a CA. The key may belong to another one: see [`permits`](Self::permits).
    pub(super) fn load(pem: String, key_pem: &str, cross: Option<String>) -> Result<Self, InvalidTls> {
        let mut ca = Self::from_pem(pem, KeyPair::from_pem(key_pem)?)?;
        if let Some(pem) = cross {
            let not_after = certificate(&pem)?.1.not_after;
            ca.cross = Some(Cross { pem, not_after });
        }
        Ok(ca)
    }

    fn from_pem(pem: String, key: KeyPair) -> Result<Self, InvalidTls> {
        let (der, facts) = certificate(&pem)?;
        let issuer = Issuer::new(subject(&facts.common_name), key);
        Ok(Self { pem, der, facts, cross: None, issuer })
    }

    pub(super) fn files(&self) -> Files {
        Files {
            certificate: self.pem.clone(),
            key: self.issuer.key().serialize_pem(),
            cross: self.cross.as_ref().map(|cross| cross.pem.clone()),
        }
    }

    /// A text that belongs to this key only.
    pub(super) fn id(&self) -> String {
        key_id(self.issuer.key())
    }

    /// Whether it needs no successor yet. If it has not begun, a clock is wrong, not the CA.
    pub(super) fn is_current(&self, now: Time) -> bool {
        now.in_days(OVERLAP_DAYS) < self.facts.not_after
    }

    /// The time at which it issues: this one, or its first day if the clock says that it is yet to come.
    pub(super) fn time(&self, now: Time) -> Time {
        now.at_least(self.facts.not_before + DAY)
    }

    /// The certificate of the CA before this one, for this CA, until the one before has ended.
    pub(super) fn cross(&self, now: Time) -> Option<&Cross> {
        self.cross.as_ref().filter(|cross| now.is_before(cross.not_after))
    }

    /// Whether clients accept its certificates for this name: whether its constraints permit it, and its key
    /// is the one of its certificate.
    pub(super) fn permits(&self, name: &Name, now: Time) -> bool {
        let names = std::slice::from_ref(name);
        self.issue("probe", names, now).is_ok_and(|leaf| self.holds(&leaf.der, names, self.time(now)))
    }

    /// Issues a certificate for these names.
    pub(super) fn issue(&self, app: &str, names: &[Name], now: Time) -> Result<Leaf, InvalidTls> {
        let key = KeyPair::generate()?;
        let end = ", this machine";
        let mut params = subject(&[&shortened(app, LONGEST_NAME - end.len()), end].concat());
        params.subject_alt_names = names.iter().filter_map(names::alternative).collect();
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages.push(KeyUsagePurpose::DigitalSignature);
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, self.time(now), LEAF_DAYS);
        // No chain is valid for longer than its CA.
        params.not_after = params.not_after.min(date_time_ymd(1970, 1, 1) + self.facts.not_after);
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Leaf { pem: certificate.pem(), key_pem: key.serialize_pem(), der: certificate.der().clone() })
    }

    /// Whether a certificate in PEM is one of this CA, for all of these names, and lasts beyond the next renewal, or as
    /// long as the CA.
    pub(super) fn covers(&self, pem: &str, names: &[Name], now: Time) -> bool {
        let Some(der) = pem::chain(pem.as_bytes()).ok().map(|mut chain| chain.swap_remove(0)) else {
            return false;
        };
        let Some(facts) = der::facts(&der) else { return false };
        let mut now = self.time(now);
        if now.is_behind {
            // It was issued by a clock that knew more.
            now = now.at_least(facts.not_before);
        }
        facts.not_before <= now.since_1970
            && now.in_days(RENEWAL_DAYS).min(self.facts.not_after) <= facts.not_after
            && self.holds(&der, names, now)
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
        let time = UnixTime::since_unix_epoch(now.since_1970);
        names.iter().all(|name| verifier.verify_server_cert(der, &[], name, &[], time).is_ok())
    }
}

/// The certificate of a CA, and what it says. Another one could certify every name, which the page for users denies.
fn certificate(pem: &str) -> Result<(CertificateDer<'static>, Facts), InvalidTls> {
    let der = pem::chain(pem.as_bytes())?.swap_remove(0);
    let facts = der::facts(&der).filter(|facts| !facts.permitted.is_empty());
    let facts = facts.ok_or_else(|| InvalidTls::Malformed("it is not a local CA".to_owned()))?;
    Ok((der, facts))
}

/// The name of a CA, at most as long as a certificate may have it.
fn ca_name(app: &str, machine: &str, now: Time, id: &str) -> String {
    let end = format!(", {} {id}", now.day());
    let rest = LONGEST_NAME - " local CA, ".len() - end.len();
    // Each has at least half of what is left.
    let app = shortened(app, rest - machine.chars().count().min(rest / 2));
    let machine = shortened(machine, rest - app.chars().count());
    format!("{app} local CA, {machine}{end}").trim_start().to_owned()
}

/// The first characters of a text, so many at most.
fn shortened(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// A CA of TLS servers, with so many others beneath it: its successor alone.
fn ca_params(name: &str, permitted_subtrees: Vec<GeneralSubtree>, now: Time, below: u8) -> CertificateParams {
    let mut params = subject(name);
    // For TLS servers only: name constraints do not cover code signing or mail.
    params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages.push(KeyUsagePurpose::KeyCertSign);
    params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
    set_validity(&mut params, now, CA_DAYS);
    params.not_before = date_time_ymd(1970, 1, 1) + EARLIEST;
    params
}

fn subject(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

/// Makes the certificate valid for this many days, counted from the day before, since clocks differ.
fn set_validity(params: &mut CertificateParams, now: Time, days: u32) {
    let begin = date_time_ymd(1970, 1, 1) + (now.since_1970 - DAY);
    params.not_before = begin;
    params.not_after = begin + DAY * days;
}

fn key_id(key: &KeyPair) -> String {
    let hash = Sha256::digest(key.subject_public_key_info());
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn hex(bytes: &[u8], between: &str) -> String {
    let mut hex = String::with_capacity(bytes.len() * 3);
    for (at, byte) in bytes.iter().enumerate() {
        if at > 0 {
            hex.push_str(between);
        }
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02X}");
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_64_characters_at_most() {
        let now = Time::new(EARLIEST);
        let name = |app: &str, machine: &str| ca_name(app, machine, now, "0123");
        let (short, long) = ("Film Club", "x".repeat(300));
        assert_eq!(name(short, "desktop-1"), "Film Club local CA, desktop-1, 2026-01-01 0123");
        assert_eq!(name("", "desktop-1"), "local CA, desktop-1, 2026-01-01 0123");
        for (app, machine) in
            [(&*long, short), (short, &long), (&long, &long), (&"Zo\u{eb}".repeat(99), &long)]
        {
            let name = name(app, machine);
            assert_eq!(name.chars().count(), LONGEST_NAME, "{name}");
            assert!(name.ends_with(", 2026-01-01 0123") && name.contains(" local CA, "), "{name}");
        }
        assert!(name(short, &long).starts_with(short) && name(&long, short).contains(short));
    }
}
