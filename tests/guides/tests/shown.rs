//! Checks that the guides show exactly the programs that run.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

const HERE: &str = env!("CARGO_MANIFEST_DIR");

fn files(folder: &Path, ending: &str) -> io::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.ends_with(ending) {
            files.insert(name.to_owned(), fs::read_to_string(&path)?);
        }
    }
    Ok(files)
}

fn guides() -> io::Result<BTreeMap<String, String>> {
    files(&Path::new(HERE).join("../../docs"), ".md")
}

/// Returns the code blocks of a guide in one language.
fn blocks<'g>(guide: &'g str, language: &str) -> Vec<&'g str> {
    let fence = format!("```{language}");
    let mut blocks = Vec::new();
    let mut rest = guide;
    while let Some((_, opened)) = rest.split_once(&fence) {
        let Some((_, body)) = opened.split_once('\n') else { break };
        let Some((block, after)) = body.split_once("```") else { break };
        blocks.push(block);
        rest = after;
    }
    blocks
}

#[test]
fn the_guides_show_exactly_the_programs_that_run() -> io::Result<()> {
    let guides = guides()?;
    for (language, folder, ending, is_program) in
        [("rust", "src/bin", ".rs", "fn main"), ("js", "src/js", ".mjs", "import ")]
    {
        let programs = files(&Path::new(HERE).join(folder), ending)?;
        assert!(!programs.is_empty());
        for (name, program) in &programs {
            let shown = guides.values().any(|guide| blocks(guide, language).contains(&&**program));
            assert!(shown, "no guide shows {name} verbatim");
        }
        for (name, guide) in &guides {
            for block in blocks(guide, language).into_iter().filter(|block| block.contains(is_program)) {
                assert!(
                    programs.values().any(|program| program == block),
                    "{name} shows a program that no test runs:\n{block}"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn every_guide_is_compiled() -> io::Result<()> {
    let library = fs::read_to_string(Path::new(HERE).join("src/lib.rs"))?;
    for name in guides()?.keys().filter(|name| *name != "README.md") {
        assert!(library.contains(&format!("\"{name}\"")), "src/lib.rs does not include {name}");
    }
    Ok(())
}

#[test]
fn every_link_between_files_resolves() -> io::Result<()> {
    let folder = Path::new(HERE).join("../../docs");
    let root = Path::new(HERE).join("../..");
    let mut guides: Vec<_> = guides()?.into_iter().map(|(name, text)| (folder.join(name), text)).collect();
    for name in
        ["README.md", "README.zh-CN.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "tests/README.md"]
    {
        guides.push((root.join(name), fs::read_to_string(root.join(name))?));
    }
    for (path, text) in guides {
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, _) = target.split_once('#').unwrap_or((target, ""));
            if file.is_empty() || file.contains("://") {
                continue;
            }
            let from = path.parent().unwrap_or(&folder);
            assert!(from.join(file).exists(), "{}: {target}", path.display());
        }
    }
    Ok(())
}
