//! The page of the examples `drop` and `async_drop`, and the messages to it.

use http::StatusCode;
use serde_json::{Value, json};
use std::path::Path;
use std::{fs, io};

/// It sends files by PUT to `/files/NAME`, and shows what the socket `/ws` tells: progress, ends, and the files there are.
pub const PAGE: &str = include_str!("page.html");

/// A file has arrived so far. `name` is what the page calls it, and the length may be unknown.
pub fn progress(name: &str, received: u64, length: Option<u64>) -> Value {
    json!({ "name": name, "received": received, "length": length })
}

/// A file is stored under this path.
pub fn stored(name: &str, path: &Path) -> Value {
    json!({ "name": name, "stored": path.file_name().map(|stored| stored.to_string_lossy()) })
}

/// A file was cut off, or cannot be stored.
pub fn failed(name: &str, error: &dyn std::error::Error) -> Value {
    json!({ "name": name, "failed": error.to_string() })
}

/// The files of a folder.
pub fn files(folder: &Path) -> Value {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok().filter(|name| !name.starts_with('.'))?;
        let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
        Some(json!({ "name": name, "size": metadata.len() }))
    });
    json!({ "files": files.collect::<Vec<_>>() })
}

/// The status of the response to a file that cannot be stored.
pub fn status(error: &io::Error) -> StatusCode {
    match error.kind() {
        io::ErrorKind::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
        io::ErrorKind::AlreadyExists => StatusCode::CONFLICT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
