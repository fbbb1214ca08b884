//! Valid and invalid requests and answers.

use super::{HTTP, Setup};

/// §1.2 of RFC 6455, with a host that a server accepts by default.
const RFC_1_2: &str = "GET /chat HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://localhost\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n\r\n";

const CHROME: &str = "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:8700\r\nConnection: Upgrade\r\nPragma: no-cache\r\n\
    Cache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/126.0.0.0 Safari/537.36\r\nUpgrade: websocket\r\nOrigin: http://127.0.0.1:8700\r\n\
    Sec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n\
    Sec-WebSocket-Key: 1WmOfZmcFb8bcnXg0JB9+A==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

const FIREFOX: &str = "GET /ws HTTP/1.1\r\nHost: localhost:8700\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; \
    rv:127.0) Gecko/20100101 Firefox/127.0\r\nAccept: */*\r\nAccept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nSec-WebSocket-Version: 13\r\nOrigin: http://localhost:8700\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Key: PCKqnT1DP1vjBQCmVW4VHg==\r\nDNT: 1\r\n\
    Connection: keep-alive, Upgrade\r\nSec-Fetch-Dest: empty\r\nSec-Fetch-Mode: websocket\r\n\
    Sec-Fetch-Site: same-origin\r\nPragma: no-cache\r\nCache-Control: no-cache\r\nUpgrade: websocket\r\n\r\n";

const PYTHON: &str = "GET / HTTP/1.1\r\nHost: localhost:8700\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: m4Z3sRcmh1/HcTBqeEmY/A==\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
    User-Agent: Python/3.12 websockets/13.1\r\n\r\n";

const CURL: &str = "GET / HTTP/1.1\r\nHost: localhost:8700\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n";

fn masked(payload: &[u8]) -> Vec<u8> {
    super::frames::wire(true, &[super::frames::Part::Frame(0x81, payload.to_vec())])
}

/// `Sec-WebSocket-Extensions` of browsers and libraries, and values that violate its grammar.
pub(super) const EXTENSIONS: [(&str, &str); 9] = [
    ("chromium", "permessage-deflate; client_max_window_bits"),
    ("firefox", "permessage-deflate"),
    (
        "every_parameter",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; client_max_window_bits=11",
    ),
    ("quoted", "permessage-deflate; server_max_window_bits=\"1\\2\""),
    ("two_offers", "permessage-deflate; server_max_window_bits=8, permessage-deflate"),
    ("two_lines", "x-webkit-deflate-frame\nPermessage-Deflate;client_max_window_bits=15"),
    ("unknown_parameter", "permessage-deflate; fast"),
    ("twice", "permessage-deflate; client_no_context_takeover; client_no_context_takeover"),
    ("open_quote", "a; b=\"permessage-deflate, permessage-deflate"),
];

