//! Local CAs over the years: their ends, clocks that are wrong, and folders in which nothing can be written.

use super::tests_self_signed::{DAY, Place, after, key, load, machine};
use super::{LocalCa, der};
use crate::tls::{Identity, InvalidTls, provider};
use core::time::Duration;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use std::fs;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Whether a client that trusts only this CA accepts what a server presents, after so many days.
fn is_trusted(ca: &LocalCa, identity: &Identity, name: &str, days: u64) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(ca.certificate_der())).unwrap();
    let provider = provider::default().unwrap();
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let (leaf, above) = identity.0.cert.split_first().unwrap();
    let time = UnixTime::since_unix_epoch(after(days).duration_since(UNIX_EPOCH).unwrap());
    let name = ServerName::try_from(name).unwrap();
    verifier.verify_server_cert(leaf, above, &name, &[], time).is_ok()
}

#[test]
fn a_ca_and_its_successor_are_both_trusted_for_a_year() {
    let place = Place::new("overlap");
    let settings = place.settings().lan().name("nas.lan");
    let (_, ca) = load(&settings, 0);
    assert_eq!((ca.not_after(), ca.previous_not_after()), (after(3_649), None));
    assert!(!load(&settings, 3_283).1.is_new());
    let (identity, next) = load(&settings, 3_284);
    assert!(next.is_new());
    assert_ne!((next.name(), next.fingerprint()), (ca.name(), ca.fingerprint()));
    assert_eq!(next.path(), place.path("ca-2").join("ca.crt"));
    assert_eq!((next.not_after(), next.previous_not_after()), (after(3_284 + 3_649), Some(after(3_649))));
    for name in ["localhost", "127.0.0.1", "desktop-1.local", "desktop-1", "nas.lan", "192.168.1.7"] {
        for ca in [&ca, &next] {
            assert!(is_trusted(ca, &identity, name, 3_284), "{name}, {ca:?}");
            assert!(!is_trusted(ca, &identity, "example.com", 3_284));
        }
    }
    // It is kept, and so is its certificate.
    let (same, again) = load(&settings, 3_648);
    assert!(!again.is_new() && again.fingerprint() == next.fingerprint());
    assert!(is_trusted(&ca, &same, "localhost", 3_648) && is_trusted(&next, &same, "localhost", 3_648));
    let (identity, last) = load(&settings, 3_649);
    assert_eq!((last.fingerprint(), last.previous_not_after()), (next.fingerprint(), None));
    assert_eq!(identity.0.cert.len(), 1, "some clients reject a chain for a certificate that has expired");
    assert_eq!(place.entries(), ["ca", "ca-2", "server.pem"]);
}

#[test]
fn the_old_ca_cannot_certify_more_through_its_successor() {
    let place = Place::new("overlap-names");
    let (_, ca) = load(&place.settings(), 0);
    let refused = place.settings().name("nas.lan").load_at(after(3_300), &machine()).unwrap_err();
    assert!(matches!(refused, InvalidTls::NotPermitted { .. }), "{refused}");
    let (_, next) = load(&place.settings(), 3_300);
    let permitted = |ca: &LocalCa| der::facts(ca.certificate_der()).unwrap().permitted;
    assert_eq!(permitted(&next), permitted(&ca));
}

#[test]
fn a_program_that_first_starts_after_the_end_has_a_new_ca() {
    let place = Place::new("end");
    let (_, ca) = load(&place.settings(), 0);
    let (identity, next) = load(&place.settings(), 3_649);
    assert!(next.is_new() && next.previous_not_after().is_none());
    assert!(
        !is_trusted(&ca, &identity, "localhost", 3_651) && is_trusted(&next, &identity, "localhost", 3_651)
    );
    assert!(!load(&place.settings(), 3_651).1.is_new());
}

/// Clocks that are wrong on 30 November 2026.
fn wrong_clocks() -> [SystemTime; 6] {
    let year = Duration::from_secs(365 * DAY);
    [
        UNIX_EPOCH,
        UNIX_EPOCH + 50 * year,
        after(0) - Duration::from_secs(2 * DAY),
        after(0) + 9 * year + year / 2,
        after(0) + 14 * year,
        after(0) + 300 * year,
    ]
}

