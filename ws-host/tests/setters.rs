//! Each setting of the engine has a setter in the configurations of servers and clients, or a reason to have none.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::fs;
use std::path::Path;
use ws_proto::Config;

/// The source of the configurations, read at run time.
fn source(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file)).unwrap()
}

/// The fields of the engine's configuration, by the names of their setters.
fn settings() -> Vec<String> {
    let debug = format!("{:#?}", Config::server());
    let fields = debug.lines().filter_map(|line| line.strip_prefix("    ")?.split_once(": "));
    let names = fields.map(|(name, _)| name).filter(|name| !name.starts_with([' ', '}', ']']));
    let names = names.map(|name| match name {
        "low_mark" | "high_mark" | "outbox_cap" => "outbox",
        // Shared by the connections of a server, so set by its limit.
        "memory" => "memory_limit",
        other => other,
    });
    names.map(str::to_owned).collect()
}

/// The settings without a setter in these sources.
fn missing(sources: &[&str]) -> Vec<String> {
    let sources: String = sources.iter().map(|file| source(file)).collect();
    let has_setter = |name: &String| {
        let forwarded = format!("{name}(");
        sources.lines().any(|line| {
            let line = line.trim_start().trim_start_matches("pub fn ");
            line.starts_with(&forwarded)
        })
    };
    let mut missing: Vec<_> = settings().into_iter().filter(|name| !has_setter(name)).collect();
    missing.dedup();
    missing
}

#[test]
fn each_setting_of_the_engine_has_a_setter_for_servers() {
    assert!(settings().len() > 25, "{:?}", settings());
    // `connection_config` makes it from the token, the upgrade paths, the streamed paths and a rule of `Config`.
    assert_eq!(missing(&["settings.rs", "server/config.rs"]), ["head_rule"]);
}

#[test]
fn each_setting_that_clients_obey_has_a_setter_for_clients() {
    let missing = missing(&["settings.rs", "client/config.rs"]);
    let of_servers = [
        "target_limit",
        "pipeline_limit",
        "request_limit",
        "keep_alive",
        "answer_timeout",
        "half_close",
        "memory_limit",
        "report_all_closes",
        "access",
        "cors",
        "head_rule",
        "wall_clock",
    ];
    assert_eq!(missing, of_servers);
}
