//! Reads what a certificate of ours says of its subject and its validity (RFC 5280 §4.1), and nothing else.

/// The parts of a certificate that decide about its renewal. Times are `YYYYMMDDHHMMSSZ`, so their order is that of
/// their text.
#[derive(Debug, PartialEq)]
pub(super) struct Facts {
    pub(super) common_name: String,
    pub(super) not_before: String,
    pub(super) not_after: String,
}

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `commonName`, 2.5.4.3 (RFC 5280 Appendix A.1).
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// The facts of a certificate; `None` if it is malformed, or its subject has no common name.
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
    let mut subject = sequence(&mut rest)?;
    while !subject.is_empty() {
        let (_, mut set) = element(&mut subject)?;
        let mut attribute = sequence(&mut set)?;
        let (_, kind) = element(&mut attribute)?;
        let (_, value) = element(&mut attribute)?;
        if kind == COMMON_NAME {
            let common_name = String::from_utf8(value.to_vec()).ok()?;
            return Some(Facts { common_name, not_before, not_after });
        }
    }
    None
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

/// A time with the year in four digits (§4.1.2.5).
fn time(der: &mut &[u8]) -> Option<String> {
    let (tag, digits) = element(der)?;
    let digits = str::from_utf8(digits).ok()?;
    let century = match (tag, digits.get(..2)?) {
        (GENERALIZED_TIME, _) => "",
        (UTC_TIME, year) if year >= "50" => "19",
        (UTC_TIME, _) => "20",
        _ => return None,
    };
    let time = [century, digits].concat();
    let is_whole = time.len() == 15 && time[..14].bytes().all(|c| c.is_ascii_digit()) && time.ends_with('Z');
    is_whole.then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

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
        for (years, begin, end) in [
            ([2026, 2027], "20260203000000Z", "20270203000000Z"),
            ([1999, 2049], "19990203000000Z", "20490203000000Z"),
            ([2049, 2050], "20490203000000Z", "20500203000000Z"),
        ] {
            let facts = facts(&certificate("Zoë's CA", years)).unwrap();
            assert_eq!(facts.common_name, "Zoë's CA");
            assert_eq!((&*facts.not_before, &*facts.not_after), (begin, end));
        }
        let long = "x".repeat(300);
        assert_eq!(facts(&certificate(&long, [2026, 2027])).unwrap().common_name, long);
    }

    #[test]
    fn no_bytes_panic() {
        let der = certificate("a CA", [2026, 2050]);
        for cut in 0..der.len() {
            let _ = facts(&der[..cut]);
            for byte in [0, 0x1f, 0x7f, 0x80, 0x83, 0x84, 0xff] {
                let mut changed = der.clone();
                changed[cut] = byte;
                let _ = facts(&changed);
            }
        }
        assert_eq!(facts(&[]), None);
    }
}
