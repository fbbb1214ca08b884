//! Bad certificates of each kind, and what the side that judges them must say.

use super::certificates::{Authority, expired, leaf, not_yet_valid, self_signed};
use super::ends::Role;
use crate::tls::rustls::pki_types::pem::PemObject;
use crate::tls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use crate::tls::rustls::sign::{CertifiedKey, Signer, SigningKey};
use crate::tls::rustls::{Error, SignatureAlgorithm, SignatureScheme};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, PKCS_RSA_SHA256, PublicKeyData,
};
use std::sync::Arc;
use ws_proto::{CertificateFault, NameMismatch, TlsAlert, TlsError};

/// A certificate that the other side presents, with its chain and its key.
pub struct Bad {
    pub kind: &'static str,
    pub presented: Arc<CertifiedKey>,
    /// The root that our side trusts, in PEM.
    pub root: String,
    /// What our side says.
    pub expected: TlsError,
    /// A part of its sentence.
    pub remedy: &'static str,
    /// The alert that the other side gets (RFC 8446 §6.2), if there is one.
    pub alert: Option<u8>,
}

/// What both ends of an attempt to connect over TLS say.
pub struct Outcome {
    pub client: TlsError,
    /// Whether the client tries again.
    pub is_retried: bool,
    /// Of the connection that the server names.
    pub server: TlsError,
}

impl Bad {
    /// A client that judged it says so, with the remedy, and the server that it was rejected.
    pub fn must_be_reported_by_the_client(&self, outcome: &Outcome) {
        self.must_be_judged(&outcome.client);
        assert_eq!(outcome.is_retried, ["expired", "not yet valid", "with another key"].contains(&self.kind));
        let told = self
            .alert
            .map_or(TlsError::Truncated, |alert| TlsError::ServerCertificateRejected(TlsAlert(alert)));
        assert_eq!(outcome.server, told);
    }

    /// A server that judged it says so, with the remedy, and the client that it was rejected.
    pub fn must_be_reported_by_the_server(&self, outcome: &Outcome) {
        self.must_be_judged(&outcome.server);
        let alert = self.alert.unwrap();
        let told = match alert {
            116 => TlsError::ClientCertificateMissing,
            alert => TlsError::ClientCertificateRejected(TlsAlert(alert)),
        };
        assert_eq!(outcome.client, told);
        assert_eq!(outcome.is_retried, alert == 45);
    }

    fn must_be_judged(&self, error: &TlsError) {
        assert_eq!(*error, self.expected);
        assert!(error.to_string().contains(self.remedy), "{error}");
    }
}

