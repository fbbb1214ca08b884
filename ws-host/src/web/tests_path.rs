//! No path leads out of its folder.

use super::{PathError, clean, clean_with_hidden};
use proptest::prelude::*;

#[test]
fn names_that_leave_the_folder_on_any_system_are_rejected() {
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
        "/PROGR~12.x",
    ] {
        assert_eq!(clean_with_hidden(path), Err(PathError::Unsafe), "{path}");
        assert!(clean(path).is_err(), "{path}");
    }
}

#[test]
fn short_windows_names_are_rejected_and_longer_ones_pass() {
    for path in [
        "/GIT~1",
        "/git~1",
        "/Git~1/config",
        "/INDEX~1.HTM",
        "/WEBCON~1.",
        "/GIT~1%20",
        "/GIT~1...",
        "/G%e2%80%8dIT~1",
        "/~1",
        "/~1.txt",
        "/~1234567",
        "/abcdef~1.jpe",
        "/%C3%A9%C3%A9%C3%A9%C3%A9%C3%A9%C3%A9~1",
        "/a/GIT~1/b",
    ] {
        assert_eq!(clean_with_hidden(path), Err(PathError::Unsafe), "{path}");
    }
    for path in [
        "/IMG_20200101_120000~2.jpg",
        "/abcdefg~1.jpg",
        "/~12345678",
        "/report~1.jpeg",
        "/a~1.tar.gz",
        "/a.b~1",
        "/notes~.txt",
        "/file.txt~",
        "/a~b",
        "/a~1b.txt",
        "/~",
        "/a~%D9%A1",
    ] {
        assert!(clean(path).is_ok(), "{path}");
    }
}

/// Each name is checked as HFS+ reads it, and returned as received.
#[test]
fn ignorable_characters_pass_and_hide_nothing() {
    for name in [
        "می\u{200c}خواهم.txt",
        "👨\u{200d}👩\u{200d}👧.png",
        "❤\u{fe0f}.png",
        "\u{200f}שלום.txt",
        "ab\u{200e}c",
        "co\u{ad}operate.txt",
        "\u{feff}bom.txt",
        "🏴\u{e0067}\u{e0062}\u{e007f}.svg",
        "a\u{202e}b\u{2060}c\u{2066}d\u{34f}e\u{180e}f\u{3164}g\u{115f}h\u{1d173}",
        "co\u{200d}nsole",
    ] {
        let path = format!("/{name}");
        assert_eq!(clean(&path).map(|path| path.as_str().to_owned()).as_deref(), Ok(name), "{name:?}");
    }
    for ignorable in
        ['\u{ad}', '\u{200c}', '\u{200d}', '\u{202e}', '\u{206f}', '\u{fe0f}', '\u{feff}', '\u{e0001}']
    {
        for name in [".", "..", "NUL", "a.", "a ", "a:b", "a\\b", "GIT~1", ""] {
            for at in (0..=name.len()).filter(|at| name.is_char_boundary(*at)) {
                let path = format!("/{}{ignorable}{}", &name[..at], &name[at..]);
                assert_eq!(clean_with_hidden(&path), Err(PathError::Unsafe), "{path:?}");
            }
        }
        for name in [".git", ".env"] {
            for at in 0..=name.len() {
                let path = format!("/{}{ignorable}{}", &name[..at], &name[at..]);
                assert_eq!(clean(&path), Err(PathError::Hidden), "{path:?}");
                assert!(clean_with_hidden(&path).is_ok(), "{path:?}");
            }
        }
    }
    for control in ['\0', '\n', '\u{1f}', '\u{7f}', '\u{80}', '\u{85}', '\u{9f}'] {
        assert_eq!(clean(&format!("/a{control}b")), Err(PathError::Unsafe), "{control:?}");
    }
}

#[test]
fn names_similar_to_rejected_ones_pass() {
    for name in [
        "..a",
        "a..b",
        " a",
        "x.con",
        "contact.html",
        "nul2",
        "com10",
        "comx",
        "lpt.txt",
        "auxiliary.js",
        "e\u{301}.txt",
        "é.txt",
        "100%25",
        "a;b",
        "a&b=c",
        "#1".replace('#', "%23").as_str(),
        "a%3Fb",
        "-rf",
        "$HOME",
        "*",
        "\u{a0}",
        "\u{3000}",
    ] {
        assert!(clean_with_hidden(&format!("/{name}")).is_ok(), "{name:?}");
    }
}

#[test]
fn invalid_encoding_is_rejected() {
    for path in ["/%", "/%2", "/%zz", "/a%g0b", "/%ff", "/%c0%ae%c0%ae/x", "/%ed%a0%80"] {
        assert_eq!(clean(path), Err(PathError::Malformed), "{path}");
    }
}

#[test]
fn a_path_is_decoded_once() {
    assert_eq!(clean("/%252e%252e/x").unwrap().as_str(), "%2e%2e/x");
    assert_eq!(clean("/100%25.txt").unwrap().as_str(), "100%.txt");
}

#[test]
fn hidden_files_pass_when_allowed() {
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
    /// A path that passes consists of names below the folder.
    #[test]
    fn no_path_leaves_the_folder(path in r"(/|\.|%2[eEfF]|%5c|\\|:|%00|%|~1|[a-zA-Z]|CON|\u{200d}|\PC){0,24}") {
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
            prop_assert!(clean.names().all(|name| !super::path::visible(name).starts_with('.')));
        }
    }
}
