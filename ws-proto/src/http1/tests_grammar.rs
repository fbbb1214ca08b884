//! The grammar of requests, and the answer to each fault.

use super::Incoming;
use super::tests_server::{GET, Rig};
use crate::config::Config;
use crate::error::Error;
use core::time::Duration;

/// Feeds one head, then a valid request; the answer must have this status, and nothing after it is read.
fn rejected(head: impl AsRef<[u8]>, status: u16) -> String {
    let head = head.as_ref();
    let shown = String::from_utf8_lossy(&head[..head.len().min(300)]).into_owned();
    let mut rig = Rig::new();
    if let Some(incoming) = rig.feed([head, GET.as_bytes()].concat()) {
        panic!("{shown:?} was taken as {incoming:?}");
    }
    assert!(rig.is_ending(), "{shown:?} was not rejected");
    let Some(Error::Request(error)) = rig.cause() else { panic!("{shown:?} without a cause") };
    assert_eq!(error.status().as_u16(), status, "{shown:?}: {error}");
    let output = rig.output();
    assert!(output.starts_with(&format!("HTTP/1.1 {status} ")), "{shown:?}: {output}");
    assert!(
        output.contains("\r\nConnection: close\r\n") || output.contains("\r\nConnection: Upgrade, close\r\n")
    );
    assert!(rig.feed(GET).is_none());
    assert!(rig.out.is_empty());
    output
}

/// Feeds one request, which must be accepted; returns its method, target and body.
fn taken(bytes: impl AsRef<[u8]>) -> (String, String, Vec<u8>) {
    let mut rig = Rig::new();
    let request = rig.request(bytes);
    (request.method().to_string(), request.uri().to_string(), request.body().to_vec())
}

#[test]
fn lines_end_with_cr_lf_only() {
    for head in [
        "GET / HTTP/1.1\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\n\n",
        "GET / HTTP/1.1\nHost: localhost\n\n",
        "\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\rHost: localhost\r\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nA: b\rC: d\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nA: b\r\r\n\r\n",
    ] {
        rejected(head, 400);
    }
}

#[test]
fn one_empty_line_before_a_request_is_tolerated() {
    taken(format!("\r\n{GET}"));
    rejected(format!("\r\n\r\n{GET}"), 400);
    rejected("\rGET / HTTP/1.1\r\n", 400);
}

#[test]
fn header_fields_are_strict() {
    for field in [
        " A: b",
        "\tA: b",
        "A: b\r\n folded: c",
        "A: b\r\n\tc",
        "A : b",
        "A\t: b",
        ": b",
        "A",
        "A B: c",
        "A(b): c",
        "\u{e9}: b",
        "A\0: b",
        "A: b\0",
        "A: b\u{1}c",
        "A: b\u{7f}c",
        "A: b\u{b}c",
    ] {
        rejected(format!("GET / HTTP/1.1\r\nHost: localhost\r\n{field}\r\n\r\n"), 400);
        rejected(format!("GET / HTTP/1.1\r\n{field}\r\nHost: localhost\r\n\r\n"), 400);
    }
    for field in ["A:", "A:b", "A: \t b \t", "A: b\tc", "A: \u{e9}", "A_b: c", "A: :", "Content_Length: 7"] {
        let (_, _, body) = taken(format!("GET / HTTP/1.1\r\nHost: localhost\r\n{field}\r\n\r\n"));
        assert!(body.is_empty());
    }
}

#[test]
fn the_request_line_is_strict() {
    for (line, status) in [
        ("GET  / HTTP/1.1", 400),
        ("GET /  HTTP/1.1", 400),
        ("GET\t/ HTTP/1.1", 400),
        (" GET / HTTP/1.1", 400),
        ("GET / HTTP/1.1 ", 400),
        ("GET / x HTTP/1.1", 400),
        ("GET HTTP/1.1", 400),
        ("GET /", 400),
        ("GET", 400),
        ("G@T / HTTP/1.1", 400),
        ("G\u{e9}T / HTTP/1.1", 400),
        ("GET /a#b HTTP/1.1", 400),
        ("GET /\u{e9} HTTP/1.1", 400),
        ("GET /\u{1} HTTP/1.1", 400),
        ("GET /\u{7f} HTTP/1.1", 400),
        ("GET * HTTP/1.1", 400),
        ("GET localhost HTTP/1.1", 400),
        ("GET localhost:80 HTTP/1.1", 400),
        ("GET ftp://localhost/ HTTP/1.1", 400),
        ("GET http:///x HTTP/1.1", 400),
        ("GET http://user@localhost/ HTTP/1.1", 400),
        ("CONNECT localhost:80 HTTP/1.1", 501),
        ("TRACE / HTTP/1.1", 501),
        ("GET / HTTP/2.0", 505),
        ("GET / HTTP/0.9", 505),
        ("PRI * HTTP/2.0", 505),
        ("GET / HTTP/1", 400),
        ("GET / HTTP/1.", 400),
        ("GET / HTTP/1.10", 400),
        ("GET / HTTP/01.01", 400),
        ("GET / http/1.1", 400),
        ("GET / HTTPS/1.1", 400),
        ("GET / HTTP/1,1", 400),
    ] {
        rejected(format!("{line}\r\nHost: localhost\r\n\r\n"), status);
    }
    rejected("\x15\x03\x01\x02\x00\x01\x00\x01", 400);
    for (line, method, target) in [
        ("GET / HTTP/1.1", "GET", "/"),
        ("get / HTTP/1.9", "get", "/"),
        ("OPTIONS * HTTP/1.1", "OPTIONS", "*"),
        ("M-SEARCH /a?b=c%20d HTTP/1.1", "M-SEARCH", "/a?b=c%20d"),
        ("GET //evil.example/x HTTP/1.1", "GET", "//evil.example/x"),
        ("GET HTTP://localhost:80/x HTTP/1.1", "GET", "http://localhost:80/x"),
    ] {
        let (m, t, _) = taken(format!("{line}\r\nHost: localhost\r\n\r\n"));
        assert_eq!((m.as_str(), t.as_str()), (method, target));
    }
}

