//! The table "What it can do" of the README, of which each adapter proves its own side.

use std::collections::BTreeSet;
use std::path::Path;

fn readme() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap()
}

/// A row: its number, the names that an adapter has for it, and where that one's test is.
struct Row {
    number: usize,
    names: Vec<String>,
    test: String,
}

/// The rows of the table, as they concern an adapter.
fn rows(adapter: &str) -> Vec<Row> {
    let readme = readme();
    let table = readme.split("## What it can do").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut lines =
        table.lines().map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    let head = lines.by_ref().find(|cells| cells[0] == "#").unwrap();
    let column = head.iter().position(|cell| *cell == format!("in `ws-server-{adapter}`")).unwrap();
    lines
        .filter_map(|cells| {
            let number = cells[0].parse().ok()?;
            assert_eq!(cells.len(), head.len(), "row {number}");
            let names = cells[column].split('`').skip(1).step_by(2).flat_map(unfold).collect();
            let link = cells.last()?.split(&format!("[{adapter}](")).nth(1);
            let test = link.and_then(|link| link.split(')').next());
            let test = test.unwrap_or_else(|| panic!("row {number} links to no test")).to_owned();
            Some(Row { number, names, test })
        })
        .collect()
}

/// `A::{b, c}` is `A::b` and `A::c`.
fn unfold(name: &str) -> Vec<String> {
    match name.strip_suffix('}').and_then(|name| name.split_once('{')) {
        None => vec![name.to_owned()],
        Some((path, last)) => last.split(',').map(|last| format!("{path}{}", last.trim())).collect(),
    }
}

/// Each row links to a file of this crate that is compiled, and has one test that is named after it.
pub(crate) fn each_row_has_its_test(adapter: &str, crate_root: &str) {
    let rows = rows(adapter);
    assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), (1..=23).collect::<Vec<_>>());
    for row in rows {
        let name = format!("row_{:02}", row.number);
        let folder = format!("ws-server-{adapter}/tests/mission/");
        let file = row.test.strip_prefix(&folder).unwrap_or_else(|| panic!("{name}: {}", row.test));
        let file = Path::new(crate_root).join("tests/mission").join(file);
        let tests = std::fs::read_to_string(&file).unwrap();
        assert_eq!(tests.matches(&format!("#[test]\nfn {name}_")).count(), 1, "{name} in {file:?}");
        let module = format!("mod {};", file.file_stem().unwrap().to_str().unwrap());
        let main = std::fs::read_to_string(file.with_file_name("main.rs")).unwrap();
        assert!(main.lines().any(|line| line == module), "{file:?} is compiled");
    }
}

/// The names in an adapter's column are those that are shown to exist.
pub(crate) fn each_name_is_told_and_exists(adapter: &str, exist: &BTreeSet<String>) {
    let told: BTreeSet<_> = rows(adapter).into_iter().flat_map(|row| row.names).collect();
    assert_eq!(told.difference(exist).collect::<Vec<_>>(), [""; 0], "told, and not shown to exist");
    assert_eq!(exist.difference(&told).collect::<Vec<_>>(), [""; 0], "here, and not told any more");
}
