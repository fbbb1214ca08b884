//! Unix sockets, zones, and additional origins.

use crate::access::authority::Authority;
use crate::access::tests::{BOTH, TCP, host, host_over, origin, origin_over};
use crate::access::transport::Transport;
use crate::access::{Access, InvalidAccess};

const UNIX: Transport = Transport { unix: true, ..TCP };

#[test]
fn empty_host_is_accepted_over_a_unix_socket() {
    let access = Access::default();
    for name in ["unix", "d", "my_socket", "d:80", "localhost", "UNIX.", "127.0.0.1", "a.localhost", "[::1]"]
    {
        assert!(host_over(&access, name, UNIX), "{name}");
    }
    for name in ["app.example", "a.b", "unix.d"] {
        assert!(!host_over(&access, name, UNIX), "{name}");
    }
    assert!(host_over(&access.clone().allow_host("app.example"), "app.example", UNIX));
    assert!(!host(&access, "unix") && !host(&access, "d"), "over TCP it is a name");
    let empty = Authority::empty();
    assert!(access.check_host(&empty, UNIX).is_ok() && access.check_host(&empty, TCP).is_err());
    let any = access.allow_any_origin().allow_null_origin().allow_file_origin();
    for origin in ["http://unix", "null", "file://", "", "http://"] {
        assert!(any.check_origin(origin, Some(&empty), UNIX).is_err(), "{origin:?}");
    }
    assert!(origin_over(&Access::default(), "http://unix", "unix", UNIX));
    assert!(!origin_over(&Access::default(), "http://d", "unix", UNIX));
}

#[test]
fn zone_is_not_part_of_the_host() {
    let access = Access::default();
    for name in ["[fe80::1%eth0]", "[fe80::1%25eth0]:9000", "[fe80::1%253]"] {
        assert!(host(&access, name), "{name}");
    }
    for (o, h) in [
        ("http://[fe80::1]:9000", "[fe80::1%25eth0]:9000"),
        ("http://[fe80::1%25eth0]:9000", "[fe80::1]:9000"),
        ("http://[fe80::1%eth0]:9000", "[fe80::1%253]:9000"),
    ] {
        assert!(origin(&access, o, h), "{o} at {h}");
    }
}

#[test]
fn only_listed_origins_are_allowed() {
    let access = Access::default()
        .allow_origin("https://App.example:443/")
        .allow_origin("tauri://localhost")
        .allow_origin("qrc://")
        .allow_origin("app://.");
    assert_eq!(access.check(), Ok(()));
    for o in ["https://app.example", "tauri://localhost", "qrc://", "QRC://", "app://."] {
        assert!(origin(&access, o, "localhost:1"), "{o}");
    }
    for o in [
        "http://app.example",
        "https://app.example:444",
        "https://sub.app.example",
        "null",
        "qrc:",
        "qrc:///",
        "qrc://a",
        "qrcs://",
        "app://",
        "app://a",
        "tauri://",
        "file://",
    ] {
        assert!(!origin(&access, o, "localhost:1"), "{o}");
    }
    assert!(origin(&access.allow_null_origin(), "null", "localhost:1"));
    assert!(origin(&Access::default().allow_any_origin(), "null", "localhost:1"));
}

#[test]
fn file_origin_and_null_origin_are_separate_rules() {
    let access = Access::default().allow_file_origin();
    assert_eq!(access.check(), Ok(()));
    assert!(origin(&access, "file://", "localhost") && origin(&access, "FILE://", "localhost"));
    for o in ["null", "file:///", "file:", "file://localhost", "file:///C:/a.html", "http://file", "files://"]
    {
        assert!(!origin(&access, o, "localhost"), "{o}");
    }
    assert!(!origin(&Access::default().allow_null_origin(), "file://", "localhost"));
}

#[test]
fn allowed_scheme_admits_every_host() {
    let access = Access::default().allow_scheme("Moz-Extension");
    assert_eq!(access.check(), Ok(()));
    for o in [
        "moz-extension://2c127fa4-62c7-7e4f-90e5-472b45eecfdc",
        "MOZ-EXTENSION://a",
        "moz-extension://",
        "moz-extension://a:80",
    ] {
        assert!(origin(&access, o, "localhost:1"), "{o}");
    }
    for o in [
        "moz-extensions://a",
        "moz://a",
        "moz-extension:",
        "moz-extension://a/b",
        "moz-extension://a b",
        "chrome-extension://a",
        "http://moz-extension",
    ] {
        assert!(!origin(&access, o, "localhost:1"), "{o}");
    }
}

