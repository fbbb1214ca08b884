//! Local CAs and their certificates over time, with files in a folder of each test.

use super::issue::{Ca, Time};
use super::names::{self, Machine};
use super::store::Store;
use super::{LocalCa, SelfSigned, TrustPage, der, trust_page};
use crate::tls::{
    CertificateFault, Identity, InvalidTls, ServerTls, TlsClient, TlsError, TlsMode, TlsServer, TlsStream,
};
use core::net::IpAddr;
use core::time::Duration;
use http::{Method, Request, StatusCode};
use std::path::PathBuf;
use std::sync::Barrier;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs, process, thread};
use ws_proto::Config;

pub(super) const DAY: u64 = 24 * 60 * 60;

/// Noon on 30 November 2026, plus this many days.
pub(super) fn after(days: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_796_040_000 + days * DAY)
}

fn time(days: u64) -> Time {
    Time::new(after(days).duration_since(UNIX_EPOCH).unwrap())
}

/// A folder that a test has for itself, and that does not exist yet.
pub(super) struct Place {
    pub(super) root: PathBuf,
    /// The folder of the CA.
    pub(super) folder: PathBuf,
}

impl Place {
    pub(super) fn new(name: &str) -> Self {
        let root = env::temp_dir().join(format!("ws-host-self-signed-{}-{name}", process::id()));
        let _ = fs::remove_dir_all(&root);
        let folder = root.join("ca of it");
        Self { root, folder }
    }

