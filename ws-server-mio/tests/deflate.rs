//! Compression between servers and clients of one endpoint.
#![cfg(feature = "deflate")]
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;
use common::clients::*;
use ws_server_mio::{Bind, ClientConfig, Deflate, Frame, Options, ServerConfig};

fn rig(deflate: Deflate) -> Both {
    Both::with(Bind::localhost(), Options::default(), ServerConfig::new().deflate(deflate))
}

/// It shrinks to a hundredth.
fn document() -> String {
    "{\"some\": \"json\", \"of\": \"many lines\"}\n".repeat(1000)
}

#[test]
fn both_ends_know_what_was_negotiated() {
    let mut rig = rig(Deflate::new().context_takeover(false).window_bits(12));
    let url = rig.url("/");
    let client =
        rig.connections().connect(url.as_str(), ClientConfig::new().deflate(Deflate::new())).unwrap();
    let ours = rig.opened(client);
    let theirs = rig.events.accepted.pop().unwrap();
    let (client, server) =
        (rig.connections().negotiated(ours).compression, rig.connections().negotiated(theirs).compression);
    let (client, server) = (client.unwrap(), server.unwrap());
    assert_eq!((server.ours.context_takeover, server.ours.window_bits), (false, 12));
    assert!(server.theirs.context_takeover);
    assert_eq!((client.ours, client.theirs), (server.theirs, server.ours));
    rig.connections().terminate(ours);
    assert_eq!(rig.connections().negotiated(ours).compression, None);
}

#[test]
fn compressed_messages_arrive_unchanged() {
    let mut rig = rig(Deflate::new());
    let url = rig.url("/");
    let client =
        rig.connections().connect(url.as_str(), ClientConfig::new().deflate(Deflate::new())).unwrap();
    let id = rig.opened(client);
    let document = document();
    for _ in 0..3 {
        rig.connections().send(id, document.as_str()).unwrap();
        assert!(rig.connections().queued(id) < document.len() / 50);
        assert_eq!(rig.text(id), document);
    }
}

#[test]
fn a_broadcast_reaches_peers_with_and_without_compression() {
    let mut rig = rig(Deflate::new());
    let url = rig.url("/");
    let configs = [
        ClientConfig::new().deflate(Deflate::new()),
        ClientConfig::new().deflate(Deflate::chat()),
        ClientConfig::new(),
    ];
    let ids = configs.map(|config| {
        let client = rig.connections().connect(url.as_str(), config).unwrap();
        let id = rig.opened(client);
        // Something that a context remembers.
        rig.connections().send(id, document()).unwrap();
        assert_eq!(rig.text(id), document());
        id
    });
    let document = document().replace("json", "xml");
    assert_eq!(rig.connections().broadcast(&Frame::text(document.as_str())), 3);
    let queued: Vec<_> =
        rig.events.accepted.clone().into_iter().map(|id| rig.connections().queued(id)).collect();
    assert_eq!(queued.iter().filter(|queued| **queued < document.len() / 50).count(), 2, "{queued:?}");
    for id in ids {
        assert_eq!(rig.text(id), document);
        rig.connections().send(id, "and on it goes").unwrap();
        assert_eq!(rig.text(id), "and on it goes");
    }
}

#[test]
fn a_client_that_does_not_offer_it_stays_uncompressed() {
    let mut rig = rig(Deflate::new());
    let url = rig.url("/");
    let client = rig.connections().connect(url.as_str(), ClientConfig::new()).unwrap();
    let id = rig.opened(client);
    assert_eq!(rig.connections().negotiated(id).compression, None);
    rig.connections().send(id, document()).unwrap();
    assert!(rig.connections().queued(id) > document().len());
    assert_eq!(rig.text(id), document());
}
