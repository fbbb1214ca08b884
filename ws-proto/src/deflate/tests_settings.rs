//! Getters return what setters set.

use super::{CompressionHint, Deflate, Direction, PerMessage, Terms};
use crate::config::Config;
use alloc::sync::Arc;
use core::time::Duration;

#[test]
fn each_setter_changes_only_its_own_setting() {
    let settings = Deflate::new()
        .level(1)
        .memory_level(2)
        .threshold(3)
        .context_takeover(false)
        .window_bits(9)
        .peer_window_bits(10)
        .ratio_limit(Some(4))
        .inflate_rate(Some(5))
        .release_after(Duration::from_secs(6));
    assert_eq!((settings.get_level(), settings.get_memory_level(), settings.get_threshold()), (1, 2, 3));
    assert_eq!((settings.get_context_takeover(), settings.get_peer_context_takeover()), (false, true));
    assert_eq!((settings.get_window_bits(), settings.get_peer_window_bits()), (9, 10));
    assert_eq!((settings.get_ratio_limit(), settings.get_inflate_rate()), (Some(4), Some(5)));
    assert_eq!(settings.get_release_after(), Duration::from_secs(6));
    let other = Deflate::new().peer_context_takeover(false).ratio_limit(None).inflate_rate(None);
    assert_eq!((other.get_context_takeover(), other.get_peer_context_takeover()), (true, false));
    assert_eq!((other.get_ratio_limit(), other.get_inflate_rate()), (None, None));
}

#[test]
fn defaults_match_the_docs() {
    let settings = Deflate::default();
    assert_eq!((settings.get_level(), settings.get_memory_level(), settings.get_threshold()), (6, 6, 64));
    assert_eq!((settings.get_context_takeover(), settings.get_peer_context_takeover()), (true, true));
    assert_eq!((settings.get_window_bits(), settings.get_peer_window_bits()), (15, 15));
    assert_eq!((settings.get_ratio_limit(), settings.get_inflate_rate()), (None, Some(64 << 20)));
    assert_eq!(settings.get_release_after(), Duration::from_secs(30));
}

#[test]
fn out_of_range_settings_are_clamped() {
    let least = Deflate::new().level(0).memory_level(0).window_bits(0).peer_window_bits(0);
    assert_eq!((least.get_level(), least.get_memory_level()), (1, 1));
    assert_eq!((least.get_window_bits(), least.get_peer_window_bits()), (9, 8));
    let most = Deflate::new().level(10).memory_level(10).window_bits(16).peer_window_bits(16);
    assert_eq!((most.get_level(), most.get_memory_level()), (9, 9));
    assert_eq!((most.get_window_bits(), most.get_peer_window_bits()), (15, 15));
}

#[test]
fn config_returns_its_deflate_settings() {
    assert!(Config::server().get_deflate().is_none());
    let config = Config::client().deflate(Deflate::new().threshold(7)).deflate(Deflate::new().threshold(8));
    assert_eq!(config.get_deflate().map(Deflate::get_threshold), Some(8), "the last counts");
}

/// The size of a connection that negotiated compression and has not used it, as in the table of the docs.
#[test]
fn an_unused_connection_holds_eighty_bytes() {
    assert!(size_of::<PerMessage>() <= 80, "{}", size_of::<PerMessage>());
}

#[test]
fn hint_overrides_threshold_for_one_message() {
    let full = Direction { context_takeover: true, window_bits: 15 };
    let settings = Arc::new(Deflate::new().threshold(10));
    let by = |ours| PerMessage::new(Some(&settings), Terms { ours, theirs: full }).unwrap();
    let compresses = by(full);
    for (hint, len, want) in [
        (CompressionHint::ByLength, 9, false),
        (CompressionHint::ByLength, 10, true),
        (CompressionHint::With, 0, true),
        (CompressionHint::Without, 1000, false),
    ] {
        assert_eq!(compresses.compresses(hint, len), want, "{hint:?} {len}");
    }
    let smallest = by(Direction { window_bits: 8, ..full });
    assert!(!smallest.compresses(CompressionHint::With, 1000), "zlib has no such window");
    assert!(PerMessage::new(None, Terms { ours: full, theirs: full }).is_none());
}
