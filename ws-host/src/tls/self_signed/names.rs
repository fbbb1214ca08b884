//! The names of a certificate, and those that its CA permits.

use crate::tls::error::InvalidTls;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use rcgen::{CidrSubnet, GeneralSubtree, SanType};
use rustls::pki_types::ServerName;

/// A host name in lower case or an address, as a certificate has it.
pub(super) type Name = ServerName<'static>;

/// This machine: its name and its private addresses on the network.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    pub(super) name: Option<String>,
    pub(super) addresses: Vec<IpAddr>,
}

impl Machine {
    /// The machine that runs this.
    pub(super) fn this() -> Self {
        let name = gethostname::gethostname().to_str().map(str::to_lowercase);
        Self { name, addresses: crate::lan::private_ips() }
    }

    /// Its name, if a CA can permit it.
    pub(super) fn own_name(&self) -> Option<Name> {
        host(self.name.as_deref()?).ok().filter(can_be_permitted)
    }

    /// Its name for multicast DNS (RFC 6762 §3).
    pub(super) fn local_name(&self) -> Option<Name> {
        let label = self.name.as_deref()?.split('.').next()?;
        host(&[label, ".local"].concat()).ok()
    }
}

/// The names by which each machine calls itself.
pub(super) fn loopback() -> Vec<Name> {
    let addresses = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()].map(address);
    ServerName::try_from("localhost").into_iter().chain(addresses).collect()
}

pub(super) fn address(ip: IpAddr) -> Name {
    ServerName::IpAddress(ip.to_canonical().into())
}

/// A host name; an address in its text form is one too.
pub(super) fn host(name: &str) -> Result<Name, InvalidTls> {
    let lower = name.strip_suffix('.').unwrap_or(name).to_lowercase();
    match ServerName::try_from(lower) {
        Ok(ServerName::IpAddress(ip)) => Ok(address(ip.into())),
        Ok(name) => Ok(name),
        Err(_) => Err(InvalidTls::name(name)),
    }
}

/// Whether a CA may permit this name without also permitting domains of others. A constraint covers all names below it
/// (RFC 5280 §4.2.1.10), and a single label could be a top-level domain, unless it has a digit or a hyphen: those are
/// alphabetic (RFC 1123 §2.1), apart from internationalized ones.
pub(super) fn can_be_permitted(name: &Name) -> bool {
    let ServerName::DnsName(name) = name else { return true };
    let name = name.as_ref();
    name.contains('.')
        || ["localhost", "local"].contains(&name)
        || (!name.starts_with("xn--") && name.contains(|c: char| c.is_ascii_digit() || c == '-'))
}

/// What each local CA permits: this machine, multicast DNS, and the private, shared, loopback and link-local addresses
/// (RFC 1918, RFC 4193, RFC 6598, RFC 3927, RFC 4291 §2.4). The shared ones of 100.64/10 are no more routed on the
/// internet than private ones; overlay networks such as Tailscale have them. Names and addresses beyond them are added
/// one by one.
pub(super) fn permitted(further: &[Name]) -> Vec<GeneralSubtree> {
    let dns = |name: &str| GeneralSubtree::DnsName(name.to_owned());
    let subnet =
        |(ip, prefix): &(IpAddr, u8)| GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(*ip, *prefix));
    let mut subtrees = vec![dns("localhost"), dns("local")];
    let private = private_ranges();
    subtrees.extend(private.iter().map(subnet));
    for name in further {
        let subtree = match name {
            ServerName::DnsName(name) => match name.as_ref() {
                "localhost" | "local" => continue,
                name if [".localhost", ".local"].iter().any(|end| name.ends_with(end)) => continue,
                name => dns(name),
            },
            ServerName::IpAddress(ip) => {
                let ip = IpAddr::from(*ip);
                if private.iter().any(|(range, prefix)| contains(*range, *prefix, ip)) {
                    continue;
                }
                subnet(&(ip, if ip.is_ipv4() { 32 } else { 128 }))
            }
            _ => continue,
        };
        if !subtrees.contains(&subtree) {
            subtrees.push(subtree);
        }
    }
    subtrees
}

/// What a CA permits beyond what each local CA does, as text.
pub(super) fn beyond_all(permitted: &[GeneralSubtree]) -> Vec<String> {
    let always = self::permitted(&[]);
    permitted.iter().filter(|subtree| !always.contains(subtree)).filter_map(text).collect()
}

fn text(subtree: &GeneralSubtree) -> Option<String> {
    let (ip, bits, ones): (IpAddr, _, _) = match subtree {
        GeneralSubtree::DnsName(name) => return Some(name.clone()),
        GeneralSubtree::IpAddress(CidrSubnet::V4(ip, mask)) => {
            ((*ip).into(), 32, u32::from_be_bytes(*mask).count_ones())
        }
        GeneralSubtree::IpAddress(CidrSubnet::V6(ip, mask)) => {
            ((*ip).into(), 128, u128::from_be_bytes(*mask).count_ones())
        }
        _ => return None,
    };
    Some(if ones == bits { ip.to_string() } else { format!("{ip}/{ones}") })
}

