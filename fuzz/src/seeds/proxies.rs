//! Answers of proxies.

/// Names, kinds of proxies, and answers.
pub(super) const ANSWERS: [(&str, u8, &[u8]); 13] = [
    (
        "tinyproxy",
        0,
        b"HTTP/1.0 200 Connection established\r\nProxy-agent: tinyproxy/1.11.1\r\n\r\n\x16\x03\x03",
    ),
    ("squid", 1, b"HTTP/1.1 200 Connection established\r\n\r\n"),
    ("lf", 0, b"HTTP/1.0 200 OK\nVia: 1.0 proxy\n\nrest"),
    ("interim", 0, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
    (
        "challenge",
        0,
        b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"a, b\"\r\nProxy-Authenticate: NTLM\r\n\r\n",
    ),
    ("rejected", 1, b"HTTP/1.1 401 Unauthorized\r\n\r\n"),
    ("unavailable", 0, b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno"),
    ("tls", 0, b"\x15\x03\x03\x00\x02\x02\x0a"),
    ("socks", 2, b"\x05\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x38rest"),
    ("socks_name", 2, b"\x05\x00\x05\x00\x00\x03\x01a\x04\x38"),
    ("socks_login", 3, b"\x05\x02\x01\x00\x05\x00\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x04\x38"),
    ("socks_refused", 2, b"\x05\x00\x05\x05\x00\x01\0\0\0\0\0\0"),
    ("socks_none", 2, b"\x05\xff"),
];
