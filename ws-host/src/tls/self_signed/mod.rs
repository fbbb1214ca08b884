//! Certificates for this machine and its network, from a local CA that each user imports once.
//!
//! ```text
//! SelfSigned ─▶ names ─▶ ca/ holds 30 days more? ──yes──────▶ server.pem holds for them, and 30 days more?
//!                             │no                                 │yes              │no
//!                             ▼                                   ▼                 ▼
//!                        a new CA, to import ──────────────▶  Identity ◀── a new certificate of the CA
//! ```
//!
//! `issue` makes certificates and judges them, `names` decides what a CA permits, `store` has the files, `der` reads a
//! certificate back, and `trust_page` tells users how to import the CA.

mod der;
mod issue;
mod names;
mod store;
mod trust_page;

#[cfg(test)]
mod tests_self_signed;

use super::error::InvalidTls;
use super::identity::Identity;
use super::server::TlsServer;
use crate::clock;
use core::fmt::{self, Write};
use core::net::IpAddr;
use etcetera::base_strategy::BaseStrategy;
use issue::{Ca, Time};
use names::{Machine, Name};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use store::{Files, Store};

pub use trust_page::{TrustPage, trust_page};

/// How often a CA is looked for and made: in between, another process may set aside one that is about to expire.
const ATTEMPTS: u32 = 8;

/// Makes certificates for this machine, issued by a local CA of the application. Users import the CA once, on each
/// device that opens the application's pages; the certificates beneath it are renewed without them.
///
/// The certificate always names `localhost`, `127.0.0.1` and `::1`, and whatever [`lan`](Self::lan),
/// [`name`](Self::name) and [`address`](Self::address) add. It is valid for 397 days and renewed when it is loaded, once
/// 30 are left or a name is missing. The CA is valid for ten years; when it is loaded in its last 30 days, it is replaced
/// by a new one, to be imported again. It can only certify servers, and only `localhost`, names under `.local`, this
/// machine's own name, private addresses (10/8, 172.16/12, 192.168/16, 127/8, 169.254/16, fc00::/7, fe80::/10, ::1), and
/// what was added when it was made.
///
/// The files are in a folder of this user: `APP local CA` in `$XDG_DATA_HOME` or `~/.local/share`, on macOS in
/// `~/Library/Application Support`, on Windows in `%APPDATA%`. On Unix only the user can read it (0700, keys 0600); on
/// Windows it has the permissions of the user's profile. Processes that start at the same time share one CA.
///
/// ```no_run
/// use ws_host::tls::{SelfSigned, TlsServer};
///
/// let (tls, ca) = TlsServer::self_signed(&SelfSigned::new("Film Club").lan())?;
/// println!("Import {} and compare its SHA-256: {}", ca.path().display(), ca.fingerprint());
/// # let config = ws_host::server::ServerConfig::new().tls(tls);
/// # Ok::<(), ws_host::tls::InvalidTls>(())
/// ```
#[derive(Clone, Debug)]
pub struct SelfSigned {
    app: String,
    folder: Option<PathBuf>,
    names: Vec<String>,
    addresses: Vec<IpAddr>,
    is_lan: bool,
}

impl SelfSigned {
    /// Certificates of the application with this name, which users read when they import its CA.
    pub fn new(app: impl Into<String>) -> Self {
        Self { app: app.into(), folder: None, names: Vec::new(), addresses: Vec::new(), is_lan: false }
    }

    /// Adds this machine's names and address on the network: `NAME.local`, which systems with multicast DNS resolve;
    /// `NAME` itself, if it has a dot, a digit or a hyphen, so that it is no top-level domain; and the
    /// address of [`lan_url`](crate::listen::lan_url), if it is private. Those that an existing CA does not permit are
    /// left out.
    #[must_use]
    pub fn lan(mut self) -> Self {
        self.is_lan = true;
        self
    }

