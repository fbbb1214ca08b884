//! How a session ends, in each order.

use crate::kit::{Pair, To, drain};
use ws_host::tls::{Opened, TlsAlert, TlsError};

#[test]
fn a_close_notify_is_reported_once_data_before_it_is_consumed() {
    for to in [To::Client, To::Server] {
        let mut pair = Pair::open();
        let from = if to == To::Client { To::Server } else { To::Client };
        pair.side(from).seal([&b"last"[..]]).unwrap();
        pair.side(from).close();
        let wire = pair.take(from);
        pair.side(to).push(&wire);
        pair.side(to).push(b"what follows is ignored");
        assert_eq!(pair.side(to).open(), Ok(Opened::Plaintext));
        assert_eq!(pair.side(to).plaintext(), b"last");
        pair.side(to).consume(4);
        for _ in 0..3 {
            assert_eq!(pair.side(to).open(), Ok(Opened::Closed), "it stays closed");
        }
        assert!(!pair.side(to).has_input());
        assert_eq!(pair.side(to).end(), Ok(true));
        // The other direction goes on.
        assert_eq!(pair.send(from, &[b"still here"]).0, b"still here");
        pair.side(to).close();
        let wire = pair.take(to);
        assert_eq!(pair.deliver(from, &wire), Ok(vec![]));
        assert_eq!(pair.side(from).open(), Ok(Opened::Closed));
    }
}

#[test]
fn our_close_notify_is_sent_once_and_is_the_last() {
    let mut pair = Pair::open();
    pair.server.close();
    assert!(!pair.take(To::Server).is_empty());
    pair.server.close();
    assert_eq!(pair.server.seal([&b"late"[..]]), Ok(0));
    assert!(pair.server.output().is_empty());
}

#[test]
fn a_broken_record_after_our_close_notify_is_an_error_without_an_alert() {
    let mut pair = Pair::open();
    pair.server.close();
    pair.take(To::Server);
    assert_eq!(pair.send(To::Server, &[b"on its way"]).0, b"on its way");
    pair.client.seal([&b"broken"[..]]).unwrap();
    let mut wire = pair.take(To::Client);
    *wire.last_mut().unwrap() ^= 1;
    let error = pair.deliver(To::Server, &wire).unwrap_err();
    assert!(matches!(error, TlsError::Protocol(_)), "{error}");
    assert_eq!(pair.deliver(To::Server, b"more"), Err(error), "it stays");
    assert!(pair.server.output().is_empty(), "nothing follows a close_notify");
}

#[test]
fn eof_is_truncated_in_the_handshake_and_unannounced_later() {
    for has_hello in [false, true] {
        let mut pair = Pair::new();
        if has_hello {
            let flight = pair.take(To::Client);
            pair.deliver(To::Server, &flight).unwrap();
        }
        assert_eq!(pair.server.end(), Err(TlsError::Truncated));
        assert_eq!(pair.client.end(), Err(TlsError::Truncated));
    }
    let mut pair = Pair::open();
    assert_eq!((pair.client.end(), pair.server.end()), (Ok(false), Ok(false)));
}

#[test]
fn plain_http_is_named_and_gets_no_alert() {
    let request = [(To::Server, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), (To::Server, "P")];
    let response = [(To::Client, "HTTP/1.1 400 Bad Request\r\n\r\n"), (To::Client, "HTTP/")];
    for (to, text) in request.into_iter().chain(response) {
        let mut pair = Pair::new();
        pair.take(To::Client);
        for _ in 0..2 {
            assert_eq!(pair.deliver(to, text.as_bytes()), Err(TlsError::PlainHttp));
        }
        assert!(pair.side(to).output().is_empty());
    }
}

#[test]
fn a_server_that_speaks_neither_tls_nor_http_is_not_called_an_http_server() {
    for greeting in ["SSH-2.0-OpenSSH_9.2\r\n", "HELLO\r\n", "+OK\r\n"] {
        let mut pair = Pair::new();
        pair.take(To::Server);
        let error = pair.deliver(To::Client, greeting.as_bytes()).unwrap_err();
        assert!(matches!(error, TlsError::Protocol(_)), "{greeting:?}: {error}");
    }
}

