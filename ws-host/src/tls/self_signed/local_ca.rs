//! What the application sees of a CA: what users import and compare, and by which names they reach the server.

use super::issue::{Issuing, Time, hex};
use super::names::{self, Name};
use crate::lan::lan_address;
use crate::url::{Scheme, url};
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A local CA: what users import, and compare. A clone is cheap.
#[derive(Clone)]
pub struct LocalCa {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    app: String,
    host_names: Vec<String>,
    addresses: Vec<IpAddr>,
    name: String,
    /// What it can certify beyond what each local CA can.
    pub(super) further: Vec<String>,
    pem: String,
    der: Vec<u8>,
    fingerprint: String,
    path: PathBuf,
    is_new: bool,
    not_after: SystemTime,
    previous_not_after: Option<SystemTime>,
}

impl LocalCa {
    pub(super) fn new(issuing: Issuing, app: String, names: &[Name], now: Time) -> Self {
        let host_names = names.iter().filter_map(names::host_name).collect();
        let addresses = names.iter().filter_map(names::network_address).collect();
        let Issuing { ca, path, is_new } = issuing;
        let fingerprint = hex(&Sha256::digest(&ca.der), ":");
        let further = names::beyond_all(&ca.facts.permitted);
        let not_after = UNIX_EPOCH + ca.facts.not_after;
        let previous_not_after = ca.cross(now).map(|cross| UNIX_EPOCH + cross.not_after);
        let (name, pem, der) = (ca.facts.common_name, ca.pem, ca.der.to_vec());
        let shared = Shared {
            app,
            host_names,
            addresses,
            name,
            further,
            pem,
            der,
            fingerprint,
            path,
            is_new,
            not_after,
            previous_not_after,
        };
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

    /// The addresses of the certificate that it has issued, except 127.0.0.1 and `::1`: those that were
    /// [added](super::SelfSigned::address), then with [`lan`](super::SelfSigned::lan) the private ones of this machine,
    /// that of its default route first.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.shared.addresses
    }

    /// The `https` URL at which the network reaches a server that is bound to this address, by an address or a name of
    /// the certificate that this CA has issued. For a server on every interface, that is the address of its own
    /// `lan_url` if the certificate names it, or another of [`addresses`](Self::addresses), or `NAME.local`. `None` if
    /// the certificate names nothing by which the network reaches it, or there is no network. The path is treated as in
    /// [`url`](crate::listen::url).
    ///
    /// It cannot know the user's network: if the default route is that of a VPN, show the other
    /// [`addresses`](Self::addresses) too.
    pub fn lan_http_url(&self, server: SocketAddr, path: &str) -> Option<String> {
        self.lan_http_url_at(server, lan_address(server)?.ip(), path)
    }

    fn lan_http_url_at(&self, server: SocketAddr, on_route: IpAddr, path: &str) -> Option<String> {
        let of = |ip| url(Scheme::Https, SocketAddr::new(ip, server.port()), path);
        let (addresses, ip) = (self.addresses(), on_route.to_canonical());
        if addresses.contains(&ip) {
            return Some(of(ip));
        }
        let is_reached = |ip: &&IpAddr| {
            server.ip().is_unspecified()
                && (ip.is_ipv4() || server.is_ipv6())
                && !ip.to_canonical().is_loopback()
        };
        if let Some(ip) = addresses.iter().find(is_reached) {
            return Some(of(*ip));
        }
        // Its host name replaces that of the URL for this machine.
        let name = self.host_names().iter().find(|name| name.ends_with(".local"))?;
        let local = of(Ipv4Addr::UNSPECIFIED.into());
        Some(local.replacen("localhost", name, 1))
    }

    /// Its certificate in PEM, for [`TlsClient::add_roots`](crate::tls::TlsClient::add_roots) and for users to import.
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

    /// Whether it was made just now, so that no device has imported it yet.
    pub fn is_new(&self) -> bool {
        self.shared.is_new
    }

    /// When it ends. A year before, [`SelfSigned::load`](super::SelfSigned::load) makes the next one, to be imported on
    /// each device until then.
    pub fn not_after(&self) -> SystemTime {
        self.shared.not_after
    }

    /// When the CA before this one ends: until then the server is also trusted by devices that have imported only that
    /// one. `None` if there was none, or it has ended.
    pub fn previous_not_after(&self) -> Option<SystemTime> {
        self.shared.previous_not_after
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

#[cfg(test)]
mod tests {
    use crate::tls::self_signed::names::Machine;
    use crate::tls::self_signed::tests_self_signed::{Place, after};
    use core::net::IpAddr;

    #[test]
    fn a_link_has_only_names_of_the_certificate() {
        let lan = |bound: &str, on_route: &str, own: &[&str]| {
            let place = Place::new("link");
            let addresses = own.iter().map(|ip| ip.parse().unwrap()).collect();
            let machine = Machine { name: Some("desktop".to_owned()), addresses };
            let (_, ca) = place.settings().lan().load_at(after(0), &machine).unwrap();
            assert_eq!(ca.addresses(), machine.addresses);
            ca.lan_http_url_at(bound.parse().unwrap(), on_route.parse().unwrap(), "a b")
        };
        for (bound, on_route, own, expected) in [
            ("[::]:1", "192.168.1.7", &["192.168.1.7", "10.8.0.3"][..], Some("https://192.168.1.7:1/a%20b")),
            ("[::]:1", "::ffff:192.168.1.7", &["192.168.1.7"], Some("https://192.168.1.7:1/a%20b")),
            ("[::]:1", "100.64.3.4", &["100.64.3.4"], Some("https://100.64.3.4:1/a%20b")),
            // The default route's is public.
            ("[::]:1", "192.0.2.2", &["10.8.0.3", "fd00::7"], Some("https://10.8.0.3:1/a%20b")),
            ("[::]:1", "2001:db8::7", &["fd00::7"], Some("https://[fd00::7]:1/a%20b")),
            ("0.0.0.0:1", "192.0.2.2", &["fd00::7"], Some("https://desktop.local:1/a%20b")),
            ("[::]:1", "192.0.2.2", &[], Some("https://desktop.local:1/a%20b")),
            ("192.0.2.2:1", "192.0.2.2", &["10.8.0.3"], Some("https://desktop.local:1/a%20b")),
        ] {
            assert_eq!(lan(bound, on_route, own).as_deref(), expected, "{bound}, {on_route}, {own:?}");
        }
        let place = Place::new("link-local");
        let (_, ca) =
            place.settings().address([192, 168, 1, 7]).load_at(after(0), &Machine::default()).unwrap();
        let on_route: IpAddr = [192, 0, 2, 2].into();
        assert_eq!(ca.lan_http_url_at(([192, 0, 2, 2], 1).into(), on_route, "/"), None);
        assert_eq!(ca.lan_http_url(([127, 0, 0, 1], 1).into(), "/"), None, "the network does not reach it");
        assert_eq!(ca.addresses(), [IpAddr::from([192, 168, 1, 7])]);
    }
}
