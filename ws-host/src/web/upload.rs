//! Files that are being received.

use super::path::{is_safe, visible};
use core::fmt;
use std::borrow::ToOwned;
use std::format;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::string::String;

/// The longest name, in bytes: with a number and the temporary ending it is below the 255 of most file systems.
const NAME_LIMIT: usize = 200;
/// The longest extension that a shortened name keeps.
const EXTENSION_LIMIT: usize = 16;
/// The most files of one name.
const COPIES: u32 = 1_000;

/// A file that is being received into a folder: under a temporary, hidden name until it is whole. If this is dropped
/// before that, the file is removed.
///
/// It never overwrites a file: where its name is taken, it becomes `name (1).ext`. Its [name](Self::name) is safe on every
/// system, whatever the client sends; a [`Folder`](super::Folder) serves it.
///
/// Each call may block on the disk. A process that is killed leaves its temporary files, which end with `.part`.
///
/// ```
/// use ws_host::web::Upload;
///
/// let folder = std::env::temp_dir().join(format!("ws-host-doc-{}", std::process::id()));
/// std::fs::create_dir(&folder)?;
/// let mut upload = Upload::create(&folder, "../a film.mp4")?;
/// upload.write(b"data")?;
/// assert_eq!(upload.finish()?, folder.join("a film.mp4"));
///
/// let cut = Upload::create(&folder, "cut off.mp4")?;
/// drop(cut);
/// assert_eq!(std::fs::read_dir(&folder)?.count(), 1);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Upload {
    /// `None` once it is whole.
    file: Option<File>,
    part: PathBuf,
    folder: PathBuf,
    name: String,
    len: u64,
}