    /// Adds a host name, such as `nas.lan`. The CA permits it if it is under `.local`, or was added when the
    /// CA was made.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.names.push(name.into());
        self
    }

    /// Adds an address. The CA permits it if it is private, or was added when the CA was made.
    #[must_use]
    pub fn address(mut self, ip: impl Into<IpAddr>) -> Self {
        self.addresses.push(ip.into());
        self
    }

    /// Sets the folder of the CA and its certificates, in place of the user's. Use it for nothing else; it
    /// is created if it is missing. On Windows, every user who can read the folder around it can read its keys.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// The certificate and its CA: from their files, or new ones. It reads and writes files and blocks, so
    /// call it before the loop starts, or on another thread. A server that runs for months calls it again
    /// there, for [`TlsServer::reload`].
    ///
    /// # Errors
    /// [`InvalidTls`]: a name is invalid or not permitted, or the files cannot be read, used or written. Most
    /// messages name the remedy.
    pub fn load(&self) -> Result<(Identity, LocalCa), InvalidTls> {
        self.load_at(clock::time_of_day(), &Machine::this())
    }

    fn load_at(&self, now: SystemTime, machine: &Machine) -> Result<(Identity, LocalCa), InvalidTls> {
        let now = Time::new(now.duration_since(UNIX_EPOCH).unwrap_or_default());
        let chosen = self.chosen_names()?;
        let store = Store::open(self.folder_path()?)?;
        let (ca, is_new) = self.ca(&store, &chosen, machine, now)?;
        if let Some(name) = chosen.iter().find(|name| !ca.permits(name, now)) {
            let (name, folder) = (name.to_str().into_owned(), store.folder().to_owned());
            return Err(InvalidTls::NotPermitted { name, folder });
        }

        let mut all = names::loopback();
        all.extend(chosen);
        if self.is_lan {
            all.extend(of_network(machine).into_iter().filter(|name| ca.permits(name, now)));
        }
        let mut names: Vec<Name> = Vec::with_capacity(all.len());
        for name in all {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let identity = self.identity(&store, &ca, &names, now)?;
        let host_names = names.iter().filter_map(names::host_name).collect();
        let (app, path) = (self.app.clone(), store.certificate_path());
        Ok((identity, LocalCa::new(ca, app, host_names, path, is_new)))
    }

    fn chosen_names(&self) -> Result<Vec<Name>, InvalidTls> {
        let mut chosen = Vec::new();
        for name in &self.names {
            let host = names::host(name)?;
            if !names::can_be_permitted(&host) {
                return Err(InvalidTls::TopLevel(name.clone()));
            }
            chosen.push(host);
        }
        chosen.extend(self.addresses.iter().map(|ip| names::address(*ip)));
        Ok(chosen)
    }

    fn folder_path(&self) -> Result<PathBuf, InvalidTls> {
        if let Some(folder) = &self.folder {
            return Ok(folder.clone());
        }
        let user = etcetera::base_strategy::choose_native_strategy().map_err(|_| InvalidTls::NoFolder)?;
        // No separator, no character that some system rejects, no hidden name.
        let plain = |c: char| if c.is_alphanumeric() || " _".contains(c) { c } else { '-' };
        let name: String = self.app.chars().take(64).map(plain).collect();
        Ok(user.data_dir().join([&name, " local CA"].concat()))
    }

    /// The CA, and whether it is new.
    fn ca(
        &self,
        store: &Store,
        chosen: &[Name],
        machine: &Machine,
        now: Time,
    ) -> Result<(Ca, bool), InvalidTls> {
        let unusable =
            |why: &str| InvalidTls::UnusableCa { folder: store.folder().to_owned(), why: why.to_owned() };
        let mut why = "it was replaced again and again".to_owned();
        for _ in 0..ATTEMPTS {
            let Some(files) = store.ca()? else {
                let own = machine.own_name();
                let further: Vec<_> = chosen.iter().cloned().chain(own).collect();
                let of = machine.name.as_deref().unwrap_or("this machine");
                let ca = Ca::create(&self.app, of, names::permitted(&further), now)?;
                let files = Files { certificate: ca.pem.clone(), key: ca.key_pem() };
                if store.put_ca(&ca.id(), &files)? {
                    return Ok((ca, true));
                }
                // Another process was first, or only one of the two files exists.
                why = "one of the files ca.crt and key.pem is missing".to_owned();
                continue;
            };
            let ca = match Ca::load(files.certificate, &files.key) {
                Ok(ca) => ca,
                Err(error) => return Err(unusable(&error.to_string())),
            };
            if !ca.is_current(now) {
                store.retire_ca(&ca.id())?;
                continue;
            }
            if names::loopback().iter().all(|name| ca.permits(name, now)) {
                return Ok((ca, false));
            }
            // Perhaps its files were read while another process replaced them.
            why = "the key does not belong to the certificate".to_owned();
        }
        Err(unusable(&why))
    }

    fn identity(&self, store: &Store, ca: &Ca, names: &[Name], now: Time) -> Result<Identity, InvalidTls> {
        // One that cannot be read, or is of another CA, is replaced.
        if let Some(pem) = store.server().ok().flatten()
            && ca.covers(&pem, names, now)
            && let Ok(identity) = Identity::from_pem(&pem, &pem)
        {
            return Ok(identity);
        }
        let leaf = ca.issue(&self.app, names, now)?;
        let pem = [&*leaf.pem, &*leaf.key_pem].concat();
        let identity = Identity::from_pem(&pem, &pem)?;
        store.put_server(&hex(&identity.key_sha256()?, ""), &pem)?;
        Ok(identity)
    }
}

