//! Reads the subject, the validity and the name constraints of a certificate of ours (RFC 5280 §4.1), and nothing else.

use core::time::Duration;
use rcgen::{CidrSubnet, GeneralSubtree};

/// The name of a certificate, when it is valid, and what it can certify. Times count from 1970.
#[derive(Debug, PartialEq)]
pub(super) struct Facts {
    pub(super) common_name: String,
    pub(super) not_before: Duration,
    pub(super) not_after: Duration,
    /// The permitted subtrees of its name constraints (§4.2.1.10); empty if it has none.
    pub(super) permitted: Vec<GeneralSubtree>,
}

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const EXTENSIONS: u8 = 0xa3;
const PERMITTED_SUBTREES: u8 = 0xa0;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;
/// `commonName`, 2.5.4.3 (RFC 5280 Appendix A.1).
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// `id-ce-nameConstraints`, 2.5.29.30.
const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x1e];

/// The facts of a certificate; `None` if it is malformed, its subject has no common name, or its name constraints are
/// of a kind that ours never are.
pub(super) fn facts(mut der: &[u8]) -> Option<Facts> {
    let mut certificate = sequence(&mut der)?;
    let mut rest = sequence(&mut certificate)?;
    if rest.first() == Some(&VERSION) {
        element(&mut rest)?;
    }
    for _ in ["serial number", "algorithm", "issuer"] {
        element(&mut rest)?;
    }
    let mut validity = sequence(&mut rest)?;
    let (not_before, not_after) = (time(&mut validity)?, time(&mut validity)?);
    let common_name = common_name(sequence(&mut rest)?)?;
    let mut permitted = Vec::new();
    while !rest.is_empty() {
        if let (EXTENSIONS, mut extensions) = element(&mut rest)? {
            permitted = permitted_subtrees(sequence(&mut extensions)?)?;
        }
    }
    Some(Facts { common_name, not_before, not_after, permitted })
}

fn common_name(mut subject: &[u8]) -> Option<String> {
    while !subject.is_empty() {
        let (_, mut set) = element(&mut subject)?;
        let mut attribute = sequence(&mut set)?;
        let (_, kind) = element(&mut attribute)?;
        let (_, value) = element(&mut attribute)?;
        if kind == COMMON_NAME {
            return String::from_utf8(value.to_vec()).ok();
        }
    }
    None
}

fn permitted_subtrees(mut extensions: &[u8]) -> Option<Vec<GeneralSubtree>> {
    while !extensions.is_empty() {
        let mut extension = sequence(&mut extensions)?;
        if element(&mut extension)?.1 != NAME_CONSTRAINTS {
            continue;
        }
        // The value is last: whether the extension is critical may precede it.
        let mut value = extension;
        while !extension.is_empty() {
            (_, value) = element(&mut extension)?;
        }
        let (PERMITTED_SUBTREES, mut subtrees) = element(&mut sequence(&mut value)?)? else { return None };
        let mut permitted = Vec::new();
        while !subtrees.is_empty() {
            let (tag, base) = element(&mut sequence(&mut subtrees)?)?;
            permitted.push(subtree(tag, base)?);
        }
        return Some(permitted);
    }
    Some(Vec::new())
}

fn subtree(tag: u8, base: &[u8]) -> Option<GeneralSubtree> {
    let (ip, mask) = base.split_at(base.len() / 2);
    match (tag, base.len()) {
        (DNS_NAME, _) => Some(GeneralSubtree::DnsName(String::from_utf8(base.to_vec()).ok()?)),
        (IP_ADDRESS, 8) => {
            Some(GeneralSubtree::IpAddress(CidrSubnet::V4(ip.try_into().ok()?, mask.try_into().ok()?)))
        }
        (IP_ADDRESS, 32) => {
            Some(GeneralSubtree::IpAddress(CidrSubnet::V6(ip.try_into().ok()?, mask.try_into().ok()?)))
        }
        _ => None,
    }
}

fn sequence<'a>(der: &mut &'a [u8]) -> Option<&'a [u8]> {
    element(der).filter(|(tag, _)| *tag == SEQUENCE).map(|(_, body)| body)
}

/// The next element: its tag and its content.
fn element<'a>(der: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let length = match first {
        0..=0x7f => usize::from(first),
        0x81..=0x83 => {
            let (bytes, behind) = rest.split_at_checked(usize::from(first & 0x7f))?;
            rest = behind;
            bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte))
        }
        _ => return None,
    };
    let (body, behind) = rest.split_at_checked(length)?;
    *der = behind;
    Some((tag, body))
}