#[test]
fn other_bytes_than_tls_get_one_alert() {
    for bytes in
        [&b"\x00\x01\x02\x03\x04\x05\x06"[..], b"ssh-2.0-x\r\n", &[0xff; 40], &[0x16, 3, 1, 0xff, 0xff, 0]]
    {
        let mut pair = Pair::new();
        pair.take(To::Client);
        let error = pair.deliver(To::Server, bytes).unwrap_err();
        assert!(matches!(error, TlsError::Protocol(_)), "{error}");
        assert_eq!(pair.take(To::Server).len(), 7, "one alert for {bytes:?}");
        assert_eq!(pair.deliver(To::Server, bytes), Err(error), "it stays");
        assert!(pair.take(To::Server).is_empty());
    }
}

#[test]
fn a_changed_byte_ends_the_session_with_one_alert_which_the_peer_understands() {
    let mut pair = Pair::open();
    pair.client.seal([&b"secret"[..]]).unwrap();
    let mut wire = pair.take(To::Client);
    *wire.last_mut().unwrap() ^= 1;
    let error = pair.deliver(To::Server, &wire).unwrap_err();
    assert!(matches!(error, TlsError::Protocol(_)), "{error}");
    let alert = pair.take(To::Server);
    assert_eq!(pair.deliver(To::Client, &alert), Err(TlsError::Alert(TlsAlert(20))));
    pair.server.close();
    assert!(pair.server.output().is_empty(), "nothing follows the alert");
}

#[test]
fn a_record_longer_than_allowed_is_rejected_by_its_header() {
    let mut pair = Pair::open();
    let error = pair.deliver(To::Server, &[0x17, 3, 3, 0x48, 0x01]).unwrap_err();
    assert!(matches!(error, TlsError::Protocol(_)), "{error}");
}

#[test]
fn what_an_unfinished_handshake_keeps_is_bounded() {
    // A ClientHello that declares 16 MiB, in full records.
    let mut pair = Pair::new();
    let mut record = vec![0x16, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff];
    record.resize(5 + 0x4000, 0);
    let mut sent = 0;
    while pair.deliver(To::Server, &record).is_ok() {
        sent += record.len();
        assert!(sent < 200_000, "{:?}", pair.server);
        record[5..9].fill(0);
    }
    assert!(pair.server.held() < 200_000);
    assert_eq!(drain(&mut pair.client), Ok(vec![]));
}

#[test]
fn the_beginning_of_a_record_waits_in_memory_of_its_own_size() {
    let mut pair = Pair::open();
    let message = vec![7; 5000];
    assert_eq!(pair.client.seal([&*message]).unwrap(), message.len());
    let wire = pair.take(To::Client);
    let mut plain = Vec::new();
    for part in wire.chunks(900) {
        pair.server.room()[..part.len()].copy_from_slice(part);
        pair.server.filled(part.len());
        plain.extend(drain(&mut pair.server).unwrap());
        let first = part == &wire[..900];
        // The socket has no more.
        pair.server.room();
        pair.server.filled(0);
        assert!(!first || pair.server.held() <= 900, "{}", pair.server.held());
    }
    assert_eq!(plain, message);
    assert_eq!(pair.server.held(), 0);
}

#[test]
fn a_failed_session_returns_its_error_to_reader_and_writer() {
    for to in [To::Client, To::Server] {
        let mut pair = Pair::new();
        for _ in 0..2 {
            let side = pair.side(to);
            assert_eq!(side.end(), Err(TlsError::Truncated));
            assert_eq!(side.open(), Err(TlsError::Truncated));
            // A writer without an error would wait for ever.
            assert_eq!(side.seal([&b"never"[..]]), Err(TlsError::Truncated));
        }
        let mut pair = Pair::open();
        let error = pair.deliver(to, &[0x17, 3, 3, 0x48, 0x01]).unwrap_err();
        assert_eq!(pair.side(to).seal([&b"never"[..]]), Err(error.clone()));
        assert_eq!(pair.side(to).end(), Err(error));
    }
}

#[test]
fn plain_http_is_named_however_it_is_cut() {
    for (text, is_http) in [("HTTP/1.1 400 Bad Request\r\n", true), ("Hello", false), ("HTTQ/1.1", false)] {
        for cut in 1..text.len() {
            let mut pair = Pair::new();
            pair.cut = cut;
            let error = pair.deliver(To::Client, text.as_bytes()).unwrap_err();
            assert_eq!(error == TlsError::PlainHttp, is_http, "{text:?} in parts of {cut}: {error}");
        }
    }
}
