//! The dependencies between the modules of a crate, read from its source.
//!
//! A re-exported name (`pub use child::Name`) leads to the module that defines it; a module that only re-exports it
//! does not depend on it. Uses through a method alone are not detected.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// From each module to the modules it uses. `server::stop` is a module, `lib` the root.
#[derive(Debug)]
pub struct Dependencies(BTreeMap<String, BTreeSet<String>>);

/// The source of one module.
struct Module {
    /// Every path that it names, inside or outside `use`.
    paths: Vec<Vec<String>>,
    /// The names that `use` imports, by their local name, and whether each is re-exported.
    imports: BTreeMap<String, (bool, Vec<String>)>,
}

/// The longest chain of re-exports.
const DEEPEST: u32 = 8;

type Modules = BTreeMap<String, Module>;

impl Dependencies {
    /// Reads the crate in this folder (`CARGO_MANIFEST_DIR`), without its tests.
    pub fn read(manifest_dir: &str) -> Self {
        let mut texts = Vec::new();
        read(&Path::new(manifest_dir).join("src"), "", &mut texts);
        assert!(texts.iter().any(|(name, _)| name == "lib"), "no source found");
        Self::of(texts.iter().map(|(name, text)| (&**name, &**text)))
    }

    /// Builds the dependencies from module names and texts.
    pub fn of<'t>(texts: impl IntoIterator<Item = (&'t str, &'t str)>) -> Self {
        let modules: Modules =
            texts.into_iter().map(|(name, text)| (name.to_owned(), Module::read(text))).collect();
        let used = |name: &str, module: &Module| {
            let leads_to = module.paths.iter().filter_map(|path| definer(name, path, &modules, 0));
            leads_to.filter(|used| used != name).collect()
        };
        Self(modules.iter().map(|(name, module)| (name.clone(), used(name, module))).collect())
    }

    /// The dependencies between topmost modules, each with its submodules.
    pub fn between_folders(&self) -> Self {
        let top = |name: &str| name.split("::").next().unwrap().to_owned();
        let mut folders: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, used) in &self.0 {
            let into = folders.entry(top(name)).or_default();
            into.extend(used.iter().map(|used| top(used)).filter(|used| *used != top(name)));
        }
        Self(folders)
    }

    /// Removes an inherent dependency.
    ///
    /// # Panics
    /// If there is none: every exception must be needed.
    #[must_use]
    pub fn without(mut self, from: &str, to: &str) -> Self {
        assert!(self.0.get_mut(from).is_some_and(|used| used.remove(to)), "no {from} -> {to} in {self:#?}");
        self
    }

    /// Removes dependencies of a module on its parts: where a type has fields that are defined in files of its folder,
    /// and methods there.
    #[must_use]
    pub fn without_parts(mut self) -> Self {
        for (name, used) in &mut self.0 {
            used.retain(|used| !used.strip_prefix(&**name).is_some_and(|below| below.starts_with("::")));
        }
        self
    }

    /// A cycle: modules of which each uses the next, and the last one the first.
    pub fn cycle(&self) -> Option<Vec<&str>> {
        let mut left = self.0.clone();
        // Modules that use nothing remaining are removed; the rest are in a cycle or depend on one.
        while let Some(name) = left.iter().find(|(_, used)| !used.iter().any(|used| left.contains_key(used)))
        {
            let name = name.0.clone();
            left.remove(&name);
        }
        let mut walk = Vec::new();
        let mut next = left.first_key_value()?.0;
        while !walk.contains(&next) {
            walk.push(next);
            next = left[next].iter().find(|used| left.contains_key(*used)).unwrap();
        }
        let begin = walk.iter().position(|name| *name == next).unwrap();
        Some(walk[begin..].iter().map(|name| self.0.get_key_value(*name).unwrap().0.as_str()).collect())
    }

    /// Asserts that there is no cycle.
    ///
    /// # Panics
    /// If there is one, with its names.
    pub fn assert_no_cycle(&self) {
        if let Some(cycle) = self.cycle() {
            panic!("a cycle: {} -> {}", cycle.join(" -> "), cycle[0]);
        }
    }
}

