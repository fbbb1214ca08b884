//! What a server counts of its connections.

use std::sync::Arc;
use ws_host::server::Stats;
use ws_proto::{Config, Connection, Moment, Role};

#[test]
fn the_bytes_of_each_connection_are_added() {
    let now = Moment::default();
    let mut server = Connection::upgraded(now, Arc::new(Config::server()), Role::Server);
    // A Ping with a mask of zeros.
    server.handle_input(now, &mut &mut [0x89, 0x80, 0, 0, 0, 0][..]);
    let mut stats = Stats::default();
    for _ in 0..2 {
        stats.add_bytes(&server);
    }
    assert_eq!((stats.bytes_in, stats.bytes_out), (2 * server.bytes_received(), 2 * server.bytes_sent()));
    assert_eq!((stats.bytes_in, stats.accepted, stats.open), (12, 0, 0));
}
