//! Servers that are connected to without a proxy.

use core::net::IpAddr;
use std::string::String;
use std::vec::Vec;

/// The elements of a `no_proxy` list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NoProxy(Vec<Element>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Element {
    All,
    /// In lower case, without dots at its ends: itself, and what is below it.
    Name(String),
    /// The addresses that share this many leading bits.
    Block(IpAddr, u32),
}

impl NoProxy {
    /// Parses a list. What can match nothing is skipped, as curl does.
    pub(super) fn new(list: &str) -> Self {
        let elements = list.split(|c: char| c == ',' || c.is_ascii_whitespace());
        Self(elements.filter(|element| !element.is_empty()).filter_map(Element::parse).collect())
    }

    /// Whether this host is connected to directly: a name, or an address without brackets.
    pub(super) fn matches(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let address = host.parse::<IpAddr>().ok();
        self.0.iter().any(|element| match (element, address) {
            (Element::All, _) => true,
            (Element::Name(name), None) => {
                host.strip_suffix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            (Element::Block(block, bits), Some(address)) => same_bits(*block, address, *bits),
            _ => false,
        })
    }
}

impl Element {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::All);
        }
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let bare = address.strip_prefix('[').and_then(|address| address.strip_suffix(']'));
        if let Ok(address) = bare.unwrap_or(address).parse::<IpAddr>() {
            let most = if address.is_ipv4() { 32 } else { 128 };
            let bits = match bits {
                Some(bits) => bits.parse().ok().filter(|bits| *bits <= most)?,
                None => most,
            };
            return Some(Self::Block(address, bits));
        }
        let name = text.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(text);
        let name = name.strip_prefix('.').unwrap_or(name);
        let name = name.strip_suffix('.').unwrap_or(name);
        (!name.is_empty()).then(|| Self::Name(name.to_ascii_lowercase()))
    }
}

fn same_bits(a: IpAddr, b: IpAddr, bits: u32) -> bool {
    let above = |a: u128, b: u128, length: u32| (a ^ b).checked_shr(length - bits).unwrap_or(0) == 0;
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => above(a.to_bits().into(), b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => above(a.to_bits(), b.to_bits(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_match_as_in_curl() {
        for (list, host, is_direct) in [
            ("a.example", "a.example", true),
            ("a.example", "A.Example.", true),
            ("A.EXAMPLE", "a.example", true),
            ("example", "a.example", true),
            (".example", "a.example", true),
            (".example", "example", true),
            ("example.", "a.example", true),
            ("*.example", "a.example", true),
            ("example", "an-example", false),
            ("b.a.example", "a.example", false),
            ("a*", "a.example", false),
            ("", "a.example", false),
            (" , ,, ", "a.example", false),
            (".", "a.example", false),
            ("*", "a.example", true),
            ("*", "::1", true),
            ("b,a.example", "a.example", true),
            ("b a.example", "a.example", true),
            ("b,\t a.example ,c", "a.example", true),
            ("a.example:80", "a.example", false),
            ("a.example/24", "a.example", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7:80", "192.0.2.7", false),
            ("2.7", "192.0.2.7", false),
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.128/25", "192.0.2.127", false),
            ("192.0.2.7/32", "192.0.2.7", true),
            ("192.0.2.7/33", "192.0.2.7", false),
            ("192.0.2.7/x", "192.0.2.7", false),
            ("0.0.0.0/0", "192.0.2.7", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("0.0.0.0/0", "a.example", false),
            ("::1", "::1", true),
            ("[::1]", "::1", true),
            ("[::1]:80", "::1", false),
            ("[::0:1]", "::1", true),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db9::1", true),
            ("::/128", "::1", false),
            ("::/129", "::", false),
        ] {
            assert_eq!(NoProxy::new(list).matches(host), is_direct, "{list:?} {host}");
        }
    }
}
