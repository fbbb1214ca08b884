//! TLS of a server.

use super::error::InvalidTls;
use super::identity::Identity;
use super::judge::Judge;
use super::{HTTP_1_0, HTTP_1_1, pem, provider};
use core::fmt;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use std::boxed::Box;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::vec::Vec;

/// TLS of a server: the certificate that it presents, and the roots of the client certificates that it accepts. Clones
/// share it, so a [reload](Self::reload) applies to all of them.
///
/// It speaks TLS 1.3 and 1.2, accepts `http/1.1` and `http/1.0` (RFC 7301), and resumes sessions by tickets; early data is off.
///
/// ```no_run
/// use ws_host::tls::TlsServer;
///
/// let tls = TlsServer::from_files("chain.pem", "key.pem")?;
/// // Later, from any thread, when the certificate has been renewed:
/// tls.reload_files("chain.pem", "key.pem")?;
/// # Ok::<(), ws_host::tls::InvalidTls>(())
/// ```
#[derive(Clone)]
pub struct TlsServer {
    shared: Arc<Shared>,
}

struct Shared {
    provider: Option<Arc<CryptoProvider>>,
    settings: RwLock<Settings>,
}

#[derive(Clone)]
struct Settings {
    source: Source,
    clients: Option<Clients>,
    /// What new handshakes use.
    config: Arc<rustls::ServerConfig>,
}

#[derive(Clone)]
enum Source {
    Resolver(Arc<dyn ResolvesServerCert>),
    /// The application's own configuration.
    Whole,
}

#[derive(Clone)]
struct Clients {
    roots: Arc<RootCertStore>,
    rule: ClientCertificates,
}

/// Whether clients must present a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// A client without one is rejected.
    Required,
    /// A client may present none; one that does must be trusted.
    Optional,
}

impl TlsServer {
    /// A server with this certificate.
    ///
    /// # Errors
    /// [`InvalidTls::NoProvider`].
    pub fn new(identity: Identity) -> Result<Self, InvalidTls> {
        Self::with_provider(provider::default()?, identity)
    }