#[test]
fn a_clock_that_is_wrong_for_a_while_costs_no_ca() {
    let place = Place::new("clock");
    let (_, ca) = load(&place.settings(), 1);
    for (at, wrong) in wrong_clocks().into_iter().enumerate() {
        place.settings().load_at(wrong, &machine()).unwrap();
        let (identity, same) = load(&place.settings(), 1);
        assert_eq!((same.fingerprint(), same.is_new()), (ca.fingerprint(), false), "{at}");
        assert_eq!(same.path(), ca.path(), "{at}");
        assert!(is_trusted(&ca, &identity, "localhost", 1), "{at}");
    }
    for behind in &wrong_clocks()[..3] {
        let (_, same) = place.settings().load_at(*behind, &machine()).unwrap();
        assert_eq!(same.fingerprint(), ca.fingerprint(), "a clock that is behind needs no other CA");
    }
}

#[test]
fn a_ca_that_was_made_by_a_wrong_clock_is_valid_once_it_is_right() {
    for (at, wrong) in wrong_clocks().into_iter().enumerate() {
        let place = Place::new(&format!("first-clock-{at}"));
        let (_, ca) = place.settings().load_at(wrong, &machine()).unwrap();
        let (identity, same) = load(&place.settings(), 400);
        assert_eq!((same.fingerprint(), same.is_new()), (ca.fingerprint(), false), "{at}");
        assert!(is_trusted(&ca, &identity, "localhost", 400), "{at}");
        assert!(der::facts(ca.certificate_der()).unwrap().not_before < Duration::from_secs(1_796_040_000));
    }
}

#[test]
fn a_clock_that_was_never_set_keeps_the_certificate() {
    let place = Place::new("unset-clock");
    load(&place.settings(), 0);
    let (renewed, _) = load(&place.settings(), 1_000);
    let (same, _) = place.settings().load_at(UNIX_EPOCH, &machine()).unwrap();
    assert_eq!(key(&same), key(&renewed));
    // One that begins in the future is replaced if the clock can be right.
    assert_ne!(key(&load(&place.settings(), 900).0), key(&renewed));
}

#[cfg(target_os = "linux")]
#[test]
fn a_certificate_ends_no_later_than_its_ca() {
    let place = unwritable("capped", 0);
    let (identity, ca) = load(&place.settings(), 3_600);
    let leaf = der::facts(&identity.0.cert[0]).unwrap();
    assert_eq!(UNIX_EPOCH + leaf.not_after, ca.not_after());
}

/// A folder with a CA in which no file can be created: its path is so long that only the shortest names fit. Unlike
/// permissions, that binds root too.
#[cfg(target_os = "linux")]
fn unwritable(name: &str, days: u64) -> Place {
    const LONGEST: usize = 4_095;
    let mut place = Place::new(name);
    load(&place.settings(), days);
    let mut deep = place.root.clone();
    while deep.as_os_str().len() < LONGEST - 300 {
        deep.push("d".repeat(200));
    }
    fs::create_dir_all(&deep).unwrap();
    // So that names of 14 bytes fit.
    deep.push("d".repeat(LONGEST - deep.as_os_str().len() - "//".len() - 14));
    fs::rename(&place.folder, &deep).unwrap();
    place.folder = deep;
    place
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_can_only_be_read_is_enough() {
    let place = unwritable("read-only", 0);
    let before = place.entries();
    let (kept, ca) = load(&place.settings(), 1);
    let (address, same) = load(&place.settings().address([10, 1, 2, 3]), 1);
    assert!(is_trusted(&ca, &address, "10.1.2.3", 1) && same.fingerprint() == ca.fingerprint());
    let (renewed, _) = load(&place.settings(), 380);
    assert!(key(&renewed) != key(&kept) && is_trusted(&ca, &renewed, "localhost", 380));
    // No successor can be written: the CA is used until it ends.
    let (last, same) = load(&place.settings(), 3_648);
    assert!(is_trusted(&ca, &last, "localhost", 3_648) && !same.is_new());
    let error = place.settings().load_at(after(3_649), &machine()).unwrap_err();
    assert!(matches!(error, InvalidTls::Unwritable { .. }), "{error}");
    assert_eq!(place.entries(), before);
}

#[test]
fn a_certificate_that_cannot_be_stored_leaves_no_file() {
    let place = Place::new("unstored");
    fs::create_dir_all(place.path("server.pem").join("not a file")).unwrap();
    for _ in 0..2 {
        let (identity, ca) = load(&place.settings(), 0);
        assert!(is_trusted(&ca, &identity, "localhost", 0));
        assert_eq!(place.entries(), ["ca", "server.pem"]);
    }
}
