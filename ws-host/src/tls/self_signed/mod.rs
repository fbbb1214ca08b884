//! Certificates for this machine and its network, from a local CA that each user imports once.
//!
//! ```text
//! SelfSigned ─▶ names ─▶ ca/, ca-2/, … hold a year more? ──yes──▶ server.pem holds for them, and 30 days more?
//!                             │no                                     │yes              │no
//!                             ▼                                       ▼                 ▼
//!                        a new CA, to import; until it ends,      Identity ◀── a new certificate of the CA
//!                        the one before it certifies it ─────────────────────────────────▲
//! ```
//!
//! `issue` makes certificates and judges them, `names` decides what a CA permits, `store` has the files, `der` reads a
//! certificate back, `local_ca` is what the application sees of a CA, and `trust_page` tells users how to import the
//! CA.

mod der;
mod issue;
mod local_ca;
mod names;
mod store;
mod trust_page;

#[cfg(test)]
mod tests_self_signed;
#[cfg(test)]
mod tests_years;

use super::error::InvalidTls;
use super::identity::Identity;
use super::server::TlsServer;
use crate::clock;
use core::net::IpAddr;
use etcetera::base_strategy::BaseStrategy;
use issue::{Ca, Issuing, Time, hex};
use names::{Machine, Name};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};
use store::{CaFolder, Store};

pub use local_ca::LocalCa;
pub use trust_page::{TrustPage, trust_page};

/// How often a CA is looked for and made: in between, another process may make one.
const ATTEMPTS: u32 = 8;