/// A time in either form (§4.1.2.5): `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time(der: &mut &[u8]) -> Option<Duration> {
    let (tag, digits) = element(der)?;
    let digits = digits.strip_suffix(b"Z").filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let mut rest = digits.chunks_exact(2).map(|pair| u64::from(10 * (pair[0] - b'0') + (pair[1] - b'0')));
    let year = match (tag, digits.len()) {
        (GENERALIZED_TIME, 14) => 100 * rest.next()? + rest.next()?,
        (UTC_TIME, 12) => rest.next().map(|year| if year < 50 { 2000 + year } else { 1900 + year })?,
        _ => return None,
    };
    let (month, day) = (rest.next()?, rest.next()?);
    let (hour, minute, second) = (rest.next()?, rest.next()?, rest.next()?);
    let days = days_since_1970(year, month, day)?;
    Some(Duration::from_secs(((days * 24 + hour) * 60 + minute) * 60 + second))
}

/// The days from the first of January 1970 until this one, by the Gregorian calendar; 0 before 1970.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years that begin in March have their leap day at their end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.saturating_sub(1), month + 9) };
    let since_0000 = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    Some(since_0000.saturating_sub(719_468))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, NameConstraints, date_time_ymd};

    fn certificate(name: &str, years: [i32; 2]) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "an organization");
        params.distinguished_name.push(DnType::CommonName, name);
        [params.not_before, params.not_after] = years.map(|year| date_time_ymd(year, 2, 3));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn name_and_validity_are_read_in_either_form_of_time() {
        for years in [[2026, 2027], [1999, 2049], [2049, 2050], [2100, 9999]] {
            let facts = facts(&certificate("Zoë's CA", years)).unwrap();
            assert_eq!(facts.common_name, "Zoë's CA");
            let since_1970 = |year| {
                let seconds = date_time_ymd(year, 2, 3).unix_timestamp();
                Duration::from_secs(seconds.try_into().unwrap())
            };
            assert_eq!([facts.not_before, facts.not_after], years.map(since_1970));
        }
        let long = "x".repeat(300);
        assert_eq!(facts(&certificate(&long, [2026, 2027])).unwrap().common_name, long);
    }

    #[test]
    fn days_follow_the_calendar() {
        let mut at = date_time_ymd(1970, 1, 1);
        for days in 0..=50_000 {
            let (year, month, day) = (at.year().try_into().unwrap(), u8::from(at.month()), at.day());
            assert_eq!(days_since_1970(year, month.into(), day.into()), Some(days));
            at += Duration::from_secs(24 * 60 * 60);
        }
        assert_eq!(days_since_1970(1969, 12, 31), Some(0));
        assert_eq!(days_since_1970(0, 1, 1), Some(0));
        assert_eq!((days_since_1970(2026, 13, 1), days_since_1970(2026, 1, 0)), (None, None));
    }

    fn constrained(permitted_subtrees: Vec<GeneralSubtree>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn permitted_names_and_addresses_are_read() {
        let address = |ip: &str, prefix| {
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(ip.parse().unwrap(), prefix))
        };
        let all = vec![
            GeneralSubtree::DnsName("nas.lan".to_owned()),
            address("10.0.0.0", 8),
            address("100.64.0.1", 32),
            address("fe80::", 7),
        ];
        assert_eq!(facts(&constrained(all.clone())).unwrap().permitted, all);
        assert_eq!(facts(&certificate("a leaf", [2026, 2027])).unwrap().permitted, []);
        let mail = GeneralSubtree::Rfc822Name("example.org".to_owned());
        assert_eq!(facts(&constrained(vec![all[0].clone(), mail])), None);
    }

    #[test]
    fn no_bytes_panic() {
        for der in
            [certificate("a CA", [2026, 2050]), constrained(vec![GeneralSubtree::DnsName("lan".to_owned())])]
        {
            no_change_panics(&der);
        }
        assert_eq!(facts(&[]), None);
    }

    fn no_change_panics(der: &[u8]) {
        for cut in 0..der.len() {
            let _ = facts(&der[..cut]);
            for byte in [0, 0x1f, 0x7f, 0x80, 0x83, 0x84, 0xff] {
                let mut changed = der.to_vec();
                changed[cut] = byte;
                let _ = facts(&changed);
            }
        }
    }
}
