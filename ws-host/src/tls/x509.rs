//! What an error says about a certificate: the names and the key in it (RFC 5280 §4.1). Nothing is decided by it.

use core::net::IpAddr;
use std::borrow::ToOwned;
use std::boxed::Box;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

const SEQUENCE: u8 = 0x30;
/// An [access method](https://www.rfc-editor.org/rfc/rfc5280#section-4.2.2.1): where the issuer's certificate is.
const CA_ISSUERS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 2];
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const ORGANIZATION: &[u8] = &[0x55, 4, 10];
/// The longest name that is shown, in characters.
const LONGEST: usize = 64;

/// A part of a certificate, and those before it.
pub(super) struct Parts<'a> {
    /// The encoded names: comparable.
    pub(super) issuer: &'a [u8],
    pub(super) subject: &'a [u8],
    /// The content of its `SubjectPublicKeyInfo`.
    pub(super) key: &'a [u8],
    der: &'a [u8],
}

impl<'a> Parts<'a> {
    /// `None` if it is malformed.
    pub(super) fn of(der: &'a [u8]) -> Option<Self> {
        let mut certificate = der;
        let mut certificate = tagged(&mut certificate, SEQUENCE)?;
        let mut tbs = tagged(&mut certificate, SEQUENCE)?;
        if tbs.first() == Some(&0xa0) {
            element(&mut tbs)?; // the version
        }
        let (_serial, _algorithm) = (element(&mut tbs)?, element(&mut tbs)?);
        let issuer = tagged(&mut tbs, SEQUENCE)?;
        let _validity = element(&mut tbs)?;
        let subject = tagged(&mut tbs, SEQUENCE)?;
        Some(Self { issuer, subject, key: tagged(&mut tbs, SEQUENCE)?, der })
    }

    pub(super) fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    /// Whether it says where the certificate of its issuer is, as those that an intermediate CA issues do.
    pub(super) fn names_place_of_issuer(&self) -> bool {
        self.der.windows(CA_ISSUERS.len()).any(|window| window == CA_ISSUERS)
    }
}

/// The common name in an encoded name, or else its organization; empty if it has neither.
pub(super) fn shown_name(name: &[u8]) -> Box<str> {
    let attribute = |of: &[u8]| {
        let mut sets = name;
        std::iter::from_fn(|| element(&mut sets)).find_map(|(_, mut set)| {
            let mut attribute = tagged(&mut set, SEQUENCE)?;
            let (_, kind) = element(&mut attribute)?;
            let (_, value) = element(&mut attribute)?;
            (kind == of).then(|| String::from_utf8_lossy(value).chars().take(LONGEST).collect::<String>())
        })
    };
    attribute(COMMON_NAME).or_else(|| attribute(ORGANIZATION)).unwrap_or_default().into()
}

/// A key for RSA that is too short or too long, by the content of its `SubjectPublicKeyInfo`. RFC 8446 leaves the
/// lengths open; the cryptography of rustls takes 2048 to 8192 bits.
pub(super) fn unsuitable_key(mut key: &[u8]) -> Option<Box<str>> {
    let mut algorithm = tagged(&mut key, SEQUENCE)?;
    if element(&mut algorithm)?.1 != RSA {
        return None;
    }
    let mut bits = tagged(&mut key, 3)?.get(1..)?; // after the count of unused bits
    let mut numbers = tagged(&mut bits, SEQUENCE)?;
    let modulus = tagged(&mut numbers, 2)?;
    let modulus = &modulus[modulus.iter().take_while(|byte| **byte == 0).count()..];
    let bits = modulus.len() * 8 - modulus.first()?.leading_zeros() as usize;
    (!(2048..=8192).contains(&bits)).then(|| format!("RSA of {bits} bits").into())
}

/// The name of a signature algorithm, by the content of its `AlgorithmIdentifier`, or its number.
pub(super) fn signature_name(mut algorithm: &[u8]) -> Box<str> {
    let oid = match element(&mut algorithm) {
        Some((6, oid)) => oid,
        _ => return "of an unknown kind".into(),
    };
    match oid {
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5] => "a signature with SHA-1 and RSA".into(),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4] => "a signature with MD5 and RSA".into(),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1] => "a signature with SHA-1 and ECDSA".into(),
        other => format!("the signature algorithm {}", dotted(other)).into(),
    }
}

/// An object identifier as numbers (X.690 §8.19).
fn dotted(oid: &[u8]) -> String {
    let mut numbers: Vec<u64> = Vec::new();
    let mut number = 0_u64;
    for byte in oid.iter().take(32) {
        number = number.saturating_mul(128).saturating_add(u64::from(byte & 0x7f));
        if byte & 0x80 == 0 {
            match numbers.is_empty() {
                true => numbers.extend([(number / 40).min(2), number - (number / 40).min(2) * 40]),
                false => numbers.push(number),
            }
            number = 0;
        }
    }
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(".")
}

/// The content of the next element, which has this tag.
fn tagged<'a>(input: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    element(input).filter(|(found, _)| *found == tag).map(|(_, content)| content)
}

/// Takes the next element: its tag and its content (X.690 §8.1).
fn element<'a>(input: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (tag, rest) = input.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (len, rest) = match *first {
        short @ ..0x80 => (usize::from(short), rest),
        long => {
            let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7f).min(4))?;
            (bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest)
        }
    };
    let (content, rest) = rest.split_at_checked(len)?;
    *input = rest;
    Some((*tag, content))
}

/// Removes the type from `DnsName("localhost")` and `IpAddress(127.0.0.1)`, as webpki writes them, and the control
/// characters, which must not reach a terminal.
pub(super) fn plain_name(name: &str) -> String {
    let inner = name.find('(').and_then(|at| name[at + 1..].strip_suffix(')')).unwrap_or(name);
    // It writes `0::1`; the standard library writes it as RFC 5952 asks for.
    if let Ok(ip) = inner.parse::<IpAddr>() {
        return ip.to_string();
    }
    inner.trim_matches('"').to_owned().chars().filter(|c| !c.is_control()).take(255).collect()
}