/// Collects the modules of a folder, each with its name and its text.
fn read(folder: &Path, prefix: &str, into: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let name = if prefix.is_empty() { stem.to_owned() } else { format!("{prefix}::{stem}") };
        if path.is_dir() {
            read(&path, &name, into);
        } else if path.extension().is_some_and(|end| end == "rs") && !stem.starts_with("tests") {
            let name = name.trim_end_matches("::mod").to_owned();
            into.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

impl Module {
    fn read(text: &str) -> Self {
        let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let code: Vec<&str> = product
            .lines()
            .filter(|line| !line.trim_start().starts_with("//") && !declares_module(line))
            .map(|line| line.split(" // ").next().unwrap())
            .collect();
        let (mut rest, mut uses) = (String::new(), Vec::new());
        for statement in code.join("\n").split_inclusive(';') {
            match use_in(statement) {
                None => rest.push_str(statement),
                Some((before, lends, tree)) => {
                    rest.push_str(before);
                    uses.extend(unfold(tree).into_iter().map(|used| (lends, used)));
                }
            }
        }
        let mut paths = paths(&rest);
        let words: BTreeSet<String> = paths.iter().map(|path| path[0].clone()).collect();
        paths.retain(|path| path.len() > 1);
        let mut imports = BTreeMap::new();
        for (lends, (name, path)) in uses {
            if !lends || words.contains(&name) {
                paths.push(path.clone());
            }
            imports.insert(name, (lends, path));
        }
        Self { paths, imports }
    }
}

/// `mod name;` does not use an item of that name.
fn declares_module(line: &str) -> bool {
    line.ends_with(';') && line.split_whitespace().nth_back(1) == Some("mod")
}

/// The text before a `use`, whether the `use` re-exports, and its tree.
fn use_in(statement: &str) -> Option<(&str, bool, &str)> {
    let statement = statement.strip_suffix(';')?;
    let (at, _) = statement.rmatch_indices("use ").find(|(at, _)| {
        let line = statement[..*at].rsplit('\n').next().unwrap().trim();
        line.is_empty() || line == "pub" || line.starts_with("pub(") && line.ends_with(')')
    })?;
    // Text may contain the word, and a semicolon before it.
    if statement[at..].contains('"') {
        return None;
    }
    let line = statement[..at].rfind('\n').map_or(0, |end| end + 1);
    let lends = statement[line..at].trim_start().starts_with("pub");
    // A text may have the word behind a semicolon.
    if statement[at..].contains('"') {
        return None;
    }
    Some((&statement[..line], lends, &statement[at + "use ".len()..]))
}

/// The paths of a tree, each with its imported name.
fn unfold(tree: &str) -> Vec<(String, Vec<String>)> {
    let tree = tree.trim();
    if let Some((before, group)) = tree.split_once('{') {
        let path = segments(before.trim_end().trim_end_matches("::"));
        let inner = split_group(group.trim_end().strip_suffix('}').unwrap());
        return inner
            .into_iter()
            .flat_map(unfold)
            .map(|(name, end)| match &*end {
                [this] if this == "self" => (path.last().cloned().unwrap_or(name), path.clone()),
                _ => (name, [&*path, &*end].concat()),
            })
            .collect();
    }
    let (path, alias) = tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias)));
    let path = segments(path);
    let name = alias.map(str::to_owned).or_else(|| path.last().cloned()).unwrap_or_default();
    vec![(name, path)]
}

fn segments(path: &str) -> Vec<String> {
    path.split("::").map(|segment| segment.trim().to_owned()).filter(|segment| !segment.is_empty()).collect()
}

