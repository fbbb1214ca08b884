//! Request paths as file paths, confined to the folder.

use core::fmt;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

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

    /// Whether the path names a folder: it ends with a slash, or is empty.
    pub fn is_directory(&self) -> bool {
        self.is_directory
    }
}

/// Why a path is not served.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathError {
    /// Not percent-encoded UTF-8.
    Malformed,
    /// A name that leads elsewhere on some system: `..`, a drive, a device, an encoded slash.
    Unsafe,
    /// A hidden file, such as `.git`.
    Hidden,
}

ws_proto::debug_is_display!(PathError);

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

/// Decodes the path of a request, once, and checks it name by name: it rejects a name that could mean something other
/// than a file below the folder, on any system, and a name that begins with a dot. Answer a rejection with 404.
///
/// ```
/// use ws_host::web::{PathError, clean};
///
/// assert_eq!(clean("/caf%C3%A9/menu.html").unwrap().as_str(), "café/menu.html");
/// assert_eq!(clean("/%2e%2e/secret"), Err(PathError::Unsafe));
/// assert_eq!(clean("/.git/config"), Err(PathError::Hidden));
/// assert!(clean("/docs/").unwrap().is_directory());
/// ```
///
/// # What is rejected, and why
///
/// The rules are the same on every system: a folder may be on a USB stick or a share that was formatted elsewhere, and
/// Linux honours the rules of FAT and of Windows there.
///
/// | name | danger | what passes |
/// |---|---|---|
/// | `.`, `..`, a name with `/` or `\` once decoded | leads to another folder | `a..b`, `..a` with [`clean_with_hidden`] |
/// | a name with `:` | on Windows `c:` is a drive, and `file.txt::$DATA` a second way to open a file | – |
/// | a name with a control character (U+0000 to U+001F, U+007F to U+009F) | ends a name in some calls, and a line in logs | – |
/// | a name that ends with a dot or space | Windows and FAT drop these: `key.pem.` opens `key.pem`, past a rule that looks at the extension | `a.b`, ` a` |
/// | a device: `CON`, `NUL`, `COM1` and the like, also before an extension | on Windows, opening it waits for a terminal or a port, in every folder | `console.js`, `com10`, `x.con` |
/// | a short name of Windows: at most 8 characters that end with `~` and digits, then at most one dot and 3 characters | Windows and FAT give each longer name one: `GIT~1` opens `.git` | `IMG_20200101~2.jpg`, `report~1.jpeg`, `a~1.b.c`, `notes~.txt` |
/// | a name that begins with a dot; [`clean_with_hidden`] accepts it | programs keep secrets in such files | – |
/// | nothing but ignorable characters | to HFS+ it is an empty name | – |
///
/// Ignorable characters (`Default_Ignorable_Code_Point` of Unicode: joiners, directional marks, variation selectors)
/// are legitimate in Persian names or with emoji, and pass. Since HFS+ ignores some of them, so that `.g\u{200c}it`
/// opens `.git`, each rule checks a name without them. The [`CleanPath`] keeps the name as received.
///
/// Every other name passes unchanged. In particular it need not be in a normalization form (NFC, NFD); the file system
/// decides whether two forms are one name.
///
/// Links belong to the file system: the code that opens the file must check that they stay inside.
///
/// # Errors
/// Why the path is rejected.
pub fn clean(path: &str) -> Result<CleanPath, PathError> {
    let path = clean_with_hidden(path)?;
    if path.names().any(|name| visible(name).starts_with('.')) {
        return Err(PathError::Hidden);
    }
    Ok(path)
}

/// As [`clean`], but names that begin with a dot pass, `.git` and `.env` among them.
///
/// # Errors
/// Why the path is rejected.
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

/// The rest of a path behind this prefix, empty or from a slash on. Their segments are compared as [`Routes`] does it,
/// decoded: `/%66iles` is `/files` (RFC 3986 §6.2.2.2), but `%2F` separates no segments.
///
/// [`Routes`]: super::Routes
pub(crate) fn strip_prefix<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    let is_whole = |rest: &&str| rest.is_empty() || rest.starts_with('/');
    if let Some(rest) = path.strip_prefix(prefix).filter(is_whole) {
        return Some(rest);
    }
    let mut rest = path;
    for segment in prefix.split('/').skip(1) {
        rest = rest.strip_prefix('/')?;
        let (raw, behind) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if decode(raw)? != decode(segment)? {
            return None;
        }
        rest = behind;
    }
    Some(rest).filter(is_whole)
}

/// Percent-decoding (RFC 3986 §2.1) that rejects invalid encoding.
pub(super) fn decode(text: &str) -> Option<Cow<'_, str>> {
    let mut escapes = text.split('%');
    escapes.next();
    let is_escape = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|b| b.is_ascii_hexdigit());
    if !escapes.all(is_escape) {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok()
}

/// Whether a name denotes one and the same file on every system. [`clean`] explains each rule.
pub(super) fn is_safe(name: &str) -> bool {
    let is_forbidden = |c: char| matches!(c, '/' | '\\' | ':') || c.is_control();
    let name = visible(name);
    !(name.is_empty()
        || name.contains(is_forbidden)
        // These include `.` and `..`.
        || name.ends_with(['.', ' '])
        || is_device(&name)
        || is_short_name(&name))
}

/// A name without the characters that some file system ignores when it compares names.
pub(super) fn visible(name: &str) -> Cow<'_, str> {
    if name.contains(is_ignorable) { Cow::Owned(name.replace(is_ignorable, "")) } else { Cow::Borrowed(name) }
}

/// `Default_Ignorable_Code_Point` (Unicode 14.0, `DerivedCoreProperties.txt`). HFS+ ignores some of these; treating
/// all as ignorable covers other file systems, now or later.
fn is_ignorable(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// The devices of Windows, which exist in every folder and with every extension.
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

/// The short name (8.3) that Windows gives a file with a longer name, by which `.git` is also `GIT~1`.
fn is_short_name(name: &str) -> bool {
    let (stem, extension) = name.split_once('.').unwrap_or((name, ""));
    stem.chars().count() <= 8
        && extension.chars().count() <= 3
        && !extension.contains('.')
        && stem.rsplit_once('~').is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}
