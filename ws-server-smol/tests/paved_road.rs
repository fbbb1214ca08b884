//! First programs are short: the README's, which are compiled as the crate's documentation.

/// The programs of the README, in order.
fn programs() -> Vec<Vec<&'static str>> {
    let readme = include_str!("../README.md");
    let blocks = readme.split("```rust,no_run\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.map(|block| block.lines().filter(|line| !line.trim().is_empty()).collect()).collect()
}

#[test]
fn echo_has_ten_lines_page_and_socket_fifteen_and_client_eight() {
    let programs = programs();
    let limits = [("upgrade()", 10), ("upgrade_or(", 15), ("connect(", 8)];
    assert_eq!(programs.len(), limits.len());
    for (program, (shows, limit)) in programs.iter().zip(limits) {
        let text = program.join("\n");
        assert!(
            text.starts_with("use ") && text.contains("fn main()") && text.contains(shows),
            "whole: {text}"
        );
        // No line is longer than the formatter leaves it.
        assert!(program.iter().all(|line| line.len() <= 110), "{text}");
        assert!(program.len() <= limit, "{} lines, over {limit}:\n{text}", program.len());
    }
}