    /// A server with the certificate and the key of these PEM texts: see [`Identity::from_pem`].
    ///
    /// # Errors
    /// As [`Identity::from_pem`].
    pub fn from_pem(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Self, InvalidTls> {
        Self::new(Identity::from_pem(chain, key)?)
    }

    /// A server with the certificate and the key of these PEM files: see [`Identity::from_files`].
    ///
    /// # Errors
    /// As [`Identity::from_files`].
    pub fn from_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, InvalidTls> {
        Self::new(Identity::from_files(chain, key)?)
    }

    /// A server with this certificate and this crypto provider, in place of the built-in one.
    ///
    /// # Errors
    /// [`InvalidTls::Malformed`] if the provider supports neither TLS 1.3 nor 1.2.
    pub fn with_provider(provider: Arc<CryptoProvider>, identity: Identity) -> Result<Self, InvalidTls> {
        Self::build(provider, Source::Resolver(Arc::new(Single(identity.0))))
    }

    /// A server that selects its certificate by the name that the client asks for (SNI, RFC 6066 §3), which is absent
    /// for an address. `None` rejects the client with the alert `access_denied`.
    ///
    /// The function runs within handshakes, on the thread of the connection, and must not block.
    ///
    /// # Errors
    /// [`InvalidTls::NoProvider`].
    pub fn resolver(
        select: impl Fn(Option<&str>) -> Option<Identity> + Send + Sync + 'static,
    ) -> Result<Self, InvalidTls> {
        Self::build(provider::default()?, Source::Resolver(Arc::new(ByName(Box::new(select)))))
    }

    fn build(provider: Arc<CryptoProvider>, source: Source) -> Result<Self, InvalidTls> {
        let config = configure(&provider, &source, None)?;
        let settings = RwLock::new(Settings { source, clients: None, config });
        Ok(Self { shared: Arc::new(Shared { provider: Some(provider), settings }) })
    }

    /// Requires or accepts client certificates that one of these roots, in PEM, has issued. Call it before the server
    /// starts.
    ///
    /// # Errors
    /// [`InvalidTls`]: the roots are missing or malformed, or this was made from a rustls configuration, which has its
    /// own.
    pub fn client_certificates(
        self,
        roots: impl AsRef<[u8]>,
        rule: ClientCertificates,
    ) -> Result<Self, InvalidTls> {
        let mut store = RootCertStore::empty();
        pem::add_roots(&mut store, roots.as_ref())?;
        self.change(|settings| settings.clients = Some(Clients { roots: Arc::new(store), rule }))?;
        Ok(self)
    }

    /// Replaces the certificate for new handshakes; open connections keep theirs. Earlier tickets are no longer
    /// accepted. It may be called from any thread.
    ///
    /// # Errors
    /// [`InvalidTls::Malformed`] if this was made from a rustls configuration, which has its own resolver. The old
    /// certificate stays.
    pub fn reload(&self, identity: Identity) -> Result<(), InvalidTls> {
        self.change(|settings| settings.source = Source::Resolver(Arc::new(Single(identity.0))))
    }

    /// Replaces the certificate by the one in these PEM files: see [`reload`](Self::reload). It reads files, so call it
    /// on a thread that may block.
    ///
    /// # Errors
    /// As [`Identity::from_files`]. The old certificate stays.
    pub fn reload_files(&self, chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<(), InvalidTls> {
        let (chain, key) = (pem::read(chain.as_ref())?, pem::read(key.as_ref())?);
        let provider = self.shared.provider.as_ref().ok_or_else(own_config)?;
        self.reload(Identity::with_provider(provider, chain, key)?)
    }

    fn change(&self, change: impl FnOnce(&mut Settings)) -> Result<(), InvalidTls> {
        let provider = self.shared.provider.as_ref().ok_or_else(own_config)?;
        let mut settings = self.shared.settings.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = settings.clone();
        change(&mut changed);
        changed.config = configure(provider, &changed.source, changed.clients.as_ref())?;
        *settings = changed;
        Ok(())
    }

    /// What the next handshake uses.
    pub(super) fn config(&self) -> Arc<rustls::ServerConfig> {
        self.shared.settings.read().unwrap_or_else(PoisonError::into_inner).config.clone()
    }
}

/// A whole configuration of rustls, for what has no method here. Its `alpn_protocols` must be empty or contain only
/// `http/1.1` and `http/1.0`.
impl From<Arc<rustls::ServerConfig>> for TlsServer {
    fn from(config: Arc<rustls::ServerConfig>) -> Self {
        let settings = RwLock::new(Settings { source: Source::Whole, clients: None, config });
        Self { shared: Arc::new(Shared { provider: None, settings }) }
    }
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer").finish_non_exhaustive()
    }
}

fn own_config() -> InvalidTls {
    let why = "this TlsServer was made from a rustls configuration; change that configuration instead";
    InvalidTls::Malformed(why.into())
}

fn configure(
    provider: &Arc<CryptoProvider>,
    source: &Source,
    clients: Option<&Clients>,
) -> Result<Arc<rustls::ServerConfig>, InvalidTls> {
    let Source::Resolver(resolver) = source else { return Err(own_config()) };
    let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(Clients { roots, rule }) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
            let by = match rule {
                ClientCertificates::Required => verifier.build()?,
                ClientCertificates::Optional => verifier.allow_unauthenticated().build()?,
            };
            builder.with_client_cert_verifier(Arc::new(Judge::new(by, roots.clone())))
        }
    };
    let mut config = builder.with_cert_resolver(resolver.clone());
    config.alpn_protocols = Vec::from([HTTP_1_1.into(), HTTP_1_0.into()]);
    config.max_early_data_size = 0;
    if let Some(ticketer) = provider::ticketer() {
        config.ticketer = ticketer;
        config.session_storage = Arc::new(NoServerSessionStorage {});
    }
    Ok(Arc::new(config))
}

/// One certificate for every name.
#[derive(Debug)]
struct Single(Arc<CertifiedKey>);

impl ResolvesServerCert for Single {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

type Select = dyn Fn(Option<&str>) -> Option<Identity> + Send + Sync;

struct ByName(Box<Select>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        (self.0)(hello.server_name()).map(|identity| identity.0)
    }
}

impl fmt::Debug for ByName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByName").finish_non_exhaustive()
    }
}
