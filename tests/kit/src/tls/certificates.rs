//! Certificates made for a test.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PKCS_ED25519, RevokedCertParams, SerialNumber, SignatureAlgorithm, date_time_ymd,
};

/// A root or an intermediate, and what it issues. Its keys and those that it issues are of one kind.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    keys: &'static SignatureAlgorithm,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        Self::root(name, &PKCS_ECDSA_P256_SHA256, |_| {})
    }

    /// One whose signatures all have the same length, so that a handshake has, too.
    pub fn of_fixed_length(name: &str) -> Self {
        Self::root(name, &PKCS_ED25519, |_| {})
    }

    /// One that issues for names below this domain only.
    pub fn constrained_to(name: &str, domain: &str) -> Self {
        Self::root(name, &PKCS_ECDSA_P256_SHA256, |params| {
            params.name_constraints = Some(rcgen::NameConstraints {
                permitted_subtrees: vec![rcgen::GeneralSubtree::DnsName(domain.to_owned())],
                excluded_subtrees: Vec::new(),
            });
        })
    }

    fn root(
        name: &str,
        keys: &'static SignatureAlgorithm,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let key = KeyPair::generate_for(keys).unwrap();
        Self { issuer: CertifiedIssuer::self_signed(authority(name, change), key).unwrap(), keys }
    }

    /// An authority that this one has issued.
    pub fn intermediate(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate_for(self.keys).unwrap();
        let issuer = CertifiedIssuer::signed_by(authority(name, change), key, &self.issuer).unwrap();
        Self { issuer, keys: self.keys }
    }

    pub(super) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate and its key in PEM.
    pub fn issue(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> [String; 2] {
        let key = KeyPair::generate_for(self.keys).unwrap();
        let certificate = leaf(names, change).signed_by(&key, &self.issuer).unwrap();
        [certificate.pem(), key.serialize_pem()]
    }

    /// The root used as the certificate of a server.
    pub fn itself(&self) -> [String; 2] {
        [self.issuer.pem(), self.issuer.key().serialize_pem()]
    }

    /// A list that revokes the certificate with this serial number, in DER.
    pub fn revoke(&self, serial: u64) -> Vec<u8> {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2025, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2025, 1, 1),
            next_update: date_time_ymd(4000, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().der().to_vec()
    }
}

fn authority(name: &str, change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    change(&mut params);
    params
}

pub(super) fn leaf(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params =
        CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
    params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    change(&mut params);
    params
}

/// A certificate that has signed itself, and its key.
pub fn self_signed(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> [String; 2] {
    let key = KeyPair::generate().unwrap();
    [leaf(names, change).self_signed(&key).unwrap().pem(), key.serialize_pem()]
}

pub fn expired(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2021, 1, 1);
}

pub fn not_yet_valid(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(4000, 1, 1);
}

pub fn for_clients(params: &mut CertificateParams) {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
}

/// The serial number by which it can be revoked.
pub fn numbered(serial: u64) -> impl FnOnce(&mut CertificateParams) {
    move |params| params.serial_number = Some(SerialNumber::from(serial))
}
