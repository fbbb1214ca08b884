//! What a server counts of its connections.

use std::sync::Arc;
use ws_host::server::Stats;
use ws_proto::{Config, Connection, Moment, Role, Transport};

#[test]
fn the_bytes_of_each_connection_are_added() {
    let now = Moment::default();
    let mut server = Connection::upgraded(now, Arc::new(Config::server()), Role::Server);
    // A Ping with a mask of zeros.
    server.handle_input(now, &mut &mut [0x89, 0x80, 0, 0, 0, 0][..]);
    let mut stats = Stats::default();
    for _ in 0..2 {
        stats.add_connection(&server);
    }
    assert_eq!((stats.bytes_in, stats.bytes_out), (2 * server.bytes_received(), 2 * server.bytes_sent()));
    assert_eq!((stats.bytes_in, stats.accepted, stats.open), (12, 0, 0));
}

#[test]
fn a_peer_that_speaks_tls_to_a_server_without_it_is_counted() {
    let now = Moment::default();
    let end = |input: &[u8]| {
        let mut connection = Connection::server(now, Arc::new(Config::server()), Transport::default());
        connection.handle_input(now, &mut &mut input.to_vec()[..]);
        connection.handle_eof(now);
        let mut stats = Stats::default();
        stats.add_connection(&connection);
        stats.tls_failed
    };
    assert_eq!(end(b"\x16\x03\x01\x02\0"), 1);
    assert_eq!(end(b"\x15\x03\x01\x02\0"), 0, "no handshake");
    assert_eq!(end(b""), 0);
}
