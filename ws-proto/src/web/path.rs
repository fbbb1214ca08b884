//! Paths of requests as paths of files, with no way out of the folder.

use core::fmt;
use percent_encoding::percent_decode_str;

/// A path below a folder, safe to join to it on every system. From [`clean`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanPath {
    path: String,
    is_directory: bool,
}

impl CleanPath {
    /// The names, with one `/` between them and none around; empty for the folder itself.
    pub fn as_str(&self) -> &str {
        &self.path
    }

    /// The names, to be joined to the folder one by one.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').filter(|name| !name.is_empty())
    }

    /// Whether a folder is asked for: the path ends with a slash, or is empty.
    pub fn is_directory(&self) -> bool {
        self.is_directory
    }
}

/// Why a path is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathError {
    /// Not percent-encoded UTF-8.
    Malformed,
    /// A name that leads elsewhere on some system: `..`, a drive, a device, an encoded slash.
    Unsafe,
    /// A hidden file, such as `.git`.
    Hidden,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the path is not percent-encoded UTF-8",
            Self::Unsafe => "the path has a name that could lead out of its folder",
            Self::Hidden => "the path leads to a hidden file",
        })
    }
}

impl std::error::Error for PathError {}

/// Decodes the path of a request, once, and cleans it name by name: what could mean something else than a file
/// below the folder, on any system, is refused, and so is what begins with a dot. Answer a refusal with 404.
///
/// ```
/// use ws_proto::web::{PathError, clean};
///
/// assert_eq!(clean("/caf%C3%A9/menu.html").unwrap().as_str(), "café/menu.html");
/// assert_eq!(clean("/%2e%2e/secret"), Err(PathError::Unsafe));
/// assert_eq!(clean("/.git/config"), Err(PathError::Hidden));
/// assert!(clean("/docs/").unwrap().is_directory());
/// ```
///
/// Links are the file system's: whoever opens the file sees to it that they do not lead out.
///
/// # Errors
/// Says why the path is refused.
pub fn clean(path: &str) -> Result<CleanPath, PathError> {
    let path = clean_with_hidden(path)?;
    if path.names().any(|name| name.starts_with('.')) {
        return Err(PathError::Hidden);
    }
    Ok(path)
}

/// As [`clean`], and hidden files are served too.
///
/// # Errors
/// Says why the path is refused.
pub fn clean_with_hidden(path: &str) -> Result<CleanPath, PathError> {
    let mut cleaned = CleanPath { path: String::new(), is_directory: true };
    for raw in path.split('/') {
        cleaned.is_directory = raw.is_empty();
        if raw.is_empty() {
            continue;
        }
        let name = decode(raw).ok_or(PathError::Malformed)?;
        if !is_safe(&name) {
            return Err(PathError::Unsafe);
        }
        if !cleaned.path.is_empty() {
            cleaned.path.push('/');
        }
        cleaned.path.push_str(&name);
    }
    Ok(cleaned)
}

/// Percent-decoding (RFC 3986 §2.1) that refuses what is not encoded properly.
pub(super) fn decode(text: &str) -> Option<std::borrow::Cow<'_, str>> {
    let mut escapes = text.split('%');
    escapes.next();
    let is_escape = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|b| b.is_ascii_hexdigit());
    if !escapes.all(is_escape) {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok()
}

/// Whether a name is the name of a file, and of no other file, on every system.
fn is_safe(name: &str) -> bool {
    let is_forbidden = |c: char| {
        // `:` begins a stream of a file or ends a drive (Windows); `\` separates there.
        matches!(c, '/' | '\\' | ':') || c.is_control() || is_ignorable(c)
    };
    !(matches!(name, "." | "..")
        || name.contains(is_forbidden)
        // Windows drops these, so that `secret.` is `secret`.
        || name.ends_with(['.', ' '])
        || is_device(name)
        || is_short_name(name))
}

/// Characters that a file system may ignore when it compares names (HFS+).
fn is_ignorable(c: char) -> bool {
    matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
}

/// The devices of Windows, which are there in every folder and with every extension.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end_matches(' ').to_ascii_uppercase();
    match stem.as_str() {
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" => true,
        _ => {
            let number = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
            let mut number = number.unwrap_or_default().chars();
            matches!((number.next(), number.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
        }
    }
}

/// The second name that Windows gives a file, by which `.git` is `GIT~1` too.
fn is_short_name(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name);
    stem.rsplit_once('~').is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}
