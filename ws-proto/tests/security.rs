//! SECURITY.md is true: the defaults are those of the code, and each test that it names is there.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::collections::BTreeMap;
use std::path::Path;
use ws_proto::limits::ServerConfig;
use ws_proto::{Config, Deflate};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of the table of limits: name and default.
fn limits() -> BTreeMap<String, String> {
    let text = read("SECURITY.md");
    let table = text.split("## Limits").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let cells: Vec<_> = row.split(" | ").collect();
        (cells[0].trim_end_matches('`').to_owned(), cells[1].to_owned())
    })
    .collect()
}

#[test]
fn each_default_is_that_of_the_code() {
    let config = Config::server();
    let server = ServerConfig::new(config.clone());
    let seconds = |time: std::time::Duration| format!("{} s", time.as_secs());
    // Its fields are its own; what it shows is enough.
    let deflate = format!("{:?}", Deflate::new());
    let shown = |name: &str| {
        let value = deflate.split(&format!("{name}: Some(")).nth(1).unwrap();
        value.split(')').next().unwrap().to_owned()
    };
    let want = [
        ("message_limit", config.message_limit.to_string()),
        ("head_limit", config.head_limit.to_string()),
        ("header_limit", config.header_limit.to_string()),
        ("target_limit", config.target_limit.to_string()),
        (
            "body_limit",
            format!("{}; of a refusal to a client {}", config.body_limit, Config::client().body_limit),
        ),
        ("pipeline_limit", config.pipeline_limit.to_string()),
        ("request_limit", config.request_limit.to_string()),
        ("frame_rate", format!("{} a second", config.frame_rate.unwrap())),
        ("drain_limit", config.drain_limit.to_string()),
        ("low_mark", config.low_mark.to_string()),
        ("high_mark", config.high_mark.to_string()),
        ("outbox_cap", config.outbox_cap.to_string()),
        ("handshake_timeout", seconds(config.handshake_timeout)),
        ("keep_alive", seconds(config.keep_alive)),
        ("answer_timeout", seconds(config.answer_timeout)),
        ("close_timeout", seconds(config.close_timeout)),
        ("output_timeout", seconds(config.output_timeout)),
        ("ratio_limit", format!("{} times", shown("ratio_limit"))),
        ("inflate_rate", format!("{} a second", shown("inflate_rate"))),
        ("max_connections", server.max_connections.to_string()),
        ("max_per_address", server.max_per_address.unwrap().to_string()),
        (
            "max_handshakes",
            server.max_handshakes.map_or("a quarter of `max_connections`".to_owned(), |n| n.to_string()),
        ),
    ];
    let want = want.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    assert_eq!(limits(), want);
}

#[test]
fn each_test_that_is_named_is_there() {
    let text = read("SECURITY.md");
    let mut tests = 0;
    for cell in
        text.lines().filter(|line| line.starts_with("| ")).map(|line| line.rsplit(" | ").next().unwrap())
    {
        for named in cell.trim_end_matches(" |").split("; ") {
            // `a` and `b` in `file`
            let Some((names, file)) = named.rsplit_once(" in ") else { continue };
            let code = read(file.trim_matches('`'));
            for name in names.split(['`', ' ', ',']).filter(|name| name.contains('_') && !name.contains('('))
            {
                assert!(code.contains(&format!("fn {name}(")), "{name} is not in {file}");
                tests += 1;
            }
        }
    }
    assert!(tests > 40, "{tests}");
}