#[test]
fn methods_and_targets_have_limits() {
    let head = |method: usize, target: usize| {
        format!("{} /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "M".repeat(method), "t".repeat(target - 1))
    };
    taken(head(32, 8000));
    taken(head(32, 8192));
    rejected(head(33, 1), 501);
    rejected(head(32, 8193), 414);
    rejected(head(3, 8193), 414);
    rejected(head(3, 20_000), 414);
    // Without waiting for the end of the line.
    rejected(format!("GET /{}", "t".repeat(9000)), 414);
}

#[test]
fn heads_have_limits() {
    let filled = |n: usize| format!("GET / HTTP/1.1\r\nHost: localhost\r\nA: {}\r\n\r\n", "b".repeat(n));
    let around = filled(0).len();
    taken(filled((32 << 10) - around));
    rejected(filled((32 << 10) - around + 1), 431);
    let fields = |n: usize| format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "A: b\r\n".repeat(n));
    taken(fields(99));
    rejected(fields(100), 431);
}

#[test]
fn exactly_one_host_is_required() {
    for fields in [
        "",
        "Host:\r\n",
        "Host: localhost\r\nHost: localhost\r\n",
        "Host: localhost, localhost\r\n",
        "Host: user@localhost\r\n",
        "Host: localhost/x\r\n",
        "Host: http://localhost\r\n",
        "Host: local host\r\n",
        "Host: localhost:port\r\n",
        "Host: \u{e9}\r\n",
    ] {
        rejected(format!("GET / HTTP/1.1\r\n{fields}\r\n"), 400);
    }
    taken("GET / HTTP/1.0\r\n\r\n");
    rejected("GET / HTTP/1.0\r\nHost: a, b\r\n\r\n", 400);
}