/// One of each kind, for our side in this role.
pub fn bad_certificates(role: Role) -> Vec<Bad> {
    use CertificateFault as F;
    let is_client = role == Role::Client;
    let for_role = |client: &'static str, server: &'static str| if is_client { client } else { server };
    let (right, wrong) = match role {
        Role::Client => (ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth),
        Role::Server => (ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth),
    };
    let for_purpose = |params: &mut CertificateParams| params.extended_key_usages = vec![right.clone()];
    let issued = |by: &Authority, change: fn(&mut CertificateParams)| {
        by.issue(&["localhost"], |params| {
            for_purpose(params);
            change(params);
        })
    };
    let unchanged: fn(&mut CertificateParams) = |_| {};

    let ours = Authority::new("ours");
    let mut all = Vec::new();
    let mut add = |kind, presented, root: String, fault, remedy, alert| {
        let expected = match role {
            Role::Client => TlsError::ServerCertificate(fault),
            Role::Server => TlsError::ClientCertificate(fault),
        };
        all.push(Bad { kind, presented, root, expected, remedy, alert: Some(alert) });
    };
    let root = || ours.pem();

    add("expired", key(&issued(&ours, expired)), root(), F::Expired, "it must be renewed", 45);
    add("not yet valid", key(&issued(&ours, not_yet_valid)), root(), F::NotYetValid, "clock", 45);
    if is_client {
        let presented = ours.issue(&["example.com", "192.0.2.7"], unchanged);
        let names = ["example.com", "192.0.2.7"].map(String::from).into();
        let fault = F::WrongName(NameMismatch { expected: "localhost".into(), presented: names }.into());
        add("wrong name", key(&presented), root(), fault, "set server_name", 42);
    }
    let other = Authority::new("other");
    let remedy = for_role("\"other\"); add the root with add_roots", "its root to client_certificates");
    let fault = F::NotTrusted { issuer: "other".into() };
    add("unknown authority", key(&issued(&other, unchanged)), root(), fault, remedy, 48);
    let middle = ours.intermediate("middle", unchanged);
    let fault = F::NotTrusted { issuer: "middle".into() };
    add("unknown issuer", key(&issued(&middle, unchanged)), root(), fault, "(its issuer is \"middle\")", 48);
    let presented = key(&issued(&middle, |params| params.custom_extensions.push(place_of_issuer())));
    let fault = F::IncompleteChain { issuer: "middle".into() };
    let remedy = for_role("chain that the server loads", "chain that the client loads");
    add("without its intermediate", presented, root(), fault, remedy, 48);
    let presented = self_signed(&["localhost"], for_purpose);
    let remedy = for_role("pin its key, or add it with add_roots", "let a root of client_certificates issue");
    add("self-signed", key(&presented), root(), F::SelfSigned, remedy, 48);
    let mut anew = [(); 2].map(|()| self_signed(&["localhost"], for_purpose));
    add("self-signed anew", key(&anew[0]), std::mem::take(&mut anew[1][0]), F::SelfSigned, remedy, 48);
    add("of a CA", key(&ours.itself()), root(), F::CaCertificate, "CA:FALSE", 46);

    let purpose = |params: &mut CertificateParams| params.extended_key_usages = vec![wrong.clone()];
    let presented = key(&ours.issue(&["localhost"], purpose));
    add("wrong purpose", presented, root(), F::WrongPurpose, for_role("serverAuth", "clientAuth"), 43);

    let constrained = Authority::constrained_to("ours", "example.com");
    let presented = key(&issued(&constrained, unchanged));
    add("name not permitted", presented, constrained.pem(), F::NameNotPermitted, "leave that name out", 46);
    let last = ours.intermediate("last", |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let beyond = last.intermediate("beyond", unchanged);
    let presented = behind(&issued(&beyond, unchanged), &[&beyond.pem(), &last.pem()]);
    add("chain too long", presented, root(), F::ChainNotPermitted, "let a CA above it", 46);
    let no_ca = ours.intermediate("no CA", |params| params.is_ca = IsCa::ExplicitNoCa);
    let presented = behind(&issued(&no_ca, unchanged), &[&no_ca.pem()]);
    add("issuer that is no CA", presented, root(), F::ChainNotPermitted, "is no CA", 46);

    let anew = Authority::new("ours");
    let remedy = for_role("replace the root in add_roots, or pin", "replace the root in client_certificates");
    add("signed by another key", key(&issued(&anew, unchanged)), root(), F::BadSignature, remedy, 42);
    let [chain, _] = issued(&ours, unchanged);
    let [_, other_key] = issued(&ours, unchanged);
    let presented = key(&[chain, other_key]);
    add("with another key", presented, root(), F::KeyNotProven, "may not belong together", 51);

    let weak = || F::WeakAlgorithm("RSA of 1024 bits".into());
    let remedy = "2048 bits or more";
    let mut params = leaf(&["localhost"], for_purpose);
    let certificate = params.signed_by(&Rsa::of(1024), ours.issuer()).unwrap();
    let presented = CertifiedKey::new(vec![certificate.into()], Arc::new(Rsa::of(1024)));
    add("weak key", presented.into(), root(), weak(), remedy, 51);
    let (issuer, certificate) = rsa_authority("weak root", 1024);
    add("weak root", signed(&params, &issuer), certificate, weak(), remedy, 43);
    let (issuer, certificate) = rsa_authority("root", 2048);
    let sha_1 = with_sha_1(&signed(&params, &issuer));
    let fault = F::WeakAlgorithm("a signature with SHA-1 and RSA".into());
    add("weak signature", sha_1, certificate, fault, "SHA-256", 43);

    let mut presented = (*key(&issued(&ours, unchanged))).clone();
    presented.cert = vec![vec![0x30, 3, 2, 1, 0].into()];
    add("malformed", presented.into(), root(), F::Malformed, "issued anew", 42);
    params.custom_extensions.push(unknown_and_critical());
    let new_key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&new_key, ours.issuer()).unwrap();
    let presented = key(&[certificate.pem(), new_key.serialize_pem()]);
    add("critical extension", presented, root(), F::CriticalExtension, "without that extension", 46);

    let mut presented = (*key(&issued(&ours, unchanged))).clone();
    presented.cert.clear();
    all.push(Bad {
        kind: "no certificate",
        presented: presented.into(),
        root: ours.pem(),
        expected: match role {
            Role::Client => TlsError::ServerCertificateMissing,
            Role::Server => TlsError::ClientCertificateMissing,
        },
        remedy: for_role("configured with one", "set one with identity"),
        // rustls sends none for a server without one.
        alert: (!is_client).then_some(116),
    });
    all
}