/// The members of a group, split at top-level commas.
fn split_group(group: &str) -> Vec<&str> {
    let (mut depth, mut members, mut from) = (0, Vec::new(), 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                members.push(&group[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    members.push(&group[from..]);
    members.into_iter().filter(|member| !member.trim().is_empty()).collect()
}

/// Every path in code, including single names.
fn paths(code: &str) -> Vec<Vec<String>> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let whole = code.split(|c| !is_part(c)).filter(|path| !path.starts_with(':'));
    whole.map(segments).filter(|path| !path.is_empty()).collect()
}

/// The module that defines the target of a path; `None` if it lies outside the crate. `depth` stops names that lead to
/// themselves.
fn definer(from: &str, path: &[String], modules: &Modules, depth: u32) -> Option<String> {
    let child = |of: &str, name: &str| if of == "lib" { name.to_owned() } else { format!("{of}::{name}") };
    let (first, mut rest) = path.split_first()?;
    let mut at = match &**first {
        "crate" => "lib".to_owned(),
        "self" => from.to_owned(),
        "super" => parent(from),
        name if modules.contains_key(&child(from, name)) => child(from, name),
        name => {
            let (_, import) = modules.get(from)?.imports.get(name).filter(|_| depth < DEEPEST)?;
            return definer(from, &[&**import, rest].concat(), modules, depth + 1);
        }
    };
    while let Some((name, further)) = rest.split_first() {
        if name == "super" {
            at = parent(&at);
        } else if modules.contains_key(&child(&at, name)) {
            at = child(&at, name);
        } else if let Some((true, lent)) = modules.get(&at)?.imports.get(name).filter(|_| depth < DEEPEST) {
            return definer(&at, &[&**lent, further].concat(), modules, depth + 1);
        } else {
            break;
        }
        rest = further;
    }
    Some(at)
}

fn parent(of: &str) -> String {
    of.rsplit_once("::").map_or("lib", |(parent, _)| parent).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(dependencies: &Dependencies, name: &str) -> Vec<String> {
        dependencies.0[name].iter().cloned().collect()
    }

    #[test]
    fn uses_are_found_wherever_they_are_named() {
        let dependencies = Dependencies::of([
            ("lib", "mod a;\nmod b;\nmod c;"),
            ("a", "use crate::{b::{self, x::X}, c as d};\n\nfn f() { d::f(); crate::e::f() }"),
            ("b", "mod x;\nfn f() { x::f() }"),
            ("b::x", "use super::super::c::C;\n// crate::a\n#[cfg(test)]\nmod tests { use crate::a; }"),
            ("c", "use std::fmt;\nuse http::Response;\n/// crate::a\nfn f() -> fmt::Result { Vec::new() }"),
            ("e", "impl crate::c::C {}"),
        ]);
        assert_eq!(used(&dependencies, "a"), ["b", "b::x", "c", "e"]);
        assert_eq!(used(&dependencies, "b"), ["b::x"]);
        assert_eq!(used(&dependencies, "b::x"), ["c"]);
        assert_eq!(used(&dependencies, "e"), ["c"]);
        assert!(used(&dependencies, "c").is_empty() && used(&dependencies, "lib").is_empty());
        dependencies.assert_no_cycle();
    }

    #[test]
    fn a_reexported_name_leads_to_its_definition() {
        let dependencies = Dependencies::of([
            ("lib", "pub use web::Page;"),
            (
                "web",
                "mod page;\npub(crate) mod path;\npub use page::Page;\npub use path::{Clean as Path};\npub use query::query;\n\nfn f(_: Path) {}",
            ),
            ("web::page", "use super::Path;"),
            ("web::path", ""),
            ("web::query", ""),
            ("files", "use crate::Page;"),
        ]);
        assert_eq!(used(&dependencies, "files"), ["web::page"]);
        assert_eq!(used(&dependencies, "web::page"), ["web::path"]);
        assert_eq!(used(&dependencies, "web"), ["web::path"], "a direct use");
    }

    #[test]
    fn cycles_of_modules_and_of_folders_are_found() {
        let files = Dependencies::of([
            ("a", ""),
            ("a::x", "use crate::b::y::Y;"),
            ("a::z", ""),
            ("b", ""),
            ("b::y", ""),
            ("b::w", "use crate::a::z::Z;"),
            ("top", "use crate::a::x::X;"),
        ]);
        files.assert_no_cycle();
        assert_eq!(files.between_folders().cycle().unwrap(), ["a", "b"]);
        files.between_folders().without("b", "a").assert_no_cycle();
        let files = Dependencies::of([
            ("a", "use crate::b::B;"),
            ("b", "use crate::c::C;"),
            ("c", "use crate::b::B;"),
        ]);
        assert_eq!(files.cycle().unwrap(), ["b", "c"]);
        let parts = || Dependencies::of([("a", "use b::B;"), ("a::b", "use super::A;"), ("ab", "")]);
        assert_eq!(parts().cycle().unwrap(), ["a", "a::b"]);
        parts().without_parts().assert_no_cycle();
    }
}
