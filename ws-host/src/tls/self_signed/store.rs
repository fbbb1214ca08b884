//! The files of a local CA. Each is complete wherever it exists, whatever other processes do at the same time:
//!
//! ```text
//! FOLDER/               0700
//! ├── ca/               0700, appears at once with both of its files, and never changes
//! │   ├── ca.crt        the certificate, for import
//! │   └── key.pem       0600
//! ├── server.pem        0600, the certificate that the server presents, and its key; replaced as a whole
//! └── ca-old-…/         a CA that was replaced: it had less than 30 days left, or was not valid yet
//! ```

use crate::tls::error::InvalidTls;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub(super) struct Store {
    folder: PathBuf,
}

/// A CA as its files have it, in PEM.
pub(super) struct Files {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Store {
    pub(super) fn open(folder: PathBuf) -> Result<Self, InvalidTls> {
        // The process may change its working directory.
        let folder = std::path::absolute(&folder).unwrap_or(folder);
        if let Some(parent) = folder.parent() {
            fs::create_dir_all(parent).map_err(unwritable(parent))?;
        }
        match create_folder(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
            result => result.map_err(unwritable(&folder))?,
        }
        Ok(Self { folder })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn certificate_path(&self) -> PathBuf {
        self.folder.join("ca").join("ca.crt")
    }

    /// The CA; `None` if there is none.
    pub(super) fn ca(&self) -> Result<Option<Files>, InvalidTls> {
        let key = read(&self.folder.join("ca").join("key.pem"))?;
        let certificate = read(&self.certificate_path())?;
        Ok(certificate.zip(key).map(|(certificate, key)| Files { certificate, key }))
    }

    /// Stores a CA, unless there is one by now: then it returns `false`. The id must belong to this CA only.
    pub(super) fn put_ca(&self, id: &str, files: &Files) -> Result<bool, InvalidTls> {
        let (new, ca) = (self.folder.join(["ca-new-", id].concat()), self.folder.join("ca"));
        create_folder(&new).map_err(unwritable(&new))?;
        write(&new.join("key.pem"), &files.key)?;
        write(&new.join("ca.crt"), &files.certificate)?;
        // On every system, renaming a folder onto one that has files fails.
        let Err(error) = fs::rename(&new, &ca) else { return Ok(true) };
        fs::remove_dir_all(&new).map_err(unwritable(&new))?;
        if ca.exists() { Ok(false) } else { Err(unwritable(&ca)(error)) }
    }

    /// Sets the CA with this id aside, unless another process has done so.
    pub(super) fn retire_ca(&self, id: &str) -> Result<(), InvalidTls> {
        let (ca, old) = (self.folder.join("ca"), self.folder.join(["ca-old-", id].concat()));
        match fs::rename(&ca, &old) {
            Err(error) if !old.exists() => Err(unwritable(&ca)(error)),
            _ => Ok(()),
        }
    }

    /// The certificate and the key that the server presents; `None` if there are none.
    pub(super) fn server(&self) -> Result<Option<String>, InvalidTls> {
        read(&self.folder.join("server.pem"))
    }

    /// Replaces the certificate and the key that the server presents. The id must belong to this key only.
    pub(super) fn put_server(&self, id: &str, pem: &str) -> Result<(), InvalidTls> {
        let (new, path) = (self.folder.join(format!("server-{id}.new")), self.folder.join("server.pem"));
        write(&new, pem)?;
        fs::rename(&new, &path).map_err(unwritable(&path))
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

fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> InvalidTls {
    let path = path.to_owned();
    |error| InvalidTls::Unwritable { path, error }
}