impl Upload {
    /// Begins to receive a file of this name, which may come from a client. Of a path, only the last component is used.
    ///
    /// # Errors
    /// Those of the system: the folder does not exist, say, or is not writable.
    pub fn create(folder: impl AsRef<Path>, name: &str) -> io::Result<Self> {
        let (folder, name) = (folder.as_ref().to_owned(), file_name(name));
        for n in 0..COPIES {
            let part = folder.join(format!(".{name}.{n}.part"));
            match OpenOptions::new().write(true).create_new(true).open(&part) {
                Ok(file) => return Ok(Self { file: Some(file), part, folder, name, len: 0 }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    /// The name that it gets, unless a file has it by then.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many bytes it has.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends data.
    ///
    /// # Errors
    /// Those of the system: the disk is full, say. The file should then be dropped.
    pub fn write(&mut self, data: &[u8]) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.write_all(data)?;
            self.len += data.len() as u64;
        }
        Ok(())
    }

    /// The file is whole: gives it its name, and returns its path.
    ///
    /// # Errors
    /// Those of the system, and [`ErrorKind::AlreadyExists`] after a thousand files of this name. The file is removed.
    pub fn finish(mut self) -> io::Result<PathBuf> {
        // Some systems do not rename open files.
        drop(self.file.take());
        let result = self.name_part();
        if result.is_err() {
            let _ = fs::remove_file(&self.part);
        }
        result
    }

    fn name_part(&self) -> io::Result<PathBuf> {
        for n in 0..COPIES {
            let path = self.folder.join(numbered(&self.name, n));
            // Renaming would replace another file on some systems; this one is ours.
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(_) => {
                    return match fs::rename(&self.part, &path) {
                        Ok(()) => Ok(path),
                        Err(error) => {
                            let _ = fs::remove_file(&path);
                            Err(error)
                        }
                    };
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let _ = fs::remove_file(&self.part);
        }
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("name", &self.name).field("len", &self.len).finish_non_exhaustive()
    }
}

/// A name for a file, made from any text: it names one and the same file on every system, and is not hidden.
fn file_name(text: &str) -> String {
    let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
    let is_forbidden = |c: char| c.is_control() || r#"<>:"|?*"#.contains(c);
    let name: String = last.chars().map(|c| if is_forbidden(c) { '_' } else { c }).collect();
    // Windows drops dots and spaces at the end, and some programs those at the beginning.
    let name = shortened(name.trim_start_matches(is_at_edge));
    let name = name.trim_end_matches(is_at_edge);
    match visible(name).trim_start() {
        "" => "file".to_owned(),
        plain if is_safe(name) && !plain.starts_with('.') => name.to_owned(),
        // A device, a short name, or a dot behind characters that are ignored. What is ignored goes too.
        plain => format!("_{}", plain.replace('~', "_").trim_end_matches(is_at_edge)),
    }
}

fn is_at_edge(c: char) -> bool {
    c == '.' || c.is_whitespace()
}

/// Cut to its limit, before its extension.
fn shortened(name: &str) -> String {
    if name.len() <= NAME_LIMIT {
        return name.to_owned();
    }
    let (stem, extension) = split(name);
    let extension = if extension.len() <= EXTENSION_LIMIT { extension } else { "" };
    let mut end = NAME_LIMIT - extension.len();
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{extension}", &stem[..end])
}

/// The name, and its extension with the dot.
fn split(name: &str) -> (&str, &str) {
    let at = name.rfind('.').filter(|at| *at > 0).unwrap_or(name.len());
    name.split_at(at)
}

fn numbered(name: &str, n: u32) -> String {
    let (stem, extension) = split(name);
    if n == 0 { name.to_owned() } else { format!("{stem} ({n}){extension}") }
}

#[cfg(test)]
mod tests {
    use super::super::clean;
    use super::*;

    #[test]
    fn any_text_becomes_a_safe_name() {
        for (text, name) in [
            ("film.mp4", "film.mp4"),
            ("größe – 1 (2).mp4", "größe – 1 (2).mp4"),
            ("../../etc/passwd", "passwd"),
            (r"C:\Users\me\a.txt", "a.txt"),
            ("/", "file"),
            ("..", "file"),
            (" . ", "file"),
            ("", "file"),
            ("\u{200c}", "file"),
            (".bashrc", "bashrc"),
            ("\u{200c}.git", "_.git"),
            ("a.txt. ", "a.txt"),
            ("a:b?*.txt", "a_b__.txt"),
            ("a\nb\0", "a_b_"),
            ("CON", "_CON"),
            ("nul.txt", "_nul.txt"),
            ("GIT~1", "_GIT_1"),
            ("نمی\u{200c}خواهم.jpg", "نمی\u{200c}خواهم.jpg"),
        ] {
            assert_eq!(file_name(text), name, "{text:?}");
        }
    }

    #[test]
    fn each_name_can_be_served() {
        let parts =
            ["a", ".", "..", "~1", "CON", " ", "\u{200c}", "é", "/", "\\", ":", "%", "\n", ".part", "COM1"];
        for a in parts {
            for b in parts {
                for c in parts {
                    let name = file_name(&format!("{a}{b}{c}"));
                    let encoded: String = name.bytes().map(|b| format!("%{b:02x}")).collect();
                    assert_eq!(
                        clean(&encoded).map(|path| path.as_str().to_owned()),
                        Ok(name.clone()),
                        "{name:?}"
                    );
                    assert_eq!(file_name(&name), name, "it is stable");
                }
            }
        }
    }

    #[test]
    fn a_long_name_keeps_its_extension() {
        let name = file_name(&format!("{}.mp4", "ü".repeat(300)));
        assert!(name.len() <= NAME_LIMIT && name.ends_with("ü.mp4"));
        assert!(file_name(&".x".repeat(300)).len() <= NAME_LIMIT);
        assert!(file_name(&"a".repeat(300)).len() <= NAME_LIMIT);
    }

    #[test]
    fn a_taken_name_is_numbered() {
        assert_eq!(numbered("film.mp4", 2), "film (2).mp4");
        assert_eq!(numbered("film", 1), "film (1)");
        assert_eq!(numbered("a.tar.gz", 1), "a.tar (1).gz");
    }
}
