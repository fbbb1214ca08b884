//! Incoming messages and their fragments; an extension sees them first.

use super::common::run;
use super::peer::*;
use super::transport::server_config;
use super::{App, Log, Seen, Witness, beside, local, open};
use ws_server_smol::Delivery;
use ws_server_smol::{AlreadyExtended, Message};

/// A text in three frames, as a client sends it.
fn in_three(peer: &mut Peer) {
    peer.send(&[frame(0x01, b"one "), frame(0x00, "zw\u{f6}".as_bytes()), frame(0x80, b" three")].concat());
}

#[test]
fn row_07_whole_messages_arrive_as_text_or_binary() {
    let (server, app) = (local(server_config()), App::default());
    run(beside(&server, async |http| app.handle(http).await, async {
        let (mut peer, id) = open(&server, "/").await;
        peer.send(&[frame(TEXT, "grüße".as_bytes()), frame(BINARY, &[0, 255]), frame(TEXT, b"")].concat());
        in_three(&mut peer);
        assert_eq!(peer.frame().await, (TEXT, "grüße".as_bytes().to_vec()));
        assert_eq!(peer.frame().await, (BINARY, vec![0, 255]));
        assert_eq!(peer.frame().await, (TEXT, Vec::new()));
        assert_eq!(peer.frame().await, (TEXT, "one zwö three".as_bytes().to_vec()), "fragments are joined");
        let expected: [Message<'_>; 4] = [
            Message::Text("grüße".into()),
            Message::Binary(vec![0, 255].into()),
            Message::Text("".into()),
            Message::Text("one zwö three".into()),
        ];
        let seen = app.seen.take().into_iter().map(|seen| match seen {
            Seen::Message(whose, message) if whose == id => message,
            other => panic!("{other:?}"),
        });
        assert_eq!(seen.collect::<Vec<_>>(), expected);
    }));
}

#[test]
fn row_08_chunked_delivery_delivers_fragments_as_they_arrive_and_unfragmented_messages_whole() {
    let server = local(server_config().delivery(Delivery::Chunked { whole: 1 << 20 }));
    let app = App::default();
    run(beside(&server, async |http| app.handle(http).await, async {
        let (mut peer, _) = open(&server, "/").await;
        in_three(&mut peer);
        peer.send(&[frame(TEXT, b"unfragmented"), frame(BINARY, &[7; 100_000])].concat());
        assert_eq!(peer.frame().await, (TEXT, b"unfragmented".to_vec()), "a whole message");
        assert_eq!(peer.frame().await, (BINARY, vec![7; 100_000]), "so is this");
        let seen = app.seen.take();
        let fragments: Vec<_> = seen
            .iter()
            .filter_map(|seen| match seen {
                Seen::Fragment(text, first, last) => Some((text.as_str(), *first, *last)),
                _ => None,
            })
            .collect();
        assert_eq!(fragments, [("one ", true, false), ("zwö", false, false), (" three", false, true)]);
        assert_eq!(seen.iter().filter(|seen| matches!(seen, Seen::Message(..))).count(), 2);
    }));
}

#[test]
fn row_09_an_extension_is_set_once_sees_messages_first_and_may_consume_them() {
    let (server, app) = (local(server_config()), App::default());
    let log = app.log.clone();
    server.set_extension(Witness(log.clone())).unwrap();
    assert_eq!(server.set_extension(Witness(Log::default())), Err(AlreadyExtended));
    run(beside(&server, async |http| app.handle(http).await, async {
        let (mut peer, _) = open(&server, "/").await;
        assert_eq!(log.take(), ["extension: open"]);
        peer.send(&[frame(TEXT, b"!mine"), frame(TEXT, b"yours")].concat());
        assert_eq!(peer.frame().await, (TEXT, b"kept".to_vec()));
        assert_eq!(peer.frame().await, (TEXT, b"yours".to_vec()));
        assert_eq!(log.take(), ["extension: message", "extension: message", "application: message"]);
        assert_eq!(server.set_extension(Witness(Log::default())), Err(AlreadyExtended));
    }));
}
