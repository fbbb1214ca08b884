//! Incoming messages and their fragments; an extension sees them first.

use super::common::*;
use super::{Log, Witness};
use ws_proto::Delivery;
use ws_server_mio::{AlreadyExtended, ServerConfig};

/// A text in three frames, as a client sends it.
fn in_three(peer: &mut Peer) {
    peer.send(&[frame(0x01, b"one "), frame(0x00, "zw\u{f6}".as_bytes()), frame(0x80, b" three")].concat());
}

#[test]
fn row_07_whole_messages_arrive_as_text_or_binary() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, id) = rig.open("/");
    peer.send(&[frame(TEXT, "grüße".as_bytes()), frame(BINARY, &[0, 255]), frame(TEXT, b"")].concat());
    in_three(&mut peer);
    assert_eq!(rig.frame(&mut peer), (TEXT, "grüße".as_bytes().to_vec()));
    assert_eq!(rig.frame(&mut peer), (BINARY, vec![0, 255]));
    assert_eq!(rig.frame(&mut peer), (TEXT, Vec::new()));
    assert_eq!(rig.frame(&mut peer), (TEXT, "one zwö three".as_bytes().to_vec()), "fragments are joined");
    let seen = rig.app.seen.iter().filter(|seen| match seen {
        Seen::Text(whose, text) => *whose == id && ["grüße", "", "one zwö three"].contains(&text.as_str()),
        Seen::Binary(whose, data) => *whose == id && data[..] == [0, 255],
        _ => false,
    });
    assert_eq!(seen.count(), 4);
}

#[test]
fn row_08_chunked_delivery_delivers_fragments_as_they_arrive_and_unfragmented_messages_whole() {
    let mut rig = Rig::new(ServerConfig::new().delivery(Delivery::Chunked { whole: 1 << 20 }));
    let (mut peer, id) = rig.open("/");
    in_three(&mut peer);
    peer.send(&[frame(TEXT, b"unfragmented"), frame(BINARY, &[7; 100_000])].concat());
    assert_eq!(rig.frame(&mut peer), (TEXT, b"unfragmented".to_vec()), "a whole message");
    assert_eq!(rig.frame(&mut peer), (BINARY, vec![7; 100_000]), "so is this");
    let fragments: Vec<_> = rig
        .app
        .seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Fragment(whose, text, first, last) if *whose == id => Some((text.as_str(), *first, *last)),
            _ => None,
        })
        .collect();
    assert_eq!(fragments, [("one ", true, false), ("zwö", false, false), (" three", false, true)]);
    assert_eq!(rig.app.count(|seen| matches!(seen, Seen::Text(..))), 1);
    assert_eq!(rig.app.count(|seen| matches!(seen, Seen::Binary(..))), 1);
}

#[test]
fn row_09_an_extension_is_set_once_sees_messages_first_and_may_consume_them() {
    let mut rig = Rig::new(ServerConfig::new());
    let log = Log::default();
    rig.endpoint.connections().set_extension(Witness(log.clone())).unwrap();
    assert_eq!(rig.endpoint.connections().set_extension(Witness(Log::default())), Err(AlreadyExtended));
    log.watch(&mut rig.app);
    let (mut peer, _) = rig.open("/");
    log.take();
    peer.send(&[frame(TEXT, b"!mine"), frame(TEXT, b"yours")].concat());
    assert_eq!(rig.frame(&mut peer), (TEXT, b"kept".to_vec()));
    assert_eq!(rig.frame(&mut peer), (TEXT, b"yours".to_vec()));
    assert_eq!(log.take(), ["extension: message", "extension: message", "application: message"]);
    assert_eq!(rig.endpoint.connections().set_extension(Witness(Log::default())), Err(AlreadyExtended));
}