/// Requests: name, and input.
pub(super) fn requests() -> Vec<(&'static str, Vec<u8>)> {
    let get = |fields: &str| format!("GET / HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n").into_bytes();
    let post = |fields: &str| format!("POST /form HTTP/1.1\r\nHost: localhost\r\n{fields}").into_bytes();
    vec![
        ("rfc_1_2_handshake", [RFC_1_2.as_bytes(), &masked(b"Hello")].concat()),
        ("chrome", [CHROME.as_bytes(), &masked(b"hi"), &masked(b"again")].concat()),
        ("firefox", FIREFOX.into()),
        ("python_websockets", PYTHON.into()),
        ("curl_twice", CURL.repeat(2).into()),
        ("refused_by_its_target", RFC_1_2.replace("/chat", "/chat?refuse").repeat(2).into()),
        ("upgrade_that_is_a_post", RFC_1_2.replace("GET", "POST").into()),
        ("upgrade_of_version_8", RFC_1_2.replace("13\r\n", "8\r\n").into()),
        ("upgrade_without_a_good_key", RFC_1_2.replace("ZQ==", "ZR==").into()),
        ("upgrade_with_a_body", RFC_1_2.replace("Origin", "Content-Length: 1\r\nOrigin").into()),
        ("upgrade_from_elsewhere", RFC_1_2.replace("http://localhost", "https://evil.example").into()),
        (
            "upgrade_to_http_2",
            get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"),
        ),
        ("head", format!("HEAD{}", &CURL[3..]).into()),
        ("options_of_all", b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n".into()),
        ("a_target_with_a_host", b"GET http://127.0.0.1:80/a?b HTTP/1.1\r\nHost: localhost\r\n\r\n".into()),
        ("http_1_0", b"GET / HTTP/1.0\r\n\r\n".into()),
        ("http_1_0_kept_alive", b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".repeat(2)),
        ("http_1_9", b"GET / HTTP/1.9\r\nHost: a.localhost\r\n\r\n".into()),
        ("http_2_preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into()),
        ("a_hello_of_tls", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".into()),
        ("an_empty_line_before", [b"\r\n", CURL.as_bytes()].concat()),
        ("a_body_of_a_length", [post("Content-Length: 9\r\n\r\na=b&c=dd\n"), CURL.into()].concat()),
        (
            "a_body_in_chunks",
            [
                post("Transfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n6;x=y\r\n&c=dd\n\r\n0\r\nMD5: x\r\n\r\n"),
                CURL.into(),
            ]
            .concat(),
        ),
        ("a_body_that_waits_for_100", post("Expect: 100-continue\r\nContent-Length: 2\r\n\r\nok")),
        ("a_body_both_ways", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
        ("a_body_of_two_lengths", post("Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!")),
        ("a_body_too_long", post("Content-Length: 99999999999\r\n\r\n")),
        ("a_body_compressed", post("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")),
        ("a_chunk_that_lies", post("Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n")),
        ("a_chunk_too_long", post("Transfer-Encoding: chunked\r\n\r\nffffffff\r\n")),
        ("a_folded_field", get("X: a\r\n b\r\n")),
        ("a_space_before_the_colon", get("X : a\r\n")),
        ("a_line_feed_alone", b"GET / HTTP/1.1\nHost: localhost\n\n".into()),
        ("no_host", b"GET / HTTP/1.1\r\n\r\n".into()),
        ("two_hosts", get("Host: localhost\r\n")),
        ("a_host_of_others", b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n".into()),
        ("connect", b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n".into()),
        ("a_head_cut_off", CURL.as_bytes()[..40].into()),
        ("many_fields", get(&"F: g\r\n".repeat(99))),
        ("too_many_fields", get(&"F: g\r\n".repeat(100))),
        ("bytes_beyond_ascii", get("X: caf\u{e9}\r\nY:\t \r\n")),
    ]
}

/// Servers with unusual applications or configurations: name, configuration, script, input.
pub(super) fn conversations() -> Vec<(&'static str, Setup, &'static [u8], Vec<u8>)> {
    let upgrade = [RFC_1_2.as_bytes(), &masked(b"early"), &masked(b"late")].concat();
    let curls: Vec<u8> = CURL.repeat(3).into();
    let head_and_get = [b"HEAD", &CURL.as_bytes()[3..], CURL.as_bytes()].concat();
    vec![
        ("answers_that_are_late", HTTP, b"\x80\x02\x02\x02\x01\x80\x00", curls.clone()),
        ("answers_in_pieces", HTTP, b"\x00\x03\x04\x03", curls.clone()),
        ("an_answer_left_open", HTTP, b"\x00\x05\x80\x03\x80\x02", curls.clone()),
        ("an_answer_dropped_half_way", HTTP, b"\x00\x05\x80\x04", curls.clone()),
        ("requests_that_are_dropped", HTTP, b"\x00\x06", curls.clone()),
        ("large_answers", [0x20, 0, 0, 0], b"\x40\x07", curls.clone()),
        ("one_at_a_time", [0, 0x20, 0, 0], b"\x10\x02\x80\x01", curls.clone()),
        ("two_and_no_more", [0, 0xc0, 0, 0], b"", curls.clone()),
        ("small_heads", [0, 2, 0, 0], b"\x05", curls.clone()),
        (
            "small_bodies",
            [0, 8, 0, 0],
            b"",
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\n\r\n".into(),
        ),
        ("with_dates_and_to_head", [0, 0, 0x40, 0], b"\x00\x03\x00", head_and_get),
        ("an_upgrade_decided_late", HTTP, b"\x85\x04\x01\x80\x11", upgrade.clone()),
        ("an_upgrade_refused_in_pieces", HTTP, b"\x00\x07", upgrade.clone()),
        ("an_upgrade_never_decided", [0, 0, 0, 1], b"\x18\x06", upgrade.clone()),
        ("an_upgrade_with_a_subprotocol", HTTP, b"\x00\x08", upgrade.clone()),
        ("an_upgrade_behind_requests", HTTP, b"\x00\x02\x00\x00\x80\x00", [curls, upgrade].concat()),
        ("nothing_and_every_end_told", [0, 0, 0x10, 1], b"", Vec::new()),
        ("a_head_that_drips", [0, 0, 0, 1], b"\x1b", CURL.into()),
        (
            "echoes_under_small_limits",
            [0x25, 0x2a, 0x20, 0],
            b"\x45",
            [RFC_1_2.as_bytes(), &masked(b"0123456789"), &masked(b"abc")].concat(),
        ),
    ]
}

/// Server answers: name, and bytes. `accept` answers the client's key.
pub(super) fn answers(accept: &str) -> Vec<(&'static str, Vec<u8>)> {
    let hello = super::frames::wire(false, &[super::frames::Part::Frame(0x81, b"Hello".to_vec())]);
    let switch = |more: &str| {
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n{more}\r\n"
        )
    };
    let with = |head: &str, rest: &[u8]| [head.as_bytes(), rest].concat();
    vec![
        ("rfc_1_3_answer", with(&switch("Sec-WebSocket-Protocol: chat\r\n"), &hello)),
        ("accepted_without_a_subprotocol", with(&switch("Server: x\r\n"), b"\x88\x02\x03\xe8")),
        ("interim_answers_first", with(&format!("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n{}", switch("")), &hello)),
        ("accepted_without_a_reason", with(&switch("").replace(" Switching Protocols", ""), &hello)),
        ("an_accept_of_another_key", switch("").replace(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=").into()),
        ("an_accept_twice", switch(&format!("Sec-WebSocket-Accept: {accept}\r\n")).into()),
        ("an_extension_not_offered", switch("Sec-WebSocket-Extensions: x\r\n").into()),
        ("a_subprotocol_not_offered", switch("Sec-WebSocket-Protocol: soap\r\n").into()),
        ("an_upgrade_to_another", switch("").replace("websocket", "h2c").into()),
        ("accepted_in_http_1_0", switch("").replace("HTTP/1.1", "HTTP/1.0").into()),
        ("refused_with_a_length", b"HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\nget in".into()),
        ("refused_in_chunks", b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nthere\r\n3\r\n is\r\n0\r\n\r\n".into()),
        ("refused_until_the_end", b"HTTP/1.0 503 Busy\r\n\r\ncome back later".into()),
        ("refused_without_a_body", b"HTTP/1.1 204 No Content\r\n\r\n".into()),
        ("refused_compressed", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n\x1f\x8b".into()),
        ("redirected", b"HTTP/1.1 301 Moved Permanently\r\nLocation: ws://localhost/new\r\nContent-Length: 0\r\n\r\n".into()),
        ("two_lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".into()),
        ("interim_answers_without_end", b"HTTP/1.1 100 Continue\r\n\r\n".repeat(17)),
        ("not_http", b"SSH-2.0-OpenSSH_9.6\r\n".into()),
        ("cut_off", switch("").as_bytes()[..50].into()),
    ]
}