#[test]
fn foreign_host_is_answered_421() {
    let output = rejected("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421);
    assert!(!output.contains("evil"));
    rejected("GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 421);
    let mut rig = Rig::with(Config::server().allow_host("app.example"));
    let request = rig.request("GET http://app.example:81/ HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert_eq!(request.headers()["host"], "app.example:81");
}

#[test]
fn foreign_pages_may_not_change_anything() {
    let head = |method: &str, origin: &str| {
        format!(
            "{method} / HTTP/1.1\r\nHost: localhost:8080\r\nOrigin: {origin}\r\nContent-Length: 0\r\n\r\n"
        )
    };
    for method in ["POST", "PUT", "DELETE", "PATCH", "get"] {
        for origin in ["https://evil.example", "null", "http://localhost:3000", "\u{e9}"] {
            let output = rejected(head(method, origin), 403);
            assert!(!output.contains("evil"));
        }
        taken(head(method, "http://localhost:8080"));
    }
    for method in ["GET", "HEAD", "OPTIONS"] {
        taken(head(method, "https://evil.example"));
    }
    rejected("POST / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nOrigin: null\r\n\r\n", 400);
}

#[test]
fn content_length_is_digits_and_unique() {
    for value in [
        "",
        "+5",
        "-5",
        "0x5",
        "0o5",
        "5_0",
        "5 0",
        "5,5",
        "5, 5",
        "5;",
        "five",
        "5.0",
        "\u{665}",
        "9223372036854775808",
        "18446744073709551616",
        "99999999999999999999999999",
    ] {
        rejected(format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {value}\r\n\r\nhello"), 400);
    }
    for second in ["5", "6"] {
        rejected(
            format!(
                "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: {second}\r\n\r\nhello"
            ),
            400,
        );
    }
    for value in ["5", "05", " 5 ", "0000000000000000000000000005"] {
        let (_, _, body) =
            taken(format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {value}\r\n\r\nhello{GET}"));
        assert_eq!(body, b"hello");
    }
}

#[test]
fn only_one_chunked_transfer_coding_is_accepted() {
    for (fields, status) in [
        ("Transfer-Encoding: gzip", 501),
        ("Transfer-Encoding: gzip, chunked", 501),
        ("Transfer-Encoding: chunked, chunked", 501),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 501),
        ("Transfer-Encoding: chunked, identity", 501),
        ("Transfer-Encoding: identity", 501),
        ("Transfer-Encoding: xchunked", 501),
        ("Transfer-Encoding: chunked;q=1", 501),
        ("Transfer-Encoding: \"chunked\"", 501),
        ("Transfer-Encoding:", 501),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", 400),
        ("Content-Length: 0\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: identity\r\nContent-Length: 5", 400),
    ] {
        rejected(format!("POST / HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n0\r\n\r\n"), status);
    }
    rejected("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
    let (_, _, body) = taken(format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n{GET}"
    ));
    assert_eq!(body, b"hello");
}

#[test]
fn trailers_do_not_become_headers() {
    let mut rig = Rig::new();
    let request = rig.request(
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: evil.example\r\nX: y\r\n\r\n",
    );
    assert_eq!(request.headers()["host"], "localhost");
    assert!(!request.headers().contains_key("x"));
}

#[test]
fn bodies_have_a_limit() {
    rejected("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048577\r\n\r\n", 413);
    rejected("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9223372036854775807\r\n\r\n", 413);
    rejected("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n", 413);
    rejected("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\rhello", 400);
    rejected("GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048577\r\n\r\n", 413);
}

#[test]
fn get_body_is_not_parsed_as_a_request() {
    for method in ["GET", "HEAD", "OPTIONS"] {
        let mut rig = Rig::new();
        let smuggled = format!(
            "{method} /one HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{GET}GET /two HTTP/1.0\r\n\r\n",
            GET.len()
        );
        let one = rig.request(smuggled);
        let two = rig.request("");
        assert_eq!((one.path(), two.path()), ("/one", "/two"));
    }
}

#[test]
fn continue_is_sent_in_turn_for_an_awaited_body() {
    let post = "POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n";
    let mut rig = Rig::new();
    assert!(rig.feed(post).is_none());
    assert_eq!(rig.output(), "HTTP/1.1 100 Continue\r\n\r\n");
    let request = rig.request("hello");
    assert!(rig.feed(post).is_none());
    assert!(rig.out.is_empty(), "it would be taken for the answer to the first request");
    rig.ok(request, "");
    assert_eq!(rig.statuses(), [200, 100]);
    assert_eq!(&rig.request("world").body()[..], b"world");

    for quiet in [
        "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
        "POST / HTTP/1.0\r\nExpect: miracles\r\nContent-Length: 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\r\n",
    ] {
        let mut rig = Rig::new();
        let _kept = rig.request(quiet);
        assert!(rig.out.is_empty(), "{quiet}");
    }
    rejected("POST / HTTP/1.1\r\nHost: localhost\r\nExpect: miracles\r\nContent-Length: 5\r\n\r\n", 417);
    rejected(
        "POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 9999999\r\n\r\n",
        413,
    );
}

#[test]
fn head_request_fault_has_no_body() {
    let output = rejected("HEAD / HTTP/1.1\r\n\r\n", 400);
    assert!(output.ends_with("\r\n\r\n"), "{output}");
}

#[test]
fn requests_expose_their_parts() {
    let mut rig = Rig::new();
    let Some(Incoming::Request(request)) =
        rig.feed("PUT /a/b?c=d HTTP/1.1\r\nhost: localhost\r\nX: 1\r\nx: 2\r\nContent-Length: 2\r\n\r\nhi")
    else {
        panic!("no request");
    };
    assert_eq!(request.method(), "PUT");
    assert_eq!(request.path(), "/a/b");
    assert_eq!(request.query(), Some("c=d"));
    assert_eq!(request.headers().get_all("x").iter().count(), 2);
    assert_eq!(&request.body()[..], b"hi");
    assert_eq!(request.http().version(), ::http::Version::HTTP_11);
}

#[test]
fn maximum_durations_set_no_deadline() {
    let mut rig = Rig::with(
        Config::server()
            .handshake_timeout(Duration::MAX)
            .keep_alive(Duration::MAX)
            .answer_timeout(Duration::MAX),
    );
    assert!(rig.http.deadline(&rig.config, &rig.out).is_none());
    let request = rig.request(GET);
    assert!(rig.http.deadline(&rig.config, &rig.out).is_none());
    rig.ok(request, "");
    assert!(rig.http.deadline(&rig.config, &rig.out).is_none());
}
