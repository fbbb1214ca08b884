//! The table "What it can do" of the README and of its translation; each adapter checks its own column.

use std::collections::BTreeSet;
use std::path::Path;

/// A file of the project, by its path from the repository root.
pub fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

/// The README and its translation.
const READMES: [&str; 2] = ["README.md", "README.zh-CN.md"];

/// A row: its number, an adapter's names for it, and the location of that adapter's test.
struct Row {
    number: usize,
    names: Vec<String>,
    test: String,
}

/// The rows of the table for an adapter.
fn rows(readme: &str, adapter: &str) -> Vec<Row> {
    let readme = file(readme);
    let mut lines =
        readme.lines().map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    let head = lines.by_ref().find(|cells| cells[0] == "#").unwrap();
    let column = head.iter().position(|cell| cell.contains(&format!("`ws-server-{adapter}`"))).unwrap();
    lines
        .take_while(|cells| cells.len() > 1)
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

/// Expands `A::{b, c}` to `A::b` and `A::c`.
fn unfold(name: &str) -> Vec<String> {
    match name.strip_suffix('}').and_then(|name| name.split_once('{')) {
        None => vec![name.to_owned()],
        Some((path, last)) => last.split(',').map(|last| format!("{path}{}", last.trim())).collect(),
    }
}

/// Each row links to a compiled file of this crate, which has one test that is named after the row.
pub fn each_row_has_its_test(adapter: &str) {
    for row in READMES.iter().flat_map(|readme| {
        let rows = rows(readme, adapter);
        assert_eq!(
            rows.iter().map(|row| row.number).collect::<Vec<_>>(),
            (1..=23).collect::<Vec<_>>(),
            "{readme}"
        );
        rows
    }) {
        let name = format!("row_{:02}", row.number);
        let folder = format!("ws-server-{adapter}/tests/behaviours/");
        let module = row.test.strip_prefix(&folder).and_then(|file| file.strip_suffix(".rs"));
        let module = module.unwrap_or_else(|| panic!("{name}: {}", row.test));
        let tests = file(&row.test);
        assert_eq!(tests.matches(&format!("#[test]\nfn {name}_")).count(), 1, "{name} in {}", row.test);
        let main = file(&format!("{folder}main.rs"));
        let module = format!("mod {module};");
        assert!(main.lines().any(|line| line == module), "{} is not compiled", row.test);
    }
}

/// The names in an adapter's column are exactly those shown to exist.
pub fn each_name_is_listed_and_exists(adapter: &str, exist: &BTreeSet<String>) {
    for readme in READMES {
        let listed: BTreeSet<_> = rows(readme, adapter).into_iter().flat_map(|row| row.names).collect();
        assert_eq!(
            listed.difference(exist).collect::<Vec<_>>(),
            [""; 0],
            "{readme}: listed but not shown to exist"
        );
        assert_eq!(
            exist.difference(&listed).collect::<Vec<_>>(),
            [""; 0],
            "{readme}: existing but no longer listed"
        );
    }
}
