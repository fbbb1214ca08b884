//! What arrives is the same however the bytes are cut.

use crate::kit::{Pair, To, drain};
use ws_host::tls::{Opened, TlsVersion};

#[test]
fn a_handshake_and_messages_pass_in_cuts_of_every_size() {
    for cut in (1..40).chain([100, 517, 1000, 4096, 17_000]) {
        let mut pair = Pair::new();
        pair.cut = cut;
        assert_eq!(pair.run(), (Ok(()), Ok(())), "in cuts of {cut}");
        for to in [To::Server, To::Client] {
            let text = vec![cut as u8; 20_000];
            assert_eq!(pair.send(to, &[b"a", &text, b"z"]).0, [b"a", &text[..], b"z"].concat());
        }
        assert_eq!(pair.server.info().unwrap().version, TlsVersion::Tls13);
        assert_eq!(pair.server.info().unwrap().server_name.as_deref(), Some("localhost"));
        assert_eq!(pair.client.info().unwrap().peer_certificates.len(), 1);
    }
}

#[test]
fn small_slices_become_one_record_and_large_ones_as_few_as_possible() {
    let mut pair = Pair::open();
    for (slices, records) in [
        (vec![&b"head"[..], b"payload"], 1),
        (vec![&[1; 16_000][..], &[2; 384]], 1),
        (vec![&[1; 16_000][..], &[2; 385]], 2),
        (vec![&[3; 16_384][..]], 1),
        (vec![b"", &[4; 40_000][..], b"", b"end"], 3),
        (vec![&[5; 3][..]; 1000], 1),
    ] {
        let (plain, count) = pair.send(To::Client, &slices);
        assert_eq!(plain, slices.concat());
        assert_eq!(count, records, "{} slices of {} bytes", slices.len(), plain.len());
    }
}

#[test]
fn nothing_is_sealed_while_64_kib_wait() {
    let mut pair = Pair::open();
    let text = vec![7; 1 << 20];
    let sealed = pair.server.seal([&text[..]]).unwrap();
    assert_eq!(sealed, 64 << 10);
    assert_eq!(pair.server.seal([&text[..]]), Ok(0));
    let wire = pair.take(To::Server);
    assert_eq!(pair.deliver(To::Client, &wire).unwrap().len(), sealed);
    assert!(pair.server.seal([&text[..]]).unwrap() > 0);
}

#[test]
fn nothing_is_sealed_before_the_handshake_is_done() {
    let mut pair = Pair::new();
    let flight = pair.take(To::Client);
    assert_eq!(pair.client.seal([&b"early"[..]]), Ok(0));
    assert_eq!(pair.server.seal([&b"early"[..]]), Ok(0));
    assert!(pair.client.output().is_empty() && pair.server.output().is_empty());
    pair.deliver(To::Server, &flight).unwrap();
    assert_eq!(pair.run(), (Ok(()), Ok(())));
}

#[test]
fn kept_records_need_no_further_readiness() {
    let mut pair = Pair::open();
    for n in 0..3 {
        pair.client.seal([&[n; 100][..]]).unwrap();
    }
    let wire = pair.take(To::Client);
    pair.server.push(&wire);
    for n in 0..3 {
        assert!(pair.server.has_input());
        assert_eq!(pair.server.open(), Ok(Opened::Plaintext));
        assert_eq!(pair.server.open(), Ok(Opened::Plaintext), "the same one");
        assert_eq!(pair.server.plaintext(), [n; 100]);
        pair.server.consume(100);
    }
    assert_eq!(pair.server.open(), Ok(Opened::Starved));
    assert!(!pair.server.has_input());
}

#[test]
fn an_idle_stream_holds_only_its_session() {
    let mut pair = Pair::open();
    pair.send(To::Server, &[&[1; 30_000]]);
    for to in [To::Client, To::Server] {
        assert_eq!(pair.side(to).held(), 0);
    }
    assert_eq!(pair.send(To::Client, &[b"again"]).0, b"again");
    assert_eq!(drain(&mut pair.client), Ok(vec![]));
}
