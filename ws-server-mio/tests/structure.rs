//! How the source files depend on each other: no circle, but for what is inherent.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// An extension is handed the connections, which hold it.
const INHERENT: [&str; 2] = ["connection", "extension"];

/// Each module with its text, tests cut off.
fn modules(folder: &Path, prefix: &str, into: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let name = if prefix.is_empty() { stem.to_owned() } else { format!("{prefix}::{stem}") };
        if path.is_dir() {
            modules(&path, &name, into);
        } else if name != "lib" {
            let text = fs::read_to_string(&path).unwrap();
            let product = text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned();
            into.insert(name.trim_end_matches("::mod").to_owned(), product);
        }
    }
}

/// What stands behind `crate::` in each `use`, groups unfolded.
fn imports(text: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for import in text.split("\nuse crate::").skip(1) {
        let import: String = import.split(';').next().unwrap().split_whitespace().collect();
        match import.split_once('{') {
            None => paths.push(import),
            Some((path, group)) => {
                let names = group.trim_end_matches('}').split(',');
                paths.extend(names.map(|name| format!("{path}{name}")));
            }
        }
    }
    paths
}

/// The module that a path leads to: the longest beginning that is one.
fn module_of(path: &str, modules: &BTreeMap<String, String>) -> Option<String> {
    let ends = path.match_indices("::").map(|(at, _)| at).chain([path.len()]);
    ends.map(|end| &path[..end]).filter(|name| modules.contains_key(*name)).last().map(str::to_owned)
}

#[test]
fn source_files_depend_on_each_other_in_no_circle() {
    let mut texts = BTreeMap::new();
    modules(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut texts);
    assert!(texts.len() > 30 && texts.contains_key("connection::slots"));
    let mut depends: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (name, text) in &texts {
        let on =
            imports(text).into_iter().filter_map(|path| module_of(&path, &texts)).filter(|on| on != name);
        let is_inherent = |on: &String| INHERENT.contains(&&**name) && INHERENT.contains(&&**on);
        depends.insert(name, on.filter(|on| !is_inherent(on)).collect());
    }
    // What depends on nothing that is left can go; a circle stays.
    while let Some(name) =
        depends.iter().find(|(_, on)| !on.iter().any(|on| depends.contains_key(&**on))).map(|(name, _)| *name)
    {
        depends.remove(name);
    }
    assert!(depends.is_empty(), "these stand in a circle, or above one: {depends:#?}");
}
