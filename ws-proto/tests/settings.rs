//! Setters take effect, and getters report the actual state.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::sync::Arc;
use std::time::{Duration, SystemTime};
use ws_host::client::Backoff;
use ws_host::client::Reconnect;
use ws_kit::frames::*;
use ws_proto::{
    Access, ClientRequest, Config, Connection, Delivery, Event, Frame, Heartbeat, Message, Moment, Opcode,
    Role, WallClock,
};

#[test]
fn each_setter_changes_its_own_setting() {
    let second = Duration::from_secs;
    let wall = SystemTime::UNIX_EPOCH;
    let delivery = Delivery::Chunked { whole: 2 };
    let config = Config::server()
        .message_limit(1)
        .delivery(delivery)
        .body_limit(3)
        .frame_rate(Some(4))
        .message_rate(Some(5))
        .outbox(6, 7, 8)
        .handshake_timeout(second(9))
        .keep_alive(second(10))
        .answer_timeout(second(11))
        .close_timeout(second(12))
        .output_timeout(second(13))
        .heartbeat(Heartbeat::off())
        .report_all_closes(true)
        .wall_clock(WallClock::new(wall));
    assert_eq!(
        (config.get_message_limit(), config.get_delivery(), config.get_body_limit()),
        (1, delivery, 3)
    );
    assert_eq!((config.get_frame_rate(), config.get_message_rate()), (Some(4), Some(5)));
    assert_eq!((config.get_low_mark(), config.get_high_mark(), config.get_outbox_cap()), (6, 7, 8));
    let times = [
        config.get_handshake_timeout(),
        config.get_keep_alive(),
        config.get_answer_timeout(),
        config.get_close_timeout(),
    ];
    assert_eq!(times, [second(9), second(10), second(11), second(12)]);
    assert_eq!((config.get_output_timeout(), config.get_heartbeat()), (second(13), &Heartbeat::off()));
    assert!(config.get_report_all_closes());
    assert_eq!(config.get_wall_clock().and_then(WallClock::get), Some(wall));
}

#[test]
fn contradictory_marks_are_clamped_to_the_cap() {
    let config = Config::server().outbox(300, 200, 100);
    assert_eq!((config.get_low_mark(), config.get_high_mark(), config.get_outbox_cap()), (100, 100, 100));
}

/// The server's answer to a page of `origin` that reached it as `host`.
fn status(config: Config, host: &str, origin: &str) -> String {
    let now = Moment::from_nanos(1 << 60);
    let mut server = Connection::server(now, Arc::new(config), Default::default());
    let request = format!("POST / HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n\r\n");
    // The application drops the request, so it gets 503.
    drop(feed(&mut server, now, request.as_bytes()));
    while server.poll_event(now).is_some() {}
    String::from_utf8(take_output(&mut server, now)[9..12].to_vec()).unwrap()
}

#[test]
fn an_allowed_host_and_origin_are_accepted() {
    let (host, origin) = ("app.example", "https://www.example");
    assert_eq!(status(Config::server(), host, origin), "421");
    assert_eq!(status(Config::server().allow_host(host), host, origin), "403");
    assert_eq!(status(Config::server().allow_host(host).allow_origin(origin), host, origin), "503");
    let access = Access::default().allow_any_host().allow_any_origin();
    assert_eq!(status(Config::server().access(access), host, origin), "503");
}

#[test]
fn a_frame_exposes_its_parts() {
    let frame = Frame::raw(Opcode::Text, false, "part").unwrap();
    assert_eq!((frame.opcode(), frame.fin(), &frame.payload()[..]), (Opcode::Text, false, &b"part"[..]));
}

#[test]
fn text_is_text_and_bytes_are_not() {
    assert_eq!(Message::Text("a".into()).as_text(), Some("a"));
    assert_eq!(Message::Binary(b"a"[..].into()).as_text(), None);
}

#[test]
fn an_arriving_message_is_reported_until_it_ends() {
    let (mut server, now) = open(Role::Server, Config::server());
    for (bytes, is_inside) in [
        (frame(true, TEXT, b"a"), true),
        (frame(true, FIN | PING, b""), true),
        (frame(true, FIN | CONTINUATION, b"b"), false),
        (frame(true, FIN | TEXT, b"cd")[..7].to_vec(), true),
    ] {
        feed(&mut server, now, &bytes);
        assert_eq!(server.is_receiving_message(), is_inside);
    }
}

#[test]
fn an_upgrade_is_pending_until_it_is_decided() {
    let now = Moment::from_nanos(1 << 60);
    let mut server = Connection::server(now, Arc::new(Config::server()), Default::default());
    assert!(!server.http().is_upgrading());
    let mut client = Connection::client(
        now,
        Arc::new(Config::client()),
        ClientRequest::new("ws://localhost").unwrap(),
        [0; 32],
    );
    let request = take_output(&mut client, now);
    let Some(Event::Upgrade(upgrade)) = feed(&mut server, now, &request).pop() else { panic!("no upgrade") };
    assert!(server.http().is_upgrading());
    server.accept(now, upgrade).unwrap();
    assert!(!server.http().is_upgrading());
}

#[test]
fn a_client_does_not_show_its_keys_in_a_log() {
    let (client, _) = open(Role::Client { seed: [0xab; 32] }, Config::client());
    let shown = format!("{client:?}");
    assert!(shown.contains("Client(MaskingKeys)"), "only their existence: {shown}");
}

#[test]
fn a_long_lived_connection_resets_the_backoff() {
    let policy = Reconnect::default().reset_after(Duration::from_secs(7));
    let mut backoff = Backoff::default();
    for (lived, attempt) in [(6, 1), (7, 0)] {
        backoff.reset();
        backoff.next(&policy, 0).unwrap();
        backoff.connection_lasted(&policy, Duration::from_secs(lived));
        assert_eq!(backoff.attempt(), attempt, "{lived} s");
    }
}
