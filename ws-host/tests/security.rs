//! SECURITY.md: its values match the code, and the tests that it names exist.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;
use ws_host::server::{Admission, ServerConfig};
use ws_host::topics::{LatestByKey, TopicError, Topics};
use ws_host::trusted_proxy::Via;
use ws_proto::{Config, Heartbeat, HeartbeatKind, Transport};

/// The root of the workspace; its files are read at run time, not compiled in.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// SECURITY.md.
fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| fs::read_to_string(root().join("SECURITY.md")).unwrap());
    &TEXT
}

fn section(title: &str) -> &'static str {
    let text = text().split(&format!("\n## {title}\n")).nth(1).unwrap_or_else(|| panic!("no {title}"));
    text.split("\n## ").next().unwrap()
}

/// The rows of the table in a section, without the header.
fn rows(title: &str) -> Vec<Vec<&'static str>> {
    let lines = section(title).lines().filter(|line| line.starts_with('|'));
    let rows = lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect());
    rows.skip(2).collect()
}

/// Every `[name](target)`.
fn links(text: &str) -> Vec<(&str, &str)> {
    let parts = text.split("](").collect::<Vec<_>>();
    let pairs = parts.windows(2).map(|two| {
        let name = two[0].rsplit('[').next().unwrap();
        (name, two[1].split(')').next().unwrap())
    });
    pairs.collect()
}

/// A number with thousands separators.
fn count(n: u64) -> String {
    let digits = n.to_string();
    let parts = digits.as_bytes().rchunks(3).rev().map(|part| std::str::from_utf8(part).unwrap());
    parts.collect::<Vec<_>>().join(",")
}

fn bytes(n: u64) -> String {
    match n {
        _ if n > 0 && n.is_multiple_of(1 << 30) => format!("{} GiB", n >> 30),
        _ if n > 0 && n.is_multiple_of(1 << 20) => format!("{} MiB", n >> 20),
        _ if n > 0 && n.is_multiple_of(1 << 10) => format!("{} KiB", n >> 10),
        _ => format!("{n} B"),
    }
}

fn rate(per_second: Option<u64>) -> String {
    per_second.map_or("none".to_owned(), |n| format!("{} a second", count(n)))
}

fn time(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds > 60 && seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

/// The intervals have no getters, so compare whole values.
fn heartbeat(heartbeat: &Heartbeat) -> String {
    let (minutes, seconds) = (Duration::from_secs(30 * 60), Duration::from_secs(30));
    for (interval, kind) in
        [minutes, seconds].into_iter().flat_map(|i| [(i, HeartbeatKind::Ping), (i, HeartbeatKind::Pong)])
    {
        if *heartbeat == Heartbeat::frequent().kind(kind).idle(interval).pong_timeout(seconds) {
            return match kind {
                HeartbeatKind::Ping => {
                    format!("a Ping after {}, answered within {}", time(interval), time(seconds))
                }
                HeartbeatKind::Pong => format!("a Pong after {}", time(interval)),
            };
        }
    }
    panic!("{heartbeat:?}");
}

/// The default of each setting.
fn settings(config: &Config) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("message_limit", bytes(config.get_message_limit())),
        ("frame_rate", rate(config.get_frame_rate().map(u64::from))),
        ("message_rate", rate(config.get_message_rate().map(u64::from))),
        ("head_limit", bytes(config.get_head_limit() as u64)),
        ("header_limit", count(config.get_header_limit() as u64)),
        ("target_limit", bytes(config.get_target_limit() as u64)),
        ("body_limit", bytes(config.get_body_limit() as u64)),
        ("pipeline_limit", count(config.get_pipeline_limit() as u64)),
        ("request_limit", count(config.get_request_limit().into())),
        ("low_mark", bytes(config.get_low_mark() as u64)),
        ("high_mark", bytes(config.get_high_mark() as u64)),
        ("outbox_cap", bytes(config.get_outbox_cap() as u64)),
        ("drain_limit", bytes(config.get_drain_limit())),
        ("handshake_timeout", time(config.get_handshake_timeout())),
        ("keep_alive", time(config.get_keep_alive())),
        ("answer_timeout", time(config.get_answer_timeout())),
        ("close_timeout", time(config.get_close_timeout())),
        ("output_timeout", time(config.get_output_timeout())),
        ("min_output_rate", format!("{} a second", bytes(config.get_min_output_rate().into()))),
        ("heartbeat", heartbeat(config.get_heartbeat())),
    ])
}

