//! The files of a local CA. Each is complete wherever it exists, whatever other processes do at the same time:
//!
//! ```text
//! FOLDER/               0700
//! ├── ca/               0700, appears at once with all of its files, and never changes
//! │   ├── ca.crt        the certificate, for import
//! │   └── key.pem       0600
//! ├── ca-2/             the next one, and so on
//! │   ├── …
//! │   └── cross.crt     its name and key, certified by the one before it
//! └── server.pem        0600, the certificate that the server presents, and its key; replaced as a whole
//! ```

use crate::tls::error::InvalidTls;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const CERTIFICATE: &str = "ca.crt";
const KEY: &str = "key.pem";
const CROSS: &str = "cross.crt";
const SERVER: &str = "server.pem";

pub(super) struct Store {
    folder: PathBuf,
}

/// A CA as its files have it, in PEM.
pub(super) struct Files {
    pub(super) certificate: String,
    pub(super) key: String,
    pub(super) cross: Option<String>,
}

/// The folder of a CA.
pub(super) struct CaFolder(PathBuf);

impl CaFolder {
    /// Its certificate. `None` if the folder has neither certificate nor key.
    pub(super) fn certificate(&self) -> Result<Option<String>, InvalidTls> {
        let path = self.certificate_path();
        match read(&path)? {
            Some(pem) => Ok(Some(pem)),
            None if !self.0.join(KEY).exists() => Ok(None),
            None => Err(self.incomplete()),
        }
    }

    pub(super) fn key(&self) -> Result<String, InvalidTls> {
        let path = self.0.join(KEY);
        keep_from_others(&path, 0o007);
        read(&path)?.ok_or_else(|| self.incomplete())
    }

    pub(super) fn cross(&self) -> Result<Option<String>, InvalidTls> {
        read(&self.0.join(CROSS))
    }

    pub(super) fn certificate_path(&self) -> PathBuf {
        self.0.join(CERTIFICATE)
    }

    fn incomplete(&self) -> InvalidTls {
        let folder = self.0.parent().unwrap_or(&self.0).to_owned();
        InvalidTls::UnusableCa { folder, why: format!("one of the files {CERTIFICATE} and {KEY} is missing") }
    }
}

impl Store {
    pub(super) fn new(folder: PathBuf) -> Self {
        // The process may change its working directory.
        Self { folder: std::path::absolute(&folder).unwrap_or(folder) }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folders of all CAs, the oldest first, and the number of the next one.
    pub(super) fn cas(&self) -> Result<(Vec<CaFolder>, u32), InvalidTls> {
        let unreadable = |error| InvalidTls::File { path: self.folder.clone(), error };
        let entries = match fs::read_dir(&self.folder) {
            // It is created with its first CA.
            Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => {
                return Ok((Vec::new(), 1));
            }
            entries => entries.map_err(unreadable)?,
        };
        keep_from_others(&self.folder, 0o002);
        let mut numbers = Vec::new();
        for entry in entries {
            numbers.extend(entry.map_err(unreadable)?.file_name().to_str().and_then(number));
        }
        numbers.sort_unstable();
        let next = numbers.last().map_or(1, |last| last.saturating_add(1));
        Ok((numbers.into_iter().map(|number| self.ca_folder(number)).collect(), next))
    }

    fn ca_folder(&self, number: u32) -> CaFolder {
        CaFolder(match number {
            1 => self.folder.join("ca"),
            number => self.folder.join(format!("ca-{number}")),
        })
    }

    /// Stores the CA with this number, unless there is one by now: then it returns `None`. The id must belong to this
    /// CA only.
    pub(super) fn put_ca(
        &self,
        number: u32,
        id: &str,
        files: &Files,
    ) -> Result<Option<CaFolder>, InvalidTls> {
        if let Some(parent) = self.folder.parent() {
            fs::create_dir_all(parent).map_err(unwritable(parent))?;
        }
        match create_folder(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.folder.is_dir() => {}
            result => result.map_err(unwritable(&self.folder))?,
        }
        let (new, ca) = (self.folder.join(["ca-new-", id].concat()), self.ca_folder(number));
        let put = || {
            create_folder(&new).map_err(unwritable(&new))?;
            write(&new.join(KEY), &files.key)?;
            write(&new.join(CERTIFICATE), &files.certificate)?;
            if let Some(cross) = &files.cross {
                write(&new.join(CROSS), cross)?;
            }
            // On every system, renaming a folder onto one that has files fails.
            fs::rename(&new, &ca.0).map_err(unwritable(&ca.0))
        };
        let Err(error) = put() else { return Ok(Some(ca)) };
        // What cannot be removed does no harm.
        let _ = fs::remove_dir_all(&new);
        if ca.0.exists() { Ok(None) } else { Err(error) }
    }

    /// The certificate and the key that the server presents; `None` if there are none.
    pub(super) fn server(&self) -> Result<Option<String>, InvalidTls> {
        read(&self.folder.join(SERVER))
    }

    /// Replaces the certificate and the key that the server presents. The id must belong to this key only.
    pub(super) fn put_server(&self, id: &str, pem: &str) -> Result<(), InvalidTls> {
        let (new, path) = (self.folder.join(format!("server-{id}.new")), self.folder.join(SERVER));
        let put = write(&new, pem).and_then(|()| fs::rename(&new, &path).map_err(unwritable(&path)));
        if put.is_err() {
            let _ = fs::remove_file(&new);
        }
        put
    }
}

/// The number of a CA by the name of its folder.
fn number(name: &str) -> Option<u32> {
    match name.strip_prefix("ca-") {
        Some(number) => number.parse().ok().filter(|number| *number > 1),
        None => (name == "ca").then_some(1),
    }
}

fn read(path: &Path) -> Result<Option<String>, InvalidTls> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(InvalidTls::File { path: path.to_owned(), error }),
    }
}

/// Writes a new file that only this user may read.
fn write(path: &Path, text: &str) -> Result<(), InvalidTls> {
    let write = || -> io::Result<()> {
        let mut file: File = new_file().open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(unwritable(path))
}

#[cfg(unix)]
fn new_file() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options
}

#[cfg(unix)]
fn create_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    DirBuilder::new().mode(0o700).create(path)
}

/// Takes these permissions from all users but the owner and the group: a backup may have come back with more. Where
/// that is impossible, the files are used all the same.
#[cfg(unix)]
fn keep_from_others(path: &Path, permissions: u32) {
    use std::os::unix::fs::PermissionsExt;
    let Ok(metadata) = fs::metadata(path) else { return };
    let mode = metadata.permissions().mode();
    if mode & permissions != 0 {
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(mode & !permissions));
    }
}

// Folders in a user's profile inherit its access list: the user, administrators and the system.
#[cfg(not(unix))]
fn new_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    options
}

#[cfg(not(unix))]
fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().create(path)
}

#[cfg(not(unix))]
fn keep_from_others(_: &Path, _: u32) {}

fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> InvalidTls {
    let path = path.to_owned();
    |error| InvalidTls::Unwritable { path, error }
}