/// Whether an address belongs to a private network or to this machine.
pub(super) fn is_private(ip: IpAddr) -> bool {
    private_ranges().iter().any(|(range, prefix)| contains(*range, *prefix, ip))
}

fn private_ranges() -> [(IpAddr, u8); 9] {
    [
        ([10, 0, 0, 0].into(), 8),
        ([172, 16, 0, 0].into(), 12),
        ([192, 168, 0, 0].into(), 16),
        ([100, 64, 0, 0].into(), 10),
        ([127, 0, 0, 0].into(), 8),
        ([169, 254, 0, 0].into(), 16),
        (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0).into(), 7),
        (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0).into(), 10),
        (Ipv6Addr::LOCALHOST.into(), 128),
    ]
}

fn contains(range: IpAddr, prefix: u8, ip: IpAddr) -> bool {
    // Both as numbers of 128 bits: the prefix of an IPv4 range is at their end.
    let (bits, range, ip) = match (range, ip) {
        (IpAddr::V4(range), IpAddr::V4(ip)) => (32, range.to_bits().into(), ip.to_bits().into()),
        (IpAddr::V6(range), IpAddr::V6(ip)) => (128, range.to_bits(), ip.to_bits()),
        _ => return false,
    };
    let different: u128 = range ^ ip;
    different.checked_shr(bits - u32::from(prefix)).unwrap_or(0) == 0
}

/// The name, if it is that of a host other than `localhost`.
pub(super) fn host_name(name: &Name) -> Option<String> {
    match name {
        ServerName::DnsName(name) if name.as_ref() != "localhost" => Some(name.as_ref().to_owned()),
        _ => None,
    }
}

/// The address, if it is one that the network may reach.
pub(super) fn network_address(name: &Name) -> Option<IpAddr> {
    match name {
        ServerName::IpAddress(ip) => Some(IpAddr::from(*ip)).filter(|ip| !ip.is_loopback()),
        _ => None,
    }
}

/// The name as a subjectAltName of a certificate.
pub(super) fn alternative(name: &Name) -> Option<SanType> {
    match name {
        ServerName::DnsName(name) => Some(SanType::DnsName(name.as_ref().try_into().ok()?)),
        ServerName::IpAddress(ip) => Some(SanType::IpAddress((*ip).into())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_that_could_be_a_top_level_domain_is_not_permitted() {
        for (name, can_be) in [
            ("dev", false),
            ("laptop", false),
            ("xn--p1ai", false),
            ("desktop-1a2b", true),
            ("nas1", true),
            ("box.lan", true),
            ("localhost", true),
        ] {
            assert_eq!(can_be_permitted(&host(name).unwrap()), can_be, "{name}");
            let machine = Machine { name: Some(name.to_owned()), addresses: Vec::new() };
            assert_eq!(machine.own_name().is_some(), can_be, "{name}");
        }
        let machine = Machine { name: Some("Laptop.corp.example".to_owned()), addresses: Vec::new() };
        assert_eq!(machine.local_name().unwrap().to_str(), "laptop.local");
        assert_eq!(machine.own_name().unwrap().to_str(), "laptop.corp.example");
        let unnamed = Machine { name: Some("it's mine".to_owned()), addresses: Vec::new() };
        assert_eq!((unnamed.own_name(), unnamed.local_name()), (None, None));
    }

    #[test]
    fn ranges_have_their_edges() {
        for (ip, is) in [
            ("9.255.255.255", false),
            ("10.0.0.0", true),
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("172.15.255.255", false),
            ("172.16.0.0", true),
            ("172.31.255.255", true),
            ("172.32.0.0", false),
            ("192.168.1.7", true),
            ("192.169.0.0", false),
            ("100.63.255.255", false),
            ("100.64.0.0", true),
            ("100.127.255.255", true),
            ("100.128.0.0", false),
            ("8.8.8.8", false),
            ("::1", true),
            ("::2", false),
            ("fd00::1", true),
            ("fe00::1", false),
            ("fe80::1", true),
            ("febf::1", true),
            ("fec0::1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_private(ip.parse().unwrap()), is, "{ip}");
        }
    }

    #[test]
    fn only_what_lies_beyond_the_ranges_is_added_and_once() {
        let always = permitted(&[]).len();
        let further = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| host(name).unwrap()).collect();
            permitted(&names)[always..].to_vec()
        };
        assert_eq!(
            further(&["localhost", "a.localhost", "nas.local", "192.168.1.7", "100.64.3.4", "::1"]),
            []
        );
        let one = GeneralSubtree::IpAddress(CidrSubnet::V4([203, 0, 113, 1], [255; 4]));
        let expected = [GeneralSubtree::DnsName("nas.lan".to_owned()), one];
        assert_eq!(further(&["NAS.lan.", "nas.lan", "203.0.113.1"]), expected);
        let all = permitted(&[host("nas.lan").unwrap(), host("203.0.113.1").unwrap()]);
        assert_eq!(beyond_all(&all), ["nas.lan", "203.0.113.1"]);
        let range = GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix([8, 0, 0, 0].into(), 7));
        assert_eq!(beyond_all(&[range]), ["8.0.0.0/7"]);
    }
}
