//! TLS of a client.

use super::error::InvalidTls;
use super::identity::Identity;
use super::judge::Judge;
use super::pin::PinVerifier;
use super::{HTTP_1_1, pem, provider};
use core::fmt;
use rustls::RootCertStore;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use std::borrow::ToOwned;
use std::sync::{Arc, OnceLock};
use std::vec::Vec;

/// How many servers a client remembers for resumption.
const SERVERS: usize = 32;
/// How many tickets of each server rustls keeps; it limits the servers by the number of their tickets.
const TICKETS: usize = 8;

/// TLS of a client: the roots or keys that it trusts, and the certificate that it presents. A clone is cheap, and
/// shares the sessions to resume.
///
/// It speaks TLS 1.3 and 1.2 and offers `http/1.1` (RFC 7301). By default it trusts the roots of the system.
///
/// ```
/// use ws_host::tls::TlsClient;
/// # let company = rcgen::generate_simple_self_signed(["example".into()])?.cert.pem();
///
/// let trusted_by_the_system = TlsClient::system();
/// let and_by_the_company = TlsClient::system().add_roots(&company)?;
/// let only_by_the_company = TlsClient::roots_only(&company)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TlsClient {
    settings: Settings,
    /// Made from the settings when first needed, since that may read the roots of the system.
    config: Arc<OnceLock<Arc<rustls::ClientConfig>>>,
}

#[derive(Clone)]
struct Settings {
    provider: Option<Arc<CryptoProvider>>,
    with_system: bool,
    roots: Arc<RootCertStore>,
    pins: Vec<[u8; 32]>,
    identity: Option<Identity>,
    server_name: Option<ServerName<'static>>,
}

impl TlsClient {
    /// Trusts the roots of the system, which are read once for the process: see [`prepare`](Self::prepare).
    pub fn system() -> Self {
        Self::of(true, RootCertStore::empty())
    }

    /// Trusts only these roots, in PEM.
    ///
    /// # Errors
    /// [`InvalidTls`]: there is none, or one is malformed.
    pub fn roots_only(pem: impl AsRef<[u8]>) -> Result<Self, InvalidTls> {
        let mut roots = RootCertStore::empty();
        pem::add_roots(&mut roots, pem.as_ref())?;
        Ok(Self::of(false, roots))
    }

    fn of(with_system: bool, roots: RootCertStore) -> Self {
        let settings = Settings {
            provider: None,
            with_system,
            roots: Arc::new(roots),
            pins: Vec::new(),
            identity: None,
            server_name: None,
        };
        Self { settings, config: Arc::default() }
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self.config = Arc::default();
        self
    }

    /// Trusts these roots too, in PEM.
    ///
    /// # Errors
    /// [`InvalidTls`]: there is none, or one is malformed.
    pub fn add_roots(self, pem: impl AsRef<[u8]>) -> Result<Self, InvalidTls> {
        let mut roots = (*self.settings.roots).clone();
        pem::add_roots(&mut roots, pem.as_ref())?;
        Ok(self.with(|settings| settings.roots = Arc::new(roots)))
    }

    /// Trusts the server by its key: the SHA-256 of its certificate's `SubjectPublicKeyInfo`, as in
    /// `openssl x509 -pubkey -noout | openssl pkey -pubin -outform der | sha256sum`. Several may be set: a key and its
    /// successor.
    ///
    /// With a pin, only the key is checked: not the issuer, the name or the dates of the certificate. Pins suit
    /// self-signed certificates.
    #[must_use]
    pub fn pin(self, sha256: [u8; 32]) -> Self {
        self.with(|settings| settings.pins.push(sha256))
    }

    /// Presents this certificate to servers that ask for one.
    #[must_use]
    pub fn identity(self, identity: Identity) -> Self {
        self.with(|settings| settings.identity = Some(identity))
    }

    /// Expects this name in the certificate, and asks for it (SNI), in place of the URL's host.
    ///
    /// # Errors
    /// [`InvalidTls::Name`].
    pub fn server_name(self, name: &str) -> Result<Self, InvalidTls> {
        let name = parse_name(name)?;
        Ok(self.with(|settings| settings.server_name = Some(name)))
    }