/// This machine's names and private addresses on the network.
fn of_network(machine: &Machine) -> Vec<Name> {
    let private = machine.addresses.iter().filter(|ip| names::is_private(ip.to_canonical()));
    let names = machine.local_name().into_iter().chain(machine.own_name());
    names.chain(private.map(|ip| names::address(*ip))).collect()
}

/// A local CA: what users import, and compare. A clone is cheap.
#[derive(Clone)]
pub struct LocalCa {
    shared: Arc<Shared>,
}

struct Shared {
    app: String,
    host_names: Vec<String>,
    name: String,
    /// What it can certify beyond what each local CA can.
    further: Vec<String>,
    pem: String,
    der: Vec<u8>,
    fingerprint: String,
    path: PathBuf,
    is_new: bool,
}

impl LocalCa {
    fn new(ca: Ca, app: String, host_names: Vec<String>, path: PathBuf, is_new: bool) -> Self {
        let fingerprint = hex(&Sha256::digest(&ca.der), ":");
        let further = names::beyond_all(&ca.facts.permitted);
        let (name, pem, der) = (ca.facts.common_name, ca.pem, ca.der.to_vec());
        let shared = Shared { app, host_names, name, further, pem, der, fingerprint, path, is_new };
        Self { shared: Arc::new(shared) }
    }

    /// Its name, as systems list it: the application, the machine, the date, and four hexadecimal digits
    /// that make it unique.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The name of the application.
    pub fn app(&self) -> &str {
        &self.shared.app
    }

    /// The host names of the certificate that it has issued, except `localhost`: for
    /// [`ServerConfig::allow_host`](crate::server::ServerConfig::allow_host), without which requests for them get 421.
    pub fn host_names(&self) -> &[String] {
        &self.shared.host_names
    }

    /// Its certificate in PEM, for [`TlsClient::add_roots`](super::TlsClient::add_roots) and for users to import.
    pub fn certificate_pem(&self) -> &str {
        &self.shared.pem
    }

    /// Its certificate in DER.
    pub fn certificate_der(&self) -> &[u8] {
        &self.shared.der
    }

    /// The SHA-256 of its certificate, as systems show it: `AB:12:…`. Show it to the user, who compares it
    /// before the import.
    pub fn fingerprint(&self) -> &str {
        &self.shared.fingerprint
    }

    /// The file with its certificate in PEM.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Whether it was made just now, so that no device trusts it yet.
    pub fn is_new(&self) -> bool {
        self.shared.is_new
    }
}

impl fmt::Debug for LocalCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { name, fingerprint, .. } = &*self.shared;
        f.debug_struct("LocalCa")
            .field("name", name)
            .field("fingerprint", fingerprint)
            .finish_non_exhaustive()
    }
}

impl TlsServer {
    /// A server with a certificate for this machine, and the CA that has issued it: see [`SelfSigned`]. It reads and
    /// writes files: [`SelfSigned::load`] says when to call it.
    ///
    /// # Errors
    /// As [`SelfSigned::load`].
    pub fn self_signed(certificates: &SelfSigned) -> Result<(Self, LocalCa), InvalidTls> {
        let (identity, ca) = certificates.load()?;
        Ok((Self::new(identity)?, ca))
    }
}

fn hex(bytes: &[u8], between: &str) -> String {
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