fn of_the_server() -> BTreeMap<&'static str, String> {
    let mut settings = settings(&Config::server());
    let config = ServerConfig::default();
    let mut admission = Admission::new(&config);
    let handshakes =
        (0..).take_while(|_| !admission.at_handshake_limit() && admission.try_admit(None)).count();
    let trusting = ServerConfig::default().trust_proxy(["unix"], Via::ProxyProtocol);
    let header = Admission::new(&trusting).proxy_header_limit(Transport::unix()).unwrap();
    let mut topics = Topics::new();
    let most = (0..).take_while(|n| topics.subscribe((), &n.to_string()).is_ok()).count();
    let longest = match Topics::new().subscribe((), &"x".repeat(1 << 20)) {
        Err(TopicError::NameTooLong { limit }) => limit,
        other => panic!("{other:?}"),
    };
    let mut latest = LatestByKey::default();
    let keys = (0..).take_while(|n| latest.keep((), &n.to_string(), ())).count();
    settings.extend([
        ("max_connections", count(config.get_max_connections() as u64)),
        ("max_per_address", config.get_max_per_address().map_or("none".to_owned(), |n| count(n as u64))),
        ("max_handshakes", count(handshakes as u64)),
        ("memory_limit", config.get_memory_limit().map_or("none".to_owned(), |n| bytes(n as u64))),
        ("token_guesses", config.get_token_guesses().map_or("none".to_owned(), |n| format!("{n} a minute"))),
        ("proxy_header_limit", bytes(header as u64)),
        ("topics of a connection", count(most as u64)),
        ("a topic's name", bytes(longest as u64)),
        ("keys kept for a slow peer", count(keys as u64)),
    ]);
    settings
}

#[test]
fn limits_match_the_code() {
    let (server, client) = (of_the_server(), settings(&Config::client()));
    let rows = rows("Limits");
    for row in &rows {
        let [setting, of_server, of_client, _, held_by] = row[..] else { panic!("{row:?}") };
        let setting = setting.trim_matches('`');
        assert_eq!(server.get(setting).map(String::as_str), Some(of_server), "{setting}");
        // A server-only setting has no value for clients.
        if of_client != "–" {
            assert_eq!(client.get(setting).map(String::as_str), Some(of_client), "{setting} of clients");
        }
        assert!(!links(held_by).is_empty(), "{setting} has no test");
    }
    assert_eq!(rows.len(), server.len(), "each once");
}

#[test]
fn compression_limits_match_the_code() {
    let settings = ws_proto::Deflate::new();
    let rows = rows("Compression");
    assert_eq!(settings.get_ratio_limit(), None);
    assert_eq!(rows[0][..2], ["`ratio_limit`", "none"]);
    let rate = bytes(settings.get_inflate_rate().unwrap());
    assert_eq!(rows[1][..2], ["`inflate_rate`", &format!("{rate} a second")]);
    assert!(rows.iter().all(|row| row.len() == 4 || row.len() == 2));
}

/// A new setting is either a limit in the table or listed here as no limit.
#[test]
fn every_limit_is_in_the_table() {
    let known = of_the_server();
    for (debug, no_limits) in [
        (
            format!("{:#?}", Config::server()),
            &[
                "delivery",
                "deflate",
                "report_all_closes",
                "access",
                "cors",
                "head_rule",
                "wall_clock",
                "half_close",
                "memory",
            ][..],
        ),
        (
            format!("{:#?}", ServerConfig::default()),
            &["connection", "tokens", "upgrades", "streamed", "trusted", "tls", "tls_mode"],
        ),
    ] {
        let fields = debug.lines().filter_map(|line| line.strip_prefix("    ")?.split_once(": "));
        let fields: Vec<_> = fields.map(|(name, _)| name).filter(|name| !name.starts_with(' ')).collect();
        assert!(fields.len() > 4, "{debug}");
        for field in fields {
            assert!(known.contains_key(field) || no_limits.contains(&field), "{field}");
        }
    }
}

/// Whether the function with that name is marked as a test, perhaps with other attributes.
fn is_test(text: &str, name: &str) -> bool {
    let Some((before, _)) = text.split_once(&format!("fn {name}(")) else { return false };
    let mut lines = before.lines().rev().map(str::trim).skip_while(|line| line.is_empty());
    lines.by_ref().take_while(|line| line.starts_with("#[")).any(|line| line == "#[test]")
}

#[test]
fn every_named_test_exists() {
    let root = root();
    let links = links(text());
    for (name, file) in &links {
        let text = fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let found = match Path::new(file).extension().and_then(|extension| extension.to_str()) {
            Some("rs") => is_test(&text, name),
            // By its text, as printed or as written.
            _ => text.contains(*name),
        };
        assert!(found, "{name} is not in {file}");
    }
    assert!(links.len() > 80, "{} links", links.len());
    for row in rows("What is promised") {
        assert!(row.len() == 2 && !self::links(row[1]).is_empty(), "{row:?}");
    }
}
