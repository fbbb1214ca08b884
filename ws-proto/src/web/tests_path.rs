//! No path leads out of its folder.

use super::{PathError, clean, clean_with_hidden};
use proptest::prelude::*;

#[test]
fn what_leads_out_on_any_system_is_refused() {
    for path in [
        "/..",
        "/../x",
        "/a/../../x",
        "/%2e%2e/x",
        "/.%2E/x",
        "/a/%2e%2e",
        "/.",
        "/a/./b",
        "/%2e",
        "/..%2fetc%2fpasswd",
        "/a%2fb",
        "/..%5cx",
        "/a%5cb",
        "/a\\b",
        "/..\\x",
        "/c:",
        "/c:/windows",
        "/C%3a/x",
        "/file.txt::$DATA",
        "/file%3astream",
        "/a%00.html",
        "/%00",
        "/a%0ab",
        "/a%7f",
        "/NUL",
        "/nul.txt",
        "/a/con",
        "/CON .txt",
        "/aux.",
        "/com1",
        "/COM1.log",
        "/lpt9.x.y",
        "/COM%C2%B9",
        "/conin$",
        "/a.",
        "/a ",
        "/a%20",
        "/a...",
        "/secret.txt.",
        "/.git.",
        "/GIT~1/config",
        "/PROGRA~12.x",
        "/%e2%80%8c.git/config",
    ] {
        assert_eq!(clean_with_hidden(path), Err(PathError::Unsafe), "{path}");
        assert!(clean(path).is_err(), "{path}");
    }
}

#[test]
fn what_is_not_encoded_properly_is_refused() {
    for path in ["/%", "/%2", "/%zz", "/a%g0b", "/%ff", "/%c0%ae%c0%ae/x", "/%ed%a0%80"] {
        assert_eq!(clean(path), Err(PathError::Malformed), "{path}");
    }
}

#[test]
fn it_is_decoded_once() {
    assert_eq!(clean("/%252e%252e/x").unwrap().as_str(), "%2e%2e/x");
    assert_eq!(clean("/100%25.txt").unwrap().as_str(), "100%.txt");
}

#[test]
fn hidden_files_are_served_to_who_asks_for_that() {
    for path in ["/.git/config", "/a/.env", "/%2egit", "/.well-known/x"] {
        assert_eq!(clean(path), Err(PathError::Hidden), "{path}");
        assert!(clean_with_hidden(path).is_ok(), "{path}");
    }
}

#[test]
fn ordinary_names_pass() {
    for (path, cleaned, is_directory) in [
        ("", "", true),
        ("/", "", true),
        ("//", "", true),
        ("/a//b", "a/b", false),
        ("//etc/passwd", "etc/passwd", false),
        ("/a/b.html", "a/b.html", false),
        ("/a/b/", "a/b", true),
        ("/a%20b.txt", "a b.txt", false),
        ("/a+b", "a+b", false),
        ("/%E4%B8%AD.html", "中.html", false),
        ("/console.js", "console.js", false),
        ("/com10", "com10", false),
        ("/a..b", "a..b", false),
        ("/backup~", "backup~", false),
        ("/~user", "~user", false),
    ] {
        let clean = clean(path).unwrap();
        assert_eq!((clean.as_str(), clean.is_directory()), (cleaned, is_directory), "{path}");
    }
}

proptest! {
    /// Whatever passes is a path of names below the folder.
    #[test]
    fn no_path_leaves_the_folder(path in r"(/|\.|%2[eEfF]|%5c|\\|:|%00|%|~1|[a-zA-Z]|CON|\PC){0,24}") {
        if let Ok(clean) = clean_with_hidden(&path) {
            let joined = std::path::Path::new("/srv/folder").join(clean.as_str());
            prop_assert!(joined.starts_with("/srv/folder"));
            for name in clean.names() {
                prop_assert!(name != "." && name != ".." && !name.contains(['\\', ':', '\0', '/']));
                let mut components = std::path::Path::new(name).components();
                prop_assert!(matches!(components.next(), Some(std::path::Component::Normal(_))));
                prop_assert!(components.next().is_none());
            }
        }
        if let Ok(clean) = clean(&path) {
            prop_assert!(clean.names().all(|name| !name.starts_with('.')));
        }
    }
}