    pub(super) fn settings(&self) -> SelfSigned {
        SelfSigned::new("Film Club").folder(&self.folder)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn ca(&self) -> Ca {
        let (folders, _) = Store::new(self.path("")).cas().unwrap();
        let newest = folders.last().unwrap();
        Ca::load(newest.certificate().unwrap().unwrap(), &newest.key().unwrap(), newest.cross().unwrap())
            .unwrap()
    }

    /// The names of what is in the folder, in their order.
    pub(super) fn entries(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("")).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn server_pem(&self) -> String {
        fs::read_to_string(self.path("server.pem")).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

pub(super) fn machine() -> Machine {
    Machine { name: Some("desktop-1".to_owned()), addresses: vec![IpAddr::from([192, 168, 1, 7])] }
}

pub(super) fn load(settings: &SelfSigned, days: u64) -> (Identity, LocalCa) {
    settings.load_at(after(days), &machine()).unwrap()
}

pub(super) fn key(identity: &Identity) -> [u8; 32] {
    identity.key_sha256().unwrap()
}

/// The result of a client that trusts the CA and connects by this name. The clock of a session is the system's.
fn connect(ca: &str, identity: &Identity, name: &str) -> Result<(), TlsError> {
    let server = TlsServer::new(identity.clone()).unwrap();
    let mut client = TlsStream::client(&TlsClient::roots_only(ca).unwrap(), name).unwrap();
    let mut server = TlsStream::server(&ServerTls::new(server, TlsMode::Only, &Config::server())).unwrap();
    while client.is_handshaking() {
        for (from, to) in [(true, false), (false, true)] {
            let (from, to) =
                if from && !to { (&mut client, &mut server) } else { (&mut server, &mut client) };
            to.push(from.output());
            let written = from.output().len();
            from.written(written);
            to.open()?;
        }
    }
    Ok(())
}

#[test]
fn one_import_survives_every_renewal() {
    let place = Place::new("renewal");
    let settings = place.settings().lan();
    let (first, ca) = load(&settings, 0);
    assert!(ca.is_new());
    let (same, again) = load(&settings, 1);
    assert!(!again.is_new());
    assert_eq!((key(&first), ca.fingerprint()), (key(&same), again.fingerprint()));
    // 397 days, the day before the issue included, less 30.
    assert_eq!(key(&load(&settings, 366).0), key(&first));
    let (renewed, again) = load(&settings, 367);
    assert_ne!(key(&renewed), key(&first));
    assert_eq!(again.fingerprint(), ca.fingerprint());
    assert_eq!(key(&load(&settings, 368).0), key(&renewed));
}

#[test]
fn a_certificate_is_renewed_for_a_new_name_and_kept_for_fewer() {
    let place = Place::new("names");
    let (first, ca) = load(&place.settings(), 0);
    let (more, again) = load(&place.settings().name("Nas.Local"), 0);
    assert_ne!(key(&more), key(&first));
    assert_eq!(again.fingerprint(), ca.fingerprint());
    assert_eq!(key(&load(&place.settings(), 0).0), key(&more));
    let (address, _) = load(&place.settings().address([10, 1, 2, 3]), 0);
    assert_ne!(key(&address), key(&more));
}

#[test]
fn the_ca_and_its_certificate_last_as_long_as_they_say() {
    let place = Place::new("validity");
    let (_, ca) = load(&place.settings(), 0);
    let facts = der::facts(ca.certificate_der()).unwrap();
    let at = |days: i64| Duration::from_secs((1_796_040_000 + days * DAY as i64).unsigned_abs());
    assert_eq!((facts.not_before, facts.not_after), (Duration::from_secs(1_767_225_600), at(3_649)));
    let name = ca.name().strip_prefix("Film Club local CA, desktop-1, 2026-11-30 ").unwrap();
    assert!(name.len() == 4 && name.bytes().all(|c| c.is_ascii_hexdigit()), "{name}");
    let leaf = crate::tls::pem::chain(place.server_pem().as_bytes()).unwrap();
    let facts = der::facts(&leaf[0]).unwrap();
    assert_eq!((facts.not_before, facts.not_after), (at(-1), at(396)));
    assert_eq!(ca.path(), place.path("ca").join("ca.crt"));
    assert_eq!(fs::read_to_string(ca.path()).unwrap(), ca.certificate_pem());
    assert!(!ca.certificate_pem().contains("KEY"));
    assert_eq!(ca.fingerprint().len(), 95);
    assert!(format!("{ca:?}").contains(ca.fingerprint()));
}

#[test]
fn any_clock_gives_a_certificate() {
    for (name, time) in [("1970", UNIX_EPOCH), ("9999", UNIX_EPOCH + Duration::from_secs(u64::MAX / 4))] {
        let place = Place::new(name);
        place.settings().load_at(time, &Machine::default()).unwrap();
        assert!(!place.settings().load_at(time, &Machine::default()).unwrap().1.is_new(), "{name}");
    }
}

#[test]
fn clients_that_trust_the_ca_connect_by_each_name_and_no_other() {
    let place = Place::new("clients");
    let settings = place.settings().lan().name("nas.lan").address([203, 0, 113, 1]);
    let (identity, ca) = settings.load_at(SystemTime::now(), &machine()).unwrap();
    assert_eq!(ca.host_names(), ["nas.lan", "desktop-1.local", "desktop-1"]);
    for name in [
        "localhost",
        "127.0.0.1",
        "[::1]",
        "desktop-1",
        "desktop-1.local",
        "192.168.1.7",
        "nas.lan",
        "203.0.113.1",
    ] {
        assert_eq!(connect(ca.certificate_pem(), &identity, name), Ok(()), "{name}");
    }
    for name in ["example.com", "192.168.1.8", "a.localhost"] {
        let error = connect(ca.certificate_pem(), &identity, name).unwrap_err();
        assert!(matches!(error, TlsError::ServerCertificate(CertificateFault::WrongName(_))), "{error}");
        assert!(error.to_string().contains(" ::1"), "{error}");
    }
}

#[test]
fn the_ca_can_certify_no_name_of_the_internet() {
    let place = Place::new("constraints");
    let (_, ca) = place.settings().lan().load_at(SystemTime::now(), &machine()).unwrap();
    let now = Time::new(SystemTime::now().duration_since(UNIX_EPOCH).unwrap());
    let name = |name| names::host(name).unwrap();
    for permitted in [
        "localhost",
        "a.localhost",
        "any.local",
        "10.9.8.7",
        "172.31.0.1",
        "100.64.0.1",
        "fd00::1",
        "fe80::1",
    ] {
        assert!(place.ca().permits(&name(permitted), now), "{permitted}");
    }
    for refused in ["example.com", "dev", "notlocal", "8.8.8.8", "172.32.0.1", "2001:db8::1", "::2"] {
        assert!(!place.ca().permits(&name(refused), now), "{refused}");
    }
    // Nor beside a name that it may certify.
    let both = [name("localhost"), name("example.com")];
    let leaf = place.ca().issue("evil", &both, now).unwrap();
    let identity = Identity::from_pem(leaf.pem, leaf.key_pem).unwrap();
    for name in ["localhost", "example.com"] {
        let error = connect(ca.certificate_pem(), &identity, name).unwrap_err();
        assert!(matches!(error, TlsError::ServerCertificate(CertificateFault::NameNotPermitted)), "{error}");
        assert!(error.to_string().contains("must not certify"), "{error}");
    }
}

#[test]
fn a_name_that_the_ca_does_not_permit_is_an_error_that_names_the_remedy() {
    let place = Place::new("refused");
    load(&place.settings().name("nas.lan"), 0);
    load(&place.settings().name("NAS.lan."), 1);
    for settings in [place.settings().name("other.lan"), place.settings().address([203, 0, 113, 1])] {
        let error = settings.load_at(after(1), &machine()).unwrap_err();
        assert!(matches!(error, InvalidTls::NotPermitted { .. }), "{error}");
        assert!(error.to_string().contains("move that folder away"), "{error}");
    }
    let top = place.settings().name("dev").load_at(after(1), &machine()).unwrap_err();
    assert!(top.to_string().contains("dev.local"), "{top}");
    let invalid = place.settings().name("a b").load_at(after(1), &machine()).unwrap_err();
    assert!(matches!(invalid, InvalidTls::Name(_)), "{invalid}");
    let unicode = place.settings().name("ünï.local").load_at(after(1), &machine()).unwrap_err();
    assert!(unicode.to_string().contains("xn--"), "{unicode}");
}

#[test]
fn a_machine_that_is_renamed_keeps_its_ca_without_the_new_name() {
    let place = Place::new("renamed");
    let (_, ca) = place.settings().lan().load_at(SystemTime::now(), &machine()).unwrap();
    let addresses = vec![IpAddr::from([10, 0, 0, 7]), IpAddr::from([8, 8, 8, 8])];
    let renamed = Machine { name: Some("desktop-2".to_owned()), addresses };
    let (identity, again) = place.settings().lan().load_at(SystemTime::now(), &renamed).unwrap();
    assert_eq!(again.fingerprint(), ca.fingerprint());
    for (name, is_named) in
        [("desktop-2.local", true), ("10.0.0.7", true), ("desktop-2", false), ("8.8.8.8", false)]
    {
        assert_eq!(connect(ca.certificate_pem(), &identity, name).is_ok(), is_named, "{name}");
    }
    let (same, _) = place.settings().lan().load_at(SystemTime::now(), &renamed).unwrap();
    assert_eq!(key(&same), key(&identity));
}

#[test]
fn processes_that_start_at_once_share_one_ca() {
    for (round, days) in [0, 0, 0, 3_400, 3_400, 3_650, 3_650].into_iter().enumerate() {
        let place = Place::new(&format!("race-{round}"));
        if days > 0 {
            load(&place.settings(), 0); // one that ends soon, or has ended
        }
        let barrier = Barrier::new(8);
        let loaded: Vec<_> = thread::scope(|scope| {
            let start = || {
                barrier.wait();
                load(&place.settings(), days)
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(loaded.iter().filter(|(_, ca)| ca.is_new()).count(), 1);
        assert!(loaded.iter().all(|(_, ca)| ca.fingerprint() == loaded[0].1.fingerprint()));
        assert!(place.ca().covers(&place.server_pem(), &names::loopback(), time(days)));
        let left = if days > 0 { &["ca", "ca-2", "server.pem"][..] } else { &["ca", "server.pem"] };
        assert_eq!(place.entries(), left);
    }
}

#[test]
fn what_a_killed_process_leaves_behind_does_no_harm() {
    let place = Place::new("killed");
    fs::create_dir_all(place.path("ca-new-0123")).unwrap();
    fs::write(place.path("ca-new-0123").join("key.pem"), "half of a k").unwrap();
    fs::write(place.path("server.pem"), "half of a certif").unwrap();
    assert!(load(&place.settings(), 0).1.is_new());
    assert!(!load(&place.settings(), 0).1.is_new());
    // One of another CA.
    let other = Place::new("killed-other");
    let (foreign, _) = load(&other.settings(), 0);
    fs::write(place.path("server.pem"), other.server_pem()).unwrap();
    assert_ne!(key(&load(&place.settings(), 0).0), key(&foreign));
}

/// A CA without name constraints, and its key, in PEM.
fn unconstrained_ca() -> [String; 2] {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, "any CA");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    [params.self_signed(&key).unwrap().pem(), key.serialize_pem()]
}

#[test]
fn an_unusable_ca_is_an_error_and_stays() {
    let place = Place::new("unusable");
    load(&place.settings(), 0);
    let other = Place::new("unusable-other");
    load(&other.settings(), 0);
    let key = place.path("ca").join("key.pem");
    let foreign = fs::read_to_string(other.path("ca").join("key.pem")).unwrap();
    for broken in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", &foreign] {
        fs::write(&key, broken).unwrap();
        let error = place.settings().load_at(after(0), &machine()).unwrap_err();
        assert!(matches!(error, InvalidTls::UnusableCa { .. }), "{error}");
        assert_eq!(fs::read_to_string(&key).unwrap(), broken);
    }
    let certificate = place.path("ca").join("ca.crt");
    let good = fs::read(&certificate).unwrap();
    let [unconstrained, of_it] = unconstrained_ca();
    fs::write(&certificate, &unconstrained).unwrap();
    fs::write(&key, of_it).unwrap();
    let error = place.settings().load_at(after(0), &machine()).unwrap_err();
    assert!(error.to_string().contains("it is not a local CA"), "it could certify every name: {error}");
    assert_eq!(fs::read_to_string(&certificate).unwrap(), unconstrained);
    fs::write(&certificate, good).unwrap();
    fs::remove_file(&key).unwrap();
    let error = place.settings().load_at(after(0), &machine()).unwrap_err();
    assert!(error.to_string().contains("one of the files ca.crt and key.pem is missing"), "{error}");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let place = Place::new("unwritable");
    fs::create_dir_all(&place.root).unwrap();
    fs::write(&place.folder, "a file").unwrap();
    let error = place.settings().load_at(after(0), &machine()).unwrap_err();
    let InvalidTls::Unwritable { path, .. } = &error else {
        panic!("{error}");
    };
    assert!(path.starts_with(place.path("")), "{error}");
}

#[cfg(unix)]
#[test]
fn only_the_user_can_read_the_keys() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new("modes");
    load(&place.settings(), 0);
    let mode = |name| fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777;
    // A backup that came back without its permissions. Those of the group stay: an administrator has set them.
    fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(place.path("ca/key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    load(&place.settings(), 0);
    assert_eq!((mode(""), mode("ca/key.pem")), (0o775, 0o640));
    let place = Place::new("modes-new");
    load(&place.settings(), 0);
    for (name, mode) in
        [("", 0o700), ("ca", 0o700), ("ca/key.pem", 0o600), ("ca/ca.crt", 0o600), ("server.pem", 0o600)]
    {
        assert_eq!(fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777, mode, "{name}");
    }
}

#[test]
fn the_folder_of_a_user_has_a_plain_name() {
    let path = SelfSigned::new("../a/b: ü").folder_path().unwrap();
    assert_eq!(path.file_name().unwrap(), "---a-b- ü local CA");
    let unnamed = SelfSigned::new("").folder_path().unwrap();
    assert_eq!(unnamed.file_name().unwrap(), "local CA");
    let same = SelfSigned::new(" Film\nClub ").folder_path().unwrap();
    assert_eq!(same.file_name().unwrap(), "Film Club local CA");
    assert_eq!(same.parent(), path.parent());
}

#[test]
fn the_page_names_all_that_the_ca_can_certify() {
    let place = Place::new("scope");
    let page = |settings: &SelfSigned, machine| {
        let (_, ca) = settings.load_at(after(0), &machine).unwrap();
        trust_page(&ca)
    };
    let text = page(&place.settings(), Machine::default());
    assert!(
        text.contains("<i>.local</i>, and for addresses of private networks: for no site on the internet."),
        "{text}"
    );
    let place = Place::new("scope-further");
    let settings = place.settings().name("nas.lan").address([203, 0, 113, 1]).address([10, 0, 0, 7]);
    let further = "and for nas.lan, 203.0.113.1, desktop-1 and the names below these: for no other site on the internet.";
    let text = page(&settings, machine());
    assert!(text.contains(further), "{text}");
    // The CA can certify them still, though the certificate has them no more.
    assert_eq!(page(&place.settings(), machine()), text);
}

#[test]
fn the_page_shows_the_fingerprint_and_offers_the_certificate() {
    let place = Place::new("page");
    let settings = SelfSigned { app: "<b>&\"Film".to_owned(), ..place.settings() };
    let (_, ca) = load(&settings, 0);
    let page = TrustPage::new(&ca).link("https://192.168.1.7:8700/?a=\"b");
    let get = |path: &str| page.respond(&Request::get(path).body(()).unwrap());
    let response = get("/").unwrap();
    let body = String::from_utf8(response.body().to_vec()).unwrap();
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let policy = response.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(body.contains(ca.fingerprint()) && body.contains("&lt;b&gt;&amp;&quot;Film"), "{body}");
    assert!(body.contains("href=\"https://192.168.1.7:8700/?a=&quot;b\""), "{body}");
    assert!(!body.contains("<b>&") && !body.contains("src=") && !body.contains("<script"), "{body}");
    assert!(!TrustPage::new(&ca).link("javascript:alert(1)").html(None).contains("javascript"));

    assert!(
        body.contains("and for desktop-1 and the names below these: for no other site on the internet."),
        "{body}"
    );

    let response = get("/ca.crt").unwrap();
    assert_eq!(response.headers()["content-type"], "application/x-x509-ca-cert");
    assert_eq!(response.body(), ca.certificate_der());
    assert_eq!(get("/ca.pem").unwrap().body(), ca.certificate_pem());
    assert!(get("/key.pem").is_none() && get("/ca/key.pem").is_none());
    let post = page.respond(&Request::builder().method(Method::POST).uri("/").body(()).unwrap()).unwrap();
    assert_eq!(post.status(), StatusCode::METHOD_NOT_ALLOWED);

    let open = |html: &str| html.matches("<details open>").count();
    assert_eq!(open(&trust_page(&ca)), 5);
    let phone = page.html(Some("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)"));
    assert!(open(&phone) == 1 && phone.contains("<details open>\n<summary>iPhone"));
}
