//! What counts as one address.

use core::net::IpAddr;

/// One IPv6 host has a whole /64 (RFC 4291 §2.5.4); no such network is all zeros, as the upper half of an IPv4 key is.
pub(crate) fn address_key(ip: IpAddr) -> u64 {
    match ip.to_canonical() {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64,
    }
}