    /// Uses this crypto provider in place of the built-in one.
    #[must_use]
    pub fn provider(self, provider: Arc<CryptoProvider>) -> Self {
        self.with(|settings| settings.provider = Some(provider))
    }

    /// Whether connecting reads no file: the roots of the system have been read, or are not needed.
    pub fn is_prepared(&self) -> bool {
        let Settings { with_system, pins, .. } = &self.settings;
        let needs_roots = *with_system && pins.is_empty() && self.config.get().is_none();
        !needs_roots || SYSTEM_ROOTS.get().is_some()
    }

    /// Reads the roots of the system, if they are needed and no client of the process has read them yet: a few hundred
    /// KiB of files, or the certificate stores of Windows and macOS. Without this call, the first connection reads
    /// them. Call it on a thread that may block.
    ///
    /// # Errors
    /// [`InvalidTls`]: there are no roots at all, or no crypto provider.
    pub fn prepare(&self) -> Result<(), InvalidTls> {
        self.config().map(drop)
    }

    pub(super) fn config(&self) -> Result<Arc<rustls::ClientConfig>, InvalidTls> {
        if let Some(config) = self.config.get() {
            return Ok(config.clone());
        }
        let config = Arc::new(self.settings.configure()?);
        Ok(self.config.get_or_init(|| config).clone())
    }

    /// The name to expect of the server with this host.
    pub(super) fn name_for(&self, host: &str) -> Result<ServerName<'static>, InvalidTls> {
        match &self.settings.server_name {
            Some(name) => Ok(name.clone()),
            None => parse_name(host),
        }
    }
}

impl Default for TlsClient {
    fn default() -> Self {
        Self::system()
    }
}

/// A whole configuration of rustls, for what has no method here. Any further setting, `server_name` included, discards
/// it.
impl From<Arc<rustls::ClientConfig>> for TlsClient {
    fn from(config: Arc<rustls::ClientConfig>) -> Self {
        let client = Self::system();
        client.config.get_or_init(|| config);
        client
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient")
            .field("with_system", &self.settings.with_system)
            .field("roots", &self.settings.roots.len())
            .field("pins", &self.settings.pins.len())
            .field("identity", &self.settings.identity)
            .field("server_name", &self.settings.server_name)
            .finish_non_exhaustive()
    }
}

impl Settings {
    fn configure(&self) -> Result<rustls::ClientConfig, InvalidTls> {
        let provider = match &self.provider {
            Some(provider) => provider.clone(),
            None => provider::default()?,
        };
        let builder = rustls::ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?;
        let (by, roots): (Arc<dyn ServerCertVerifier>, _) = if self.pins.is_empty() {
            let roots = self.all_roots();
            (WebPkiServerVerifier::builder_with_provider(roots.clone(), provider).build()?, roots)
        } else {
            (Arc::new(PinVerifier::new(self.pins.clone(), &provider)), RootCertStore::empty().into())
        };
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Judge::new(by, roots)));
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.0.clone())))
            }
        };
        config.alpn_protocols = Vec::from([HTTP_1_1.into()]);
        config.resumption = Resumption::in_memory_sessions(SERVERS * TICKETS);
        Ok(config)
    }

    fn all_roots(&self) -> Arc<RootCertStore> {
        if !self.with_system {
            return self.roots.clone();
        }
        let system = system_roots();
        if self.roots.is_empty() {
            return system;
        }
        let mut roots = (*system).clone();
        roots.roots.extend(self.roots.roots.iter().cloned());
        Arc::new(roots)
    }
}

static SYSTEM_ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();

/// The roots of the system, read once. Files that cannot be read are skipped: a system may have hundreds.
fn system_roots() -> Arc<RootCertStore> {
    let read = || {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    };
    SYSTEM_ROOTS.get_or_init(read).clone()
}

fn parse_name(name: &str) -> Result<ServerName<'static>, InvalidTls> {
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    // The zone of a link-local address is not part of a name.
    let bare = bare.split_once('%').map_or(bare, |(address, _)| address);
    ServerName::try_from(bare.to_owned()).map_err(|_| InvalidTls::name(name))
}