/// A chain and a key in PEM, which need not belong together.
fn key([chain, key]: &[String; 2]) -> Arc<CertifiedKey> {
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
    Arc::new(CertifiedKey::new(chain, key))
}

/// A certificate with others behind it.
fn behind([own, private]: &[String; 2], others: &[&str]) -> Arc<CertifiedKey> {
    key(&[[own.as_str()].iter().chain(others).copied().collect(), private.clone()])
}

fn place_of_issuer() -> CustomExtension {
    // One access description (RFC 5280 §4.2.2.1): caIssuers, http://ca/
    let url = b"http://ca/";
    let mut content = vec![0x30, 22, 0x30, 20, 6, 8, 0x2b, 6, 1, 5, 5, 7, 0x30, 2, 0x86, 10];
    content.extend_from_slice(url);
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], content)
}

fn unknown_and_critical() -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 32_473, 1], vec![5, 0]);
    extension.set_criticality(true);
    extension
}

/// A public key for RSA whose private half does not exist. Its signatures match nothing.
struct Rsa {
    bytes: usize,
    public: Vec<u8>,
}

impl Rsa {
    fn of(bits: usize) -> Self {
        let modulus = [&[0][..], &vec![0xc5; bits / 8]].concat();
        let number = |content: &[u8]| {
            let len = u16::try_from(content.len()).unwrap().to_be_bytes();
            [&[2, 0x82], &len[..], content].concat()
        };
        let numbers = [number(&modulus), vec![2, 3, 1, 0, 1]].concat();
        let len = u16::try_from(numbers.len()).unwrap().to_be_bytes();
        Self { bytes: bits / 8, public: [&[0x30, 0x82], &len[..], &numbers].concat() }
    }
}

impl PublicKeyData for Rsa {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

impl rcgen::SigningKey for Rsa {
    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(vec![1; self.bytes])
    }
}

impl std::fmt::Debug for Rsa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RSA of {} bytes", self.bytes)
    }
}

impl SigningKey for Rsa {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let is_offered = offered.contains(&SignatureScheme::RSA_PSS_SHA256);
        is_offered.then(|| Box::new(Self::of(self.bytes * 8)) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::RSA
    }
}

impl Signer for Rsa {
    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(vec![1; self.bytes])
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::RSA_PSS_SHA256
    }
}

/// An authority with such a key, and its certificate in PEM.
fn rsa_authority(name: &str, bits: usize) -> (Issuer<'static, Rsa>, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&Rsa::of(bits)).unwrap();
    (Issuer::new(params, Rsa::of(bits)), certificate.pem())
}

fn signed(params: &CertificateParams, issuer: &Issuer<'_, Rsa>) -> Arc<CertifiedKey> {
    let own = KeyPair::generate().unwrap();
    key(&[params.signed_by(&own, issuer).unwrap().pem(), own.serialize_pem()])
}

/// The certificate as if it were signed with SHA-1 and RSA: the last number of the algorithm is another.
fn with_sha_1(of: &CertifiedKey) -> Arc<CertifiedKey> {
    const SHA_256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11];
    let mut der = of.cert[0].to_vec();
    let places: Vec<_> =
        (0..der.len() - SHA_256.len()).filter(|at| der[*at..].starts_with(SHA_256)).collect();
    assert_eq!(places.len(), 2);
    for at in places {
        der[at + SHA_256.len() - 1] = 5;
    }
    Arc::new(CertifiedKey::new(vec![der.into()], of.key.clone()))
}
