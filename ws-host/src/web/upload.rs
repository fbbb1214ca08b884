//! Files that are being received.

use super::path::{is_safe, visible};
use core::fmt;
use std::borrow::ToOwned;
use std::format;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::string::String;
use std::time::Duration;

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
/// Its name appears with its whole content: a hard link of the temporary file, which is then removed. On file systems
/// without hard links (FAT, exFAT), an empty file takes the name first, and is then replaced: a process that is killed
/// just then leaves both. A power cut may lose what the system has not written to the disk yet.
///
/// Each call may block on the disk. A process that is killed leaves its temporary files, which end with `.part`:
/// [`remove_abandoned`](Self::remove_abandoned).
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
    /// Those of the system: the folder does not exist, say, or is not writable. [`ErrorKind::AlreadyExists`] if the
    /// folder has a thousand files of this name, or receives as many.
    pub fn create(folder: impl AsRef<Path>, name: &str) -> io::Result<Self> {
        let (folder, name) = (folder.as_ref().to_owned(), file_name(name));
        let is_taken = |n| folder.join(numbered(&name, n)).symlink_metadata().is_ok();
        // The numbers are given in order, so the last one is rarely taken.
        if is_taken(COPIES - 1) && (0..COPIES).all(is_taken) {
            return Err(too_many(&name));
        }
        for n in 0..COPIES {
            let part = folder.join(part_name(&name, n));
            match OpenOptions::new().write(true).create_new(true).open(&part) {
                Ok(file) => return Ok(Self { file: Some(file), part, folder, name, len: 0 }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(too_many(&name))
    }

    /// Removes the temporary files of a folder that were not written to for this long: those of a process that was
    /// killed. Returns how many. Call it at the start of the program; an upload that a client pauses for longer, in this
    /// process or another, is removed too, and fails.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use ws_host::web::Upload;
    /// Upload::remove_abandoned("/srv/files", Duration::from_secs(24 * 3600))?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the folder cannot be read. Files that cannot be removed stay, without an error.
    pub fn remove_abandoned(folder: impl AsRef<Path>, age: Duration) -> io::Result<usize> {
        let now = crate::clock::time_of_day();
        // A time in the future says nothing: one of the clocks was wrong.
        let is_old = |modified| now.duration_since(modified).is_ok_and(|since| since >= age);
        let mut removed = 0;
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let Ok(metadata) = entry.metadata() else { continue };
            let is_abandoned = metadata.is_file()
                && entry.file_name().to_str().is_some_and(is_part)
                && metadata.modified().is_ok_and(is_old);
            removed += usize::from(is_abandoned && fs::remove_file(entry.path()).is_ok());
        }
        Ok(removed)
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
        let result = self.name_part(|part, path| fs::hard_link(part, path));
        if result.is_err() {
            let _ = fs::remove_file(&self.part);
        }
        result
    }

    fn name_part(&self, link: impl Fn(&Path, &Path) -> io::Result<()>) -> io::Result<PathBuf> {
        for n in 0..COPIES {
            let path = self.folder.join(numbered(&self.name, n));
            match link(&self.part, &path) {
                Ok(()) => {
                    // It is stored, whether or not its temporary name can be removed.
                    let _ = fs::remove_file(&self.part);
                    return Ok(path);
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                // Each file system without links has its own error for that.
                Err(_) => {}
            }
            if self.rename_part(&path)? {
                return Ok(path);
            }
        }
        Err(too_many(&self.name))
    }

    /// Gives it this name without a link, unless the name is taken.
    fn rename_part(&self, path: &Path) -> io::Result<bool> {
        // Renaming would replace another file on some systems; this one is ours.
        match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
            Err(error) => return Err(error),
        }
        let renamed = fs::rename(&self.part, path);
        if renamed.is_err() {
            let _ = fs::remove_file(path);
        }
        renamed.map(|()| true)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let _ = fs::remove_file(&self.part);
        }
    }
}

fn too_many(name: &str) -> io::Error {
    io::Error::new(
        ErrorKind::AlreadyExists,
        format!("there are {COPIES} files named {name:?}, which is the limit"),
    )
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

/// The name of a file that is not whole.
fn part_name(name: &str, n: u32) -> String {
    format!(".{name}.{n}.part")
}

/// Whether it is the name of a file that is not whole, and not of another program's.
fn is_part(text: &str) -> bool {
    let numbered = text.strip_prefix('.').and_then(|text| text.strip_suffix(".part")?.rsplit_once('.'));
    numbered.is_some_and(|(name, number)| {
        let n = number.parse().ok().filter(|n| *n < COPIES);
        file_name(name) == name && n.is_some_and(|n| part_name(name, n) == text)
    })
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
    fn only_our_temporary_names_are_recognized() {
        for name in ["film.mp4", "film", "a.part", "größe (1).mp4"] {
            assert!(is_part(&part_name(name, 0)) && is_part(&part_name(name, COPIES - 1)), "{name}");
            assert!(!is_part(name) && !is_part(&part_name(name, COPIES)));
        }
        for text in [
            "",
            ".",
            ".part",
            "..part",
            ".0.part",
            ".a.part",
            ".a.b.part",
            ".a.01.part",
            ".a.+1.part",
            ".a.1.PART",
        ] {
            assert!(!is_part(text), "{text}");
        }
        assert!(!is_part(".a:b.0.part") && !is_part("..git.0.part"));
    }

    /// A folder with a taken name, and a whole upload of that name.
    fn upload(test: &str) -> (PathBuf, Upload) {
        let folder = std::env::temp_dir().join(format!("ws-host-upload-{}-{test}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("a.txt"), "first").unwrap();
        let mut upload = Upload::create(&folder, "a.txt").unwrap();
        upload.write(b"second").unwrap();
        upload.file = None;
        (folder, upload)
    }

    #[test]
    fn the_name_of_an_upload_appears_with_its_whole_content() {
        let (folder, upload) = upload("link");
        let path = folder.join("a (1).txt");
        let named = upload.name_part(|part, to| {
            assert!(!path.exists(), "a kill leaves no empty file");
            fs::hard_link(part, to)?;
            assert_eq!(fs::read_to_string(&path).unwrap(), "second", "a kill leaves a whole file");
            Ok(())
        });
        assert_eq!(named.unwrap(), path);
        assert_eq!(fs::read_to_string(folder.join("a.txt")).unwrap(), "first");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn without_hard_links_an_upload_is_renamed_and_overwrites_nothing() {
        let kinds = [ErrorKind::Unsupported, ErrorKind::PermissionDenied, ErrorKind::Other];
        for (n, kind) in kinds.into_iter().enumerate() {
            let (folder, upload) = upload(&format!("rename-{n}"));
            assert_eq!(upload.name_part(|_, _| Err(kind.into())).unwrap(), folder.join("a (1).txt"));
            assert_eq!(fs::read_to_string(folder.join("a.txt")).unwrap(), "first");
            assert_eq!(fs::read_to_string(folder.join("a (1).txt")).unwrap(), "second");
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
            fs::remove_dir_all(folder).unwrap();
        }
    }

    #[test]
    fn a_taken_name_is_numbered() {
        assert_eq!(numbered("film.mp4", 2), "film (2).mp4");
        assert_eq!(numbered("film", 1), "film (1)");
        assert_eq!(numbered("a.tar.gz", 1), "a.tar (1).gz");
    }
}