/// Makes certificates for this machine, issued by a local CA of the application. Users import the CA once, on each
/// device that opens the application's pages; the certificates beneath it are renewed without them.
///
/// The certificate always names `localhost`, `127.0.0.1` and `::1`, and whatever [`lan`](Self::lan),
/// [`name`](Self::name) and [`address`](Self::address) add. It is valid for 397 days and renewed when it is loaded,
/// once 30 are left or a name is missing. The CA is valid for ten years. When it is loaded in the last of them, it
/// certifies its successor, which then issues: devices trust both until the old one ends, and import the new one
/// meanwhile. It can only certify servers, and only `localhost`, names under `.local`, this machine's own name, private
/// addresses (10/8, 172.16/12, 192.168/16, 100.64/10, 127/8, 169.254/16, fc00::/7, fe80::/10, ::1), and what was added
/// when it was made.
///
/// The files are in a folder of this user: `APP local CA` in `$XDG_DATA_HOME` or `~/.local/share`, on macOS in
/// `~/Library/Application Support`, on Windows in `%APPDATA%`. On Unix only the user can read it (0700, keys 0600); on
/// Windows it has the permissions of the user's profile. Processes that start at the same time share one CA. A CA is
/// neither changed nor removed: if the clock was wrong for a while, the right one finds the CA that devices have
/// imported. If the files can be read but not written, the certificate is issued in memory, at each start.
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
    /// Certificates of the application with this name, which users read when they import its CA. A long name is cut in
    /// the certificates, to 18 characters at least. Control characters in it become spaces.
    pub fn new(app: impl Into<String>) -> Self {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let app: String = app.into().chars().map(plain).collect();
        Self {
            app: app.trim().to_owned(),
            folder: None,
            names: Vec::new(),
            addresses: Vec::new(),
            is_lan: false,
        }
    }

    /// Adds this machine's names and addresses on the network: `NAME.local`, which systems with multicast DNS resolve;
    /// `NAME` itself, if it has a dot, a digit or a hyphen, so that it is no top-level domain; and the private
    /// addresses of all interfaces, at most 32, but not the link-local ones of IPv6, which no URL can have. Those that
    /// an existing CA does not permit are left out. Each peer that connects can read all of them in the certificate.
    /// [`LocalCa::lan_http_url`] has one of them. A public address has to be [added](Self::address).
    #[must_use]
    pub fn lan(mut self) -> Self {
        self.is_lan = true;
        self
    }

    /// Adds a host name, such as `nas.lan`, and not a domain of others, such as `co.uk`: the CA may certify the names
    /// below it too. The CA permits it if it is under `.local`, or was added when the CA was made.
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
    /// [`InvalidTls`]: a name is invalid or not permitted, the files cannot be read or used, or there is no CA and none
    /// can be written. Most messages name the remedy.
    pub fn load(&self) -> Result<(Identity, LocalCa), InvalidTls> {
        self.load_at(clock::time_of_day(), &Machine::this())
    }

    fn load_at(&self, now: SystemTime, machine: &Machine) -> Result<(Identity, LocalCa), InvalidTls> {
        let now = Time::new(now.duration_since(UNIX_EPOCH).unwrap_or_default());
        let chosen = self.chosen_names()?;
        let store = Store::new(self.folder_path()?);
        let issuing = self.ca(&store, &chosen, machine, now)?;
        let ca = &issuing.ca;
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
        let identity = self.identity(&store, ca, &names, now)?;
        Ok((identity, LocalCa::new(issuing, self.app.clone(), &names, now)))
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
        Ok(user.data_dir().join([&name, " local CA"].concat().trim_start()))
    }

    /// The CA that issues.
    fn ca(
        &self,
        store: &Store,
        chosen: &[Name],
        machine: &Machine,
        now: Time,
    ) -> Result<Issuing, InvalidTls> {
        let of = machine.name.as_deref().unwrap_or("this machine");
        for _ in 0..ATTEMPTS {
            let (folders, number) = store.cas()?;
            let mut all = usable(store, folders, now)?;
            // A clock that was ahead for a while has left one that ends later: devices have imported the other.
            all.sort_by_key(|(ca, _)| ca.facts.not_after);
            if let Some(at) = all.iter().position(|(ca, _)| ca.is_current(now)) {
                let (ca, folder) = all.swap_remove(at);
                return Ok(Issuing { ca, path: folder.certificate_path(), is_new: false });
            }
            let ending = all.pop();
            let ca = match &ending {
                Some((ending, _)) => ending.successor(&self.app, of, now)?,
                None => {
                    let further: Vec<_> = chosen.iter().cloned().chain(machine.own_name()).collect();
                    Ca::create(&self.app, of, names::permitted(&further), now)?
                }
            };
            match (store.put_ca(number, &ca.id(), &ca.files()), ending) {
                (Ok(Some(folder)), _) => {
                    return Ok(Issuing { ca, path: folder.certificate_path(), is_new: true });
                }
                // Another process was first.
                (Ok(None), _) => {}
                (Err(_), Some((ca, folder))) => {
                    return Ok(Issuing { ca, path: folder.certificate_path(), is_new: false });
                }
                (Err(error), None) => return Err(error),
            }
        }
        Err(unusable(store, "others appear beside it again and again"))
    }

    fn identity(&self, store: &Store, ca: &Ca, names: &[Name], now: Time) -> Result<Identity, InvalidTls> {
        let cross = ca.cross(now).map(|cross| cross.pem.as_str()).unwrap_or_default();
        let presented = |pem: &str| Identity::from_pem([pem, cross].concat(), pem);
        // One that cannot be read, or is of another CA, is replaced.
        if let Some(pem) = store.server().ok().flatten()
            && ca.covers(&pem, names, now)
            && let Ok(identity) = presented(&pem)
        {
            return Ok(identity);
        }
        let leaf = ca.issue(&self.app, names, now)?;
        let pem = [&*leaf.pem, &*leaf.key_pem].concat();
        let identity = presented(&pem)?;
        // Where nothing can be written, each start has a certificate of its own: devices trust all of them.
        let _ = store.put_server(&hex(&identity.key_sha256()?, ""), &pem);
        Ok(identity)
    }
}

/// The CAs that have not ended. One that cannot be read is an error: devices may have imported it.
fn usable(store: &Store, folders: Vec<CaFolder>, now: Time) -> Result<Vec<(Ca, CaFolder)>, InvalidTls> {
    let mut usable = Vec::new();
    for folder in folders {
        let Some(certificate) = folder.certificate()? else { continue };
        let end = Ca::end(&certificate).map_err(|error| unusable(store, &error.to_string()))?;
        if !now.is_before(end) {
            continue;
        }
        let ca = Ca::load(certificate, &folder.key()?, folder.cross()?);
        let ca = ca.map_err(|error| unusable(store, &error.to_string()))?;
        if !names::loopback().iter().all(|name| ca.permits(name, now)) {
            return Err(unusable(store, "the key does not belong to the certificate"));
        }
        usable.push((ca, folder));
    }
    Ok(usable)
}

fn unusable(store: &Store, why: &str) -> InvalidTls {
    InvalidTls::UnusableCa { folder: store.folder().to_owned(), why: why.to_owned() }
}

/// This machine's names and private addresses on the network.
fn of_network(machine: &Machine) -> Vec<Name> {
    let private = machine.addresses.iter().filter(|ip| names::is_private(ip.to_canonical()));
    let names = machine.local_name().into_iter().chain(machine.own_name());
    names.chain(private.map(|ip| names::address(*ip))).collect()
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
