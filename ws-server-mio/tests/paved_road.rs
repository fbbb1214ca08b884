//! The first programs are as short as the README promises. The test reads it at run time; its programs are compiled as
//! doctests.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

/// The README of this crate, and that of the repository, if present.
fn readme(path: &str) -> std::io::Result<String> {
    std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR")))
}

/// The programs that begin like this.
fn programs<'t>(text: &'t str, fence: &str) -> Vec<&'t str> {
    let fence = format!("```{fence}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn the_first_programs_are_as_short_as_promised() {
    let readme = readme("README.md").unwrap();
    let marked: Vec<_> = readme.split("<!-- ").skip(1).collect();
    let mut names = Vec::new();
    for marked in marked {
        let (mark, rest) = marked.split_once(" -->\n").unwrap();
        let (name, most) = mark.split_once(": at most ").unwrap();
        let most: usize = most.strip_suffix(" lines").unwrap().parse().unwrap();
        let program = rest.strip_prefix("```rust,no_run\n").unwrap().split("```").next().unwrap();
        assert!(program.contains("fn main()"), "{name} is a whole program");
        assert!(program.lines().count() <= most, "{name} has {} lines", program.lines().count());
        assert!(program.lines().all(|line| line.len() <= 100), "{name} has overlong lines");
        names.push((name, most));
    }
    assert_eq!(names, [("echo", 10), ("page and socket", 15), ("client", 8)]);
}

#[test]
fn the_readme_of_the_repository_has_the_same_programs() {
    let (own, Ok(whole)) = (readme("README.md").unwrap(), readme("../README.md")) else { return };
    let own: Vec<_> = ["rust,no_run", "rust"].iter().flat_map(|fence| programs(&own, fence)).collect();
    let theirs = ["rust,no_run", "rust"].iter().flat_map(|fence| programs(&whole, fence));
    let theirs: Vec<_> = theirs.filter(|program| program.contains("ws_server_mio")).collect();
    assert!(theirs.len() >= 3, "{theirs:?}");
    for program in theirs {
        assert!(own.contains(&program), "only here, where it is not compiled:\n{program}");
    }
}
