//! Claims of trusted proxies, and of their clients.

/// Names, kinds of claims, and claims.
pub(super) const CLAIMS: [(&str, u8, &[u8]); 14] = [
    ("haproxy_1", 0, b"PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\nGET / HTTP/1.1\r\n"),
    ("ipv6", 0, b"PROXY TCP6 2001:db8::1 ::1 56324 443\r\n"),
    ("unknown", 0, b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n"),
    ("haproxy_2", 0, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\x0a\0\0\x01\xdc\x04\x01\xbb\x16\x03"),
    ("tlvs", 0, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x12\xc0\0\x02\x01\x0a\0\0\x01\xdc\x04\x01\xbb\x04\0\x03abc"),
    ("local", 0, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0GET"),
    ("too_long", 0, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff"),
    ("missing", 0, b"PROPFIND / HTTP/1.1\r\n"),
    ("rfc_7239", 1, b"for=192.0.2.60;proto=http;by=203.0.113.43, for=\"[2001:db8:cafe::17]:4711\""),
    ("hidden", 1, b"for=_gazonk, for=unknown;by=_x, for=10.0.0.3"),
    ("open_quote", 1, b"for=\"192.0.2.60;proto=\\\"https"),
    ("escapes", 1, b"for=\"\\1\\92.0.2.60\";x=\"\\\\\\\"\", for=10.0.0.9:_a"),
    ("x_forwarded", 2, b"203.0.113.9, 192.0.2.1:443 ,10.0.0.2,,2001:db8::1, [2001:db8::1]:5"),
    ("x_garbage", 2, b"\", \\, for=, \xff, unknown"),
];