#[test]
fn invalid_rule_suggests_a_fix() {
    let origin = |text: &str| Access::default().allow_origin(text).check().unwrap_err().to_string();
    let host = |text: &str| Access::default().allow_host(text).check().unwrap_err().to_string();
    for (error, hint) in [
        (origin("moz-extension://"), "allow_scheme"),
        (origin("moz-extension:"), "allow_scheme"),
        (origin("https://b\u{fc}cher.example"), "Punycode"),
        (origin("qrc:"), "://"),
        (origin("ws://localhost:5173"), "http or https"),
        (origin("https://app.example/page"), "without path"),
        (host("::1"), "brackets"),
    ] {
        assert!(error.contains(hint), "{error}");
    }
    let cors = crate::Cors::new().origin("moz-extension://").check().unwrap_err().to_string();
    assert!(cors.contains("identifier") && !cors.contains("allow_scheme"), "{cors}");
    assert_eq!(Access::default().allow_origin("moz-extension://a").check(), Ok(()));
}

#[test]
fn invalid_rules_are_remembered() {
    for text in [
        "",
        "null",
        "*",
        "file://",
        "file:///",
        "FILE://",
        "file:///home/a.html",
        "app.example",
        "http://",
        "https:///",
        "http:app.example",
        "https://app.example/page",
        "https://app.example//",
        "https://*.example",
        "https://a.example https://b.example",
        " https://a.example",
        "https://user@app.example",
        "https://app.example:99999",
        "https://app.example?a",
        "moz-extension://*",
        "moz-extension://",
        "Chrome-Extension:///",
        "https://.example",
        "https://a..example",
        "qrc:",
        "qrc:///",
        "qrc:///a",
        "qrc://:80",
        "://app.example",
        "1a://b",
        "ws://localhost:5173",
        "WSS://app.example",
        "ftp://app.example",
        "https://b\u{fc}cher.example",
    ] {
        let access = Access::default().allow_origin(text).allow_origin("https://fine.example");
        assert_eq!(access.check(), Err(InvalidAccess::Origin(text.to_owned())), "{text}");
        assert!(
            !origin(&access, text, "localhost:1") && origin(&access, "https://fine.example", "localhost")
        );
    }
    for text in [
        "",
        "*",
        "*.example",
        ".example",
        "a..b",
        "http://x",
        "x/",
        "a b",
        "user@x",
        "x:port",
        "b\u{fc}cher.example",
        "::1",
    ] {
        let error = InvalidAccess::Host(text.to_owned());
        assert_eq!(Access::default().allow_host(text).check(), Err(error), "{text}");
    }
    for text in [
        "",
        "http",
        "HTTPS",
        "ws",
        "wss",
        "file",
        "File",
        "ftp",
        "null",
        "blob",
        "Data",
        "*",
        "a:",
        "moz-extension://",
        "a b",
        "1a",
        "\u{fc}",
    ] {
        let error = InvalidAccess::Scheme(text.to_owned());
        assert_eq!(Access::default().allow_scheme(text).check(), Err(error), "{text}");
    }
    let two = Access::default().allow_host("*").allow_origin("null");
    assert_eq!(two.check(), Err(InvalidAccess::Host("*".to_owned())), "the first is reported");
}

#[test]
fn admits_agrees_with_the_engine() {
    let access = Access::default().allow_host("app.example").allow_origin("https://www.app.example");
    let status = |host: &str, origin, transport| {
        access.admits(host, origin, transport).map_err(|error| error.status().as_u16())
    };
    for (host, origin) in [
        ("app.example", None),
        ("app.example:8443", Some("https://app.example:8443")),
        ("127.0.0.1:8700", Some("http://localhost:8700")),
        ("localhost", Some("https://www.app.example")),
        ("[::1]:8700", Some("http://[::1]:8700")),
    ] {
        assert_eq!(status(host, origin, BOTH), Ok(()), "{origin:?} at {host}");
    }
    for (host, origin, expected) in [
        ("evil.example", None, 421),
        ("evil.example", Some("https://www.app.example"), 421),
        ("localhost", Some("https://app.example"), 403),
        ("localhost:8700", Some("http://localhost:8701"), 403),
        ("localhost", Some("null"), 403),
        ("localhost", Some(""), 403),
        ("", None, 400),
        ("a b", None, 400),
        ("user@localhost", None, 400),
    ] {
        assert_eq!(status(host, origin, BOTH), Err(expected), "{origin:?} at {host}");
    }
    let unix = Transport::unix();
    assert_eq!(status("", None, unix), Ok(()));
    assert_eq!(status("unix", None, unix), Ok(()));
    assert_eq!(status("", Some("https://www.app.example"), unix), Err(403));
    assert_eq!(status("localhost", Some("http://localhost"), TCP.secure(true)), Err(403));
}
