//! Servers with several tokens: they come, expire and go while it runs, and wrong ones are limited.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;

use common::*;
use std::time::{Duration, UNIX_EPOCH};
use ws_kit::claims::Claim;
use ws_server_mio::{CloseCode, Closed, Options, ServerConfig, Token, Tokens, Via};

fn token(n: u8) -> Token {
    Token::from_random([n; 16])
}

fn path(n: u8) -> String {
    format!("/?token={}", token(n).as_str())
}

fn status(rig: &mut Rig, path: &str, fields: &str) -> (u16, String) {
    let mut peer = rig.peer();
    let address = rig.address();
    peer.send(&with_fields(get(address, path), fields));
    let head = rig.head(&mut peer).to_lowercase();
    (head[9..12].parse().unwrap(), head)
}

#[test]
fn revoking_a_token_closes_on_request_the_websockets_that_came_by_it() {
    let tokens = Tokens::new();
    let (phone, tablet) = (tokens.add(token(1)), tokens.add(token(2)));
    let mut rig = Rig::new(ServerConfig::new().require_tokens(tokens.clone()));
    let (mut first, first_id) = rig.open(&path(1));
    let (mut second, _) = rig.open(&path(1));
    let (mut other, other_id) = rig.open(&path(2));
    assert_eq!(rig.endpoint.connections().token(first_id), Some(phone));
    assert_eq!(rig.endpoint.connections().token(other_id), Some(tablet));
    assert_eq!(rig.endpoint.connections().close_revoked(), 0);

    assert!(tokens.revoke(phone));
    assert_eq!(status(&mut rig, &path(1), "").0, 401);
    first.send(&frame(0x81, b"still"));
    assert_eq!(rig.frame(&mut first), (0x81, b"still".to_vec()), "open until it is closed");
    assert_eq!(rig.endpoint.connections().close_revoked(), 2);
    for peer in [&mut first, &mut second] {
        let (first, payload) = rig.frame(peer);
        assert_eq!((first, close_code(&payload), &payload[2..]), (CLOSE, 1008, &b"token revoked"[..]));
    }
    assert_eq!(rig.endpoint.connections().close_revoked(), 0, "once");
    other.send(&frame(0x81, b"here"));
    assert_eq!(rig.frame(&mut other), (0x81, b"here".to_vec()));
    let new = tokens.add(token(3));
    assert_eq!((status(&mut rig, &path(3), "").0, tokens.revoke(new)), (200, true));
    drop((first, second));
    let is_revoked = |closed: &&&Closed| closed.sent == Some(CloseCode::POLICY);
    rig.until("their ends", |rig| rig.app.closed().iter().filter(is_revoked).count() == 2);
    assert_eq!(rig.endpoint.connections().token(first_id), None);
}

#[test]
fn an_upgrade_that_is_undecided_ends_with_its_token() {
    let tokens = Tokens::new();
    let phone = tokens.add(token(1));
    let mut rig = Rig::new(ServerConfig::new().require_tokens(tokens.clone()));
    rig.app.hold = true;
    let (address, mut peer) = (rig.address(), rig.peer());
    peer.send(&handshake(address, &path(1)));
    rig.until("the upgrade", |rig| !rig.app.upgrades.is_empty());
    assert!(tokens.revoke(phone));
    assert_eq!(rig.endpoint.connections().close_revoked(), 1);
    let (id, upgrade) = rig.app.upgrades.pop().unwrap();
    assert!(rig.endpoint.connections().accept(id, upgrade).is_err());
    rig.end(&mut peer);
    assert!(peer.take_head().is_none());
    assert_eq!(rig.endpoint.connections().close_revoked(), 0, "once");
}

#[test]
fn a_token_expires_by_the_time_of_day() {
    let tokens = Tokens::new();
    let clock = Clock::default();
    let (start, time) = (clock.now(), clock.clone());
    let options = Options::default().clock(move || time.now());
    let time = clock.clone();
    let options = options.wall_clock(move || UNIX_EPOCH + time.now().duration_since(start));
    tokens.add_until(token(1), UNIX_EPOCH + Duration::from_secs(100));
    let mut rig = Rig::with(options, ServerConfig::new().require_tokens(tokens));
    let (mut peer, _) = rig.open(&path(1));
    clock.pass(Duration::from_secs(98));
    assert_eq!(status(&mut rig, &path(1), "").0, 200);
    assert_eq!(rig.endpoint.connections().close_revoked(), 0);
    clock.pass(Duration::from_secs(3));
    assert_eq!(status(&mut rig, &path(1), "").0, 401);
    assert_eq!(rig.endpoint.connections().close_revoked(), 1);
    assert_eq!(close_code(&rig.frame(&mut peer).1), 1008);
}

#[test]
fn wrong_tokens_of_an_address_are_limited_and_right_ones_behind_it_pass() {
    let clock = Clock::default();
    let config = ServerConfig::new().require_token(token(1)).trust_proxy(["127.0.0.1"], Via::Forwarded);
    let config = config.allow_host("app.example").report_all_closes(true);
    let mut rig = Rig::with(clock.on(Options::default()), config);
    let nat = Claim::Forwarded.fields_of("192.0.2.1");
    for _ in 0..10 {
        assert_eq!(status(&mut rig, &path(2), &nat).0, 401);
    }
    clock.pass(Duration::from_secs(20));
    let (code, head) = status(&mut rig, &path(2), &nat);
    assert!(code == 429 && head.contains("retry-after: 40\r\n"), "{head}");
    rig.until("the ends", |rig| rig.app.closed().len() == 11);
    let end = rig.app.closed().last().unwrap().to_string();
    assert!(end.contains("too many wrong tokens"), "{end}");
    for _ in 0..20 {
        assert_eq!(status(&mut rig, &path(1), &nat).0, 200, "another user behind the same address");
    }
    assert_eq!(status(&mut rig, "/", &nat).0, 401, "no token is no guess");
    assert_eq!(status(&mut rig, &path(2), &Claim::Forwarded.fields_of("192.0.2.2")).0, 401);
    clock.pass(Duration::from_secs(40));
    assert_eq!(status(&mut rig, &path(2), &nat).0, 401);
}
